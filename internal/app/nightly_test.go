package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/config"
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
