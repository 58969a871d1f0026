package scheduler_test

import (
	"context"
	"net/http"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

// panicky is an adapter that breaks down before it sends.
type panicky struct{ *voice }

func (panicky) Publish(context.Context, adapters.Request) (post.Receipt, error) {
	panic("no such field")
}

// blind is an adapter whose looks never come back by themselves.
type blind struct{ *voice }

func (blind) Find(ctx context.Context, _ adapters.Request, _ time.Time) (adapters.Look, error) {
	<-ctx.Done()
	return adapters.Look{}, ctx.Err()
}

// hesitant is an adapter that takes five seconds before its commit, as for a slow upload.
type hesitant struct{ *voice }

func (h hesitant) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	time.Sleep(5 * time.Second)
	return h.voice.Publish(ctx, r)
}

// lingering is an adapter that takes five seconds more after its commit was answered.
type lingering struct{ *voice }

func (l lingering) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	receipt, err := l.voice.Publish(ctx, r)
	time.Sleep(5 * time.Second)
	return receipt, err
}

// stubborn is an adapter that does not listen to its context.
type stubborn struct{ *voice }

func (s stubborn) Publish(_ context.Context, r adapters.Request) (post.Receipt, error) {
	time.Sleep(25 * time.Second)
	return s.voice.Publish(context.Background(), r)
}

// dated is an adapter that asks for its identity over the wire, so that the answer carries a Date.
type dated struct{ *voice }

func (d dated) Verify(ctx context.Context) (adapters.Identity, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://platform/me", http.NoBody)
	if err != nil {
		return adapters.Identity{}, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return adapters.Identity{}, err
	}
	defer resp.Body.Close()
	return d.voice.Verify(ctx)
}

// stale is an adapter whose commits find the prepared work gone.
type stale struct{ *voice }

func (stale) Publish(context.Context, adapters.Request) (post.Receipt, error) {
	return post.Receipt{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the upload is gone"}
}

func as[T adapters.Adapter](make func(*voice) T) func(string, adapters.Adapter) adapters.Adapter {
	return func(_ string, a adapters.Adapter) adapters.Adapter {
		v, _ := a.(*voice)
		return make(v)
	}
}

// belated is an adapter that gives its answer back only after ten minutes, whatever its context says.
type belated struct{ *voice }

func (b belated) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	receipt, err := b.voice.Publish(ctx, r)
	time.Sleep(10 * time.Minute)
	return receipt, err
}

// deaf is an adapter that takes five minutes to say whose token it holds, whatever its context says.
type deaf struct{ *voice }

func (d deaf) Verify(context.Context) (adapters.Identity, error) {
	time.Sleep(5 * time.Minute)
	return d.voice.Verify(context.Background())
}
