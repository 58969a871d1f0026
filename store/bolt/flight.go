package bolt

import (
	"bytes"

	"crier/internal/post"
	"crier/store"
)

// The flight record of a delivery is all its attempts. The last one stands in the delivery, which is written with each
// attempt anyway; those before it stand in a bucket of their own, where most deliveries, published at once, have none.

// attempted appends attempts to the flight record of a delivery, which the caller writes.
func (t *tx) attempted(d *post.Delivery, attempts []post.Attempt) error {
	for i := range attempts {
		a := attempts[i]
		if last := d.LastAttempt; last != nil {
			a.N = last.N + 1
			if err := t.put(bAttempt, idSeqKey(d.ID, uint64(last.N)), appendAttempt(t.record(), last)); err != nil { //nolint:gosec // a count
				return err
			}
		} else {
			a.N = t.keptAttempts(d.ID) + 1
		}
		a.StartedAt, a.EndedAt = post.Instant(a.StartedAt), post.Instant(a.EndedAt)
		d.LastAttempt = &a
	}
	return nil
}

// keptAttempts is the number of the last attempt in the bucket, 0 when there is none: up to schema 3 it held all of them.
func (t *tx) keptAttempts(id post.ID) int {
	c := t.cursor(bAttempt)
	k, _ := c.Seek(idSeqKey(id, ^uint64(0)))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	if k == nil || !bytes.HasPrefix(k, id[:]) {
		return 0
	}
	return int(readSeq(k[16:])) //nolint:gosec // a count
}

// recorded reports whether the result's attempt is the last one in the flight record already.
func recorded(d *post.Delivery, r *store.Result) bool {
	n := len(r.Attempts)
	return n > 0 && d.LastAttempt != nil && bytes.Equal(appendAttempt(nil, &r.Attempts[n-1]), appendAttempt(nil, d.LastAttempt))
}

// flightRecord lists the attempts of a delivery, oldest first.
func (t *tx) flightRecord(d *post.Delivery) (all []post.Attempt, err error) {
	err = t.scan(bAttempt, d.ID[:], func(k, b []byte) (bool, error) {
		a, err := decodeAttempt(k, b, int(readSeq(k[16:]))) //nolint:gosec // a count
		all = append(all, a)
		return err == nil, err
	})
	if d.LastAttempt != nil {
		all = append(all, *d.LastAttempt)
	}
	return all, err
}
