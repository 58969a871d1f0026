package bolt

import (
	"fmt"
	"time"

	"crier/internal/post"
)

// intent is the durable record that a request may be in flight.
type intent struct {
	owner   string
	lease   time.Time
	fence   uint64
	part    int
	digest  string // of the content that is being sent
	started time.Time
	began   time.Time // the same instant by the platform's clock, as nearly as that is known
}

func encodeIntent(i intent) []byte {
	e := encoder{b: make([]byte, 0, 160)}
	e.byte(intentVersion)
	e.b = addTime(e.b, i.lease) // at a fixed place: the earliest lease is found without reading the rest
	e.text(i.owner)
	e.uint(i.fence)
	e.int(int64(i.part))
	e.text(i.digest)
	e.time(i.started)
	e.time(i.began)
	return e.b
}

// leaseOf reads the end of the lease alone; ok is false when the record is damaged.
func leaseOf(b []byte) (ms int64, ok bool) {
	if len(b) < 9 || (b[0] != intentVersion && b[0] != 1) {
		return 0, false
	}
	return keyMillis(b[1:9]), true
}

func decodeIntent(id post.ID, b []byte) (intent, error) {
	r := decoder{b: b}
	v := r.byte()
	if v != intentVersion && v != 1 {
		return intent{}, corrupt(bIntent, id[:], fmt.Errorf("unknown version %d", v))
	}
	var i intent
	if lease := r.take(8); lease != nil {
		i.lease = instant(keyMillis(lease))
	}
	i.owner = r.text()
	i.fence = r.uint()
	i.part = int(r.int())
	i.digest = r.text()
	i.started = r.time()
	i.began = i.started
	if v == intentVersion {
		i.began = r.time()
	}
	if err := r.err(); err != nil {
		return intent{}, corrupt(bIntent, id[:], err)
	}
	return i, nil
}

// The fields of a change that are often empty; each is written if its bit is set.
const (
	changePost = 1 << iota
	changeDelivery
	changeSeries
	changeAccount
	changeFrom
	changeTo
	changeDetail
)

func encodeChange(c *post.Change) []byte {
	e := encoder{b: make([]byte, 0, 128)}
	var flags uint64
	set(&flags, changePost, !c.Post.IsZero())
	set(&flags, changeDelivery, !c.Delivery.IsZero())
	set(&flags, changeSeries, !c.Series.IsZero())
	set(&flags, changeAccount, c.Account != "")
	set(&flags, changeFrom, c.From != "")
	set(&flags, changeTo, c.To != "")
	set(&flags, changeDetail, c.Detail != "")
	e.byte(changeVersion)
	e.uint(flags)
	e.time(c.At)
	e.text(c.Actor)
	e.word(changeWords, c.Type)
	if flags&changePost != 0 {
		e.id(c.Post)
	}
	if flags&changeDelivery != 0 {
		e.id(c.Delivery)
	}
	if flags&changeSeries != 0 {
		e.id(c.Series)
	}
	if flags&changeAccount != 0 {
		e.text(c.Account)
	}
	if flags&changeFrom != 0 {
		e.word(stateWords, string(c.From))
	}
	if flags&changeTo != 0 {
		e.word(stateWords, string(c.To))
	}
	if flags&changeDetail != 0 {
		e.text(c.Detail)
	}
	return e.b
}

func decodeChange(seq uint64, b []byte) (post.Change, error) {
	c := post.Change{Seq: seq}
	r := decoder{b: b}
	switch v := r.byte(); v {
	case changeVersion:
		r.change(&c)
	case 1:
		r.change1(&c)
	default:
		return post.Change{}, corrupt(bOutbox, seqKey(seq), fmt.Errorf("unknown version %d", v))
	}
	if err := r.err(); err != nil {
		return post.Change{}, corrupt(bOutbox, seqKey(seq), err)
	}
	return c, nil
}

func (d *decoder) change(c *post.Change) {
	flags := d.uint()
	c.At = d.time()
	c.Actor = d.text()
	c.Type = d.word(changeWords)
	if flags&changePost != 0 {
		c.Post = d.id()
	}
	if flags&changeDelivery != 0 {
		c.Delivery = d.id()
	}
	if flags&changeSeries != 0 {
		c.Series = d.id()
	}
	if flags&changeAccount != 0 {
		c.Account = d.text()
	}
	if flags&changeFrom != 0 {
		c.From = post.State(d.word(stateWords))
	}
	if flags&changeTo != 0 {
		c.To = post.State(d.word(stateWords))
	}
	if flags&changeDetail != 0 {
		c.Detail = d.text()
	}
}

func encodeAttempt(a *post.Attempt) []byte {
	e := encoder{b: make([]byte, 0, 160)}
	e.byte(attemptVersion)
	e.int(int64(a.Part))
	e.text(a.Act)
	e.time(a.StartedAt)
	e.time(a.EndedAt)
	e.text(string(a.Outcome))
	e.text(a.Reason)
	e.int(int64(a.Status))
	e.text(a.Code)
	e.text(a.Message)
	e.text(a.Decision)
	return e.b
}

func decodeAttempt(key, b []byte, n int) (post.Attempt, error) {
	r := decoder{b: b}
	if err := r.version(attemptVersion); err != nil {
		return post.Attempt{}, corrupt(bAttempt, key, err)
	}
	a := post.Attempt{N: n}
	a.Part = int(r.int())
	a.Act = r.text()
	a.StartedAt = r.time()
	a.EndedAt = r.time()
	a.Outcome = post.Outcome(r.text())
	a.Reason = r.text()
	a.Status = int(r.int())
	a.Code = r.text()
	a.Message = r.text()
	a.Decision = r.text()
	if err := r.err(); err != nil {
		return post.Attempt{}, corrupt(bAttempt, key, err)
	}
	return a, nil
}
