package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"crier/internal/post"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// Run serves and sends until ctx ends, then goes down in order: not ready, cron, claims, what is in flight, those who
// wait for a post, HTTP, the store. It returns the first error that ended it, or nil; being told to end while it starts is
// none.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	told := ctx
	if err := a.planner.Begin(ctx); err != nil {
		return unlessTold(told, fmt.Errorf("planning: %w", err))
	}
	main, err := a.opts.Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return unlessTold(told, fmt.Errorf("listening: %w", err))
	}
	local, err := a.listenLocal(ctx)
	if err != nil {
		return errors.Join(unlessTold(told, err), main.Close())
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limits := a.opts.HTTP.withDefaults()
	outer := newDoor(main, limits.Connections)
	public, private := server(limits, a.handler), server(limits, a.localHandler())
	public.ConnState = outer.state
	served := make(chan error, 2)
	go func() { served <- public.Serve(outer) }()
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
		ended, finished = unlessTold(told, err), true
	}
	a.opts.Log.InfoContext(ctx, "Crier is going down")
	a.goingDown.Store(true)
	cancel(errGoingDown)
	down, stop := context.WithTimeout(context.WithoutCancel(ctx), a.opts.Grace+10*time.Second)
	defer stop()
	errs := []error{ended, clock.Stop(down)}
	if !finished {
		errs = append(errs, unlessTold(told, <-sent))
	}
	a.hub.Close()
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

// unlessTold drops the error of a start that was cut short because ctx has ended: who is told to end has not failed.
func unlessTold(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

var errGoingDown = errors.New("going down")

// listenLocal opens the socket in the data folder, which only the daemon's own user can reach. A socket that an
// earlier daemon left is in nobody's use, since the store's lock is ours.
func (a *App) listenLocal(ctx context.Context) (net.Listener, error) {
	path := filepath.Join(a.cfg.DataDir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the local socket: %w", err)
	}
	l, err := a.opts.Listen(ctx, "unix", path)
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
	// keepUnknown is how long a file stays that nothing is known of: an upload that a kill cut off before it was written
	// down, or one that a newer backup of the store may still know.
	keepUnknown = 30 * 24 * time.Hour
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
		scheduler.Chore{Name: "files", Spec: "12 4 * * *", Run: a.sweepFiles},
	)
}

// sweepFiles removes the files that nothing has been known of for long.
func (a *App) sweepFiles(ctx context.Context) error {
	n, err := a.files.Sweep(ctx, a.opts.Now().Add(-keepUnknown), func(id string) (bool, error) {
		_, err := a.store.MediaByID(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	})
	if n > 0 {
		a.opts.Log.WarnContext(ctx, "files were removed that nothing was known of", "count", n)
	}
	if err != nil {
		return fmt.Errorf("sweeping the files: %w", err)
	}
	return nil
}

// nightly makes a copy in the data folder that was read to the last record, and keeps a week of them.
func (a *App) nightly(ctx context.Context) error {
	dir := filepath.Join(a.cfg.DataDir, "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of backups: %w", err)
	}
	// What a kill left half written has nobody who would go on with it.
	unfinished, err := filepath.Glob(filepath.Join(dir, "crier-*.db.tmp"))
	if err != nil {
		return fmt.Errorf("listing the backups: %w", err)
	}
	for _, f := range unfinished {
		if err := os.Remove(f); err != nil {
			return fmt.Errorf("dropping an unfinished backup: %w", err)
		}
	}
	name := filepath.Join(dir, "crier-"+a.opts.Now().UTC().Format("20060102-150405")+".db")
	if err := a.store.Backup(ctx, name); err != nil {
		return fmt.Errorf("nightly backup: %w", err)
	}
	// The copy is read to the last record: it is the one moment at which the whole store is looked at while Crier runs.
	problems, err := bolt.Fsck(name)
	if err != nil {
		return fmt.Errorf("reading the nightly backup: %w", err)
	}
	if len(problems) > 0 {
		// It is kept apart, and takes the place of no sound one.
		if err := os.Rename(name, filepath.Join(dir, "damaged.db")); err != nil {
			return fmt.Errorf("putting a damaged backup aside: %w", err)
		}
		return fmt.Errorf("nightly backup: %w: the store does not agree with itself (%d places, first %s): stop Crier, keep the data "+
			"folder, and see crier fsck and crier restore", store.ErrCorrupt, len(problems), problems[0])
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
