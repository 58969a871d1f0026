package bolt

import (
	"bytes"
	"cmp"
	"errors"
	"math"

	"crier/internal/post"
)

// The order of a lane is that of its account's calendar. The record of the lane names its head, the first delivery that
// waits, so that it is found without a search; when it leaves, the next is looked for behind it. The calendar marks what
// may wait: the search reads nothing of drafts and canceled ones. The mark of what is published stays, for it would cost a
// page that nothing else touches, and stands before the head.

// position is where a delivery stands in the order of its lane; without an id it is nowhere.
type position struct {
	due int64
	id  post.ID
}

func positionOf(d *post.Delivery) position { return position{due: millis(d.Due), id: d.ID} }

func (p position) none() bool { return p.id.IsZero() }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.due, q.due), bytes.Compare(p.id[:], q.id[:]))
}

// key is account, due, id.
func (p position) key(account post.AccountKey) []byte {
	b := addAccount(make([]byte, 0, 72), account)
	return append(addMillis(b, p.due), p.id[:]...)
}

// moveHead keeps the head of the lane where a delivery changes. Where the head itself leaves, it leaves the lane astray.
func (l *lane) moveHead(before, after *post.Delivery) {
	if before != nil && before.State.Waiting() {
		if was := positionOf(before); was == l.head && (!after.State.Waiting() || positionOf(after) != was) {
			l.astray, l.dirty = true, true
		}
	}
	if !after.State.Waiting() {
		return
	}
	is := positionOf(after)
	switch {
	case l.head.none(), is.compare(l.head) < 0:
		l.head, l.astray, l.dirty = is, false, true
	case is == l.head && l.astray: // it is back
		l.astray = false
	}
}

// headOf gives the place of the first waiting delivery of a lane, and looks for it where the lane is astray.
func (t *tx) headOf(l *lane) (position, error) {
	if !l.astray {
		return l.head, nil
	}
	var found position
	if l.counts.waiting() > 0 {
		err := t.eachWaiting(l.key, l.head, math.MaxInt64, func(p position) bool {
			found = p
			return false
		})
		if err != nil {
			return position{}, err
		}
	}
	l.head, l.astray, l.dirty = found, false, true
	return found, nil
}

// laneHead is the first waiting delivery of a lane; nil when there is none.
func (t *tx) laneHead(l *lane) (*post.Delivery, error) {
	p, err := t.headOf(l)
	if err != nil || p.none() {
		return nil, err
	}
	return t.named(p.key(l.key))
}

// named reads the delivery that a key of the calendar ends with.
func (t *tx) named(k []byte) (*post.Delivery, error) {
	id := idAt(k)
	b := t.get(bDelivery, id[:])
	if b == nil {
		return nil, corrupt(bCal, k, errors.New("it names no delivery"))
	}
	return decodeDelivery(id, b)
}

// eachWaiting calls f for the waiting deliveries of an account from a position on and due before an instant, in their
// order, until f reports false. f must not read the calendar.
func (t *tx) eachWaiting(account post.AccountKey, from position, before int64, f func(position) bool) error {
	prefix := accountKey(account)
	c := t.cursor(bCal)
	for k, v := c.Seek(from.key(account)); bytes.HasPrefix(k, prefix) && keyMillis(k[len(prefix):]) < before; k, v = c.Next() {
		if !mayWait(v) {
			continue
		}
		id := idAt(k)
		b := t.get(bDelivery, id[:])
		if b == nil {
			return corrupt(bCal, k, errors.New("it names no delivery"))
		}
		state, err := stateOf(id, b)
		if err != nil {
			return err
		}
		if state.Waiting() && !f(position{due: keyMillis(k[len(prefix):]), id: id}) {
			return nil
		}
	}
	return nil
}

// waitMark is the value of an entry of the calendar whose delivery may wait; that of all others is empty.
const waitMark = "w"

func mayWait(v []byte) bool { return string(v) == waitMark }

// calendar keeps the entries of a delivery in the calendars, and the mark of what may wait.
func (t *tx) calendar(before, after *post.Delivery) error {
	moved := before == nil || !before.Due.Equal(after.Due)
	if before != nil && moved {
		if err := errors.Join(t.del(bCal, laneKey(before)), t.del(bCal0, calendarKey(before))); err != nil {
			return err
		}
	}
	if moved {
		if err := t.put(bCal0, calendarKey(after), nil); err != nil {
			return err
		}
	}
	switch was, is := before != nil && before.State.Waiting(), after.State.Waiting(); {
	case is && (moved || !was):
		return t.put(bCal, laneKey(after), []byte(waitMark))
	case !is && (moved || (was && after.State != post.Published) || before.State == post.Published):
		return t.put(bCal, laneKey(after), nil)
	}
	return nil
}
