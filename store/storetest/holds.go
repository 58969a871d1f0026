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

func runHolds(t *testing.T, b Backend) {
	hold := func(r post.HoldReason, until time.Time) post.Hold {
		return post.Hold{Reason: r, Since: start(), Until: until}
	}
	t.Run("a hold without an end keeps a lane closed until it is released", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now, acme)
		f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: acme, Hold: hold(post.HoldPaused, time.Time{})}))
		out := f.idle()
		if v := f.view(id); !out.Next.IsZero() || !v.Next.IsZero() || len(v.Holds) != 1 {
			t.Errorf("next %v, estimate %v, holds %v", out.Next, v.Next, v.Holds)
		}
		f.sound()
		f.ok(f.s.ReleaseLane(t.Context(), f.by("ann"), store.Release{Account: acme, Late: store.LateApply, Reasons: []post.HoldReason{post.HoldPaused}}))
		f.claim(id)
	})
	t.Run("what is meant for another version of an account changes nothing", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		read := func() store.AccountView {
			v, err := f.s.AccountByHandle(t.Context(), acme.Handle)
			f.ok(err)
			return v
		}
		first := read().Version
		pause := func(version uint64) error {
			return f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: acme, Version: version, Hold: hold(post.HoldPaused, time.Time{})})
		}
		resume := func(version uint64, late store.Late) error {
			return f.s.ReleaseLane(t.Context(), f.by("ann"), store.Release{
				Account: acme, Version: version, Late: late, Reasons: []post.HoldReason{post.HoldPaused},
			})
		}
		f.ok(pause(first))
		id := f.schedule(f.now.Add(-time.Minute), acme)
		held, shown := read(), f.shown()
		for name, err := range map[string]error{
			"pause": pause(first), "resume": resume(first, store.LateApply), "resume and miss": resume(first, store.LateMiss),
		} {
			if !errors.Is(err, store.ErrStale) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(shown, f.shown()); diff != "" {
			t.Errorf("what was refused changed (-before +after):\n%s", diff)
		}
		f.ok(resume(held.Version, store.LateMiss))
		if v := f.view(id); v.Delivery.State != post.Missed || len(read().Holds) != 0 {
			t.Errorf("state %s, holds %v", v.Delivery.State, read().Holds)
		}
	})
	t.Run("a hold with an end moves the lane there", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now, acme)
		until := f.now.Add(10 * time.Minute)
		f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: acme, Hold: hold(post.HoldRateLimited, until)}))
		if out := f.idle(); !out.Next.Equal(until) || !f.view(id).Next.Equal(until) {
			t.Errorf("next %v, estimate %v", out.Next, f.view(id).Next)
		}
		f.now = until
		f.claim(id)
		f.sound()
	})
	t.Run("a clock that steps back stretches neither hold nor spacing nor doubt", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("other-x", func(a *post.Account) { a.MinGap = time.Minute })...)
		long := f.now.Add(-10 * time.Minute)
		id := f.schedule(long, acme)
		f.ok(f.s.HoldLane(t.Context(), f.by("crier"), store.HoldOn{
			Account: acme, Hold: post.Hold{Reason: post.HoldRateLimited, Since: f.now, Until: f.now.Add(10 * time.Minute)},
		}))
		f.schedule(long, page)
		f.schedule(long, other)
		for i, w := range f.turn().Claims {
			r := published(w, fmt.Sprint(i))
			if w.Delivery.Account == page {
				r = unknown(w, f.now, time.Time{})
			}
			f.settle(r)
		}
		f.schedule(long, page)
		f.schedule(long, other)
		f.now = f.now.Add(-5 * time.Minute)
		f.claim(id)
		f.now = f.now.Add(post.DoubtBlocks)
		if out := f.turn(); len(out.Claims) != 2 {
			t.Errorf("claimed %v, want both that waited", claimed(out))
		}
		f.sound()
	})
	t.Run("nor does one that was set back while nobody watched", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("other-x", func(a *post.Account) { a.MinGap = time.Minute })...)
		right := f.now
		f.now = right.Add(5 * time.Hour)
		f.schedule(f.now, page)
		f.schedule(f.now, other)
		for i, w := range f.turn().Claims {
			r := published(w, fmt.Sprint(i))
			if w.Delivery.Account == page {
				r = unknown(w, f.now, f.now.Add(time.Minute))
			}
			f.settle(r)
		}
		f.schedule(right, page)
		f.schedule(right, other)
		f.reopen()
		f.now = right
		f.turn()
		if looks, err := f.s.Doubtful(t.Context(), f.now, 10); err != nil || len(looks) != 1 {
			t.Errorf("looks due: %v, %v; want the one that was planned by the wrong clock", looks, err)
		}
		f.now = f.now.Add(post.DoubtBlocks)
		if out := f.turn(); len(out.Claims) != 2 {
			t.Errorf("claimed %v, want both that waited", claimed(out))
		}
		f.sound()
	})
	t.Run("a hold of an app is on each of its accounts", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.sync(with("other-x", func(a *post.Account) { a.App = "twitter:else" })...)
		f.schedule(f.now, acme)
		f.schedule(f.now, ann)
		free := f.schedule(f.now, other)
		f.ok(f.s.HoldLane(t.Context(), f.by("crier"), store.HoldOn{App: "twitter:app", Hold: hold(post.HoldOverBudget, time.Time{})}))
		f.claim(free)
		f.sound()
	})
	t.Run("stops of all, a kind and a brand close what they name", func(t *testing.T) {
		t.Parallel()
		for name, stop := range map[string]store.Stop{"all": {}, "kind": {Kind: post.Brand}, "brand": {Brand: "acme"}} {
			f := open(t, b)
			ids := map[post.AccountKey]post.ID{acme: {}, other: {}, ann: {}}
			for k := range ids {
				ids[k] = f.schedule(f.now, k)
			}
			stop.Hold = hold(post.HoldPaused, time.Time{})
			f.ok(f.s.StopAll(t.Context(), f.by("ann"), stop))
			out := f.turn()
			want := map[string]int{"all": 0, "kind": 1, "brand": 2}[name]
			if len(out.Claims) != want {
				t.Errorf("%s: claimed %d, want %d", name, len(out.Claims), want)
			}
			stops, err := f.s.Stops(t.Context())
			if err != nil || len(stops) != 1 {
				t.Errorf("%s: stops %v, %v", name, stops, err)
			}
			f.ok(f.s.ResumeAll(t.Context(), f.by("ann"), stop.Kind, stop.Brand, store.LateApply))
			if out := f.turn(); len(out.Claims) != 3-want {
				t.Errorf("%s: after the stop claimed %d, want %d", name, len(out.Claims), 3-want)
			}
			f.sound()
		}
	})
	t.Run("next leaves out what is stopped", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.schedule(f.now, acme)
		f.schedule(f.now.Add(time.Hour), other)
		end := f.now.Add(30 * time.Minute)
		f.ok(f.s.StopAll(t.Context(), f.by("ann"), store.Stop{Brand: "acme", Hold: hold(post.HoldPaused, end)}))
		if next, err := f.s.Next(t.Context()); err != nil || !next.Equal(end) {
			t.Errorf("next is %v, %v; want the end of the stop", next, err)
		}
		f.ok(f.s.StopAll(t.Context(), f.by("ann"), store.Stop{Brand: "acme", Hold: hold(post.HoldPaused, time.Time{})}))
		if next, err := f.s.Next(t.Context()); err != nil || !next.Equal(f.now.Add(time.Hour)) {
			t.Errorf("next is %v, %v; want the other brand's", next, err)
		}
	})
	t.Run("late deliveries are applied, sent or missed when a lane opens again", func(t *testing.T) {
		t.Parallel()
		for late, want := range map[store.Late]post.State{
			store.LateApply: post.Missed, store.LateSend: post.Sending, store.LateMiss: post.Missed,
		} {
			for _, scope := range []string{"lane", "stop"} {
				f := open(t, b)
				overdue := f.schedule(f.now, acme)
				little := f.schedule(f.now.Add(59*time.Minute), acme)
				if scope == "lane" {
					f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: acme, Hold: hold(post.HoldPaused, time.Time{})}))
				} else {
					f.ok(f.s.StopAll(t.Context(), f.by("ann"), store.Stop{Hold: hold(post.HoldPaused, time.Time{})}))
				}
				f.now = f.now.Add(time.Hour)
				f.idle()
				if scope == "lane" {
					f.ok(f.s.ReleaseLane(t.Context(), f.by("ann"), store.Release{Account: acme, Late: late, Reasons: []post.HoldReason{post.HoldPaused}}))
				} else {
					f.ok(f.s.ResumeAll(t.Context(), f.by("ann"), "", "", late))
				}
				f.turn()
				f.state(overdue, want)
				behind := map[store.Late]post.State{
					store.LateApply: post.Sending, store.LateSend: post.Scheduled, store.LateMiss: post.Missed,
				}[late]
				f.state(little, behind)
				f.sound()
			}
		}
	})
	t.Run("an end of a pause that nobody set sends and misses nothing", func(t *testing.T) {
		t.Parallel()
		for _, late := range []store.Late{store.LateApply, store.LateSend, store.LateMiss} {
			f := open(t, b)
			first, behind := f.schedule(f.now, acme), f.schedule(f.now, acme)
			f.claim(first)
			f.now = f.now.Add(time.Second)
			f.ok(f.s.ReleaseLane(t.Context(), f.by("ann"), store.Release{Account: acme, Late: late, Reasons: []post.HoldReason{post.HoldPaused, post.HoldRestored}}))
			f.state(behind, post.Scheduled)
			f.sound()
		}
	})
	t.Run("holds and stops happen once for a client's key", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		told := map[string]any{}
		under := func(key string) store.Write {
			w := f.by("ann")
			w.Once = &store.Once{Client: "c", Key: key, Answer: func(result any) []byte {
				told[key] = result
				return []byte(key)
			}}
			return w
		}
		stop := store.Stop{Brand: "acme", Hold: hold(post.HoldPaused, time.Time{})}
		for _, deed := range []struct {
			name       string
			do, undone func(store.Write) error
		}{
			{"hold", func(w store.Write) error {
				return f.s.HoldLane(t.Context(), w, store.HoldOn{Account: acme, Hold: hold(post.HoldPaused, time.Time{})})
			}, func(w store.Write) error {
				return f.s.ReleaseLane(t.Context(), w, store.Release{Account: acme, Late: store.LateMiss, Reasons: []post.HoldReason{post.HoldPaused}})
			}},
			{"stop", func(w store.Write) error { return f.s.StopAll(t.Context(), w, stop) }, func(w store.Write) error {
				return f.s.ResumeAll(t.Context(), w, "", "acme", store.LateMiss)
			}},
		} {
			f.ok(deed.do(under(deed.name)))
			f.ok(deed.undone(under("end of " + deed.name)))
			before := f.shown()
			for key, do := range map[string]func(store.Write) error{deed.name: deed.do, "end of " + deed.name: deed.undone} {
				err := do(under(key))
				if again, ok := errors.AsType[*store.ReplayedError](err); !ok || string(again.Answer) != key {
					t.Errorf("%s again: %v", key, err)
				}
			}
			if diff := cmp.Diff(before, f.shown()); diff != "" {
				t.Errorf("%s again (-before +after):\n%s", deed.name, diff)
			}
		}
		v, err := f.s.AccountByHandle(t.Context(), acme.Handle)
		f.ok(err)
		if diff := cmp.Diff(v, told["end of hold"]); diff != "" {
			t.Errorf("the result of the release (-read +told):\n%s", diff)
		}
		if held, ok := told["hold"].(store.AccountView); !ok || len(held.Holds) != 1 || held.Version >= v.Version {
			t.Errorf("the result of the hold: %+v", told["hold"])
		}
		counts, err := f.s.AccountCounts(t.Context())
		f.ok(err)
		if diff := cmp.Diff(counts, told["end of stop"]); diff != "" {
			t.Errorf("the result of the end of the stop (-read +told):\n%s", diff)
		}
		f.sound()
	})
}

// shown is what holds and stops leave.
func (f *fixture) shown() []any {
	f.t.Helper()
	accounts, err := f.s.ListAccounts(f.t.Context())
	f.ok(err)
	stops, err := f.s.Stops(f.t.Context())
	f.ok(err)
	changes, err := f.s.Changes(f.t.Context(), 0, 1000)
	f.ok(err)
	return []any{accounts, stops, len(changes)}
}

func runPrepare(t *testing.T, b Backend) {
	prepared := func(f *fixture, due time.Time) (post.ID, string) {
		n := f.draft(due, acme)
		n.Deliveries[0].NeedsPrepare = true
		return f.create(n), n.Deliveries[0].Digest
	}
	t.Run("what needs preparing is listed ahead, and claimed only when it is prepared", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		due := f.now.Add(5 * time.Minute)
		id, digest := prepared(f, due)
		behind := f.schedule(due, acme)
		if soon, err := f.s.Soon(t.Context(), f.now, due.Add(-time.Second), 10); err != nil || len(soon) != 0 {
			t.Errorf("soon before its time: %v, %v", soon, err)
		}
		soon, err := f.s.Soon(t.Context(), f.now, due, 10)
		if err != nil || len(soon) != 1 || soon[0].Delivery.ID != id {
			t.Fatalf("soon: %v, %v", soon, err)
		}
		f.now = due
		f.idle()
		h := post.Handle{Part: 0, Name: "media:0", Digest: digest, Values: map[string]string{"id": "m1"}, Done: true}
		err = f.s.SavePrepared(t.Context(), f.now, store.Prepared{Delivery: id, Digest: "another", Handle: &h})
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("another digest: %v, want ErrStale", err)
		}
		until := f.now.Add(time.Hour)
		f.ok(f.s.SavePrepared(t.Context(), f.now, store.Prepared{Delivery: id, Digest: digest, Handle: &h, Done: true, Until: until}))
		f.reopen()
		v := f.view(id)
		if _, handles, err := f.s.Material(t.Context(), &v.Delivery); err != nil || len(handles) != 1 || handles[0].Values["id"] != "m1" {
			t.Errorf("handles: %v, %v", handles, err)
		}
		f.claim(id)
		f.state(behind, post.Scheduled)
		f.sound()
	})
	t.Run("work that is about to expire is prepared again", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id, digest := prepared(f, f.now.Add(time.Hour))
		until := f.now.Add(time.Hour + 59*time.Second)
		f.ok(f.s.SavePrepared(t.Context(), f.now, store.Prepared{Delivery: id, Digest: digest, Done: true, Until: until}))
		f.now = f.now.Add(time.Hour)
		f.idle()
		f.sound()
		if soon, err := f.s.Soon(t.Context(), f.now, f.now, 10); err != nil || len(soon) != 1 {
			t.Errorf("soon: %v, %v", soon, err)
		}
		f.ok(f.s.SavePrepared(t.Context(), f.now, store.Prepared{Delivery: id, Digest: digest, Done: true}))
		f.claim(id)
	})
	t.Run("an edit drops prepared work", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme)
		n.Deliveries[0].NeedsPrepare = true
		id := f.create(n)
		h := post.Handle{Name: "media:0", Digest: n.Deliveries[0].Digest}
		f.ok(f.s.SavePrepared(t.Context(), f.now, store.Prepared{Delivery: id, Digest: h.Digest, Handle: &h, Done: true}))
		p := n.Post
		p.Content.Text = "other words"
		p.Targets[0].Content = p.Content
		_, err := f.s.EditPost(t.Context(), f.by("ann"), store.Edit{Post: p, Changes: map[post.ID]store.DeliveryEdit{
			id: {Digest: p.Content.Digest(), Roles: []post.Role{post.RolePost}, NeedsPrepare: true},
		}})
		f.ok(err)
		f.idle()
		v := f.view(id)
		if _, handles, err := f.s.Material(t.Context(), &v.Delivery); err != nil || len(handles) != 0 {
			t.Errorf("handles: %v, %v", handles, err)
		}
		f.sound()
	})
}

func runReceipts(t *testing.T, b Backend) {
	t.Run("two parts never share a receipt", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.schedule(f.now, acme)
		f.schedule(f.now, page)
		claims := f.turn().Claims
		out := f.turn(published(claims[0], "1"), published(claims[1], "1"))
		if out.Refused[0] != nil || !errors.Is(out.Refused[1], store.ErrReceiptTaken) {
			t.Errorf("refused: %v", out.Refused)
		}
		f.state(claims[1].Delivery.ID, post.Sending)
		taken, err := f.s.ReceiptTaken(t.Context(), post.Twitter, "1")
		if err != nil || !taken {
			t.Errorf("taken: %t, %v", taken, err)
		}
		taken, err = f.s.ReceiptTaken(t.Context(), post.Reddit, "1")
		if err != nil || taken {
			t.Errorf("on another platform: %t, %v", taken, err)
		}
		f.settle(published(claims[1], "2"))
		f.sound()
	})
	t.Run("the same receipt again changes nothing", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		w := f.claim(f.schedule(f.now, acme))
		f.settle(published(w, "1"))
		before := f.view(w.Delivery.ID).Delivery
		f.settle(published(w, "1"))
		if after := f.view(w.Delivery.ID).Delivery; after.Version != before.Version || *after.Parts[0].Receipt != *before.Parts[0].Receipt {
			t.Errorf("it changed from %+v to %+v", before, after)
		}
		f.sound()
	})
}
