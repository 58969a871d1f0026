package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// The bounds of preparing.
const (
	// maxPreparing bounds the preparations of one kind at a time, in a pool of their own: uploads never take a
	// commit's room, and those of brands never a person's.
	maxPreparing = 8
	// maxPreparingEach bounds those of one account, so that one whose uploads hang leaves room for others.
	maxPreparingEach = 2
	// maxSoon bounds what is looked through for something that has a place.
	maxSoon = 512
	// prepareTimeout bounds one preparation; it resumes where it stopped.
	prepareTimeout = 30 * time.Minute
)

// preparing is what is being prepared now.
type preparing struct {
	mu      sync.Mutex
	now     map[post.ID]preparation
	workers sync.WaitGroup
	stopped bool
}

type preparation struct {
	account post.AccountKey
	cancel  context.CancelFunc
}

func newPreparing() *preparing { return &preparing{now: make(map[post.ID]preparation)} }

func (p *preparing) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.now)
}

// full reports whether no kind has a place left.
func (p *preparing) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.now) >= maxPreparing*len(post.Kinds())
}

// room reports whether a delivery of the account may be prepared now: there is a place, and nobody prepares it
// already.
func (p *preparing) room(id post.ID, account post.AccountKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, busy := p.now[id]; busy || p.stopped {
		return false
	}
	kind, each := 0, 0
	for _, x := range p.now {
		if x.account.Kind == account.Kind {
			kind++
		}
		if x.account == account {
			each++
		}
	}
	return kind < maxPreparing && each < maxPreparingEach
}

// begin takes a place that room has shown to be free. Only the goroutine of Run takes places.
func (p *preparing) begin(id post.ID, account post.AccountKey, cancel context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[id] = preparation{account: account, cancel: cancel}
}

func (p *preparing) end(id post.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[id].cancel()
	delete(p.now, id)
}

// stop ends all preparations; their workers are waited for apart. What is saved is resumed at the next start.
func (p *preparing) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, x := range p.now {
		x.cancel()
	}
}

// prepareSoon starts preparing what is due within the time ahead.
func (s *Scheduler) prepareSoon(ctx context.Context) {
	if s.prepare.full() || ctx.Err() != nil {
		return
	}
	now := post.Instant(s.cfg.Now())
	soon, err := s.cfg.Store.Soon(ctx, now, now.Add(s.cfg.PrepareAhead), maxSoon)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "what has to be prepared cannot be listed", "error", err)
		return
	}
	for _, w := range soon {
		lane := s.outlets[w.Delivery.Account]
		if lane == nil || lane.adapter == nil || !s.prepare.room(w.Delivery.ID, w.Delivery.Account) {
			continue
		}
		work, cancel := context.WithTimeout(ctx, prepareTimeout)
		s.prepare.begin(w.Delivery.ID, w.Delivery.Account, cancel)
		s.prepare.workers.Go(func() {
			defer s.Nudge() // the place is free again
			defer s.prepare.end(w.Delivery.ID)
			s.prepareOne(work, lane, w.Delivery)
		})
	}
}

// prepareOne prepares every part of a delivery that needs it and says so in the store, or settles the failure.
func (s *Scheduler) prepareOne(ctx context.Context, l *lane, d post.Delivery) {
	started := s.cfg.Now()
	part, moved, err := s.prepareParts(ctx, l, d)
	switch {
	case err == nil:
		return
	case errors.Is(err, store.ErrStale), errors.Is(err, store.ErrNotFound):
		return // edited or withdrawn meanwhile: what was prepared is of no use
	case errors.Is(context.Cause(ctx), context.Canceled):
		return // shutting down
	}
	e := *adapters.AsError(err)
	e.Fate = adapters.Absent // nothing of a preparation is public
	if e.Reason == adapters.Stopped {
		return
	}
	a := Attempted{
		Account: &l.account, Delivery: &d, Part: part, Started: started, Began: started, Now: s.cfg.Now(), Err: &e, Lot: s.cfg.Lot(),
	}
	if e.Reason == adapters.Auth {
		a.AuthFails = l.authFailed(a.Now)
	}
	decision := DecidePreparation(a, moved)
	if !decision.Settled.NotBefore.After(a.Now) && decision.Settled.To == post.Scheduled {
		// A preparation has no claim that would slow it down.
		decision.Settled.NotBefore = a.Now.Add(retryFirst)
	}
	if decision.Refresh && a.AuthFails < 2 {
		s.heal(context.WithoutCancel(ctx), l)
	}
	o := s.outcomeOf(&a, &decision, "prepare")
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	out, err := s.cfg.Store.Turn(settle, store.Turn{
		Now: post.Instant(a.Now), Owner: s.cfg.Owner, Lease: lease, Results: []store.Result{o.result},
	})
	if err == nil {
		err = out.Refused[0]
	}
	if err != nil && !errors.Is(err, post.ErrFenced) {
		s.cfg.Log.ErrorContext(ctx, "a failed preparation cannot be written", "delivery", d.ID, "error", err)
		return
	}
	if err == nil {
		s.cfg.Observe(o.event())
	}
}

// prepareParts prepares part by part and gives the part that failed. moved says that a long preparation came further than
// ever before.
func (s *Scheduler) prepareParts(ctx context.Context, l *lane, d post.Delivery) (part int, moved bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = absent(adapters.Protocol, "the adapter broke down", fmt.Errorf("panic: %v", p))
		}
	}()
	part = d.NextPart()
	if e := s.verified(ctx, l); e != nil {
		return part, false, e
	}
	content, handles, err := s.cfg.Store.Material(ctx, &d)
	if err != nil {
		return part, false, absent(adapters.Server, "content and prepared work cannot be read", err)
	}
	preparer, can := adapters.As[adapters.Preparer](l.adapter)
	var until time.Time
	for ; can && part < len(d.Parts); part++ {
		req := requestFor(&d, part, content, handles, s.cfg.Media, nil, s.cfg.Now())
		if !preparer.Prepares(req) {
			continue
		}
		save := func(ctx context.Context, h post.Handle) error {
			h.Part, h.Digest = part, d.Digest
			if before, _ := req.Handle(h.Name); progress(h) > progress(before) {
				moved = true
			}
			if !h.Expires.IsZero() && (until.IsZero() || h.Expires.Before(until)) {
				until = h.Expires
			}
			return s.cfg.Store.SavePrepared(ctx, post.Instant(s.cfg.Now()), store.Prepared{Delivery: d.ID, Digest: d.Digest, Handle: &h})
		}
		for _, h := range req.Handles {
			if !h.Expires.IsZero() && (until.IsZero() || h.Expires.Before(until)) {
				until = h.Expires
			}
		}
		if err := preparer.Prepare(ctx, req, save); err != nil {
			return part, moved, err
		}
	}
	part = max(min(part, len(d.Parts)-1), 0)
	err = s.cfg.Store.SavePrepared(ctx, post.Instant(s.cfg.Now()), store.Prepared{
		Delivery: d.ID, Digest: d.Digest, Done: true, Until: until,
	})
	if err != nil {
		return part, moved, absent(adapters.Server, "what is prepared cannot be stored", err)
	}
	return part, moved, nil
}

// progress is how far a handle says that its preparation came; 0 when it does not say.
func progress(h post.Handle) int64 {
	n, err := strconv.ParseInt(h.Values[adapters.Progress], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
