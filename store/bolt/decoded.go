package bolt

import (
	"bytes"
	"encoding/json"
	"sync"

	"crier/store"
)

// maxDecoded bounds what one cache of decoded records holds.
const maxDecoded = 4096

// decoded keeps JSON records that every request asks for, so that each is decoded once. An entry counts only for the very
// bytes that it was read from, so that it can never be old. What it gives is shared: nobody may change what it refers to.
type decoded[T any] struct {
	mu    sync.Mutex
	known map[string]decodedRecord[T]
}

type decodedRecord[T any] struct {
	raw   []byte
	value T
}

// get reads a record; ErrNotFound when there is none.
func (d *decoded[T]) get(t *tx, id bucketID, key []byte) (value T, err error) {
	raw := t.get(id, key)
	if raw == nil {
		return value, store.ErrNotFound
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if k, ok := d.known[string(key)]; ok && bytes.Equal(k.raw, raw) {
		return k.value, nil
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, corrupt(id, key, err)
	}
	if d.known == nil || len(d.known) >= maxDecoded {
		d.known = map[string]decodedRecord[T]{}
	}
	d.known[string(key)] = decodedRecord[T]{raw: bytes.Clone(raw), value: value}
	return value, nil
}
