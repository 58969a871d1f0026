package bolt

import "bytes"

// slab is the memory in which a transaction keeps the values that it writes, for bbolt wants them unchanged until the
// commit. It is allocated once and used anew by the next transaction: nothing that is read may share it, or it would
// change later. The zero value is ready for use.
type slab struct {
	chunks [][]byte
	n      int // of chunks in use
}

const (
	slabChunk = 64 << 10
	maxSlab   = 32 // chunks that the next transaction finds; what a large one took beyond is let go of when the next begins
)

// keep gives a copy of v that stays as it is until reset.
func (s *slab) keep(v []byte) []byte {
	if len(v) > slabChunk/4 {
		return bytes.Clone(v)
	}
	if s.n == 0 || cap(s.chunks[s.n-1])-len(s.chunks[s.n-1]) < len(v) {
		if s.n == len(s.chunks) {
			s.chunks = append(s.chunks, make([]byte, 0, slabChunk))
		}
		s.n++
	}
	c := &s.chunks[s.n-1]
	from := len(*c)
	*c = append(*c, v...)
	return (*c)[from:len(*c):len(*c)]
}

// reset gives the memory back, emptied: whoever still held a value of a chunk would be seen at once.
func (s *slab) reset() {
	if len(s.chunks) > maxSlab {
		clear(s.chunks[maxSlab:])
		s.chunks = s.chunks[:maxSlab]
	}
	for i := range s.chunks {
		clear(s.chunks[i])
		s.chunks[i] = s.chunks[i][:0]
	}
	s.n = 0
}
