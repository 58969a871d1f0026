package app_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/config"
	"crier/scheduler"
)

// interruptedQueue is told to end while it recovers what was in flight.
type interruptedQueue struct {
	scheduler.Store

	end context.CancelFunc
}

func (q interruptedQueue) Recover(ctx context.Context, _ time.Time, _ string) (int, error) {
	q.end()
	<-ctx.Done()
	return 0, ctx.Err()
}

// TestServingIsNoFailureWhenItIsToldToEndWhileItOpens ends the daemon before its data folder is open.
func TestServingIsNoFailureWhenItIsToldToEndWhileItOpens(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	end()
	path := writeConfig(t, t.TempDir(), "http://127.0.0.1:9", "")
	if err := app.Serve(ctx, app.ServeOptions{ConfigPath: path, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestADaemonThatIsToldToEndWhileItStartsHasNotFailed ends it before it begins, while it recovers, and once it serves.
func TestADaemonThatIsToldToEndWhileItStartsHasNotFailed(t *testing.T) {
	t.Parallel()
	for name, hurry := range map[string]func(end context.CancelFunc, o *app.Options){
		"before it begins": func(end context.CancelFunc, _ *app.Options) { end() },
		"while it recovers": func(end context.CancelFunc, o *app.Options) {
			o.Queue = func(s scheduler.Store) scheduler.Store { return interruptedQueue{s, end} }
		},
		"once it serves": func(end context.CancelFunc, o *app.Options) { o.Ready = func(net.Addr) { end() } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, err := config.Load(writeConfig(t, t.TempDir(), "http://127.0.0.1:9", ""))
			if err != nil {
				t.Fatal(err)
			}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			o := app.Options{Config: c, Grace: time.Second}
			hurry(end, &o)
			a, err := app.New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Run(ctx); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
