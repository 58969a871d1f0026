package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// Next is the earliest instant at which something could be to do.
func (s *Store) Next(ctx context.Context) (next time.Time, err error) {
	err = s.read(ctx, func(t *tx) error {
		next, err = t.next(time.Time{})
		return err
	})
	return next, err
}

// next is Queue.Next. Stops with an end open the lanes again at that end; now tells which have ended, and zero takes
// all of them for standing.
func (t *tx) next(now time.Time) (time.Time, error) {
	stops, err := t.stopList()
	if err != nil {
		return time.Time{}, err
	}
	best := int64(noTime)
	take := func(ms int64) {
		if best == noTime || ms < best {
			best = ms
		}
	}
	for _, kind := range post.Kinds() {
		err := t.scan(bReady, kindPrefix(kind), func(k, v []byte) (bool, error) {
			e, err := readReady(k, v)
			if err != nil {
				return false, err
			}
			from, stopped := stopEnd(stops, kind, e.owner, now)
			if !stopped {
				take(e.ms)
				return false, nil
			}
			if !from.IsZero() {
				take(max(e.ms, millis(from)))
			}
			// A stop of everything, or of the kind, stops all that follow as well.
			return !stoppedAll(stops, kind, now) && (best == noTime || e.ms < best), nil
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	look, err := t.firstLook()
	if look != noTime {
		take(look)
	}
	return instant(best), err
}

// stopEnd gives the latest end of the stops that stop a lane; zero when one of them has none.
func stopEnd(stops []store.Stop, kind post.Kind, owner string, now time.Time) (end time.Time, stopped bool) {
	for _, s := range stops {
		if !stopsLane(s, kind, owner, now) {
			continue
		}
		if s.Hold.Until.IsZero() {
			return time.Time{}, true
		}
		if s.Hold.Until.After(end) {
			end = s.Hold.Until
		}
		stopped = true
	}
	return end, stopped
}

// Standing reports nil if the claim still stands.
func (s *Store) Standing(ctx context.Context, id post.ID, fence uint64) error {
	return s.read(ctx, func(t *tx) error {
		d, err := t.delivery(id)
		if err != nil {
			return err
		}
		if d.State != post.Sending || d.Fence != fence {
			return fmt.Errorf("delivery %s: %w", id, post.ErrFenced)
		}
		if d.CancelRequested {
			return fmt.Errorf("delivery %s: %w: it is to be canceled", id, post.ErrFenced)
		}
		l, err := t.lane(d.Account)
		if err != nil {
			return err
		}
		if !l.known || slices.ContainsFunc(l.holds, func(h post.Hold) bool { return h.Until.IsZero() }) {
			return fmt.Errorf("delivery %s: %w: its account is held", id, post.ErrFenced)
		}
		stops, err := t.stopList()
		if err != nil {
			return err
		}
		for _, stop := range stops {
			// A stop that had ended when the claim was made does not count; any later one does.
			ended := !stop.Hold.Until.IsZero() && !l.flight.started.Before(stop.Hold.Until)
			if !ended && inScope(stop, d.Account.Kind, l.owner) {
				return fmt.Errorf("delivery %s: %w: it is stopped", id, post.ErrFenced)
			}
		}
		return nil
	})
}

// Soon lists what is to be prepared.
func (s *Store) Soon(ctx context.Context, now, until time.Time, limit int) (work []store.Work, err error) {
	err = s.read(ctx, func(t *tx) error {
		work = nil
		stops, err := t.stopList()
		if err != nil {
			return err
		}
		return t.scan(bPrep, nil, func(k, _ []byte) (bool, error) {
			if len(work) >= limit || keyMillis(k) > millis(until) {
				return false, nil
			}
			d, err := t.delivery(idAt(k))
			if err != nil {
				return false, err
			}
			l, err := t.lane(d.Account)
			if err != nil {
				return false, err
			}
			if !d.NotBefore.After(now) && l.known && !l.assist && !held(l, now) && !stoppedBy(stops, d.Account.Kind, l.owner, now) {
				work = append(work, store.Work{Delivery: *d, Part: d.NextPart()})
			}
			return true, nil
		})
	})
	return work, err
}

func held(l *lane, now time.Time) bool {
	return slices.ContainsFunc(l.holds, func(h post.Hold) bool { return !h.Open(now) })
}

// SavePrepared stores one handle, and with Done that the delivery is prepared.
func (s *Store) SavePrepared(ctx context.Context, now time.Time, p store.Prepared) error {
	return s.write(ctx, now, func(t *tx) error {
		before, err := t.delivery(p.Delivery)
		if err != nil {
			return err
		}
		if before.Digest != p.Digest || before.State == post.Canceled || before.State == post.Removed {
			return fmt.Errorf("delivery %s: %w", p.Delivery, store.ErrStale)
		}
		if h := p.Handle; h != nil {
			if err := t.putJSON(bHandle, handleKey(p.Delivery, h.Part, h.Name), h); err != nil {
				return err
			}
		}
		if !p.Done {
			return nil
		}
		after := copyOf(before)
		after.Prepared, after.PreparedUntil = p.Digest, p.Until
		if _, err := t.lane(after.Account); err != nil {
			return err
		}
		return t.save(before, after, cause{now: post.Instant(now), actor: crier})
	})
}

func handleKey(id post.ID, part int, name string) []byte {
	return append(append(append(make([]byte, 0, 48), id[:]...), byte(part>>8), byte(part)), name...) //nolint:gosec // parts are few
}

// Renew moves the ends of leases.
func (s *Store) Renew(ctx context.Context, owner string, deliveries []post.ID, until time.Time) error {
	return s.write(ctx, until, func(t *tx) error {
		for _, id := range deliveries {
			d, err := t.delivery(id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			key := accountKey(d.Account)
			l, err := decodeLane(d.Account, t.get(bLaneState, key), nil) // not to be settled: until is no present
			if err != nil {
				return err
			}
			if l.flight.delivery == id && l.flight.owner == owner {
				l.flight.lease = post.Instant(until)
				if err := t.put(bLaneState, key, l.appendTo(t.record())); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Recover turns every intent of another owner into unconfirmed.
func (s *Store) Recover(ctx context.Context, now time.Time, owner string) (int, error) {
	reason := post.Reason{Code: "interrupted", Message: "Crier stopped while the request may have been under way"}
	return s.strand(ctx, now, reason, func(i *intent) bool { return i.owner != owner })
}

// Expire turns intents whose lease has ended into unconfirmed.
func (s *Store) Expire(ctx context.Context, now time.Time, running func(post.ID) bool) (int, error) {
	reason := post.Reason{Code: "lease_ended", Message: "nothing came back from the attempt in time"}
	return s.strand(ctx, now, reason, func(i *intent) bool { return i.lease.Before(now) && !running(i.delivery) })
}

// maxChunk bounds how many deliveries one transaction of a long change touches.
const maxChunk = 1000

func (s *Store) strand(ctx context.Context, now time.Time, reason post.Reason, lost func(*intent) bool) (int, error) {
	now = post.Instant(now)
	total := 0
	for {
		var lanes []post.AccountKey
		err := s.read(ctx, func(t *tx) (err error) {
			lanes, err = t.flights(maxChunk, lost)
			return err
		})
		if err != nil || len(lanes) == 0 {
			return total, err
		}
		n := 0
		err = s.write(ctx, now, func(t *tx) error {
			n = 0
			for _, key := range lanes {
				l, err := t.lane(key)
				if err != nil {
					return err
				}
				if l.flight.none() || !lost(&l.flight) {
					continue
				}
				if err := t.strand(l.flight, reason, now); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
		if n == 0 {
			return total, nil
		}
	}
}

func (t *tx) strand(i intent, reason post.Reason, now time.Time) error {
	before, err := t.delivery(i.delivery)
	if err != nil {
		return err
	}
	after := copyOf(before)
	_, err = after.Settle(post.Settled{
		Part: before.NextPart(), Fence: before.Fence, To: post.Unconfirmed, Counted: true, Reason: &reason, Began: i.began, Next: now,
	}, now)
	if errors.Is(err, post.ErrFenced) {
		return corrupt(bDelivery, before.ID[:], err)
	}
	if err != nil {
		return err
	}
	return t.save(before, after, cause{now: now, actor: crier})
}

// ReceiptTaken reports whether a part holds the receipt.
func (s *Store) ReceiptTaken(ctx context.Context, p post.Platform, remoteID string) (taken bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		taken = t.get(bReceipt, receiptKey(p, remoteID)) != nil
		return nil
	})
	return taken, err
}
