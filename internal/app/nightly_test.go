package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/config"
	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// TestANightlyBackupClearsAwayWhatAKillLeft makes backups in a folder in which earlier lives have left theirs, whole ones
// and one that was cut short: a week of whole ones stays, and nothing else.
func TestANightlyBackupClearsAwayWhatAKillLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, _, err := config.Load(writeConfig(t, dir, "http://127.0.0.1:9", ""))
	if err != nil {
		t.Fatal(err)
	}
	backups := filepath.Join(dir, "data", "backups")
	if err := os.MkdirAll(backups, 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{"crier-20260103-034200.db.tmp"}
	for day := range 7 {
		names = append(names, fmt.Sprintf("crier-2026010%d-034200.db", day+1))
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(backups, name), []byte("of an earlier life"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	night := time.Date(2026, 1, 9, 3, 42, 0, 0, time.UTC)
	a, err := app.New(t.Context(), app.Options{Config: c, Now: func() time.Time { return night }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := a.Nightly(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(backups)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := append(names[2:], "crier-20260109-034200.db")
	if !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
	if problems, err := bolt.Fsck(filepath.Join(backups, want[len(want)-1])); err != nil || len(problems) > 0 {
		t.Errorf("the new one: %v %q", err, problems)
	}
}

// TestFilesThatWereNeverWrittenDownAreSwept leaves two files that no record names, as a kill between an upload's file and
// its record does: the one that is older than a month goes, and no file that is known.
func TestFilesThatWereNeverWrittenDownAreSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, _, err := config.Load(writeConfig(t, dir, "http://127.0.0.1:9", ""))
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "data", "media")
	leave := func(name string, days int) string {
		path := filepath.Join(files, name[:2], name[2:])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
		at := time.Now().AddDate(0, 0, -days)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	known, old, recent := leave(strings.Repeat("a", 64), 40), leave(strings.Repeat("b", 64), 40), leave(strings.Repeat("c", 64), 20)
	if err := a.Know(t.Context(), strings.Repeat("a", 64)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.SweepFiles(t.Context()), a.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{known: true, old: false, recent: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %t", path, err, want)
		}
	}
}

// TestANightlyBackupSaysThatAPostIsDamaged damages the record of a post that nobody asks for: its file opens, its pages are
// whole, and the nightly copy is where it shows. The copies of sound nights stay.
func TestANightlyBackupSaysThatAPostIsDamaged(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	d := w.start(t)
	id := d.sam.post(m{"text": "Far ahead", "targets": []any{"acme-x"}, "at": in(time.Hour)}).Deliveries[0].ID
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	data := dataDir(t, w.yaml)
	path := filepath.Join(data, bolt.FileName)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := post.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	record := append(key[:], 3) // the version of the record, right behind its key
	if !bytes.Contains(file, record) {
		t.Fatal("the record is not where it was: this test damages nothing")
	}
	file = bytes.ReplaceAll(file, record, append(key[:], 99))
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // the same file, not a copy of it
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(file)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	backups := filepath.Join(data, "backups")
	if err := os.MkdirAll(backups, 0o700); err != nil {
		t.Fatal(err)
	}
	for day := range 7 {
		name := fmt.Sprintf("crier-2026010%d-034200.db", day+1)
		if err := os.WriteFile(filepath.Join(backups, name), []byte("of a sound night"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := config.Parse("nightly", []byte(w.yaml))
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		if err := a.Nightly(t.Context()); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "crier restore") {
			t.Errorf("%v, want ErrCorrupt and what to do", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || len(left) != 8 || filepath.Base(left[7]) != "damaged.db" {
		t.Errorf("left are %q, %v", left, err)
	}
}
