package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"
)

// Chore is a piece of upkeep that cron runs: it writes rows or nudges, and never publishes.
type Chore struct {
	Name string
	// Spec is a cron expression in UTC, or @every with a duration of whole seconds.
	Spec string
	Run  func(context.Context) error
}

// Clockwork runs chores by cron. Cron's goroutines are unlimited and unguarded by default, so every chore is wrapped:
// one run at a time, a panic ends the run and not the program.
type Clockwork struct {
	cron *cron.Cron
}

// NewClockwork makes a clockwork whose chores get ctx. It starts nothing.
func NewClockwork(ctx context.Context, chores []Chore, log *slog.Logger) (*Clockwork, error) {
	// SkipIfStillRunning must stand outside Recover: a panic inside it would lose its token, and the chore would
	// never run again (robfig/cron#366).
	quiet := cron.DiscardLogger
	c := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(quiet), cron.WithChain(cron.SkipIfStillRunning(quiet)))
	for _, chore := range chores {
		job := func() {
			if ctx.Err() != nil {
				return
			}
			defer func() {
				if p := recover(); p != nil {
					log.ErrorContext(ctx, "a chore broke down", "chore", chore.Name, "panic", fmt.Sprint(p))
				}
			}()
			if err := chore.Run(ctx); err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "a chore ended with an error", "chore", chore.Name, "error", err)
			}
		}
		if _, err := c.AddFunc(chore.Spec, job); err != nil {
			return nil, fmt.Errorf("chore %s: %w", chore.Name, err)
		}
	}
	return &Clockwork{cron: c}, nil
}

// Start starts the clock. Stop ends it and waits for the chores that are running, until ctx ends.
func (c *Clockwork) Start() { c.cron.Start() }

// Stop ends the clock and waits for running chores, until ctx ends.
func (c *Clockwork) Stop(ctx context.Context) error {
	select {
	case <-c.cron.Stop().Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for chores: %w", ctx.Err())
	}
}

// Chores is the scheduler's own upkeep: the heartbeat, leases that ended, accounts whose tokens were refused, and the
// planner of recurring posts with what follows changed zone data.
func (s *Scheduler) Chores(p *Planner) []Chore {
	clock := s.NewClock()
	chores := []Chore{
		{Name: "heartbeat", Spec: "@every 1s", Run: func(ctx context.Context) error {
			if clock.Beat(ctx) != 0 && p != nil {
				return p.CatchUp(ctx)
			}
			return nil
		}},
		{Name: "leases", Spec: "@every 10s", Run: func(ctx context.Context) error {
			s.Witness(ctx)
			n, err := s.Expire(ctx)
			if n > 0 {
				s.cfg.Log.WarnContext(ctx, "leases ended without a result: looking for what was sent", "count", n)
			}
			return err
		}},
		{Name: "identities", Spec: "@every 30s", Run: func(ctx context.Context) error {
			s.Heal(ctx)
			return nil
		}},
	}
	if p != nil {
		chores = append(chores,
			Chore{Name: "planner", Spec: "@every 1m", Run: p.Plan},
			Chore{Name: "zones", Spec: "@every " + rezoneEvery.String(), Run: p.Rezone},
		)
	}
	return chores
}
