package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

func runLanes(t *testing.T, b Backend) {
	t.Run("one account sends in order of due, one at a time", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		third := f.schedule(f.now.Add(-time.Second), acme)
		first := f.schedule(f.now.Add(-time.Minute), acme)
		second := f.schedule(f.now.Add(-time.Minute), acme)
		beside := f.schedule(f.now, ann)
		out := f.turn()
		if len(out.Claims) != 2 || out.Claims[0].Delivery.ID != first || out.Claims[1].Delivery.ID != beside {
			t.Fatalf("claimed %v", claimed(out))
		}
		w := out.Claims[0]
		for i, want := range []post.ID{second, third} {
			f.idle()
			out = f.settle(published(w, fmt.Sprint(i)))
			if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != want {
				t.Fatalf("claimed %v, want %s", claimed(out), want)
			}
			w = out.Claims[0]
		}
		f.sound()
	})
	t.Run("a retry keeps its place at the head", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		head, behind := f.schedule(f.now, acme), f.schedule(f.now.Add(time.Second), acme)
		w := f.claim(head)
		at := f.now.Add(30 * time.Second)
		out := f.settle(again(w, at))
		if !out.Next.Equal(at) {
			t.Errorf("next is %v, want %v", out.Next, at)
		}
		f.now = f.now.Add(10 * time.Second)
		f.idle()
		f.now = at
		w = f.claim(head)
		if w.Delivery.Fence != 2 {
			t.Errorf("fence %d, want 2", w.Delivery.Fence)
		}
		out = f.settle(failed(w))
		if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != behind {
			t.Errorf("claimed %v, want %s", claimed(out), behind)
		}
		f.sound()
	})
	t.Run("a lane says when its spacing lets a further delivery go", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("acme-x", func(a *post.Account) { a.MinGap = time.Minute })...)
		free := func(due, want time.Time) {
			t.Helper()
			if got, err := f.s.FreeAt(t.Context(), f.now, acme, due); err != nil || !got.Equal(want) {
				t.Errorf("due %v it is free at %v, %v; want %v", due, got, err, want)
			}
		}
		free(f.now, f.now)
		hour := f.now.Add(time.Hour)
		for range 10 {
			f.schedule(hour, acme)
		}
		f.schedule(hour.Add(20*time.Minute), acme)
		f.schedule(hour, page) // in a lane of its own
		free(f.now, f.now)
		free(hour.Add(-time.Millisecond), hour.Add(-time.Millisecond)) // it goes before them
		free(hour, hour.Add(10*time.Minute))
		free(hour.Add(5*time.Minute), hour.Add(10*time.Minute))
		free(hour.Add(10*time.Minute), hour.Add(10*time.Minute))
		free(hour.Add(15*time.Minute), hour.Add(15*time.Minute))
		free(hour.Add(20*time.Minute), hour.Add(21*time.Minute))
		f.settle(published(f.claim(f.schedule(f.now, acme)), "1"))
		free(f.now, f.now.Add(time.Minute))
		f.now = hour.Add(3 * time.Minute) // nothing has been sent for an hour: ten wait, one after the other
		free(f.now, f.now.Add(10*time.Minute))
		if got, err := f.s.FreeAt(t.Context(), f.now, page, hour); err != nil || !got.Equal(hour) {
			t.Errorf("without spacing it is free at %v, %v", got, err)
		}
	})
	t.Run("spacing holds the next delivery back and shows in its estimate", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("acme-x", func(a *post.Account) { a.MinGap = time.Minute })...)
		first, second, third := f.schedule(f.now, acme), f.schedule(f.now, acme), f.schedule(f.now, acme)
		if got, want := f.view(third).Next, f.now.Add(2*time.Minute); !got.Equal(want) {
			t.Errorf("the third is estimated for %v, want %v", got, want)
		}
		w := f.claim(first)
		f.now = f.now.Add(time.Second)
		out := f.settle(published(w, "1"))
		opens := f.now.Add(time.Minute)
		if !out.Next.Equal(opens) || !f.view(second).Next.Equal(opens) || !f.view(third).Next.Equal(opens.Add(time.Minute)) {
			t.Errorf("next %v, estimates %v and %v", out.Next, f.view(second).Next, f.view(third).Next)
		}
		f.now = opens
		f.claim(second)
		f.sound()
	})
	t.Run("a claim says from when it could be handed out", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("acme-x", func(a *post.Account) { a.MinGap = time.Minute })...)
		ready := func(id post.ID, want time.Time, of string) store.Work {
			t.Helper()
			f.now = want.Add(7 * time.Second)
			w := f.claim(id)
			if !w.Ready.Equal(want) {
				t.Errorf("%s: ready at %v, want %v", of, w.Ready, want)
			}
			return w
		}
		due := f.now
		late, first, second, third := f.schedule(due.Add(-time.Hour), acme), f.schedule(due, acme), f.schedule(due, acme), f.schedule(due, acme)
		w := ready(first, due, "due, behind one that is missed")
		f.state(late, post.Missed)
		retry := f.now.Add(30 * time.Second)
		f.settle(again(w, retry))
		w = ready(first, retry, "a retry")
		f.settle(published(w, "1"))
		w = ready(second, f.now.Add(time.Minute), "spacing")
		f.settle(published(w, "2"))
		until := f.now.Add(5 * time.Minute)
		f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{
			Account: acme, Hold: post.Hold{Reason: post.HoldRateLimited, Since: f.now, Until: until},
		}))
		ready(third, until, "the end of a hold")
		f.sound()
	})
	t.Run("a reschedule and a cancellation move the head", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first, second := f.schedule(f.now, acme), f.schedule(f.now.Add(time.Minute), acme)
		_, err := f.s.ChangeDelivery(t.Context(), f.by("ann"), first, 0, "delivery.rescheduled", func(d *post.Delivery) error {
			return d.Reschedule(f.now.Add(time.Hour))
		})
		f.ok(err)
		f.now = f.now.Add(time.Minute)
		f.sound()
		_, err = f.s.ChangeDelivery(t.Context(), f.by("ann"), second, 0, "delivery.canceled", (*post.Delivery).Cancel)
		f.ok(err)
		f.idle()
		f.now = f.now.Add(time.Hour)
		f.sound()
		f.claim(first)
	})
	t.Run("deliveries of an unknown account wait for it", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now, brand("new-x"))
		f.idle()
		if holds := f.view(id).Holds; len(holds) != 1 || holds[0].Reason != post.HoldRemoved {
			t.Errorf("holds: %v", holds)
		}
		f.sync(append(accounts(), account("new-x", post.Brand, "acme"))...)
		f.claim(id)
		f.sound()
	})
}

func runLateness(t *testing.T, b Backend) {
	t.Run("what waited too long is missed, what waited as long as allowed is sent", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		late := f.schedule(f.now.Add(-15*time.Minute-time.Millisecond), acme)
		fine := f.schedule(f.now.Add(-15*time.Minute), acme)
		out := f.turn()
		if out.Missed != 1 || len(out.Claims) != 1 || out.Claims[0].Delivery.ID != fine {
			t.Fatalf("missed %d, claimed %v", out.Missed, claimed(out))
		}
		f.state(late, post.Missed)
		f.sound()
	})
	t.Run("spacing is no lateness", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("acme-x", func(a *post.Account) { a.MinGap = time.Minute })...)
		for range 100 {
			f.schedule(f.now, acme)
		}
		for i := range 100 {
			out := f.turn()
			if len(out.Claims) != 1 || out.Missed != 0 {
				t.Fatalf("delivery %d: claimed %v, missed %d", i, claimed(out), out.Missed)
			}
			f.now = f.now.Add(300 * time.Millisecond)
			f.settle(published(out.Claims[0], fmt.Sprint(i)))
			f.now = f.now.Add(time.Minute + 2*time.Millisecond)
		}
		f.sound()
	})
	t.Run("the wait for a retry is no lateness", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now, acme)
		for range 5 {
			w := f.claim(id)
			f.now = f.now.Add(time.Minute) // of the attempt itself
			f.settle(again(w, f.now.Add(10*time.Minute)))
			f.now = f.now.Add(10 * time.Minute)
		}
		f.claim(id)
		f.sound()
	})
	t.Run("retries and the platform's limits are no lateness, a pause is", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id, paused := f.schedule(f.now, acme), f.schedule(f.now, page)
		var w store.Work
		for _, c := range f.turn().Claims {
			if c.Delivery.ID == id {
				w = c
				continue
			}
			r := again(c, f.now)
			r.Holds = []store.HoldOn{{Account: page, Hold: post.Hold{Reason: post.HoldPaused, Since: f.now, Until: f.now.Add(time.Hour)}}}
			f.settle(r)
		}
		r := again(w, f.now.Add(10*time.Minute))
		until := f.now.Add(40 * time.Minute)
		r.Holds = []store.HoldOn{{Account: acme, Hold: post.Hold{Reason: post.HoldRateLimited, Since: f.now, Until: until}}}
		f.settle(r)
		f.now = until
		f.claim(id)
		f.now = f.now.Add(20 * time.Minute)
		if out := f.idle(); out.Missed != 1 {
			t.Errorf("missed %d, want the paused one", out.Missed)
		}
		f.state(paused, post.Missed)
		f.sound()
	})
	t.Run("a backlog is passed over with bounded work", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		var many []store.NewPost
		for range 3000 {
			many = append(many, f.draft(f.now.Add(-time.Hour), acme))
		}
		if _, err := f.s.CreatePosts(t.Context(), f.by("ann"), many); err != nil {
			t.Fatal(err)
		}
		fine := f.schedule(f.now, acme)
		missed, turns := 0, 1
		for ; turns < 10; turns++ {
			out := f.turn()
			missed += out.Missed
			if len(out.Claims) > 0 {
				break
			}
			if out.Next.After(f.now) {
				t.Fatalf("next is %v though more is overdue", out.Next)
			}
		}
		f.state(fine, post.Sending)
		if missed != 3000 || turns < 2 {
			t.Errorf("missed %d in %d turns", missed, turns)
		}
		f.sound()
	})
}

func runDoubt(t *testing.T, b Backend) {
	t.Run("doubt blocks its lane for five minutes, then steps aside", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first, second := f.schedule(f.now, acme), f.schedule(f.now, acme)
		w := f.claim(first)
		look := f.now.Add(10 * time.Second)
		out := f.settle(unknown(w, f.now, look))
		if !out.Next.Equal(look) {
			t.Errorf("next is %v, want the look at %v", out.Next, look)
		}
		began := f.now
		f.now = began.Add(post.DoubtBlocks - time.Millisecond)
		f.idle()
		f.now = began.Add(post.DoubtBlocks)
		f.claim(second)
		f.state(first, post.Unconfirmed)
		f.sound()
	})
	t.Run("a look that finds it opens the lane", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first, second := f.schedule(f.now, acme), f.schedule(f.now, acme)
		w := f.claim(first)
		f.settle(unknown(w, f.now, f.now.Add(10*time.Second)))
		f.now = f.now.Add(10 * time.Second)
		if v, err := f.s.DeliveryByID(t.Context(), first); err != nil || !v.Next.Equal(f.now) {
			t.Errorf("in doubt: next at %v, %v; want the look at %v", v.Next, err, f.now)
		}
		looks, err := f.s.Doubtful(t.Context(), f.now, 10)
		if err != nil || len(looks) != 1 {
			t.Fatalf("doubtful: %v, %v", looks, err)
		}
		found := published(looks[0], "9")
		found.Settled.Counted = false
		out := f.settle(found)
		if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != second || len(out.Alerts) != 0 {
			t.Errorf("claimed %v, alerts %v", claimed(out), out.Alerts)
		}
		f.state(first, post.Published)
		f.sound()
	})
	t.Run("looks for one platform or kind hide none of the others", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		many := accounts()
		for i := range 9 {
			many = append(many, account(fmt.Sprint("more-", i), post.Brand, "acme"))
		}
		many[len(many)-1].Platform = post.Facebook
		f.sync(many...)
		var results []store.Result
		for i, a := range many {
			n := f.draft(f.now, a.Key())
			n.Deliveries[0].Platform, n.Post.Targets[0].Platform = a.Platform, a.Platform
			f.create(n)
			due := f.now.Add(time.Duration(i) * time.Second) // a person's and Facebook's are not the first
			if a.Kind == post.Personal || a.Platform == post.Facebook {
				due = f.now.Add(time.Hour)
			}
			for _, w := range f.turn().Claims {
				results = append(results, unknown(w, f.now, due))
			}
		}
		if out := f.turn(results...); !out.Next.Equal(f.now) {
			t.Errorf("next is %v, want the first look at %v", out.Next, f.now)
		}
		f.now = f.now.Add(2 * time.Hour)
		looks, err := f.s.Doubtful(t.Context(), f.now, 3)
		f.ok(err)
		found := map[string]int{}
		for i, w := range looks {
			found[string(w.Delivery.Account.Kind)+" "+string(w.Delivery.Platform)]++
			if i > 0 && w.Delivery.Doubt.Next.Before(looks[i-1].Delivery.Doubt.Next) {
				t.Errorf("look %d is due before the one that comes first", i)
			}
		}
		want := map[string]int{"brand twitter": 3, "brand facebook": 1, "personal twitter": 1}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
		f.sound()
	})
	t.Run("what proves absent goes back to its place and is not late by the looking", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first := f.schedule(f.now, acme)
		w := f.claim(first)
		f.settle(unknown(w, f.now, f.now.Add(30*time.Minute)))
		f.now = f.now.Add(30 * time.Minute)
		looks, err := f.s.Doubtful(t.Context(), f.now, 10)
		f.ok(err)
		out := f.settle(again(looks[0], f.now))
		if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != first || out.Missed != 0 {
			t.Errorf("claimed %v, missed %d", claimed(out), out.Missed)
		}
		f.sound()
	})
	t.Run("a late receipt is taken whatever happened since, and alerts", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first := f.schedule(f.now, acme)
		old := f.claim(first)
		f.settle(again(old, f.now))
		f.state(first, post.Sending) // claimed anew in the same turn
		out := f.settle(published(old, "7"))
		if len(out.Alerts) != 1 || out.Alerts[0] != first {
			t.Errorf("alerts: %v", out.Alerts)
		}
		f.state(first, post.Published)
		f.sound()
	})
	t.Run("a person resolves", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		w := f.claim(f.schedule(f.now, acme))
		f.settle(unknown(w, f.now, time.Time{}))
		next, err := f.s.Next(t.Context())
		if err != nil || !next.IsZero() {
			t.Errorf("next is %v, %v; want none: a person decides", next, err)
		}
		v := f.view(w.Delivery.ID)
		resolve := func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, f.now) }
		_, err = f.s.ChangeDelivery(t.Context(), f.by("ann"), w.Delivery.ID, v.Delivery.Version+1, "delivery.resolved", resolve)
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("another version: %v, want ErrStale", err)
		}
		_, err = f.s.ChangeDelivery(t.Context(), f.by("ann"), w.Delivery.ID, v.Delivery.Version, "delivery.resolved", resolve)
		f.ok(err)
		f.claim(w.Delivery.ID)
		f.sound()
	})
}
