package bolt

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

func openTemp(t *testing.T, o Options) *Store {
	t.Helper()
	o.Dir, o.Create = t.TempDir(), true
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func put(name string) func(*tx) error {
	return func(t *tx) error { return t.put(bMeta, []byte(name), []byte{1}) }
}

func TestOneBadOperationInAGroupCommit(t *testing.T) {
	t.Parallel()
	s := openTemp(t, Options{})
	boom := errors.New("boom")
	ops := []struct {
		run  func(*tx) error
		want error
	}{
		{put("before"), nil},
		{func(t *tx) error { return errors.Join(t.put(bMeta, []byte("failed"), []byte{1}), boom) }, boom},
		{func(*tx) error { return store.ErrStale }, store.ErrStale},
		{func(t *tx) error {
			if err := t.put(bMeta, []byte("panicked"), []byte{1}); err != nil {
				return err
			}
			panic("a bug")
		}, store.ErrCorrupt},
		{func(t *tx) error {
			if t.get(bMeta, []byte("failed")) != nil || t.get(bMeta, []byte("before")) == nil {
				return errors.New("it does not see what stays")
			}
			return t.put(bMeta, []byte("after"), []byte{1})
		}, nil},
	}
	batch := make([]*op, 0, len(ops))
	for _, o := range ops {
		batch = append(batch, &op{run: o.run, done: make(chan error, 1)})
	}
	s.commit(batch) // the writer is idle
	for i, o := range batch {
		if err := <-o.done; !errors.Is(err, ops[i].want) {
			t.Errorf("operation %d: %v, want %v", i, err, ops[i].want)
		}
	}
	err := s.read(t.Context(), func(x *tx) error {
		for name, want := range map[string]bool{"before": true, "after": true, "failed": false, "panicked": false} {
			if got := x.get(bMeta, []byte(name)) != nil; got != want {
				t.Errorf("%s is there: %t, want %t", name, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestABatchWithoutWritesIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := openTemp(t, Options{})
	before := s.db.Stats()
	for range 10 {
		if _, err := s.Turn(t.Context(), store.Turn{Now: time.UnixMilli(0), Room: map[post.Kind]int{post.Brand: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	after := s.db.Stats()
	if n := after.TxStats.GetWrite() - before.TxStats.GetWrite(); n != 0 {
		t.Errorf("%d pages were written", n)
	}
}

func TestAFullStoreSaysThatItDoesNotKnowAndStaysUsable(t *testing.T) {
	t.Parallel()
	s := openTemp(t, Options{MaxSize: 1 << 20})
	var err error
	for i := range 100 {
		err = s.write(t.Context(), time.Time{}, func(t *tx) error {
			return t.put(bMeta, fmt.Appendf(nil, "fill %d", i), make([]byte, 64<<10))
		})
		if err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrUnknownCommit) {
		t.Fatalf("got %v, want ErrUnknownCommit", err)
	}
	if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", err, problems)
	}
	if err := s.Writable(t.Context()); err != nil {
		t.Errorf("a small write: %v", err)
	}
}

// TestAFullQueueOfWritesKeepsNobody fills the queue of writes behind a commit that takes long. Who has no more time is told
// so, with nothing written; everybody else gets in, in commits of a bounded size.
func TestAFullQueueOfWritesKeepsNobody(t *testing.T) {
	t.Parallel()
	s, w := openWithAccount(t)
	at := w.Now
	begun, release := make(chan struct{}), make(chan struct{})
	blocker := &op{done: make(chan error, 1), run: func(*tx) error {
		close(begun)
		<-release
		return nil
	}}
	s.ops <- blocker
	<-begun
	sizes := map[int]int{} // of the commits, by their transaction; the writer's until it has ended
	var all []*op
	for i := range maxQueue {
		o := &op{done: make(chan error, 1), run: func(t *tx) error {
			sizes[t.b.ID()]++
			return t.put(bMeta, fmt.Appendf(nil, "queued %d", i), []byte{1})
		}}
		s.ops <- o
		all = append(all, o)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n := aPost(1, at)
	if _, err := s.CreatePost(late, w, n); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who found the queue full until its time was over got %v", err)
	}
	patient := make(chan error, 1)
	go func() { patient <- s.write(t.Context(), at, put("patient")) }()
	close(release)
	for _, o := range append(all, blocker) {
		if err := <-o.done; err != nil {
			t.Fatal(err)
		}
	}
	if err := <-patient; err != nil {
		t.Errorf("who waited got %v", err)
	}
	if _, err := s.PostByID(t.Context(), n.Post.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the post of who was told that there is no time is there: %v", err)
	}
	if len(sizes) < maxQueue/maxBatch {
		t.Errorf("%d commits, want several", len(sizes))
	}
	for _, size := range sizes {
		if size > maxBatch {
			t.Errorf("a commit of %d operations, want %d at most", size, maxBatch)
		}
	}
}
