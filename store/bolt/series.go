package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// CreateSeries writes a series.
func (s *Store) CreateSeries(ctx context.Context, w store.Write, x store.Series) (store.Series, error) {
	err := s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		if t.get(bSeries, x.ID[:]) != nil {
			return nil, fmt.Errorf("series %s exists: %w", x.ID, store.ErrStale)
		}
		x.Version = 1
		return x, t.putSeries(&x, now, w.Actor, "series.created")
	})
	return x, err
}

func (t *tx) putSeries(x *store.Series, now time.Time, actor, verb string) error {
	if err := t.putJSON(bSeries, x.ID[:], x); err != nil {
		return err
	}
	if verb == "" {
		return nil
	}
	return t.change(&post.Change{At: now, Actor: actor, Type: verb, Series: x.ID})
}

func (t *tx) series(id post.ID) (*store.Series, error) {
	x := &store.Series{}
	if err := t.getJSON(bSeries, id[:], x); err != nil {
		return nil, fmt.Errorf("series %s: %w", id, err)
	}
	return x, nil
}

func (t *tx) eachSeries(f func(*store.Series) error) error {
	return t.scan(bSeries, nil, func(k, v []byte) (bool, error) {
		var x store.Series
		if err := json.Unmarshal(v, &x); err != nil {
			return false, corrupt(bSeries, k, err)
		}
		return true, f(&x)
	})
}

// SeriesByID gives one series; a deleted one too.
func (s *Store) SeriesByID(ctx context.Context, id post.ID) (x store.Series, err error) {
	err = s.read(ctx, func(t *tx) error {
		p, err := t.series(id)
		if err == nil {
			x = *p
		}
		return err
	})
	return x, err
}

// ListSeries lists the series that are not deleted, oldest first.
func (s *Store) ListSeries(ctx context.Context) (all []store.Series, err error) {
	err = s.read(ctx, func(t *tx) error {
		all = nil
		return t.eachSeries(func(x *store.Series) error {
			if !x.Deleted {
				all = append(all, *x)
			}
			return nil
		})
	})
	return all, err
}

// currentSeries gives a series that is not deleted and has the version.
func (t *tx) currentSeries(id post.ID, version uint64) (*store.Series, error) {
	x, err := t.series(id)
	switch {
	case err != nil:
		return nil, err
	case x.Deleted:
		return nil, fmt.Errorf("series %s: %w", id, store.ErrNotFound)
	case x.Version != version:
		return nil, fmt.Errorf("series %s: %w", id, store.ErrStale)
	}
	return x, nil
}

// EditSeries replaces a series and cancels its occurrences that have not begun.
func (s *Store) EditSeries(ctx context.Context, w store.Write, x store.Series, version uint64) (out store.Series, err error) {
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		old, err := t.currentSeries(x.ID, version)
		if err != nil {
			return nil, err
		}
		out = x
		out.Version, out.Revision = old.Version+1, old.Revision+1
		out.CreatedAt, out.Author, out.Kind, out.Owner = old.CreatedAt, old.Author, old.Kind, old.Owner
		c := cause{now: now, actor: w.Actor}
		return out, errors.Join(t.cancelOpen(x.ID, c, true), t.putSeries(&out, now, w.Actor, "series.edited"))
	})
	return out, err
}

// DeleteSeries ends a series and cancels its occurrences that have not begun.
func (s *Store) DeleteSeries(ctx context.Context, w store.Write, id post.ID, version uint64) error {
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		x, err := t.currentSeries(id, version)
		if err != nil {
			return nil, err
		}
		x.Deleted = true
		x.Version++
		c := cause{now: now, actor: w.Actor}
		return nil, errors.Join(t.cancelOpen(id, c, false), t.putSeries(x, now, w.Actor, "series.deleted"))
	})
}

// cancelOpen cancels the occurrences of a series that have not begun. With free, the keys of those that are canceled
// whole are free again, so that the edited series can make its own runs at the same times.
func (t *tx) cancelOpen(series post.ID, c cause, free bool) error {
	canceled := make(map[post.ID]string) // post → occurrence key
	for _, k := range t.keys(bOpenOcc, series[:], math.MaxInt) {
		before, err := t.delivery(idAt(k))
		if err != nil {
			return err
		}
		if !withdrawable(before, c.now) {
			continue
		}
		after := copyOf(before)
		if err := after.Cancel(); err != nil {
			return fmt.Errorf("delivery %s: %w", before.ID, err)
		}
		if err := t.save(before, after, c); err != nil {
			return err
		}
		canceled[before.Post] = before.Occurrence
	}
	if !free {
		return nil
	}
	for id, key := range canceled {
		if err := t.freeOccurrence(series, id, key); err != nil {
			return err
		}
	}
	return nil
}

// freeOccurrence frees the key of an occurrence of which nothing is out or can still go out.
func (t *tx) freeOccurrence(series, id post.ID, key string) error {
	p, err := t.post(id)
	if err != nil {
		return err
	}
	deliveries, _, err := t.deliveriesOf(p)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		if d.State != post.Canceled {
			return nil
		}
	}
	return t.del(bOcc, occKey(series, key))
}

func occKey(series post.ID, key string) []byte {
	return append(append(make([]byte, 0, 64), series[:]...), key...)
}

// SkipOccurrence leaves a tombstone under the key.
func (s *Store) SkipOccurrence(ctx context.Context, w store.Write, id post.ID, key string) error {
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		x, err := t.series(id)
		if err != nil {
			return nil, err
		}
		made := t.get(bOcc, occKey(id, key))
		if len(made) == 16 && post.ID(made) != (post.ID{}) {
			p, err := t.post(post.ID(made))
			if err != nil {
				return nil, err
			}
			if err := t.cancelNotBegun(p, cause{now: now, actor: w.Actor}); err != nil {
				return nil, err
			}
		}
		if slices.Contains(x.Skipped, key) {
			return *x, nil
		}
		x.Skipped = append(x.Skipped, key)
		x.Version++
		if made == nil {
			if err := t.put(bOcc, occKey(id, key), make([]byte, 16)); err != nil {
				return nil, err
			}
		}
		return *x, t.putSeries(x, now, w.Actor, "series.skipped")
	})
}

// cancelNotBegun cancels the deliveries of an occurrence that have not begun, and leaves the others.
func (t *tx) cancelNotBegun(p *post.Post, c cause) error {
	deliveries, _, err := t.deliveriesOf(p)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		if !withdrawable(d, c.now) {
			continue
		}
		after := copyOf(d)
		if err := after.Cancel(); err != nil {
			return err
		}
		if err := t.save(d, after, c); err != nil {
			return err
		}
	}
	return nil
}

// Materialize makes occurrences of a series, each at most once by its key.
func (s *Store) Materialize(ctx context.Context, w store.Write, id post.ID, revision int, planned time.Time, used int, o []store.Occurrence) (made int, err error) {
	drafts := make([]draft, 0, len(o))
	for i := range o {
		d, err := newDraft(o[i].Post)
		if err != nil {
			return 0, err
		}
		drafts = append(drafts, d)
	}
	err = s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		made = 0
		x, err := t.series(id)
		if err != nil {
			return nil, err
		}
		if x.Deleted || x.Revision != revision {
			return nil, fmt.Errorf("series %s: %w", id, store.ErrStale)
		}
		for i := range o {
			key := occKey(id, o[i].Key)
			if t.get(bOcc, key) != nil {
				continue
			}
			d := &drafts[i]
			if t.get(bContent, d.Post.ID[:]) != nil {
				return nil, fmt.Errorf("post %s exists: %w", d.Post.ID, store.ErrStale)
			}
			if err := t.create(d, now, w.Actor); err != nil {
				return nil, err
			}
			if err := t.refuse(&o[i], cause{now: now, actor: w.Actor}); err != nil {
				return nil, err
			}
			if err := t.put(bOcc, key, append([]byte(nil), d.Post.ID[:]...)); err != nil {
				return nil, err
			}
			made++
		}
		planned = post.Instant(planned)
		if made == 0 && x.Used == used && x.Planned.Equal(planned) {
			return made, nil
		}
		x.Used, x.Planned = used, planned
		return made, t.putSeries(x, now, w.Actor, "")
	})
	return made, err
}

// refuse moves what of a new occurrence cannot be sent to missed.
func (t *tx) refuse(o *store.Occurrence, c cause) error {
	for id, why := range o.Refused {
		before, err := t.delivery(id)
		if err != nil {
			return err
		}
		after := copyOf(before)
		if err := after.Miss(store.ReasonRefused, why); err != nil {
			return fmt.Errorf("delivery %s: %w", id, err)
		}
		if err := t.save(before, after, c); err != nil {
			return err
		}
	}
	return nil
}

// OccurrenceMade reports whether the key is taken.
func (s *Store) OccurrenceMade(ctx context.Context, id post.ID, key string) (taken bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		taken = t.get(bOcc, occKey(id, key)) != nil
		return nil
	})
	return taken, err
}
