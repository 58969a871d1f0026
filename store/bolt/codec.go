package bolt

import (
	"fmt"
	"time"

	"crier/internal/post"
	"crier/store"
)

// The versions of the binary records. A reader refuses all others: a guess could publish twice.
const (
	deliveryVersion = 1
	laneVersion     = 1
	intentVersion   = 1
	changeVersion   = 1
	attemptVersion  = 1
)

func corrupt(bucket bucketID, key []byte, err error) error {
	return fmt.Errorf("%w: %s/%x: %w", store.ErrCorrupt, bucketNames[bucket], key, err)
}

// version reads the version byte and refuses any but the one wanted.
func (d *decoder) version(want byte) error { //nolint:unparam // each kind of record counts for itself; all are at their first
	if v := d.byte(); v != want {
		return fmt.Errorf("unknown version %d", v)
	}
	return nil
}

// Bits of a delivery's flags.
const (
	flagCancel = 1 << iota
	flagNeedsPrepare
	flagReason
	flagDoubt
)

func encodeDelivery(d *post.Delivery) []byte {
	e := encoder{b: make([]byte, 0, 384)}
	e.byte(deliveryVersion)
	e.text(string(d.State))
	e.time(d.Due)
	e.time(d.NotBefore)
	e.uint(d.Version)
	e.uint(d.Fence)
	e.id(d.Post)
	e.id(d.Target)
	e.text(string(d.Account.Kind))
	e.text(d.Account.Handle)
	e.text(string(d.Platform))
	e.text(d.Destination)
	e.text(d.LocalDue)
	e.text(d.TimeZone)
	e.int(int64(d.Attempts))
	e.time(d.FirstAttempt)
	e.time(d.LateFrom)
	e.text(d.Digest)
	e.text(d.Prepared)
	e.time(d.PreparedUntil)
	e.id(d.Series)
	e.text(d.Occurrence)
	var flags byte
	if d.CancelRequested {
		flags |= flagCancel
	}
	if d.NeedsPrepare {
		flags |= flagNeedsPrepare
	}
	if d.Reason != nil {
		flags |= flagReason
	}
	if d.Doubt != nil {
		flags |= flagDoubt
	}
	e.byte(flags)
	if r := d.Reason; r != nil {
		e.text(r.Code)
		e.text(r.Message)
	}
	if x := d.Doubt; x != nil {
		e.time(x.Since)
		e.time(x.Next)
		e.int(int64(x.Looks))
		e.int(int64(x.Reads))
	}
	e.uint(uint64(len(d.Parts)))
	for i := range d.Parts {
		encodePart(&e, &d.Parts[i])
	}
	return e.b
}

// Bits of a part's flags.
const (
	flagUnknown = 1 << iota
	flagResent
	flagReceipt
)

func encodePart(e *encoder, p *post.Part) {
	e.text(string(p.Role))
	e.text(string(p.State))
	e.time(p.Began)
	e.int(int64(p.Prepares))
	var flags byte
	if p.Unknown {
		flags |= flagUnknown
	}
	if p.Resent {
		flags |= flagResent
	}
	if p.Receipt != nil {
		flags |= flagReceipt
	}
	e.byte(flags)
	if r := p.Receipt; r != nil {
		e.text(r.RemoteID)
		e.text(r.URL)
		e.time(r.At)
	}
}

func decodeDelivery(id post.ID, b []byte) (*post.Delivery, error) {
	r := decoder{b: b}
	if err := r.version(deliveryVersion); err != nil {
		return nil, corrupt(bDelivery, id[:], err)
	}
	d := &post.Delivery{ID: id}
	d.State = stateOf(r.take(r.uint()))
	d.Due = r.time()
	d.NotBefore = r.time()
	d.Version = r.uint()
	d.Fence = r.uint()
	d.Post = r.id()
	d.Target = r.id()
	d.Account.Kind = kindOf(r.take(r.uint()))
	d.Account.Handle = r.text()
	d.Platform = platformOf(r.take(r.uint()))
	d.Destination = r.text()
	d.LocalDue = r.text()
	d.TimeZone = r.text()
	d.Attempts = int(r.int())
	d.FirstAttempt = r.time()
	d.LateFrom = r.time()
	d.Digest = r.text()
	d.Prepared = r.text()
	d.PreparedUntil = r.time()
	d.Series = r.id()
	d.Occurrence = r.text()
	flags := r.byte()
	d.CancelRequested = flags&flagCancel != 0
	d.NeedsPrepare = flags&flagNeedsPrepare != 0
	if flags&flagReason != 0 {
		d.Reason = &post.Reason{Code: r.text(), Message: r.text()}
	}
	if flags&flagDoubt != 0 {
		d.Doubt = &post.Doubt{Since: r.time(), Next: r.time(), Looks: int(r.int()), Reads: int(r.int())}
	}
	if n := r.count(); n > 0 {
		d.Parts = make([]post.Part, n)
		for i := range d.Parts {
			decodePart(&r, &d.Parts[i])
		}
	}
	if err := r.err(); err != nil {
		return nil, corrupt(bDelivery, id[:], err)
	}
	if !d.State.Valid() || !d.Account.Kind.Valid() {
		return nil, corrupt(bDelivery, id[:], fmt.Errorf("unknown state %q or kind %q", d.State, d.Account.Kind))
	}
	return d, nil
}

func decodePart(r *decoder, p *post.Part) {
	p.Role = post.Role(r.text())
	p.State = post.PartState(r.text())
	p.Began = r.time()
	p.Prepares = int(r.int())
	flags := r.byte()
	p.Unknown = flags&flagUnknown != 0
	p.Resent = flags&flagResent != 0
	if flags&flagReceipt != 0 {
		p.Receipt = &post.Receipt{RemoteID: r.text(), URL: r.text(), At: r.time()}
	}
}

// stateOf, kindOf and platformOf give the constants, so that records are read without a copy of each.
func stateOf(b []byte) post.State {
	for _, s := range post.States() {
		if string(b) == string(s) {
			return s
		}
	}
	return post.State(b)
}

func kindOf(b []byte) post.Kind {
	if string(b) == string(post.Brand) {
		return post.Brand
	}
	return post.Kind(b)
}

func platformOf(b []byte) post.Platform {
	for _, p := range post.Platforms() {
		if string(b) == string(p) {
			return p
		}
	}
	return post.Platform(b)
}

// intent is the durable record that a request may be in flight.
type intent struct {
	owner   string
	lease   time.Time
	fence   uint64
	part    int
	digest  string // of the content that is being sent
	started time.Time
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
	return e.b
}

// leaseOf reads the end of the lease alone; ok is false when the record is damaged.
func leaseOf(b []byte) (ms int64, ok bool) {
	if len(b) < 9 || b[0] != intentVersion {
		return 0, false
	}
	return keyMillis(b[1:9]), true
}

func decodeIntent(id post.ID, b []byte) (intent, error) {
	r := decoder{b: b}
	if err := r.version(intentVersion); err != nil {
		return intent{}, corrupt(bIntent, id[:], err)
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
	if err := r.err(); err != nil {
		return intent{}, corrupt(bIntent, id[:], err)
	}
	return i, nil
}

func encodeChange(c *post.Change) []byte {
	e := encoder{b: make([]byte, 0, 192)}
	e.byte(changeVersion)
	e.time(c.At)
	e.text(c.Actor)
	e.text(c.Type)
	e.id(c.Post)
	e.id(c.Delivery)
	e.id(c.Series)
	e.text(c.Account)
	e.text(string(c.From))
	e.text(string(c.To))
	e.text(c.Detail)
	return e.b
}

func decodeChange(seq uint64, b []byte) (post.Change, error) {
	r := decoder{b: b}
	if err := r.version(changeVersion); err != nil {
		return post.Change{}, corrupt(bOutbox, seqKey(seq), err)
	}
	c := post.Change{Seq: seq}
	c.At = r.time()
	c.Actor = r.text()
	c.Type = r.text()
	c.Post = r.id()
	c.Delivery = r.id()
	c.Series = r.id()
	c.Account = r.text()
	c.From = post.State(r.text())
	c.To = post.State(r.text())
	c.Detail = r.text()
	if err := r.err(); err != nil {
		return post.Change{}, corrupt(bOutbox, seqKey(seq), err)
	}
	return c, nil
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
