package scheduler_test

import (
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// What happens between the claim and the first byte of the commit stops it there.
func TestTheGateStopsACommitBeforeItsFirstByte(t *testing.T) {
	t.Parallel()
	pause := func(w *world) {
		hold := post.Hold{Reason: post.HoldPaused, Since: w.now(), By: "ann"}
		w.ok(w.store.HoldLane(w.t.Context(), w.by(), store.HoldOn{Account: w.key("acme"), Hold: hold}))
	}
	for name, tc := range map[string]struct {
		stop, resume func(w *world, id post.ID)
		meanwhile    post.State
		want         post.State
		out          int
	}{
		"a pause": {
			func(w *world, _ post.ID) { pause(w) },
			func(w *world, _ post.ID) {
				w.ok(w.store.ReleaseLane(w.t.Context(), w.by(), store.Release{Account: w.key("acme"), Late: store.LateApply, Reasons: []post.HoldReason{post.HoldPaused}}))
			},
			post.Scheduled, post.Published, 1,
		},
		"the stop switch": {
			func(w *world, _ post.ID) {
				w.ok(w.store.StopAll(w.t.Context(), w.by(), store.Stop{Hold: post.Hold{Reason: post.HoldPaused, Since: w.now()}}))
			},
			func(w *world, _ post.ID) {
				w.ok(w.store.ResumeAll(w.t.Context(), w.by(), "", "", store.LateApply))
			},
			post.Scheduled, post.Published, 1,
		},
		"a cancellation": {
			func(w *world, id post.ID) { w.change(id, (*post.Delivery).Cancel) },
			func(*world, post.ID) {},
			post.Canceled, post.Canceled, 0,
		},
		"a jump of the clock": {
			func(w *world, _ post.ID) { w.skew.Store(int64(time.Minute)) },
			func(w *world, _ post.ID) { w.pass(time.Minute) },
			post.Scheduled, post.Published, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.boot = func() time.Duration { return time.Since(w.began) }
				w.wrap = as(func(v *voice) hesitant { return hesitant{v} })
				w.startWithChores(nil)
				id := w.send("acme", "one", time.Second)
				w.pass(3 * time.Second)
				w.is(id, post.Sending)
				tc.stop(w, id)
				w.pass(10 * time.Second)
				w.is(id, tc.meanwhile)
				w.said("acme-id")
				if n := w.get(id).Attempts; n != 0 {
					t.Errorf("it counted as %d attempts", n)
				}
				tc.resume(w, id)
				w.pass(10 * time.Second)
				w.is(id, tc.want)
				if n := len(w.p.out()); n != tc.out {
					t.Errorf("%d are out, want %d", n, tc.out)
				}
			})
		})
	}
}

func TestTheStopSwitchHoldsWhatItMatches(t *testing.T) {
	brand, person := account("brand", post.Brand), account("person", post.Personal)
	inWorld(t, func(w *world) {
		w.start()
		w.ok(w.store.StopAll(w.t.Context(), w.by(), store.Stop{Kind: post.Brand, Hold: post.Hold{Since: w.now()}}))
		w.send("brand", "one", time.Second)
		w.send("person", "two", time.Second)
		w.pass(time.Minute)
		w.said("brand-id")
		w.said("person-id", "two")
		w.ok(w.store.ResumeAll(w.t.Context(), w.by(), post.Brand, "", store.LateApply))
		w.pass(time.Second)
		w.said("brand-id", "one")
	}, brand, person)
}
