package bolt

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// deliveriesOf reads the deliveries of a post in the order of its targets, and the version of the whole.
func (t *tx) deliveriesOf(p *post.Post) ([]*post.Delivery, uint64, error) {
	version := p.Version
	out := make([]*post.Delivery, 0, len(p.Targets))
	for i := range p.Targets {
		d, err := t.delivery(p.Targets[i].Delivery)
		if err != nil {
			return nil, 0, fmt.Errorf("post %s: %w", p.ID, err)
		}
		version += d.Version
		out = append(out, d)
	}
	return out, version, nil
}

// postView reads a post whole. The lanes that the operation touched must be settled.
func (t *tx) postView(id post.ID) (store.PostView, error) {
	p, err := t.post(id)
	if err != nil {
		return store.PostView{}, err
	}
	return t.viewOf(p)
}

func (t *tx) viewOf(p *post.Post) (store.PostView, error) {
	deliveries, version, err := t.deliveriesOf(p)
	if err != nil {
		return store.PostView{}, err
	}
	v := store.PostView{Post: *p, Version: version, Deliveries: make([]store.DeliveryView, 0, len(deliveries))}
	for _, d := range deliveries {
		x, err := t.deliveryView(d)
		if err != nil {
			return store.PostView{}, err
		}
		v.Deliveries = append(v.Deliveries, x)
	}
	return v, nil
}

func (t *tx) deliveryView(d *post.Delivery) (store.DeliveryView, error) {
	l, err := decodeLane(d.Account, t.get(bLaneState, accountKey(d.Account)), t.words)
	if err != nil {
		return store.DeliveryView{}, err
	}
	next, err := t.estimate(l, d)
	return store.DeliveryView{Delivery: *d, Holds: l.view(), Next: next}, err
}

// fullView adds content and attempts.
func (t *tx) fullView(id post.ID) (store.DeliveryView, error) {
	d, err := t.delivery(id)
	if err != nil {
		return store.DeliveryView{}, err
	}
	v, err := t.deliveryView(d)
	if err != nil {
		return v, err
	}
	if v.Content, err = t.content(d); err != nil {
		return v, err
	}
	v.Attempts, err = t.flightRecord(d)
	return v, err
}

// content gives what a delivery says. A delivery whose target an edit has dropped says nothing any more.
func (t *tx) content(d *post.Delivery) (post.Content, error) {
	p, err := t.post(d.Post)
	if err != nil {
		return post.Content{}, err
	}
	i := slices.IndexFunc(p.Targets, func(x post.Target) bool { return x.Delivery == d.ID })
	if i < 0 {
		return post.Content{}, nil
	}
	return p.Targets[i].Content, nil
}

// estimate is DeliveryView.Next.
func (t *tx) estimate(l *lane, d *post.Delivery) (time.Time, error) {
	if d.State != post.Scheduled || !l.known {
		return nextLook(d), nil
	}
	floor := int64(noTime)
	for _, h := range l.holds {
		if h.Until.IsZero() {
			return time.Time{}, nil
		}
		floor = max(floor, millis(h.Until))
	}
	stops, err := t.stopList()
	if err != nil {
		return time.Time{}, err
	}
	for _, s := range stops {
		if !inScope(s, d.Account.Kind, l.owner) {
			continue
		}
		if s.Hold.Until.IsZero() {
			return time.Time{}, nil
		}
		floor = max(floor, millis(s.Hold.Until))
	}
	return t.estimateBehind(l, d, floor)
}

func (t *tx) estimateBehind(l *lane, d *post.Delivery, floor int64) (time.Time, error) {
	at := func(prev int64, x *post.Delivery) int64 {
		v := max(prev, floor, millis(x.ReadyAt()))
		if prev == noTime {
			v = max(v, l.opens(x))
		} else if !x.Begun() {
			v = max(v, prev+l.minGap.Milliseconds())
		}
		return v
	}
	prev := int64(noTime)
	earlier, err := t.before(l, positionOf(d))
	if err != nil {
		return time.Time{}, err
	}
	for _, x := range earlier {
		if x.State == post.Sending {
			prev = millis(l.flight.started)
		} else {
			prev = at(prev, x)
		}
	}
	return instant(at(prev, d)), nil
}

// PostByID gives one post with its deliveries.
func (s *Store) PostByID(ctx context.Context, id post.ID) (v store.PostView, err error) {
	err = s.read(ctx, func(t *tx) error {
		v, err = t.postView(id)
		return err
	})
	return v, err
}

// DeliveryByID gives one delivery with its content, holds and attempts.
func (s *Store) DeliveryByID(ctx context.Context, id post.ID) (v store.DeliveryView, err error) {
	err = s.read(ctx, func(t *tx) error {
		v, err = t.fullView(id)
		return err
	})
	return v, err
}

// Material gives a delivery's content as it is now, and its prepared work, all parts.
func (s *Store) Material(ctx context.Context, d *post.Delivery) (c post.Content, handles []post.Handle, err error) {
	err = s.read(ctx, func(t *tx) (err error) {
		if c, err = t.content(d); err != nil {
			return err
		}
		handles = nil
		return t.scan(bHandle, d.ID[:], func(k, v []byte) (bool, error) {
			var h post.Handle
			if err := json.Unmarshal(v, &h); err != nil {
				return false, corrupt(bHandle, k, err)
			}
			handles = append(handles, h)
			return true, nil
		})
	})
	return c, handles, err
}
