package bolt

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// The looks that are planned stand in one order for each kind and platform, so that however many wait for a platform
// that hangs, those of the others are found at once.

// doubtGroup is kind, platform: what begins the keys of one order.
func doubtGroup(d *post.Delivery) []byte {
	b := append(make([]byte, 0, 48), d.Account.Kind...)
	b = append(b, '|')
	b = append(b, d.Platform...)
	return append(b, '|')
}

// doubtKey is kind, platform, next look, id.
func doubtKey(d *post.Delivery) []byte {
	return append(addTime(doubtGroup(d), nextLook(d)), d.ID[:]...)
}

// lookMillis reads when the look of a key is due.
func lookMillis(k []byte) int64 { return keyMillis(k[len(k)-24:]) }

// doubtGroups calls f for what begins the keys of each order that is not empty.
func (t *tx) doubtGroups(f func(group []byte) error) error {
	c := t.bucket(bDoubt).Cursor()
	for k, _ := c.First(); k != nil; {
		if len(k) <= 24 || k[len(k)-25] != '|' {
			return corrupt(bDoubt, k, errShort)
		}
		group := bytes.Clone(k[:len(k)-24])
		if err := f(group); err != nil {
			return err
		}
		after := bytes.Clone(group)
		after[len(after)-1]++ // a key with the next byte in this place stands behind all of the group
		k, _ = c.Seek(after)
	}
	return nil
}

// firstLook is when the earliest look is due, noTime when none is planned.
func (t *tx) firstLook() (int64, error) {
	first := int64(noTime)
	err := t.doubtGroups(func(group []byte) error {
		k, _ := t.cursor(bDoubt).Seek(group)
		if ms := lookMillis(k); first == noTime || ms < first {
			first = ms
		}
		return nil
	})
	return first, err
}

// Doubtful lists unconfirmed deliveries whose next look is due.
func (s *Store) Doubtful(ctx context.Context, now time.Time, limit int) (work []store.Work, err error) {
	err = s.read(ctx, func(t *tx) error {
		work = nil
		return t.doubtGroups(func(group []byte) error {
			n := 0
			return t.scan(bDoubt, group, func(k, _ []byte) (bool, error) {
				if n == limit || lookMillis(k) > millis(now) {
					return false, nil
				}
				d, err := t.delivery(idAt(k))
				if err != nil {
					return false, err
				}
				n++
				work = append(work, store.Work{Delivery: *d, Part: d.NextPart()})
				return true, nil
			})
		})
	})
	slices.SortStableFunc(work, func(a, b store.Work) int {
		return cmp.Compare(millis(nextLook(&a.Delivery)), millis(nextLook(&b.Delivery)))
	})
	return work, err
}

// longestLook is further ahead than any look is ever planned: looks that failed are an hour apart at most.
const longestLook = 2 * time.Hour

// bringForward plans anew, for now, the looks that a clock which ran ahead has planned.
func (t *tx) bringForward(now time.Time) error {
	var ids []post.ID
	err := t.doubtGroups(func(group []byte) error {
		c := t.cursor(bDoubt)
		for k, _ := c.Seek(addTime(bytes.Clone(group), now.Add(longestLook))); bytes.HasPrefix(k, group) && len(ids) < maxChunk; k, _ = c.Next() {
			ids = append(ids, idAt(k))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		before, err := t.delivery(id)
		if err != nil {
			return err
		}
		after := copyOf(before)
		after.Doubt.Since, after.Doubt.Next = earlier(after.Doubt.Since, now), now
		if err := t.save(before, after, cause{now: now, actor: crier}); err != nil {
			return err
		}
	}
	return nil
}
