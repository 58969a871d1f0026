package bolt

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"crier/internal/post"
	"crier/store"
)

// The names in the data folder.
const (
	FileName   = "crier.db"
	markerName = "crier.db.marker"
	masterKey  = "master.key"
)

// lockWait is how long opening waits for another process to let go of the file.
const lockWait = time.Second

// Options says how to open a store.
type Options struct {
	// Dir is the data folder.
	Dir string
	// Create makes the file when the folder holds no trace of an earlier one: no marker, no master key, no damaged
	// file. Without it a missing file is an error.
	Create bool
	// Now is written to the holds of a restored store.
	Now time.Time
	// MaxSize bounds the file in bytes; 0 is no limit.
	MaxSize int
	// Log receives one line when the store turns out to be restored; nil drops it.
	Log *slog.Logger
}

// ErrLocked says that another process has the file open.
var ErrLocked = errors.New("another process has the store open")

// Open opens the store in a data folder. It never starts empty by itself and never alters a file that it cannot read.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	path := filepath.Join(o.Dir, FileName)
	if err := prepareFile(o, path); err != nil {
		return nil, err
	}
	db, err := openFile(path, fileOptions(o.MaxSize))
	if err != nil {
		return nil, err
	}
	if err := sound(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Store{
		db: db, dir: o.Dir, home: homeOf(path), ops: make(chan *op, maxQueue), wake: make(chan struct{}, 1), finished: make(chan struct{}),
	}
	if err := s.begin(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	go s.work()
	if s.restored {
		o.Log.WarnContext(ctx, "the store was restored or copied: every lane is held", "file", path)
		if err := s.holdRestored(ctx, post.Instant(o.Now)); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.note(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// fileOptions are the settings of bbolt; see docs/adr and the engine's figures for each.
func fileOptions(maxSize int) *bbolt.Options {
	o := &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistArrayType, MaxSize: maxSize}
	// A large map keeps a growing file from waiting for readers, such as a backup. It takes address space alone, but
	// on Windows the file would really grow.
	if strconv.IntSize == 64 && runtime.GOOS != "windows" {
		o.InitialMmapSize = 4 << 30
	}
	return o
}

// prepareFile makes a missing file, or says why it does not.
func prepareFile(o Options, path string) error {
	_, err := os.Stat(path)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open the store: %w", err)
	}
	if !o.Create {
		return fmt.Errorf("open the store: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	traces, err := filepath.Glob(filepath.Join(o.Dir, FileName+"*"))
	if err != nil {
		return fmt.Errorf("look into the data folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, masterKey)); err == nil {
		traces = append(traces, masterKey)
	}
	for _, name := range traces {
		if filepath.Base(name) == FileName+".new" {
			continue // a first start that was cut short
		}
		return fmt.Errorf("%s is missing, but %s shows that there was one: restore a backup, or use another folder",
			path, filepath.Base(name))
	}
	return create(path)
}

// create makes an empty store under a temporary name and moves it into place: a power cut in the middle leaves nothing
// that looks like a store.
func create(path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create the store: %w", err)
	}
	db, err := bbolt.Open(temp, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistArrayType})
	if err != nil {
		return fmt.Errorf("create the store: %w", err)
	}
	err = db.Update(func(b *bbolt.Tx) error {
		for _, name := range bucketNames {
			if _, err := b.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		t := newTx(b)
		return errors.Join(
			t.put(bMeta, []byte(metaSchema), seqKey(schema)),
			t.put(bMeta, []byte(metaEpoch), []byte(newEpoch())),
			t.put(bMeta, []byte(metaCounts), (&meta{}).encode()),
		)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create the store: %w", err)
	}
	return place(temp, path)
}

// place moves a finished, synced file to its name and makes the name durable.
func place(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("put the file in place: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	d, err := os.Open(dir) //nolint:gosec // the data folder is the operator's own
	if err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}
	return nil
}

// newEpoch names a file's life: it changes with every restore.
func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// openFile opens a bbolt file that is there. A damaged one may make bbolt panic, or fault where it was cut short: that
// becomes an error which names the file. An empty one is refused, since bbolt would make a new store of it.
func openFile(path string, o *bbolt.Options) (db *bbolt.DB, err error) {
	var file *os.File
	o.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		f, err = os.OpenFile(name, flag&^os.O_CREATE, mode) //nolint:gosec // within the data folder, or named by the operator
		file = f
		return f, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, errors.Join(damaged(path, unreadable(r)), file.Close()) // its lock goes with it
		}
	}()
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		return nil, damaged(path, errors.New("it is empty"))
	}
	db, err = bbolt.Open(path, 0o600, o)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	if err := whole(db); err != nil {
		return nil, errors.Join(damaged(path, err), db.Close())
	}
	return db, nil
}

// whole compares the length of the file with the pages that its head counts.
func whole(db *bbolt.DB) error {
	return db.View(func(b *bbolt.Tx) error {
		info, err := os.Stat(db.Path())
		if err != nil {
			return err
		}
		if info.Size() < b.Size() {
			return fmt.Errorf("it was cut short: %d bytes of %d", info.Size(), b.Size())
		}
		return nil
	})
}

// sound refuses a file in which a branch leads to one above it, to a page that is free, or nowhere. bbolt would follow a
// circle until its stack is full, which ends the program and can be caught by nothing. A leaf that says it is a branch can
// make one too; only reading every page would tell, as crier fsck and the nightly copy do.
func sound(db *bbolt.DB) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damaged(db.Path(), unreadable(r))
		}
	}()
	return db.View(func(b *bbolt.Tx) error {
		problems, err := checkBranches(db.Path(), b)
		if err == nil && len(problems) > 0 {
			err = damaged(db.Path(), errors.New(problems[0]))
		}
		return err
	})
}

func damaged(path string, cause error) error {
	return fmt.Errorf("%w: %s: %w (nothing was changed; restore a backup with crier restore, or repair a copy)",
		store.ErrCorrupt, path, cause)
}

// unreadable says what reading a file panicked with, in words for whoever has to mend it. A fault means that a page leads
// to where the file does not reach.
func unreadable(r any) error {
	if _, ok := r.(runtime.Error); ok {
		return errors.New("a page of it leads nowhere")
	}
	return fmt.Errorf("%v", r)
}

// begin brings the file to the present schema, reads what the store is and compares it with the note beside it.
func (s *Store) begin(ctx context.Context, o Options) (err error) {
	path := filepath.Join(o.Dir, FileName)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(path, unreadable(r))
		}
	}()
	var seq, from uint64
	err = s.db.View(func(b *bbolt.Tx) (err error) {
		t := newTx(b)
		if from, err = t.readSchema(); err != nil {
			return err
		}
		m, err := t.loadMeta()
		if err != nil {
			return err
		}
		seq, s.epoch = m.seq, string(t.get(bMeta, []byte(metaEpoch)))
		return nil
	})
	if err != nil {
		return err
	}
	s.seq.Store(seq)
	if err := s.migrate(ctx, o.Dir, from); err != nil {
		return err
	}
	n, err := readNote(o.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.restored = seq > 0
	case err != nil:
		return err
	default:
		s.restored = n.Epoch != s.epoch || n.Sequence > seq || n.Home.elsewhere(s.home)
	}
	return nil
}

// note is the small file beside the store.
type note struct {
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	Home     home   `json:"home,omitzero"`
}

func readNote(dir string) (note, error) {
	var n note
	b, err := os.ReadFile(filepath.Join(dir, markerName)) //nolint:gosec // the data folder is the operator's own
	if err != nil {
		return n, fmt.Errorf("read the note beside the store: %w", err)
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return note{}, nil //nolint:nilerr // a torn note tells nothing: the store counts as copied
	}
	return n, nil
}

// note writes the note durably.
func (s *Store) note() error {
	b, err := json.Marshal(note{Epoch: s.epoch, Sequence: s.seq.Load(), Home: s.home})
	if err != nil {
		return fmt.Errorf("encode the note: %w", err)
	}
	path := filepath.Join(s.dir, markerName)
	if err := writeFile(path+".tmp", b); err != nil {
		return fmt.Errorf("write the note beside the store: %w", err)
	}
	return place(path+".tmp", path)
}

func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the data folder is the operator's own
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// holdRestored holds every lane and gives the file a new epoch.
func (s *Store) holdRestored(ctx context.Context, now time.Time) error {
	hold := post.Hold{
		Reason: post.HoldRestored, Since: now,
		Detail: "the store was restored or copied: check what is out, then resume",
	}
	var after []byte
	for done := false; !done; {
		err := s.write(ctx, now, func(t *tx) error {
			done = true
			c := t.bucket(bLaneState).Cursor()
			n, last := 0, after
			for k, _ := c.Seek(after); k != nil; k, _ = c.Next() {
				if n == maxChunk {
					done = false
					break
				}
				key, ok := cutAccount(k)
				if !ok {
					return corrupt(bLaneState, k, errShort)
				}
				l, err := t.lane(key)
				if err != nil {
					return err
				}
				l.setHold(hold, now)
				last = append(append([]byte(nil), k...), 0)
				n++
			}
			if done {
				s.epoch = newEpoch()
				if err := t.put(bMeta, []byte(metaEpoch), []byte(s.epoch)); err != nil {
					return err
				}
			}
			after = last
			return nil
		})
		if err != nil {
			return fmt.Errorf("hold the lanes of a restored store: %w", err)
		}
	}
	return nil
}
