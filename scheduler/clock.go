package scheduler

import (
	"context"
	"net/http"
	"slices"
	"sync"
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

// forgotten is how far back a look goes for an attempt that, by our clock, lies ahead: the clock was set back before
// any platform had said what time it is, nobody knows by how much.
const forgotten = 24 * time.Hour

// apart is how far a claim's own idea of the platform's time may be from what the platform says before anything is
// sent. It is well below what the adapters' looks allow for.
const apart = 30 * time.Second

// theirs is what a platform's clock showed when our clocks showed that. From the boot clock follows what it shows now,
// whatever becomes of our wall clock; it was read a little after the platform had written its date, so that what follows
// is never later than the platform's own time by more than clocks drift.
type theirs struct {
	date, wall time.Time
	boot       time.Duration
}

// dates is the time by the platforms' own clocks. The zero value knows none.
type dates struct {
	mu sync.Mutex
	by map[post.Platform]theirs
}

func (d *dates) set(p post.Platform, t theirs) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = make(map[post.Platform]theirs)
	}
	d.by[p] = t
}

// at gives each platform's time at an instant of our clocks. Without a boot clock it goes by the wall clock.
func (d *dates) at(wall time.Time, boot func() time.Duration) map[post.Platform]time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[post.Platform]time.Time, len(d.by))
	for p, t := range d.by {
		all[p] = t.at(wall, boot)
	}
	return all
}

// of gives one platform's time, as at does, and reports whether it is known.
func (d *dates) of(p post.Platform, wall time.Time, boot func() time.Duration) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.by[p]
	if !ok {
		return time.Time{}, false
	}
	return t.at(wall, boot), true
}

func (t theirs) at(wall time.Time, boot func() time.Duration) time.Time {
	if boot != nil {
		return t.date.Add(boot() - t.boot)
	}
	return t.date.Add(wall.Sub(t.wall))
}

// platformTimes is now by the clocks of the platforms that have said what they show.
func (s *Scheduler) platformTimes(now time.Time) map[post.Platform]time.Time {
	return s.dates.at(now.Round(0), s.cfg.Boot)
}

// platformTime is now by the clock of one platform, if it has said what that shows.
func (s *Scheduler) platformTime(p post.Platform, now time.Time) (time.Time, bool) {
	return s.dates.of(p, now.Round(0), s.cfg.Boot)
}

// lookFrom is where a look for an attempt begins that began, by the platform's clock, then.
func (s *Scheduler) lookFrom(p post.Platform, began time.Time) time.Time {
	now := s.cfg.Now()
	if theirs, ok := s.platformTime(p, now); ok && theirs.After(now) {
		now = theirs // ours is behind, and the attempt is not ahead of it for that
	}
	if began.After(now.Add(apart)) {
		return now.Add(-forgotten)
	}
	return began
}

// hear takes from a flight what time the platform says it is: for looks, and as a witness for our wall clock.
func (s *Scheduler) hear(p post.Platform, f *adapters.Flight) {
	calls := f.Calls()
	for _, c := range slices.Backward(calls) {
		date, err := http.ParseTime(c.Header.Get("Date"))
		if err != nil {
			continue
		}
		t := theirs{date: date.UTC(), wall: s.cfg.Now().Round(0)}
		if s.cfg.Boot != nil {
			t.boot = s.cfg.Boot()
		}
		s.dates.set(p, t)
		break
	}
	s.trustClock(calls)
}

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
		s.cfg.Log.WarnContext(ctx, "the wall clock has jumped: nothing is sent until a platform agrees or a minute has passed", "by", step)
	}
	if j := s.suspect.Load(); j != nil && boot-j.since >= clockDistrust {
		s.suspect.CompareAndSwap(j, nil)
		s.cfg.Log.InfoContext(ctx, "the wall clock has been steady for a minute: sending again")
	}
	return step
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
func (s *Scheduler) trustClock(calls []adapters.Call) {
	j := s.suspect.Load()
	if j == nil {
		return
	}
	for _, c := range calls {
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
