package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	bbolt "go.etcd.io/bbolt"
)

// The layout of a page of bbolt: a header, then an element for each entry, then keys and values.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	pageElement = 16
	pageBranch  = 0x01
	pageLeaf    = 0x02
	pageFree    = 0x10 // it lists the pages that are free, 8 bytes each
	leafBucket  = 0x01 // the value of the element is a bucket
	bucketSize  = 16   // root page 8, sequence 8

	manyFree = 0xffff // as a count: the number of free pages stands before the first of them

	headFree = pageHeader + 32 // in the two heads: the page that lists the free ones
	headTx   = headFree + 16   // the number of the transaction that wrote this head
)

const (
	// maxHeight is more levels than a tree of bbolt has: each page but the root holds two elements or more.
	maxHeight = 64
	// maxBranch is more pages than a branch runs on to: one that is too long for a page is split unless it has four keys or
	// fewer, of 32 KiB at most.
	maxBranch = 300
	// anywhere stands for the levels of a tree whose height is not known.
	anywhere = -1
)

// pageWalk follows the pages of a file by reading it, not through the map: what is damaged gives a problem, where
// bbolt's own check would run in circles, fault or panic.
type pageWalk struct {
	file     io.ReaderAt
	size     int      // of a page
	high     uint64   // pages from here on are not in use
	seen     pageSet  // what the walk has met
	free     pageSet  // what is free by the file's own list
	branches bool     // of a bucket's leaves it sees only where they lie
	rooms    [][]byte // of the size of a page, for those that are read
	problems []string
}

// pageSet has a bit for each page of a file.
type pageSet []uint64

func newPageSet(pages uint64) pageSet { return make(pageSet, pages/64+1) }

func (s pageSet) has(page uint64) bool { return s[page/64]&(1<<(page%64)) != 0 }

func (s pageSet) add(page uint64) { s[page/64] |= 1 << (page % 64) }

// checkPages follows every page from the root. bbolt's own check must not see what this has found: it runs on a goroutine
// of its own, where a fault ends the program.
func checkPages(path string, b *bbolt.Tx) ([]string, error) { return walkPages(path, b, false) }

// checkBranches follows the branches alone, about one page in a hundred, and looks where the leaves below them lie. What a
// leaf says of itself it does not see.
func checkBranches(path string, b *bbolt.Tx) ([]string, error) { return walkPages(path, b, true) }

func walkPages(path string, b *bbolt.Tx, branches bool) (problems []string, err error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size := b.DB().Info().PageSize
	high := uint64(b.Size()) / uint64(size) //nolint:gosec // sizes
	w := &pageWalk{file: f, size: size, high: high, seen: newPageSet(high), free: newPageSet(high), branches: branches}
	w.listFree(uint64(b.ID())) //nolint:gosec // it counts up from 0
	w.tree(uint64(b.Cursor().Bucket().Root()), anywhere)
	return w.problems, nil
}

func (w *pageWalk) say(page uint64, format string, args ...any) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, fmt.Sprintf("page %d: ", page)+fmt.Sprintf(format, args...))
	}
}

// read gives the first n bytes of a page and what follows it.
func (w *pageWalk) read(page uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	return b, w.readInto(b, page)
}

func (w *pageWalk) readInto(b []byte, page uint64) error {
	_, err := w.file.ReadAt(b, int64(page)*int64(w.size)) //nolint:gosec // below high
	return err
}

// room lends memory for a page; giveBack takes it.
func (w *pageWalk) room() []byte {
	if n := len(w.rooms); n > 0 {
		b := w.rooms[n-1]
		w.rooms = w.rooms[:n-1]
		return b
	}
	return make([]byte, w.size)
}

func (w *pageWalk) giveBack(b []byte) { w.rooms = append(w.rooms, b) }

// listFree reads the list of free pages that belongs to a transaction. What is wrong with the list itself is for bbolt
// to say, which reads it whenever it opens a file to write.
func (w *pageWalk) listFree(tx uint64) {
	page, ok := w.freeList(tx)
	if !ok || page < 2 || page >= w.high {
		return
	}
	b, err := w.read(page, pageHeader+8)
	if err != nil || binary.LittleEndian.Uint16(b[8:]) != pageFree {
		return
	}
	n, from := uint64(binary.LittleEndian.Uint16(b[10:])), pageHeader
	if n == manyFree {
		n, from = binary.LittleEndian.Uint64(b[pageHeader:]), pageHeader+8
	}
	if n > w.high {
		return
	}
	if b, err = w.read(page, from+8*int(n)); err != nil { //nolint:gosec // below high
		return
	}
	for ; from < len(b); from += 8 {
		if id := binary.LittleEndian.Uint64(b[from:]); id < w.high {
			w.free.add(id)
		}
	}
}

// freeList gives the page that lists the free ones, from the head that a transaction wrote: its number tells which of the
// two that is, but a copy may have it as the other.
func (w *pageWalk) freeList(tx uint64) (page uint64, ok bool) {
	for _, head := range [...]uint64{tx % 2, 1 - tx%2} {
		b, err := w.read(head, headTx+8)
		if err == nil && binary.LittleEndian.Uint64(b[headTx:]) == tx {
			return binary.LittleEndian.Uint64(b[headFree:]), true
		}
	}
	return 0, false
}

// tree walks from a page down; its leaves lie so many levels below, or anywhere. Where only branches are read, it ends
// above the leaves. A page is entered once, so that the walk ends whatever the pages say.
func (w *pageWalk) tree(root uint64, levels int) {
	if root < 2 || root >= w.high {
		w.say(root, "it is beyond the %d pages of the file", w.high)
		return
	}
	if w.seen.has(root) {
		w.say(root, "two pages lead to it")
		return
	}
	w.seen.add(root)
	if w.free.has(root) {
		w.say(root, "it is free, and yet a page leads to it")
		return
	}
	if levels == 0 {
		return
	}
	b := w.room()
	defer w.giveBack(b)
	if err := w.readInto(b, root); err != nil {
		w.say(root, "%v", err)
		return
	}
	if id := binary.LittleEndian.Uint64(b); id != root {
		w.say(root, "it says that it is page %d", id)
		return
	}
	flags, more := binary.LittleEndian.Uint16(b[8:]), uint64(binary.LittleEndian.Uint32(b[12:]))
	switch {
	case flags != pageBranch && flags != pageLeaf:
		w.say(root, "its kind is %#x, want a branch or a leaf", flags)
		return
	case flags == pageLeaf && levels != anywhere:
		w.say(root, "it is a leaf, %d levels above the others", levels)
		return
	case root+more >= w.high, flags == pageBranch && more > maxBranch:
		w.say(root, "it runs to page %d of %d", root+more, w.high)
		return
	}
	for i := range more {
		w.seen.add(root + 1 + i)
	}
	if more > 0 {
		var err error
		if b, err = w.read(root, (int(more)+1)*w.size); err != nil { //nolint:gosec // below high
			w.say(root, "%v", err)
			return
		}
	}
	w.page(root, b, levels)
}

// page looks at the elements of a branch or a leaf and follows where they lead.
func (w *pageWalk) page(id uint64, b []byte, levels int) {
	flags, count := binary.LittleEndian.Uint16(b[8:]), int(binary.LittleEndian.Uint16(b[10:]))
	if pageHeader+count*pageElement > len(b) {
		w.say(id, "%d elements do not fit", count)
		return
	}
	below := levels - 1
	if levels == anywhere {
		below = anywhere
	}
	for i := range count {
		at := pageHeader + i*pageElement
		e := b[at : at+pageElement]
		if flags == pageBranch {
			pos, keyLen := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:]))
			if uint64(at)+pos+keyLen > uint64(len(b)) {
				w.say(id, "element %d is outside of it", i)
			}
			w.tree(binary.LittleEndian.Uint64(e[8:]), below)
			continue
		}
		pos, keyLen := uint64(binary.LittleEndian.Uint32(e[4:])), uint64(binary.LittleEndian.Uint32(e[8:]))
		end := uint64(at) + pos + keyLen + uint64(binary.LittleEndian.Uint32(e[12:]))
		if end > uint64(len(b)) {
			w.say(id, "element %d is outside of it", i)
			continue
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
		levels := anywhere
		if w.branches {
			// All leaves of a tree lie equally deep. One of the two paths may be damaged.
			if levels = w.height(root, false); levels != w.height(root, true) {
				w.say(root, "the leaves below it lie at different depths")
				return
			}
		}
		w.tree(root, levels)
		return
	}
	if inline := v[bucketSize:]; len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != pageLeaf {
		w.say(id, "the bucket of element %d has no page", i)
	} else {
		w.page(id, inline, anywhere)
	}
}

// height counts the branches from the root of a tree down to its first leaf, or to its last.
func (w *pageWalk) height(root uint64, last bool) int {
	b := w.room()
	defer w.giveBack(b)
	for levels := range maxHeight {
		if root < 2 || root >= w.high || w.readInto(b, root) != nil || binary.LittleEndian.Uint16(b[8:]) != pageBranch {
			return levels
		}
		at := pageHeader
		if last {
			at += pageElement * (int(binary.LittleEndian.Uint16(b[10:])) - 1)
		}
		if at < pageHeader || at+pageElement > len(b) {
			return levels
		}
		root = binary.LittleEndian.Uint64(b[at+8:])
	}
	return maxHeight
}
