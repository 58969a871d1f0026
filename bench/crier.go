package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"crier/adapters"
	"crier/internal/post"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// crierQueue is Crier's scheduler over its store, with an adapter that publishes nothing.
type crierQueue struct {
	dir      string
	store    *bolt.Store
	accounts []post.Account
	inFlight int
	done     chan struct{} // closed when the whole burst is out
	stop     context.CancelFunc
	stopped  chan error // what Run returned; nil before start
	gc       int        // the percentage before start
}

// openCrier makes an empty store below parent with so many accounts, one lane each, brand and personal in turn.
func openCrier(ctx context.Context, parent string, lanes, inFlight int) (_ queue, err error) {
	dir, err := os.MkdirTemp(parent, "crier-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a data folder: %w", err)
	}
	q := &crierQueue{dir: dir, inFlight: inFlight, done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.close(ctx))
		}
	}()
	q.store, err = bolt.Open(ctx, bolt.Options{Dir: dir, Create: true, Now: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	kinds := post.Kinds()
	for i := range lanes {
		q.accounts = append(q.accounts, post.Account{
			Handle: fmt.Sprintf("lane-%d", i), Platform: post.Twitter, Kind: kinds[i%len(kinds)], Owner: "acme",
			Mode: post.ModeAPI, Identity: fmt.Sprintf("id%d", i), TimeZone: "UTC", MaxLate: time.Hour,
			WhenNotSeen: post.Resend, Managed: "file", Looks: []time.Duration{time.Second},
		})
	}
	if err := q.store.SyncAccounts(ctx, crierWrite(), q.accounts); err != nil {
		return nil, fmt.Errorf("writing the accounts: %w", err)
	}
	return q, nil
}

func crierWrite() store.Write {
	return store.Write{Now: post.Instant(time.Now()), Actor: "bench"}
}

func (q *crierQueue) enqueue(ctx context.Context, j job) error {
	n, err := q.newPost(j)
	if err != nil {
		return err
	}
	_, err = q.store.CreatePost(ctx, crierWrite(), n)
	return err
}

func (q *crierQueue) enqueueAll(ctx context.Context, js []job) error {
	posts := make([]store.NewPost, len(js))
	for i, j := range js {
		var err error
		if posts[i], err = q.newPost(j); err != nil {
			return err
		}
	}
	_, err := q.store.CreatePosts(ctx, crierWrite(), posts)
	return err
}

// newPost is a job as a post with one delivery, on the accounts in turn.
func (q *crierQueue) newPost(j job) (store.NewPost, error) {
	var ids [3]post.ID
	for i := range ids {
		id, err := uuid.NewV7()
		if err != nil {
			return store.NewPost{}, fmt.Errorf("drawing an id: %w", err)
		}
		ids[i] = post.ID(id)
	}
	a := q.accounts[j.n%len(q.accounts)]
	c := post.Content{Text: j.text}
	p := post.Post{ID: ids[0], Author: "bench", CreatedAt: post.Instant(time.Now()), Kind: a.Kind, Content: c}
	d := post.Delivery{
		ID: ids[1], Post: p.ID, Target: ids[2], Account: a.Key(), Platform: a.Platform, State: post.Scheduled,
		Due: post.Instant(j.due), Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}}, Digest: c.Digest(),
	}
	p.Targets = []post.Target{{ID: d.Target, Account: d.Account, Platform: d.Platform, Content: c, Delivery: d.ID}}
	return store.NewPost{Post: p, Deliveries: []post.Delivery{d}, Fingerprints: []string{""}}, nil
}

func (q *crierQueue) start(ctx context.Context, c *course) error {
	outlets := make([]scheduler.Outlet, len(q.accounts))
	for i, a := range q.accounts {
		outlets[i] = scheduler.Outlet{Account: a, Adapter: silent{identity: a.Identity, course: c}}
	}
	var out atomic.Int64
	s, err := scheduler.New(scheduler.Config{
		Store: q.store, Outlets: outlets, MaxInFlight: q.inFlight, Grace: time.Second, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
		Observe: func(e scheduler.Event) {
			if e.Receipt != nil && out.Add(1) == int64(len(c.lags)) {
				close(q.done)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("making the scheduler: %w", err)
	}
	q.gc = debug.SetGCPercent(300) // as cmd/crier does
	ctx, q.stop = context.WithCancel(ctx)
	q.stopped = make(chan error, 1)
	go func() { q.stopped <- s.Run(ctx) }()
	return nil
}

func (q *crierQueue) settled(ctx context.Context, _ *course) error {
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-q.stopped:
		q.stopped <- nil // close waits for it too
		return errors.Join(errors.New("the scheduler stopped"), err)
	}
}

func (q *crierQueue) close(context.Context) error {
	var errs []error
	if q.stopped != nil {
		q.stop()
		errs = append(errs, <-q.stopped)
		debug.SetGCPercent(q.gc)
	}
	if q.store != nil {
		errs = append(errs, q.store.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(q.dir))...)
}

// silent is an adapter that publishes nothing and says at once that it did.
type silent struct {
	identity string
	course   *course
}

func (silent) Platform() post.Platform           { return post.Twitter }
func (silent) Check(post.Content) []post.Problem { return nil }

// Verify is whoever the account says: nothing is at the other end.
//
//nolint:unparam // scheduler asks for this signature
func (a silent) Verify(context.Context) (adapters.Identity, error) {
	return adapters.Identity{ID: a.identity}, nil
}

func (a silent) Publish(_ context.Context, r adapters.Request) (post.Receipt, error) {
	a.course.start()
	return post.Receipt{RemoteID: r.Delivery.String(), At: time.Now()}, nil
}

func (silent) Find(context.Context, adapters.Request, time.Time) (adapters.Look, error) {
	return adapters.Look{}, nil
}
