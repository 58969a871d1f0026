package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"crier/scheduler"
)

// lines collects a log; it is safe for concurrent use.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func runClockwork(t *testing.T, ctx context.Context, out *lines, chores ...scheduler.Chore) *scheduler.Clockwork { //nolint:revive // t first, as everywhere
	t.Helper()
	c, err := scheduler.NewClockwork(ctx, chores, slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	return c
}

func TestAChoreThatPanicsRunsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		var out lines
		c := runClockwork(t, t.Context(), &out, scheduler.Chore{Name: "fragile", Spec: "@every 1s", Run: func(context.Context) error {
			if runs.Add(1) == 2 {
				return errors.New("no luck")
			}
			panic("broken")
		}})
		time.Sleep(3*time.Second + 500*time.Millisecond)
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs in 3.5 s, want 3", n)
		}
		if log := out.String(); strings.Count(log, "panic=broken") != 2 || !strings.Contains(log, "no luck") {
			t.Errorf("the log says %s", log)
		}
	})
}

func TestAChoreThatStillRunsIsSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs, at, most atomic.Int64
		var out lines
		c := runClockwork(t, t.Context(), &out, scheduler.Chore{Name: "slow", Spec: "@every 1s", Run: func(context.Context) error {
			runs.Add(1)
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(2500 * time.Millisecond)
			at.Add(-1)
			return nil
		}})
		time.Sleep(10 * time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if runs.Load() < 3 || runs.Load() > 4 || most.Load() != 1 {
			t.Errorf("%d runs, %d at a time", runs.Load(), most.Load())
		}
	})
}

func TestAClockworkThatIsStoppedWaitsForItsChores(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out lines
		var ended atomic.Bool
		c := runClockwork(t, t.Context(), &out, scheduler.Chore{Name: "slow", Spec: "@every 1s", Run: func(context.Context) error {
			time.Sleep(5 * time.Second)
			ended.Store(true)
			return nil
		}})
		time.Sleep(1500 * time.Millisecond)
		hurry, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Stop(hurry); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop in a hurry: %v", err)
		}
		if err := c.Stop(t.Context()); err != nil || !ended.Load() {
			t.Errorf("Stop: %v, ended %v", err, ended.Load())
		}
	})
}

func TestAfterItsContextAClockworkRunsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		var out lines
		ctx, cancel := context.WithCancel(t.Context())
		c := runClockwork(t, ctx, &out, scheduler.Chore{Name: "any", Spec: "@every 1s", Run: func(context.Context) error {
			runs.Add(1)
			return nil
		}})
		time.Sleep(1500 * time.Millisecond)
		cancel()
		time.Sleep(5 * time.Second)
		if err := c.Stop(t.Context()); err != nil || runs.Load() != 1 {
			t.Errorf("%d runs, %v", runs.Load(), err)
		}
	})
}

func TestASpecThatCronCannotReadIsRefused(t *testing.T) {
	t.Parallel()
	_, err := scheduler.NewClockwork(t.Context(), []scheduler.Chore{{Name: "odd", Spec: "often"}}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "odd") {
		t.Errorf("the error is %v", err)
	}
}
