package bolt

import (
	"encoding/hex"
	"fmt"
	"slices"

	"crier/internal/post"
	"crier/store"
)

// The versions of the binary records that are written. Readers know the earlier ones as well, and refuse all others: a
// guess could publish twice.
const (
	deliveryVersion = 3
	contentVersion  = 2
	laneVersion     = 3
	changeVersion   = 2
	attemptVersion  = 2
)

// deliveryVersion2 is read as the present one; it holds no attempt.
const deliveryVersion2 = 2

// laneHoldsIntent is the first version of a lane's record that holds intent and head; see schema2.go.
const laneHoldsIntent = 3

func corrupt(bucket bucketID, key []byte, err error) error {
	return fmt.Errorf("%w: %s/%x: %w", store.ErrCorrupt, bucketNames[bucket], key, err)
}

// version reads the version byte and refuses any but the one wanted.
func (d *decoder) version(want byte) error {
	if v := d.byte(); v != want {
		return fmt.Errorf("unknown version %d", v)
	}
	return nil
}

// vocabulary are words that stand in records as numbers: their places in it, from 1 on. It only ever grows at its end.
type vocabulary []string

// The words of a delivery and of the history.
var (
	stateWords = vocabulary{
		"draft", "in_review", "scheduled", "sending", "published", "partial", "failed", "unconfirmed", "missed",
		"awaiting_person", "canceled", "removed",
	}
	kindWords     = vocabulary{"brand", "personal"}
	platformWords = vocabulary{"twitter", "facebook", "instagram", "reddit", "youtube"}
	roleWords     = vocabulary{"post", "reply", "comment", "follow_up"}
	partWords     = vocabulary{"waiting", "sending", "published", "unconfirmed", "failed"}
	changeWords   = vocabulary{
		"post.created", "post.edited", "delivery.scheduled", "delivery.sending", "delivery.published",
		"delivery.unconfirmed", "delivery.failed", "delivery.missed", "delivery.canceled", "delivery.draft",
	}
	attemptWords = vocabulary{"publish", "prepare", "look", "resolve", "published", "not_published", "unknown"}
)

// known gives b as a text, without a copy when it is one of the words.
func (v vocabulary) known(b []byte) string {
	for _, w := range v {
		if string(b) == w {
			return w
		}
	}
	return string(b)
}

// word appends a word of the vocabulary as its number, and any other word as zero and itself.
func (e *encoder) word(v vocabulary, s string) {
	if i := slices.Index(v, s); i >= 0 {
		e.byte(byte(i + 1)) //nolint:gosec // vocabularies are short
		return
	}
	e.byte(0)
	e.text(s)
}

func (d *decoder) word(v vocabulary) string {
	n := int(d.byte())
	switch {
	case n == 0:
		return d.text()
	case n > len(v):
		d.bad = true
		return ""
	}
	return v[n-1]
}

// hash appends a SHA-256 in hexadecimal as its 32 bytes, and any other text as itself.
func (e *encoder) hash(s string) {
	var sum [32]byte
	var text [64]byte
	if len(s) == len(text) {
		copy(text[:], s)
		if _, err := hex.Decode(sum[:], text[:]); err == nil {
			hex.Encode(text[:], sum[:])
			if string(text[:]) == s { // in lower case, as it is read again
				e.byte(1)
				e.b = append(e.b, sum[:]...)
				return
			}
		}
	}
	e.byte(0)
	e.text(s)
}

func (d *decoder) hash() string {
	if d.byte() == 0 {
		return d.text()
	}
	var text [64]byte
	if sum := d.take(32); sum != nil {
		hex.Encode(text[:], sum)
		return string(text[:])
	}
	return ""
}

// account appends kind and handle.
func (e *encoder) account(k post.AccountKey) {
	e.word(kindWords, string(k.Kind))
	e.text(k.Handle)
}

func (d *decoder) account() post.AccountKey {
	return post.AccountKey{Kind: post.Kind(d.word(kindWords)), Handle: d.text()}
}

// The fields of a delivery that are often empty; each is written if its bit is set.
const (
	hasCancel = 1 << iota
	hasNeedsPrepare
	hasReason
	hasDoubt
	hasNotBefore
	hasLocal
	hasFirstAttempt
	hasLateFrom
	hasPrepared
	preparedIsDigest // in place of hasPrepared: what is prepared is the present content
	hasPreparedUntil
	hasSeries
	hasDestination
	hasLastChange
	hasLastAttempt
)

func set(flags *uint64, bit uint64, yes bool) {
	if yes {
		*flags |= bit
	}
}

func deliveryFlags(d *post.Delivery) (flags uint64) {
	same := d.Prepared != "" && d.Prepared == d.Digest
	set(&flags, hasCancel, d.CancelRequested)
	set(&flags, hasNeedsPrepare, d.NeedsPrepare)
	set(&flags, hasReason, d.Reason != nil)
	set(&flags, hasDoubt, d.Doubt != nil)
	set(&flags, hasNotBefore, !d.NotBefore.IsZero())
	set(&flags, hasLocal, d.LocalDue != "" || d.TimeZone != "")
	set(&flags, hasFirstAttempt, !d.FirstAttempt.IsZero())
	set(&flags, hasLateFrom, !d.LateFrom.IsZero())
	set(&flags, hasPrepared, d.Prepared != "" && !same)
	set(&flags, preparedIsDigest, same)
	set(&flags, hasPreparedUntil, !d.PreparedUntil.IsZero())
	set(&flags, hasSeries, !d.Series.IsZero() || d.Occurrence != "")
	set(&flags, hasDestination, d.Destination != "")
	set(&flags, hasLastChange, d.LastChange != 0)
	set(&flags, hasLastAttempt, d.LastAttempt != nil)
	return flags
}

// appendDelivery appends the record of a delivery.
func appendDelivery(b []byte, d *post.Delivery) []byte {
	e := encoder{b: b}
	flags := deliveryFlags(d)
	has := func(bit uint64) bool { return flags&bit != 0 }
	e.byte(deliveryVersion)
	e.uint(flags)
	e.word(stateWords, string(d.State))
	e.time(d.Due)
	e.uint(d.Version)
	e.uint(d.Fence)
	e.id(d.Post)
	e.id(d.Target)
	e.account(d.Account)
	e.word(platformWords, string(d.Platform))
	e.int(int64(d.Attempts))
	e.hash(d.Digest)
	if has(hasDestination) {
		e.text(d.Destination)
	}
	if has(hasNotBefore) {
		e.time(d.NotBefore)
	}
	if has(hasLocal) {
		e.text(d.LocalDue)
		e.text(d.TimeZone)
	}
	if has(hasFirstAttempt) {
		e.time(d.FirstAttempt)
	}
	if has(hasLateFrom) {
		e.time(d.LateFrom)
	}
	if has(hasPrepared) {
		e.hash(d.Prepared)
	}
	if has(hasPreparedUntil) {
		e.time(d.PreparedUntil)
	}
	if has(hasSeries) {
		e.id(d.Series)
		e.text(d.Occurrence)
	}
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
	if has(hasLastChange) {
		e.uint(d.LastChange)
	}
	if a := d.LastAttempt; a != nil {
		e.uint(uint64(a.N)) //nolint:gosec // a count
		e.attempt(a)
	}
	e.uint(uint64(len(d.Parts)))
	for i := range d.Parts {
		encodePart(&e, &d.Parts[i])
	}
	return e.b
}

// Bits of a part's flags.
const (
	partUnknown = 1 << iota
	partResent
	partReceipt
	partBegan
)

func encodePart(e *encoder, p *post.Part) {
	var flags uint64
	set(&flags, partUnknown, p.Unknown)
	set(&flags, partResent, p.Resent)
	set(&flags, partReceipt, p.Receipt != nil)
	set(&flags, partBegan, !p.Began.IsZero())
	e.uint(flags)
	e.word(roleWords, string(p.Role))
	e.word(partWords, string(p.State))
	e.int(int64(p.Prepares))
	if flags&partBegan != 0 {
		e.time(p.Began)
	}
	if r := p.Receipt; r != nil {
		e.text(r.RemoteID)
		e.text(r.URL)
		e.time(r.At)
	}
}

func decodeDelivery(id post.ID, b []byte) (*post.Delivery, error) {
	d := &post.Delivery{ID: id}
	r := decoder{b: b}
	switch v := r.byte(); v {
	case deliveryVersion, deliveryVersion2:
		r.delivery(d)
	case 1:
		r.delivery1(d)
	default:
		return nil, corrupt(bDelivery, id[:], fmt.Errorf("unknown version %d", v))
	}
	if err := r.err(); err != nil {
		return nil, corrupt(bDelivery, id[:], err)
	}
	if !d.State.Valid() || !d.Account.Kind.Valid() {
		return nil, corrupt(bDelivery, id[:], fmt.Errorf("unknown state %q or kind %q", d.State, d.Account.Kind))
	}
	return d, nil
}

// stateOf reads the state of a delivery and nothing else.
func stateOf(id post.ID, b []byte) (post.State, error) {
	r := decoder{b: b}
	if v := r.byte(); v != deliveryVersion && v != deliveryVersion2 {
		d, err := decodeDelivery(id, b)
		if err != nil {
			return "", err
		}
		return d.State, nil
	}
	_ = r.uint()
	s := post.State(r.word(stateWords))
	if r.bad || !s.Valid() {
		return "", corrupt(bDelivery, id[:], fmt.Errorf("unknown state %q", s))
	}
	return s, nil
}

func (d *decoder) delivery(x *post.Delivery) {
	flags := d.uint()
	has := func(bit uint64) bool { return flags&bit != 0 }
	x.CancelRequested, x.NeedsPrepare = has(hasCancel), has(hasNeedsPrepare)
	x.State = post.State(d.word(stateWords))
	x.Due = d.time()
	x.Version = d.uint()
	x.Fence = d.uint()
	x.Post = d.id()
	x.Target = d.id()
	x.Account = d.account()
	x.Platform = post.Platform(d.word(platformWords))
	x.Attempts = int(d.int())
	x.Digest = d.hash()
	if has(hasDestination) {
		x.Destination = d.text()
	}
	if has(hasNotBefore) {
		x.NotBefore = d.time()
	}
	if has(hasLocal) {
		x.LocalDue = d.text()
		x.TimeZone = d.text()
	}
	if has(hasFirstAttempt) {
		x.FirstAttempt = d.time()
	}
	if has(hasLateFrom) {
		x.LateFrom = d.time()
	}
	if has(hasPrepared) {
		x.Prepared = d.hash()
	}
	if has(preparedIsDigest) {
		x.Prepared = x.Digest
	}
	if has(hasPreparedUntil) {
		x.PreparedUntil = d.time()
	}
	if has(hasSeries) {
		x.Series = d.id()
		x.Occurrence = d.text()
	}
	if has(hasReason) {
		x.Reason = &post.Reason{Code: d.text(), Message: d.text()}
	}
	if has(hasDoubt) {
		x.Doubt = &post.Doubt{Since: d.time(), Next: d.time(), Looks: int(d.int()), Reads: int(d.int())}
	}
	if has(hasLastChange) {
		x.LastChange = d.uint()
	}
	if has(hasLastAttempt) {
		a := d.attempt(int(d.uint())) //nolint:gosec // a count
		x.LastAttempt = &a
	}
	if n := d.count(); n > 0 {
		x.Parts = make([]post.Part, n)
		for i := range x.Parts {
			d.part(&x.Parts[i])
		}
	}
}

func (d *decoder) part(p *post.Part) {
	flags := d.uint()
	p.Unknown, p.Resent = flags&partUnknown != 0, flags&partResent != 0
	p.Role = post.Role(d.word(roleWords))
	p.State = post.PartState(d.word(partWords))
	p.Prepares = int(d.int())
	if flags&partBegan != 0 {
		p.Began = d.time()
	}
	if flags&partReceipt != 0 {
		p.Receipt = &post.Receipt{RemoteID: d.text(), URL: d.text(), At: d.time()}
	}
}
