package bolt_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// oldStore lays out the data folder of a daemon of an earlier schema, killed while a post was in flight.
func oldStore(t *testing.T, schema int) (dir string, whole []byte) {
	t.Helper()
	dir = t.TempDir()
	packed, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("schema-%d.db.gz", schema)))
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
	note, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("schema-%d.db.marker", schema)))
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

// A file of an earlier schema that Crier wrote is read as the program that wrote it read it, and kept as it was.
func TestAFileOfAnEarlierSchemaIsBroughtForward(t *testing.T) {
	t.Parallel()
	for _, schema := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			t.Parallel()
			broughtForward(t, schema)
		})
	}
}

func broughtForward(t *testing.T, schema int) {
	t.Helper()
	dir, whole := oldStore(t, schema)
	if problems, err := bolt.Fsck(filepath.Join(dir, bolt.FileName)); err != nil || len(problems) > 0 {
		t.Errorf("the old file: %v, %v", problems, err)
	}
	kept := filepath.Join(dir, fmt.Sprintf("%s.schema-%d", bolt.FileName, schema))
	write(t, kept+".tmp", []byte("an earlier start was cut short while it copied"))
	want, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("schema-%d.json", schema)))
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
		if info, err := s.Info(t.Context()); err != nil || info.Schema != 4 {
			t.Errorf("%s start: %+v, %v; want schema 4", start, info, err)
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

// What was in flight when an earlier Crier was killed is looked for, and what was in doubt still is: what happens next to
// either finds its way into the history behind what the old file holds of it.
func TestWhatWasUnderWayInAnEarlierSchemaIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, schema := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			t.Parallel()
			dir, _ := oldStore(t, schema)
			s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, s)
			at := now.Add(1000 * time.Hour)
			before := dumpAll(t, s)
			flying, doubtful := 0, 0
			for _, d := range before.Deliveries {
				switch d.Delivery.State {
				case post.Sending:
					flying++
				case post.Unconfirmed:
					doubtful++
				}
			}
			n, err := s.Recover(t.Context(), at, "a new process")
			if err != nil || n == 0 || n != flying {
				t.Fatalf("recovered %d, %v; %d were in flight", n, err, flying)
			}
			looks, err := s.Doubtful(t.Context(), at, 100)
			if err != nil || len(looks) != flying+doubtful {
				t.Fatalf("%d looks, %v; want %d and %d", len(looks), err, flying, doubtful)
			}
			for _, w := range looks {
				began := w.Delivery.Parts[w.Part].Began
				if began.IsZero() || began.After(at) {
					t.Errorf("the look for %s begins at %v", w.Delivery.ID, began)
				}
			}
			after := dumpAll(t, s) // which compares each history with the changes
			if len(after.Changes) != len(before.Changes)+flying {
				t.Errorf("%d changes after %d", len(after.Changes), len(before.Changes))
			}
			if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
				t.Errorf("%v, %v", problems, err)
			}
		})
	}
}

// Up to schema 3 all attempts stood in a bucket of their own: those that follow are numbered behind them.
func TestTheFlightRecordOfAnEarlierSchemaGoesOn(t *testing.T) {
	t.Parallel()
	for _, schema := range []int{1, 2, 3} {
		dir, _ := oldStore(t, schema)
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		at := now.Add(1000 * time.Hour)
		if _, err := s.Recover(t.Context(), at, "a new process"); err != nil {
			t.Fatal(err)
		}
		looked := map[post.ID][]post.Attempt{}
		for round := range 2 {
			at = at.Add(time.Hour)
			looks, err := s.Doubtful(t.Context(), at, 100)
			if err != nil || len(looks) == 0 {
				t.Fatalf("schema %d: %d looks, %v", schema, len(looks), err)
			}
			for _, w := range looks {
				id := w.Delivery.ID
				if round == 0 {
					v, err := s.DeliveryByID(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					looked[id] = v.Attempts
				}
				a := post.Attempt{
					Part: w.Part, Act: "look", StartedAt: at, EndedAt: at, Outcome: post.OutcomeUnknown, Decision: "looking again",
				}
				_, err := s.Turn(t.Context(), store.Turn{Now: at, Owner: "a new process", Results: []store.Result{{
					Delivery: id, Attempts: []post.Attempt{a}, Settled: post.Settled{
						Part: w.Part, Fence: w.Delivery.Fence, To: post.Unconfirmed, Next: at.Add(time.Minute), Clean: true,
					},
				}}})
				if err != nil {
					t.Fatal(err)
				}
				a.N = len(looked[id]) + 1
				looked[id] = append(looked[id], a)
			}
		}
		for id, want := range looked {
			v, err := s.DeliveryByID(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, v.Attempts); diff != "" {
				t.Errorf("schema %d: attempts at %s (-want +got):\n%s", schema, id, diff)
			}
		}
		if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("schema %d: %v, %v", schema, problems, err)
		}
		closeStore(t, s)
	}
}

// A backup of an earlier schema can be restored; its lanes are held like those of any restored store.
func TestABackupOfAnEarlierSchemaIsRestored(t *testing.T) {
	t.Parallel()
	for _, schema := range []int{1, 2, 3} {
		from, _ := oldStore(t, schema)
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
		closeStore(t, s)
	}
}

// An earlier file that lacks what names a post that waits, or the intent of one under way, is not brought forward: the
// post would never go out.
func TestAnEarlierFileThatLacksAnEntryIsRefused(t *testing.T) {
	t.Parallel()
	for _, bucket := range []string{"lane", "intent"} {
		dir, _ := oldStore(t, 2)
		path := filepath.Join(dir, bolt.FileName)
		edit(t, path, func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucket))
			k, _ := b.Cursor().First()
			return b.Delete(bytes.Clone(k))
		})
		if err := bolt.Restore(t.Context(), t.TempDir(), path, now); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: restoring it: %v, want ErrCorrupt", bucket, err)
		}
		if _, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now}); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: opening it: %v, want ErrCorrupt", bucket, err)
		}
	}
}

// Somebody goes back to an earlier crier, with the copy that was kept, and comes forward again later: that file is kept
// too, and the first copy is left alone.
func TestAFileThatIsBroughtForwardAgainIsKeptAgain(t *testing.T) {
	t.Parallel()
	dir, _ := oldStore(t, 1)
	kept := filepath.Join(dir, bolt.FileName+".schema-1")
	write(t, kept, []byte("the copy of another time"))
	for range 2 {
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
	}
	if b, err := os.ReadFile(kept); err != nil || string(b) != "the copy of another time" {
		t.Errorf("%q, %v: it was touched", b, err)
	}
	copies, err := filepath.Glob(kept + "-*")
	if err != nil || len(copies) != 1 {
		t.Fatalf("kept %v, %v", copies, err)
	}
	if problems, err := bolt.Fsck(copies[0]); err != nil || len(problems) > 0 {
		t.Errorf("%s: %v %v", copies[0], problems, err)
	}
}
