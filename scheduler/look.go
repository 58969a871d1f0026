package scheduler

import (
	"context"
	"fmt"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// The bounds of looking.
const (
	// findTimeout bounds one look.
	findTimeout = 30 * time.Second
	// maxLooking bounds looks at a time, maxDoubtful what is looked through, of each kind and platform, for one that has
	// a berth: more than can have a worker already.
	maxLooking  = 64
	maxDoubtful = 256
)

// lookAtDoubtful starts the looks that are due and have a berth, in a bound of their own.
func (s *Scheduler) lookAtDoubtful(ctx, work context.Context, now time.Time) {
	taken := s.flights.berths(true)
	if noBerth(taken) {
		return
	}
	// Those being looked at come back as well, since their look is not settled yet.
	doubtful, err := s.cfg.Store.Doubtful(ctx, now, maxDoubtful)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "the doubtful deliveries cannot be listed", "error", err)
		return
	}
	for _, w := range doubtful { // a copy for each look: one that hangs keeps no list of others
		at := berthOf(&w.Delivery, true)
		if s.flights.has(w.Delivery.ID) || !mayLook(taken, at) { // it has a worker: its attempt's, or another look's
			continue
		}
		taken[at]++
		s.flights.look(&w.Delivery)
		s.workers.Go(func() { s.results <- s.look(work, &w) })
	}
}

// mayLook reports whether a look has a berth: each kind has a half of all to itself, and one platform at most three
// quarters of that, so that looks which hang keep no other waiting.
func mayLook(taken map[berth]int, at berth) bool {
	kind := 0
	for b, n := range taken {
		if b.kind == at.kind {
			kind += n
		}
	}
	return kind < maxLooking/2 && taken[at] < maxLooking/2*3/4
}

// noBerth reports whether no look has one.
func noBerth(taken map[berth]int) bool {
	n := 0
	for _, of := range taken {
		n += of
	}
	return n >= maxLooking
}

// look asks the platform once whether a part of unknown fate is out.
func (s *Scheduler) look(work context.Context, w *store.Work) (o outcome) {
	started := s.cfg.Now()
	lane := s.outlets[w.Delivery.Account]
	l := Looked{Delivery: w.Delivery, Part: w.Part}
	finish := func(look adapters.Look, err error) outcome {
		l.Look, l.Now = look, s.cfg.Now()
		if err != nil {
			l.Err = adapters.AsError(err)
		}
		d := DecideLook(l)
		if d.Refresh && lane != nil {
			s.heal(work, lane)
		}
		a := Attempted{Account: &l.Account, Delivery: &w.Delivery, Part: w.Part, Started: started, Now: l.Now}
		out := s.outcomeOf(&a, &d, "look")
		rec := &out.result.Attempts[0]
		rec.N, rec.Outcome = w.Delivery.Attempts, post.OutcomeUnknown
		switch {
		case l.Err != nil:
			describe(rec, l.Err)
			rec.Outcome = post.OutcomeUnknown
		case look.Sight == adapters.Found:
			rec.Outcome = post.OutcomePublished
		case look.Sight == adapters.Never:
			rec.Outcome = post.OutcomeNotPublished
		}
		if look.Detail != "" {
			rec.Message = look.Detail
		}
		out.look = true
		return out
	}
	defer func() {
		if p := recover(); p != nil {
			o = finish(adapters.Look{}, absent(adapters.Protocol, "the adapter broke down", fmt.Errorf("panic: %v", p)))
		}
	}()
	if lane == nil || lane.adapter == nil {
		return finish(adapters.Look{}, absent(adapters.Permission, "the account is not configured here", nil))
	}
	l.Account = lane.account
	if err := s.verified(work, lane); err != nil {
		return finish(adapters.Look{}, err)
	}
	ctx, cancel := context.WithTimeout(work, findTimeout)
	defer cancel()
	req, err := s.request(ctx, w)
	if err != nil {
		return finish(adapters.Look{}, absent(adapters.Server, "the content cannot be read", err))
	}
	since := s.lookFrom(lane.account.Platform, w.Delivery.Parts[w.Part].Began)
	flight := &adapters.Flight{}
	look, err := lane.adapter.Find(adapters.WithFlight(ctx, flight), req, since)
	s.hear(lane.account.Platform, flight)
	return finish(look, err)
}
