package bolt

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"crier/internal/post"
)

// History lists the changes of a post, oldest first.
func (s *Store) History(ctx context.Context, id post.ID) (changes []post.Change, err error) {
	err = s.read(ctx, func(t *tx) error {
		p, err := t.post(id)
		if err != nil {
			return err
		}
		changes, err = t.history(p)
		return err
	})
	return changes, err
}

func (t *tx) history(p *post.Post) ([]post.Change, error) {
	var all []post.Change
	linked := make([]post.ID, 0, len(p.Targets))
	for i := range p.Targets {
		linked = append(linked, p.Targets[i].Delivery)
	}
	err := t.scan(bHistory, p.ID[:], func(k, _ []byte) (bool, error) {
		if len(k) == 2*len(post.ID{}) {
			linked = append(linked, idAt(k)) // a delivery that the post has dropped
			return true, nil
		}
		seq := readSeq(k[16:])
		b := t.get(bOutbox, seqKey(seq))
		if b == nil {
			return true, nil // pruned
		}
		c, err := decodeChange(seq, b)
		all = append(all, c.Change)
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range linked {
		d, err := t.delivery(id)
		if err != nil {
			return nil, fmt.Errorf("history of post %s: %w", p.ID, err)
		}
		err = t.walk(d, func(c *logged) { all = append(all, c.Change) })
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b post.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, nil
}

// walk follows the changes of a delivery from its last one back, as far as they have not been pruned.
func (t *tx) walk(d *post.Delivery, f func(*logged)) error {
	for seq := d.LastChange; seq != 0; {
		b := t.get(bOutbox, seqKey(seq))
		if b == nil {
			return nil
		}
		c, err := decodeChange(seq, b)
		if err != nil {
			return err
		}
		if !c.linked || c.Post != d.Post || (c.Delivery != d.ID && !c.Delivery.IsZero()) {
			return corrupt(bOutbox, seqKey(seq), fmt.Errorf("it is no change of delivery %s", d.ID))
		}
		f(&c)
		seq = c.prev
	}
	return nil
}

// keepHistory has the history of a post go on to hold that of a delivery which the post drops.
func (t *tx) keepHistory(d *post.Delivery) error {
	return t.put(bHistory, droppedKey(d), nil)
}

// keepDropped is keepHistory where the post has dropped the delivery; schema 2 kept no such entry.
func (t *tx) keepDropped(d *post.Delivery) error {
	p, err := t.post(d.Post)
	if err != nil || slices.ContainsFunc(p.Targets, func(x post.Target) bool { return x.Delivery == d.ID }) {
		return err
	}
	return t.keepHistory(d)
}

// droppedKey is post, delivery.
func droppedKey(d *post.Delivery) []byte {
	return append(append(make([]byte, 0, 32), d.Post[:]...), d.ID[:]...)
}
