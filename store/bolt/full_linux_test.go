//go:build linux

package bolt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"crier/store"
	"crier/store/bolt"
)

// fillUp does deeds on a store whose disk is full, then makes room and does each again.
func fillUp(t *testing.T, dir string, w *workbench, full, room func() error) {
	t.Helper()
	type half struct {
		d  deed
		do func() error
	}
	var halves []half
	for _, d := range deeds() {
		if d.name != "settle" { // it and claim need the one lane
			halves = append(halves, half{d, d.ready(w)})
		}
	}
	w.ok(full())
	var failed []half
	for _, h := range halves {
		before := w.show()
		err := h.do()
		// What fits into pages that are free already may still be written; then it is there.
		if err == nil {
			if cmp.Equal(before, w.show()) {
				t.Errorf("%s: accepted on a full disk, and not there", h.d.name)
			}
			continue
		}
		failed = append(failed, h)
		if !errors.Is(err, store.ErrUnknownCommit) {
			t.Errorf("%s: %v, want ErrUnknownCommit", h.d.name, err)
		}
		if diff := cmp.Diff(before, w.show()); diff != "" {
			t.Errorf("%s: half written on a full disk:\n%s", h.d.name, diff)
		}
		w.sound(h.d.name + " on a full disk")
	}
	if len(failed) == 0 {
		t.Fatal("the disk was not full")
	}
	w.ok(room())
	for _, h := range failed {
		if err := h.do(); err != nil {
			t.Errorf("%s: with room again: %v", h.d.name, err)
		}
	}
	w.reopen(dir)
}

// TestADiskThatIsFullRefusesAWriteWholeAndTakesItOnceThereIsRoom needs no rights: the limit on the size of a file plays
// the full disk.
func TestADiskThatIsFullRefusesAWriteWholeAndTakesItOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	var old unix.Rlimit
	w.ok(unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	fillUp(t, dir, w, func() error {
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 3 * pageSize, Max: old.Max})
	}, func() error { return unix.Setrlimit(unix.RLIMIT_FSIZE, &old) })
}

// TestAFileSystemThatIsFullRefusesAWriteWholeAndTakesItOnceThereIsRoom is the same on a small file system of its own.
func TestAFileSystemThatIsFullRefusesAWriteWholeAndTakesItOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no small file system can be mounted here: %v (a limit on the size of a file plays it in another test)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	w := newWorkbench(t, dir)
	filler := filepath.Join(dir, "filler")
	fillUp(t, dir, w, func() error {
		f, err := os.Create(filler)
		if err != nil {
			return err
		}
		for err == nil {
			_, err = f.Write(make([]byte, pageSize))
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
		return f.Close()
	}, func() error { return os.Remove(filler) })
}

// TestAFolderOrFileWithoutLeaveIsNamedAndNeverStartsEmpty takes the place of a user who may not do what Crier needs.
func TestAFolderOrFileWithoutLeaveIsNamedAndNeverStartsEmpty(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	root := os.Getuid() == 0
	base := os.Getenv(childDir)
	type place struct {
		name string
		dir  string
		prep func(dir string) error
	}
	file := func(dir string) string { return filepath.Join(dir, bolt.FileName) }
	places := []place{
		{name: "a read-only folder", prep: func(dir string) error { return os.Chmod(dir, 0o500) }},
		{name: "a read-only file", prep: func(dir string) error { return os.Chmod(file(dir), 0o400) }},
		{name: "a file of somebody else", prep: func(dir string) error {
			if root {
				return os.Chown(file(dir), 1, 1)
			}
			return os.Chmod(file(dir), 0)
		}},
		{name: "a folder that may not be entered", prep: func(dir string) error { return os.Chmod(dir, 0) }},
		{name: "an empty read-only folder", prep: func(dir string) error {
			return errors.Join(os.Remove(file(dir)), os.Remove(file(dir)+".marker"), os.Chmod(dir, 0o500))
		}},
	}
	const nobody = 65534
	for i := range places {
		p := &places[i]
		p.dir = filepath.Join(base, fmt.Sprint(i))
		w := newWorkbench(t, p.dir)
		w.later()
		closeStore(t, w.s)
		if root {
			for _, name := range []string{p.dir, file(p.dir), file(p.dir) + ".marker"} {
				if err := os.Chown(name, nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := p.prep(p.dir); err != nil {
			t.Fatal(err)
		}
	}
	if root { // the child gives up its rights for good
		for dir := base; dir != "/"; dir = filepath.Dir(dir) {
			if dir != os.TempDir() && dir != "/" {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if filepath.Dir(dir) == os.TempDir() {
				break
			}
		}
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range places {
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: p.dir, Create: true, Now: now})
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), p.dir) {
			t.Errorf("%s: %v, want an error that says so and names the place", p.name, err)
		}
		if err := os.Chmod(p.dir, 0o700); err != nil {
			t.Error(err)
		}
		if p.name != "an empty read-only folder" {
			if info, err := os.Stat(file(p.dir)); err != nil || info.Size() < 4*pageSize {
				t.Errorf("%s: the file is %v, %v", p.name, info, err)
			}
		}
	}
}
