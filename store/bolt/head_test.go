package bolt

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
)

// The head of a lane is the first delivery that waits, whatever becomes of its deliveries in one transaction.
func TestTheHeadOfALaneIsTheFirstThatWaits(t *testing.T) {
	t.Parallel()
	lot := rand.New(rand.NewPCG(1, 2))
	states := []post.State{post.Draft, post.Scheduled, post.Scheduled, post.Sending, post.Published, post.Canceled}
	first := func(all map[byte]*post.Delivery, from position) (head position) {
		for _, d := range all {
			if p := positionOf(d); d.State.Waiting() && p.compare(from) >= 0 && (head.none() || p.compare(head) < 0) {
				head = p
			}
		}
		return head
	}
	for range 20_000 {
		l := &lane{}
		all := map[byte]*post.Delivery{}
		for range 1 + lot.IntN(40) {
			id := byte(1 + lot.IntN(5))
			before := all[id]
			after := &post.Delivery{ID: post.ID{id}, State: states[lot.IntN(len(states))], Due: time.UnixMilli(lot.Int64N(6))}
			if before != nil && lot.IntN(2) == 0 {
				after.Due = before.Due
			}
			l.moveHead(before, after)
			all[id] = after
			if lot.IntN(3) > 0 {
				continue // more in the same transaction
			}
			if l.astray { // looked for from where it was, as headOf does
				l.head, l.astray = first(all, l.head), false
			}
			if want := first(all, position{due: noTime}); l.head != want {
				t.Fatalf("head %v, want %v", l.head, want)
			}
		}
	}
}

func TestADamagedKeyOfALookIsAnErrorAndNoCircle(t *testing.T) {
	t.Parallel()
	s := openTemp(t, Options{})
	err := s.db.Update(func(b *bbolt.Tx) error {
		return b.Bucket([]byte(bucketNames[bDoubt])).Put(append([]byte("brand|twitter\xff"), make([]byte, 24)...), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan error, 1)
	go func() {
		_, err := s.Next(context.WithoutCancel(t.Context()))
		next <- err
	}()
	select {
	case err := <-next:
		if !errors.Is(err, store.ErrCorrupt) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it runs in circles")
	}
}

// Somebody pauses an account between the look at its version and the missing of what is overdue.
func TestNothingIsMissedForAnotherVersionOfAnAccount(t *testing.T) {
	t.Parallel()
	s := openTemp(t, Options{})
	now := time.UnixMilli(1_000_000).UTC()
	w := store.Write{Now: now, Actor: "ann"}
	acme := post.Account{Handle: "acme", Platform: post.Twitter, Kind: post.Brand, Owner: "acme", Managed: "file", MaxLate: time.Hour}
	d := post.Delivery{
		ID: post.ID{1}, Post: post.ID{2}, Target: post.ID{3}, Account: acme.Key(), Platform: post.Twitter, State: post.Scheduled,
		Due: now.Add(-time.Minute), Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}},
	}
	n := store.NewPost{
		Post: post.Post{ID: d.Post, Author: "ann", CreatedAt: now, Kind: post.Brand, Targets: []post.Target{{
			ID: d.Target, Account: acme.Key(), Platform: post.Twitter, Delivery: d.ID,
		}}},
		Deliveries: []post.Delivery{d}, Fingerprints: []string{""},
	}
	if err := s.SyncAccounts(t.Context(), w, []post.Account{acme}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreatePost(t.Context(), w, n); err != nil {
		t.Fatal(err)
	}
	read, err := s.AccountByHandle(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.missOverdue(t.Context(), now, "ann", acme.Key(), read.Version+1); !errors.Is(err, store.ErrStale) {
		t.Errorf("another version: %v", err)
	}
	if v, err := s.DeliveryByID(t.Context(), d.ID); err != nil || v.Delivery.State != post.Scheduled {
		t.Errorf("it is %s, %v", v.Delivery.State, err)
	}
	err = s.missOverdue(t.Context(), now, "ann", acme.Key(), read.Version)
	if v, e := s.DeliveryByID(t.Context(), d.ID); errors.Join(err, e) != nil || v.Delivery.State != post.Missed {
		t.Errorf("its own version: it is %s, %v", v.Delivery.State, errors.Join(err, e))
	}
}
