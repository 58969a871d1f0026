package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// racers is how many goroutines run for one thing.
const racers = 64

// race lets all of them start together and counts those that won.
func race(run func(i int) bool) int {
	var wins atomic.Int32
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			if run(i) {
				wins.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(wins.Load())
}

// drafts gives one draft for each racer.
func (f *fixture) drafts(due time.Time, change func(*store.NewPost)) []store.NewPost {
	all := make([]store.NewPost, racers)
	for i := range all {
		all[i] = f.draft(due, acme)
		change(&all[i])
	}
	return all
}

func runRaces(t *testing.T, b Backend) {
	t.Run("of 64 posts in one lane one is in flight at a time", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		for range racers {
			f.schedule(f.now, acme)
		}
		var mu sync.Mutex
		seen := map[post.ID]bool{}
		wins := race(func(i int) bool {
			out, err := f.s.Turn(t.Context(), store.Turn{
				Now: f.now, Owner: fmt.Sprint(i), Lease: time.Minute, Room: map[post.Kind]int{post.Brand: racers},
			})
			if err != nil {
				t.Errorf("turn: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, w := range out.Claims {
				seen[w.Delivery.ID] = true
			}
			return len(out.Claims) > 0
		})
		if wins != 1 || len(seen) != 1 {
			t.Errorf("%d turns claimed %d deliveries of one lane", wins, len(seen))
		}
		f.sound()
	})
	t.Run("of 64 posts with one external id one is written, and the others learn which", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		all := f.drafts(f.now.Add(time.Hour), func(n *store.NewPost) { n.Post.ExternalID = "release-1" })
		var winner atomic.Pointer[post.ID]
		told := make([]post.ID, racers)
		wins := race(func(i int) bool {
			_, err := f.s.CreatePost(t.Context(), f.by("ann"), all[i])
			if taken, ok := errors.AsType[*store.ExternalIDError](err); ok {
				told[i] = taken.Post
				return false
			}
			if err != nil {
				t.Errorf("create: %v", err)
				return false
			}
			winner.Store(&all[i].Post.ID)
			return true
		})
		if wins != 1 {
			t.Fatalf("%d were written", wins)
		}
		for i, id := range told {
			if !id.IsZero() && id != *winner.Load() {
				t.Errorf("racer %d was told of %s, want %s", i, id, winner.Load())
			}
		}
		f.sound()
	})
	t.Run("of 64 requests with one idempotency key one has an effect, and all get its answer", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		all := f.drafts(f.now.Add(time.Hour), func(*store.NewPost) {})
		answers := make([]string, racers)
		wins := race(func(i int) bool {
			w := f.by("ann")
			w.Once = &store.Once{Client: "ann", Key: "k", Answer: func(r any) []byte { return []byte(r.(store.PostView).Post.ID.String()) }}
			v, err := f.s.CreatePost(t.Context(), w, all[i])
			if replay, ok := errors.AsType[*store.ReplayedError](err); ok {
				answers[i] = string(replay.Answer)
				return false
			}
			if err != nil {
				t.Errorf("create: %v", err)
			}
			answers[i] = v.Post.ID.String()
			return true
		})
		for i := range answers {
			if answers[i] != answers[0] {
				t.Errorf("racer %d got %s, racer 0 %s", i, answers[i], answers[0])
			}
		}
		page, err := f.s.ListPosts(t.Context(), store.Filter{Now: f.now, Limit: 100})
		if err != nil || len(page.Items) != 1 || wins != 1 {
			t.Errorf("%d won, %d posts are there, %v", wins, len(page.Items), err)
		}
		f.sound()
	})
	t.Run("of 64 parts that bring one receipt one gets it", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		var all []post.Account
		for i := range racers {
			all = append(all, account(fmt.Sprintf("lane-%d", i), post.Brand, "acme"))
		}
		f.sync(all...)
		for _, a := range all {
			f.schedule(f.now, a.Key())
		}
		claims := f.turn().Claims
		if len(claims) != racers {
			t.Fatalf("claimed %d", len(claims))
		}
		wins := race(func(i int) bool {
			out, err := f.s.Turn(t.Context(), store.Turn{Now: f.now, Owner: owner, Results: []store.Result{published(claims[i], "the one")}})
			if err != nil {
				t.Errorf("turn: %v", err)
				return false
			}
			if refused := out.Refused[0]; refused != nil {
				if !errors.Is(refused, store.ErrReceiptTaken) {
					t.Errorf("refused: %v", refused)
				}
				return false
			}
			return true
		})
		if wins != 1 {
			t.Errorf("%d parts hold one receipt", wins)
		}
		f.sound()
	})
	t.Run("of 64 changes from one version one is made", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now.Add(time.Hour), acme)
		version := f.view(id).Delivery.Version
		wins := race(func(i int) bool {
			due := f.now.Add(time.Duration(i+2) * time.Hour)
			_, err := f.s.ChangeDelivery(t.Context(), f.by("ann"), id, version, "delivery.rescheduled", func(d *post.Delivery) error {
				return d.Reschedule(due)
			})
			if err != nil && !errors.Is(err, store.ErrStale) {
				t.Errorf("change: %v", err)
			}
			return err == nil
		})
		if wins != 1 {
			t.Errorf("%d changes were made", wins)
		}
		f.sound()
	})
	t.Run("of 64 fresh tokens over one old one is stored", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.ok(f.s.SwapToken(t.Context(), acme, nil, []byte("old"), "seed"))
		wins := race(func(i int) bool {
			err := f.s.SwapToken(t.Context(), acme, []byte("old"), fmt.Append(nil, "new ", i), "seed")
			if err != nil && !errors.Is(err, store.ErrStale) {
				t.Errorf("swap: %v", err)
			}
			return err == nil
		})
		if wins != 1 {
			t.Errorf("%d tokens were stored", wins)
		}
	})
}
