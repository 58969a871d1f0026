package bolt

import (
	"bytes"
	"context"
	"slices"
	"time"

	"crier/internal/post"
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
	for _, id := range t.before(account, addMillis(accountKey(account), due+1), gap) {
		d, err := t.delivery(id)
		if err != nil {
			return due, err
		}
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

// maxEstimate is how many deliveries before another in its lane an estimate counts.
const maxEstimate = 100

// before lists the waiting deliveries of an account whose keys in the lane index come before end and that can still be in
// the way of what stands there, in their order: at most the last maxEstimate, none that so many gaps have gone by since,
// and the first, which keeps its place when it waits for a retry.
func (t *tx) before(account post.AccountKey, end []byte, gap int64) []post.ID {
	prefix := accountKey(account)
	due := keyMillis(end[len(prefix):])
	c := t.bucket(bLane).Cursor()
	k, _ := c.Seek(end)
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	var ids []post.ID
	for ; bytes.HasPrefix(k, prefix) && len(ids) < maxEstimate; k, _ = c.Prev() {
		if keyMillis(k[len(prefix):])+maxEstimate*gap <= due {
			if head := t.headKey(account); head != nil {
				ids = append(ids, idAt(head))
			}
			break
		}
		ids = append(ids, idAt(k))
	}
	slices.Reverse(ids)
	return ids
}
