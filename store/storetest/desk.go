package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

func runLists(t *testing.T, b Backend) {
	t.Run("pages of deliveries follow in order of due and stay put while others write", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		var want []post.ID
		for i := range 25 {
			want = append(want, f.schedule(f.now.Add(time.Duration(i/3)*time.Minute), []post.AccountKey{acme, page, ann}[i%3]))
		}
		var got []post.ID
		filter := store.Filter{Limit: 4}
		for {
			p, err := f.s.ListDeliveries(t.Context(), filter)
			f.ok(err)
			for _, v := range p.Items {
				got = append(got, v.Delivery.ID)
			}
			if p.Next == "" {
				break
			}
			filter.Cursor = p.Next
			f.schedule(f.now.Add(-time.Hour), acme) // before all pages that are still to come
		}
		slices.SortFunc(got, func(a, b post.ID) int { return slices.Compare(a[:], b[:]) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("deliveries are filtered", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		m := f.reach(post.Failed)
		a := f.schedule(f.now, acme)
		p := f.schedule(f.now.Add(time.Minute), ann)
		for name, c := range map[string]struct {
			filter store.Filter
			want   []post.ID
		}{
			"all":        {store.Filter{}, []post.ID{m, a, p}},
			"kind":       {store.Filter{Kind: post.Personal}, []post.ID{p}},
			"account":    {store.Filter{Account: &acme}, []post.ID{m, a}},
			"rare state": {store.Filter{States: []post.State{post.Failed, post.Missed}}, []post.ID{m}},
			"states":     {store.Filter{States: []post.State{post.Failed, post.Scheduled}}, []post.ID{m, a, p}},
			"from":       {store.Filter{From: f.now.Add(time.Second)}, []post.ID{p}},
			"to":         {store.Filter{To: f.now.Add(time.Minute)}, []post.ID{m, a}},
			"visible":    {store.Filter{Visible: func(k post.AccountKey) bool { return k != ann }}, []post.ID{m, a}},
			"label":      {store.Filter{Label: "launch", Kind: post.Personal}, []post.ID{p}},
			"no label":   {store.Filter{Label: "other"}, nil},
			"author":     {store.Filter{Author: "bob"}, nil},
		} {
			got, err := f.s.ListDeliveries(t.Context(), c.filter)
			f.ok(err)
			var ids []post.ID
			for _, v := range got.Items {
				ids = append(ids, v.Delivery.ID)
			}
			if diff := cmp.Diff(c.want, ids); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		for _, bad := range []string{"x", "!!", strings.Repeat("A", 200)} {
			if _, err := f.s.ListDeliveries(t.Context(), store.Filter{Cursor: bad}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("cursor %q: %v, want ErrNotFound", bad, err)
			}
			if _, err := f.s.ListPosts(t.Context(), store.Filter{Cursor: bad}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("cursor %q: %v, want ErrNotFound", bad, err)
			}
		}
	})
	t.Run("posts come newest first, by page and by filter", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		var want []post.ID
		for i := range 7 {
			n := f.draft(f.now.Add(time.Hour), acme, page)
			n.Post.ExternalID = fmt.Sprintf("e%d", i)
			f.create(n)
			want = append([]post.ID{n.Post.ID}, want...)
		}
		secret := f.draft(f.now.Add(time.Hour), ann)
		f.create(secret)
		filter := store.Filter{Limit: 3, Visible: func(k post.AccountKey) bool { return k.Kind == post.Brand }}
		var got []post.ID
		for {
			p, err := f.s.ListPosts(t.Context(), filter)
			f.ok(err)
			for _, v := range p.Items {
				got = append(got, v.Post.ID)
			}
			if filter.Cursor = p.Next; p.Next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		one := func(name string, filter store.Filter, want int) {
			p, err := f.s.ListPosts(t.Context(), filter)
			f.ok(err)
			if len(p.Items) != want {
				t.Errorf("%s: %d posts, want %d", name, len(p.Items), want)
			}
		}
		one("external id", store.Filter{ExternalID: "e3"}, 1)
		one("scheduled", store.Filter{Summaries: []post.Summary{post.SummaryScheduled}, Now: f.now}, 8)
		one("attention", store.Filter{Summaries: []post.Summary{post.SummaryAttention}, Now: f.now}, 0)
		f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: ann, Hold: post.Hold{Reason: post.HoldPaused}}))
		one("held past its due time", store.Filter{Summaries: []post.Summary{post.SummaryAttention}, Now: f.now.Add(2 * time.Hour)}, 1)
		one("account", store.Filter{Account: &page}, 7)
		one("kind", store.Filter{Kind: post.Personal}, 1)
	})
}

func runAccounts(t *testing.T, b Backend) {
	t.Run("an account that disappears is held, and released when it comes back", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		id := f.schedule(f.now, acme)
		f.sync(accounts()[1:]...)
		f.idle()
		v, err := f.s.AccountByHandle(t.Context(), "acme-x")
		f.ok(err)
		if post.Status(v.Holds, f.now) != post.StatusRemoved {
			t.Errorf("holds: %v", v.Holds)
		}
		f.sound()
		f.sync(accounts()...)
		f.claim(id)
	})
	t.Run("kind, platform and owner never change", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		for name, change := range map[string]func(*post.Account){
			"kind":     func(a *post.Account) { a.Kind = post.Personal },
			"platform": func(a *post.Account) { a.Platform = post.Reddit },
			"owner":    func(a *post.Account) { a.Owner = "other" },
		} {
			err := f.s.SyncAccounts(t.Context(), f.by("crier"), with("acme-x", change))
			if err == nil || !strings.Contains(err.Error(), "acme-x") {
				t.Errorf("%s: %v, want an error that names the account", name, err)
			}
		}
		all, err := f.s.ListAccounts(t.Context())
		f.ok(err)
		if len(all) != 4 || all[0].Account.Handle != "acme-page" {
			t.Errorf("accounts: %v", all)
		}
	})
	t.Run("a change of spacing reaches the lane", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first, second := f.schedule(f.now, acme), f.schedule(f.now, acme)
		w := f.claim(first)
		f.sync(with("acme-x", func(a *post.Account) { a.MinGap = time.Hour })...)
		f.settle(published(w, "1"))
		f.idle()
		f.sync(accounts()...)
		f.claim(second)
		f.sound()
	})
	t.Run("an identity is pinned once", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		f.ok(f.s.PinIdentity(t.Context(), f.by("crier"), acme, "42"))
		f.ok(f.s.PinIdentity(t.Context(), f.by("crier"), acme, "42"))
		if err := f.s.PinIdentity(t.Context(), f.by("crier"), acme, "43"); !errors.Is(err, store.ErrIdentityTaken) {
			t.Errorf("another number: %v", err)
		}
		if err := f.s.PinIdentity(t.Context(), f.by("crier"), ann, "42"); !errors.Is(err, store.ErrIdentityTaken) {
			t.Errorf("another account: %v", err)
		}
		if v, err := f.s.AccountByHandle(t.Context(), "acme-x"); err != nil || v.Pinned != "42" {
			t.Errorf("pinned %q, %v", v.Pinned, err)
		}
	})
	t.Run("tokens change by compare and swap", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		swap := func(old, sealed string) error {
			var was []byte
			if old != "" {
				was = []byte(old)
			}
			return f.s.SwapToken(t.Context(), acme, was, []byte(sealed), "seed")
		}
		f.ok(swap("", "one"))
		if err := swap("", "two"); !errors.Is(err, store.ErrStale) {
			t.Errorf("over a stored one: %v", err)
		}
		f.ok(swap("one", "two"))
		if err := swap("one", "three"); !errors.Is(err, store.ErrStale) {
			t.Errorf("over another one: %v", err)
		}
		f.reopen()
		if sealed, seed, err := f.s.Token(t.Context(), acme); err != nil || string(sealed) != "two" || seed != "seed" {
			t.Errorf("token %q of %q, %v", sealed, seed, err)
		}
	})
}

func (f *fixture) series() store.Series {
	f.t.Helper()
	x, err := f.s.CreateSeries(f.t.Context(), f.by("ann"), store.Series{
		ID: f.id(), Author: "ann", Kind: post.Brand, Accounts: []post.AccountKey{acme}, Cron: "0 9 * * *", TimeZone: "UTC",
		Order: "cycle", Posts: []json.RawMessage{json.RawMessage(`{"text":"hello"}`)},
	})
	f.ok(err)
	return x
}

func (f *fixture) occurrence(x store.Series, key string, at time.Time) store.Occurrence {
	n := f.draft(at, acme)
	n.Post.Series, n.Deliveries[0].Series, n.Deliveries[0].Occurrence = x.ID, x.ID, key
	return store.Occurrence{Key: key, At: at, Post: n}
}

func runSeries(t *testing.T, b Backend) {
	t.Run("an occurrence is made once", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		x := f.series()
		planned := f.now.Add(48 * time.Hour)
		for round, want := range []int{2, 0} {
			o := []store.Occurrence{f.occurrence(x, "1", f.now.Add(time.Hour)), f.occurrence(x, "2", f.now.Add(2*time.Hour))}
			n, err := f.s.Materialize(t.Context(), f.by("crier"), x.ID, x.Revision, planned, 2, o)
			if err != nil || n != want {
				t.Errorf("round %d made %d, %v; want %d", round, n, err, want)
			}
		}
		got, err := f.s.SeriesByID(t.Context(), x.ID)
		f.ok(err)
		if got.Used != 2 || !got.Planned.Equal(planned) {
			t.Errorf("used %d, planned %v", got.Used, got.Planned)
		}
		made, err := f.s.OccurrenceMade(t.Context(), x.ID, "1")
		if err != nil || !made {
			t.Errorf("made: %t, %v", made, err)
		}
		f.sound()
	})
	t.Run("a change, an end and a skip cancel what has not begun", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		x := f.series()
		out, next := f.occurrence(x, "1", f.now), f.occurrence(x, "2", f.now.Add(time.Hour))
		_, err := f.s.Materialize(t.Context(), f.by("crier"), x.ID, x.Revision, f.now, 2, []store.Occurrence{out, next})
		f.ok(err)
		f.claim(out.Post.Deliveries[0].ID)
		x.Cron = "0 10 * * *"
		edited, err := f.s.EditSeries(t.Context(), f.by("ann"), x, x.Version)
		f.ok(err)
		f.state(out.Post.Deliveries[0].ID, post.Sending)
		f.state(next.Post.Deliveries[0].ID, post.Canceled)
		again := []store.Occurrence{f.occurrence(edited, "1", f.now), f.occurrence(edited, "2", f.now.Add(time.Hour))}
		n, err := f.s.Materialize(t.Context(), f.by("crier"), x.ID, edited.Revision, f.now, 3, again)
		if err != nil || n != 1 {
			t.Errorf("after the change %d were made, %v; want the canceled run anew and not the one that was sent", n, err)
		}
		if _, err := f.s.EditSeries(t.Context(), f.by("ann"), x, x.Version); !errors.Is(err, store.ErrStale) {
			t.Errorf("the old version: %v", err)
		}
		if _, err := f.s.Materialize(t.Context(), f.by("crier"), x.ID, x.Revision, f.now, 0, nil); !errors.Is(err, store.ErrStale) {
			t.Errorf("the old revision: %v", err)
		}
		f.ok(f.s.SkipOccurrence(t.Context(), f.by("ann"), x.ID, "r1|3"))
		skipped := f.occurrence(edited, "r1|3", f.now.Add(time.Hour))
		n, err = f.s.Materialize(t.Context(), f.by("crier"), x.ID, edited.Revision, f.now, 3, []store.Occurrence{skipped, f.occurrence(edited, "r1|4", f.now.Add(time.Hour))})
		if err != nil || n != 1 {
			t.Errorf("made %d, %v; want the one that was not left out", n, err)
		}
		edited, err = f.s.SeriesByID(t.Context(), x.ID)
		f.ok(err)
		f.ok(f.s.DeleteSeries(t.Context(), f.by("ann"), x.ID, edited.Version))
		if all, err := f.s.ListSeries(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("series: %v, %v", all, err)
		}
		f.sound()
	})
}

func seesAll(post.AccountKey) bool { return true }

func runMedia(t *testing.T, b Backend) {
	f := open(t, b)
	id := strings.Repeat("ab", 32)
	m := store.Media{Media: post.Media{ID: id, Type: "image/png"}, Uploads: []store.Upload{{By: "ann", At: f.now, Alt: "hers"}}}
	_, err := f.s.PutMedia(t.Context(), f.by("ann"), m)
	f.ok(err)
	m.Uploads = []store.Upload{{By: "bob", At: f.now.Add(time.Hour), Alt: "his"}}
	_, err = f.s.PutMedia(t.Context(), f.by("bob"), m)
	f.ok(err)
	n := f.draft(f.now, acme)
	n.Post.Targets[0].Content.Media = []post.Media{{ID: id, Type: "image/png", Alt: "the post's"}}
	f.create(n)
	f.reopen()
	got, err := f.s.MediaByID(t.Context(), id)
	f.ok(err)
	wantUploads := []store.Upload{{By: "ann", At: f.now, Alt: "hers"}, {By: "bob", At: f.now.Add(time.Hour), Alt: "his"}}
	wantUses := []store.MediaUse{{Account: acme, Since: n.Post.CreatedAt, Alt: "the post's"}}
	if diff := cmp.Diff(wantUploads, got.Uploads) + cmp.Diff(wantUses, got.Uses); diff != "" || got.Alt != "" {
		t.Errorf("media, alt %q (-want +got):\n%s", got.Alt, diff)
	}
	if err := f.s.DeleteMedia(t.Context(), f.by("ann"), id); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it is needed: %v, want ErrInUse", err)
	}
	f.settle(published(f.claim(n.Deliveries[0].ID), "1"))
	for i := range 3 {
		m.ID = strings.Repeat(fmt.Sprint(i), 64)
		f.now = f.now.Add(time.Second)
		_, err = f.s.PutMedia(t.Context(), f.by("ann"), m)
		f.ok(err)
	}
	var ids []string
	cursor := ""
	for {
		items, next, err := f.s.ListMedia(t.Context(), func(m store.Media) bool { return m.ID[0] != '1' }, 2, cursor)
		f.ok(err)
		for _, x := range items {
			ids = append(ids, x.ID[:1])
		}
		if cursor = next; next == "" {
			break
		}
	}
	if !slices.Equal(ids, []string{"2", "0", "a"}) {
		t.Errorf("listed %v", ids)
	}
	for _, who := range []string{"ann", "bob"} {
		gone, err := f.s.WithdrawMedia(t.Context(), f.by(who), id, func(u string) bool { return u == who }, seesAll)
		f.ok(err)
		if got, err := f.s.MediaByID(t.Context(), id); gone != (who == "bob") || gone == (err == nil) || (!gone && (len(got.Uploads) != 1 || got.Uploads[0].By != "bob")) {
			t.Errorf("after %s has withdrawn it: gone %v, %+v, %v", who, gone, got, err)
		}
	}
	_, err = f.s.PutMedia(t.Context(), f.by("ann"), store.Media{Media: post.Media{ID: id, Type: "image/png"}, Uploads: []store.Upload{{By: "ann"}}})
	f.ok(err)
	needed := f.draft(f.now.Add(time.Hour), ann)
	needed.Post.Targets[0].Content.Media = []post.Media{{ID: id, Type: "image/png"}}
	f.create(needed)
	withdraw := func(sees func(post.AccountKey) bool) (bool, error) {
		return f.s.WithdrawMedia(t.Context(), f.by("ann"), id, func(string) bool { return true }, sees)
	}
	if _, err := withdraw(seesAll); !errors.Is(err, store.ErrInUse) {
		t.Errorf("withdrawn with a use that is seen: %v", err)
	}
	if gone, err := withdraw(func(k post.AccountKey) bool { return k.Kind == post.Brand }); gone || err != nil {
		t.Errorf("withdrawn with a use that is not seen: gone %t, %v", gone, err)
	}
	if got, err := f.s.MediaByID(t.Context(), id); err != nil || len(got.Uploads) != 0 || len(got.Uses) == 0 {
		t.Errorf("what stays for others: %+v, %v", got, err)
	}
	if _, err := f.s.CancelPost(t.Context(), f.by("ann"), needed.Post.ID, 0); err != nil {
		t.Fatal(err)
	}
	f.ok(f.s.DeleteMedia(t.Context(), f.by("ann"), id))
	if _, err := f.s.MediaByID(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its end: %v", err)
	}
	f.sound()
}

func runDesk(t *testing.T, b Backend) {
	t.Run("keys are kept", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		k := store.Key{ID: "k1", Person: "ann", Hash: []byte{1, 2}, Scopes: []string{"read"}, CreatedAt: f.now}
		f.ok(f.s.PutKey(t.Context(), f.by("ann"), k))
		f.reopen()
		got, err := f.s.KeyByID(t.Context(), "k1")
		f.ok(err)
		if diff := cmp.Diff(k, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		all, err := f.s.ListKeys(t.Context())
		if err != nil || len(all) != 1 {
			t.Errorf("keys: %v, %v", all, err)
		}
		f.ok(f.s.DeleteKey(t.Context(), f.by("ann"), "k1"))
		if err := f.s.DeleteKey(t.Context(), f.by("ann"), "k1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
	})
	t.Run("pruning keeps the sequence", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme)
		n.Fingerprints[0] = "words"
		f.create(n)
		f.now = f.now.Add(48 * time.Hour)
		f.schedule(f.now, page)
		before, err := f.s.Info(t.Context())
		f.ok(err)
		f.ok(f.s.Prune(t.Context(), f.now, f.now))
		left, err := f.s.Changes(t.Context(), 0, 100)
		f.ok(err)
		if len(left) != 2 || left[1].Seq != before.Sequence {
			t.Errorf("left: %v", left)
		}
		f.sound()
		f.ok(f.s.Prune(t.Context(), f.now, f.now.Add(time.Hour)))
		f.reopen()
		f.schedule(f.now, other)
		after, err := f.s.Info(t.Context())
		f.ok(err)
		if after.Sequence != before.Sequence+2 {
			t.Errorf("sequence %d after %d", after.Sequence, before.Sequence)
		}
	})
	t.Run("a write wakes", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		far := f.now.Add(time.Hour)
		for _, step := range []struct {
			name  string
			do    func()
			wakes bool
		}{
			{"what is due", func() { f.schedule(f.now, acme) }, true},
			{"what is due behind another", func() { f.schedule(far, acme) }, false},
			{"what has to be prepared behind another", func() {
				n := f.draft(far, acme)
				n.Deliveries[0].NeedsPrepare = true
				f.create(n)
			}, true},
			{"a hold", func() {
				f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: acme, Hold: post.Hold{Reason: post.HoldPaused, Since: f.now}}))
			}, false},
			{"its end", func() {
				f.ok(f.s.ReleaseLane(t.Context(), f.by("ann"), store.Release{Account: acme, Late: store.LateApply, Reasons: []post.HoldReason{post.HoldPaused}}))
			}, true},
			{"a stop, which may be shorter than another", func() {
				f.ok(f.s.StopAll(t.Context(), f.by("ann"), store.Stop{Hold: post.Hold{Reason: post.HoldPaused, Since: f.now, Until: f.now.Add(time.Minute)}}))
			}, true},
		} {
			select {
			case <-f.s.Wake():
			default:
			}
			step.do()
			woken := false
			select {
			case <-f.s.Wake():
				woken = true
			default:
			}
			if woken != step.wakes {
				t.Errorf("%s: somebody was woken: %t, want %t", step.name, woken, step.wakes)
			}
		}
		f.ok(f.s.Writable(t.Context()))
	})
}
