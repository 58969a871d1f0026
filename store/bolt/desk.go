package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"crier/internal/post"
	"crier/store"
)

// PutKey writes an API key.
func (s *Store) PutKey(ctx context.Context, w store.Write, k store.Key) error {
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		err := errors.Join(t.putJSON(bKey, []byte(k.ID), k),
			t.change(&post.Change{At: now, Actor: w.Actor, Type: "key.created", Detail: k.ID}))
		return k, err
	})
}

// KeyByID gives one API key. What it refers to is shared with other callers.
func (s *Store) KeyByID(ctx context.Context, id string) (k store.Key, err error) {
	err = s.read(ctx, func(t *tx) (err error) {
		k, err = s.keys.get(t, bKey, []byte(id))
		return err
	})
	return k, err
}

// ListKeys gives all API keys by id.
func (s *Store) ListKeys(ctx context.Context) (keys []store.Key, err error) {
	err = s.read(ctx, func(t *tx) error {
		keys = nil
		return t.scan(bKey, nil, func(k, v []byte) (bool, error) {
			var key store.Key
			if err := json.Unmarshal(v, &key); err != nil {
				return false, corrupt(bKey, k, err)
			}
			keys = append(keys, key)
			return true, nil
		})
	})
	return keys, err
}

// DeleteKey deletes an API key.
func (s *Store) DeleteKey(ctx context.Context, w store.Write, id string) error {
	return s.once(ctx, w, func(t *tx, now time.Time) (any, error) {
		if t.get(bKey, []byte(id)) == nil {
			return nil, fmt.Errorf("key: %w", store.ErrNotFound)
		}
		return nil, errors.Join(t.del(bKey, []byte(id)),
			t.change(&post.Change{At: now, Actor: w.Actor, Type: "key.deleted", Detail: id}))
	})
}

// AccountCounts gives the number of deliveries of each account.
func (s *Store) AccountCounts(ctx context.Context) (out map[post.AccountKey]store.AccountCounts, err error) {
	err = s.read(ctx, func(t *tx) error {
		out, err = t.accountCounts()
		return err
	})
	return out, err
}

func (t *tx) accountCounts() (map[post.AccountKey]store.AccountCounts, error) {
	out := map[post.AccountKey]store.AccountCounts{}
	err := t.scan(bLaneState, nil, func(k, v []byte) (bool, error) {
		key, ok := cutAccount(k)
		if !ok {
			return false, corrupt(bLaneState, k, errShort)
		}
		l, err := decodeLane(key, v, t.words)
		if err != nil {
			return false, err
		}
		c := store.AccountCounts{ByState: l.counts.view()}
		if !l.head.none() {
			c.NextDue = instant(l.head.due)
		}
		out[key] = c
		return true, nil
	})
	return out, err
}

// Counts gives the number of deliveries by kind and state.
func (s *Store) Counts(ctx context.Context) (c store.Counts, err error) {
	err = s.read(ctx, func(t *tx) error {
		m, err := t.loadMeta()
		if err != nil {
			return err
		}
		c = m.view()
		c.NextDue, err = t.nextDue()
		return err
	})
	return c, err
}

// nextDue is the due time of the delivery that is tried first among those whose lanes are open and not stopped.
func (t *tx) nextDue() (next time.Time, err error) {
	stops, err := t.stopList()
	if err != nil {
		return time.Time{}, err
	}
	for _, kind := range post.Kinds() {
		err := t.scan(bReady, kindPrefix(kind), func(k, v []byte) (bool, error) {
			e, err := readReady(k, v)
			if err != nil {
				return false, err
			}
			if stoppedBy(stops, kind, e.owner, time.Time{}) {
				return !stoppedAll(stops, kind, time.Time{}), nil
			}
			d, err := t.delivery(e.head)
			if err != nil {
				return false, err
			}
			if next.IsZero() || d.Due.Before(next) {
				next = d.Due
			}
			return false, nil
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	return next, nil
}

// Changes lists changes after seq, oldest first.
func (s *Store) Changes(ctx context.Context, after uint64, limit int) (changes []post.Change, err error) {
	err = s.read(ctx, func(t *tx) error {
		changes = nil
		c := t.bucket(bOutbox).Cursor()
		for k, v := c.Seek(seqKey(after + 1)); k != nil && len(changes) < limit && after != ^uint64(0); k, v = c.Next() {
			x, err := decodeChange(readSeq(k), v)
			if err != nil {
				return err
			}
			changes = append(changes, x.Change)
		}
		return nil
	})
	return changes, err
}

// Prune drops expired answers, duplicate marks and old changes, in short transactions.
func (s *Store) Prune(ctx context.Context, now, changesBefore time.Time) error {
	for _, step := range []func(*tx) (int, error){
		func(t *tx) (int, error) { return t.pruneAnswers(now) },
		func(t *tx) (int, error) { return t.pruneChanges(changesBefore) },
	} {
		for {
			n := 0
			err := s.write(ctx, now, func(t *tx) (err error) {
				n, err = step(t)
				return err
			})
			if err != nil {
				return fmt.Errorf("prune: %w", err)
			}
			if n < maxChunk {
				break
			}
		}
	}
	return s.pruneFingerprints(ctx, now)
}

func (t *tx) pruneAnswers(now time.Time) (int, error) {
	n := 0
	for _, k := range t.keys(bIdemExpiry, nil, maxChunk) {
		if keyMillis(k) > millis(now) {
			break
		}
		if b := t.get(bIdem, k[8:]); len(b) >= 8 && bytes.Equal(b[:8], k[:8]) {
			if err := t.del(bIdem, k[8:]); err != nil {
				return n, err
			}
		}
		if err := t.del(bIdemExpiry, k); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (t *tx) pruneChanges(before time.Time) (int, error) {
	var old []post.Change
	err := t.scan(bOutbox, nil, func(k, v []byte) (bool, error) {
		c, err := decodeChange(readSeq(k), v)
		if err != nil {
			return false, err
		}
		if !c.At.Before(before) {
			return false, nil
		}
		old = append(old, c.Change)
		return len(old) < maxChunk, nil
	})
	if err != nil {
		return 0, err
	}
	for i := range old {
		c := &old[i]
		if err := t.del(bOutbox, seqKey(c.Seq)); err != nil {
			return i, err
		}
		if c.Post.IsZero() {
			continue
		}
		if err := t.del(bHistory, idSeqKey(c.Post, c.Seq)); err != nil {
			return i, err
		}
	}
	return len(old), nil
}

// pruneFingerprints walks the whole table, in chunks: it holds at most what was written within a day or between two
// prunings.
func (s *Store) pruneFingerprints(ctx context.Context, now time.Time) error {
	limit := millis(now.Add(-store.DuplicateWithin))
	var from []byte
	for done := false; !done; {
		var old [][]byte
		err := s.read(ctx, func(t *tx) error {
			old, done = nil, true
			c, n := t.bucket(bFingerprint).Cursor(), 0
			for k, v := c.Seek(from); k != nil; k, v = c.Next() {
				if n == maxQueue || len(old) == maxChunk {
					from, done = bytes.Clone(k), false
					return nil
				}
				if len(v) >= 8 && keyMillis(v) <= limit {
					old = append(old, bytes.Clone(k))
				}
				n++
			}
			return nil
		})
		if err != nil || len(old) == 0 {
			if err != nil {
				return fmt.Errorf("prune: %w", err)
			}
			continue
		}
		err = s.write(ctx, now, func(t *tx) error {
			for _, k := range old {
				if v := t.get(bFingerprint, k); len(v) < 8 || keyMillis(v) > limit {
					continue // written anew meanwhile
				}
				if err := t.del(bFingerprint, k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return nil
}
