package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// lane is one account at work: its adapter, and whether the platform has said that its token belongs to the identity
// that the account names.
type lane struct {
	account post.Account
	adapter adapters.Adapter
	timeout time.Duration
	// rivals are the lanes that name the same identity, this one among them, in the order of the configuration; nil when
	// there is no other.
	rivals []*lane

	// asking holds one token: one verification at a time, waited for under a context.
	asking chan struct{}

	mu        sync.Mutex
	trusted   bool
	doubted   int             // how often trust was taken back: an answer from before that is about another token
	refused   *adapters.Error // the last answer when not trusted
	retryAt   time.Time       // before it, refused is the answer
	failures  int             // refusals of the token in a row, for the wait until it is verified again
	authFails int
	authAt    time.Time
}

func newLane(o Outlet) *lane {
	timeout := o.CommitTimeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	l := &lane{account: o.Account, adapter: o.Adapter, timeout: timeout, asking: make(chan struct{}, 1)}
	l.asking <- struct{}{}
	return l
}

// authWindow is how close together refusals of a token count as a row.
const authWindow = 10 * time.Minute

// authFailed counts a refusal of the token and gives the length of the row.
func (l *lane) authFailed(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.authAt) > authWindow {
		l.authFails = 0
	}
	l.authFails++
	l.authAt = now
	l.doubt()
	return l.authFails
}

// doubt takes the trust back. The caller holds mu.
func (l *lane) doubt() {
	l.trusted = false
	l.doubted++
}

// isTrusted reports whether the token is known to belong to the account's identity.
func (l *lane) isTrusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trusted
}

func (l *lane) authWorked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.authFails, l.failures = 0, 0
}

// distrust makes the next use of the account ask for its identity again, once the wait of reconnecting is over.
func (l *lane) distrust(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt()
	l.failures++
	l.retryAt = now.Add(healAfter(l.failures))
}

// healAfter is when an account whose token is refused is verified again: after 1, 5, 15 and 60 minutes, then hourly.
func healAfter(failures int) time.Duration {
	steps := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	return steps[min(max(failures, 1), len(steps))-1]
}

// verifyTimeout bounds one question for the identity.
const verifyTimeout = 20 * time.Second

// verifiers bounds the verifications at a time.
const verifiers = 16

// verifyAll asks for every account's identity, so that the first post does not have to wait for it.
func (s *Scheduler) verifyAll(ctx context.Context) {
	lanes := make([]*lane, 0, len(s.outlets))
	for _, l := range s.outlets {
		if l.adapter != nil {
			lanes = append(lanes, l)
		}
	}
	s.verifyEach(ctx, lanes, slog.LevelWarn)
}

// verifyEach asks for the identities of some accounts, several at a time, so that one which does not answer keeps no
// other waiting. It returns when all have been asked.
func (s *Scheduler) verifyEach(ctx context.Context, lanes []*lane, failed slog.Level) {
	sem := make(chan struct{}, verifiers)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, l := range lanes {
		select {
		case sem <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-sem }()
			if err := s.verified(ctx, l); err != nil && ctx.Err() == nil {
				s.cfg.Log.Log(ctx, failed, "the account is not verified", "account", l.account.Handle, "error", err)
			}
		})
	}
}

// Verify asks the platform anew whom the account's token belongs to, as a person wants it who has just reconnected.
func (s *Scheduler) Verify(ctx context.Context, key post.AccountKey) error {
	l := s.outlets[key]
	if l == nil || l.adapter == nil {
		return store.ErrNotFound
	}
	l.mu.Lock()
	l.doubt()
	l.retryAt, l.failures, l.authFails = time.Time{}, 0, 0
	l.mu.Unlock()
	if err := s.verified(ctx, l); err != nil {
		return err
	}
	return nil
}

// Heal verifies again the accounts whose tokens were refused, once their wait is over, the longest over first.
func (s *Scheduler) Heal(ctx context.Context) {
	now := s.cfg.Now()
	var due []*lane
	since := make(map[*lane]time.Time)
	for _, l := range s.outlets {
		l.mu.Lock()
		if !l.trusted && l.adapter != nil && !now.Before(l.retryAt) {
			due, since[l] = append(due, l), l.retryAt
		}
		l.mu.Unlock()
	}
	slices.SortFunc(due, func(a, b *lane) int { return since[a].Compare(since[b]) })
	s.verifyEach(ctx, due, slog.LevelDebug)
}

// verified returns nil once the platform has said that the account's token belongs to exactly the identity that the
// account names. Any other end holds the lane or comes back as an error whose fate is absent: nothing was sent.
func (s *Scheduler) verified(ctx context.Context, l *lane) *adapters.Error {
	stopped := func() *adapters.Error {
		return absent(adapters.Stopped, "stopped while the identity was asked for", ctx.Err())
	}
	if ctx.Err() != nil {
		return stopped()
	}
	if l.isTrusted() {
		return nil
	}
	select {
	case <-l.asking:
		defer func() { l.asking <- struct{}{} }()
	case <-ctx.Done():
		return stopped()
	}
	now := s.cfg.Now()
	l.mu.Lock()
	trusted, doubted, refused, wait := l.trusted, l.doubted, l.refused, now.Before(l.retryAt)
	l.mu.Unlock()
	if trusted {
		return nil
	}
	if wait && refused != nil {
		return refused
	}
	err := s.askIdentity(ctx, l, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubted != doubted {
		return absent(adapters.Stopped, "the token may have changed while the platform was asked whose it is: asking anew", nil)
	}
	l.trusted, l.refused = err == nil, err
	switch {
	case err == nil:
		// A token that says who it is and may not post all the same keeps its row of failures, until a post worked.
		if l.authFails == 0 {
			l.failures = 0
		}
		l.retryAt = time.Time{}
	case err.Reason == adapters.Auth, err.Reason == adapters.Permission:
		l.failures++
		l.retryAt = now.Add(healAfter(l.failures))
	default:
		l.retryAt = now.Add(time.Second)
	}
	return err
}

// findRivals tells lanes of one identity of each other. Names of a platform differ by more than case.
func findRivals(all []*lane) {
	type who struct {
		platform post.Platform
		identity string
	}
	same := make(map[who][]*lane)
	for _, l := range all {
		if l.adapter != nil {
			w := who{l.account.Platform, strings.ToLower(l.account.Identity)}
			same[w] = append(same[w], l)
		}
	}
	for _, lanes := range same {
		if len(lanes) < 2 {
			continue
		}
		for _, l := range lanes {
			l.rivals = lanes
		}
	}
}

// speaker gives the one of several accounts with one identity that speaks for it: the one that did so before, else the
// first in the configuration. Whose token answers sooner decides nothing.
func (s *Scheduler) speaker(ctx context.Context, rivals []*lane) (*lane, error) {
	for _, l := range rivals {
		v, err := s.cfg.Store.AccountByHandle(ctx, l.account.Handle)
		if err != nil {
			return nil, fmt.Errorf("reading account %s: %w", l.account.Handle, err)
		}
		if v.Pinned != "" {
			return l, nil
		}
	}
	return rivals[0], nil
}

// askIdentity asks, compares and writes what follows: a hold, or the end of one.
func (s *Scheduler) askIdentity(ctx context.Context, l *lane, now time.Time) *adapters.Error {
	if l.rivals != nil {
		switch speaker, err := s.speaker(ctx, l.rivals); {
		case err != nil:
			return absent(adapters.Server, "the account cannot be read", err)
		case speaker != l:
			// Which one is not said: it may be somebody else's own.
			return s.refuse(ctx, l, post.HoldWrongIdentity, absent(adapters.Permission,
				"another account speaks for the identity already", nil), now)
		}
	}
	v, ok := adapters.As[adapters.Verifier](l.adapter)
	if !ok {
		return absent(adapters.Permission, "the adapter cannot say whose token it holds", nil)
	}
	ask, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	flight := &adapters.Flight{}
	var id adapters.Identity
	err := guard(func() (err error) {
		id, err = v.Verify(adapters.WithFlight(ask, flight))
		return err
	})
	s.hear(l.account.Platform, flight)
	if err != nil {
		e := *adapters.AsError(err)
		e.Fate = adapters.Absent // asking is not posting
		if e.Reason == adapters.Auth || e.Reason == adapters.Permission {
			return s.refuse(ctx, l, post.HoldNeedsReconnect, &e, now)
		}
		switch e.Reason {
		case adapters.Protocol, adapters.Refused, adapters.Policy, adapters.Duplicate, adapters.Prepare:
			// An odd answer about the identity proves nothing and is asked for again. It is no word about the
			// content of the delivery that waits for it.
			e.Reason = adapters.Server
		case adapters.Network, adapters.Server, adapters.RateLimit, adapters.Budget, adapters.Stopped, adapters.Auth, adapters.Permission:
		}
		return &e
	}
	if !strings.EqualFold(id.ID, l.account.Identity) || id.ID == "" {
		return s.refuse(ctx, l, post.HoldWrongIdentity, absent(adapters.Permission,
			"the token belongs to another identity than the account names", nil), now)
	}
	remote := id.Remote
	if remote == "" {
		remote = id.ID
	}
	w := store.Write{Now: post.Instant(now), Actor: "crier"}
	switch err := s.cfg.Store.PinIdentity(ctx, w, l.account.Key(), remote); {
	case errors.Is(err, store.ErrIdentityTaken):
		return s.refuse(ctx, l, post.HoldWrongIdentity, absent(adapters.Permission,
			"the identity has changed hands, or another account speaks for it already", err), now)
	case err != nil:
		return absent(adapters.Server, "the identity cannot be stored", err)
	}
	return s.trust(ctx, l, w)
}

// trust ends the holds that a doubtful identity had set.
func (s *Scheduler) trust(ctx context.Context, l *lane, w store.Write) *adapters.Error {
	view, err := s.cfg.Store.AccountByHandle(ctx, l.account.Handle)
	if err != nil {
		return absent(adapters.Server, "the account cannot be read", err)
	}
	for _, h := range view.Holds {
		if h.Reason != post.HoldNeedsReconnect && h.Reason != post.HoldWrongIdentity {
			continue
		}
		err := s.cfg.Store.ReleaseLane(ctx, w, store.Release{
			Account: l.account.Key(), Late: store.LateApply,
			Reasons: []post.HoldReason{post.HoldNeedsReconnect, post.HoldWrongIdentity},
		})
		if err != nil {
			return absent(adapters.Server, "the account's hold cannot be ended", err)
		}
		break
	}
	return nil
}

func (s *Scheduler) refuse(ctx context.Context, l *lane, why post.HoldReason, e *adapters.Error, now time.Time) *adapters.Error {
	w := store.Write{Now: post.Instant(now), Actor: "crier"}
	on := store.HoldOn{Account: l.account.Key(), Hold: post.Hold{Reason: why, Since: w.Now, Detail: e.Message}}
	if err := s.cfg.Store.HoldLane(ctx, w, on); err != nil {
		s.cfg.Log.ErrorContext(ctx, "the account's hold cannot be written", "account", l.account.Handle, "error", err)
	}
	// The hold is set; what was claimed meanwhile waits for its end.
	return e
}

// guard runs what publishes nothing and turns a panic of the adapter into an error: one account's bug must not end the
// program.
func guard(ask func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = absent(adapters.Protocol, "the adapter broke down", fmt.Errorf("panic: %v", p))
		}
	}()
	return ask()
}

// heal gets a fresh token, once, and asks for the identity again.
func (s *Scheduler) heal(ctx context.Context, l *lane) {
	if r, ok := adapters.As[adapters.Refresher](l.adapter); ok {
		ask, cancel := context.WithTimeout(ctx, verifyTimeout)
		defer cancel()
		if err := guard(func() error { return r.Refresh(ask) }); err != nil {
			s.cfg.Log.WarnContext(ctx, "the token cannot be refreshed", "account", l.account.Handle, "error", err)
		}
	}
	l.mu.Lock()
	l.doubt()
	l.retryAt = time.Time{}
	l.mu.Unlock()
	if err := s.verified(ctx, l); err != nil {
		s.cfg.Log.WarnContext(ctx, "the account is not verified", "account", l.account.Handle, "error", err)
	}
}
