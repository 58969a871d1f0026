package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crier/internal/post"
	"crier/store"
)

// HoldLane holds one account's lane, or that of every account of an app.
func (s *Store) HoldLane(ctx context.Context, w store.Write, on store.HoldOn) error {
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		if err := t.unchanged(on.Account, on.Version); err != nil {
			return nil, err
		}
		if err := t.hold(on, now); err != nil {
			return nil, err
		}
		c := post.Change{At: now, Actor: w.Actor, Type: "account.held", Detail: string(on.Hold.Reason)}
		if on.App == "" {
			c.Account = on.Account.String()
		}
		if err := t.change(&c); err != nil || w.Once == nil || on.App != "" {
			return nil, err
		}
		return t.accountNow(on.Account, now)
	})
}

// accountNow gives an account as what this transaction has done leaves it.
func (t *tx) accountNow(key post.AccountKey, now time.Time) (v store.AccountView, err error) {
	if err := t.settleLanes(now); err != nil {
		return v, err
	}
	var r accountRecord
	if err := t.getJSON(bAccount, accountKey(key), &r); err != nil {
		return v, fmt.Errorf("account %s: %w", key, err)
	}
	return t.accountView(r)
}

// hold sets a hold on one lane, or on all of an app.
func (t *tx) hold(on store.HoldOn, now time.Time) error {
	keys := []post.AccountKey{on.Account}
	if on.App != "" {
		keys = nil
		prefix := pairKey(on.App, "")
		for _, k := range t.keys(bApp, prefix, maxQueue) {
			if key, ok := cutAccount(k[len(prefix):]); ok {
				keys = append(keys, key)
			}
		}
	}
	for _, key := range keys {
		l, err := t.lane(key)
		if err != nil {
			return err
		}
		l.setHold(on.Hold, now)
	}
	return nil
}

// unchanged refuses with ErrStale what was meant for another version of an account; 0 is meant for any.
func (t *tx) unchanged(key post.AccountKey, version uint64) error {
	if version == 0 {
		return nil
	}
	var r accountRecord
	if err := t.getJSON(bAccount, accountKey(key), &r); err != nil {
		return fmt.Errorf("account %s: %w", key, err)
	}
	l, err := t.lane(key)
	if err != nil {
		return err
	}
	if r.Version+l.rev != version {
		return fmt.Errorf("account %s: %w", key, store.ErrStale)
	}
	return nil
}

// ReleaseLane ends holds on an account's lane. What is to be missed is missed first, in chunks and while the holds
// still stand, so that nothing of it can be claimed in between.
func (s *Store) ReleaseLane(ctx context.Context, w store.Write, r store.Release) error {
	now := post.Instant(w.Now)
	if r.Late == store.LateMiss {
		held, err := s.held(ctx, w, r)
		if err != nil {
			return err
		}
		if held {
			if err := s.missOverdue(ctx, now, w.Actor, r.Account, r.Version); err != nil {
				return err
			}
		}
	}
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		l, err := t.lane(r.Account)
		if err != nil {
			return nil, err
		}
		if l.stored == nil {
			return nil, fmt.Errorf("account %s: %w", r.Account, store.ErrNotFound)
		}
		if err := t.unchanged(r.Account, r.Version); err != nil {
			return nil, err
		}
		t.wake = true // what lies further ahead may be prepared again
		if err := t.release(l, cause{now: now, actor: w.Actor}, r.Late, r.Reasons); err != nil || w.Once == nil {
			return nil, err
		}
		return t.accountNow(r.Account, now)
	})
}

// held reports whether one of the holds stands. A request that was answered before is refused with its answer, and one
// that was meant for another version of the account with ErrStale.
func (s *Store) held(ctx context.Context, w store.Write, r store.Release) (held bool, err error) {
	now := post.Instant(w.Now)
	err = s.read(ctx, func(t *tx) error {
		if err := t.answered(now, w.Once); err != nil {
			return err
		}
		if err := t.unchanged(r.Account, r.Version); err != nil {
			return err
		}
		l, err := t.lane(r.Account)
		if err == nil {
			held = l.heldBy(r.Reasons, now)
		}
		return err
	})
	return held, err
}

func (l *lane) heldBy(reasons []post.HoldReason, now time.Time) bool {
	return slices.ContainsFunc(l.holds, func(h post.Hold) bool { return slices.Contains(reasons, h.Reason) && !h.Open(now) })
}

// release ends holds of a lane. What waited for something else than them is nobody's to send or to miss.
func (t *tx) release(l *lane, c cause, late store.Late, reasons []post.HoldReason) error {
	held, dropped := l.heldBy(reasons, c.now), false
	for _, r := range reasons {
		dropped = l.dropHold(r, c.now) || dropped
	}
	if late == store.LateSend && held {
		t.waive(l, c.now)
	}
	if !dropped {
		return nil
	}
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = string(r)
	}
	return t.change(&post.Change{
		At: c.now, Actor: c.actor, Type: "account.released", Account: l.key.String(), Detail: strings.Join(words, " "),
	})
}

// waive excuses all the waiting of a lane's deliveries up to now.
func (t *tx) waive(l *lane, now time.Time) {
	if due := instant(l.head.due); !l.head.none() && due.Before(now) {
		l.span(due, now)
	}
}

// missOverdue moves the overdue deliveries of a lane to missed, apart from those that have begun or are on their way, while
// the account has that version; 0 is any.
func (s *Store) missOverdue(ctx context.Context, now time.Time, actor string, account post.AccountKey, version uint64) error {
	var from position // what has been looked at stands before it
	for {
		done := true
		var last position
		err := s.write(ctx, now, func(t *tx) error {
			done, last = true, from
			if err := t.unchanged(account, version); err != nil {
				return err
			}
			l, err := t.lane(account)
			if err != nil {
				return err
			}
			head, err := t.headOf(l)
			if err != nil || head.none() {
				return err
			}
			if last.compare(head) < 0 {
				last = head
			}
			var late []position
			err = t.eachWaiting(account, last, millis(now), func(p position) bool {
				late = append(late, p)
				return len(late) < maxChunk
			})
			if err != nil {
				return err
			}
			done = len(late) < maxChunk
			for _, p := range late {
				last = p
				before, err := t.delivery(p.id)
				if err != nil {
					return err
				}
				if before.State != post.Scheduled || before.Begun() {
					continue
				}
				d := copyOf(before)
				if err := d.Miss("too_late", "it was overdue when its account was resumed"); err != nil {
					return err
				}
				if err := t.save(before, d, cause{now: now, actor: actor}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || done {
			return err
		}
		from = last
	}
}

func stopKey(kind post.Kind, brand string) []byte { return pairKey(string(kind), brand) }

// StopAll sets a stop.
func (s *Store) StopAll(ctx context.Context, w store.Write, stop store.Stop) error {
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		t.stopped, t.wake = false, true // it may end sooner than the one that it replaces
		if err := t.putJSON(bStop, stopKey(stop.Kind, stop.Brand), stop); err != nil {
			return nil, err
		}
		return nil, t.change(&post.Change{At: now, Actor: w.Actor, Type: "stopped", Detail: scopeName(stop.Kind, stop.Brand)})
	})
}

func scopeName(kind post.Kind, brand string) string {
	switch {
	case brand != "":
		return "brand " + brand
	case kind != "":
		return string(kind)
	}
	return "all"
}

// ResumeAll ends a stop.
func (s *Store) ResumeAll(ctx context.Context, w store.Write, kind post.Kind, brand string, late store.Late) error {
	now := post.Instant(w.Now)
	key := stopKey(kind, brand)
	var lanes []post.AccountKey
	err := s.read(ctx, func(t *tx) error {
		lanes = nil
		if err := t.answered(now, w.Once); err != nil {
			return err
		}
		if t.get(bStop, key) == nil {
			return fmt.Errorf("stop of %s: %w", scopeName(kind, brand), store.ErrNotFound)
		}
		if late != store.LateMiss && late != store.LateSend {
			return nil
		}
		return t.scan(bLaneState, nil, func(k, v []byte) (bool, error) {
			account, ok := cutAccount(k)
			if !ok {
				return false, corrupt(bLaneState, k, errShort)
			}
			l, err := decodeLane(account, v, nil)
			if err != nil {
				return false, err
			}
			if inScope(store.Stop{Kind: kind, Brand: brand}, account.Kind, l.owner) {
				lanes = append(lanes, account)
			}
			return true, nil
		})
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(lanes, maxChunk) {
		if late == store.LateMiss {
			for _, account := range chunk {
				if err := s.missOverdue(ctx, now, w.Actor, account, 0); err != nil {
					return err
				}
			}
			continue
		}
		err := s.write(ctx, now, func(t *tx) error {
			for _, account := range chunk {
				l, err := t.lane(account)
				if err != nil {
					return err
				}
				t.waive(l, now)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		t.stopped = false
		if t.get(bStop, key) == nil {
			return nil, fmt.Errorf("stop of %s: %w", scopeName(kind, brand), store.ErrNotFound)
		}
		t.wake = true
		err := errors.Join(t.del(bStop, key),
			t.change(&post.Change{At: now, Actor: w.Actor, Type: "resumed", Detail: scopeName(kind, brand)}))
		if err != nil || w.Once == nil {
			return nil, err
		}
		return t.accountCounts()
	})
}

// Stops lists the stops.
func (s *Store) Stops(ctx context.Context) (stops []store.Stop, err error) {
	err = s.read(ctx, func(t *tx) error {
		stops, err = t.stopList()
		return err
	})
	return stops, err
}
