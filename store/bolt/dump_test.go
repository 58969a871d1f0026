package bolt_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

// everything is all that readers get out of a store.
type everything struct {
	Posts      []store.PostView
	Deliveries []store.DeliveryView
	Handles    []post.Handle
	Changes    []post.Change
	Accounts   []store.AccountView
	Series     []store.Series
	Media      []store.Media
	Stops      []store.Stop
	Counts     store.Counts
}

// dumpAll reads a whole store through its public methods.
func dumpAll(t *testing.T, s store.Store) (all everything) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for cursor := ""; ; {
		page, err := s.ListPosts(t.Context(), store.Filter{Now: now, Limit: 100, Cursor: cursor})
		must(err)
		all.Posts = append(all.Posts, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for _, p := range all.Posts {
		for _, d := range p.Deliveries {
			full, err := s.DeliveryByID(t.Context(), d.Delivery.ID)
			must(err)
			all.Deliveries = append(all.Deliveries, full)
			_, handles, err := s.Material(t.Context(), &d.Delivery)
			must(err)
			all.Handles = append(all.Handles, handles...)
		}
	}
	var err error
	all.Changes, err = s.Changes(t.Context(), 0, 10_000)
	must(err)
	// What the history of a post holds is what the changes say of it.
	for _, p := range all.Posts {
		want := slices.DeleteFunc(slices.Clone(all.Changes), func(c post.Change) bool { return c.Post != p.Post.ID })
		got, err := s.History(t.Context(), p.Post.ID)
		must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history of post %s (-changes +history):\n%s", p.Post.ID, diff)
		}
	}
	all.Accounts, err = s.ListAccounts(t.Context())
	must(err)
	all.Series, err = s.ListSeries(t.Context())
	must(err)
	all.Media, _, err = s.ListMedia(t.Context(), nil, 100, "")
	must(err)
	all.Stops, err = s.Stops(t.Context())
	must(err)
	all.Counts, err = s.Counts(t.Context())
	must(err)
	slices.Reverse(all.Posts)
	return all
}
