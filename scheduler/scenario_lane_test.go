package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// The scenarios of lanes: what one delivery, one account or one kind does to those beside it.

func TestAPartOfAThreadRefusedAfterThreeAreOut(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{accept, cutAfter, accept, refusal}
		w.start()
		id := w.write("acme", post.Content{
			Text: "one", Thread: []post.Reply{{Text: "two"}, {Text: "three"}, {Text: "four"}, {Text: "five"}},
		}, time.Second)
		next := w.send("acme", "another", 2*time.Second)
		w.pass(5 * time.Minute)
		w.is(id, post.Partial, "content")
		w.is(next, post.Published)
		w.said("acme-id", "one", "two < r1 < r1", "three < r2 < r1", "another")
		w.pass(3 * time.Hour)
		w.is(id, post.Partial, "content")
		w.change(id, func(d *post.Delivery) error { return d.Retry(post.Instant(w.now())) })
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one", "two < r1 < r1", "three < r2 < r1", "another", "four < r3 < r1", "five < r5 < r1")
	})
}

func TestALaneWhoseHeadIsInDoubt(t *testing.T) {
	t.Parallel()
	ask := account("acme", post.Brand)
	ask.WhenNotSeen = post.Ask
	all := []string{"one", "two", "three"}
	for name, tc := range map[string]struct {
		first []behaviour
		finds []finding
		head  post.State
		next  time.Duration // when the one behind it goes out
		out   []string
	}{
		"goes on as soon as it is found":       {[]behaviour{cutAfter}, nil, post.Published, 11 * time.Second, all},
		"waits five minutes and no longer":     {[]behaviour{cutBefore}, nil, post.Unconfirmed, 5*time.Minute + time.Second, all[1:]},
		"waits no longer for a person":         {[]behaviour{cutAfter}, []finding{{set: true, look: adapters.Look{Sight: adapters.Ambiguous}}}, post.Unconfirmed, 5*time.Minute + time.Second, all},
		"goes on when it is surely not out":    {[]behaviour{cutBefore}, []finding{{set: true, look: adapters.Look{Sight: adapters.Never}}}, post.Published, 11 * time.Second, all},
		"is not kept by looks that are broken": {[]behaviour{cutAfter}, slices.Repeat([]finding{{set: true, err: errCut}}, 6), post.Unconfirmed, 5*time.Minute + time.Second, all},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.script["acme"], w.p.finds["acme"] = tc.first, tc.finds
				w.start()
				head := w.send("acme", "one", time.Second)
				next := w.send("acme", "two", 2*time.Second)
				late := w.send("acme", "three", 3*time.Second) // would be too late, were the doubt not excused
				w.send("other", "elsewhere", 2*time.Second)
				w.pass(6 * time.Minute)
				w.is(head, tc.head)
				w.said("acme-id", tc.out...)
				if at := w.times("other-id"); !slices.Equal(at, []time.Duration{2 * time.Second}) {
					t.Errorf("the post beside it went out after %v", at)
				}
				w.is(next, post.Published)
				w.is(late, post.Published)
				if at := w.outAt(next); at != tc.next {
					t.Errorf("the one behind it went out after %s, want %s", at, tc.next)
				}
			}, shortLate(ask), account("other", post.Brand))
		})
	}
}

// shortLate allows an account's posts to be late by a minute alone.
func shortLate(a post.Account) post.Account {
	a.MaxLate = time.Minute
	return a
}

func TestALaneWhoseHeadIsInBackoff(t *testing.T) {
	t.Parallel()
	acme, other := account("acme", post.Brand), account("other", post.Brand)
	t.Run("keeps its order and delays no other lane", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["acme"] = slices.Repeat([]behaviour{dialFails}, 3)
			w.start()
			w.send("acme", "one", time.Second)
			w.send("acme", "two", 2*time.Second)
			w.send("other", "elsewhere", 2*time.Second)
			w.pass(2*time.Second + 50*time.Millisecond)
			w.said("other-id", "elsewhere")
			w.pass(3 * time.Minute)
			w.said("acme-id")
			w.pass(time.Minute)
			w.said("acme-id", "one", "two")
		}, acme, other)
	})
	t.Run("goes on behind it once it has failed", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["acme"] = slices.Repeat([]behaviour{dialFails}, 9) // for two hours
			w.start()
			head := w.send("acme", "one", time.Second)
			waited := w.send("acme", "two", time.Minute)
			after := w.send("acme", "three", 2*time.Hour)
			w.pass(3 * time.Hour)
			w.is(head, post.Failed, "network")
			w.is(waited, post.Published) // what the order of the lane kept waiting is not blamed for it
			w.is(after, post.Published)
			w.said("acme-id", "two", "three")
		}, acme)
	})
}

func TestThreeDeliveriesThatSpacingAloneMakesLate(t *testing.T) {
	a := account("acme", post.Brand)
	a.MinGap, a.MaxLate = 10*time.Minute, 5*time.Minute
	inWorld(t, func(w *world) {
		w.start()
		w.send("acme", "zero", time.Minute)
		for i, text := range []string{"one", "two", "three"} {
			w.send("acme", text, time.Minute+time.Duration(i+1)*time.Millisecond)
		}
		w.pass(time.Hour)
		w.said("acme-id", "zero", "one", "two", "three")
		want := []time.Duration{time.Minute, 11 * time.Minute, 21 * time.Minute, 31 * time.Minute}
		if at := w.times("acme-id"); !slices.Equal(at, want) {
			t.Errorf("they went out after %v, want %v", at, want)
		}
	}, a)
}

func TestADeadTokenThatHealsByItself(t *testing.T) {
	t.Parallel()
	heals := func(w *world) {
		w.p.verify["acme"] = refusedToken()
		w.startWithChores(nil)
		soon, far := w.send("acme", "one", 2*time.Minute), w.send("acme", "two", 2*time.Hour)
		w.pass(4 * time.Minute)
		w.is(soon, post.Scheduled)
		if got := w.status("acme"); got != post.StatusNeedsReconnect {
			w.t.Errorf("the account is %s", got)
		}
		w.p.set(func() { delete(w.p.verify, "acme") })
		w.pass(6 * time.Minute) // verified again after one minute and after five more
		w.is(soon, post.Published)
		if got := w.status("acme"); got != post.StatusOK {
			w.t.Errorf("the account is %s", got)
		}
		w.pass(2 * time.Hour)
		w.is(far, post.Published)
		w.said("acme-id", "one", "two")
	}
	t.Run("alone", func(t *testing.T) { inWorld(t, heals) })
	t.Run("that dies between two posts", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.startWithChores(nil)
			first := w.send("acme", "one", time.Minute)
			w.pass(2 * time.Minute)
			w.is(first, post.Published)
			w.p.set(func() {
				w.p.script["acme"] = []behaviour{denied}
				w.p.verify["acme"] = refusedToken()
				w.p.refresh = func(string) error { return refusedToken() }
			})
			soon, far := w.send("acme", "two", time.Minute), w.send("acme", "three", 2*time.Hour)
			w.pass(3 * time.Minute)
			w.is(soon, post.Scheduled)
			if got := w.status("acme"); got != post.StatusNeedsReconnect {
				t.Errorf("the account is %s", got)
			}
			if n := w.p.count("acme refresh"); n == 0 {
				t.Error("nobody tried to get another token")
			}
			w.p.set(func() {
				delete(w.p.verify, "acme")
				w.p.refresh = nil
			})
			w.pass(7 * time.Minute) // verified again after one minute, after five more, and so on
			w.is(soon, post.Published)
			if got := w.status("acme"); got != post.StatusOK {
				t.Errorf("the account is %s", got)
			}
			w.pass(2 * time.Hour)
			w.is(far, post.Published)
			w.said("acme-id", "one", "two", "three")
			if n := w.p.count("acme commit"); n != 4 {
				t.Errorf("%d commits, want the three posts and the one that was refused", n)
			}
		})
	})
	t.Run("while the verification of forty others hangs", func(t *testing.T) {
		accounts := []post.Account{account("acme", post.Brand)}
		for i := range 40 {
			accounts = append(accounts, account(fmt.Sprintf("mute-%d", i), post.Brand))
		}
		inWorld(t, func(w *world) {
			for _, a := range accounts[1:] {
				w.p.mute[a.Handle] = true
			}
			heals(w)
		}, accounts...)
	})
}

func Test256HangingBrandRequestsWhileAPersonsPostIsDue(t *testing.T) {
	t.Parallel()
	brands := func(n int) []post.Account {
		accounts := []post.Account{account("ann", post.Personal)}
		for i := range n {
			accounts = append(accounts, account(fmt.Sprintf("brand-%d", i), post.Brand))
		}
		return accounts
	}
	onTime := func(w *world, want time.Duration) {
		w.t.Helper()
		w.pass(want + 50*time.Millisecond)
		if at := w.times("ann-id"); len(at) != 1 || at[0] != want {
			w.t.Errorf("the person's post went out after %v, want %s", at, want)
		}
	}
	t.Run("commits", func(t *testing.T) {
		accounts := brands(256)
		inWorld(t, func(w *world) {
			w.max = 256
			for _, a := range accounts[1:] {
				w.p.script[a.Handle] = []behaviour{blackHole}
				w.send(a.Handle, "hangs", time.Second)
			}
			w.start()
			w.send("ann", "mine", 10*time.Second)
			onTime(w, 10*time.Second)
			if n := w.s.Status(nil).InFlight; n < 100 {
				t.Errorf("%d requests hang, want many", n)
			}
			of := func(k post.AccountKey) bool { return k.Kind == post.Personal }
			if st := w.s.Status(of); st.InFlight != 0 || st.Lag > 50*time.Millisecond {
				t.Errorf("of people's accounts %d hang, and the last was %v late", st.InFlight, st.Lag)
			}
		}, accounts...)
	})
	t.Run("verifications", func(t *testing.T) {
		accounts := brands(256)
		inWorld(t, func(w *world) {
			for _, a := range accounts[1:] {
				w.p.mute[a.Handle] = true
				w.send(a.Handle, "hangs", time.Second)
			}
			w.max = 256
			w.startWithChores(nil)
			w.send("ann", "mine", 10*time.Second)
			onTime(w, 10*time.Second)
		}, accounts...)
	})
	t.Run("preparations", func(t *testing.T) {
		accounts := brands(40)
		inWorld(t, func(w *world) {
			for _, a := range accounts[1:] {
				w.p.stuck[a.Handle] = true
				w.write(a.Handle, film("hangs"), time.Minute)
			}
			w.startWithChores(nil)
			w.pass(time.Second)
			w.write("ann", film("mine"), 10*time.Second)
			w.pass(10*time.Second + 50*time.Millisecond)
			if at := w.times("ann-id"); len(at) != 1 || at[0] != 11*time.Second {
				t.Errorf("the person's post went out after %v", at)
			}
		}, accounts...)
	})
	looks := func(t *testing.T, accounts []post.Account) {
		t.Helper()
		inWorld(t, func(w *world) {
			w.max = 256
			w.wrap = func(handle string, a adapters.Adapter) adapters.Adapter {
				if v, ok := a.(*voice); ok && handle != "ann" {
					return blind{v}
				}
				return a
			}
			for _, a := range accounts {
				w.p.script[a.Handle] = []behaviour{cutAfter}
			}
			for _, a := range accounts[1:] {
				w.send(a.Handle, "hangs", time.Second)
			}
			w.start()
			w.send("ann", "mine", 2*time.Second)
			w.send("ann", "mine too", 20*time.Second) // behind the doubt about the first
			w.pass(21 * time.Second)
			if at, want := w.times("ann-id"), []time.Duration{2 * time.Second, 20 * time.Second}; !slices.Equal(at, want) {
				t.Errorf("the person's posts went out after %v, want %v", at, want)
			}
		}, accounts...)
	}
	// More than are looked through at a time.
	t.Run("looks", func(t *testing.T) { looks(t, brands(700)) })
	t.Run("looks on another platform", func(t *testing.T) {
		accounts := brands(700)
		accounts[0].Kind, accounts[0].Platform = post.Brand, post.Reddit
		looks(t, accounts)
	})
	t.Run("preparations of one account", func(t *testing.T) {
		accounts := brands(2)
		inWorld(t, func(w *world) {
			w.p.stuck["brand-0"] = true
			w.startWithChores(nil)
			for i := range 100 {
				w.write("brand-0", film(fmt.Sprint("hangs ", i)), time.Minute)
			}
			w.pass(time.Second)
			w.write("brand-1", film("another brand's"), 100*time.Second)
			w.pass(100*time.Second + 50*time.Millisecond)
			if at := w.times("brand-1-id"); len(at) != 1 || at[0] != 101*time.Second {
				t.Errorf("the other brand's post went out after %v", at)
			}
		}, accounts...)
	})
}

func TestCancelAndPauseInFlightThenA429(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cancel, pause bool
		want          post.State
		out           []string
	}{
		"canceled":            {true, false, post.Canceled, []string{"two"}},
		"paused":              {false, true, post.Published, []string{"one", "two"}},
		"canceled and paused": {true, true, post.Canceled, []string{"two"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := account("acme", post.Brand)
			a.MaxLate = time.Hour
			inWorld(t, func(w *world) {
				w.p.script["acme"] = []behaviour{slowLimited}
				w.start()
				id := w.send("acme", "one", time.Second)
				w.send("acme", "two", 2*time.Second)
				w.pass(1500 * time.Millisecond)
				w.is(id, post.Sending)
				if tc.cancel {
					w.change(id, (*post.Delivery).Cancel)
				}
				if tc.pause {
					hold := post.Hold{Reason: post.HoldPaused, Since: w.now(), By: "ann"}
					w.ok(w.store.HoldLane(w.t.Context(), w.by(), store.HoldOn{Account: w.key("acme"), Hold: hold}))
				}
				w.pass(5 * time.Second)
				if tc.cancel {
					w.is(id, post.Canceled)
				} else {
					w.is(id, post.Scheduled, "rate_limit")
				}
				v, err := w.store.AccountByHandle(w.t.Context(), "acme")
				w.ok(err)
				limited := slices.ContainsFunc(v.Holds, func(h post.Hold) bool { return h.Reason == post.HoldRateLimited })
				if paused := w.status("acme") == post.StatusPaused; !limited || paused != tc.pause {
					t.Errorf("the holds are %+v", v.Holds)
				}
				w.pass(9 * time.Minute)
				w.said("acme-id")
				w.pass(2 * time.Minute)
				if tc.pause {
					w.said("acme-id") // the platform's limit is over, the person's pause is not
					w.ok(w.store.ReleaseLane(w.t.Context(), w.by(), store.Release{Account: w.key("acme"), Late: store.LateApply, Reasons: []post.HoldReason{post.HoldPaused}}))
				}
				w.pass(time.Minute)
				w.is(id, tc.want)
				w.said("acme-id", tc.out...)
			}, a)
		})
	}
}

// edit gives a post of one delivery other words.
func (w *world) edit(id post.ID, c post.Content) {
	w.t.Helper()
	ctx := w.t.Context()
	v, err := w.store.PostByID(ctx, w.get(id).Post)
	w.ok(err)
	e := store.Edit{Post: v.Post, Version: v.Version}
	e.Post.Content = c
	e.Post.Targets = slices.Clone(v.Post.Targets)
	e.Post.Targets[0].Content = c
	e.Changes = map[post.ID]store.DeliveryEdit{
		id: {Digest: c.Digest(), Roles: []post.Role{post.RolePost}, NeedsPrepare: len(c.Media) > 0},
	}
	out, err := w.store.EditPost(ctx, w.by(), e)
	w.ok(err)
	if len(out.Changed) != 1 {
		w.t.Errorf("the edit changed %v and kept %v", out.Changed, out.Kept)
	}
}

// dawdling is an adapter whose preparations take five minutes.
type dawdling struct{ *voice }

func (d dawdling) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	if h, ok := r.Handle("upload"); ok && h.Done {
		return nil
	}
	time.Sleep(5 * time.Minute)
	return d.voice.Prepare(ctx, r, save)
}

func TestAnEditAfterMediaWasPrepared(t *testing.T) {
	t.Parallel()
	other := film("one")
	other.Media = []post.Media{{ID: "def", Type: "video/mp4"}}
	for name, tc := range map[string]struct {
		after time.Duration
		edit  post.Content
		slow  bool
	}{
		"other words":                 {55 * time.Minute, film("two"), false},
		"other media":                 {55 * time.Minute, other, false},
		"other words right before":    {time.Hour - time.Second, film("two"), false},
		"no media any more":           {55 * time.Minute, post.Content{Text: "one"}, false},
		"while it was being prepared": {52 * time.Minute, other, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if tc.slow {
					w.wrap = as(func(v *voice) dawdling { return dawdling{v} })
				}
				w.start()
				id := w.write("acme", film("one"), time.Hour)
				w.pass(tc.after)
				if n := w.p.uploaded(); n != 1 && !tc.slow {
					t.Errorf("%d uploads before the edit, want 1", n)
				}
				w.edit(id, tc.edit)
				w.pass(10 * time.Minute)
				w.is(id, post.Published)
				w.said("acme-id", tc.edit.Text)
				want := ""
				if len(tc.edit.Media) > 0 {
					want = tc.edit.Digest()
				}
				if got := w.p.out()[0].Upload; got != want {
					t.Errorf("it went out with the media of another content")
				}
			})
		})
	}
}
