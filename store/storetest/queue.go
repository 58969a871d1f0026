package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

func runTurns(t *testing.T, b Backend) {
	t.Run("a delivery is claimed at its due time and not a millisecond before", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		due := f.now.Add(time.Minute)
		id := f.schedule(due, acme)
		next, err := f.s.Next(t.Context())
		if err != nil || !next.Equal(due) {
			t.Fatalf("next is %v, %v; want %v", next, err, due)
		}
		f.now = due.Add(-time.Millisecond)
		if out := f.idle(); !out.Next.Equal(due) {
			t.Errorf("next is %v, want %v", out.Next, due)
		}
		f.now = due
		w := f.claim(id)
		if w.Delivery.State != post.Sending || w.Delivery.Fence != 1 || !w.Lease.Equal(due.Add(time.Minute)) {
			t.Errorf("claim: %+v", w)
		}
		f.sound()
		out := f.settle(published(w, "1"))
		if !out.Next.IsZero() {
			t.Errorf("next is %v, want none", out.Next)
		}
		f.state(id, post.Published)
		v := f.view(id)
		if len(v.Attempts) != 1 || v.Attempts[0].N != 1 || v.Attempts[0].Status != 201 || v.Delivery.Attempts != 1 {
			t.Errorf("attempts: %+v", v.Attempts)
		}
		f.sound()
	})
	t.Run("results are refused alone", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.schedule(f.now, acme)
		f.schedule(f.now, page)
		claims := f.turn().Claims
		if len(claims) != 2 {
			t.Fatalf("claimed %d", len(claims))
		}
		stale := failed(claims[0])
		stale.Settled.Fence--
		ghost := failed(claims[0])
		ghost.Delivery = f.id()
		out := f.turn(stale, ghost, published(claims[1], "1"))
		if !errors.Is(out.Refused[0], post.ErrFenced) || !errors.Is(out.Refused[1], store.ErrNotFound) || out.Refused[2] != nil {
			t.Errorf("refused: %v", out.Refused)
		}
		f.state(claims[0].Delivery.ID, post.Sending)
		f.state(claims[1].Delivery.ID, post.Published)
		f.sound()
	})
	t.Run("room and full platforms bound the claims of each kind", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		for _, k := range []post.AccountKey{acme, page, other, ann} {
			f.schedule(f.now, k)
		}
		take := func(turn store.Turn) int {
			turn.Now, turn.Owner, turn.Lease = f.now, owner, time.Minute
			out, err := f.s.Turn(t.Context(), turn)
			f.ok(err)
			return len(out.Claims)
		}
		if n := take(store.Turn{}); n != 0 {
			t.Errorf("without room %d were claimed", n)
		}
		room := map[post.Kind]int{post.Brand: 2}
		if n := take(store.Turn{Room: room, Full: map[post.Platform]bool{post.Twitter: true}}); n != 0 {
			t.Errorf("on a full platform %d were claimed", n)
		}
		if n := take(store.Turn{Room: room}); n != 2 {
			t.Errorf("with room for two brands %d were claimed", n)
		}
		if n := take(store.Turn{Room: map[post.Kind]int{post.Personal: 5}}); n != 1 {
			t.Errorf("with room for persons %d were claimed", n)
		}
	})
	t.Run("a turn without anything to do changes nothing", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.schedule(f.now.Add(time.Hour), acme)
		before, err := f.s.Info(t.Context())
		f.ok(err)
		for range 3 {
			f.idle()
		}
		after, err := f.s.Info(t.Context())
		f.ok(err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
	t.Run("a thread goes on part by part in its lane", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("acme-x", func(a *post.Account) { a.MinGap = time.Hour })...)
		n := f.draft(f.now, acme)
		n.Deliveries[0].Parts = append(n.Deliveries[0].Parts, post.Part{Role: post.RoleReply, State: post.PartWaiting})
		id := f.create(n)
		rest := f.schedule(f.now, acme)
		w := f.claim(id)
		out := f.settle(published(w, "1"))
		if len(out.Claims) != 1 || out.Claims[0].Part != 1 || out.Claims[0].Delivery.ID != id {
			t.Fatalf("after the first part: %v", claimed(out))
		}
		f.settle(published(out.Claims[0], "2"))
		f.state(id, post.Published)
		f.state(rest, post.Scheduled) // spacing applies again
		f.now = f.now.Add(time.Hour)
		f.claim(rest)
		f.sound()
	})
	t.Run("a delivery for a person is handed over when it is due", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("acme-x", func(a *post.Account) { a.Mode = post.ModeAssist })...)
		id := f.schedule(f.now, acme)
		later := f.schedule(f.now.Add(time.Hour), acme)
		f.idle()
		f.state(id, post.AwaitingPerson)
		f.state(later, post.Scheduled)
		f.sound()
	})
}

func runClaims(t *testing.T, b Backend) {
	t.Run("of 64 turns at once one claims", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.schedule(f.now, acme)
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				out, err := f.s.Turn(t.Context(), store.Turn{
					Now: f.now, Owner: fmt.Sprint(i), Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 1},
				})
				if err != nil {
					t.Errorf("turn: %v", err)
				}
				wins.Add(int32(len(out.Claims)))
			})
		}
		wg.Wait()
		if n := wins.Load(); n != 1 {
			t.Errorf("%d claimed it", n)
		}
		f.sound()
	})
	t.Run("an edit and a claim exclude each other", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		for i := range 20 {
			n := f.draft(f.now, acme)
			id := f.create(n)
			v, err := f.s.PostByID(t.Context(), n.Post.ID)
			f.ok(err)
			p := v.Post
			p.Content.Text = fmt.Sprintf("edited %d", i)
			p.Targets[0].Content = p.Content
			edit := store.Edit{Post: p, Version: v.Version, Changes: map[post.ID]store.DeliveryEdit{
				id: {Digest: p.Content.Digest(), Roles: []post.Role{post.RolePost}},
			}}
			var editErr error
			var out store.Turned
			var wg sync.WaitGroup
			wg.Go(func() { _, editErr = f.s.EditPost(t.Context(), f.by("ann"), edit) })
			wg.Go(func() { out = f.turn() })
			wg.Wait()
			if len(out.Claims) != 1 {
				out = f.turn()
			}
			w := out.Claims[0]
			c, _, err := f.s.Material(t.Context(), &w.Delivery)
			f.ok(err)
			if w.Delivery.Digest != c.Digest() {
				t.Fatal("what is sent is not what the post says")
			}
			if (editErr == nil) != (c.Text == p.Content.Text) {
				t.Fatalf("edit: %v, but the text is %q", editErr, c.Text)
			}
			if editErr != nil && !errors.Is(editErr, post.ErrTooLate) && !errors.Is(editErr, store.ErrStale) {
				t.Fatalf("edit: %v", editErr)
			}
			f.settle(published(w, fmt.Sprint(i)))
		}
	})
	t.Run("standing ends with a cancellation, a stop, an untimed hold and the settlement", func(t *testing.T) {
		t.Parallel()
		ends := map[string]func(f *fixture, w store.Work) error{
			"cancel": func(f *fixture, w store.Work) error {
				_, err := f.s.CancelPost(t.Context(), f.by("ann"), w.Delivery.Post, 0)
				return err
			},
			"stop": func(f *fixture, _ store.Work) error {
				return f.s.StopAll(t.Context(), f.by("ann"), store.Stop{Hold: post.Hold{Reason: post.HoldPaused, Since: f.now}})
			},
			"timed stop": func(f *fixture, _ store.Work) error {
				since := f.now.Add(time.Minute)
				return f.s.StopAll(t.Context(), f.by("ann"), store.Stop{
					Brand: "acme", Hold: post.Hold{Reason: post.HoldPaused, Since: since, Until: since.Add(time.Hour)},
				})
			},
			"hold": func(f *fixture, _ store.Work) error {
				return f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: acme, Hold: post.Hold{Reason: post.HoldPaused}})
			},
			"settle": func(f *fixture, w store.Work) error { f.settle(published(w, "1")); return nil },
		}
		for name, end := range ends {
			f := open(t, b)
			w := f.claim(f.schedule(f.now, acme))
			if err := f.s.Standing(t.Context(), w.Delivery.ID, w.Delivery.Fence); err != nil {
				t.Errorf("%s: before: %v", name, err)
			}
			if err := f.s.Standing(t.Context(), w.Delivery.ID, w.Delivery.Fence+1); !errors.Is(err, post.ErrFenced) {
				t.Errorf("%s: another fence: %v", name, err)
			}
			f.ok(end(f, w))
			if err := f.s.Standing(t.Context(), w.Delivery.ID, w.Delivery.Fence); !errors.Is(err, post.ErrFenced) {
				t.Errorf("%s: after: %v, want ErrFenced", name, err)
			}
		}
	})
	t.Run("leases are renewed, expire and leave running workers alone", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		w := f.claim(f.schedule(f.now, acme))
		f.claim(f.schedule(f.now, page))
		f.ok(f.s.Renew(t.Context(), owner, []post.ID{w.Delivery.ID}, f.now.Add(time.Hour)))
		f.ok(f.s.Renew(t.Context(), "somebody else", []post.ID{w.Delivery.ID}, f.now.Add(-time.Hour)))
		f.now = f.now.Add(2 * time.Minute)
		n, err := f.s.Expire(t.Context(), f.now, func(post.ID) bool { return true })
		if err != nil || n != 0 {
			t.Errorf("with all running %d expired, %v", n, err)
		}
		n, err = f.s.Expire(t.Context(), f.now, func(post.ID) bool { return false })
		if err != nil || n != 1 {
			t.Errorf("%d expired, %v; want 1", n, err)
		}
		f.state(w.Delivery.ID, post.Sending)
		f.sound()
	})
	t.Run("what another process left is unconfirmed", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		began := f.now
		w := f.claim(f.schedule(f.now, acme))
		f.reopen()
		f.now = f.now.Add(time.Minute)
		if n, err := f.s.Recover(t.Context(), f.now, owner); err != nil || n != 0 {
			t.Errorf("of our own %d were recovered, %v", n, err)
		}
		if n, err := f.s.Recover(t.Context(), f.now, "process-2"); err != nil || n != 1 {
			t.Fatalf("recovered %d, %v; want 1", n, err)
		}
		d := f.view(w.Delivery.ID).Delivery
		if d.State != post.Unconfirmed || !d.Doubt.Next.Equal(f.now) || !d.Parts[0].Began.Equal(began) || d.Attempts != 1 {
			t.Errorf("recovered: %+v", d)
		}
		looks, err := f.s.Doubtful(t.Context(), f.now, 10)
		if err != nil || len(looks) != 1 || looks[0].Delivery.ID != d.ID {
			t.Errorf("doubtful: %v, %v", looks, err)
		}
		f.sound()
	})
}
