package bolt_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/store/bolt"
)

// oldStore lays out the data folder of a daemon of schema 1, killed while a post was in flight.
func oldStore(t *testing.T) (dir string, whole []byte) {
	t.Helper()
	dir = t.TempDir()
	packed, err := os.ReadFile(filepath.Join("testdata", "schema-1.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if whole, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(filepath.Join("testdata", "schema-1.db.marker"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, bolt.FileName), whole)
	write(t, filepath.Join(dir, bolt.FileName+".marker"), note)
	return dir, whole
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file of schema 1 that Crier wrote is read as the program that wrote it read it, and kept as it was.
func TestAFileOfSchema1IsBroughtForward(t *testing.T) {
	t.Parallel()
	dir, whole := oldStore(t)
	kept := filepath.Join(dir, bolt.FileName+".schema-1")
	write(t, kept+".tmp", []byte("an earlier start was cut short while it copied"))
	want, err := os.ReadFile(filepath.Join("testdata", "schema-1.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []string{"first", "second"} {
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now})
		if err != nil {
			t.Fatalf("%s start: %v", start, err)
		}
		got, err := json.MarshalIndent(dumpAll(t, s), "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
			t.Errorf("%s start (-want +got):\n%s", start, diff)
		}
		if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("%s start: %v, %v", start, problems, err)
		}
		if info, err := s.Info(t.Context()); err != nil || info.Schema != 2 {
			t.Errorf("%s start: %+v, %v; want schema 2", start, info, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if problems, err := bolt.Fsck(kept); err != nil || len(problems) > 0 {
		t.Errorf("the copy of the old file: %v, %v", problems, err)
	}
	if copied, err := os.ReadFile(kept); err != nil || len(copied) > len(whole) {
		t.Errorf("the copy has %d bytes, the old file %d (%v)", len(copied), len(whole), err)
	}
}

// A backup of schema 1 can be restored; its lanes are held like those of any restored store.
func TestABackupOfSchema1IsRestored(t *testing.T) {
	t.Parallel()
	from, _ := oldStore(t)
	dir := t.TempDir()
	if err := bolt.Restore(t.Context(), dir, filepath.Join(from, bolt.FileName), now); err != nil {
		t.Fatal(err)
	}
	if problems, err := bolt.Fsck(filepath.Join(dir, bolt.FileName)); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range dumpAll(t, s).Accounts {
		if len(a.Holds) == 0 {
			t.Errorf("%s is not held", a.Account.Handle)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
