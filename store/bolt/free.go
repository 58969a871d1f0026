package bolt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// FreeAt gives the first instant at which the spacing of an account lets a new delivery go.
func (s *Store) FreeAt(ctx context.Context, now time.Time, account post.AccountKey, due time.Time) (free time.Time, err error) {
	err = s.read(ctx, func(t *tx) error {
		ms, err := t.freeAt(millis(now), account, millis(due))
		free = instant(ms)
		return err
	})
	return free, err
}

func (t *tx) freeAt(now int64, account post.AccountKey, due int64) (int64, error) {
	l, err := decodeLane(account, t.get(bLaneState, accountKey(account)), t.words)
	if err != nil || l.minGap <= 0 {
		return due, err
	}
	gap := l.minGap.Milliseconds()
	next := int64(noTime) // from when on the one that follows may go
	if !l.lastSent.IsZero() {
		next = millis(l.lastSent) + gap
	}
	earlier, err := t.before(l, position{due: due + 1})
	if err != nil {
		return due, err
	}
	for _, d := range earlier {
		goes := max(now, millis(d.ReadyAt()))
		switch {
		case d.State == post.Sending:
			goes = millis(l.flight.started)
		case !d.Begun():
			goes = max(goes, next)
		}
		next = max(next, goes+gap)
	}
	return max(due, next), nil
}

// An estimate counts at most maxEstimate deliveries before another in its lane, and goes by no more than maxPassed of the
// account for them, drafts and canceled ones among them.
const (
	maxEstimate = 100
	maxPassed   = 1000
)

// before lists the waiting deliveries of a lane that stand before a place and can still be in the way of what stands
// there, in their order: at most the last maxEstimate, and none that so many gaps have gone by since but the first, which
// keeps its place when it waits for a retry.
func (t *tx) before(l *lane, end position) ([]*post.Delivery, error) {
	if l.head.none() {
		return nil, nil
	}
	prefix, head := accountKey(l.key), l.head.key(l.key)
	c := t.bucket(bCal).Cursor()
	var v []byte
	k, _ := c.Seek(end.key(l.key))
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	var out []*post.Delivery
	for passed := 0; bytes.HasPrefix(k, prefix) && bytes.Compare(k, head) >= 0; k, v = c.Prev() {
		far := keyMillis(k[len(prefix):])+maxEstimate*l.minGap.Milliseconds() <= end.due
		if far {
			k, v = head, []byte(waitMark)
		}
		if mayWait(v) {
			d, err := t.named(k)
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				return nil, err
			}
			if err == nil && d.State.Waiting() { // an estimate goes by what can be read
				out = append(out, d)
			}
		}
		if passed++; far || passed == maxPassed || len(out) == maxEstimate {
			break
		}
	}
	slices.Reverse(out)
	return out, nil
}
