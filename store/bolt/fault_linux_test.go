//go:build linux && (amd64 || arm64)

package bolt_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// faults decides on each call of this process that writes, grows or syncs a file. The kernel asks through a filter that
// cannot be taken off again, so it lives in a child process.
type faults struct {
	mu    sync.Mutex
	armed func(call int, nth int) unix.Errno // 0 lets the call through
	count map[int]int                        // of each call since it was armed
	fired bool
	trace []call
}

// call is one call that the kernel asked about.
type call struct {
	nr     int
	offset int64 // of a write
	length int   // of a write
}

// The calls that a store makes on its file.
func watched() []uint32 {
	return []uint32{unix.SYS_PWRITE64, unix.SYS_FDATASYNC, unix.SYS_FSYNC, unix.SYS_FTRUNCATE}
}

// question and answer are what the kernel and the supervisor tell each other: seccomp_notif and seccomp_notif_resp.
type question struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type answer struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// watch installs the filter and the goroutine that answers it, which lives as long as the process.
func watch(t *testing.T) *faults {
	t.Helper()
	f := &faults{}
	calls := watched()
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: nr})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skipf("this system filters no calls: %v", err)
	}
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		t.Skipf("this system filters no calls: %v", errno)
	}
	go f.supervise(fd)
	return f
}

func (f *faults) supervise(fd uintptr) {
	for {
		var q question
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&q)))
		if errno != 0 {
			continue // interrupted, or the asking thread is gone
		}
		a := answer{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if e := f.decide(&q); e != 0 {
			a.err, a.flags = -int32(e), 0
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
	}
}

func (f *faults) decide(q *question) unix.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.armed == nil {
		return 0
	}
	nr := int(q.nr)
	f.count[nr]++
	f.trace = append(f.trace, call{nr: nr, offset: int64(q.args[3]), length: int(q.args[2])})
	e := f.armed(nr, f.count[nr])
	f.fired = f.fired || e != 0
	return e
}

// during runs do with the fault, and reports whether it was met and what was called.
func (f *faults) during(fault func(call, nth int) unix.Errno, do func() error) (err error, met bool, trace []call) { //nolint:revive,staticcheck // the error is what was done's
	f.mu.Lock()
	f.armed, f.count, f.fired, f.trace = fault, map[int]int{}, false, nil
	f.mu.Unlock()
	err = do()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nil
	return err, f.fired, f.trace
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
				err, met, _ := f.during(func(nr, nth int) unix.Errno {
					if nr == fault.nr && (nth == n || (fault.all && nth > n)) {
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
		err, met, _ := f.during(func(nr, nth int) unix.Errno {
			if nr == unix.SYS_FDATASYNC && nth == 2 {
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
		err, _, trace := f.during(func(int, int) unix.Errno { return 0 }, do)
		if err != nil {
			t.Fatal(err)
		}
		// Growth and its sync come first; then pages, their sync, one head, its sync.
		for len(trace) > 1 && trace[0].nr == unix.SYS_FTRUNCATE && trace[1].nr == unix.SYS_FSYNC {
			trace = trace[2:]
		}
		first := slices.IndexFunc(trace, func(c call) bool { return c.nr == unix.SYS_FDATASYNC })
		if first < 1 || len(trace) != first+3 || trace[first+1].nr != unix.SYS_PWRITE64 || trace[first+2].nr != unix.SYS_FDATASYNC {
			t.Fatalf("%s: the calls were %v", d.name, trace)
		}
		for i, c := range trace[:first] {
			if c.nr != unix.SYS_PWRITE64 || c.offset < 2*4096 {
				t.Errorf("%s: call %d of the pages is %v", d.name, i, c)
			}
		}
		if head := trace[first+1]; head.offset >= 2*4096 || head.length > 4096 {
			t.Errorf("%s: the head is %v", d.name, head)
		}
	}
}
