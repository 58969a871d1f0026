package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// outcome is what a worker hands to the clock's goroutine.
type outcome struct {
	result   store.Result
	account  *post.Account
	delivery *post.Delivery // as it was claimed
	at       time.Time
	look     bool
	unsure   bool // a commit with it failed and may be on disk all the same
}

func (o *outcome) event() Event {
	of := &o.result.Settled
	return Event{
		Delivery: *o.delivery, Account: *o.account, Part: of.Part, Receipt: of.Receipt, To: of.To, Reason: of.Reason, At: o.at,
	}
}

func results(all []outcome) []store.Result {
	out := make([]store.Result, len(all))
	for i := range all {
		out[i] = all[i].result
	}
	return out
}

// send hands each claim to a worker of its own.
func (s *Scheduler) send(work context.Context, claims []store.Work) {
	s.flights.claim(claims, s.cfg.Now()) // before the next turn asks
	start := func() {
		for i := range claims {
			s.start(work, &claims[i])
		}
	}
	if len(claims) > startAtOnce {
		s.workers.Go(start)
		return
	}
	start()
}

func (s *Scheduler) start(work context.Context, w *store.Work) {
	lane := s.outlets[w.Delivery.Account]
	s.workers.Go(func() {
		a := s.attempt(work, lane, w)
		d := Decide(a)
		if d.Refresh && lane != nil && a.AuthFails < 2 {
			s.heal(work, lane)
		}
		if d.Alert {
			s.cfg.Log.ErrorContext(work, "an attempt ended in a way that a person should see",
				"delivery", w.Delivery.ID, "account", w.Delivery.Account.Handle, "error", a.Err)
		}
		if len(d.Holds) > 0 && d.Refresh && lane != nil {
			lane.distrust(s.cfg.Now())
		}
		s.results <- s.outcomeOf(&a, &d, "publish")
	})
}

// outcomeOf puts an attempt and its decision into the form that the store takes.
func (s *Scheduler) outcomeOf(a *Attempted, d *Decision, act string) outcome {
	rec := post.Attempt{
		N: a.Delivery.Attempts + 1, Part: a.Part, Act: act,
		StartedAt: post.Instant(a.Started), EndedAt: post.Instant(a.Now), Decision: d.Words,
	}
	describe(&rec, a.Err)
	return outcome{
		result:  store.Result{Delivery: a.Delivery.ID, Settled: d.Settled, Attempts: []post.Attempt{rec}, Holds: d.Holds},
		account: a.Account, delivery: a.Delivery, at: a.Now,
	}
}

func describe(rec *post.Attempt, e *adapters.Error) {
	if e == nil {
		rec.Outcome = post.OutcomePublished
		return
	}
	rec.Outcome = post.OutcomeNotPublished
	if e.Fate != adapters.Absent {
		rec.Outcome = post.OutcomeUnknown
	}
	rec.Reason, rec.Status, rec.Code, rec.Message = string(e.Reason), e.Status, e.Code, e.Message
}

// attempt performs one claimed part and says how it ended. It never panics and never sends twice.
func (s *Scheduler) attempt(work context.Context, l *lane, w *store.Work) (a Attempted) {
	started := s.cfg.Now()
	a = Attempted{Delivery: &w.Delivery, Part: w.Part, Started: started, Began: w.Began, Lot: s.cfg.Lot()}
	flight := &adapters.Flight{}
	finish := func(r post.Receipt, err error) Attempted {
		a.Now, a.Receipt = s.cfg.Now(), r
		if err != nil {
			a.Err = adapters.AsError(err)
		}
		return a
	}
	if l == nil || l.adapter == nil {
		// What follows holds this account's lane and no other.
		a.Account = &post.Account{Handle: w.Delivery.Account.Handle, Kind: w.Delivery.Account.Kind, Platform: w.Delivery.Platform}
		return finish(post.Receipt{}, absent(adapters.Permission, "the account is not configured here", nil))
	}
	a.Account = &l.account
	defer func() {
		if p := recover(); p != nil {
			fate := adapters.Absent
			if c, ok := flight.Last(true); ok && c.Written {
				fate = adapters.Unknown
			}
			finish(post.Receipt{}, &adapters.Error{
				Fate: fate, Reason: adapters.Protocol, Message: "the adapter broke down", Err: fmt.Errorf("panic: %v", p),
			})
		}
	}()
	if err := s.verified(work, l); err != nil {
		return finish(post.Receipt{}, err)
	}
	if theirs, ok := s.platformTime(l.account.Platform, started); ok && w.Began.After(theirs.Add(apart)) {
		// Claimed before the platform had said what time it is. Looks for a lost answer would begin too late.
		return finish(post.Receipt{}, absent(adapters.Stopped, "the clock is ahead of the platform's: beginning anew by its time", nil))
	}
	sendBy := w.Lease.Add(-leaseMargin)
	ctx, cancel := context.WithTimeout(work, min(l.timeout, max(sendBy.Sub(s.cfg.Now()), 0)))
	defer cancel()
	req, err := s.request(ctx, w)
	if err != nil {
		return finish(post.Receipt{}, absent(adapters.Server, "the content cannot be read", err))
	}
	if began := w.Delivery.Parts[w.Part].Began; !began.IsZero() {
		// An earlier attempt at this part ended in doubt: ask once more before sending.
		look, err := l.adapter.Find(ctx, req, s.lookFrom(l.account.Platform, began))
		switch {
		case err != nil:
			return finish(post.Receipt{}, unread(adapters.AsError(err)))
		case look.Sight == adapters.Found:
			return finish(look.Receipt, nil)
		case look.Sight == adapters.Ambiguous:
			return finish(post.Receipt{}, &adapters.Error{Fate: adapters.Unknown, Reason: adapters.Duplicate, Message: "several posts match"})
		}
	}
	flight.Gate = s.gate(ctx, w, sendBy)
	receipt, err := l.adapter.Publish(adapters.WithFlight(ctx, flight), req)
	s.hear(l.account.Platform, flight)
	if err == nil && receipt.RemoteID == "" {
		err = &adapters.Error{Fate: adapters.Unknown, Reason: adapters.Protocol, Message: "the adapter named no post"}
	}
	if err != nil && adapters.AsError(err).Reason == adapters.Auth && adapters.AsError(err).Fate == adapters.Absent {
		a.AuthFails = l.authFailed(s.cfg.Now())
	} else if err == nil {
		l.authWorked()
	}
	return finish(receipt, err)
}

// gate stands right before the first byte of a commit: the wall clock is before send_by, the claim stands, and nothing
// was paused or canceled.
func (s *Scheduler) gate(ctx context.Context, w *store.Work, sendBy time.Time) func() error {
	return func() error {
		if now := s.cfg.Now(); !now.Before(sendBy) {
			return errors.New("the claim's time is over")
		}
		if s.suspect.Load() != nil {
			return errors.New("the clock has jumped")
		}
		if err := s.cfg.Store.Standing(ctx, w.Delivery.ID, w.Delivery.Fence); err != nil {
			return fmt.Errorf("the claim does not stand: %w", err)
		}
		return nil
	}
}

// request gathers what the adapter needs for one part.
func (s *Scheduler) request(ctx context.Context, w *store.Work) (adapters.Request, error) {
	d := &w.Delivery
	content, handles, err := s.cfg.Store.Material(ctx, d)
	if err != nil {
		return adapters.Request{}, err
	}
	return requestFor(d, w.Part, content, handles, s.cfg.Media, func(remoteID string) bool {
		taken, err := s.cfg.Store.ReceiptTaken(ctx, d.Platform, remoteID)
		// What cannot be asked counts as taken: a receipt is never borrowed on a guess.
		return taken || err != nil
	}, s.cfg.Now()), nil
}

// requestFor is one part of a delivery as its adapter sees it.
func requestFor(d *post.Delivery, part int, c post.Content, handles []post.Handle, media adapters.MediaSource, taken func(string) bool, now time.Time) adapters.Request {
	r := adapters.Request{
		Delivery: d.ID, Part: part, Role: d.Parts[part].Role, Content: c, Destination: d.Destination,
		Media: media, Taken: taken,
	}
	for i := range part {
		if d.Parts[i].Role == post.RoleReply {
			r.Reply++
		}
	}
	if part > 0 && d.Parts[0].Receipt != nil {
		r.Root = *d.Parts[0].Receipt
	}
	for i := part - 1; i >= 0; i-- {
		// A reply answers the post or the reply before it; a thumbnail in between is nobody's parent.
		if role := d.Parts[i].Role; d.Parts[i].Receipt != nil && (role == post.RolePost || role == post.RoleReply) {
			r.Parent = *d.Parts[i].Receipt
			break
		}
	}
	for _, h := range handles {
		if h.Part == part && h.Digest == d.Digest && (h.Expires.IsZero() || now.Before(h.Expires)) {
			r.Handles = append(r.Handles, h)
		}
	}
	return r
}

// unread turns the failure of the look before a further attempt into the end of that attempt: nothing was sent, and
// what could not be read is no word about the content, so that it never fails the delivery at once.
func unread(look *adapters.Error) *adapters.Error {
	e := *look
	e.Fate, e.Message = adapters.Absent, "the platform could not be asked before sending again: "+e.Message
	switch e.Reason {
	case adapters.Network, adapters.Server, adapters.RateLimit, adapters.Auth, adapters.Permission, adapters.Budget, adapters.Stopped:
	case adapters.Refused, adapters.Policy, adapters.Duplicate, adapters.Prepare, adapters.Protocol:
		e.Reason = adapters.Server
	}
	return &e
}

func absent(reason adapters.Reason, message string, err error) *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: reason, Message: message, Err: err}
}
