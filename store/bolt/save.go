package bolt

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// cause says who changes a delivery, when, and how the history calls it.
type cause struct {
	now   time.Time
	actor string
	// verb is empty for delivery.<new state>; when the state stays, a cancellation that was asked for is all there is to
	// tell of.
	verb string
}

const crier = "crier"

// listed reports whether the state has an index of its own.
func listed(s post.State) bool {
	switch s {
	case post.Draft, post.InReview, post.Failed, post.Partial, post.Unconfirmed, post.Missed, post.AwaitingPerson:
		return true
	case post.Scheduled, post.Sending, post.Published, post.Canceled, post.Removed:
		return false
	}
	return false
}

// prepares reports whether the delivery stands in the list of those to prepare.
func prepares(d *post.Delivery) bool { return d.State == post.Scheduled && waits(d) }

// openOccurrence reports whether an occurrence can still be withdrawn with its series; one that was made as missed, as
// long as its time lies ahead: see withdrawable.
func openOccurrence(d *post.Delivery) bool {
	if d.Series.IsZero() || d.Begun() {
		return false
	}
	return d.State == post.Draft || d.State == post.InReview || d.State == post.Scheduled || refusedRun(d)
}

func refusedRun(d *post.Delivery) bool {
	return d.State == post.Missed && d.Reason != nil && d.Reason.Code == store.ReasonRefused
}

// withdrawable reports whether an occurrence is withdrawn with its series at now.
func withdrawable(d *post.Delivery, now time.Time) bool {
	return openOccurrence(d) && (!refusedRun(d) || d.Due.After(now))
}

func nextLook(d *post.Delivery) time.Time {
	if d.State != post.Unconfirmed || d.Doubt == nil {
		return time.Time{}
	}
	return d.Doubt.Next
}

// normal rounds all instants to what is stored.
func normal(d *post.Delivery) {
	d.Due, d.NotBefore = post.Instant(d.Due), post.Instant(d.NotBefore)
	d.FirstAttempt, d.LateFrom = post.Instant(d.FirstAttempt), post.Instant(d.LateFrom)
	d.PreparedUntil = post.Instant(d.PreparedUntil)
	if d.Doubt != nil {
		d.Doubt.Since, d.Doubt.Next = post.Instant(d.Doubt.Since), post.Instant(d.Doubt.Next)
	}
	for i := range d.Parts {
		d.Parts[i].Began = post.Instant(d.Parts[i].Began)
		if r := d.Parts[i].Receipt; r != nil {
			r.At = post.Instant(r.At)
		}
	}
}

// toggle moves a key of an index from before to after; nil means that there is none.
func (t *tx) toggle(b bucketID, before, after []byte) error {
	if bytes.Equal(before, after) {
		return nil
	}
	if before != nil {
		if err := t.del(b, before); err != nil {
			return err
		}
	}
	if after != nil {
		return t.put(b, after, nil)
	}
	return nil
}

func when(yes bool, key func() []byte) []byte {
	if yes {
		return key()
	}
	return nil
}

// fresh reports whether the receipt of a part is new and names something. A person's word that a part is out may come
// without a remote id: nothing is then to be kept unique.
func fresh(before *post.Delivery, part int, r *post.Receipt) bool {
	if r == nil || r.RemoteID == "" {
		return false
	}
	return before == nil || part >= len(before.Parts) || before.Parts[part].Receipt == nil
}

// checkReceipts refuses, before anything is written, a receipt that another part holds.
func (t *tx) checkReceipts(before, after *post.Delivery) error {
	for i := range after.Parts {
		r := after.Parts[i].Receipt
		if !fresh(before, i, r) {
			continue
		}
		holder := t.get(bReceipt, receiptKey(after.Platform, r.RemoteID))
		if holder == nil {
			continue
		}
		if len(holder) == 18 && bytes.Equal(holder[:16], after.ID[:]) && int(holder[16])<<8|int(holder[17]) == i {
			continue
		}
		return fmt.Errorf("%w: by delivery %s", store.ErrReceiptTaken, post.ID(holder[:16]))
	}
	return nil
}

// save writes a delivery and moves every index with it; before is nil for a new one. It bumps the version. The caller
// has asked checkReceipts, and settles the lanes when the operation is done.
func (t *tx) save(before, after *post.Delivery, c cause) error {
	after.Version++
	normal(after)
	if err := t.tell(before, after, c); err != nil {
		return err
	}
	if err := t.put(bDelivery, after.ID[:], appendDelivery(t.record(), after)); err != nil {
		return err
	}
	if before != nil && before.State == post.Canceled { // a receipt is taken even of what its post has dropped
		if err := t.keepDropped(after); err != nil {
			return err
		}
	}
	if err := t.index(before, after); err != nil {
		return err
	}
	if err := t.receipts(before, after); err != nil {
		return err
	}
	if err := t.moveLane(before, after, c.now); err != nil {
		return err
	}
	var from post.State
	if before != nil {
		from = before.State
	}
	return t.count(after.Account, from, after.State)
}

// tell appends to the history what has become of the delivery, if anything has.
func (t *tx) tell(before, after *post.Delivery, c cause) error {
	var from post.State
	if before != nil {
		from = before.State
	}
	if c.verb == "" && from == after.State {
		if before.CancelRequested || !after.CancelRequested {
			return nil
		}
		c.verb = "delivery.cancel_requested"
	}
	change := post.Change{
		At: c.now, Actor: c.actor, Type: c.verb, Post: after.Post, Delivery: after.ID, Series: after.Series,
		Account: after.Account.String(), From: from, To: after.State,
	}
	if change.Type == "" {
		change.Type = "delivery." + string(after.State)
	}
	if after.Reason != nil {
		change.Detail = after.Reason.Code
	}
	return t.link(after, &change)
}

// index keeps the indexes that name a delivery alone.
func (t *tx) index(before, after *post.Delivery) error {
	if err := t.calendar(before, after); err != nil {
		return err
	}
	type entry struct {
		bucket bucketID
		has    func(*post.Delivery) bool
		key    func(*post.Delivery) []byte
	}
	for _, e := range [...]entry{
		{bStatus, func(d *post.Delivery) bool { return listed(d.State) }, statusKey},
		{bPrep, prepares, prepKey},
		{bDoubt, func(d *post.Delivery) bool { return !nextLook(d).IsZero() }, doubtKey},
		{bOpenOcc, openOccurrence, openOccKey},
	} {
		was, is := before != nil && e.has(before), e.has(after)
		if !was && !is {
			continue
		}
		err := t.toggle(e.bucket,
			when(was, func() []byte { return e.key(before) }), when(is, func() []byte { return e.key(after) }))
		if err != nil {
			return err
		}
	}
	if !nextLook(after).IsZero() || prepares(after) {
		t.wake = true
	}
	return nil
}

func prepKey(d *post.Delivery) []byte { return timedKey(millis(d.Due), d.ID) }
func openOccKey(d *post.Delivery) []byte {
	return append(append(make([]byte, 0, 32), d.Series[:]...), d.ID[:]...)
}

func (t *tx) receipts(before, after *post.Delivery) error {
	for i := range after.Parts {
		r := after.Parts[i].Receipt
		if !fresh(before, i, r) {
			continue
		}
		v := append(append(make([]byte, 0, 18), after.ID[:]...), byte(i>>8), byte(i))
		if err := t.put(bReceipt, receiptKey(after.Platform, r.RemoteID), v); err != nil {
			return err
		}
	}
	return nil
}

// moveLane keeps the lane's own memory: what is in flight, spacing, doubt and excused waiting.
func (t *tx) moveLane(before, after *post.Delivery, now time.Time) error {
	waited := before != nil && (before.State.Waiting() || before.State == post.Unconfirmed)
	if !waited && !after.State.Waiting() && after.State != post.Unconfirmed {
		return nil
	}
	l, err := t.lane(after.Account)
	if err != nil {
		return err
	}
	l.moveHead(before, after)
	was := post.State("")
	if before != nil {
		was = before.State
	}
	if was == post.Sending && after.State != post.Sending {
		l.excuse(now)
		if l.flight.delivery == after.ID {
			l.flight, l.dirty = intent{}, true
		}
		if after.State == post.Unconfirmed || receiptCount(after) > receiptCount(before) {
			l.lastSent, l.dirty = now, true
			l.span(now, now.Add(l.minGap))
		}
		if after.State == post.Scheduled {
			l.span(now, after.NotBefore)
		}
	}
	if was == post.Scheduled && after.State == post.Scheduled && limited(after.Reason) {
		l.span(now, after.NotBefore) // a limit that its preparing has met
	}
	switch {
	case after.State == post.Unconfirmed && was != post.Unconfirmed && after.Doubt != nil:
		l.doubts, l.dirty = append(l.doubts, doubt{id: after.ID, since: after.Doubt.Since}), true
	case was == post.Unconfirmed && after.State != post.Unconfirmed:
		l.excuse(now)
		l.doubts = slices.DeleteFunc(l.doubts, func(d doubt) bool { return d.id == after.ID })
		l.dirty = true
		if after.State == post.Scheduled && before.Doubt != nil {
			l.span(before.Doubt.Since, now) // the looking is not the delivery's own lateness
			l.span(now, after.NotBefore)
		}
	}
	return nil
}

// limited reports whether a delivery waits for a limit of its platform.
func limited(r *post.Reason) bool {
	return r != nil && (r.Code == "rate_limit" || r.Code == "budget")
}

func receiptCount(d *post.Delivery) int {
	n := 0
	for i := range d.Parts {
		if d.Parts[i].Receipt != nil {
			n++
		}
	}
	return n
}
