package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

func runEdits(t *testing.T, b Backend) {
	t.Run("an edit changes what can be changed and says why the rest stays", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme, page)
		f.create(n)
		f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: page, Hold: post.Hold{Reason: post.HoldPaused}}))
		f.claim(n.Deliveries[0].ID)
		v, err := f.s.PostByID(t.Context(), n.Post.ID)
		f.ok(err)
		edit := store.Edit{Post: v.Post, Version: v.Version, Changes: map[post.ID]store.DeliveryEdit{}}
		edit.Post.Content.Text = "other words"
		edit.Post.Targets = append([]post.Target(nil), v.Post.Targets...)
		moved := store.When{Due: f.now.Add(time.Hour), LocalDue: "later", TimeZone: "UTC"}
		for i, d := range n.Deliveries {
			edit.Post.Targets[i].Content = edit.Post.Content
			edit.Changes[d.ID] = store.DeliveryEdit{Digest: edit.Post.Content.Digest(), Roles: []post.Role{post.RolePost}, When: &moved}
		}
		out, err := f.s.EditPost(t.Context(), f.by("ann"), edit)
		f.ok(err)
		if len(out.Changed) != 1 || out.Changed[0] != n.Deliveries[1].ID || len(out.Kept) != 1 || out.Kept[0].Delivery != n.Deliveries[0].ID {
			t.Errorf("changed %v, kept %v", out.Changed, out.Kept)
		}
		for i, want := range []string{n.Post.Content.Text, "other words"} {
			c, _, err := f.s.Material(t.Context(), &n.Deliveries[i])
			f.ok(err)
			if d := f.view(n.Deliveries[i].ID).Delivery; c.Text != want || d.Digest != c.Digest() {
				t.Errorf("delivery %d says %q, want %q", i, c.Text, want)
			}
		}
		if d := f.view(n.Deliveries[1].ID).Delivery; !d.Due.Equal(moved.Due) || d.LocalDue != "later" {
			t.Errorf("it is due %v (%s)", d.Due, d.LocalDue)
		}
		if _, err := f.s.EditPost(t.Context(), f.by("ann"), edit); !errors.Is(err, store.ErrStale) {
			t.Errorf("the old version: %v, want ErrStale", err)
		}
		f.sound()
	})
	t.Run("targets are added and dropped", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now.Add(time.Hour), acme, page)
		f.create(n)
		v, err := f.s.PostByID(t.Context(), n.Post.ID)
		f.ok(err)
		added := n.Deliveries[0]
		added.ID, added.Target, added.Account = f.id(), f.id(), other
		edit := store.Edit{Post: v.Post, Version: v.Version, Added: []post.Delivery{added}, Dropped: []post.ID{n.Deliveries[1].ID}}
		edit.Post.Targets = []post.Target{v.Post.Targets[0], {
			ID: added.Target, Account: other, Platform: post.Twitter, Content: v.Post.Content, Delivery: added.ID,
		}}
		out, err := f.s.EditPost(t.Context(), f.by("ann"), edit)
		f.ok(err)
		if len(out.View.Deliveries) != 2 || out.View.Version <= v.Version {
			t.Errorf("%d deliveries, version %d after %d", len(out.View.Deliveries), out.View.Version, v.Version)
		}
		f.state(n.Deliveries[1].ID, post.Canceled)
		f.state(added.ID, post.Scheduled)
		f.sound()
	})
	t.Run("nothing changeable is too late", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme)
		f.settle(published(f.claim(f.create(n)), "1"))
		_, err := f.s.EditPost(t.Context(), f.by("ann"), store.Edit{Post: n.Post})
		if !errors.Is(err, post.ErrTooLate) {
			t.Errorf("got %v, want ErrTooLate", err)
		}
	})
	t.Run("a cancellation withdraws what is not out and asks for the rest", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(f.now, acme, page, other)
		f.create(n)
		f.ok(f.s.HoldLane(t.Context(), f.by("ann"), store.HoldOn{Account: other, Hold: post.Hold{Reason: post.HoldPaused}}))
		claims := f.turn().Claims
		byID := map[post.ID]store.Work{claims[0].Delivery.ID: claims[0], claims[1].Delivery.ID: claims[1]}
		f.settle(published(byID[n.Deliveries[0].ID], "1"))
		out, err := f.s.CancelPost(t.Context(), f.by("ann"), n.Post.ID, 0)
		f.ok(err)
		if len(out.Changed) != 2 || len(out.Kept) != 1 || out.Kept[0].Delivery != n.Deliveries[0].ID {
			t.Errorf("changed %v, kept %v", out.Changed, out.Kept)
		}
		f.state(n.Deliveries[2].ID, post.Canceled)
		f.state(n.Deliveries[1].ID, post.Sending)
		f.settle(again(byID[n.Deliveries[1].ID], f.now))
		f.state(n.Deliveries[1].ID, post.Canceled)
		f.sound()
	})
	t.Run("drafts are submitted", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(time.Time{}, acme)
		n.Post.Draft, n.Deliveries[0].State = true, post.Draft
		id := f.create(n)
		f.idle()
		warning := post.Problem{Code: "spacing", Severity: post.SeverityWarning}
		x := store.Submission{
			Post: n.Post.ID, When: map[post.ID]store.When{id: {Due: f.now, LocalDue: "now", TimeZone: "UTC"}},
			Warnings: []post.Problem{warning}, Notes: []string{"a new note"},
		}
		v, err := f.s.SubmitPost(t.Context(), f.by("ann"), x)
		f.ok(err)
		if v.Post.Draft || v.Deliveries[0].Delivery.LocalDue != "now" {
			t.Errorf("submitted: %+v", v)
		}
		if diff := cmp.Diff([]any{x.Warnings, x.Notes}, []any{v.Post.Warnings, v.Post.Notes}); diff != "" {
			t.Errorf("warnings and notes (-want +got):\n%s", diff)
		}
		f.claim(id)
		if _, err := f.s.SubmitPost(t.Context(), f.by("ann"), x); !errors.Is(err, post.ErrTransition) {
			t.Errorf("again: %v, want ErrTransition", err)
		}
		f.sound()
	})
	t.Run("what has changed since it was read is neither submitted nor canceled", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := f.draft(time.Time{}, acme)
		n.Post.Draft, n.Deliveries[0].State = true, post.Draft
		id := f.create(n)
		v, err := f.s.PostByID(t.Context(), n.Post.ID)
		f.ok(err)
		edit := store.Edit{Post: v.Post, Version: v.Version, Changes: map[post.ID]store.DeliveryEdit{
			id: {Digest: "other", Roles: []post.Role{post.RolePost}},
		}}
		changed, err := f.s.EditPost(t.Context(), f.by("ann"), edit)
		f.ok(err)
		x := store.Submission{Post: n.Post.ID, Version: v.Version, When: map[post.ID]store.When{id: {Due: f.now}}}
		if _, err := f.s.SubmitPost(t.Context(), f.by("ann"), x); !errors.Is(err, store.ErrStale) {
			t.Errorf("submit: %v, want ErrStale", err)
		}
		if _, err := f.s.CancelPost(t.Context(), f.by("ann"), n.Post.ID, v.Version); !errors.Is(err, store.ErrStale) {
			t.Errorf("cancel: %v, want ErrStale", err)
		}
		f.state(id, post.Draft)
		x.Version = changed.View.Version
		submitted, err := f.s.SubmitPost(t.Context(), f.by("ann"), x)
		f.ok(err)
		_, err = f.s.CancelPost(t.Context(), f.by("ann"), n.Post.ID, submitted.Version)
		f.ok(err)
		f.sound()
	})
	t.Run("a draft without a target is seen by whom it is shown to, gets its kind with its first target, and can be withdrawn", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		idea := func(external string) post.Post {
			return post.Post{
				ID: f.id(), Author: "ann", CreatedAt: f.now, Kind: post.Personal, Owner: "ann", Draft: true, ExternalID: external,
				Content: post.Content{Text: "an idea"},
			}
		}
		p := idea("idea")
		made, err := f.s.CreatePost(t.Context(), f.by("ann"), store.NewPost{Post: p})
		f.ok(err)
		all := func(post.AccountKey) bool { return true }
		hers := func(p *post.Post) bool { return p.Author == "ann" }
		for want, filter := range map[int][]store.Filter{
			0: {{Visible: all}, {Visible: all, ExternalID: "idea"}, {Visible: all, Unplaced: func(*post.Post) bool { return false }}},
			1: {{Visible: all, Unplaced: hers}, {}, {ExternalID: "idea"}, {Summaries: []post.Summary{post.SummaryDraft}}},
		} {
			for _, x := range filter {
				if page, err := f.s.ListPosts(t.Context(), x); err != nil || len(page.Items) != want {
					t.Errorf("listed %d, %v; want %d by %+v", len(page.Items), err, want, x)
				}
			}
		}
		edit := store.Edit{Post: p, Version: made.Version}
		edit.Post.Content.Text = "a better idea"
		out, err := f.s.EditPost(t.Context(), f.by("ann"), edit)
		f.ok(err)
		n := f.draft(time.Time{}, acme)
		n.Post.ExternalID = "taken"
		f.create(n)
		d := f.draft(time.Time{}, acme).Deliveries[0]
		d.Post, d.State = p.ID, post.Draft
		edit = store.Edit{Post: p, Version: out.View.Version, Added: []post.Delivery{d}}
		edit.Post.Kind, edit.Post.Owner = post.Brand, ""
		edit.Post.Targets = []post.Target{{ID: d.Target, Account: acme, Platform: post.Twitter, Delivery: d.ID}}
		out, err = f.s.EditPost(t.Context(), f.by("ann"), edit)
		f.ok(err)
		if out.View.Post.Kind != post.Brand || out.View.Post.Owner != "" {
			t.Errorf("with a target it is %s of %q", out.View.Post.Kind, out.View.Post.Owner)
		}
		again := f.draft(f.now, acme)
		again.Post.ExternalID = "idea"
		_, err = f.s.CreatePost(t.Context(), f.by("ann"), again)
		if taken, ok := errors.AsType[*store.ExternalIDError](err); !ok || taken.Post != p.ID {
			t.Errorf("its name among the brand's: %v", err)
		}
		second := idea("idea")
		_, err = f.s.CreatePost(t.Context(), f.by("ann"), store.NewPost{Post: second})
		f.ok(err)
		_, err = f.s.CancelPost(t.Context(), f.by("ann"), second.ID, 0)
		f.ok(err)
		v, err := f.s.PostByID(t.Context(), second.ID)
		f.ok(err)
		if v.Post.Draft {
			t.Error("what was withdrawn is a draft still")
		}
		if _, err := f.s.EditPost(t.Context(), f.by("ann"), store.Edit{Post: second}); !errors.Is(err, post.ErrTooLate) {
			t.Errorf("edit of a withdrawn one: %v, want ErrTooLate", err)
		}
		clash := idea("taken")
		_, err = f.s.CreatePost(t.Context(), f.by("ann"), store.NewPost{Post: clash})
		f.ok(err)
		edit = store.Edit{Post: clash}
		edit.Post.Kind, edit.Post.Owner = post.Brand, ""
		_, err = f.s.EditPost(t.Context(), f.by("ann"), edit)
		if taken, ok := errors.AsType[*store.ExternalIDError](err); !ok || taken.Post != n.Post.ID {
			t.Errorf("a name that the brand has: %v", err)
		}
		f.sound()
	})
}

// runMatrix tries every change of state that the table does not have.
func runMatrix(t *testing.T, b Backend) {
	methods := map[string]func(now time.Time) func(*post.Delivery) error{
		"cancel": func(time.Time) func(*post.Delivery) error { return (*post.Delivery).Cancel },
		"retry": func(now time.Time) func(*post.Delivery) error {
			return func(d *post.Delivery) error { return d.Retry(now) }
		},
		"reschedule": func(now time.Time) func(*post.Delivery) error {
			return func(d *post.Delivery) error { return d.Reschedule(now) }
		},
		"submit": func(now time.Time) func(*post.Delivery) error {
			return func(d *post.Delivery) error { return d.Submit(now) }
		},
		"accept": func(time.Time) func(*post.Delivery) error { return (*post.Delivery).Accept },
		"begin": func(now time.Time) func(*post.Delivery) error {
			return func(d *post.Delivery) error { return d.Begin(now) }
		},
		"hand over": func(time.Time) func(*post.Delivery) error { return (*post.Delivery).HandOver },
		"miss": func(time.Time) func(*post.Delivery) error {
			return func(d *post.Delivery) error { return d.Miss("late", "late") }
		},
		"resolve": func(now time.Time) func(*post.Delivery) error {
			return func(d *post.Delivery) error { return d.Resolve(post.Verdict{Cancel: true}, now) }
		},
	}
	for _, state := range post.States() {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			for name, method := range methods {
				f := open(t, b)
				id := f.reach(state)
				before := f.view(id).Delivery
				want := before
				want.Parts = append([]post.Part(nil), before.Parts...)
				wantErr := method(f.now)(&want)
				if name == "begin" {
					wantErr = post.ErrTransition // only a turn begins
				}
				_, err := f.s.ChangeDelivery(t.Context(), f.by("ann"), id, 0, "delivery.changed", method(f.now))
				got := f.view(id).Delivery
				switch {
				case (err == nil) != (wantErr == nil):
					t.Errorf("%s: %v, want %v", name, err, wantErr)
				case err != nil:
					if diff := cmp.Diff(before, got); diff != "" {
						t.Errorf("%s was refused and changed it all the same:\n%s", name, diff)
					}
				case got.State != want.State || !got.Due.Equal(want.Due):
					t.Errorf("%s: %s due %v, want %s due %v", name, got.State, got.Due, want.State, want.Due)
				}
				f.sound()
			}
		})
	}
}

// reach brings a new delivery into a state.
func (f *fixture) reach(state post.State) post.ID {
	f.t.Helper()
	n := f.draft(f.now, acme)
	if state == post.Draft || state == post.InReview {
		n.Deliveries[0].State = state
	}
	if state == post.Partial || state == post.Removed {
		n.Deliveries[0].Parts = append(n.Deliveries[0].Parts, post.Part{Role: post.RoleReply, State: post.PartWaiting})
	}
	id := f.create(n)
	change := func(method func(*post.Delivery) error) {
		_, err := f.s.ChangeDelivery(f.t.Context(), f.by("ann"), id, 0, "delivery.changed", method)
		f.ok(err)
	}
	switch state {
	case post.Draft, post.InReview, post.Scheduled:
	case post.Sending:
		f.claim(id)
	case post.Published:
		f.settle(published(f.claim(id), "r"))
	case post.Partial, post.Removed:
		out := f.settle(published(f.claim(id), "r"))
		f.settle(failed(out.Claims[0]))
		if state == post.Removed {
			change(func(d *post.Delivery) error { d.State = post.Removed; return nil }) // no method takes down yet
		}
	case post.Failed:
		f.settle(failed(f.claim(id)))
	case post.Unconfirmed:
		f.settle(unknown(f.claim(id), f.now, f.now.Add(time.Minute)))
	case post.Missed:
		change(func(d *post.Delivery) error { return d.Miss("late", "late") })
	case post.AwaitingPerson:
		change((*post.Delivery).HandOver)
	case post.Canceled:
		change((*post.Delivery).Cancel)
	}
	f.state(id, state)
	return id
}
