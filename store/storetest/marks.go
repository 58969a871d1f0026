package storetest

import (
	"errors"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// runMarks asks what counts as said already once posts are edited and drafts submitted.
func runMarks(t *testing.T, b Backend) {
	saying := func(f *fixture, words string, to ...post.AccountKey) store.NewPost {
		n := f.draft(f.now, to...)
		for i := range n.Fingerprints {
			n.Fingerprints[i] = words
		}
		return n
	}
	refused := func(f *fixture, err error, target int, earlier post.ID) {
		f.t.Helper()
		if dup, ok := errors.AsType[*store.DuplicateError](err); !ok || dup.Target != target || dup.Earlier != earlier {
			f.t.Errorf("got %v, want target %d refused for post %s", err, target, earlier)
		}
	}
	write := func(f *fixture, words string) error {
		_, err := f.s.CreatePost(t.Context(), f.by("ann"), saying(f, words, acme))
		return err
	}
	// edit has the first delivery of a post say other words, and adds targets with their words.
	edit := func(f *fixture, n store.NewPost, before, after string, added ...post.AccountKey) store.Edit {
		d := n.Deliveries[0]
		e := store.Edit{
			Post: n.Post, Changes: map[post.ID]store.DeliveryEdit{d.ID: {Digest: after, Roles: []post.Role{post.RolePost}}},
			Before: map[post.ID]string{d.ID: before}, Fingerprints: map[post.ID]string{d.ID: after},
		}
		for _, k := range added {
			x := d
			x.ID, x.Target, x.Account, x.State, x.Version = f.id(), f.id(), k, post.Scheduled, 0
			e.Added = append(e.Added, x)
			e.Post.Targets = append(e.Post.Targets, post.Target{ID: x.Target, Account: k, Platform: post.Twitter, Delivery: x.ID})
			e.Fingerprints[x.ID] = after
		}
		return e
	}
	t.Run("all that a post would be refused for is listed, and nothing is written", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first := saying(f, "x", acme, page)
		first.Post.ExternalID = "release-1"
		f.create(first)
		before, err := f.s.Info(t.Context())
		f.ok(err)
		n := saying(f, "x", acme, other, page)
		n.Post.ExternalID = "release-1"
		all, err := f.s.Refusals(t.Context(), f.now, n)
		f.ok(err)
		if len(all) != 3 {
			t.Fatalf("refused for %v, want the name and two targets", all)
		}
		if taken, ok := errors.AsType[*store.ExternalIDError](all[0]); !ok || taken.Post != first.Post.ID {
			t.Errorf("got %v, want the name refused", all[0])
		}
		refused(f, all[1], 0, first.Post.ID)
		refused(f, all[2], 2, first.Post.ID)
		n.Post.AllowDuplicate, n.Post.ExternalID = true, "release-2"
		if all, err := f.s.Refusals(t.Context(), f.now, n); err != nil || len(all) != 0 {
			t.Errorf("allowed: %v, %v", all, err)
		}
		if after, err := f.s.Info(t.Context()); err != nil || after.Sequence != before.Sequence {
			t.Errorf("sequence %d after %d, %v", after.Sequence, before.Sequence, err)
		}
	})
	t.Run("an edit frees what was said and takes what is said now", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := saying(f, "x", acme)
		f.create(n)
		_, err := f.s.EditPost(t.Context(), f.by("ann"), edit(f, n, "x", "y"))
		f.ok(err)
		refused(f, write(f, "y"), 0, n.Post.ID)
		f.ok(write(f, "x"))
		f.sound()
	})
	t.Run("an edit repeats nobody", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		first, second := saying(f, "x", acme), saying(f, "y", acme)
		f.create(first)
		f.create(second)
		_, err := f.s.EditPost(t.Context(), f.by("ann"), edit(f, second, "y", "x"))
		refused(f, err, 0, first.Post.ID)
		elsewhere := saying(f, "x", page)
		f.create(elsewhere)
		_, err = f.s.EditPost(t.Context(), f.by("ann"), edit(f, elsewhere, "x", "x", acme))
		refused(f, err, 1, first.Post.ID)
		allowed := edit(f, second, "y", "x")
		allowed.Post.AllowDuplicate = true
		_, err = f.s.EditPost(t.Context(), f.by("ann"), allowed)
		f.ok(err)
		refused(f, write(f, "x"), 0, second.Post.ID)
		f.sound()
	})
	t.Run("an edit that leaves the words as they are repeats nobody", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := saying(f, "x", acme)
		f.create(n)
		twin := saying(f, "x", acme)
		twin.Post.AllowDuplicate = true
		f.create(twin)
		_, err := f.s.EditPost(t.Context(), f.by("ann"), edit(f, n, "x", "x"))
		f.ok(err)
	})
	t.Run("two targets can change their words for each other's", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := saying(f, "x", acme, acme)
		n.Fingerprints[1] = "y"
		f.create(n)
		e := edit(f, n, "x", "y")
		other := n.Deliveries[1].ID
		e.Changes[other] = store.DeliveryEdit{Digest: "x", Roles: []post.Role{post.RolePost}}
		e.Before[other], e.Fingerprints[other] = "y", "x"
		_, err := f.s.EditPost(t.Context(), f.by("ann"), e)
		f.ok(err)
		refused(f, write(f, "x"), 0, n.Post.ID)
		refused(f, write(f, "y"), 0, n.Post.ID)
		f.sound()
	})
	t.Run("what a post has sent is not added to it again, however long ago that was", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := saying(f, "x", acme)
		f.settle(published(f.claim(f.create(n)), "1"))
		f.now = f.now.Add(10 * store.DuplicateWithin)
		e := edit(f, n, "x", "x", acme)
		_, err := f.s.EditPost(t.Context(), f.by("ann"), e)
		refused(f, err, 1, n.Post.ID)
		e = edit(f, n, "x", "x", page)
		_, err = f.s.EditPost(t.Context(), f.by("ann"), e)
		f.ok(err)
		f.state(e.Added[0].ID, post.Scheduled)
		f.sound()
	})
	t.Run("what may be out counts, also when the edit withdraws it", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		n := saying(f, "x", acme)
		w := f.claim(f.create(n))
		f.settle(unknown(w, f.now, f.now))
		resend := again(w, f.now.Add(time.Hour))
		resend.Settled.Absent, resend.Settled.Resend = false, true
		f.settle(resend)
		f.state(n.Deliveries[0].ID, post.Scheduled) // and would look once more before it is sent
		e := edit(f, n, "x", "x", acme)
		e.Dropped, e.Changes = []post.ID{n.Deliveries[0].ID}, nil
		e.Post.Targets = e.Post.Targets[1:]
		_, err := f.s.EditPost(t.Context(), f.by("ann"), e)
		refused(f, err, 0, n.Post.ID)
		f.state(n.Deliveries[0].ID, post.Scheduled)
		f.sound()
	})
	t.Run("a draft counts from when it is submitted", func(t *testing.T) {
		t.Parallel()
		f := open(t, b)
		draft := func() (store.NewPost, store.Submission) {
			n := f.draft(time.Time{}, page, acme)
			n.Post.Draft = true
			x := store.Submission{Post: n.Post.ID, When: map[post.ID]store.When{}, Fingerprints: map[post.ID]string{}}
			for i := range n.Deliveries {
				d := &n.Deliveries[i]
				d.State = post.Draft
				x.When[d.ID], x.Fingerprints[d.ID] = store.When{Due: f.now}, "x"
			}
			return n, x
		}
		n, x := draft()
		f.create(n)
		twin, y := draft()
		f.create(twin)
		f.ok(write(f, "x"))
		_, err := f.s.SubmitPost(t.Context(), f.by("ann"), x)
		if dup, ok := errors.AsType[*store.DuplicateError](err); !ok || dup.Target != 1 {
			t.Errorf("got %v, want the second target refused", err)
		}
		f.state(n.Deliveries[0].ID, post.Draft)
		f.now = f.now.Add(store.DuplicateWithin)
		_, err = f.s.SubmitPost(t.Context(), f.by("ann"), x)
		f.ok(err)
		_, err = f.s.SubmitPost(t.Context(), f.by("ann"), y)
		refused(f, err, 0, n.Post.ID)
		refused(f, write(f, "x"), 0, n.Post.ID)
		f.sound()
	})
}
