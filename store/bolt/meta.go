package bolt

import (
	"encoding/binary"
	"fmt"

	"crier/internal/post"
	"crier/store"
)

// schema is the version of the whole layout. A file of an earlier one is brought forward when it is opened.
const schema = 2

// The keys of the meta bucket.
const (
	metaSchema = "schema"
	metaEpoch  = "epoch"
	metaCounts = "counts" // sequence, then one number for each kind and state
)

// meta is what changes with nearly every write: the sequence of changes and the counters. A batch reads it once and
// writes it once.
type meta struct {
	seq    uint64
	counts [2][12]uint64
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

// count moves one delivery from a state to another; an empty from is a new one.
func (t *tx) count(kind post.Kind, from, to post.State) error {
	if from == to {
		return nil
	}
	m, err := t.loadMeta()
	if err != nil {
		return err
	}
	k := kindIndex(kind)
	if i := stateIndex(from); i >= 0 {
		m.counts[k][i]--
	}
	if i := stateIndex(to); i >= 0 {
		m.counts[k][i]++
	}
	m.dirty = true
	return nil
}

// change appends to the history.
func (t *tx) change(c *post.Change) error {
	m, err := t.loadMeta()
	if err != nil {
		return err
	}
	m.seq++
	m.dirty = true
	c.Seq = m.seq
	if err := t.put(bOutbox, seqKey(c.Seq), encodeChange(c)); err != nil {
		return err
	}
	if c.Post.IsZero() {
		return nil
	}
	return t.put(bHistory, idSeqKey(c.Post, c.Seq), nil)
}

func (m *meta) view() store.Counts {
	c := store.Counts{ByState: map[post.Kind]map[post.State]int{}}
	for _, kind := range post.Kinds() {
		c.ByState[kind] = map[post.State]int{}
		for i, s := range post.States() {
			n := int(m.counts[kindIndex(kind)][i]) //nolint:gosec // a number of deliveries
			c.ByState[kind][s] = n
			if s == post.Sending {
				c.InFlight += n
			}
		}
	}
	return c
}
