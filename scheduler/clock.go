package scheduler

import (
	"context"
	"net/http"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

// The bounds of trusting the wall clock.
const (
	// clockJump is how far the wall clock may move against the boot clock before nothing is claimed.
	clockJump = 5 * time.Second
	// clockDistrust is how long claims wait at most after a jump, by the boot clock.
	clockDistrust = time.Minute
)

// suspicion is a jump of the wall clock that nobody has confirmed yet.
type suspicion struct {
	since time.Duration // on the boot clock
	wall  time.Time     // when it was noticed, by the clock after the jump
	by    time.Duration
}

// setback is a step of the wall clock back: what it had shown up to before may have been by too late.
type setback struct {
	before time.Time
	by     time.Duration
}

// maxSetbacks bounds what is remembered of a clock that keeps jumping; the oldest are forgotten.
const maxSetbacks = 64

// forgotten is how far back a look goes for an attempt that, by our clock, lies ahead: the clock was set back while
// nobody here was watching it, nobody knows by how much.
const forgotten = 24 * time.Hour

// Clock compares the wall clock with the boot clock. Make it with the scheduler's heartbeat.
type Clock struct {
	s    *Scheduler
	wall time.Time
	boot time.Duration
}

// NewClock starts comparing. It is used by one goroutine.
func (s *Scheduler) NewClock() *Clock {
	c := &Clock{s: s, wall: s.cfg.Now().Round(0)}
	if s.cfg.Boot != nil {
		c.boot = s.cfg.Boot()
	}
	return c
}

// Beat is the heartbeat: it notices a step of the wall clock and wakes the scheduler. A machine that slept has not
// stepped, since its boot clock went on. It gives the size of a step, 0 for none.
func (c *Clock) Beat(ctx context.Context) time.Duration {
	s := c.s
	defer s.Nudge()
	if s.cfg.Boot == nil {
		return 0
	}
	wall, boot := s.cfg.Now().Round(0), s.cfg.Boot()
	step := wall.Sub(c.wall) - (boot - c.boot)
	c.wall, c.boot = wall, boot
	if step.Abs() <= clockJump {
		step = 0
	} else {
		s.suspect.Store(&suspicion{since: boot, wall: wall, by: step})
		if step < 0 {
			s.setBack(setback{before: wall.Add(-step), by: -step})
		}
		s.cfg.Log.WarnContext(ctx, "the wall clock has jumped: nothing is sent until a platform agrees or a minute has passed", "by", step)
	}
	if j := s.suspect.Load(); j != nil && boot-j.since >= clockDistrust {
		s.suspect.CompareAndSwap(j, nil)
		s.cfg.Log.InfoContext(ctx, "the wall clock has been steady for a minute: sending again")
	}
	return step
}

func (s *Scheduler) setBack(b setback) {
	var all []setback
	if known := s.setbacks.Load(); known != nil {
		all = append(all, (*known)[max(0, len(*known)-maxSetbacks+1):]...)
	}
	all = append(all, b)
	s.setbacks.Store(&all) // the heartbeat alone writes
}

// earliest is the earliest time by today's clock that began, read off the clock as it was then, can stand for. A look
// that began later than the platform did would take what is out for absent, and it would be sent again.
func (s *Scheduler) earliest(began time.Time) time.Time {
	now := s.cfg.Now().Round(0)
	from := began
	if known := s.setbacks.Load(); known != nil {
		for _, b := range *known {
			if !began.After(b.before) {
				from = from.Add(-b.by)
			}
		}
	}
	if from.After(now) {
		from = now.Add(-forgotten)
	}
	return from
}

// suspended reports whether claims wait for the clock to be trusted again.
func (s *Scheduler) suspended() bool {
	j := s.suspect.Load()
	if j == nil {
		return false
	}
	s.halt("the wall clock has jumped by " + j.by.String())
	return true
}

// trustClock takes a platform's own time as a witness for the wall clock.
func (s *Scheduler) trustClock(f *adapters.Flight) {
	j := s.suspect.Load()
	if j == nil {
		return
	}
	for _, c := range f.Calls() {
		if c.Ended.Before(j.wall) {
			continue // read off the clock before the jump
		}
		date, err := http.ParseTime(c.Header.Get("Date"))
		if err == nil && date.Sub(c.Ended).Abs() <= clockJump {
			s.suspect.CompareAndSwap(j, nil)
			s.Nudge()
			return
		}
	}
}

// Witness asks one platform for anything, so that its Date can speak for the wall clock. It does nothing while the
// clock is trusted.
func (s *Scheduler) Witness(ctx context.Context) {
	if s.suspect.Load() == nil {
		return
	}
	for key, l := range s.outlets {
		if _, ok := adapters.As[adapters.Verifier](l.adapter); ok && s.Verify(ctx, key) == nil {
			return
		}
		if ctx.Err() != nil || s.suspect.Load() == nil {
			return
		}
	}
}

// Outlets lists the accounts that the scheduler speaks for.
func (s *Scheduler) Outlets() []post.AccountKey {
	keys := make([]post.AccountKey, 0, len(s.outlets))
	for k := range s.outlets {
		keys = append(keys, k)
	}
	return keys
}
