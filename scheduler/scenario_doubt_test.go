package scheduler_test

import (
	"slices"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// The scenarios of doubt: an answer is lost, a listing is late, a result comes at the wrong time. In each the
// platform's own record says what was really published.

// outAt is when the post that a delivery holds the receipt of went out: what tells twins apart.
func (w *world) outAt(id post.ID) time.Duration {
	w.t.Helper()
	r := w.get(id).Parts[0].Receipt
	if r == nil {
		w.t.Fatalf("delivery %s has no receipt", id)
	}
	for _, s := range w.p.out() {
		if s.ID == r.RemoteID {
			return s.At
		}
	}
	w.t.Fatalf("the platform knows no post %s", r.RemoteID)
	return 0
}

func TestTwoIdenticalTextsAMinuteApartNeverShareAReceipt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script []behaviour
		second time.Duration // when the second one is really out
	}{
		"the second is out and its answer lost": {[]behaviour{accept, cutAfter}, 61 * time.Second},
		"the second never arrived":              {[]behaviour{accept, cutBefore}, 61*time.Second + 5*time.Minute},
		"both answers are lost":                 {[]behaviour{cutAfter, cutAfter}, 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.script["acme"] = tc.script
				w.start()
				first := w.send("acme", "Good morning", time.Second)
				second := w.send("acme", "Good morning", 61*time.Second)
				w.pass(10 * time.Minute)
				w.is(first, post.Published)
				w.is(second, post.Published)
				w.said("acme-id", "Good morning", "Good morning")
				if a, b := w.outAt(first), w.outAt(second); a != time.Second || b != tc.second {
					t.Errorf("their receipts are of the posts at %s and %s, want 1s and %s", a, b, tc.second)
				}
			})
		})
	}
}

func TestAListingThatShowsThePostAfterFourMinutes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutAfter}
		w.p.listing = 4 * time.Minute
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(5 * time.Minute)
		w.is(id, post.Unconfirmed, "not_seen_yet")
		if d := w.get(id).Doubt; d == nil || d.Looks != 2 {
			t.Errorf("so far the doubt is %+v, want two looks", d)
		}
		w.pass(2 * time.Second)
		w.is(id, post.Published)
		w.pass(time.Hour)
		w.said("acme-id", "one")
		if n := w.p.count("acme commit"); n != 1 {
			t.Errorf("%d commits, want 1", n)
		}
	})
}

func TestARequestThatThePlatformCarriesOutMinutesLater(t *testing.T) {
	t.Parallel()
	t.Run("within the horizon it is found", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["acme"], w.p.delay = []behaviour{late}, 3*time.Minute
			w.start()
			id := w.send("acme", "one", time.Second)
			w.pass(2 * time.Minute)
			w.said("acme-id")
			w.pass(time.Hour)
			w.is(id, post.Published)
			w.said("acme-id", "one")
			if at := w.outAt(id); at != 3*time.Minute+time.Second {
				t.Errorf("the receipt is of the post at %s", at)
			}
		})
	})
	t.Run("beyond it the person who is asked cannot double it either", func(t *testing.T) {
		a := account("acme", post.Brand)
		a.WhenNotSeen = post.Ask
		inWorld(t, func(w *world) {
			w.p.script["acme"], w.p.delay = []behaviour{late}, 7*time.Minute
			w.start()
			id := w.send("acme", "one", time.Second)
			w.pass(6 * time.Minute)
			w.is(id, post.Unconfirmed, "not_seen")
			w.pass(2 * time.Minute) // the person looked before it was carried out, and answers after
			w.change(id, func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, w.now()) })
			w.pass(time.Hour)
			w.is(id, post.Published)
			w.said("acme-id", "one")
			if n := w.p.count("acme commit"); n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
		}, a)
	})
}

func TestAWorkerSuspendedBetweenIntentAndFirstByte(t *testing.T) {
	t.Parallel()
	for name, asleep := range map[string]time.Duration{
		"until its send_by":            5*time.Minute - 30*time.Second,
		"until after its lease":        10 * time.Minute,
		"until after what may be late": 2 * time.Hour,
		"until shortly before send_by": 4 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				machine := w.withBoot()
				w.wrap = as(func(v *voice) hesitant { return hesitant{v} })
				w.startWithChores(nil)
				id := w.send("acme", "one", time.Second)
				w.pass(2 * time.Second)
				w.is(id, post.Sending)
				machine.Store(int64(asleep)) // the machine sleeps: both clocks go on, timers do not
				w.skew.Store(int64(asleep))
				w.pass(4*time.Second + 10*time.Millisecond)
				if asleep < 4*time.Minute+25*time.Second {
					w.is(id, post.Published)
					w.said("acme-id", "one")
					return
				}
				w.said("acme-id") // it woke up and did not send
				first := w.view(id).Attempts[0]
				if first.Outcome != post.OutcomeNotPublished || first.Reason != string(adapters.Stopped) {
					t.Errorf("the first attempt ended %s (%s)", first.Outcome, first.Reason)
				}
				w.pass(time.Minute)
				if asleep > 15*time.Minute {
					w.is(id, post.Missed, "too_late")
					w.said("acme-id")
					return
				}
				w.is(id, post.Published)
				w.said("acme-id", "one")
				if n := w.get(id).Attempts; n != 1 {
					t.Errorf("%d attempts counted, want 1", n)
				}
			})
		})
	}
}

func TestAReceiptThatComesBackAfterItsLeaseIsKept(t *testing.T) {
	t.Parallel()
	t.Run("its worker still runs", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.wrap = as(func(v *voice) belated { return belated{v} })
			w.startWithChores(nil)
			id := w.send("acme", "one", time.Second)
			next := w.send("acme", "two", 2*time.Second)
			w.pass(9 * time.Minute)
			w.is(id, post.Sending)
			w.is(next, post.Scheduled)
			w.pass(2 * time.Minute)
			w.is(id, post.Published)
			w.pass(20 * time.Minute)
			w.is(next, post.Published)
			w.said("acme-id", "one", "two")
			if n := w.p.count("acme find"); n != 0 {
				t.Errorf("%d looks for a worker that had not ended", n)
			}
		})
	})
	for name, newer := range map[string]bool{"it was given up and nothing was tried since": false, "a newer attempt has begun": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				id := w.send("acme", "one", 0)
				turn := func(results ...store.Result) store.Turned {
					out, err := w.store.Turn(w.t.Context(), store.Turn{
						Now: w.now(), Owner: "us", Lease: 5 * time.Minute, Room: map[post.Kind]int{post.Brand: 1}, Results: results,
					})
					w.ok(err)
					return out
				}
				claim := turn().Claims[0]
				w.pass(6 * time.Minute)
				if n, err := w.store.Expire(w.t.Context(), w.now(), func(post.ID) bool { return false }); n != 1 || err != nil {
					t.Fatalf("expired %d: %v", n, err)
				}
				w.is(id, post.Unconfirmed)
				if newer {
					w.change(id, func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, w.now()) })
					turn()
					w.is(id, post.Sending)
				}
				receipt := post.Receipt{RemoteID: "r1", At: w.now()}
				out := turn(store.Result{Delivery: id, Settled: post.Settled{Part: 0, Fence: claim.Delivery.Fence, Receipt: &receipt, Counted: true}})
				if err := out.Refused[0]; err != nil {
					t.Errorf("the receipt was refused: %v", err)
				}
				if slices.Contains(out.Alerts, id) != newer {
					t.Errorf("alerts %v, want one: %t", out.Alerts, newer)
				}
				w.is(id, post.Published)
			})
		})
	}
}

func TestACommitThatReportsAnErrorButIsOnDisk(t *testing.T) {
	t.Parallel()
	t.Run("a claim", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.startWithChores(nil)
			w.store.unsure.Store(true)
			id := w.send("acme", "one", time.Second)
			w.pass(time.Minute)
			w.is(id, post.Sending)
			w.said("acme-id")
			w.pass(5 * time.Minute)
			w.is(id, post.Unconfirmed)
			w.pass(6 * time.Minute)
			w.is(id, post.Published)
			w.said("acme-id", "one")
		})
	})
	for name, tc := range map[string]struct {
		script   []behaviour
		after    time.Duration
		state    post.State
		attempts int
		log      int
		end      post.State // an hour later
		commits  int
	}{
		"the result that it is out":      {[]behaviour{slow}, 2 * time.Second, post.Published, 1, 1, post.Published, 1},
		"the result that it is not out":  {[]behaviour{dialFails}, 2 * time.Second, post.Scheduled, 1, 1, post.Published, 2},
		"the result that nobody knows":   {[]behaviour{cutBefore}, 2 * time.Second, post.Unconfirmed, 1, 1, post.Published, 2},
		"the result that it was refused": {[]behaviour{refusal}, 2 * time.Second, post.Failed, 1, 1, post.Failed, 1},
		"the result of a rate limit":     {[]behaviour{limited}, 2 * time.Second, post.Scheduled, 0, 1, post.Published, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.script["acme"] = tc.script
				w.start()
				id := w.send("acme", "one", time.Second)
				w.pass(500 * time.Millisecond)
				w.store.vague.Store(true)
				w.pass(tc.after + 2*time.Second)
				w.is(id, tc.state)
				v := w.view(id)
				if v.Delivery.Attempts != tc.attempts || len(v.Attempts) != tc.log {
					t.Errorf("%d attempts counted and %d recorded, want %d and %d", v.Delivery.Attempts, len(v.Attempts), tc.attempts, tc.log)
				}
				if n := len(w.events); n != 1 {
					t.Errorf("it was told %d times, want once", n)
				}
				if w.store.vague.Load() {
					t.Error("no commit was in doubt")
				}
				w.pass(time.Hour)
				w.is(id, tc.end)
				if tc.end == post.Published {
					w.said("acme-id", "one")
				} else {
					w.said("acme-id")
				}
				if n := w.p.count("acme commit"); n != tc.commits {
					t.Errorf("%d commits, want %d", n, tc.commits)
				}
			})
		})
	}
	t.Run("the result of a look", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["acme"] = []behaviour{cutBefore}
			w.start()
			id := w.send("acme", "one", time.Second)
			w.pass(5 * time.Second)
			w.store.vague.Store(true)
			w.pass(10 * time.Second)
			if d := w.get(id).Doubt; d == nil || d.Looks != 1 {
				t.Errorf("one look counts as %+v", d)
			}
			w.pass(4*time.Minute + 30*time.Second)
			w.said("acme-id") // two looks are not the horizon
			w.pass(time.Minute)
			w.is(id, post.Published)
			w.said("acme-id", "one")
		})
	})
}

func TestADuplicateRefusalForSomethingPostedByHand(t *testing.T) {
	t.Parallel()
	t.Run("it fails and borrows no receipt", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["acme"] = []behaviour{duplicate}
			w.start()
			w.p.byHand("acme", "one")
			id := w.send("acme", "one", time.Second)
			next := w.send("acme", "two", 2*time.Second)
			w.pass(time.Hour)
			w.is(id, post.Failed, "platform_duplicate")
			w.is(next, post.Published)
			w.said("acme-id", "one", "two")
			if r := w.get(id).Parts[0].Receipt; r != nil {
				t.Errorf("it took the receipt %s of the post by hand", r.RemoteID)
			}
			if n := w.p.count("acme commit"); n != 2 {
				t.Errorf("%d commits, want 2", n)
			}
		})
	})
	t.Run("after a doubt it is a reason to look", func(t *testing.T) {
		inWorld(t, func(w *world) {
			// The first attempt is carried out right after the last look before the second one, which the platform
			// therefore refuses.
			w.p.script["acme"] = []behaviour{late, duplicate}
			w.p.delay = 5*time.Minute + 2*time.Second
			w.wrap = as(func(v *voice) hesitant { return hesitant{v} })
			w.start()
			id := w.send("acme", "one", time.Second)
			w.pass(20 * time.Minute)
			w.is(id, post.Published)
			w.said("acme-id", "one")
		})
	})
}
