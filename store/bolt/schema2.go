package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"crier/internal/post"
	"crier/store"
)

// What schema 2 kept otherwise: intents and what waits in buckets of their own, and looks in the order of time alone. In
// the history, every change had an entry in the index of its post; these stay, until they are pruned with their changes.

const (
	bucketIntent2 = "intent" // id → intent
	bucketLane2   = "lane"   // account, due, id: waiting deliveries
)

// intent2 reads an intent of schema 1 or 2.
func intent2(id post.ID, b []byte) (intent, error) {
	r := decoder{b: b}
	v := r.byte()
	if v != 1 && v != 2 {
		return intent{}, fmt.Errorf("intent/%x: unknown version %d", id, v)
	}
	i := intent{delivery: id}
	if lease := r.take(8); lease != nil {
		i.lease = instant(keyMillis(lease))
	}
	i.owner = r.text()
	_, _, _ = r.uint(), r.int(), r.text() // fence, part and digest: the delivery has them
	i.started = r.time()
	i.began = i.started
	if v == 2 {
		i.began = r.time()
	}
	if err := r.err(); err != nil {
		return intent{}, fmt.Errorf("intent/%x: %w", id, err)
	}
	return i, nil
}

// doubtKey2 is next look, id.
func doubtKey2(d *post.Delivery) []byte { return timedKey(millis(nextLook(d)), d.ID) }

// toSchema3 puts each intent and each head into the record of its lane, and the looks in an order for each kind and
// platform.
func (t *tx) toSchema3() error {
	if err := errors.Join(t.intentsToLanes(), t.headsToLanes()); err != nil {
		return err
	}
	for _, l := range t.lanes {
		if !l.flight.none() && l.flight.owner == "" {
			return fmt.Errorf("%w: %s names no intent for delivery %s, which is under way", store.ErrCorrupt, bucketIntent2, l.flight.delivery)
		}
		if err := t.put(bLaneState, accountKey(l.key), l.appendTo(t.record())); err != nil {
			return err
		}
	}
	clear(t.lanes)
	return t.sortDoubts()
}

// dropBucket removes a bucket that this schema does not know, after f has seen all that is in it.
func (t *tx) dropBucket(name string, f func(k, v []byte) error) error {
	b := t.b.Bucket([]byte(name))
	if b == nil {
		return fmt.Errorf("bucket %s is missing", name)
	}
	if err := b.ForEach(f); err != nil {
		return err
	}
	if err := t.b.DeleteBucket([]byte(name)); err != nil {
		return fmt.Errorf("drop bucket %s: %w", name, err)
	}
	return nil
}

// headsToLanes refuses a file in which what waits and what is counted differ: a post that nothing names would never go out.
func (t *tx) headsToLanes() error {
	waiting := map[post.AccountKey]uint64{}
	err := t.dropBucket(bucketLane2, func(k, _ []byte) error {
		key, ok := cutAccount(k)
		if at := len(accountKey(key)); !ok || len(k) != at+24 {
			return fmt.Errorf("%s/%x: %w", bucketLane2, k, errShort)
		}
		l, err := t.lane(key)
		if err != nil {
			return err
		}
		if l.head.none() { // the first of them comes first
			l.head = position{due: keyMillis(k[len(k)-24:]), id: idAt(k)}
		}
		waiting[key]++
		return t.put(bCal, bytes.Clone(k), []byte(waitMark))
	})
	if err != nil {
		return err
	}
	return t.scan(bLaneState, nil, func(k, v []byte) (bool, error) {
		key, ok := cutAccount(k)
		if !ok {
			return false, corrupt(bLaneState, k, errShort)
		}
		l, err := decodeLane(key, v, nil)
		if err == nil && l.counts.waiting() != waiting[key] {
			err = corrupt(bLaneState, k, fmt.Errorf("%d deliveries wait, and %s names %d", l.counts.waiting(), bucketLane2, waiting[key]))
		}
		return err == nil, err
	})
}

func (t *tx) intentsToLanes() error {
	return t.dropBucket(bucketIntent2, func(k, v []byte) error {
		id := idAt(k)
		d, err := t.delivery(id)
		if err != nil {
			return err
		}
		i, err := intent2(id, v)
		if err != nil {
			return err
		}
		l, err := t.lane(d.Account)
		if err != nil {
			return err
		}
		l.flight = i
		return nil
	})
}

func (t *tx) sortDoubts() error {
	for _, k := range t.keys(bDoubt, nil, math.MaxInt) {
		d, err := t.delivery(idAt(k))
		if err != nil {
			return err
		}
		if !bytes.Equal(k, doubtKey2(d)) {
			return corrupt(bDoubt, k, fmt.Errorf("the next look for %s is at another time", d.ID))
		}
		if err := t.del(bDoubt, k); err != nil {
			return err
		}
		if err := t.put(bDoubt, doubtKey(d), nil); err != nil {
			return err
		}
	}
	return nil
}
