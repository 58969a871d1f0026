package scheduler_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

func TestADuePostGoesOutOnTheSecond(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		id := w.send("acme", "hello", time.Hour)
		w.pass(time.Hour - time.Millisecond)
		w.said("acme-id")
		w.pass(10 * time.Millisecond)
		w.said("acme-id", "hello")
		if at := w.p.out()[0].At; at != time.Hour {
			t.Errorf("it went out after %s, want an hour", at)
		}
		w.is(id, post.Published)
		e := <-w.events
		if e.Receipt == nil || e.Receipt.RemoteID != "r1" || e.Delivery.ID != id {
			t.Errorf("the event tells %+v", e)
		}
		log := w.view(id).Attempts
		if len(log) != 1 || log[0].N != 1 || log[0].Outcome != post.OutcomePublished || log[0].Act != "publish" {
			t.Errorf("the attempt log holds %+v", log)
		}
	})
}

func TestALaneKeepsItsOrderAndItsSpacing(t *testing.T) {
	a := account("acme", post.Brand)
	a.MinGap = time.Minute
	inWorld(t, func(w *world) {
		for i, text := range []string{"one", "two", "three"} {
			w.send("acme", text, time.Minute+time.Duration(i)*time.Millisecond)
		}
		w.start()
		w.pass(10 * time.Minute)
		w.said("acme-id", "one", "two", "three")
		var at []time.Duration
		for _, s := range w.p.out() {
			at = append(at, s.At)
		}
		if want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}; cmp.Diff(want, at) != "" {
			t.Errorf("the lane spoke at %v, want %v", at, want)
		}
	}, a)
}

func TestAHeadThatIsRetriedKeepsItsPlace(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{dialFails, dialFails}
		w.start()
		w.send("acme", "one", time.Second)
		w.send("acme", "two", 2*time.Second)
		w.pass(20 * time.Second)
		w.said("acme-id")
		w.pass(2 * time.Minute)
		w.said("acme-id", "one", "two")
		if at := w.p.out()[0].At; at != 91*time.Second {
			t.Errorf("the retries ended after %s, want 1 s + 30 s + 60 s", at)
		}
	})
}

func TestSafeFailuresEndAfterTwoHours(t *testing.T) {
	a := account("acme", post.Brand)
	a.MaxLate = 24 * time.Hour
	inWorld(t, func(w *world) {
		for range 1000 {
			w.p.script["acme"] = append(w.p.script["acme"], dialFails)
		}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(90 * time.Minute)
		w.is(id, post.Scheduled, "network")
		w.pass(45 * time.Minute)
		w.is(id, post.Failed, "network")
		if n := w.p.count("acme commit"); n < 6 || n > 12 {
			t.Errorf("%d attempts in two hours", n)
		}
	}, a)
}

func TestARateLimitHoldsTheLaneUntilThePlatformsTime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{limited}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.send("acme", "two", 2*time.Second)
		w.pass(9 * time.Minute)
		w.is(id, post.Scheduled, "rate_limit")
		if got := w.status("acme"); got != post.StatusRateLimited {
			t.Errorf("the account is %s", got)
		}
		if n := w.get(id).Attempts; n != 0 {
			t.Errorf("a rate limit counted as %d attempts", n)
		}
		w.pass(2 * time.Minute)
		w.said("acme-id", "one", "two")
		if n := w.p.count("acme commit"); n != 3 {
			t.Errorf("%d commits, want 3", n)
		}
	})
}

func TestALongRateLimitLeavesTheRetriesTheirTwoHours(t *testing.T) {
	a := account("acme", post.Brand)
	inWorld(t, func(w *world) {
		w.p.script["acme"] = make([]behaviour, 0, 32)
		for range 15 { // ten minutes each: two hours and a half
			w.p.script["acme"] = append(w.p.script["acme"], limited)
		}
		w.p.script["acme"] = append(w.p.script["acme"], dialFails)
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(3 * time.Hour)
		w.is(id, post.Published)
	}, a)
}

func TestARateLimitOfTheAppHoldsAllItsAccountsOnly(t *testing.T) {
	one, two, three := account("one", post.Brand), account("two", post.Personal), account("three", post.Brand)
	one.App, two.App, three.App = "twitter:abc", "twitter:abc", "twitter:xyz"
	inWorld(t, func(w *world) {
		w.start()
		w.pass(time.Second)
		hold := post.Hold{Reason: post.HoldRateLimited, Since: w.now(), Until: w.now().Add(time.Minute)}
		w.ok(w.store.HoldLane(w.t.Context(), w.by(), store.HoldOn{App: "twitter:abc", Hold: hold}))
		for _, h := range []string{"one", "two", "three"} {
			w.send(h, "from "+h, time.Second)
		}
		w.pass(30 * time.Second)
		w.said("three-id", "from three")
		w.said("one-id")
		w.said("two-id")
		w.pass(time.Minute)
		w.said("one-id", "from one")
		w.said("two-id", "from two")
	}, one, two, three)
}

func TestARefusedContentFailsAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{refusal}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.send("acme", "two", 2*time.Second)
		w.pass(time.Minute)
		w.is(id, post.Failed, "content")
		w.said("acme-id", "two")
	})
}

func TestAStuckAccountDelaysNoOther(t *testing.T) {
	// Four commits may be in flight, two of each kind: a personal account that hangs leaves the brands alone, and
	// a second lane of its own kind its place.
	stuck, free, brand := account("stuck", post.Personal), account("free", post.Personal), account("brand", post.Brand)
	inWorld(t, func(w *world) {
		w.max = 4
		w.p.script["stuck"] = []behaviour{blackHole}
		w.start()
		w.send("stuck", "one", time.Second)
		w.send("free", "two", 2*time.Second)
		w.send("brand", "three", 2*time.Second)
		w.pass(2*time.Second + 50*time.Millisecond)
		w.said("free-id", "two")
		w.said("brand-id", "three")
	}, stuck, free, brand)
}

func TestWhatFindsNoRoomWaitsWithoutSpinning(t *testing.T) {
	a, b, c := account("a", post.Brand), account("b", post.Brand), account("c", post.Personal)
	inWorld(t, func(w *world) {
		w.max = 2 // one of each kind
		w.p.script["a"] = []behaviour{blackHole}
		w.start()
		w.send("a", "one", time.Second)
		waiting := w.send("b", "two", 2*time.Second)
		w.send("c", "three", 3*time.Second)
		w.pass(5 * time.Second)
		w.is(waiting, post.Scheduled)
		w.said("c-id", "three")
		if at := w.p.out()[1].At; at > 3*time.Second+50*time.Millisecond {
			t.Errorf("a kind without room kept the other waiting until %s", at)
		}
		w.pass(30 * time.Second)
		w.said("b-id", "two")
	}, a, b, c)
}

func TestRoomThatFreesUpIsUsedAtOnce(t *testing.T) {
	a, b := account("a", post.Brand), account("b", post.Brand)
	inWorld(t, func(w *world) {
		w.max = 2 // one of each kind
		w.p.script["a"] = []behaviour{slow}
		w.start()
		w.send("a", "one", time.Second)
		waiting := w.send("b", "two", 2*time.Second+7*time.Millisecond)
		w.pass(5 * time.Second)
		w.is(waiting, post.Published)
		if at := w.p.out()[1].At; at != 3*time.Second {
			t.Errorf("it went out after %s, want 3s: when the other's answer came", at)
		}
	}, a, b)
}

func TestLateDeliveriesAreMissed(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.send("acme", "one", time.Minute)
		w.pass(time.Hour)
		w.start()
		w.pass(time.Minute)
		w.is(id, post.Missed, "too_late")
		w.said("acme-id")
	})
}

func TestAThreadGoesOutPartByPart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		id := w.write("acme", post.Content{
			Text: "one", Thread: []post.Reply{{Text: "two"}, {Text: "three"}}, FirstComment: "four",
		}, time.Second)
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one", "two < r1 < r1", "three < r2 < r1", "four < r3 < r1")
	})
}

func TestALaterPartIsRetriedAsSoonAsAFirstOne(t *testing.T) {
	inWorld(t, func(w *world) {
		c := post.Content{Text: "p0"}
		for range 9 {
			c.Thread = append(c.Thread, post.Reply{Text: "more"})
			w.p.script["acme"] = append(w.p.script["acme"], accept)
		}
		w.p.script["acme"] = append(w.p.script["acme"], dialFails)
		w.start()
		id := w.write("acme", c, time.Second)
		w.pass(35 * time.Second)
		w.is(id, post.Published)
	})
}

func TestACancellationWhileSendingMakesNoNewAttempt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script []behaviour
		want   post.State
		out    int
	}{
		"and it went out":             {[]behaviour{slow}, post.Published, 1},
		"and it was found":            {[]behaviour{blackHole}, post.Published, 1},
		"and nobody has ever seen it": {[]behaviour{cutBefore}, post.Canceled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.script["acme"] = tc.script
				w.start()
				id := w.send("acme", "one", time.Second)
				w.pass(time.Second + 500*time.Millisecond)
				w.change(id, (*post.Delivery).Cancel)
				w.pass(10 * time.Minute)
				w.is(id, tc.want)
				if n := len(w.p.out()); n != tc.out {
					t.Errorf("%d are out, want %d", n, tc.out)
				}
				if n := w.p.count("acme commit"); n != 1 {
					t.Errorf("%d commits, want 1", n)
				}
			})
		})
	}
}

func TestACancellationInAThreadStopsTheRest(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{accept, slow}
		w.start()
		id := w.write("acme", post.Content{Text: "one", Thread: []post.Reply{{Text: "two"}, {Text: "three"}}}, time.Second)
		w.pass(time.Second + 500*time.Millisecond)
		w.change(id, (*post.Delivery).Cancel)
		w.pass(time.Minute)
		w.is(id, post.Partial, "canceled")
		w.said("acme-id", "one", "two < r1 < r1")
	})
}

func TestAnAssistedAccountIsHandedOver(t *testing.T) {
	a := account("acme", post.Brand)
	a.Mode = post.ModeAssist
	inWorld(t, func(w *world) {
		w.start()
		id := w.send("acme", "one", time.Minute)
		w.pass(2 * time.Minute)
		w.is(id, post.AwaitingPerson)
		if n := len(w.p.asked); n != 0 {
			t.Errorf("the platform was asked %d times", n)
		}
	}, a)
}

func TestAnAccountWithoutAnOutletIsHeld(t *testing.T) {
	// The store knows the account and the scheduler does not: one attempt, a hold, and no other lane touched.
	inWorld(t, func(w *world) {
		orphan := account("orphan", post.Brand)
		w.ok(w.store.SyncAccounts(w.t.Context(), w.by(), append(w.accounts, orphan)))
		w.start()
		w.accounts = append(w.accounts, orphan)
		id := w.send("orphan", "one", time.Second)
		w.send("acme", "two", time.Second)
		w.pass(time.Minute)
		w.is(id, post.Scheduled, "permission")
		w.said("acme-id", "two")
		if got := w.status("orphan"); got != post.StatusNeedsReconnect {
			t.Errorf("the account is %s", got)
		}
		if n := len(w.view(id).Attempts); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
		w.accounts = w.accounts[:1]
	})
}
