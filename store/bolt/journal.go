package bolt

import (
	"fmt"

	"crier/internal/post"
)

// The fields of a change that are often empty; each is written if its bit is set.
const (
	changePost = 1 << iota
	changeDelivery
	changeSeries
	changeAccount
	changeFrom
	changeTo
	changeDetail
	changeLinked // a delivery leads to it: its own changes, and the creation of its post
)

// appendChange appends the record of a change. A linked one is reached from a delivery; prev is the number of the one
// before it there, 0 for the first.
func appendChange(b []byte, c *post.Change, linked bool, prev uint64) []byte {
	e := encoder{b: b}
	var flags uint64
	set(&flags, changePost, !c.Post.IsZero())
	set(&flags, changeDelivery, !c.Delivery.IsZero())
	set(&flags, changeSeries, !c.Series.IsZero())
	set(&flags, changeAccount, c.Account != "")
	set(&flags, changeFrom, c.From != "")
	set(&flags, changeTo, c.To != "")
	set(&flags, changeDetail, c.Detail != "")
	set(&flags, changeLinked, linked)
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
	if linked {
		e.uint(prev)
	}
	return e.b
}

// logged is a change as it stands in the outbox.
type logged struct {
	post.Change

	prev   uint64 // the change before it, from the same delivery back
	linked bool   // it is reached from a delivery, and not by the index of its post
}

// indexed reports whether the change is found by the index of its post.
func (l *logged) indexed() bool { return !l.Post.IsZero() && !l.linked }

func decodeChange(seq uint64, b []byte) (logged, error) {
	c := logged{Change: post.Change{Seq: seq}}
	r := decoder{b: b}
	switch v := r.byte(); v {
	case changeVersion:
		r.change(&c)
	case 1:
		r.change1(&c.Change)
	default:
		return logged{}, corrupt(bOutbox, seqKey(seq), fmt.Errorf("unknown version %d", v))
	}
	if err := r.err(); err != nil {
		return logged{}, corrupt(bOutbox, seqKey(seq), err)
	}
	if c.prev >= seq {
		return logged{}, corrupt(bOutbox, seqKey(seq), fmt.Errorf("it follows %d", c.prev))
	}
	return c, nil
}

func (d *decoder) change(c *logged) {
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
	if c.linked = flags&changeLinked != 0; c.linked {
		c.prev = d.uint()
	}
}

// attempt appends an attempt, but for its number.
func (e *encoder) attempt(a *post.Attempt) {
	e.byte(attemptVersion)
	e.int(int64(a.Part))
	e.word(attemptWords, a.Act)
	e.time(a.StartedAt)
	e.time(a.EndedAt)
	e.word(attemptWords, string(a.Outcome))
	e.text(a.Reason)
	e.int(int64(a.Status))
	e.text(a.Code)
	e.text(a.Message)
	e.word(attemptWords, a.Decision)
}

// appendAttempt appends the record of an attempt.
func appendAttempt(b []byte, a *post.Attempt) []byte {
	e := encoder{b: b}
	e.attempt(a)
	return e.b
}

func (d *decoder) attempt(n int) (a post.Attempt) {
	a.N = n
	switch d.byte() {
	case attemptVersion:
		a.Part, a.Act = int(d.int()), d.word(attemptWords)
		a.StartedAt, a.EndedAt = d.time(), d.time()
		a.Outcome, a.Reason = post.Outcome(d.word(attemptWords)), d.text()
		a.Status, a.Code, a.Message = int(d.int()), d.text(), d.text()
		a.Decision = d.word(attemptWords)
	case 1:
		a.Part, a.Act = int(d.int()), d.text()
		a.StartedAt, a.EndedAt = d.time(), d.time()
		a.Outcome, a.Reason = post.Outcome(d.text()), d.text()
		a.Status, a.Code, a.Message = int(d.int()), d.text(), d.text()
		a.Decision = d.text()
	default:
		d.bad = true
	}
	return a
}

func decodeAttempt(key, b []byte, n int) (post.Attempt, error) {
	r := decoder{b: b}
	a := r.attempt(n)
	if err := r.err(); err != nil {
		return post.Attempt{}, corrupt(bAttempt, key, err)
	}
	return a, nil
}
