package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"crier/internal/post"
	"crier/store"
)

// maxProblems bounds what a check lists.
const maxProblems = 1000

// Check reads every record and index in one view and lists what does not agree.
func (s *Store) Check(ctx context.Context) (problems []string, err error) {
	err = s.read(ctx, func(t *tx) error {
		problems = t.check()
		return nil
	})
	return problems, err
}

// checker compares the indexes with the truth.
type checker struct {
	*tx
	problems []string
	want     [bucketCount]int // how many entries each index must have
	meta     meta
	lanes    map[post.AccountKey]*laneFacts
	schema   uint64
	linked   int // changes that a post's deliveries lead to
}

// laneFacts is what the deliveries of an account say of its lane.
type laneFacts struct {
	head    *post.Delivery
	sending []post.ID
	counts  tally
}

func (c *checker) say(format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

func (t *tx) check() []string {
	c := &checker{tx: t, lanes: map[post.AccountKey]*laneFacts{}}
	var err error
	if c.schema, err = t.readSchema(); err != nil {
		c.say("%v", err)
		return c.problems
	}
	err = t.scan(bDelivery, nil, func(k, v []byte) (bool, error) {
		if len(k) != 16 {
			c.say("delivery/%x: the key is no id", k)
			return true, nil
		}
		d, err := decodeDelivery(post.ID(k), v)
		if err != nil {
			c.say("%v", err)
			return true, nil
		}
		c.delivery(d)
		return true, nil
	})
	if err != nil {
		c.say("%v", err)
	}
	c.indexes()
	c.allLanes()
	c.contents()
	c.history()
	return c.problems
}

// entry demands an entry of an index.
func (c *checker) entry(b bucketID, key []byte) {
	c.want[b]++
	if k, _ := c.bucket(b).Cursor().Seek(key); !bytes.Equal(k, key) {
		c.say("%s/%x is missing", bucketNames[b], key)
	}
}

func (c *checker) delivery(d *post.Delivery) {
	c.meta.counts[kindIndex(d.Account.Kind)].move("", d.State)
	c.facts(d.Account).counts.move("", d.State)
	c.entry(bContent, d.Post[:])
	c.entry(bCal, laneKey(d))
	c.entry(bCal0, calendarKey(d))
	if listed(d.State) {
		c.entry(bStatus, statusKey(d))
	}
	if prepares(d) {
		c.entry(bPrep, prepKey(d))
	}
	switch {
	case nextLook(d).IsZero():
	case c.schema < 3:
		c.entry(bDoubt, doubtKey2(d))
	default:
		c.entry(bDoubt, doubtKey(d))
	}
	if openOccurrence(d) {
		c.entry(bOpenOcc, openOccKey(d))
	}
	for i := range d.Parts {
		if r := d.Parts[i].Receipt; fresh(nil, i, r) {
			c.entry(bReceipt, receiptKey(d.Platform, r.RemoteID))
		}
	}
	c.attempts(d)
	if d.State.Waiting() {
		c.waiting(d)
	}
	if marked := mayWait(c.get(bCal, laneKey(d))); c.schema > 2 && marked != d.State.Waiting() && d.State != post.Published {
		c.say("cal/%x: delivery %s is %s, and it may wait: %t", laneKey(d), d.ID, d.State, marked)
	}
}

// attempts checks that a flight record is numbered from 1 on.
func (c *checker) attempts(d *post.Delivery) {
	all, err := c.flightRecord(d)
	if err != nil {
		c.say("%v", err)
		return
	}
	for i := range all {
		if all[i].N != i+1 {
			c.say("attempt/%x: number %d follows %d", d.ID, all[i].N, i)
		}
	}
	c.want[bAttempt] += len(all)
	if d.LastAttempt != nil {
		c.want[bAttempt]--
	}
}

func (c *checker) facts(account post.AccountKey) *laneFacts {
	l := c.lanes[account]
	if l == nil {
		l = &laneFacts{}
		c.lanes[account] = l
	}
	return l
}

func (c *checker) waiting(d *post.Delivery) {
	l := c.facts(d.Account)
	if l.head == nil || bytes.Compare(laneKey(d), laneKey(l.head)) < 0 {
		l.head = d
	}
	if d.State == post.Sending {
		l.sending = append(l.sending, d.ID)
	}
}

// indexes compares sizes: with every wanted entry there, an equal number means that nothing stands too much.
func (c *checker) indexes() {
	for _, b := range []bucketID{bCal, bCal0, bStatus, bPrep, bDoubt, bOpenOcc, bReceipt, bAttempt} {
		if n := c.size(b); n != c.want[b] {
			c.say("%s has %d entries, want %d", bucketNames[b], n, c.want[b])
		}
	}
	m, err := c.loadMeta()
	if err != nil {
		c.say("%v", err)
		return
	}
	if m.counts != c.meta.counts {
		c.say("meta: counted %v, the deliveries are %v", m.counts, c.meta.counts)
	}
}

func (c *checker) size(b bucketID) int {
	n := 0
	cur := c.bucket(b).Cursor()
	for k, _ := cur.First(); k != nil; k, _ = cur.Next() {
		n++
	}
	return n
}

func (c *checker) allLanes() {
	ready := 0
	err := c.scan(bLaneState, nil, func(k, v []byte) (bool, error) {
		key, ok := cutAccount(k)
		if !ok {
			c.say("lanestate/%x: the key is no account", k)
			return true, nil
		}
		l, err := decodeLane(key, v, nil)
		if err != nil {
			c.say("%v", err)
			return true, nil
		}
		if l.ready {
			ready++
		}
		c.lane(l)
		delete(c.lanes, key)
		return true, nil
	})
	if err != nil {
		c.say("%v", err)
	}
	for key, f := range c.lanes {
		if c.schema == 1 && len(f.sending) == 0 {
			continue
		}
		c.say("lane %s: deliveries %v and no record", key, f.counts)
	}
	if n := c.size(bReady); n != ready {
		c.say("ready has %d entries, want %d", n, ready)
	}
}

// lane derives anew what a lane's record must say.
func (c *checker) lane(l *lane) {
	f := c.lanes[l.key]
	if f == nil {
		f = &laneFacts{}
	}
	if c.schema > 1 && l.counts != f.counts {
		c.say("lane %s: counted %v, the deliveries are %v", l.key, l.counts, f.counts)
	}
	switch {
	case len(f.sending) > 1:
		c.say("lane %s: %d in flight", l.key, len(f.sending))
	case len(f.sending) == 1 && l.flight.delivery != f.sending[0], len(f.sending) == 0 && !l.flight.none():
		c.say("lane %s: in flight is %v, recorded %v", l.key, f.sending, l.flight.delivery)
	case c.schema > 2 && !l.flight.none() && (l.flight.owner == "" || l.flight.lease.IsZero() || l.flight.started.IsZero()):
		c.say("lane %s: its intent for %s has no owner, lease or start", l.key, l.flight.delivery)
	}
	var head position
	if f.head != nil {
		head = positionOf(f.head)
	}
	if c.schema > 2 && (l.astray || l.head != head) {
		c.say("lane %s: head %s, recorded %s (astray: %t)", l.key, head.id, l.head.id, l.astray)
	}
	ready := f.head != nil && !l.closed() && f.head.State == post.Scheduled && !waits(f.head)
	if ready != l.ready {
		c.say("lane %s: ready is %t, recorded %t", l.key, ready, l.ready)
		return
	}
	if !ready {
		return
	}
	if at := l.opens(f.head); at != l.readyMs || l.entry != f.head.ID {
		c.say("lane %s: head %s at %d, recorded %s at %d", l.key, f.head.ID, at, l.entry, l.readyMs)
	}
	v := c.get(bReady, readyKey(l.readyMs, l.key))
	if v == nil {
		c.say("lane %s: it has no entry in ready", l.key)
	} else if want := appendReady(nil, l.entry, f.head.Platform, l); !bytes.Equal(v, want) {
		c.say("lane %s: its entry in ready is of another head, platform or owner", l.key)
	}
}

// contents checks that posts and deliveries name each other.
func (c *checker) contents() {
	err := c.scan(bContent, nil, func(k, _ []byte) (bool, error) {
		if len(k) != 16 {
			c.say("content/%x: the key is no id", k)
			return true, nil
		}
		p, err := c.post(post.ID(k))
		if err != nil {
			c.say("%v", err)
			return true, nil
		}
		for i := range p.Targets {
			d, err := c.tx.delivery(p.Targets[i].Delivery)
			switch {
			case errors.Is(err, store.ErrNotFound):
				c.say("content/%x: delivery %s is missing", k, p.Targets[i].Delivery)
			case err == nil && d.Post != p.ID:
				c.say("content/%x: delivery %s is of post %s", k, d.ID, d.Post)
			case err == nil:
				c.follow(d)
			}
		}
		for key := range mediaUses(p) {
			if u, _ := c.bucket(bMediaUse).Cursor().Seek([]byte(key)); string(u) != key {
				c.say("content/%x: a use of its media is missing", k)
			}
		}
		return true, nil
	})
	if err != nil {
		c.say("%v", err)
	}
}

// follow counts the changes that a delivery leads to.
func (c *checker) follow(d *post.Delivery) {
	if err := c.walk(d, func(*logged) { c.linked++ }); err != nil {
		c.say("%v", err)
	}
}

// dropped follows the deliveries that posts have dropped, and gives how many there are.
func (c *checker) dropped() (n int) {
	err := c.scan(bHistory, nil, func(k, _ []byte) (bool, error) {
		if len(k) != 32 {
			return true, nil
		}
		n++
		d, err := c.tx.delivery(idAt(k))
		switch {
		case err != nil:
			c.say("history/%x: %v", k, err)
		case !bytes.Equal(k, droppedKey(d)):
			c.say("history/%x: delivery %s is of post %s", k, d.ID, d.Post)
		default:
			c.follow(d)
		}
		return true, nil
	})
	if err != nil {
		c.say("%v", err)
	}
	return n
}

// history checks that the sequence has no gap and ends where the counter says, and that every change is found: by the
// index of its post, or from its delivery. It comes after contents.
func (c *checker) history() {
	var last uint64
	indexed, linked := c.dropped(), 0
	err := c.scan(bOutbox, nil, func(k, v []byte) (bool, error) {
		seq := readSeq(k)
		if last != 0 && seq != last+1 {
			c.say("outbox: %d follows %d", seq, last)
		}
		last = seq
		x, err := decodeChange(seq, v)
		if err != nil {
			c.say("%v", err)
			return true, nil
		}
		if x.linked {
			linked++
		}
		if x.indexed() {
			indexed++
			if k, _ := c.bucket(bHistory).Cursor().Seek(idSeqKey(x.Post, seq)); !bytes.Equal(k, idSeqKey(x.Post, seq)) {
				c.say("history: %d of post %s is missing", seq, x.Post)
			}
		}
		return true, nil
	})
	if err != nil {
		c.say("%v", err)
	}
	if m, err := c.loadMeta(); err == nil && last != 0 && m.seq != last {
		c.say("outbox: it ends at %d, the counter says %d", last, m.seq)
	}
	if linked != c.linked {
		c.say("outbox: %d changes of deliveries, those of the posts lead to %d", linked, c.linked)
	}
	if n := c.size(bHistory); n != indexed {
		c.say("history has %d entries, want %d", n, indexed)
	}
}
