package bolt

import (
	"bytes"
	"context"
	"time"

	"crier/internal/post"
	"crier/store"
)

// answered looks for the stored answer of a client's key: nil when there is none, else *store.ReplayedError or
// store.ErrIdempotencyMismatch.
func (t *tx) answered(now time.Time, o *store.Once) error {
	if o == nil {
		return nil
	}
	b := t.get(bIdem, pairKey(o.Client, o.Key))
	if b == nil {
		return nil
	}
	if len(b) < 40 {
		return corrupt(bIdem, pairKey(o.Client, o.Key), errShort)
	}
	if keyMillis(b) <= millis(now) {
		return nil
	}
	if !bytes.Equal(b[8:40], o.Digest[:]) {
		return store.ErrIdempotencyMismatch
	}
	return &store.ReplayedError{Answer: bytes.Clone(b[40:])}
}

// answer stores what the client is told.
func (t *tx) answer(now time.Time, o *store.Once, result any) error {
	if o == nil {
		return nil
	}
	key := pairKey(o.Client, o.Key)
	if old := t.get(bIdem, key); len(old) >= 8 {
		if err := t.del(bIdemExpiry, append(bytes.Clone(old[:8]), key...)); err != nil {
			return err
		}
	}
	expiry := addTime(nil, now.Add(store.OnceFor))
	if err := t.put(bIdemExpiry, append(bytes.Clone(expiry), key...), nil); err != nil {
		return err
	}
	value := append(expiry, o.Digest[:]...)
	return t.put(bIdem, key, append(value, o.Answer(result)...))
}

// once runs an effect at most once for w.Once: it refuses with the earlier answer, or runs f and stores its result.
func (s *Store) once(ctx context.Context, w store.Write, f func(t *tx, now time.Time) (result any, err error)) error {
	now := post.Instant(w.Now)
	return s.write(ctx, now, func(t *tx) error {
		if err := t.answered(now, w.Once); err != nil {
			return err
		}
		result, err := f(t, now)
		if err != nil {
			return err
		}
		return t.answer(now, w.Once, result)
	})
}

// Replay gives the stored answer for a client's key.
func (s *Store) Replay(ctx context.Context, now time.Time, o store.Once) (answer []byte, err error) {
	err = s.read(ctx, func(t *tx) error {
		switch err := t.answered(now, &o).(type) { //nolint:errorlint // answered wraps nothing
		case nil:
			return store.ErrNotFound
		case *store.ReplayedError:
			answer = err.Answer
			return nil
		default:
			return err
		}
	})
	return answer, err
}

// Record stores nothing but the answer of w.Once.
func (s *Store) Record(ctx context.Context, w store.Write, result any) error {
	return s.once(ctx, w, func(*tx, time.Time) (any, error) { return result, nil })
}
