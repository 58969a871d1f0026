package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
)

// Backup writes a consistent copy to path while others read and write. The copy is verified before it gets its name;
// an existing file of that name is refused. A commit in doubt ends it early, so that the next write need not wait for it:
// see awaitReaders.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("back up: %s: %w", path, fs.ErrExist)
	}
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the place
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(temp))
		}
	}()
	doubts := s.doubts.Load()
	meanwhile := errors.New("a write reported an error meanwhile: look at the disk, then back up again")
	if doubts > 0 { // a view that begins right after a commit in doubt would have the next write wait for all of it
		err := s.write(ctx, time.Time{}, func(*tx) error { return nil })
		if errors.Is(err, store.ErrUnknownCommit) { // of those that shared the commit
			err = meanwhile
		}
		if err != nil {
			return errors.Join(fmt.Errorf("back up: %w", err), f.Close())
		}
	}
	err = s.view(func(b *bbolt.Tx) error {
		over := func() error {
			if s.doubts.Load() == doubts {
				return nil
			}
			return meanwhile
		}
		_, err := b.WriteTo(&interruptible{ctx: ctx, w: f, over: over})
		if e := over(); err != nil && e != nil {
			return e
		}
		return err
	})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	problems, err := checkFile(temp, false)
	if err != nil {
		return fmt.Errorf("verify the backup: %w", err)
	}
	if len(problems) > 0 {
		return fmt.Errorf("verify the backup: %w: %s", store.ErrCorrupt, problems[0])
	}
	return place(temp, path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// interruptible stops writing once its context has ended, or once over, which may be nil, gives an error. It lives as
// long as one call.
type interruptible struct {
	ctx  context.Context //nolint:containedctx // of the one call that made it
	w    io.Writer
	over func() error
}

func (i *interruptible) Write(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	if i.over != nil {
		if err := i.over(); err != nil {
			return 0, err
		}
	}
	return i.w.Write(b)
}

// checkFile opens a file for reading alone and checks its pages, and with records every record and index as well.
func checkFile(path string, records bool) (problems []string, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			problems, err = nil, damaged(path, unreadable(r))
		}
	}()
	db, err := openFile(path, &bbolt.Options{Timeout: lockWait, ReadOnly: true, FreelistType: bbolt.FreelistArrayType, PreLoadFreelist: true})
	if err != nil {
		return nil, err
	}
	err = db.View(func(b *bbolt.Tx) error {
		if problems, err = checkPages(path, b); err != nil || len(problems) > 0 {
			return err
		}
		for problem := range b.Check() {
			problems = append(problems, problem.Error())
		}
		t := newTx(b)
		if _, err := t.readSchema(); err != nil {
			return err
		}
		if records && len(problems) == 0 {
			problems = t.check()
		}
		return nil
	})
	return problems, errors.Join(err, db.Close())
}

// Fsck checks a store that no process has open: its pages, records and indexes. It lists what does not agree.
func Fsck(path string) ([]string, error) { return checkFile(path, true) }

// Restore puts a backup in the place of the store in dir. It refuses while the store is open, keeps the old file beside
// the new one, gives the new file a new epoch, and holds every lane until a person has looked: what the backup believes
// to be scheduled may be out since.
func Restore(ctx context.Context, dir, from string, now time.Time) error {
	now = post.Instant(now)
	problems, err := checkFile(from, true)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if len(problems) > 0 {
		return fmt.Errorf("restore: %w: %s: %s", store.ErrCorrupt, from, problems[0])
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	path := filepath.Join(dir, FileName)
	unlock, err := lockOld(path)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	temp := path + ".restore"
	err = errors.Join(removeIfThere(temp), copyFile(ctx, from, temp))
	if err == nil {
		err = renew(temp, now)
	}
	if err == nil {
		err = swap(path, temp, now)
	}
	if err := errors.Join(err, unlock()); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// lockOld takes the lock of the file that is there, so that no daemon has it open or opens it meanwhile. A file that is
// too damaged to open is nobody's.
func lockOld(path string) (unlock func() error, err error) {
	nothing := func() error { return nil }
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nothing, nil
		}
		return nil, err
	}
	db, err := openFile(path, &bbolt.Options{Timeout: lockWait})
	if errors.Is(err, store.ErrCorrupt) {
		return nothing, nil
	}
	if err != nil {
		return nil, err
	}
	return db.Close, nil
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // within the data folder
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(&interruptible{ctx: ctx, w: out}, in)
	return errors.Join(err, out.Sync(), out.Close(), in.Close())
}

// renew gives a restored file its new epoch. Opening it then finds that the note beside it is of another life, and
// holds every lane.
func renew(path string, now time.Time) error {
	db, err := openFile(path, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistArrayType})
	if err != nil {
		return err
	}
	err = db.Update(func(b *bbolt.Tx) error {
		t := newTx(b)
		from, err := t.readSchema()
		if err != nil {
			return err
		}
		return errors.Join(
			t.forward(from),
			t.put(bMeta, []byte(metaEpoch), []byte(newEpoch())),
			t.change(&post.Change{At: now, Actor: crier, Type: "store.restored"}),
			t.flushMeta(),
		)
	})
	return errors.Join(err, db.Close())
}

// swap keeps the old file under a name with the instant, puts the new one in place, and removes the note: a store that
// was used and has no note beside it counts as restored.
func swap(path, temp string, now time.Time) error {
	if _, err := os.Stat(path); err == nil {
		old := path + ".before-restore-" + now.Format("20060102T150405.000Z")
		if _, err := os.Lstat(old); err == nil {
			return fmt.Errorf("%s: %w", old, fs.ErrExist)
		}
		if err := os.Rename(path, old); err != nil {
			return err
		}
	}
	if err := removeIfThere(filepath.Join(filepath.Dir(path), markerName)); err != nil {
		return err
	}
	return place(temp, path)
}
