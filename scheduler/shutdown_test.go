package scheduler_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

func TestAShutdownWaitsForWhatIsInFlight(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{slow}
		w.start()
		id := w.send("acme", "one", time.Second)
		next := w.send("acme", "two", time.Second+time.Millisecond)
		w.pass(1500 * time.Millisecond)
		before := time.Now()
		w.end()
		if took := time.Since(before); took > 2*time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		w.is(id, post.Published)
		w.is(next, post.Scheduled)
	})
}

func TestWhatOutlastsTheGraceIsUnconfirmedAndLookedForAtTheNextStart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{blackHole}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(2 * time.Second)
		before := time.Now()
		w.end()
		if took := time.Since(before); took < w.grace || took > w.grace+time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		w.is(id, post.Unconfirmed)
		w.ok(w.store.Close())
		w.open()
		w.start()
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestAnAdapterThatDoesNotListenCannotKeepTheShutdown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wrap = as(func(v *voice) stubborn { return stubborn{v} })
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(2 * time.Second)
		before := time.Now()
		w.end()
		if took := time.Since(before); took > w.grace+6*time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		w.is(id, post.Sending)
		w.pass(time.Minute) // it sends after all, without a gate: the next start has to find it
		w.wrap = nil
		w.start()
		w.pass(time.Minute)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestWhatIsNoCommitAndDoesNotListenCannotKeepTheShutdown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wrap  func(string, adapters.Adapter) adapters.Adapter
		after time.Duration
	}{
		"a preparation":                 {as(func(v *voice) dawdling { return dawdling{v} }), 51 * time.Minute},
		"a verification":                {as(func(v *voice) deaf { return deaf{v} }), time.Second},
		"one that a delivery waits for": {as(func(v *voice) deaf { return deaf{v} }), 50*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.wrap = tc.wrap
				id := w.write("acme", film("one"), time.Hour)
				if tc.after > 50*time.Minute {
					w.pass(50*time.Minute - time.Second)
				}
				w.start()
				w.pass(tc.after - time.Since(w.began))
				before := time.Now()
				w.end()
				if took := time.Since(before); took > w.grace+6*time.Second {
					t.Errorf("the shutdown took %s", took)
				}
				w.ok(w.store.Close())
				w.open()
				w.wrap = nil
				w.start()
				w.pass(2 * time.Hour)
				w.is(id, post.Published)
				w.said("acme-id", "one")
			})
		})
	}
}

// A process that dies leaves its intents behind. Here no result of it reaches the store any more.
func TestAfterAKillNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		what    behaviour
		commits int
	}{
		"when it was out":     {accept, 1},
		"when it was not out": {cutBefore, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.script["acme"] = []behaviour{tc.what}
				w.wrap = as(func(v *voice) hesitant { return hesitant{v} })
				w.start()
				id := w.send("acme", "one", time.Second)
				w.pass(2 * time.Second)
				w.is(id, post.Sending)
				w.store.failing.Store(true)
				w.pass(10 * time.Second)
				w.end()
				w.is(id, post.Sending)
				w.ok(w.store.Close())
				w.open()
				w.start()
				w.pass(time.Millisecond)
				w.pass(10 * time.Minute)
				w.is(id, post.Published)
				w.said("acme-id", "one")
				if n := w.p.count("acme commit"); n != tc.commits {
					t.Errorf("%d commits, want %d", n, tc.commits)
				}
			})
		})
	}
}

func TestResultsOfAShutdownAreWrittenOnceTheStoreCan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{slow}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(1500 * time.Millisecond)
		w.store.failing.Store(true)
		mend := time.AfterFunc(5*time.Second, func() { w.store.failing.Store(false) })
		defer mend.Stop()
		w.end()
		w.is(id, post.Published)
	})
}

func TestAClosedStoreEndsQuietly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.send("acme", "one", time.Minute)
		w.pass(time.Second)
		w.ok(w.store.Close())
		w.pass(10 * time.Minute)
		w.said("acme-id")
		w.end()
	})
}

func TestAnEndBeforeTheStart(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.send("acme", "one", 0)
		w.build()
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		if err := w.s.Run(ctx); err == nil {
			t.Error("a run that could not recover said nothing")
		}
		w.is(id, post.Scheduled)
	})
}

func TestStartAndStopUnderLoad(t *testing.T) {
	const rounds, each = 10, 50
	var accounts []post.Account
	for i := range 5 {
		kind := post.Kinds()[i%2]
		a := account(fmt.Sprintf("a%d", i), kind)
		a.MaxLate = 24 * time.Hour
		accounts = append(accounts, a)
	}
	inWorld(t, func(w *world) {
		w.grace = time.Second
		var all []post.ID
		faults := []behaviour{accept, cutAfter, accept, cutBefore, slow, dialFails, accept, blackHole, nameless, limited}
		for r := range rounds {
			w.start()
			w.p.set(func() {
				for i, a := range w.accounts {
					w.p.script[a.Handle] = append(w.p.script[a.Handle], faults[(r+i)%len(faults)], accept, faults[(r*3+i)%len(faults)])
				}
			})
			for i := range each {
				handle := w.accounts[i%len(w.accounts)].Handle
				all = append(all, w.send(handle, fmt.Sprintf("%d of round %d", i, r), time.Duration(i)*10*time.Millisecond))
			}
			w.pass(time.Duration(100+r*130) * time.Millisecond)
			w.end()
		}
		w.start()
		w.p.set(func() { clear(w.p.script) })
		w.pass(6 * time.Hour)
		count := map[string]int{}
		for _, s := range w.p.out() {
			count[s.Text]++
		}
		if len(count) != rounds*each {
			t.Errorf("%d texts are out, want %d", len(count), rounds*each)
		}
		for text, n := range count {
			if n != 1 {
				t.Errorf("%q is out %d times", text, n)
			}
		}
		for _, id := range all {
			w.is(id, post.Published)
		}
	}, accounts...)
}
