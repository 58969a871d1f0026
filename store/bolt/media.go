package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

func mediaTimeKey(m *store.Media) []byte { return append(addTime(nil, m.CreatedAt), m.ID...) }

// PutMedia writes a stored file. A file that is there already keeps what is known of it and gains uploads.
func (s *Store) PutMedia(ctx context.Context, w store.Write, m store.Media) (out store.Media, err error) {
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		out = m
		out.Alt, out.Uploads, out.Uses = "", nil, nil
		if out.CreatedAt = post.Instant(m.CreatedAt); out.CreatedAt.IsZero() {
			out.CreatedAt = now
		}
		var old store.Media
		switch err := t.getJSON(bMedia, []byte(m.ID), &old); {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			out.CreatedAt, out.Uploads = old.CreatedAt, old.Uploads
		}
		for _, u := range m.Uploads {
			u.At = post.Instant(u.At)
			if i := slices.IndexFunc(out.Uploads, func(x store.Upload) bool { return x.By == u.By }); i >= 0 {
				out.Uploads[i].Alt = u.Alt
				continue
			}
			out.Uploads = append(out.Uploads, u)
		}
		if err := errors.Join(t.putJSON(bMedia, []byte(m.ID), out), t.put(bMediaTime, mediaTimeKey(&out), nil)); err != nil {
			return nil, err
		}
		var err error
		out.Uses, err = t.mediaUsesOf(m.ID)
		return out, err
	})
	return out, err
}

// mediaUsesOf lists the accounts whose posts use a file, each with its first such post.
func (t *tx) mediaUsesOf(id string) ([]store.MediaUse, error) {
	var out []store.MediaUse
	prefix := pairKey(id, "")
	c := t.bucket(bMediaUse).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); {
		account, ok := cutAccount(k[len(prefix):])
		if !ok {
			return nil, corrupt(bMediaUse, k, errShort)
		}
		p, err := t.post(idAt(k))
		if err != nil {
			return nil, err
		}
		out = append(out, store.MediaUse{Account: account, Since: p.CreatedAt, Alt: altIn(p, account, id)})
		// On to the next account: 0x01 follows the zero that ends this one.
		skip := addAccount(bytes.Clone(prefix), account)
		skip[len(skip)-1] = 1
		k, _ = c.Seek(skip)
	}
	return out, nil
}

// altIn gives what a post says of a file on an account.
func altIn(p *post.Post, account post.AccountKey, id string) string {
	for i := range p.Targets {
		if p.Targets[i].Account != account {
			continue
		}
		all := slices.Clone(p.Targets[i].Content.Media)
		for _, r := range p.Targets[i].Content.Thread {
			all = append(all, r.Media...)
		}
		for _, m := range all {
			if m.ID == id {
				return m.Alt
			}
		}
	}
	return ""
}

func (t *tx) media(id string) (store.Media, error) {
	var m store.Media
	if err := t.getJSON(bMedia, []byte(id), &m); err != nil {
		return m, fmt.Errorf("media: %w", err)
	}
	var err error
	m.Uses, err = t.mediaUsesOf(id)
	return m, err
}

// MediaByID gives one stored file.
func (s *Store) MediaByID(ctx context.Context, id string) (m store.Media, err error) {
	err = s.read(ctx, func(t *tx) error {
		m, err = t.media(id)
		return err
	})
	return m, err
}

// ListMedia lists stored files, newest first.
func (s *Store) ListMedia(ctx context.Context, visible func(store.Media) bool, limit int, cursor string) (items []store.Media, next string, err error) {
	var before []byte
	if cursor != "" {
		if before, err = cursorBytes(cursor, 8+64); err != nil {
			return nil, "", err
		}
	}
	limit = pageSize(limit)
	err = s.read(ctx, func(t *tx) error {
		items, next = nil, ""
		c := t.bucket(bMediaTime).Cursor()
		k, _ := c.Last()
		if before != nil {
			if k, _ = c.Seek(before); k == nil {
				k, _ = c.Last()
			}
			for k != nil && bytes.Compare(k, before) >= 0 {
				k, _ = c.Prev()
			}
		}
		for ; k != nil; k, _ = c.Prev() {
			m, err := t.media(string(k[8:]))
			if err != nil {
				return err
			}
			if visible != nil && !visible(m) {
				continue
			}
			if len(items) == limit {
				next = cursorText(mediaTimeKey(&items[limit-1]))
				return nil
			}
			items = append(items, m)
		}
		return nil
	})
	return items, next, err
}

// needsMedia reports whether a delivery may still have to send its media by itself or by an approval.
func needsMedia(d *post.Delivery) bool {
	switch d.State {
	case post.Draft, post.InReview, post.Scheduled, post.Sending, post.Unconfirmed, post.AwaitingPerson:
		return true
	case post.Published, post.Partial, post.Failed, post.Missed, post.Canceled, post.Removed:
		return false
	}
	return true
}

// DeleteMedia forgets a file that nothing unfinished and no recurring post uses.
func (s *Store) DeleteMedia(ctx context.Context, w store.Write, id string) error {
	return s.once(ctx, w, func(t *tx, _ time.Time) (any, error) {
		m, err := t.media(id)
		if err != nil {
			return nil, err
		}
		if _, err := t.checkUnused(id, func(post.AccountKey) bool { return true }); err != nil {
			return nil, err
		}
		return nil, errors.Join(t.del(bMedia, []byte(id)), t.del(bMediaTime, mediaTimeKey(&m)))
	})
}

// WithdrawMedia takes back uploads of a file, and forgets it with the last of them.
func (s *Store) WithdrawMedia(ctx context.Context, w store.Write, id string, mine func(string) bool, sees func(post.AccountKey) bool) (gone bool, err error) {
	err = s.once(ctx, w, func(t *tx, _ time.Time) (any, error) {
		var m store.Media
		if err := t.getJSON(bMedia, []byte(id), &m); err != nil {
			return nil, fmt.Errorf("media: %w", err)
		}
		m.Uploads = slices.DeleteFunc(m.Uploads, func(u store.Upload) bool { return mine(u.By) })
		if gone = len(m.Uploads) == 0; gone {
			needed, err := t.checkUnused(id, sees)
			if err != nil {
				return nil, err
			}
			gone = !needed
		}
		if !gone {
			return nil, t.putJSON(bMedia, []byte(id), m)
		}
		return nil, errors.Join(t.del(bMedia, []byte(id)), t.del(bMediaTime, mediaTimeKey(&m)))
	})
	return gone && err == nil, err
}

// checkUnused refuses if a file is still needed on an account that sees reports true for, and reports whether it is on
// another: to whoever does not see that, the refusal would tell of it.
func (t *tx) checkUnused(id string, sees func(post.AccountKey) bool) (elsewhere bool, err error) {
	prefix := pairKey(id, "")
	err = t.scan(bMediaUse, prefix, func(k, _ []byte) (bool, error) {
		account, ok := cutAccount(k[len(prefix):])
		if !ok {
			return false, corrupt(bMediaUse, k, errShort)
		}
		p, err := t.post(idAt(k))
		if err != nil {
			return false, err
		}
		deliveries, _, err := t.deliveriesOf(p)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(deliveries, needsMedia) {
			return true, nil
		}
		if sees(account) {
			return false, fmt.Errorf("media: %w: post %s", store.ErrInUse, p.ID)
		}
		elsewhere = true
		return true, nil
	})
	if err != nil {
		return false, err
	}
	return elsewhere, t.eachSeries(func(x *store.Series) error {
		if x.Deleted || !slices.ContainsFunc(x.Posts, func(raw json.RawMessage) bool { return bytes.Contains(raw, []byte(id)) }) {
			return nil
		}
		if !slices.ContainsFunc(x.Accounts, func(k post.AccountKey) bool { return !sees(k) }) {
			return fmt.Errorf("media: %w: recurring post %s", store.ErrInUse, x.ID)
		}
		elsewhere = true
		return nil
	})
}
