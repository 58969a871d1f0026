package bolt

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The layout of a page of bbolt: a header, then an element for each entry, then keys and values.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	pageElement = 16
	pageBranch  = 0x01
	pageLeaf    = 0x02
	leafBucket  = 0x01 // the value of the element is a bucket
	bucketSize  = 16   // root page 8, sequence 8
)

// pageWalk follows the pages of a file by reading it, not through the map: what is damaged gives a problem, where
// bbolt's own check would run in circles, fault or panic.
type pageWalk struct {
	file     io.ReaderAt
	size     int    // of a page
	high     uint64 // pages from here on are not in use
	seen     map[uint64]bool
	problems []string
}

func (w *pageWalk) say(page uint64, format string, args ...any) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, fmt.Sprintf("page %d: ", page)+fmt.Sprintf(format, args...))
	}
}

// tree walks a bucket from its root. A page is entered once, so that the walk ends whatever the pages say.
func (w *pageWalk) tree(root uint64) {
	if root < 2 || root >= w.high {
		w.say(root, "it is beyond the %d pages of the file", w.high)
		return
	}
	if w.seen[root] {
		w.say(root, "two pages lead to it")
		return
	}
	head := make([]byte, pageHeader)
	if _, err := w.file.ReadAt(head, int64(root)*int64(w.size)); err != nil { //nolint:gosec // below high
		w.say(root, "%v", err)
		return
	}
	overflow := uint64(binary.LittleEndian.Uint32(head[12:]))
	if root+overflow >= w.high {
		w.say(root, "it runs to page %d of %d", root+overflow, w.high)
		return
	}
	for i := range overflow + 1 {
		w.seen[root+i] = true
	}
	b := make([]byte, (int(overflow)+1)*w.size)                            //nolint:gosec // below high
	if _, err := w.file.ReadAt(b, int64(root)*int64(w.size)); err != nil { //nolint:gosec // below high
		w.say(root, "%v", err)
		return
	}
	if id := binary.LittleEndian.Uint64(b); id != root {
		w.say(root, "it says that it is page %d", id)
		return
	}
	w.page(root, b)
}

// page looks at the elements of one page and follows where they lead.
func (w *pageWalk) page(id uint64, b []byte) {
	flags, count := binary.LittleEndian.Uint16(b[8:]), int(binary.LittleEndian.Uint16(b[10:]))
	if flags != pageBranch && flags != pageLeaf {
		w.say(id, "its kind is %#x, want a branch or a leaf", flags)
		return
	}
	if pageHeader+count*pageElement > len(b) {
		w.say(id, "%d elements do not fit", count)
		return
	}
	for i := range count {
		at := pageHeader + i*pageElement
		e := b[at : at+pageElement]
		if flags == pageBranch {
			pos, keyLen := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:]))
			if uint64(at)+pos+keyLen > uint64(len(b)) {
				w.say(id, "element %d is outside of it", i)
				return
			}
			w.tree(binary.LittleEndian.Uint64(e[8:]))
			continue
		}
		pos, keyLen := uint64(binary.LittleEndian.Uint32(e[4:])), uint64(binary.LittleEndian.Uint32(e[8:]))
		end := uint64(at) + pos + keyLen + uint64(binary.LittleEndian.Uint32(e[12:]))
		if end > uint64(len(b)) {
			w.say(id, "element %d is outside of it", i)
			return
		}
		if binary.LittleEndian.Uint32(e)&leafBucket != 0 {
			w.bucket(id, i, b[uint64(at)+pos+keyLen:end])
		}
	}
}

// bucket follows an entry that is a bucket: a page of its own, or one inside the value.
func (w *pageWalk) bucket(id uint64, i int, v []byte) {
	if len(v) < bucketSize {
		w.say(id, "element %d is no bucket", i)
		return
	}
	if root := binary.LittleEndian.Uint64(v); root != 0 {
		w.tree(root)
		return
	}
	if inline := v[bucketSize:]; len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != pageLeaf {
		w.say(id, "the bucket of element %d has no page", i)
	} else {
		w.page(id, inline)
	}
}
