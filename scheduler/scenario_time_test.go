package scheduler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/internal/post"
)

// The scenarios of time: the clock steps, the machine sleeps or is off.

// times gives when an identity's posts went out, since the world began, by the true time.
func (w *world) times(by string) []time.Duration {
	var at []time.Duration
	for _, s := range w.p.out() {
		if s.By == by {
			at = append(at, s.At.Truncate(time.Second))
		}
	}
	return at
}

// spread sends a post at each of the minutes from now on, named after its minute.
func (w *world) spread(handle string, minutes ...int) map[int]post.ID {
	w.t.Helper()
	ids := map[int]post.ID{}
	for _, m := range minutes {
		ids[m] = w.send(handle, fmt.Sprint(m), time.Duration(m)*time.Minute)
	}
	return ids
}

func TestTheWallClockAnHourForward(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.startWithChores(nil)
		ids := w.spread("acme", 10, 30, 65, 75, 180)
		w.pass(20*time.Minute + 500*time.Millisecond)
		w.said("acme-id", "10")
		w.skew.Store(int64(time.Hour)) // it is minute 80 by the wall clock
		w.pass(30 * time.Second)
		w.said("acme-id", "10") // nothing leaves while nobody vouches for the clock
		w.pass(2 * time.Minute)
		// Late by 50 minutes is too late, by 15 and by 5 it is not.
		w.is(ids[30], post.Missed, "too_late")
		w.is(ids[65], post.Missed, "too_late") // with the minute of distrust it was late by more than 15
		w.is(ids[75], post.Published)
		w.is(ids[180], post.Scheduled)
		w.pass(2 * time.Hour)
		w.said("acme-id", "10", "75", "180")
		if at := w.times("acme-id"); at[2] != 120*time.Minute {
			t.Errorf("what was due three hours after the start by the wall clock went out after %s", at[2])
		}
	})
}

func TestTheWallClockAnHourBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.p.script["acme"] = []behaviour{accept, limited}
		w.startWithChores(nil)
		ids := w.spread("acme", 10, 19, 30)
		w.pass(20*time.Minute + 500*time.Millisecond)
		w.said("acme-id", "10")
		w.is(ids[19], post.Scheduled, "rate_limit")
		w.skew.Store(-int64(time.Hour)) // it is minute -40 by the wall clock
		w.pass(59 * time.Minute)
		w.said("acme-id", "10") // nothing goes out again, and nothing before its time
		w.is(ids[10], post.Published)
		w.pass(3 * time.Hour)
		w.said("acme-id", "10", "19", "30")
		// Each goes out when its time comes again, the one that the platform put off ten minutes after it.
		if at := w.times("acme-id"); at[1] < 79*time.Minute || at[1] > 89*time.Minute+10*time.Second || at[2] != 90*time.Minute {
			t.Errorf("they went out after %v", at)
		}
	})
}

// TestAClockThatWasAheadHidesNothingFromALook has a post go out, its answer lost, while the clock is five hours ahead;
// the clock is set right before anybody looks.
func TestAClockThatWasAheadHidesNothingFromALook(t *testing.T) { //nolint:tparallel // inWorld makes each case parallel
	t.Parallel()
	tests := map[string]struct {
		unseen int // looks that do not show it yet
		ask    bool
		// between is what happens while the clock is still ahead, the answer lost.
		between func(*world)
	}{
		"in one life":                 {},
		"in the look before a resend": {unseen: 3},
		"when a person says resend":   {unseen: 3, ask: true},
		"after a restart": {between: func(w *world) {
			w.end()
			w.startWithChores(nil)
		}},
		"after a restart with the clock set right": {between: func(w *world) {
			w.end()
			w.skew.Store(0)
			w.pass(8 * time.Hour) // by now the attempt no longer lies ahead
			w.startWithChores(nil)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := account("acme", post.Brand)
			if tt.ask {
				a.WhenNotSeen = post.Ask
			}
			inWorld(t, func(w *world) {
				w.withBoot()
				w.wrap = as(func(v *voice) dated { return dated{v} })
				w.p.script["acme"] = []behaviour{cutAfter}
				w.p.finds["acme"] = slices.Repeat([]finding{{set: true}}, tt.unseen)
				w.skew.Store(int64(5 * time.Hour))
				w.startWithChores(nil)
				id := w.send("acme", "one", 5*time.Second)
				w.pass(8 * time.Second)
				w.is(id, post.Unconfirmed)
				if tt.between != nil {
					tt.between(w)
				}
				w.skew.Store(0)
				w.pass(7 * time.Hour)
				if tt.ask {
					w.is(id, post.Unconfirmed, "not_seen")
					w.change(id, func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, w.now()) })
					w.pass(time.Hour)
				}
				w.is(id, post.Published)
				w.said("acme-id", "one")
			}, a)
		})
	}
}

// TestAClockThatWasAheadWhenTheDaemonDiedHidesNothing finds a post whose process died with the request under way, five
// hours ahead, whether the attempt lies ahead or behind by the clock that is right again.
func TestAClockThatWasAheadWhenTheDaemonDiedHidesNothing(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"at once": time.Minute, "after hours": 8 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.withBoot()
				w.wrap = as(func(v *voice) dated { return dated{v} })
				w.p.script["acme"] = []behaviour{slow}
				w.skew.Store(int64(5 * time.Hour))
				w.startWithChores(nil)
				id := w.send("acme", "one", 5*time.Second)
				w.pass(6 * time.Second)
				w.is(id, post.Sending)
				w.store.failing.Store(true) // no result reaches the disk any more
				w.end()
				w.ok(w.store.Close())
				w.skew.Store(0)
				w.pass(off)
				w.open()
				w.startWithChores(nil)
				w.pass(7 * time.Hour)
				w.is(id, post.Published)
				w.said("acme-id", "one")
			})
		})
	}
}

// TestAClockThatIsBehindBorrowsNothingFromYesterday has an answer lost of a post that never came, an hour behind, while
// somebody said the same by hand five hours ago.
func TestAClockThatIsBehindBorrowsNothingFromYesterday(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.wrap = as(func(v *voice) dated { return dated{v} })
		w.p.byHand("acme", "one")
		w.pass(5 * time.Hour)
		w.skew.Store(-int64(time.Hour))
		w.p.script["acme"] = []behaviour{cutBefore}
		w.startWithChores(nil)
		id := w.send("acme", "one", 5*time.Second)
		w.pass(time.Hour)
		w.is(id, post.Published)
		w.said("acme-id", "one", "one")
	})
}

// TestWhatIsDueBeforeAPlatformHasSaidItsTimeWaitsForIt has the daemon start five hours ahead with a post due and die
// over its first request.
func TestWhatIsDueBeforeAPlatformHasSaidItsTimeWaitsForIt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.wrap = as(func(v *voice) dated { return dated{v} })
		w.p.script["acme"] = []behaviour{slow}
		w.skew.Store(int64(5 * time.Hour))
		id := w.send("acme", "one", 0)
		w.startWithChores(nil)
		w.pass(time.Second)
		w.is(id, post.Sending)
		w.store.failing.Store(true)
		w.end()
		w.ok(w.store.Close())
		w.skew.Store(0)
		w.pass(8 * time.Hour)
		w.open()
		w.startWithChores(nil)
		w.pass(time.Hour)
		w.is(id, post.Published)
		w.said("acme-id", "one")
	})
}

func TestAStepBackStretchesNoHoldOfThePlatform(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withBoot()
		w.p.script["acme"] = []behaviour{limited}
		a := w.send("acme", "one", time.Second)
		w.startWithChores(nil)
		w.pass(10 * time.Second)
		w.is(a, post.Scheduled, "rate_limit")
		w.skew.Store(-int64(time.Hour))
		w.pass(15 * time.Minute)
		if got := w.status("acme"); got != post.StatusOK {
			t.Errorf("after a quarter of an hour a limit of ten minutes still holds the account: %s", got)
		}
	})
}

func TestAMachineThatSleptForHoursSendsNoStorm(t *testing.T) {
	a := account("acme", post.Brand)
	a.MinGap, a.MaxLate = time.Minute, time.Hour
	inWorld(t, func(w *world) {
		asleep := w.withBoot()
		w.startWithChores(nil)
		ids := w.spread("acme", 10, 20, 30, 90, 125, 130, 140, 150, 160, 170, 300)
		w.pass(15 * time.Minute)
		asleep.Store(int64(165 * time.Minute)) // until minute 180
		w.skew.Store(int64(165 * time.Minute))
		w.pass(2 * time.Second)
		if h := w.s.Status(nil).Halted; h != "" {
			t.Errorf("a sleep is taken for a jump of the clock: %s", h)
		}
		w.pass(10 * time.Minute)
		for _, m := range []int{20, 30, 90} {
			w.is(ids[m], post.Missed, "too_late")
		}
		w.said("acme-id", "10", "125", "130", "140", "150", "160", "170")
		at := w.times("acme-id")
		for i := 2; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < time.Minute {
				t.Errorf("two of the backlog went out within %s: %v", gap, at)
			}
		}
		w.pass(3 * time.Hour)
		w.is(ids[300], post.Published)
	}, a)
}

// What lies behind a request that was in flight when the machine went down has waited for the machine, and not for
// that request.
func TestAMachineThatWasOffWithARequestInFlightSendsNothingTooLate(t *testing.T) {
	t.Parallel()
	for name, sleeps := range map[string]bool{"off": false, "asleep": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				asleep := w.withBoot()
				w.p.script["acme"] = []behaviour{slow}
				w.startWithChores(nil)
				first := w.send("acme", "one", time.Second)
				next := w.send("acme", "two", time.Minute)
				w.pass(2 * time.Second)
				w.is(first, post.Sending)
				if sleeps {
					asleep.Store(int64(3 * time.Hour))
					w.skew.Store(int64(3 * time.Hour))
				} else {
					w.store.failing.Store(true) // as after a power cut: no result reaches the disk any more
					w.end()
					w.ok(w.store.Close())
					w.pass(3 * time.Hour)
					w.open()
					w.startWithChores(nil)
				}
				w.pass(20 * time.Minute)
				w.is(first, post.Published)
				w.is(next, post.Missed, "too_late")
				w.said("acme-id", "one")
			})
		})
	}
}

func TestALeapDayAndTheTurnOfTheYearFireOnce(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]time.Time{
		"29 February 2028":        time.Date(2028, time.February, 27, 12, 0, 0, 0, time.UTC),
		"the turn of 2027":        time.Date(2027, time.December, 30, 12, 0, 0, 0, time.UTC),
		"the turn of a leap year": time.Date(2028, time.December, 30, 12, 0, 0, 0, time.UTC),
		"28 February 2100":        time.Date(2100, time.February, 26, 12, 0, 0, 0, time.UTC),
		"the turn of 2108":        time.Date(2108, time.December, 30, 12, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.skew.Store(int64(from.Sub(w.began)))
				s := w.series("", "once", "a", "b", "c", "d")
				s.Cron, s.Start = "30 9 * * *", ""
				_, err := w.store.EditSeries(w.t.Context(), w.by(), s, s.Version)
				w.ok(err)
				w.start()
				for range 100 {
					w.ok(w.planner().Plan(w.t.Context()))
					w.s.Nudge()
					w.pass(time.Hour)
				}
				w.said("acme-id", "a", "b", "c", "d")
				var want []string
				for day := range 4 {
					want = append(want, from.AddDate(0, 0, day+1).Format(time.DateOnly)+" 09:30")
				}
				var got []string
				for _, at := range w.times("acme-id") {
					got = append(got, from.Add(at).Format(time.DateOnly+" 15:04"))
				}
				if !slices.Equal(got, want) {
					t.Errorf("it ran at %s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
				}
			})
		})
	}
}
