package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

func runPosts(t *testing.T, b Backend) {
	t.Run("what is created comes back whole", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now.Add(time.Hour), acme, page)
		n.Post.ExternalID, n.Post.Undo, n.Post.Notes = "release-1", "30s", []string{"a note"}
		n.Deliveries[1].Destination = "somewhere"
		made, err := f.s.CreatePost(t.Context(), f.by("ann"), n)
		f.ok(err)
		read, err := f.s.PostByID(t.Context(), n.Post.ID)
		f.ok(err)
		if diff := cmp.Diff(made, read); diff != "" {
			t.Errorf("created and read differ (-created +read):\n%s", diff)
		}
		n.Post.Version = 1
		if diff := cmp.Diff(n.Post, read.Post); diff != "" {
			t.Errorf("post (-want +got):\n%s", diff)
		}
		for i := range n.Deliveries {
			want := n.Deliveries[i]
			want.Version, want.LastChange = 1, read.Deliveries[i].Delivery.LastChange
			if diff := cmp.Diff(want, read.Deliveries[i].Delivery); diff != "" {
				t.Errorf("delivery %d (-want +got):\n%s", i, diff)
			}
			if got := read.Deliveries[i].Next; !got.Equal(want.Due) {
				t.Errorf("delivery %d is tried at %v, want %v", i, got, want.Due)
			}
		}
		c, _, err := f.s.Material(t.Context(), &n.Deliveries[1])
		f.ok(err)
		if diff := cmp.Diff(n.Post.Targets[1].Content, c); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		f.sound()
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		calls := map[string]func(context.Context) error{
			"post":     func(ctx context.Context) error { _, err := f.s.PostByID(ctx, f.id()); return err },
			"delivery": func(ctx context.Context) error { _, err := f.s.DeliveryByID(ctx, f.id()); return err },
			"history":  func(ctx context.Context) error { _, err := f.s.History(ctx, f.id()); return err },
			"material": func(ctx context.Context) error {
				_, _, err := f.s.Material(ctx, &post.Delivery{Post: f.id()})
				return err
			},
			"cancel":   func(ctx context.Context) error { _, err := f.s.CancelPost(ctx, f.by("ann"), f.id(), 0); return err },
			"account":  func(ctx context.Context) error { _, err := f.s.AccountByHandle(ctx, "nobody"); return err },
			"series":   func(ctx context.Context) error { _, err := f.s.SeriesByID(ctx, f.id()); return err },
			"media":    func(ctx context.Context) error { _, err := f.s.MediaByID(ctx, "none"); return err },
			"key":      func(ctx context.Context) error { _, err := f.s.KeyByID(ctx, "none"); return err },
			"token":    func(ctx context.Context) error { _, _, err := f.s.Token(ctx, acme); return err },
			"standing": func(ctx context.Context) error { return f.s.Standing(ctx, f.id(), 1) },
			"resume":   func(ctx context.Context) error { return f.s.ResumeAll(ctx, f.by("ann"), "", "", store.LateApply) },
		}
		for name, call := range calls {
			if err := call(t.Context()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", name, err)
			}
		}
	})
	t.Run("an external id names one post", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first := f.draft(f.now, acme)
		first.Post.ExternalID = "release-1"
		f.create(first)
		second := f.draft(f.now, acme)
		second.Post.ExternalID = "release-1"
		_, err := f.s.CreatePost(t.Context(), f.by("ann"), second)
		if taken, ok := errors.AsType[*store.ExternalIDError](err); !ok || taken.Post != first.Post.ID {
			t.Errorf("got %v, want the earlier post named", err)
		}
		if _, err := f.s.PostByID(t.Context(), second.Post.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the refused post is there: %v", err)
		}
	})
	t.Run("the same words in the same place count as a duplicate for a day", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		same := func() store.NewPost {
			n := f.draft(f.now, acme)
			n.Fingerprints[0] = "same"
			return n
		}
		first := same()
		f.create(first)
		repeat := func() error {
			_, err := f.s.CreatePost(t.Context(), f.by("ann"), same())
			return err
		}
		if dup, ok := errors.AsType[*store.DuplicateError](repeat()); !ok || dup.Earlier != first.Post.ID || dup.Target != 0 {
			t.Errorf("got %v, want the earlier post named", dup)
		}
		allowed := same()
		allowed.Post.AllowDuplicate = true
		f.create(allowed)
		if dup, ok := errors.AsType[*store.DuplicateError](repeat()); !ok || dup.Earlier != allowed.Post.ID {
			t.Errorf("got %v, want the latest post named", dup)
		}
		elsewhere := f.draft(f.now, page)
		elsewhere.Fingerprints[0] = "same"
		f.create(elsewhere)
		cancel := func(id post.ID) {
			_, err := f.s.CancelPost(t.Context(), f.by("ann"), id, 0)
			f.ok(err)
		}
		cancel(allowed.Post.ID)
		if dup, ok := errors.AsType[*store.DuplicateError](repeat()); !ok || dup.Earlier != first.Post.ID {
			t.Errorf("got %v, want the one named that is not canceled", dup)
		}
		cancel(first.Post.ID)
		f.ok(repeat())
		if err := repeat(); err == nil {
			t.Error("the second time was not refused")
		}
		f.now = f.now.Add(store.DuplicateWithin)
		f.ok(repeat())
		f.sound()
	})
	t.Run("a post that was allowed to repeat counts for those that come after", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme)
		n.Fingerprints[0], n.Post.AllowDuplicate = "same", true
		f.create(n)
		again := f.draft(f.now, acme)
		again.Fingerprints[0] = "same"
		_, err := f.s.CreatePost(t.Context(), f.by("ann"), again)
		if dup, ok := errors.AsType[*store.DuplicateError](err); !ok || dup.Earlier != n.Post.ID {
			t.Errorf("got %v, want it refused", err)
		}
	})
	t.Run("many posts are written up to the first that is refused", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		var many []store.NewPost
		for range 2500 {
			many = append(many, f.draft(f.now.Add(time.Hour), acme))
		}
		many[1700].Post.ExternalID, many[2200].Post.ExternalID = "x", "x"
		n, err := f.s.CreatePosts(t.Context(), f.by("ann"), many)
		if taken, ok := errors.AsType[*store.ExternalIDError](err); !ok || taken.Post != many[1700].Post.ID || n != 2200 {
			t.Fatalf("wrote %d, %v; want 2200 and the external id refused", n, err)
		}
		counts, err := f.s.Counts(t.Context())
		f.ok(err)
		if got := counts.ByState[post.Brand][post.Scheduled]; got != 2200 || !counts.NextDue.Equal(f.now.Add(time.Hour)) {
			t.Errorf("counted %d, next due %v", got, counts.NextDue)
		}
		each, err := f.s.AccountCounts(t.Context())
		f.ok(err)
		if got := each[acme]; got.ByState[post.Scheduled] != 2200 || !got.NextDue.Equal(f.now.Add(time.Hour)) || each[page].ByState[post.Scheduled] != 0 {
			t.Errorf("counted %v for the account, and %v for another", got, each[page])
		}
		f.sound()
	})
	t.Run("the history is numbered without a gap", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme)
		id := f.create(n)
		w := f.claim(id)
		f.settle(published(w, "1"))
		changes, err := f.s.History(t.Context(), n.Post.ID)
		f.ok(err)
		var types []string
		for _, c := range changes {
			types = append(types, c.Type)
		}
		want := []string{"post.created", "delivery.scheduled", "delivery.sending", "delivery.published"}
		if diff := cmp.Diff(want, types); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		all, err := f.s.Changes(t.Context(), 0, 1000)
		f.ok(err)
		for i, c := range all {
			if c.Seq != uint64(i+1) {
				t.Fatalf("change %d has the number %d", i, c.Seq)
			}
		}
		rest, err := f.s.Changes(t.Context(), all[2].Seq, 2)
		f.ok(err)
		if diff := cmp.Diff(all[3:5], rest); diff != "" {
			t.Errorf("changes after the third (-want +got):\n%s", diff)
		}
		info, err := f.s.Info(t.Context())
		f.ok(err)
		if info.Sequence != all[len(all)-1].Seq {
			t.Errorf("sequence %d, want %d", info.Sequence, all[len(all)-1].Seq)
		}
	})
}

func runOnce(t *testing.T, b Backend) {
	once := func(key string, digest byte) *store.Once {
		return &store.Once{Client: "ann", Key: key, Digest: [32]byte{digest}, Answer: func(result any) []byte {
			return []byte(result.(store.PostView).Post.ID.String())
		}}
	}
	t.Run("a key repeats its answer for a day and refuses another request", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		write := func(o *store.Once) (post.ID, error) {
			w := f.by("ann")
			w.Once = o
			n := f.draft(f.now, acme)
			_, err := f.s.CreatePost(t.Context(), w, n)
			return n.Post.ID, err
		}
		first, err := write(once("k", 1))
		f.ok(err)
		_, err = write(once("k", 1))
		if replay, ok := errors.AsType[*store.ReplayedError](err); !ok || string(replay.Answer) != first.String() {
			t.Errorf("repeated: %v, want the first answer", err)
		}
		if _, err := write(once("k", 2)); !errors.Is(err, store.ErrIdempotencyMismatch) {
			t.Errorf("another request: %v, want ErrIdempotencyMismatch", err)
		}
		answer, err := f.s.Replay(t.Context(), f.now, *once("k", 1))
		if err != nil || string(answer) != first.String() {
			t.Errorf("replay: %q, %v", answer, err)
		}
		if _, err := f.s.Replay(t.Context(), f.now, *once("other", 1)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("replay of a new key: %v", err)
		}
		f.reopen()
		f.now = f.now.Add(store.OnceFor)
		second, err := write(once("k", 1))
		f.ok(err)
		if second == first {
			t.Error("nothing was made after the day")
		}
		f.ok(f.s.Prune(t.Context(), f.now, f.now))
		if _, err := f.s.Replay(t.Context(), f.now, *once("k", 1)); err != nil {
			t.Errorf("pruning dropped an answer that still holds: %v", err)
		}
		f.sound()
	})
	t.Run("a refused request stores no answer", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		w := f.by("ann")
		w.Once = once("k", 1)
		if _, err := f.s.CancelPost(t.Context(), w, f.id(), 0); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		if _, err := f.s.Replay(t.Context(), f.now, *w.Once); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("replay: %v, want ErrNotFound", err)
		}
	})
	t.Run("an answer can be recorded alone", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		w := f.by("ann")
		w.Once = once("k", 1)
		f.ok(f.s.Record(t.Context(), w, store.PostView{Post: post.Post{ID: post.ID{1}}}))
		answer, err := f.s.Replay(t.Context(), f.now, *w.Once)
		if err != nil || string(answer) != (post.ID{1}).String() {
			t.Errorf("replay: %q, %v", answer, err)
		}
	})
}
