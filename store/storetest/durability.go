package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

func runDurability(t *testing.T, b Backend) {
	t.Run("everything is there after reopening", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		ids := map[post.State]post.ID{}
		for _, s := range []post.State{post.Published, post.Failed, post.Missed, post.Unconfirmed} {
			ids[s] = f.reach(s)
			f.now = f.now.Add(post.DoubtBlocks)
		}
		before, err := f.s.Counts(t.Context())
		f.ok(err)
		f.reopen()
		for s, id := range ids {
			f.state(id, s)
		}
		after, err := f.s.Counts(t.Context())
		f.ok(err)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("counted %v, then %v", before, after)
		}
		f.sound()
	})
	t.Run("a closed store gives an error", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now, acme)
		f.ok(f.s.Close())
		f.ok(f.s.Close())
		if _, err := f.s.DeliveryByID(t.Context(), id); !errors.Is(err, store.ErrClosed) {
			t.Errorf("read: %v, want ErrClosed", err)
		}
		if _, err := f.s.Turn(t.Context(), store.Turn{Now: f.now}); !errors.Is(err, store.ErrClosed) {
			t.Errorf("turn: %v, want ErrClosed", err)
		}
		if err := f.s.Writable(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("write: %v, want ErrClosed", err)
		}
	})
	t.Run("closing while others write loses nothing that was confirmed", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		var drafts []store.NewPost
		for range 200 {
			drafts = append(drafts, f.draft(f.now.Add(time.Hour), acme))
		}
		confirmed := make([]bool, len(drafts))
		var wg sync.WaitGroup
		for i := range drafts {
			wg.Go(func() {
				_, err := f.s.CreatePost(t.Context(), f.by("ann"), drafts[i])
				confirmed[i] = err == nil
				if err != nil && !errors.Is(err, store.ErrClosed) {
					t.Errorf("create: %v", err)
				}
			})
		}
		f.ok(f.s.Close())
		wg.Wait()
		f.s = f.must(b.Open(f.dir))
		for i, yes := range confirmed {
			_, err := f.s.PostByID(t.Context(), drafts[i].Post.ID)
			if yes != (err == nil) {
				t.Errorf("post %d: confirmed %t, read %v", i, yes, err)
			}
		}
		f.sound()
	})
	t.Run("a second open fails within two seconds and says why", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		begun := time.Now()
		_, err := b.Open(f.dir)
		if err == nil || time.Since(begun) > 2*time.Second || !strings.Contains(err.Error(), "another process") {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
	t.Run("a context that has ended writes nothing", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := f.draft(f.now, acme)
		if _, err := f.s.CreatePost(ctx, f.by("ann"), n); !errors.Is(err, context.Canceled) {
			t.Errorf("create: %v", err)
		}
		if _, err := f.s.PostByID(t.Context(), n.Post.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read: %v", err)
		}
	})
	t.Run("a damaged record is named, and stops its own account alone", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		bad, good := f.schedule(f.now, acme), f.schedule(f.now, page)
		f.ok(f.s.Close())
		f.ok(b.Damage(f.dir, bad))
		f.s = f.must(b.Open(f.dir))
		_, err := f.s.DeliveryByID(t.Context(), bad)
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("%x", bad[:])) {
			t.Errorf("read: %v, want the key named", err)
		}
		f.claim(good)
		v, err := f.s.AccountByHandle(t.Context(), "acme-x")
		f.ok(err)
		if post.Status(v.Holds, f.now) != post.StatusPaused {
			t.Errorf("holds: %v", v.Holds)
		}
		problems, err := f.s.Check(t.Context())
		if err != nil || len(problems) == 0 {
			t.Errorf("check found nothing, %v", err)
		}
	})
	t.Run("a backup taken while others write opens and is sound", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		for range 200 {
			f.schedule(f.now.Add(time.Hour), acme)
		}
		done := make(chan struct{})
		var drafts []store.NewPost
		for range 200 {
			drafts = append(drafts, f.draft(f.now.Add(time.Hour), page))
		}
		go func() {
			defer close(done)
			for _, n := range drafts {
				if _, err := f.s.CreatePost(t.Context(), store.Write{Now: start(), Actor: "ann"}, n); err != nil {
					t.Errorf("create: %v", err)
				}
			}
		}()
		path := filepath.Join(t.TempDir(), "backup")
		f.ok(f.s.Backup(t.Context(), path))
		<-done
		problems, err := b.Verify(path)
		if err != nil || len(problems) > 0 {
			t.Errorf("the backup: %v %v", err, problems)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if err := f.s.Backup(t.Context(), path); !errors.Is(err, os.ErrExist) {
			t.Errorf("over an existing file: %v", err)
		}
	})
}
