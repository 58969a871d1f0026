package bolt_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// TestABackupTakenInABurstIsOneInstantOfTheStore takes backups while posts are written, claimed and settled.
func TestABackupTakenInABurstIsOneInstantOfTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c := w.claim()
				w.flying = &c
			}
		}
	})
	for i := range 5 {
		before, err := w.s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), bolt.FileName)
		if err := w.s.Backup(t.Context(), path); err != nil {
			t.Fatalf("backup %d: %v", i, err)
		}
		if problems, err := bolt.Fsck(path); err != nil || len(problems) > 0 {
			t.Errorf("backup %d: %v %v", i, err, problems)
		}
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: filepath.Dir(path), Now: now})
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.Info(t.Context())
		if err != nil || all.Sequence < before.Sequence {
			t.Errorf("backup %d holds changes up to %d, %v; %d were on disk before it", i, all.Sequence, err, before.Sequence)
		}
		closeStore(t, s)
	}
	close(stop)
	wg.Wait()
	if leftover, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(leftover) > 0 {
		t.Errorf("left behind: %v, %v", leftover, err)
	}
}

// TestARestoredStoreHoldsWhatIsDueUntilAPersonResumes: what yesterday's backup believes to be scheduled or in flight may
// be out since.
func TestARestoredStoreHoldsWhatIsDueUntilAPersonResumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	flying := w.claim()
	due := w.draft(w.at.Add(time.Minute))
	_, err := w.s.CreatePost(t.Context(), w.write(), due)
	w.ok(err)
	backup := filepath.Join(t.TempDir(), "yesterday")
	w.ok(w.s.Backup(t.Context(), backup))
	w.flying = &flying
	w.land()
	w.at = w.at.Add(24 * time.Hour)
	closeStore(t, w.s)
	w.ok(bolt.Restore(t.Context(), dir, backup, w.at))
	w.s, err = bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: w.at})
	w.ok(err)
	t.Cleanup(func() { closeStore(t, w.s) })
	if n, err := w.s.Recover(t.Context(), w.at, "process-2"); err != nil || n != 1 {
		t.Errorf("%d intents are in doubt, %v; want 1", n, err)
	}
	for range 3 {
		out, err := w.turn()
		if err != nil || len(out.Claims)+out.Missed > 0 {
			t.Fatalf("%d claims and %d missed before a person has looked, %v", len(out.Claims), out.Missed, err)
		}
		w.at = w.at.Add(time.Hour)
	}
	v, err := w.s.DeliveryByID(t.Context(), due.Deliveries[0].ID)
	if err != nil || v.Delivery.State != post.Scheduled || post.Status(v.Holds, w.at) != post.StatusRestored {
		t.Errorf("%s, holds %v, %v", v.Delivery.State, v.Holds, err)
	}
	// A second start does not forget it.
	closeStore(t, w.s)
	w.s, err = bolt.Open(t.Context(), bolt.Options{Dir: dir, Now: w.at})
	w.ok(err)
	if out, err := w.turn(); err != nil || len(out.Claims) > 0 {
		t.Errorf("after another start %d were claimed, %v", len(out.Claims), err)
	}
	w.ok(w.s.ReleaseLane(t.Context(), w.write(), store.Release{Account: acme.Key(), Late: store.LateSend, Reasons: []post.HoldReason{post.HoldRestored}}))
	out, err := w.turn()
	if err != nil || len(out.Claims) != 1 || out.Claims[0].Delivery.ID != due.Deliveries[0].ID {
		t.Errorf("once resumed %d were claimed, %v", len(out.Claims), err)
	}
	w.sound("resumed")
}

// TestABackupThatCannotBeWrittenLeavesNothingThatLooksLikeOne names a folder that is not there.
func TestABackupThatCannotBeWrittenLeavesNothingThatLooksLikeOne(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "missing", "backup")
	if err := w.s.Backup(t.Context(), path); err == nil {
		t.Error("it was accepted")
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("there is a file")
	}
}
