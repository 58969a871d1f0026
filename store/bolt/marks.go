package bolt

import (
	"bytes"
	"time"

	"crier/internal/post"
	"crier/store"
)

// A mark says that a delivery was written with a content: what a later one of the same content is refused by. Each
// delivery has its own, so that the end of one of two that say the same by permission leaves the other's standing.

// markPrefix is account, digest: where all marks of one content in one place stand.
func markPrefix(account post.AccountKey, fingerprint string) []byte {
	return append(accountKey(account), fingerprint...)
}

// mark notes what a delivery says from now on; nothing without a fingerprint.
func (t *tx) mark(d *post.Delivery, fingerprint string, now time.Time) error {
	if fingerprint == "" {
		return nil
	}
	key := append(markPrefix(d.Account, fingerprint), d.ID[:]...)
	value := append(append(addTime(nil, now), d.Post[:]...), d.ID[:]...)
	return t.put(bFingerprint, key, value)
}

// remark moves the mark of a delivery that says something else from now on.
func (t *tx) remark(d *post.Delivery, before, after string, now time.Time) error {
	if before == after {
		return nil
	}
	if before != "" {
		key := markPrefix(d.Account, before)
		if old := t.get(bFingerprint, key); old != nil && idAt(old) == d.ID { // as an earlier Crier wrote it
			if err := t.del(bFingerprint, key); err != nil {
				return err
			}
		}
		if err := t.del(bFingerprint, append(key, d.ID[:]...)); err != nil {
			return err
		}
	}
	return t.mark(d, after, now)
}

// ended reports whether nothing of the delivery is out or will come out by itself.
func ended(d *post.Delivery) bool {
	return d.State == post.Canceled || d.State == post.Failed || d.State == post.Missed
}

// duplicate gives the latest post that said the same in the same place within the time that counts, and that is out or
// may come out; zero when there is none. The marks of the deliveries in leaving do not count.
func (t *tx) duplicate(account post.AccountKey, fingerprint string, now time.Time, leaving map[post.ID]bool) (post.ID, error) {
	if fingerprint == "" {
		return post.ID{}, nil
	}
	var latest []byte
	prefix := markPrefix(account, fingerprint)
	err := t.scan(bFingerprint, prefix, func(k, v []byte) (bool, error) {
		switch {
		case len(k) != len(prefix) && len(k) != len(prefix)+16: // of a longer digest
			return true, nil
		case len(v) != 40:
			return false, corrupt(bFingerprint, k, errShort)
		case !now.Before(instant(keyMillis(v)).Add(store.DuplicateWithin)), leaving[idAt(v)]:
			return true, nil
		}
		d, err := t.delivery(idAt(v))
		if err != nil {
			return false, err
		}
		if !ended(d) && (latest == nil || bytes.Compare(v, latest) > 0) {
			latest = v
		}
		return true, nil
	})
	if err != nil || latest == nil {
		return post.ID{}, err
	}
	return post.ID(latest[8:24]), nil
}
