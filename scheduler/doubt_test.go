package scheduler_test

import (
	"errors"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

func TestALostAnswerIsFoundOnThePlatform(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]behaviour{
		"cut after it was accepted":     cutAfter,
		"no answer until the timeout":   blackHole,
		"an answer that names no post":  nameless,
		"the adapter panics afterwards": burst,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.script["acme"] = []behaviour{what}
				w.start()
				id := w.send("acme", "one", time.Second)
				w.send("acme", "two", 2*time.Second)
				w.pass(35 * time.Second)
				if what == blackHole {
					w.is(id, post.Unconfirmed, "network")
					w.said("acme-id", "one")
				}
				w.pass(30 * time.Second)
				w.is(id, post.Published)
				w.said("acme-id", "one", "two")
				if r := w.get(id).Parts[0].Receipt; r.RemoteID != "r1" {
					t.Errorf("the receipt names %s", r.RemoteID)
				}
			})
		})
	}
}

func TestAPanicBeforeSendingFailsWithoutHarm(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wrap = as(func(v *voice) panicky { return panicky{v} })
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(time.Minute)
		w.is(id, post.Failed, "protocol")
		w.said("acme-id")
	})
}

func TestWhatWasNotSeenIsSentOnceMore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutBefore}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(5 * time.Minute)
		w.is(id, post.Unconfirmed, "not_seen_yet")
		w.said("acme-id")
		w.pass(2 * time.Second)
		w.is(id, post.Published)
		w.said("acme-id", "one")
		// Three looks to the horizon, and one more right before the second attempt.
		if n := w.p.count("acme find"); n != 4 {
			t.Errorf("%d looks, want 4", n)
		}
	})
}

func TestTheSecondTimeAPersonDecides(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutBefore, cutBefore, cutBefore}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(time.Hour)
		w.is(id, post.Unconfirmed, "not_seen")
		if n := w.p.count("acme commit"); n != 2 {
			t.Errorf("%d commits, want 2", n)
		}
		if next := w.get(id).Doubt.Next; !next.IsZero() {
			t.Errorf("another look is planned for %s", next)
		}
		w.change(id, func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, post.Instant(w.now())) })
		w.p.set(func() { w.p.script["acme"] = nil })
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestAnAccountThatAsksIsNeverSentAgain(t *testing.T) {
	a := account("acme", post.Brand)
	a.WhenNotSeen = post.Ask
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutBefore}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.send("acme", "two", 2*time.Second)
		w.pass(time.Hour)
		w.is(id, post.Unconfirmed, "not_seen")
		// Doubt blocks the lane for five minutes only, and that wait is excused.
		w.said("acme-id", "two")
	}, a)
}

func TestAPostThatShowsUpRightBeforeTheResendIsFound(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutAfter}
		w.p.finds["acme"] = []finding{{set: true}, {set: true}, {set: true}} // three looks that show nothing
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(10 * time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestALookThatFailsUsesUpNoLook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutBefore}
		broken := finding{set: true, err: errors.New("unreadable")}
		w.p.finds["acme"] = []finding{broken, broken, broken, broken}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(2 * time.Minute)
		w.is(id, post.Unconfirmed, "look_failed")
		if d := w.get(id); d.Doubt.Looks != 0 || d.Doubt.Reads != 3 {
			t.Errorf("the doubt stands at %+v", d.Doubt)
		}
		w.pass(time.Hour)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestALookThatFailsBeforeTheResendSendsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutBefore}
		nothing, broken := finding{set: true}, finding{set: true, err: errors.New("unreadable")}
		w.p.finds["acme"] = []finding{nothing, nothing, nothing, broken}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(5*time.Minute + 10*time.Second)
		w.is(id, post.Scheduled, "server")
		w.said("acme-id")
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestAHandleThatProvesAbsenceSendsAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutBefore}
		w.p.finds["acme"] = []finding{{set: true, look: adapters.Look{Sight: adapters.Never}}}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(15 * time.Second)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestSeveralMatchesAreLeftToAPerson(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{cutAfter}
		w.p.finds["acme"] = []finding{{set: true, look: adapters.Look{Sight: adapters.Ambiguous}}}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(time.Hour)
		w.is(id, post.Unconfirmed, "ambiguous")
		if n := w.p.count("acme find"); n != 1 {
			t.Errorf("%d looks, want 1", n)
		}
		w.change(id, func(d *post.Delivery) error {
			return d.Resolve(post.Verdict{Published: true, Receipt: post.Receipt{RemoteID: "r1"}}, w.now())
		})
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestALookThatHangsNeitherSpinsNorDelaysOthers(t *testing.T) {
	one, two := account("one", post.Brand), account("two", post.Brand)
	inWorld(t, func(w *world) {
		w.p.script["one"] = []behaviour{cutAfter}
		w.wrap = func(handle string, a adapters.Adapter) adapters.Adapter {
			if handle == "one" {
				return blind{a.(*voice)}
			}
			return a
		}
		w.start()
		id := w.send("one", "lost", time.Second)
		w.send("two", "fine", 20*time.Second)
		w.pass(20*time.Second + 50*time.Millisecond)
		w.said("two-id", "fine")
		w.pass(25 * time.Second)
		w.is(id, post.Unconfirmed, "look_failed")
	}, one, two)
}
