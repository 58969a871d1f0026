//go:build linux && (amd64 || arm64)

package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"crier/internal/app"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/store/bolt"
	"crier/store/storetest"
)

// disk is what is wrong with a daemon's disk.
type disk string

const (
	// doubtfulDisk reports an error for the last sync of every third commit, which is on disk all the same.
	doubtfulDisk disk = "every third commit reports an error"
	// boundedDisk is one whose files may come to a limit; the test sets it from outside.
	boundedDisk disk = "a limit on the size of files"
)

func (d disk) spoil() error {
	switch d {
	case "":
		return nil
	case boundedDisk:
		signal.Ignore(unix.SIGXFSZ)
		return nil
	case doubtfulDisk:
	}
	calls, err := storetest.WatchCalls()
	if err != nil {
		return err
	}
	head, heads := false, 0 // whether the last write was of one of the two heads of the file
	calls.Arm(func(c storetest.Call) unix.Errno {
		switch c.Nr {
		case unix.SYS_PWRITE64:
			head = c.Offset < int64(2*os.Getpagesize())
		case unix.SYS_FDATASYNC:
			if head {
				if heads++; heads%3 == 0 {
					return unix.EIO
				}
			}
		}
		return 0
	})
	return nil
}

// once demands that exactly n posts are out, each once.
func (c *crowdTown) once(n int) {
	c.t.Helper()
	count := map[string]int{}
	for _, a := range c.record() {
		if count[a.Identity+" "+a.Text]++; count[a.Identity+" "+a.Text] == 2 {
			c.t.Errorf("%s has it twice: %q", a.Identity, a.Text)
		}
	}
	if len(count) != n {
		c.t.Errorf("%d posts are out, want %d", len(count), n)
	}
}

func crowdOf(from, n int) (all []any) {
	for i := range n {
		all = append(all, fmt.Sprintf("crowd-%d", from+i))
	}
	return all
}

// TestADaemonWhoseCommitsReportAnErrorAndAreOnDisk lets every third commit say that it failed, although it is on disk:
// those of posts that are written, of claims and of results. A claim that nobody was given goes out at once, and not only
// when its lease has ended; a client that asks again gets its one post.
func TestADaemonWhoseCommitsReportAnErrorAndAreOnDisk(t *testing.T) {
	t.Parallel()
	const accounts, posts = 10, 30
	s := layCrowd(t, accounts, 4*time.Second)
	s.orders.Disk = doubtfulDisk
	s.launch()
	if strings.Contains(s.p.log.String(), "cannot be spoiled") {
		t.Skip(s.p.log)
	}
	doubts := 0
	for i := range posts {
		untilLong(t, "the post is taken", func() bool {
			status, body, err := request(t.Context(), http.MethodPost, s.p.url+"/api/v1/posts", app.DemoKey,
				m{"text": fmt.Sprintf("Number %d", i), "targets": crowdOf(i%accounts, 1), "at": "now"},
				"Idempotency-Key", fmt.Sprint("number-", i))
			if err != nil || status != http.StatusCreated && !strings.Contains(string(body), "commit_unknown") {
				t.Fatalf("%d %s, %v\n%s", status, body, err, s.p.log)
			}
			if status != http.StatusCreated {
				doubts++
			}
			return status == http.StatusCreated
		})
	}
	// Every call to the disk asks the filter, which takes its time on a busy machine. A lease ends after five minutes.
	s.settledUnless(&client{t: t, base: s.p.url + "/api/v1", key: app.DemoKey}, time.Minute)
	if doubts == 0 || !strings.Contains(s.p.log.String(), "the queue cannot be written") {
		t.Errorf("%d posts were in doubt, and the queue says:\n%s", doubts, s.p.log)
	}
	s.once(posts)
	if n := s.commits(); n != posts {
		t.Errorf("%d requests that post were made, want %d", n, posts)
	}
	s.p.kill()
	states, attempts := s.stored()
	if len(attempts) != posts || states[post.Published] != posts {
		t.Errorf("the store holds %d deliveries, %v", len(attempts), states)
	}
	if problems, err := bolt.Fsck(filepath.Join(s.data, bolt.FileName)); err != nil || len(problems) > 0 {
		t.Errorf("the store: %v %q", err, problems)
	}
}

// smallDisk is a disk that can be filled while the daemon runs.
type smallDisk struct {
	name string
	// lay makes it under the data folder, before the daemon starts.
	lay func(t *testing.T, s *crowdTown)
	// fill leaves no room, until the function that it gives is called.
	fill func(t *testing.T, s *crowdTown) (room func())
	// whole says that not a page more can be written when it is full. On a real one, pages that are free inside the
	// file still take a few writes.
	whole bool
}

var smallDisks = []smallDisk{
	{
		name: "a limit on the size of files", whole: true,
		lay: func(_ *testing.T, s *crowdTown) { s.orders.Disk = boundedDisk },
		fill: func(t *testing.T, s *crowdTown) func() {
			t.Helper()
			set := func(limit *unix.Rlimit) (old unix.Rlimit) {
				if err := unix.Prlimit(s.p.cmd.Process.Pid, unix.RLIMIT_FSIZE, limit, &old); err != nil {
					t.Fatal(err)
				}
				return old
			}
			old := set(nil)
			set(&unix.Rlimit{Cur: uint64(3 * os.Getpagesize()), Max: old.Max})
			return func() {
				if s.p.running() {
					set(&old)
				}
			}
		},
	},
	{
		name: "a small file system",
		lay: func(t *testing.T, s *crowdTown) {
			t.Helper()
			if err := os.MkdirAll(s.data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("tmpfs", s.data, "tmpfs", 0, "size=8m"); err != nil {
				t.Skipf("no small file system can be mounted here: %v", err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(s.data, unix.MNT_DETACH); err != nil {
					t.Errorf("unmount: %v", err)
				}
			})
		},
		fill: func(t *testing.T, s *crowdTown) func() {
			t.Helper()
			name := filepath.Join(s.data, "filler")
			f, err := os.Create(name)
			for err == nil {
				_, err = f.Write(make([]byte, os.Getpagesize()))
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		},
	},
}

// TestADaemonWhoseDiskIsFull fills the disk while requests are on their way. What can no longer be written is refused as
// something that nobody knows, the daemon is not ready, and sends nothing more; once there is room, or after a kill and a
// start with room, everything that was accepted is out once.
func TestADaemonWhoseDiskIsFull(t *testing.T) {
	t.Parallel()
	for _, d := range smallDisks {
		for _, end := range []string{"and has room again", "until it is killed"} {
			t.Run(d.name+" "+end, func(t *testing.T) {
				t.Parallel()
				fullDisk(t, d, end == "until it is killed")
			})
		}
	}
}

func fullDisk(t *testing.T, d smallDisk, killed bool) {
	t.Helper()
	const each = 20
	s := layCrowd(t, 2*each, 4*time.Second)
	d.lay(t, s)
	s.launch()
	s.admin(http.MethodPost, "faults", m{"platform": "facebook", "kind": sandbox.Slow, "delay": "1s"}, nil)
	sam := &client{t: t, base: s.p.url + "/api/v1", key: app.DemoKey}
	sam.post(m{"text": "Right now", "targets": crowdOf(0, each), "at": "now"})
	sam.post(m{"text": "In a moment", "targets": crowdOf(each, each), "at": in(1500 * time.Millisecond)})
	s.underWay(each)
	room := d.fill(t, s)

	var drafts []string
	for refused := false; !refused; {
		a := sam.ask(http.MethodPost, "/posts", m{"text": fmt.Sprintf("Draft %d", len(drafts)), "targets": crowdOf(0, 1), "draft": true})
		switch {
		case a.status == http.StatusCreated && len(drafts) < 5000:
			drafts = append(drafts, read[postView](t, a).ID)
		case a.status == http.StatusServiceUnavailable && read[problem](t, a).Code == "commit_unknown":
			refused = true
		default:
			t.Fatalf("on a full disk draft %d got %d %s", len(drafts), a.status, a.body)
		}
	}
	if d.whole {
		untilLong(t, "it says that it is not ready", func() bool {
			status, _, err := request(t.Context(), http.MethodGet, s.p.url+"/readyz", "", nil)
			return err == nil && status == http.StatusServiceUnavailable
		})
		if len(drafts) > 0 {
			t.Errorf("%d drafts were taken on a full disk", len(drafts))
		}
		quiet(t, 2*time.Second)
		if n := s.commits(); n != each {
			t.Errorf("%d requests that post were made with no room for their intents, want %d", n, each)
		}
	}
	want[list[delivery]](sam, http.StatusOK, http.MethodGet, "/deliveries", nil) // reading needs no room

	if killed {
		s.p.kill()
	}
	room()
	if killed {
		s.p = startOrdered(t, s.orders)
		sam.base = s.p.url + "/api/v1"
	}
	s.settledUnless(sam, time.Minute)
	s.once(2 * each)
	for _, id := range drafts {
		want[postView](sam, http.StatusOK, http.MethodGet, "/posts/"+id, nil)
	}
	s.p.stop(t)
	if problems, err := bolt.Fsck(filepath.Join(s.data, bolt.FileName)); err != nil || len(problems) > 0 {
		t.Errorf("the store: %v %q", err, problems)
	}
}
