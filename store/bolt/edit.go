package bolt

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

func whyKept(d *post.Delivery) string {
	if d.Begun() && d.State.Editable() {
		return "a part of it is out"
	}
	return "it is " + string(d.State)
}

// EditPost replaces a post's content and changes the deliveries that can still be changed.
func (s *Store) EditPost(ctx context.Context, w store.Write, e store.Edit) (out store.Edited, err error) {
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		out = store.Edited{}
		c := cause{now: now, actor: w.Actor, verb: "delivery.edited"}
		if err := t.edit(&e, c, &out); err != nil {
			return nil, err
		}
		if err := t.settleLanes(now); err != nil {
			return nil, err
		}
		out.View, err = t.postView(e.Post.ID)
		return out, err
	})
	return out, err
}

// currentPost gives a post with its deliveries, if version is 0 or the current one.
func (t *tx) currentPost(id post.ID, version uint64) (*post.Post, []*post.Delivery, error) {
	p, err := t.post(id)
	if err != nil {
		return nil, nil, err
	}
	deliveries, current, err := t.deliveriesOf(p)
	if err != nil {
		return nil, nil, err
	}
	if version != 0 && version != current {
		return nil, nil, fmt.Errorf("post %s: %w", id, store.ErrStale)
	}
	return p, deliveries, nil
}

func (t *tx) edit(e *store.Edit, c cause, out *store.Edited) error {
	old, deliveries, err := t.currentPost(e.Post.ID, e.Version)
	if err != nil {
		return err
	}
	if len(e.Added) == 0 && !old.Unplaced() && !slices.ContainsFunc(deliveries, (*post.Delivery).Changeable) {
		return fmt.Errorf("post %s: %w", old.ID, post.ErrTooLate)
	}
	if err := t.checkEdit(e, deliveries, c.now); err != nil {
		return err
	}
	next := e.Post
	next.Targets = slices.Clone(e.Post.Targets)
	next.Version = old.Version + 1
	next.CreatedAt, next.Author, next.ExternalID = old.CreatedAt, old.Author, old.ExternalID
	if old.Unplaced() {
		err = t.checkExternal(&next)
	} else {
		next.Kind, next.Owner = old.Kind, old.Owner
	}
	if err != nil {
		return err
	}
	for i, d := range deliveries {
		switch change, ok := e.Changes[d.ID]; {
		case slices.Contains(e.Dropped, d.ID):
			if !d.Changeable() {
				out.Kept = append(out.Kept, store.Kept{Delivery: d.ID, Why: whyKept(d)})
				keepTarget(&next, &old.Targets[i])
				continue
			}
			if err := t.drop(d, c, out); err != nil {
				return err
			}
			next.Version += d.Version // so that the version of the whole never comes back to an earlier one
		case !ok:
			keepTarget(&next, &old.Targets[i])
		case !d.Changeable():
			out.Kept = append(out.Kept, store.Kept{Delivery: d.ID, Why: whyKept(d)})
			keepTarget(&next, &old.Targets[i])
		default:
			if err := t.reshape(d, change, c, out); err != nil {
				return err
			}
			if err := t.remark(d, e.Before[d.ID], e.Fingerprints[d.ID], c.now); err != nil {
				return err
			}
		}
	}
	for _, d := range e.Added {
		if err := t.mark(&d, e.Fingerprints[d.ID], c.now); err != nil {
			return err
		}
		if err := t.createDelivery(d, cause{now: c.now, actor: c.actor}); err != nil {
			return err
		}
		out.Changed = append(out.Changed, d.ID)
	}
	return errors.Join(t.moveExternal(old, &next), t.replacePost(old, &next, c))
}

// checkEdit refuses an edit that would have the same said a second time. It writes nothing.
func (t *tx) checkEdit(e *store.Edit, deliveries []*post.Delivery, now time.Time) error {
	if e.Post.AllowDuplicate {
		return nil
	}
	leaving := map[post.ID]bool{}          // what says something else after the edit, or nothing
	fresh := map[post.ID]post.AccountKey{} // what is newly said, by delivery
	for _, d := range deliveries {
		_, changes := e.Changes[d.ID]
		switch {
		case !d.Changeable():
		case slices.Contains(e.Dropped, d.ID):
			leaving[d.ID] = d.Parts[0].Began.IsZero() // else it may be out, and what is added would not look first
		case changes && e.Fingerprints[d.ID] != e.Before[d.ID]:
			leaving[d.ID], fresh[d.ID] = true, d.Account
		}
	}
	for _, d := range e.Added {
		fresh[d.ID] = d.Account
	}
	for i := range e.Post.Targets {
		id := e.Post.Targets[i].Delivery
		account, isFresh := fresh[id]
		says := e.Fingerprints[id]
		if !isFresh || says == "" {
			continue
		}
		// What the post itself has sent counts however long ago that was.
		for _, d := range deliveries {
			if !leaving[d.ID] && !ended(d) && d.Account == account && e.Before[d.ID] == says {
				return &store.DuplicateError{Target: i, Earlier: e.Post.ID}
			}
		}
		earlier, err := t.duplicate(account, says, now, leaving)
		if err != nil {
			return err
		}
		if !earlier.IsZero() {
			return &store.DuplicateError{Target: i, Earlier: earlier}
		}
	}
	return nil
}

// keepTarget makes next say of a target what it said before: the words of what stays as it is do not change.
func keepTarget(next *post.Post, target *post.Target) {
	i := slices.IndexFunc(next.Targets, func(x post.Target) bool { return x.Delivery == target.Delivery })
	if i < 0 {
		next.Targets = append(next.Targets, *target)
		return
	}
	next.Targets[i] = *target
}

func (t *tx) drop(d *post.Delivery, c cause, out *store.Edited) error {
	after := copyOf(d)
	if err := after.Cancel(); err != nil {
		return err
	}
	out.Changed = append(out.Changed, d.ID)
	if err := t.save(d, after, cause{now: c.now, actor: c.actor}); err != nil {
		return err
	}
	return t.keepHistory(after)
}

// reshape gives one delivery its new shape.
func (t *tx) reshape(d *post.Delivery, e store.DeliveryEdit, c cause, out *store.Edited) error {
	after := copyOf(d)
	if e.When != nil {
		if err := after.Reschedule(e.When.Due); err != nil {
			return err
		}
		after.LocalDue, after.TimeZone = e.When.LocalDue, e.When.TimeZone
	}
	after.Digest, after.Destination, after.NeedsPrepare = e.Digest, e.Destination, e.NeedsPrepare
	if !slices.EqualFunc(after.Parts, e.Roles, func(p post.Part, r post.Role) bool { return p.Role == r }) {
		after.Parts = reparted(after.Parts, e.Roles)
	}
	normal(after)
	if reflect.DeepEqual(d, after) {
		return nil
	}
	if after.Digest != d.Digest {
		if err := t.dropHandles(d.ID); err != nil {
			return err
		}
	}
	out.Changed = append(out.Changed, d.ID)
	return t.save(d, after, c)
}

// reparted gives new parts for a delivery of which nothing is out. The first keeps what is known of its earlier
// attempts, since a doubt about it does not end with an edit.
func reparted(old []post.Part, roles []post.Role) []post.Part {
	parts := make([]post.Part, 0, len(roles))
	for _, r := range roles {
		parts = append(parts, post.Part{Role: r, State: post.PartWaiting})
	}
	if len(parts) > 0 && len(old) > 0 {
		parts[0] = old[0]
		parts[0].Role, parts[0].Prepares = roles[0], 0
	}
	return parts
}

func (t *tx) dropHandles(id post.ID) error {
	for _, k := range t.keys(bHandle, id[:], maxQueue) {
		if err := t.del(bHandle, k); err != nil {
			return err
		}
	}
	return nil
}

// dropPartHandles forgets the prepared work of one part.
func (t *tx) dropPartHandles(id post.ID, part int) error {
	all := handleKey(id, part, "")
	for _, k := range t.keys(bHandle, all, maxQueue) {
		if err := t.del(bHandle, k); err != nil {
			return err
		}
	}
	return nil
}

// replacePost writes the content of a post anew, with the index of its media.
func (t *tx) replacePost(old, next *post.Post, c cause) error {
	if err := t.put(bContent, next.ID[:], encodePost(next)); err != nil {
		return err
	}
	was, is := mediaUses(old), mediaUses(next)
	for key := range was {
		if !is[key] {
			if err := t.del(bMediaUse, []byte(key)); err != nil {
				return err
			}
		}
	}
	for key := range is {
		if !was[key] {
			if err := t.put(bMediaUse, []byte(key), nil); err != nil {
				return err
			}
		}
	}
	return t.change(&post.Change{At: c.now, Actor: c.actor, Type: "post.edited", Post: next.ID, Series: next.Series})
}

// CancelPost withdraws all that is not out.
func (s *Store) CancelPost(ctx context.Context, w store.Write, id post.ID, version uint64) (out store.Edited, err error) {
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		out = store.Edited{}
		p, _, err := t.currentPost(id, version)
		if err != nil {
			return nil, err
		}
		c := cause{now: now, actor: w.Actor}
		if p.Unplaced() {
			next := *p
			next.Draft = false
			next.Version++
			err = t.replacePost(p, &next, c)
		} else {
			err = t.cancelAll(p, c, &out)
		}
		if err != nil {
			return nil, err
		}
		if err := t.settleLanes(now); err != nil {
			return nil, err
		}
		out.View, err = t.postView(id)
		return out, err
	})
	return out, err
}

// cancelAll cancels every delivery of a post, as far as that still goes.
func (t *tx) cancelAll(p *post.Post, c cause, out *store.Edited) error {
	deliveries, _, err := t.deliveriesOf(p)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		after := copyOf(d)
		err := after.Cancel()
		if errors.Is(err, post.ErrTooLate) {
			out.Kept = append(out.Kept, store.Kept{Delivery: d.ID, Why: whyKept(d)})
			continue
		}
		if err != nil {
			return err
		}
		if reflect.DeepEqual(d, after) {
			continue
		}
		why := c
		if after.State == d.State {
			why.verb = "delivery.cancel_requested"
		}
		out.Changed = append(out.Changed, d.ID)
		if err := t.save(d, after, why); err != nil {
			return err
		}
	}
	return nil
}

// SubmitPost turns a post's drafts into scheduled deliveries.
func (s *Store) SubmitPost(ctx context.Context, w store.Write, x store.Submission) (view store.PostView, err error) {
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		if err := t.submit(&x, cause{now: now, actor: w.Actor}); err != nil {
			return nil, err
		}
		if err := t.settleLanes(now); err != nil {
			return nil, err
		}
		view, err = t.postView(x.Post)
		return view, err
	})
	return view, err
}

func (t *tx) submit(x *store.Submission, c cause) error {
	old, deliveries, err := t.currentPost(x.Post, x.Version)
	if err != nil {
		return err
	}
	for i, d := range deliveries {
		if _, ok := x.When[d.ID]; !ok || old.AllowDuplicate {
			continue
		}
		earlier, err := t.duplicate(d.Account, x.Fingerprints[d.ID], c.now, nil)
		if err != nil {
			return err
		}
		if !earlier.IsZero() {
			return &store.DuplicateError{Target: i, Earlier: earlier}
		}
	}
	n := 0
	for _, d := range deliveries {
		at, ok := x.When[d.ID]
		if !ok {
			continue
		}
		after := copyOf(d)
		if err := after.Submit(at.Due); err != nil {
			return err
		}
		after.LocalDue, after.TimeZone = at.LocalDue, at.TimeZone
		if err := errors.Join(t.save(d, after, c), t.mark(d, x.Fingerprints[d.ID], c.now)); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("%w: post %s has no such draft", post.ErrTransition, x.Post)
	}
	next := *old
	next.Draft, next.Warnings, next.Notes = false, x.Warnings, x.Notes
	next.Version++
	return t.replacePost(old, &next, c)
}

// ChangeDelivery applies change to a delivery.
func (s *Store) ChangeDelivery(ctx context.Context, w store.Write, id post.ID, version uint64, verb string, change func(*post.Delivery) error) (view store.DeliveryView, err error) {
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		before, err := t.delivery(id)
		if err != nil {
			return nil, err
		}
		if version != 0 && version != before.Version {
			return nil, fmt.Errorf("delivery %s: %w", id, store.ErrStale)
		}
		after := copyOf(before)
		if err := change(after); err != nil {
			return nil, err
		}
		if err := t.checkChange(before, after); err != nil {
			return nil, err
		}
		normal(after)
		if !reflect.DeepEqual(before, after) {
			if err := t.save(before, after, cause{now: now, actor: w.Actor, verb: verb}); err != nil {
				return nil, err
			}
			if err := t.settleLanes(now); err != nil {
				return nil, err
			}
		}
		view, err = t.fullView(id)
		return view, err
	})
	return view, err
}

// checkChange refuses what no method of a delivery does.
func (t *tx) checkChange(before, after *post.Delivery) error {
	if after.ID != before.ID || after.Post != before.Post || after.Account != before.Account ||
		after.Platform != before.Platform || after.Version != before.Version || !after.State.Valid() {
		return fmt.Errorf("%w: what a delivery is cannot be changed", post.ErrTransition)
	}
	if after.State == post.Sending && (before.State != post.Sending || after.Fence != before.Fence) {
		return fmt.Errorf("%w: only a turn begins a delivery", post.ErrTransition)
	}
	return t.checkReceipts(before, after)
}
