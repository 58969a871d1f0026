package bolt

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// reportsAnError makes the commit that holds the write of do report an error after it is on disk: an operation in the
// same batch has bbolt fail once everything is synced.
func reportsAnError(t *testing.T, s *Store, do func() error) error {
	t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	blocker := &op{done: make(chan error, 1), run: func(*tx) error {
		close(begun)
		<-release
		return nil
	}}
	s.ops <- blocker
	<-begun
	done := make(chan error, 1)
	go func() { done <- do() }()
	for len(s.ops) == 0 {
		runtime.Gosched()
	}
	fail := &op{done: make(chan error, 1), run: func(t *tx) error {
		t.b.OnCommit(func() { panic("the disk says no") })
		return nil
	}}
	s.ops <- fail
	close(release)
	if err := <-blocker.done; err != nil {
		t.Errorf("the operation before it: %v", err)
	}
	if err := <-fail.done; !errors.Is(err, store.ErrUnknownCommit) {
		t.Errorf("the operation beside it: %v", err)
	}
	return <-done
}

func brandAccount() post.Account {
	return post.Account{
		Handle: "acme-x", Platform: post.Twitter, Kind: post.Brand, Owner: "acme", Mode: post.ModeAPI, MaxLate: time.Hour,
	}
}

// openWithAccount opens a store that knows the brand's account, and gives a write at the hour at which its tests begin.
func openWithAccount(t *testing.T) (*Store, store.Write) {
	t.Helper()
	s := openTemp(t, Options{})
	w := store.Write{Now: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), Actor: "ann"}
	if err := s.SyncAccounts(t.Context(), w, []post.Account{brandAccount()}); err != nil {
		t.Fatal(err)
	}
	return s, w
}

func aPost(n byte, due time.Time) store.NewPost {
	key := post.AccountKey{Kind: post.Brand, Handle: "acme-x"}
	c := post.Content{Text: "words"}
	d := post.Delivery{
		ID: post.ID{n, 1}, Post: post.ID{n, 2}, Target: post.ID{n, 3}, Account: key, Platform: post.Twitter, State: post.Scheduled,
		Due: due, Digest: c.Digest(), Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}},
	}
	return store.NewPost{
		Post: post.Post{ID: d.Post, Author: "ann", CreatedAt: due, Kind: post.Brand, Content: c, Targets: []post.Target{{
			ID: d.Target, Account: key, Platform: post.Twitter, Content: c, Delivery: d.ID,
		}}},
		Deliveries: []post.Delivery{d},
	}
}

func TestAClaimWhoseCommitReportedAnErrorIsHandedOutByTheNextTurn(t *testing.T) {
	t.Parallel()
	s, w := openWithAccount(t)
	at := w.Now
	n := aPost(1, at)
	if _, err := s.CreatePost(t.Context(), w, n); err != nil {
		t.Fatal(err)
	}
	id := n.Deliveries[0].ID
	turn := store.Turn{Now: at, Owner: "process-1", Lease: time.Hour, Room: map[post.Kind]int{post.Brand: 10}}
	var out store.Turned
	err := reportsAnError(t, s, func() (err error) {
		out, err = s.Turn(t.Context(), turn)
		return err
	})
	if !errors.Is(err, store.ErrUnknownCommit) || len(out.Claims) != 0 {
		t.Fatalf("the turn gave %d claims and %v, want none and ErrUnknownCommit", len(out.Claims), err)
	}
	v, err := s.DeliveryByID(t.Context(), id)
	if err != nil || v.Delivery.State != post.Sending {
		t.Fatalf("%s, %v: the commit is not on disk, so this test proves nothing", v.Delivery.State, err)
	}
	// Another process's turn does not touch it; neither does a second failure lose it.
	err = reportsAnError(t, s, func() (err error) {
		out, err = s.Turn(t.Context(), turn)
		return err
	})
	if !errors.Is(err, store.ErrUnknownCommit) {
		t.Fatal(err)
	}
	out, err = s.Turn(t.Context(), turn)
	if err != nil || len(out.Claims) != 1 || out.Claims[0].Delivery.ID != id {
		t.Fatalf("the next turn claimed %d, %v: its post waits for the end of a lease", len(out.Claims), err)
	}
	d := out.Claims[0].Delivery
	if d.Fence != 3 || d.Attempts != 0 || d.Parts[0].Unknown {
		t.Errorf("fence %d, %d attempts, unknown %t; want 3, none, false", d.Fence, d.Attempts, d.Parts[0].Unknown)
	}
	if err := s.Standing(t.Context(), id, d.Fence); err != nil {
		t.Error(err)
	}
	again, err := s.Turn(t.Context(), turn)
	if err != nil || len(again.Claims) != 0 {
		t.Errorf("a claim that was handed out is put back: %d, %v", len(again.Claims), err)
	}
	if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", err, problems)
	}
}

func TestARetryAfterAnErrorThatIsOnDiskGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s, w := openWithAccount(t)
	at := w.Now
	once := func(key string) store.Write {
		x := w
		x.Once = &store.Once{Client: "ann", Key: key, Answer: func(any) []byte { return []byte("first") }}
		return x
	}
	moves := 0
	for name, do := range map[string]func(n byte) error{
		"create": func(n byte) error {
			_, err := s.CreatePost(t.Context(), once("create"), aPost(n, at.Add(time.Hour)))
			return err
		},
		"change": func(byte) error {
			_, err := s.ChangeDelivery(t.Context(), once("change"), post.ID{9, 1}, 0, "delivery.rescheduled", func(d *post.Delivery) error {
				moves++
				return d.Reschedule(d.Due.Add(time.Hour))
			})
			return err
		},
	} {
		if name == "change" {
			if _, err := s.CreatePost(t.Context(), w, aPost(9, at.Add(time.Hour))); err != nil {
				t.Fatal(err)
			}
		}
		if err := reportsAnError(t, s, func() error { return do(1) }); !errors.Is(err, store.ErrUnknownCommit) {
			t.Fatalf("%s: %v, want ErrUnknownCommit", name, err)
		}
		replay, ok := errors.AsType[*store.ReplayedError](do(2)) // a retry of a client has ids of its own
		if !ok || string(replay.Answer) != "first" {
			t.Errorf("%s: the retry was not given the first answer", name)
		}
	}
	v, err := s.DeliveryByID(t.Context(), post.ID{9, 1})
	if err != nil || !v.Delivery.Due.Equal(at.Add(2*time.Hour)) {
		t.Errorf("due %v, %v: it was moved %d times", v.Delivery.Due, err, moves)
	}
	if _, err := s.PostByID(t.Context(), post.ID{2, 2}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the retry wrote a second post: %v", err)
	}
}

func TestABackupAfterACommitInDoubtIsWholeAndKeepsNobody(t *testing.T) {
	t.Parallel()
	s, w := openWithAccount(t)
	at := w.Now
	err := reportsAnError(t, s, func() error {
		_, err := s.CreatePost(t.Context(), w, aPost(1, at.Add(time.Hour)))
		return err
	})
	if !errors.Is(err, store.ErrUnknownCommit) {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if s.doubts.Load() != 1 || s.wary { // the writer is at rest
		t.Errorf("%d commits in doubt, and the next write would wait for readers: %t", s.doubts.Load(), s.wary)
	}
	if problems, err := Fsck(path); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", err, problems)
	}
}
