package bolt

import (
	"encoding/binary"
	"errors"
	"time"

	"crier/internal/post"
)

// errShort says that a record ends before its last field, or that a length in it is impossible.
var errShort = errors.New("it is cut short")

// encoder appends the fields of a record.
type encoder struct{ b []byte }

func (e *encoder) byte(v byte)      { e.b = append(e.b, v) }
func (e *encoder) id(v post.ID)     { e.b = append(e.b, v[:]...) }
func (e *encoder) uint(v uint64)    { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)      { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) time(t time.Time) { e.int(millis(t)) }
func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) bytes(v []byte) {
	e.uint(uint64(len(v)))
	e.b = append(e.b, v...)
}

// decoder reads what encoder wrote. The first mistake is kept; what follows reads as zero. All values are copies.
type decoder struct {
	b     []byte
	bad   bool
	words map[string]string
}

func (d *decoder) err() error {
	if d.bad || len(d.b) != 0 {
		return errShort
	}
	return nil
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) id() (id post.ID) {
	copy(id[:], d.take(uint64(len(id))))
	return id
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) time() time.Time { return instant(d.int()) }
func (d *decoder) text() string    { return string(d.take(d.uint())) }

// common reads a text that many records have in common, and copies it once where there are words to keep it in.
func (d *decoder) common() string {
	b := d.take(d.uint())
	if s, ok := d.words[string(b)]; ok {
		return s
	}
	s := string(b)
	if d.words != nil {
		d.words[s] = s
	}
	return s
}

// count reads the number of items that follow, each of at least one byte.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n) //nolint:gosec // bounded by the length of the record
}
