package scheduler_test

import (
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/post"
)

// withBoot gives the world a boot clock, and tells how to let the machine sleep.
func (w *world) withBoot() *atomic.Int64 {
	var asleep atomic.Int64
	w.boot = func() time.Duration { return time.Since(w.began) + time.Duration(asleep.Load()) }
	return &asleep
}

func TestAStepOfTheClockStopsClaimsForAMinute(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"forward": 2 * time.Minute, "back": -2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.withBoot()
				w.startWithChores(nil)
				w.pass(10 * time.Second)
				w.skew.Store(int64(step))
				w.pass(2 * time.Second)
				id := w.send("acme", "one", time.Second)
				w.pass(50 * time.Second)
				w.is(id, post.Scheduled)
				w.said("acme-id")
				if w.s.Status(nil).Halted == "" {
					t.Error("the status does not say that nothing is claimed")
				}
				w.pass(10 * time.Second)
				w.is(id, post.Published)
				if h := w.s.Status(nil).Halted; h != "" {
					t.Errorf("it still says %q", h)
				}
			})
		})
	}
}

func TestASmallStepIsNoJump(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.build()
		c := w.s.NewClock()
		w.skew.Store(int64(5 * time.Second))
		if got := c.Beat(w.t.Context()); got != 0 {
			t.Errorf("a step of 5 s was told as %s", got)
		}
		w.skew.Add(int64(-5*time.Second - time.Millisecond))
		if got := c.Beat(w.t.Context()); got != -5*time.Second-time.Millisecond {
			t.Errorf("a step of -5.001 s was told as %s", got)
		}
	})
}

func TestASleepOfTheMachineIsNoJump(t *testing.T) {
	a := account("acme", post.Brand)
	a.MaxLate = 2 * time.Hour
	inWorld(t, func(w *world) {
		asleep := w.withBoot()
		w.startWithChores(nil)
		id := w.send("acme", "one", 30*time.Minute)
		w.pass(10 * time.Second)
		asleep.Store(int64(time.Hour))
		w.skew.Store(int64(time.Hour))
		w.pass(2 * time.Second)
		w.is(id, post.Published)
	}, a)
}

func TestAPlatformsDateMakesTheClockTrusted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, after time.Duration // our clock against the platform's
		trusted       bool
	}{
		"a clock that was set right":      {-time.Hour, 0, true},
		"a clock that was set wrong":      {0, time.Hour, false},
		"a clock that was set back wrong": {0, -time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.withBoot()
				w.skew.Store(int64(tc.before))
				w.wrap = as(func(v *voice) dated { return dated{v} })
				w.startWithChores(nil)
				w.pass(15 * time.Second)
				w.skew.Store(int64(tc.after))
				w.pass(2 * time.Second)
				if w.s.Status(nil).Halted == "" {
					t.Error("the jump was not noticed")
				}
				w.pass(20 * time.Second)
				if got := w.s.Status(nil).Halted == ""; got != tc.trusted {
					t.Errorf("trusted after 20 s: %v, want %v", got, tc.trusted)
				}
			})
		})
	}
}

func TestAnAnswerFromBeforeTheJumpIsNoWitness(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.wrap = as(func(v *voice) lingering { return lingering{v} })
		w.startWithChores(nil)
		id := w.send("acme", "one", 10*time.Second)
		w.pass(12 * time.Second)
		w.skew.Store(int64(time.Hour))
		w.pass(5 * time.Second)
		w.is(id, post.Published)
		if w.s.Status(nil).Halted == "" {
			t.Error("the Date of an answer from before the jump made the clock trusted")
		}
	})
}

func TestWithoutABootClockNothingIsSuspected(t *testing.T) {
	inWorld(t, func(w *world) {
		w.startWithChores(nil)
		id := w.send("acme", "one", 10*time.Minute)
		w.pass(time.Second)
		w.skew.Store(int64(10 * time.Minute))
		w.pass(2 * time.Second)
		w.is(id, post.Published)
	})
}
