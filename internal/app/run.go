package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"crier/internal/post"
	"crier/scheduler"
)

// Run serves and sends until ctx ends, then goes down in order: not ready, cron, claims, what is in flight, HTTP, the
// store. It returns the first error that ended it, or nil.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	// A series catches up with at most its latest run: said before the first turn.
	if err := a.planner.CatchUp(ctx); err != nil {
		return fmt.Errorf("catching up: %w", err)
	}
	main, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	local, err := a.listenLocal(ctx)
	if err != nil {
		return errors.Join(err, main.Close())
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	public, private := a.server(a.handler), a.server(a.localHandler())
	served := make(chan error, 2)
	go func() { served <- public.Serve(main) }()
	go func() { served <- private.Serve(local) }()

	clock, err := scheduler.NewClockwork(ctx, a.chores(), a.opts.Log)
	if err != nil {
		cancel(err)
		return errors.Join(err, public.Close(), private.Close())
	}
	clock.Start()
	sent := make(chan error, 1)
	go func() { sent <- a.sched.Run(ctx) }()
	a.opts.Log.InfoContext(ctx, "Crier is ready", "address", main.Addr().String(), "version", a.opts.Version, "accounts", len(a.all))
	a.opts.Ready(main.Addr())

	var ended error
	finished := false
	select {
	case <-ctx.Done():
	case err := <-served:
		ended = fmt.Errorf("serving: %w", err)
	case err := <-sent:
		ended, finished = err, true
	}
	a.opts.Log.InfoContext(ctx, "Crier is going down")
	cancel(errGoingDown)
	down, stop := context.WithTimeout(context.WithoutCancel(ctx), a.opts.Grace+10*time.Second)
	defer stop()
	errs := []error{ended, clock.Stop(down)}
	if !finished {
		errs = append(errs, <-sent)
	}
	quick, done := context.WithTimeout(down, 5*time.Second)
	defer done()
	if public.Shutdown(quick) != nil {
		errs = append(errs, public.Close())
	}
	if private.Shutdown(quick) != nil {
		errs = append(errs, private.Close())
	}
	return errors.Join(errs...)
}

var errGoingDown = errors.New("going down")

// server bounds what a slow or hostile client can hold on to. Bodies and answers have bounds of their own, per route.
func (a *App) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// listenLocal opens the socket in the data folder, which only the daemon's own user can reach. A socket that an
// earlier daemon left is in nobody's use, since the store's lock is ours.
func (a *App) listenLocal(ctx context.Context) (net.Listener, error) {
	path := filepath.Join(a.cfg.DataDir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the local socket: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("the local socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("the local socket: %w", err), l.Close())
	}
	return l, nil
}

// The upkeep's times.
const (
	keepChanges = 90 * 24 * time.Hour
	keepBackups = 7
)

// chores is everything that cron runs.
func (a *App) chores() []scheduler.Chore {
	return append(a.sched.Chores(a.planner),
		scheduler.Chore{Name: "note", Spec: "@every 30s", Run: a.store.Note},
		scheduler.Chore{Name: "prune", Spec: "17 3 * * *", Run: func(ctx context.Context) error {
			now := post.Instant(a.opts.Now())
			return a.store.Prune(ctx, now, now.Add(-keepChanges))
		}},
		scheduler.Chore{Name: "backup", Spec: "42 3 * * *", Run: a.nightly},
	)
}

// nightly makes a checked copy in the data folder and keeps a week of them.
func (a *App) nightly(ctx context.Context) error {
	dir := filepath.Join(a.cfg.DataDir, "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of backups: %w", err)
	}
	name := filepath.Join(dir, "crier-"+a.opts.Now().UTC().Format("20060102-150405")+".db")
	if err := a.store.Backup(ctx, name); err != nil {
		return fmt.Errorf("nightly backup: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "crier-*.db"))
	if err != nil {
		return fmt.Errorf("listing the backups: %w", err)
	}
	for len(old) > keepBackups { // Glob sorts, and the names sort by time
		if err := os.Remove(old[0]); err != nil {
			return fmt.Errorf("dropping an old backup: %w", err)
		}
		old = old[1:]
	}
	return nil
}
