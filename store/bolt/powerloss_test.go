package bolt_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/store/bolt"
)

const (
	pageSize   = 4096
	sectorSize = 512
)

// images is how many files a lost power leaves behind in one run; CRIER_POWERLOSS_IMAGES sets more.
func images(t *testing.T) int {
	t.Helper()
	v := os.Getenv("CRIER_POWERLOSS_IMAGES")
	if v == "" {
		return 100
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// commit is the store before and after one write: its file, and what it shows.
type commit struct {
	from, to           []byte
	fromShown, toShown shown
}

// TestAfterALostPowerAllThatWasAcknowledgedIsThereAndNothingHalf makes the files that a power cut can leave behind and
// opens each. The only caller waits for each write, so that one commit lies between two copies of the file, and the pages in
// which they differ are what that commit wrote. A commit writes its pages, syncs, writes its head, syncs (which
// TestACommitSyncsItsPagesBeforeItWritesItsHead watches), so a cut leaves the file before it with any of the sectors of
// the pages, or the file with all pages and any of the sectors of the head; a head is shorter than a sector, and is torn
// at any byte all the same.
func TestAfterALostPowerAllThatWasAcknowledgedIsThereAndNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	path := filepath.Join(dir, bolt.FileName)
	note := homeless(t, dir)
	snap := func() ([]byte, shown) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.TrimRight(b, "\x00"), w.show()
	}
	var commits []commit
	for range 2 {
		for _, d := range deeds() {
			var c commit
			do := d.ready(w)
			c.from, c.fromShown = snap()
			if err := do(); err != nil {
				t.Fatalf("%s: %v", d.name, err)
			}
			c.to, c.toShown = snap()
			commits = append(commits, c)
		}
	}
	size, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(1)
	r := rand.New(rand.NewPCG(seed, 0))
	work := t.TempDir()
	older, newer := 0, 0
	for i := range images(t) {
		k := r.IntN(len(commits))
		c := &commits[k]
		image, after := cut(r, c.from, c.to)
		if err := os.WriteFile(filepath.Join(work, bolt.FileName+".marker"), note, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, bolt.FileName), image, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(work, bolt.FileName), size.Size()); err != nil { // the rest is zeros
			t.Fatal(err)
		}
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: work, Now: now})
		if err != nil {
			t.Fatalf("image %d of seed %d: %v", i, seed, err)
		}
		if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 || s.Restored() {
			t.Errorf("image %d of seed %d: check: %v %v, restored %t", i, seed, err, problems, s.Restored())
		}
		got := (&workbench{t: t, s: s}).show()
		closeStore(t, s)
		if problems, err := bolt.Fsck(filepath.Join(work, bolt.FileName)); err != nil || len(problems) > 0 {
			t.Errorf("image %d of seed %d: fsck: %v %v", i, seed, err, problems)
		}
		if cmp.Equal(c.toShown, got) {
			newer++
			continue
		}
		older++
		if diff := cmp.Diff(c.fromShown, got); after || diff != "" {
			t.Fatalf("image %d of seed %d is neither before nor after write %d (head whole: %t; -before +image):\n%s", i, seed, k, after, diff)
		}
	}
	if older == 0 || newer == 0 {
		t.Errorf("%d images show the time before the commit and %d the time after it: the cuts hit one side alone", older, newer)
	}
	t.Logf("%d images before, %d after", older, newer)
}

// cut gives a file that a power cut in the commit between two instants can leave. whole says that the head of the commit
// is in it.
func cut(r *rand.Rand, from, to []byte) (image []byte, whole bool) {
	size := (max(len(from), len(to)) + pageSize - 1) / pageSize * pageSize
	image = make([]byte, size)
	copy(image, from)
	next := make([]byte, size)
	copy(next, to)
	var pages []int
	for at := 2 * pageSize; at < size; at += pageSize {
		if !bytes.Equal(image[at:at+pageSize], next[at:at+pageSize]) {
			pages = append(pages, at)
		}
	}
	switch r.IntN(3) {
	case 0: // whole pages or none
		for _, at := range pages {
			if r.IntN(2) == 0 {
				copy(image[at:at+pageSize], next[at:])
			}
		}
		return image, false
	case 1: // torn pages
		for _, at := range pages {
			for s := at; s < at+pageSize; s += sectorSize {
				if r.IntN(2) == 0 {
					copy(image[s:s+sectorSize], next[s:])
				}
			}
		}
		return image, false
	}
	copy(image[2*pageSize:], next[2*pageSize:])
	for at := 0; at < 2*pageSize; at += pageSize {
		// The first 96 bytes hold a head.
		if n := r.IntN(160); bytes.Equal(image[at:at+pageSize], next[at:at+pageSize]) || n < 96 {
			copy(image[at:at+min(n, 96)], next[at:])
		} else {
			copy(image[at:at+pageSize], next[at:])
			whole = true
		}
	}
	return image, whole
}

// TestTheImagesOfALostPowerCanFail breaks the order that bbolt keeps: a head that is there before its pages.
func TestTheImagesOfALostPowerCanFail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	path := filepath.Join(dir, bolt.FileName)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		w.later()
	}
	closeStore(t, w.s)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[2*pageSize:], before[2*pageSize:min(len(before), len(b))])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	problems, err := bolt.Fsck(path)
	if err == nil && len(problems) == 0 {
		t.Error("a head without its pages passes")
	}
	if txid := binary.LittleEndian.Uint64(b[16+48:]); txid == 0 {
		t.Error(fmt.Sprint("the head is not where this test looks for it: ", txid))
	}
}
