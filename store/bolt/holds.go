package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// HoldLane holds one account's lane, or that of every account of an app.
func (s *Store) HoldLane(ctx context.Context, w store.Write, on store.HoldOn) error {
	now := post.Instant(w.Now)
	return s.write(ctx, now, func(t *tx) error {
		if err := t.hold(on, now); err != nil {
			return err
		}
		c := post.Change{At: now, Actor: w.Actor, Type: "account.held", Detail: string(on.Hold.Reason)}
		if on.App == "" {
			c.Account = on.Account.String()
		}
		return t.change(&c)
	})
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

// ReleaseLane ends holds on an account's lane. What is to be missed is missed first, in chunks and while the holds
// still stand, so that nothing of it can be claimed in between.
func (s *Store) ReleaseLane(ctx context.Context, w store.Write, account post.AccountKey, late store.Late, reasons ...post.HoldReason) error {
	now := post.Instant(w.Now)
	if late == store.LateMiss {
		if err := s.missOverdue(ctx, now, w.Actor, account); err != nil {
			return err
		}
	}
	return s.write(ctx, now, func(t *tx) error {
		l, err := t.lane(account)
		if err != nil {
			return err
		}
		if l.stored == nil {
			return fmt.Errorf("account %s: %w", account, store.ErrNotFound)
		}
		dropped := false
		for _, r := range reasons {
			dropped = l.dropHold(r, now) || dropped
		}
		if late == store.LateSend {
			t.waive(l, now)
		}
		if !dropped {
			return nil
		}
		details := make([]byte, 0, 32)
		for i, r := range reasons {
			if i > 0 {
				details = append(details, ' ')
			}
			details = append(details, r...)
		}
		return t.change(&post.Change{
			At: now, Actor: w.Actor, Type: "account.released", Account: account.String(), Detail: string(details),
		})
	})
}

// waive excuses all the waiting of a lane's deliveries up to now.
func (t *tx) waive(l *lane, now time.Time) {
	k := t.headKey(l.key)
	if k == nil {
		return
	}
	due := instant(keyMillis(k[len(accountKey(l.key)):]))
	if due.Before(now) {
		l.span(due, now)
	}
}

// missOverdue moves the overdue deliveries of a lane to missed, apart from those that have begun or are on their way.
func (s *Store) missOverdue(ctx context.Context, now time.Time, actor string, account post.AccountKey) error {
	prefix := accountKey(account)
	after := prefix
	for {
		done := true
		var last []byte
		err := s.write(ctx, now, func(t *tx) error {
			done, last = true, after
			var late []post.ID
			c := t.bucket(bLane).Cursor()
			for k, _ := c.Seek(after); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
				if keyMillis(k[len(prefix):]) >= millis(now) {
					break
				}
				if len(late) == maxChunk {
					done = false
					break
				}
				late = append(late, idAt(k))
				last = append(bytes.Clone(k), 0)
			}
			for _, id := range late {
				before, err := t.delivery(id)
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
		after = last
	}
}

func stopKey(kind post.Kind, brand string) []byte { return pairKey(string(kind), brand) }

// StopAll sets a stop.
func (s *Store) StopAll(ctx context.Context, w store.Write, stop store.Stop) error {
	now := post.Instant(w.Now)
	return s.write(ctx, now, func(t *tx) error {
		t.stopped = false
		if err := t.putJSON(bStop, stopKey(stop.Kind, stop.Brand), stop); err != nil {
			return err
		}
		return t.change(&post.Change{At: now, Actor: w.Actor, Type: "stopped", Detail: scopeName(stop.Kind, stop.Brand)})
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
				if err := s.missOverdue(ctx, now, w.Actor, account); err != nil {
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
	return s.write(ctx, now, func(t *tx) error {
		t.stopped = false
		if t.get(bStop, key) == nil {
			return fmt.Errorf("stop of %s: %w", scopeName(kind, brand), store.ErrNotFound)
		}
		t.wake = true
		return errors.Join(t.del(bStop, key),
			t.change(&post.Change{At: now, Actor: w.Actor, Type: "resumed", Detail: scopeName(kind, brand)}))
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
