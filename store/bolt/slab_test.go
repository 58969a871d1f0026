package bolt

import (
	"bytes"
	"testing"
)

func TestWhatASlabKeepsStaysAsItIsUntilTheReset(t *testing.T) {
	t.Parallel()
	var s slab
	for round := range 3 {
		var kept, want [][]byte
		for i := range 2000 {
			// Sizes around those that fill a chunk to its end, and those that get memory of their own.
			v := bytes.Repeat([]byte{byte(i), byte(round)}, 1+(i*97)%(slabChunk/6))
			want = append(want, bytes.Clone(v))
			kept = append(kept, s.keep(v))
			clear(v) // it is the caller's again
		}
		for i := range kept {
			if !bytes.Equal(kept[i], want[i]) {
				t.Fatalf("round %d: value %d of %d bytes has changed", round, i, len(want[i]))
			}
			if cap(kept[i]) != len(kept[i]) && len(kept[i]) <= slabChunk/4 {
				t.Fatalf("round %d: an append to value %d would reach into the next", round, i)
			}
		}
		s.reset()
		if !bytes.Equal(kept[1], make([]byte, len(kept[1]))) {
			t.Fatal("whoever still holds a value after the reset does not see it")
		}
		if len(s.chunks) > maxSlab {
			t.Fatalf("%d chunks are kept, want at most %d", len(s.chunks), maxSlab)
		}
	}
	if got := s.keep(nil); len(got) != 0 {
		t.Errorf("nothing became %d bytes", len(got))
	}
}
