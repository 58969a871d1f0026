package bolt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

var now = time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Create: true, Now: now})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *bolt.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

var acme = post.Account{
	Handle: "acme-x", Platform: post.Twitter, Kind: post.Brand, Owner: "acme", Mode: post.ModeAPI, MaxLate: time.Hour,
}

func addAccount(t *testing.T, s *bolt.Store) {
	t.Helper()
	if err := s.SyncAccounts(t.Context(), store.Write{Now: now, Actor: "crier"}, []post.Account{acme}); err != nil {
		t.Fatalf("accounts: %v", err)
	}
}

// held reports whether the account is held as restored.
func held(t *testing.T, s *bolt.Store) bool {
	t.Helper()
	v, err := s.AccountByHandle(t.Context(), acme.Handle)
	if err != nil {
		t.Fatalf("account: %v", err)
	}
	return post.Status(v.Holds, now) == post.StatusRestored
}

func TestOpenNeverStartsEmptyByItself(t *testing.T) {
	t.Parallel()
	for _, trace := range []string{"crier.db.marker", "master.key", "crier.db.before-restore-1"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, trace), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Create: true, Now: now})
		if err == nil || !strings.Contains(err.Error(), trace) {
			t.Errorf("beside %s: %v, want an error that names it", trace, err)
		}
	}
	if _, err := bolt.Open(t.Context(), bolt.Options{Dir: t.TempDir(), Now: now}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without leave to create: %v, want ErrNotExist", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "crier.db.new"), []byte("cut short"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	for name, want := range map[string]fs.FileMode{"crier.db": 0o600, "crier.db.marker": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestADamagedFileIsNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte){
		"zeros":    func(b []byte) { clear(b) },
		"meta":     func(b []byte) { clear(b[:8192]) },
		"noise":    func(b []byte) { copy(b, bytes.Repeat([]byte{0xa5}, len(b))) },
		"cut page": func(b []byte) { clear(b[8192:]) },
	} {
		dir := t.TempDir()
		s := open(t, dir)
		addAccount(t, s)
		closeStore(t, s)
		path := filepath.Join(dir, "crier.db")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damage(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = bolt.Open(t.Context(), bolt.Options{Dir: dir, Create: true, Now: now})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names the file", name, err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(after, b) {
			t.Errorf("%s: the file was altered (%v)", name, err)
		}
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closeStore(t, open(t, dir))
	edit(t, filepath.Join(dir, "crier.db"), func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 0, 0, 0, 0, 99})
	})
	_, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now})
	if err == nil || !strings.Contains(err.Error(), "schema 99") {
		t.Errorf("got %v, want the schema named", err)
	}
}

func edit(t *testing.T, path string, f func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// homeless gives the note of a folder without what ties it to its file, for a test that lays out a file of its own under
// it.
func homeless(tb testing.TB, dir string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(dir, bolt.FileName+".marker"))
	if err != nil {
		tb.Fatal(err)
	}
	var note map[string]any
	if err := json.Unmarshal(b, &note); err != nil {
		tb.Fatal(err)
	}
	delete(note, "home")
	if b, err = json.Marshal(note); err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestAStoreOlderThanItsNoteIsHeld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meddle func(dir, older string) error
		want   bool
	}{
		"as it was":     {func(string, string) error { return nil }, false},
		"without note":  {func(dir, _ string) error { return os.Remove(filepath.Join(dir, "crier.db.marker")) }, true},
		"an older file": {func(dir, older string) error { return os.Rename(older, filepath.Join(dir, "crier.db")) }, true},
		"a note of an earlier version": {func(dir, _ string) error {
			return os.WriteFile(filepath.Join(dir, "crier.db.marker"), homeless(t, dir), 0o600)
		}, false},
		"a torn note": {func(dir, _ string) error {
			return os.WriteFile(filepath.Join(dir, "crier.db.marker"), []byte(`{"ep`), 0o600)
		}, true},
	} {
		dir := t.TempDir()
		s := open(t, dir)
		addAccount(t, s)
		older := filepath.Join(t.TempDir(), "older")
		if err := s.Backup(t.Context(), older); err != nil {
			t.Fatal(err)
		}
		if err := s.StopAll(t.Context(), store.Write{Now: now}, store.Stop{}); err != nil {
			t.Fatal(err)
		}
		before, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		if err := c.meddle(dir, older); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		after, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Restored() != c.want || held(t, s) != c.want || (after.Epoch != before.Epoch) != c.want {
			t.Errorf("%s: restored %t, held %t, epoch %s after %s", name, s.Restored(), held(t, s), after.Epoch, before.Epoch)
		}
		closeStore(t, s)
		if s = open(t, dir); s.Restored() {
			t.Errorf("%s: it counts as restored once more", name)
		}
		closeStore(t, s)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	addAccount(t, s)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := bolt.Restore(t.Context(), dir, backup, now); !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("while it is open: %v, want ErrLocked", err)
	}
	before, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := bolt.Restore(t.Context(), dir, filepath.Join(dir, "nothing"), now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("from nothing: %v", err)
	}
	if err := bolt.Restore(t.Context(), dir, backup, now); err != nil {
		t.Fatal(err)
	}
	if old, err := filepath.Glob(filepath.Join(dir, "crier.db.before-restore-*")); err != nil || len(old) != 1 {
		t.Errorf("the old file: %v, %v", old, err)
	}
	s = open(t, dir)
	after, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !held(t, s) || after.Epoch == before.Epoch {
		t.Errorf("held %t, epoch %s after %s", held(t, s), after.Epoch, before.Epoch)
	}
	if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", err, problems)
	}
	// Into an empty folder as well.
	fresh := t.TempDir()
	if err := bolt.Restore(t.Context(), fresh, backup, now); err != nil {
		t.Fatal(err)
	}
	if s := open(t, fresh); !held(t, s) {
		t.Error("a store restored into an empty folder is not held")
	}
}

func TestFsckSeesWhatDoesNotAgree(t *testing.T) {
	t.Parallel()
	for _, bucket := range []string{"ready", "cal", "cal0", "history", "outbox", "lanestate"} {
		dir := t.TempDir()
		s := open(t, dir)
		addAccount(t, s)
		for i := range 3 {
			create(t, s, i)
		}
		unplaced := store.NewPost{Post: post.Post{ID: newID(99, 1), Author: "ann", CreatedAt: now, Kind: post.Personal, Draft: true}}
		if _, err := s.CreatePost(t.Context(), store.Write{Now: now, Actor: "ann"}, unplaced); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		path := filepath.Join(dir, "crier.db")
		if problems, err := bolt.Fsck(path); err != nil || len(problems) > 0 {
			t.Fatalf("before: %v %v", err, problems)
		}
		edit(t, path, func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucket))
			k, _ := b.Cursor().Last()
			if k == nil {
				t.Errorf("%s has no entry", bucket)
			}
			return b.Delete(k)
		})
		if problems, err := bolt.Fsck(path); err != nil || len(problems) == 0 {
			t.Errorf("with an entry of %s gone it found nothing, %v", bucket, err)
		}
	}
}

func create(t *testing.T, s *bolt.Store, i int) {
	t.Helper()
	n := newPost(uint64(i), acme.Key(), now)
	if _, err := s.CreatePost(t.Context(), store.Write{Now: now, Actor: "ann"}, n); err != nil {
		t.Fatalf("create: %v", err)
	}
}
