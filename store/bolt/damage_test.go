package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// sample is a store's file with what was accepted into it, and the note beside it.
type sample struct {
	file, note []byte
	accepted   []post.ID // deliveries
}

func takeSample(tb testing.TB) sample {
	tb.Helper()
	return takeSampleOf(tb, 60)
}

func takeSampleOf(tb testing.TB, posts uint64) sample {
	tb.Helper()
	dir := tb.TempDir()
	s, err := bolt.Open(tb.Context(), bolt.Options{Dir: dir, Create: true, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	w := store.Write{Now: now, Actor: "ann"}
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	must(s.SyncAccounts(tb.Context(), w, []post.Account{acme}))
	var x sample
	all := make([]store.NewPost, 0, posts)
	for i := range posts {
		n := newPost(i, acme.Key(), now.Add(time.Duration(i%7)*time.Minute))
		all = append(all, n)
		x.accepted = append(x.accepted, n.Deliveries[0].ID)
	}
	for some := range slices.Chunk(all, len(all)/60) {
		_, err := s.CreatePosts(tb.Context(), w, some)
		must(err)
	}
	out, err := s.Turn(tb.Context(), store.Turn{Now: now, Owner: "one", Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 1}})
	must(err)
	if len(out.Claims) != 1 {
		tb.Fatalf("claimed %d", len(out.Claims))
	}
	must(s.Close())
	x.file, err = os.ReadFile(filepath.Join(dir, bolt.FileName))
	must(err)
	x.file = bytes.TrimRight(x.file, "\x00")
	x.file = append(x.file, make([]byte, pageSize-len(x.file)%pageSize)...)
	x.note = homeless(tb, dir)
	return x
}

// judge puts a damaged file into a folder and demands what a person may demand: no panic; a file that is refused is
// named and left alone; one that is opened still has every accepted delivery, or whoever asks for one that is gone, or at
// the latest the nightly copy, says that something is wrong.
func (x *sample) judge(tb testing.TB, what string, file []byte) (opened bool) {
	tb.Helper()
	dir := tb.TempDir()
	path := filepath.Join(dir, bolt.FileName)
	for name, b := range map[string][]byte{path: file, path + ".marker": x.note} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	for page := 2 * pageSize; page+pageSize <= min(len(file), len(x.file)); page += pageSize {
		if was, is := x.file[page+kindAt], file[page+kindAt]; was == leaf && is == branch {
			return false // nothing short of reading every page tells, and it may lead in a circle
		}
	}
	s, err := bolt.Open(tb.Context(), bolt.Options{Dir: dir, Create: true, Now: now})
	after, readErr := os.ReadFile(path)
	if err != nil {
		if !strings.Contains(err.Error(), path) {
			tb.Errorf("%s: the error does not name the file: %v", what, err)
		}
		if !bytes.Equal(file, after) {
			tb.Errorf("%s: the file was refused and altered (%v)", what, readErr)
		}
		return false
	}
	said := s.Restored() // then a person looks
	for _, id := range x.accepted {
		_, err := s.DeliveryByID(tb.Context(), id)
		if err == nil || said || errors.Is(err, store.ErrCorrupt) {
			continue
		}
		copied := filepath.Join(dir, "copy")
		if err := s.Backup(tb.Context(), copied); err != nil {
			said = true
		} else if problems, err := bolt.Fsck(copied); err != nil || len(problems) > 0 {
			said = true
		}
		if !said {
			tb.Errorf("%s: delivery %s is gone, and nothing says so: %v", what, id, err)
		}
		said = true
	}
	// Whatever else is asked gives an answer or an error.
	_, _ = s.ListDeliveries(tb.Context(), store.Filter{Limit: 1000})
	_, _ = s.ListPosts(tb.Context(), store.Filter{Now: now, Limit: 1000})
	_, _ = s.Counts(tb.Context())
	_, _ = s.Next(tb.Context())
	_, _ = s.Changes(tb.Context(), 0, 1000)
	_, _ = s.Recover(tb.Context(), now, "two")
	_, _ = s.Turn(tb.Context(), store.Turn{Now: now.Add(time.Minute), Owner: "two", Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 5}})
	_, _ = s.Check(tb.Context())
	_ = s.Close()
	return true
}

func TestAFileThatWasCutShortIsRefused(t *testing.T) {
	t.Parallel()
	x := takeSample(t)
	pages := len(x.file) / pageSize
	for _, n := range []int{0, 1, 100, pageSize, 2 * pageSize, 3*pageSize - 1, 4 * pageSize, pages / 4 * pageSize, pages / 2 * pageSize, pages/2*pageSize + 77} {
		if x.judge(t, "cut short", x.file[:n]) {
			t.Errorf("a file of %d bytes out of %d was opened", n, len(x.file))
		}
	}
	// The pages that the head counts end a little before the last byte of a fresh file, if at all.
	high := binary.LittleEndian.Uint64(x.file[16+40:])
	if x.judge(t, "cut by a page", x.file[:(high-1)*pageSize]) {
		t.Error("a file that lacks its last page was opened")
	}
}

func TestWhatIsNoStoreIsRefused(t *testing.T) {
	t.Parallel()
	x := takeSample(t)
	for name, b := range map[string][]byte{
		"text": []byte("this is no store"), "a picture": append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 1<<16)...),
		"zeros": make([]byte, 1<<16), "the note": x.note,
	} {
		if x.judge(t, name, b) {
			t.Errorf("%s was opened", name)
		}
	}
	for _, version := range []uint32{1, 3, 99} { // of bbolt's own format, which is at 2
		b := bytes.Clone(x.file)
		for at := 0; at <= pageSize; at += pageSize {
			binary.LittleEndian.PutUint32(b[at+16+4:], version)
		}
		if x.judge(t, "another format", b) {
			t.Errorf("a file of format %d was opened", version)
		}
	}
}

// The layout of a page of bbolt.
const (
	kindAt, countAt      = 8, 10
	branch, leaf         = 1, 2
	pageHead, pageRecord = 16, 16
)

// branches gives where the branches of a file begin that are in use.
func branches(t *testing.T, file []byte) (at []int) {
	t.Helper()
	free := freePages(t, file)
	for page := 2 * pageSize; page < len(file); page += pageSize {
		number := binary.LittleEndian.Uint64(file[page:])
		if binary.LittleEndian.Uint16(file[page+kindAt:]) == branch && number == uint64(page/pageSize) && !slices.Contains(free, number) {
			at = append(at, page)
		}
	}
	if len(at) == 0 {
		t.Fatal("no page leads to another: the sample is too small")
	}
	return at
}

func children(file []byte, page int) (numbers []uint64) {
	for i := range int(binary.LittleEndian.Uint16(file[page+countAt:])) {
		numbers = append(numbers, binary.LittleEndian.Uint64(file[page+pageHead+i*pageRecord+8:]))
	}
	return numbers
}

func lead(file []byte, page, i int, to uint64) {
	binary.LittleEndian.PutUint64(file[page+pageHead+i*pageRecord+8:], to)
}

// A page that leads to one above it would be followed until the stack is full, which no program survives. In a copy, the
// newer head is always the first.
func TestAPageThatLeadsAstrayIsRefused(t *testing.T) {
	t.Parallel()
	x := takeSample(t)
	swapped := x
	swapped.file = slices.Concat(x.file[pageSize:2*pageSize], x.file[:pageSize], x.file[2*pageSize:])
	for number, at := range map[uint64]int{0: 0, 1: pageSize} {
		binary.LittleEndian.PutUint64(swapped.file[at:], number)
	}
	if !swapped.judge(t, "with its heads exchanged", swapped.file) {
		t.Error("a file with its heads exchanged was refused")
	}
	for _, x := range []sample{x, swapped} {
		free := freePages(t, x.file)
		for _, page := range branches(t, x.file) {
			this, below := uint64(page/pageSize), children(x.file, page)
			for i := range below {
				for _, to := range []uint64{this, below[(i+1)%len(below)], free[0], 1, 1 << 40} {
					b := bytes.Clone(x.file)
					lead(b, page, i, to)
					if i > 0 {
						b[page+pageHead+(i-1)*pageRecord+7] = 0xe5 // and the key of the element before it is nowhere
					}
					if x.judge(t, "a page that leads astray", b) {
						t.Errorf("element %d of page %d leads to page %d: the file was opened", i, this, to)
					}
				}
			}
		}
	}
}

// A branch that says it is a leaf makes a tree look less high than it is, and hides the branches beside it.
func TestAPageThatLeadsAstrayBesideAnotherDamageIsRefused(t *testing.T) {
	t.Parallel()
	x := takeSampleOf(t, 4000)
	tried := 0
	for _, page := range branches(t, x.file) {
		below := children(x.file, page)
		first, last := int(below[0])*pageSize, int(below[len(below)-1])*pageSize
		if binary.LittleEndian.Uint16(x.file[first+kindAt:]) != branch {
			continue
		}
		tried++
		b := bytes.Clone(x.file)
		binary.LittleEndian.PutUint16(b[int(below[len(below)/2])*pageSize+kindAt:], leaf)
		if x.judge(t, "a branch that says it is a leaf", b) {
			t.Errorf("page %d, below which a branch says that it is a leaf: the file was opened", page/pageSize)
		}
		for _, hides := range [][2]int{{first, last}, {last, first}} {
			b := bytes.Clone(x.file)
			binary.LittleEndian.PutUint16(b[hides[0]+kindAt:], leaf)
			lead(b, hides[1], 0, uint64(page/pageSize))
			if x.judge(t, "a circle beside a branch that says it is a leaf", b) {
				t.Errorf("page %d, below which is a circle: the file was opened", page/pageSize)
			}
		}
	}
	if tried == 0 {
		t.Error("no tree has branches below its root: the sample is too small")
	}
}

// Two damaged words: the key of an entry is nowhere, and the entry behind it leads back.
func TestFsckLooksBehindADamagedEntry(t *testing.T) {
	t.Parallel()
	x := takeSample(t)
	path := filepath.Join(t.TempDir(), bolt.FileName)
	page := branches(t, x.file)[0]
	x.file[page+pageHead+7] = 0xe5
	lead(x.file, page, 1, uint64(page/pageSize))
	if err := os.WriteFile(path, x.file, 0o600); err != nil {
		t.Fatal(err)
	}
	problems, err := bolt.Fsck(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"element 0 is outside of it", "two pages lead to it"} {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasSuffix(p, want) }) {
			t.Errorf("%q: not among %q", want, problems)
		}
	}
}

// freePages are those that the newer head of a file lists as free.
func freePages(t *testing.T, file []byte) []uint64 {
	t.Helper()
	head := file
	if binary.LittleEndian.Uint64(file[pageSize+64:]) > binary.LittleEndian.Uint64(file[64:]) {
		head = file[pageSize:]
	}
	list := file[binary.LittleEndian.Uint64(head[48:])*pageSize:]
	free := make([]uint64, binary.LittleEndian.Uint16(list[10:]))
	for i := range free {
		free[i] = binary.LittleEndian.Uint64(list[16+8*i:])
	}
	if len(free) == 0 {
		t.Fatal("no page of the sample is free")
	}
	return free
}

func TestOneDamagedHeadLosesNothingThatIsNotNamed(t *testing.T) {
	t.Parallel()
	x := takeSample(t)
	for at := 0; at <= pageSize; at += pageSize {
		for i := 0; i < 80; i += 9 {
			b := bytes.Clone(x.file)
			b[at+i] ^= 0x41
			x.judge(t, "a damaged head", b)
		}
	}
	b := bytes.Clone(x.file)
	b[16], b[pageSize+16] = b[16]^1, b[pageSize+16]^1
	if x.judge(t, "two damaged heads", b) {
		t.Error("a file without a head was opened")
	}
}

func TestNoDamagedPageMakesAPanicOrLosesAPostUnseen(t *testing.T) {
	t.Parallel()
	x := takeSample(t)
	r := rand.New(rand.NewPCG(7, 7))
	opened := 0
	for at := 2 * pageSize; at < len(x.file); at += pageSize {
		places := []int{0, 8, 10, 12, 13, 16, 20, 24, 28} // the header, the first element
		for range 2 {
			i := places[r.IntN(len(places))]
			b := bytes.Clone(x.file)
			b[at+i] ^= byte(1 + r.IntN(255))
			if x.judge(t, "a damaged page", b) {
				opened++
			}
		}
	}
	for range 40 {
		b := bytes.Clone(x.file)
		for range 1 + r.IntN(4) {
			b[2*pageSize+r.IntN(len(b)-2*pageSize)] ^= 1 << r.IntN(8)
		}
		if x.judge(t, "random bits", b) {
			opened++
		}
	}
	if opened == 0 {
		t.Error("no damaged file was opened: the reads were not tried")
	}
}

func FuzzADamagedFile(f *testing.F) {
	x := takeSample(f)
	for _, at := range []uint32{0, 24, 4096, 8192, 8200, 8202, 8204, 12288, 12304} {
		f.Add(at, byte(0xff), at+17, byte(1))
	}
	f.Fuzz(func(t *testing.T, at uint32, mask byte, also uint32, with byte) {
		b := bytes.Clone(x.file)
		b[int(at)%len(b)] ^= mask
		b[int(also)%len(b)] ^= with
		x.judge(t, "fuzz", b)
	})
}

// A damaged draft stands between two posts of one account. It will not be sent, so that it stops nobody.
func TestADamagedDraftStopsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a := acme
	a.MinGap = time.Minute
	w := store.Write{Now: now, Actor: "ann"}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(s.SyncAccounts(t.Context(), w, []post.Account{a}))
	first := newPost(1, a.Key(), now)
	draft := newPost(2, a.Key(), now.Add(10*time.Minute))
	draft.Deliveries[0].State = post.Draft
	last := newPost(3, a.Key(), now.Add(20*time.Minute))
	for _, n := range []store.NewPost{first, draft, last} {
		_, err := s.CreatePost(t.Context(), w, n)
		ok(err)
	}
	closeStore(t, s)
	ok(damage(dir, draft.Deliveries[0].ID))
	s = open(t, dir)
	defer closeStore(t, s)
	if _, err := s.CreatePost(t.Context(), w, newPost(4, a.Key(), now.Add(30*time.Minute))); err != nil {
		t.Errorf("a new post: %v", err)
	}
	if _, err := s.DeliveryByID(t.Context(), last.Deliveries[0].ID); err != nil {
		t.Errorf("another delivery: %v", err)
	}
	turn := store.Turn{Now: now, Owner: "one", Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 1}}
	out, err := s.Turn(t.Context(), turn)
	ok(err)
	turn.Results = []store.Result{receipt(out.Claims[0])}
	_, err = s.Turn(t.Context(), turn)
	ok(err)
	turn.Results, turn.Now = nil, now.Add(21*time.Minute)
	out, err = s.Turn(t.Context(), turn)
	ok(err)
	if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != last.Deliveries[0].ID {
		t.Errorf("claimed %v", out.Claims)
	}
}
