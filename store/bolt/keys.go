package bolt

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"crier/internal/post"
)

// Keys are big-endian, so that byte order is the order of what they name. An account comes as kind, "|", handle and a
// zero byte: no range of keys of one kind reaches into the other, and no handle is the prefix of another.

// noTime is how the zero time is written.
const noTime = math.MinInt64

func millis(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == noTime {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// addTime appends t so that the order of bytes is the order of time, the zero time first.
func addTime(b []byte, t time.Time) []byte { return addMillis(b, millis(t)) }

func addMillis(b []byte, ms int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(ms)^(1<<63)) //nolint:gosec // a change of form: the bias keeps the order of signs
}

func keyMillis(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b) ^ (1 << 63)) //nolint:gosec // the inverse of addMillis
}

func addAccount(b []byte, k post.AccountKey) []byte {
	b = append(b, k.Kind...)
	b = append(b, '|')
	b = append(b, k.Handle...)
	return append(b, 0)
}

// cutAccount reads the account at the start of b.
func cutAccount(b []byte) (post.AccountKey, bool) {
	account, _, ended := bytes.Cut(b, []byte{0})
	if !ended {
		return post.AccountKey{}, false
	}
	return post.ParseAccountKey(string(account))
}

func accountKey(k post.AccountKey) []byte { return addAccount(make([]byte, 0, 48), k) }

// laneKey is account, due, id: the order inside a lane, and of the calendar of one account.
func laneKey(d *post.Delivery) []byte { return positionOf(d).key(d.Account) }

// calendarKey is kind, due, id.
func calendarKey(d *post.Delivery) []byte {
	b := append(make([]byte, 0, 40), d.Account.Kind...)
	b = append(b, '|')
	return append(addTime(b, d.Due), d.ID[:]...)
}

// statusKey is state, due, id.
func statusKey(d *post.Delivery) []byte {
	b := append(make([]byte, 0, 48), d.State...)
	b = append(b, '|')
	return append(addTime(b, d.Due), d.ID[:]...)
}

func timedKey(ms int64, id post.ID) []byte {
	return append(addMillis(make([]byte, 0, 24), ms), id[:]...)
}

// readyKey is kind, instant, account.
func readyKey(ms int64, k post.AccountKey) []byte {
	b := append(make([]byte, 0, 64), k.Kind...)
	b = append(b, '|')
	return addAccount(addMillis(b, ms), k)
}

func kindPrefix(k post.Kind) []byte { return append([]byte(k), '|') }

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, 8), n) }

func idSeqKey(id post.ID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), id[:]...), n)
}

// receiptKey is platform, zero, remote id; the remote id is cut to its first 1,024 bytes, far beyond any real one.
func receiptKey(p post.Platform, remote string) []byte {
	b := append(make([]byte, 0, 64), p...)
	b = append(b, 0)
	return append(b, remote[:min(len(remote), maxRemoteID)]...)
}

const maxRemoteID = 1024

// pairKey joins two texts with a zero byte.
func pairKey(a, b string) []byte {
	k := append(make([]byte, 0, len(a)+len(b)+1), a...)
	k = append(k, 0)
	return append(k, b...)
}

// idAt reads the id that ends a key.
func idAt(key []byte) (id post.ID) {
	if len(key) >= len(id) {
		copy(id[:], key[len(key)-len(id):])
	}
	return id
}

func readSeq(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
