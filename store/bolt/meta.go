package bolt

import (
	"encoding/binary"
	"fmt"

	"crier/internal/post"
	"crier/store"
)

// schema is the version of the whole layout. A file of an earlier one is brought forward when it is opened.
const schema = 4

// The keys of the meta bucket.
const (
	metaSchema = "schema"
	metaEpoch  = "epoch"
	metaCounts = "counts" // sequence, then one number for each kind and state
)

// tally is a number of deliveries in each state, in the order of post.States.
type tally [12]uint64

// move counts one delivery from a state to another; an empty from is a new one.
func (n *tally) move(from, to post.State) {
	if i := stateIndex(from); i >= 0 {
		n[i]--
	}
	if i := stateIndex(to); i >= 0 {
		n[i]++
	}
}

// waiting is how many wait: are scheduled or under way.
func (n *tally) waiting() uint64 { return n[stateIndex(post.Scheduled)] + n[stateIndex(post.Sending)] }

func (n *tally) view() map[post.State]int {
	out := make(map[post.State]int, len(n))
	for i, s := range post.States() {
		out[s] = int(n[i]) //nolint:gosec // a number of deliveries
	}
	return out
}

// tally writes which states occur, and how often.
func (e *encoder) tally(n *tally) {
	var some uint64
	for i := range n {
		set(&some, 1<<i, n[i] != 0)
	}
	e.uint(some)
	for i := range n {
		if n[i] != 0 {
			e.uint(n[i])
		}
	}
}

func (d *decoder) tally() (n tally) {
	some := d.uint()
	for i := range n {
		if some&(1<<i) != 0 {
			n[i] = d.uint()
		}
	}
	return n
}

// meta is what changes with nearly every write: the sequence of changes and the counters. A batch reads it once and
// writes it once.
type meta struct {
	seq    uint64
	counts [2]tally
	dirty  bool
}

func kindIndex(k post.Kind) int {
	if k == post.Personal {
		return 1
	}
	return 0
}

func stateIndex(s post.State) int {
	for i, x := range post.States() {
		if x == s {
			return i
		}
	}
	return -1
}

func (t *tx) loadMeta() (*meta, error) {
	if t.meta != nil {
		return t.meta, nil
	}
	m, b := &meta{}, t.get(bMeta, []byte(metaCounts))
	if want := 8 * (1 + len(m.counts)*len(m.counts[0])); len(b) != want {
		return nil, corrupt(bMeta, []byte(metaCounts), fmt.Errorf("%d bytes, want %d", len(b), want))
	}
	m.seq, b = binary.BigEndian.Uint64(b), b[8:]
	for k := range m.counts {
		for s := range m.counts[k] {
			m.counts[k][s], b = binary.BigEndian.Uint64(b), b[8:]
		}
	}
	t.meta = m
	return m, nil
}

func (m *meta) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, m.seq)
	for k := range m.counts {
		for s := range m.counts[k] {
			b = binary.BigEndian.AppendUint64(b, m.counts[k][s])
		}
	}
	return b
}

// flushMeta writes the counters, if they changed.
func (t *tx) flushMeta() error {
	if t.meta == nil || !t.meta.dirty {
		return nil
	}
	t.meta.dirty = false
	return t.put(bMeta, []byte(metaCounts), t.meta.encode())
}

// count moves one delivery from a state to another, in the whole and in its lane; an empty from is a new one.
func (t *tx) count(account post.AccountKey, from, to post.State) error {
	if from == to {
		return nil
	}
	m, err := t.loadMeta()
	if err != nil {
		return err
	}
	l, err := t.lane(account)
	if err != nil {
		return err
	}
	l.counts.move(from, to)
	l.dirty = true
	m.counts[kindIndex(account.Kind)].move(from, to)
	m.dirty = true
	return nil
}

// change appends to the history what no delivery leads to: see link.
func (t *tx) change(c *post.Change) error {
	if err := t.log(c, false, 0); err != nil || c.Post.IsZero() {
		return err
	}
	return t.put(bHistory, idSeqKey(c.Post, c.Seq), nil)
}

// link appends a change to the history and has a delivery lead to it: the delivery, which the caller writes, names its
// last change, and each change the one before. So none of them needs an entry in an index.
func (t *tx) link(d *post.Delivery, c *post.Change) error {
	if err := t.log(c, true, d.LastChange); err != nil {
		return err
	}
	d.LastChange = c.Seq
	return nil
}

func (t *tx) log(c *post.Change, linked bool, prev uint64) error {
	m, err := t.loadMeta()
	if err != nil {
		return err
	}
	m.seq++
	m.dirty = true
	c.Seq = m.seq
	return t.put(bOutbox, seqKey(c.Seq), appendChange(t.record(), c, linked, prev))
}

func (m *meta) view() store.Counts {
	c := store.Counts{ByState: map[post.Kind]map[post.State]int{}}
	for _, kind := range post.Kinds() {
		c.ByState[kind] = m.counts[kindIndex(kind)].view()
		c.InFlight += c.ByState[kind][post.Sending]
	}
	return c
}
