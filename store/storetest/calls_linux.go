//go:build linux && (amd64 || arm64)

package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls decides on each call of this process that writes, grows or syncs a file. The kernel asks through a filter that
// cannot be taken off again, so it lives in a process of its own.
type Calls struct {
	mu    sync.Mutex
	armed func(Call) unix.Errno
	count map[int]int // of each call since it was armed
	fired int
	trace []Call
}

// Call is one call that the kernel asked about.
type Call struct {
	Nr     int // unix.SYS_PWRITE64, SYS_FDATASYNC, SYS_FSYNC or SYS_FTRUNCATE
	Nth    int // of its kind since the fault was armed, from 1
	Offset int64
	Length int
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

// WatchCalls installs the filter and the goroutine that answers it, which lives as long as the process. Some systems
// allow no filters.
func WatchCalls() (*Calls, error) {
	c := &Calls{}
	calls := []uint32{unix.SYS_PWRITE64, unix.SYS_FDATASYNC, unix.SYS_FSYNC, unix.SYS_FTRUNCATE}
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
		return nil, fmt.Errorf("this system filters no calls: %w", err)
	}
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return nil, fmt.Errorf("this system filters no calls: %w", errno)
	}
	go c.supervise(fd)
	return c, nil
}

func (c *Calls) supervise(fd uintptr) {
	for {
		var q question
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&q)))
		if errno != 0 {
			continue // interrupted, or the asking thread is gone
		}
		a := answer{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if e := c.decide(&q); e != 0 {
			a.err, a.flags = -int32(e), 0
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
	}
}

func (c *Calls) decide(q *question) unix.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed == nil {
		return 0
	}
	nr := int(q.nr)
	c.count[nr]++
	call := Call{Nr: nr, Nth: c.count[nr], Offset: int64(q.args[3]), Length: int(q.args[2])}
	c.trace = append(c.trace, call)
	e := c.armed(call)
	if e != 0 {
		c.fired++
	}
	return e
}

// Arm has fault answer every call from now on: 0 lets one through, anything else is what it fails with.
func (c *Calls) Arm(fault func(Call) unix.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.count, c.fired, c.trace = fault, map[int]int{}, 0, nil
}

// Disarm lets every call through again and gives what was called and how many calls failed.
func (c *Calls) Disarm() (trace []Call, failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = nil
	return c.trace, c.fired
}
