package bolt

import (
	"encoding/json"
	"math"
	"time"

	"crier/internal/post"
	"crier/store"
)

// The records of schema 1. Files that hold them are read for ever; what is written anew takes the present form.

// Bits of the flags of a delivery and of a part in schema 1.
const (
	flag1Cancel = 1 << iota
	flag1NeedsPrepare
	flag1Reason
	flag1Doubt
)

const (
	flag1Unknown = 1 << iota
	flag1Resent
	flag1Receipt
)

func (d *decoder) delivery1(x *post.Delivery) {
	x.State = post.State(d.text())
	x.Due = d.time()
	x.NotBefore = d.time()
	x.Version = d.uint()
	x.Fence = d.uint()
	x.Post = d.id()
	x.Target = d.id()
	x.Account.Kind = post.Kind(d.text())
	x.Account.Handle = d.text()
	x.Platform = post.Platform(d.text())
	x.Destination = d.text()
	x.LocalDue = d.text()
	x.TimeZone = d.text()
	x.Attempts = int(d.int())
	x.FirstAttempt = d.time()
	x.LateFrom = d.time()
	x.Digest = d.text()
	x.Prepared = d.text()
	x.PreparedUntil = d.time()
	x.Series = d.id()
	x.Occurrence = d.text()
	flags := d.byte()
	x.CancelRequested = flags&flag1Cancel != 0
	x.NeedsPrepare = flags&flag1NeedsPrepare != 0
	if flags&flag1Reason != 0 {
		x.Reason = &post.Reason{Code: d.text(), Message: d.text()}
	}
	if flags&flag1Doubt != 0 {
		x.Doubt = &post.Doubt{Since: d.time(), Next: d.time(), Looks: int(d.int()), Reads: int(d.int())}
	}
	if n := d.count(); n > 0 {
		x.Parts = make([]post.Part, n)
		for i := range x.Parts {
			d.part1(&x.Parts[i])
		}
	}
}

func (d *decoder) part1(p *post.Part) {
	p.Role = post.Role(d.text())
	p.State = post.PartState(d.text())
	p.Began = d.time()
	p.Prepares = int(d.int())
	flags := d.byte()
	p.Unknown = flags&flag1Unknown != 0
	p.Resent = flags&flag1Resent != 0
	if flags&flag1Receipt != 0 {
		p.Receipt = &post.Receipt{RemoteID: d.text(), URL: d.text(), At: d.time()}
	}
}

func (d *decoder) change1(c *post.Change) {
	c.At = d.time()
	c.Actor = d.text()
	c.Type = d.text()
	c.Post = d.id()
	c.Delivery = d.id()
	c.Series = d.id()
	c.Account = d.text()
	c.From = post.State(d.text())
	c.To = post.State(d.text())
	c.Detail = d.text()
}

// post1 reads a post that is JSON.
func post1(b []byte) (*post.Post, error) {
	p := &post.Post{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, err
	}
	return p, nil
}

// toSchema2 counts the deliveries of each lane, which schema 1 did for each kind alone, and gives each upload of a file
// its own alt text. Whose the one of schema 1 was is known only of a file that one person uploaded.
func (t *tx) toSchema2() error {
	err := t.scan(bDelivery, nil, func(k, v []byte) (bool, error) {
		if len(k) != len(post.ID{}) {
			return false, corrupt(bDelivery, k, errShort)
		}
		d, err := decodeDelivery(post.ID(k), v)
		if err != nil {
			return false, err
		}
		l, err := t.lane(d.Account)
		if err != nil {
			return false, err
		}
		l.counts.move("", d.State)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, k := range t.keys(bLaneState, nil, math.MaxInt) {
		key, ok := cutAccount(k)
		if !ok {
			return corrupt(bLaneState, k, errShort)
		}
		l, err := t.lane(key)
		if err != nil {
			return err
		}
		if err := t.put(bLaneState, k, l.appendTo(t.record())); err != nil {
			return err
		}
		delete(t.lanes, key)
	}
	for _, l := range t.lanes { // lanes that had no record yet
		if err := t.put(bLaneState, accountKey(l.key), l.appendTo(t.record())); err != nil {
			return err
		}
	}
	clear(t.lanes)
	for _, k := range t.keys(bMedia, nil, math.MaxInt) {
		var old media1
		if err := t.getJSON(bMedia, k, &old); err != nil {
			return err
		}
		m := store.Media{Media: old.Media, CreatedAt: old.CreatedAt}
		for _, u := range old.Uploaders {
			m.Uploads = append(m.Uploads, store.Upload{By: u, At: old.CreatedAt})
		}
		if len(m.Uploads) == 1 {
			m.Uploads[0].Alt = m.Alt
		}
		m.Alt = ""
		if err := t.putJSON(bMedia, k, m); err != nil {
			return err
		}
	}
	return nil
}

// media1 is a file as schema 1 knew it.
type media1 struct {
	post.Media

	CreatedAt time.Time `json:"created_at"`
	Uploaders []string  `json:"uploaders"`
}
