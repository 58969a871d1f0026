package bolt

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// draft is a post to write, encoded before the writer's turn.
type draft struct {
	store.NewPost
	encoded []byte
}

func newDraft(n store.NewPost) (draft, error) {
	if len(n.Deliveries) != len(n.Post.Targets) {
		return draft{}, fmt.Errorf("post %s: %d targets with %d deliveries", n.Post.ID, len(n.Post.Targets), len(n.Deliveries))
	}
	n.Post.Version = max(n.Post.Version, 1)
	return draft{NewPost: n, encoded: encodePost(&n.Post)}, nil
}

// CreatePost writes a post with its deliveries.
func (s *Store) CreatePost(ctx context.Context, w store.Write, n store.NewPost) (store.PostView, error) {
	d, err := newDraft(n)
	if err != nil {
		return store.PostView{}, err
	}
	var view store.PostView
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		if err := t.checkNew(&d, now); err != nil {
			return nil, err
		}
		if err := t.create(&d, now, w.Actor); err != nil {
			return nil, err
		}
		if err := t.settleLanes(now); err != nil {
			return nil, err
		}
		view, err = t.postView(d.Post.ID)
		return view, err
	})
	return view, err
}

// CreatePosts writes many posts in transactions of at most 1,000.
func (s *Store) CreatePosts(ctx context.Context, w store.Write, posts []store.NewPost) (int, error) {
	now := post.Instant(w.Now)
	total := 0
	for chunk := range slices.Chunk(posts, maxChunk) {
		drafts := make([]draft, 0, len(chunk))
		for i := range chunk {
			d, err := newDraft(chunk[i])
			if err != nil {
				return total, err
			}
			drafts = append(drafts, d)
		}
		last := total+len(drafts) == len(posts)
		written := 0
		var refused error
		err := s.write(ctx, now, func(t *tx) error {
			written, refused = 0, nil
			if total == 0 {
				if err := t.answered(now, w.Once); err != nil {
					return err
				}
			}
			for i := range drafts {
				// What goes before a refused post stays.
				if refused = t.checkNew(&drafts[i], now); refused != nil {
					break
				}
				if err := t.create(&drafts[i], now, w.Actor); err != nil {
					return err
				}
				written++
			}
			if last && refused == nil {
				return t.answer(now, w.Once, len(posts))
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += written
		if refused != nil {
			return total, refused
		}
	}
	return total, nil
}

// externalKey keeps the external ids of brands and of each person apart, so that nobody learns of another's.
func externalKey(p *post.Post) []byte {
	return append(pairKey(p.ExternalID, string(p.Kind)), "|"+p.Owner...)
}

// checkExternal refuses an external id that another post has.
func (t *tx) checkExternal(p *post.Post) error {
	if p.ExternalID == "" {
		return nil
	}
	if b := t.get(bExternal, externalKey(p)); len(b) == 16 && post.ID(b) != p.ID {
		return &store.ExternalIDError{Post: post.ID(b)}
	}
	return nil
}

// moveExternal keeps the external id beside kind and owner, which a draft gets with its first target.
func (t *tx) moveExternal(old, next *post.Post) error {
	if next.ExternalID == "" || (old.Kind == next.Kind && old.Owner == next.Owner) {
		return nil
	}
	if err := t.del(bExternal, externalKey(old)); err != nil {
		return err
	}
	return t.put(bExternal, externalKey(next), bytes.Clone(next.ID[:]))
}

// checkNew refuses a post that must not be written. It writes nothing.
func (t *tx) checkNew(d *draft, now time.Time) error {
	p := &d.Post
	if t.get(bContent, p.ID[:]) != nil {
		return fmt.Errorf("post %s exists: %w", p.ID, store.ErrStale)
	}
	refusals, err := t.refusals(d, now)
	if err == nil && len(refusals) > 0 {
		err = refusals[0]
	}
	return err
}

// Refusals lists all that CreatePost would refuse a post for.
func (s *Store) Refusals(ctx context.Context, now time.Time, n store.NewPost) (all []error, err error) {
	err = s.read(ctx, func(t *tx) (err error) {
		all, err = t.refusals(&draft{NewPost: n}, post.Instant(now))
		return err
	})
	return all, err
}

func (t *tx) refusals(d *draft, now time.Time) (all []error, err error) {
	p := &d.Post
	if err := t.checkExternal(p); err != nil {
		all = append(all, err)
	}
	if p.AllowDuplicate {
		return all, nil
	}
	for i := range d.Deliveries {
		earlier, err := t.duplicate(d.Deliveries[i].Account, d.fingerprint(i), now, nil)
		if err != nil {
			return nil, err
		}
		if !earlier.IsZero() {
			all = append(all, &store.DuplicateError{Target: i, Earlier: earlier})
		}
	}
	return all, nil
}

func (d *draft) fingerprint(i int) string {
	if i >= len(d.Fingerprints) {
		return ""
	}
	return d.Fingerprints[i]
}

// create writes a post that checkNew has passed.
func (t *tx) create(d *draft, now time.Time, actor string) error {
	p := &d.Post
	if err := t.put(bContent, p.ID[:], d.encoded); err != nil {
		return err
	}
	if p.ExternalID != "" {
		if err := t.put(bExternal, externalKey(p), bytes.Clone(p.ID[:])); err != nil {
			return err
		}
	}
	deliveries := slices.Clone(d.Deliveries)
	c := post.Change{At: now, Actor: actor, Type: "post.created", Post: p.ID, Series: p.Series}
	tell := func() error { return t.change(&c) }
	if len(deliveries) > 0 {
		tell = func() error { return t.link(&deliveries[0], &c) }
	}
	if err := tell(); err != nil {
		return err
	}
	for i := range deliveries {
		if err := t.mark(&deliveries[i], d.fingerprint(i), now); err != nil {
			return err
		}
		if err := t.createDelivery(deliveries[i], cause{now: now, actor: actor}); err != nil {
			return err
		}
	}
	for key := range mediaUses(p) {
		if err := t.put(bMediaUse, []byte(key), nil); err != nil {
			return err
		}
	}
	return nil
}

// createDelivery writes a new delivery; only what a person can write may be new.
func (t *tx) createDelivery(d post.Delivery, c cause) error {
	if t.get(bDelivery, d.ID[:]) != nil {
		return fmt.Errorf("delivery %s exists: %w", d.ID, store.ErrStale)
	}
	switch d.State {
	case post.Draft, post.InReview, post.Scheduled:
	case post.Sending, post.Published, post.Partial, post.Failed, post.Unconfirmed, post.Missed, post.AwaitingPerson,
		post.Canceled, post.Removed:
		return fmt.Errorf("%w: a new delivery cannot be %s", post.ErrTransition, d.State)
	}
	if !d.State.Valid() || !d.Account.Kind.Valid() || len(d.Parts) == 0 {
		return fmt.Errorf("%w: a new delivery needs a state, an account and a part", post.ErrTransition)
	}
	if _, err := t.lane(d.Account); err != nil {
		return err
	}
	return t.save(nil, copyOf(&d), c)
}

// mediaUses gives the keys of the index of media: media, account, post.
func mediaUses(p *post.Post) map[string]bool {
	uses := map[string]bool{}
	add := func(account post.AccountKey, media []post.Media) {
		for _, m := range media {
			uses[string(append(addAccount(pairKey(m.ID, ""), account), p.ID[:]...))] = true
		}
	}
	for i := range p.Targets {
		target := &p.Targets[i]
		add(target.Account, target.Content.Media)
		for _, r := range target.Content.Thread {
			add(target.Account, r.Media)
		}
		// An option, such as a thumbnail, may name a media file as well.
		if o := target.Content.Options; o != nil {
			for _, name := range o.Names() {
				if id, ok := o.String(name); ok && len(id) == 64 {
					add(target.Account, []post.Media{{ID: id}})
				}
			}
		}
	}
	return uses
}
