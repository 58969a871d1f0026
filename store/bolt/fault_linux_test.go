//go:build linux && (amd64 || arm64)

package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"crier/internal/post"
	"crier/store"
	"crier/store/storetest"
)

// faults makes calls to the disk fail.
type faults struct{ *storetest.Calls }

func watch(t *testing.T) faults {
	t.Helper()
	c, err := storetest.WatchCalls()
	if err != nil {
		t.Skip(err)
	}
	return faults{c}
}

// during runs do with the fault, and reports whether it was met and what was called.
func (f faults) during(fault func(storetest.Call) unix.Errno, do func() error) (err error, met bool, trace []storetest.Call) { //nolint:revive,staticcheck // the error is what was done's
	f.Arm(fault)
	err = do()
	trace, failed := f.Disarm()
	return err, failed > 0, trace
}

// TestEveryWriteSurvivesAFaultAtEveryCallThatItMakes fails, for every kind of write, each single call to the disk in
// turn: each write of a page, the sync of the pages, the sync of the head, the growth of the file.
func TestEveryWriteSurvivesAFaultAtEveryCallThatItMakes(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	f := watch(t)
	cases, every := 0, os.Getenv("CRIER_FAULTS") == "all"
	for _, fault := range []struct {
		name string
		nr   int
		with unix.Errno
		step int  // in the plain run, with CRIER_FAULTS=all it is 1
		all  bool // every later call of the kind fails as well, as on a disk that is full or gone
	}{
		{"a full disk", unix.SYS_PWRITE64, unix.ENOSPC, 4, true},
		{"a file system that has turned read-only", unix.SYS_PWRITE64, unix.EROFS, 9, true},
		{"one write that fails", unix.SYS_PWRITE64, unix.EIO, 7, false},
		{"one sync that fails", unix.SYS_FDATASYNC, unix.EIO, 1, false},
		{"a disk that syncs no more", unix.SYS_FDATASYNC, unix.EIO, 1, true},
		{"a file that cannot grow", unix.SYS_FTRUNCATE, unix.ENOSPC, 4, true},
	} {
		for _, d := range deeds() {
			dir := t.TempDir()
			w := newWorkbench(t, dir)
			step := fault.step
			if every {
				step = 1
			}
			for n := 1; ; n += step {
				what := fmt.Sprintf("%s, call %d, to %s", fault.name, n, d.name)
				do := d.ready(w)
				before := w.show()
				err, met, _ := f.during(func(c storetest.Call) unix.Errno {
					if c.Nr == fault.nr && (c.Nth == n || (fault.all && c.Nth > n)) {
						return fault.with
					}
					return 0
				}, do)
				if !met {
					if err != nil {
						t.Fatalf("%s: without a fault: %v", what, err)
					}
					break
				}
				cases++
				w.failedDeed(what, d, do, before, err)
				if t.Failed() {
					t.FailNow()
				}
			}
			w.reopen(dir)
			closeStore(t, w.s)
		}
	}
	if cases < 80 {
		t.Errorf("only %d faults were met", cases)
	}
	t.Logf("%d faults", cases)
}

// TestACommitThatReportsAnErrorMayBeOnDisk shows that the case exists: the head is written, and its sync fails. Claims of
// such a turn are handed out to nobody, and by the next turn anew.
func TestACommitThatReportsAnErrorMayBeOnDisk(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	f := watch(t)
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	for _, d := range deeds() {
		do := d.ready(w)
		before := w.show()
		err, met, _ := f.during(func(c storetest.Call) unix.Errno {
			if c.Nr == unix.SYS_FDATASYNC && c.Nth == 2 {
				return unix.EIO
			}
			return 0
		}, do)
		if !met {
			t.Fatalf("%s made no second sync: %v", d.name, err)
		}
		if cmp.Equal(before, w.show()) {
			t.Errorf("%s: the second sync is not that of the head any more: nothing is on disk", d.name)
		}
		w.failedDeed(d.name, d, do, before, err)
	}
	w.reopen(dir)
}

// TestAReaderSeesNothingOfAWriteAfterACommitInDoubt reads the whole store in one view, over and over, while every second
// commit reports an error and is on disk. bbolt then frees what that commit replaced, although a reader may still be at
// it: the next write must wait for that reader.
func TestAReaderSeesNothingOfAWriteAfterACommitInDoubt(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	f := watch(t)
	w := newWorkbench(t, t.TempDir())
	var all []store.NewPost
	for range 3000 {
		all = append(all, w.draft(w.at.Add(1000*time.Hour)))
	}
	_, err := w.s.CreatePosts(t.Context(), w.write(), all)
	w.ok(err)
	head := false
	f.Arm(func(c storetest.Call) unix.Errno {
		switch c.Nr {
		case unix.SYS_PWRITE64:
			head = c.Offset < int64(2*os.Getpagesize())
		case unix.SYS_FDATASYNC:
			if head && c.Nth%4 == 0 { // a commit is two syncs
				return unix.EIO
			}
		}
		return 0
	})
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_, err := w.s.ChangeDelivery(t.Context(), w.write(), all[i*37%len(all)].Deliveries[0].ID, 0, "delivery.rescheduled",
				func(d *post.Delivery) error { return d.Reschedule(d.Due.Add(time.Hour)) })
			if err != nil && !errors.Is(err, store.ErrUnknownCommit) {
				t.Error(err)
				return
			}
		}
	})
	for i := range 50 {
		if problems, err := w.s.Check(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("reading, the %dth time: %v, %d problems, such as %.1q", i, err, len(problems), problems)
			break
		}
	}
	backup := filepath.Join(t.TempDir(), "backup")
	for i := range 10 {
		err := w.s.Backup(t.Context(), fmt.Sprint(backup, i))
		if err != nil && !strings.Contains(err.Error(), "a write reported an error meanwhile") {
			t.Errorf("backing up, the %dth time: %v", i, err)
		}
	}
	close(stop)
	writing.Wait()
	if _, failed := f.Disarm(); failed < 20 {
		t.Errorf("only %d commits were in doubt", failed)
	}
}

// TestACommitSyncsItsPagesBeforeItWritesItsHead records the calls of commits: what the images of a lost power are made
// by in powerloss_test.go is what the disk is really asked to do.
func TestACommitSyncsItsPagesBeforeItWritesItsHead(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	f := watch(t)
	w := newWorkbench(t, t.TempDir())
	for _, d := range deeds() {
		do := d.ready(w)
		err, _, trace := f.during(func(storetest.Call) unix.Errno { return 0 }, do)
		if err != nil {
			t.Fatal(err)
		}
		// Growth and its sync come first; then pages, their sync, one head, its sync.
		for len(trace) > 1 && trace[0].Nr == unix.SYS_FTRUNCATE && trace[1].Nr == unix.SYS_FSYNC {
			trace = trace[2:]
		}
		first := slices.IndexFunc(trace, func(c storetest.Call) bool { return c.Nr == unix.SYS_FDATASYNC })
		if first < 1 || len(trace) != first+3 || trace[first+1].Nr != unix.SYS_PWRITE64 || trace[first+2].Nr != unix.SYS_FDATASYNC {
			t.Fatalf("%s: the calls were %v", d.name, trace)
		}
		for i, c := range trace[:first] {
			if c.Nr != unix.SYS_PWRITE64 || c.Offset < 2*4096 {
				t.Errorf("%s: call %d of the pages is %v", d.name, i, c)
			}
		}
		if head := trace[first+1]; head.Offset >= 2*4096 || head.Length > 4096 {
			t.Errorf("%s: the head is %v", d.name, head)
		}
	}
}
