package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// The room of the posts: writing many, withdrawing and submitting whole ones, and every list.

func (m *model) postSteps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create many":     m.createMany,
		"cancel post":     m.cancelPost,
		"submit post":     m.submitPost,
		"say again":       m.sayAgain,
		"idea":            m.idea,
		"place":           m.place,
		"list posts":      m.listPosts,
		"list deliveries": m.listDeliveries,
		"read one":        m.readOne,
	}
}

// createMany writes a few posts under external ids; the first that is taken ends it.
func (m *model) createMany(rt *rapid.T) {
	var many []store.NewPost
	want, told := 0, post.ID{}
	for range rapid.IntRange(1, 4).Draw(rt, "posts") {
		n := m.f.draft(m.now.Add(time.Hour), rapid.SampledFrom(m.keys()).Draw(rt, "account"))
		n.Post.ExternalID = fmt.Sprint("e", rapid.IntRange(0, 20).Draw(rt, "external id"))
		many = append(many, n)
		name := n.Post.ExternalID + "|" + string(n.Post.Kind) // each kind has names of its own
		earlier, taken := m.external[name]
		switch {
		case !told.IsZero():
		case taken:
			told = earlier
		default:
			m.external[name] = n.Post.ID
			want++
		}
	}
	got, err := m.f.s.CreatePosts(m.t.Context(), m.write(), many)
	taken, refused := errors.AsType[*store.ExternalIDError](err)
	if got != want || refused == told.IsZero() || (refused && taken.Post != told) || (!refused && err != nil) {
		rt.Fatalf("wrote %d, %v; the model says %d, then %s", got, err, want, told)
	}
	for i := range many[:want] {
		v, err := m.f.s.PostByID(m.t.Context(), many[i].Post.ID)
		m.ok(rt, err)
		m.posts[many[i].Post.ID] = v.Post
		m.deliveries[many[i].Deliveries[0].ID] = duplicate(&many[i].Deliveries[0])
	}
	for i := range many[want:] {
		if _, err := m.f.s.PostByID(m.t.Context(), many[want+i].Post.ID); !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("a post behind the refused one: %v", err)
		}
	}
}

func (m *model) cancelPost(rt *rapid.T) {
	id := m.any(rt).Post
	version, stale := m.version(rt, id)
	_, err := m.f.s.CancelPost(m.t.Context(), m.write(), id, version)
	if stale {
		if !errors.Is(err, store.ErrStale) {
			rt.Fatalf("cancel an older version: %v", err)
		}
		return
	}
	for _, d := range m.deliveries {
		if d.Post != id {
			continue
		}
		after := duplicate(d)
		if after.Cancel() != nil {
			continue
		}
		if err != nil && d.State != post.Canceled {
			rt.Fatalf("cancel a %s one: %v", d.State, err)
		}
		*d = *after
	}
	m.refresh(rt, id)
}

func (m *model) submitPost(rt *rapid.T) {
	d := m.any(rt)
	when := store.When{Due: m.now.Add(time.Duration(rapid.IntRange(-1, 10).Draw(rt, "due")) * time.Minute), LocalDue: "2026-12-02T10:00", TimeZone: "UTC"}
	after := duplicate(d)
	want := after.Submit(when.Due)
	words := m.words(rt)
	version, stale := m.version(rt, d.Post)
	_, err := m.f.s.SubmitPost(m.t.Context(), m.write(), store.Submission{
		Post: d.Post, Version: version, When: map[post.ID]store.When{d.ID: when}, Fingerprints: map[post.ID]string{d.ID: words},
	})
	switch {
	case stale:
		if !errors.Is(err, store.ErrStale) {
			rt.Fatalf("submit an older version: %v", err)
		}
		return
	case want == nil:
		if m.repeats(rt, err, d.Account, words, m.posts[d.Post].AllowDuplicate) {
			return
		}
		m.mark(d.ID, words)
	}
	if (want == nil) != (err == nil) {
		rt.Fatalf("submit a %s one: %v, the model says %v", d.State, err, want)
	}
	if want == nil {
		after.LocalDue, after.TimeZone = when.LocalDue, when.TimeZone
		*d = *after
	}
	m.refresh(rt, d.Post)
}

// modelMark is what a delivery was last written to say, and when.
type modelMark struct {
	words string
	at    time.Time
}

// words draws what a post says: few words, so that they come again.
func (m *model) words(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "words")
}

func (m *model) mark(id post.ID, words string) {
	delete(m.marks, id)
	if words != "" {
		m.marks[id] = modelMark{words: words, at: m.now}
	}
}

// repeats reports whether words are said already on the account, and makes sure that the store says so too, naming one
// of the posts that say them.
func (m *model) repeats(rt *rapid.T, err error, k post.AccountKey, words string, allowed bool) bool {
	earlier := map[post.ID]bool{}
	for id, x := range m.marks {
		d := m.deliveries[id]
		if words == "" || allowed || d.Account != k || x.words != words || !m.now.Before(post.Instant(x.at).Add(store.DuplicateWithin)) {
			continue
		}
		if d.State != post.Canceled && d.State != post.Failed && d.State != post.Missed {
			earlier[d.Post] = true
		}
	}
	dup, refused := errors.AsType[*store.DuplicateError](err)
	switch {
	case len(earlier) == 0:
		m.ok(rt, err)
	case !refused || !earlier[dup.Earlier]:
		rt.Fatalf("said by %v already: %v", earlier, err)
	}
	return len(earlier) > 0
}

// version draws a version of a post: any, the current one or an older one.
func (m *model) version(rt *rapid.T, id post.ID) (version uint64, stale bool) {
	v, err := m.f.s.PostByID(m.t.Context(), id)
	m.ok(rt, err)
	switch rapid.IntRange(0, 3).Draw(rt, "version") {
	case 0:
		return 0, false
	case 1:
		return v.Version - 1, true
	}
	return v.Version, false
}

// sayAgain writes words for an account that has said something already.
func (m *model) sayAgain(rt *rapid.T) {
	if len(m.marks) == 0 {
		rt.Skip("nothing was said")
	}
	ids := slices.SortedFunc(maps.Keys(m.marks), func(a, b post.ID) int { return slices.Compare(a[:], b[:]) })
	n := m.f.draft(m.now.Add(time.Hour), m.deliveries[rapid.SampledFrom(ids).Draw(rt, "said")].Account)
	d := &n.Deliveries[0]
	n.Fingerprints[0] = m.words(rt)
	v, err := m.f.s.CreatePost(m.t.Context(), m.write(), n)
	if m.repeats(rt, err, d.Account, n.Fingerprints[0], false) {
		return
	}
	m.mark(d.ID, n.Fingerprints[0])
	m.posts[n.Post.ID], m.deliveries[d.ID] = v.Post, duplicate(d)
}

// idea writes a draft without a target.
func (m *model) idea(rt *rapid.T) {
	v, err := m.f.s.CreatePost(m.t.Context(), m.write(), store.NewPost{Post: post.Post{
		ID: m.f.id(), Author: "ann", CreatedAt: m.now, Kind: post.Personal, Owner: "ann", Draft: true,
		Content: post.Content{Text: "an idea"},
	}})
	m.ok(rt, err)
	m.posts[v.Post.ID] = v.Post
}

// place gives an idea its first target, or withdraws it.
func (m *model) place(rt *rapid.T) {
	var ids []post.ID
	for id, p := range m.posts {
		if p.Unplaced() {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		rt.Skip("there is no idea")
	}
	slices.SortFunc(ids, func(a, b post.ID) int { return slices.Compare(a[:], b[:]) })
	p := m.posts[rapid.SampledFrom(ids).Draw(rt, "idea")]
	if rapid.IntRange(0, 3).Draw(rt, "withdraw") == 0 {
		_, err := m.f.s.CancelPost(m.t.Context(), m.write(), p.ID, 0)
		m.ok(rt, err)
		m.refresh(rt, p.ID)
		if m.posts[p.ID].Draft {
			rt.Fatalf("post %s was withdrawn and is a draft still", p.ID)
		}
		return
	}
	d := m.f.draft(time.Time{}, rapid.SampledFrom(m.keys()).Draw(rt, "account")).Deliveries[0]
	d.Post, d.State, d.Digest = p.ID, post.Draft, p.Content.Digest()
	p.Kind, p.Owner = d.Account.Kind, ""
	p.Targets = []post.Target{{ID: d.Target, Account: d.Account, Platform: d.Platform, Content: p.Content, Delivery: d.ID}}
	v, err := m.f.s.EditPost(m.t.Context(), m.write(), store.Edit{Post: p, Added: []post.Delivery{d}})
	m.ok(rt, err)
	if v.View.Post.Kind != p.Kind || v.View.Post.Owner != p.Owner {
		rt.Fatalf("placed on %s it is %s of %q", d.Account, v.View.Post.Kind, v.View.Post.Owner)
	}
	m.posts[p.ID], m.deliveries[d.ID] = v.View.Post, duplicate(&d)
}

// refresh takes over what only the store counts: the version of a post.
func (m *model) refresh(rt *rapid.T, id post.ID) {
	v, err := m.f.s.PostByID(m.t.Context(), id)
	m.ok(rt, err)
	m.posts[id] = v.Post
}

func (m *model) listPosts(rt *rapid.T) {
	filter := store.Filter{Now: m.now, Limit: rapid.IntRange(1, 5).Draw(rt, "limit")}
	if rapid.Bool().Draw(rt, "of one account") {
		k := rapid.SampledFrom(m.keys()).Draw(rt, "account")
		filter.Account = &k
	}
	var want, got []post.ID
	for id, p := range m.posts {
		if filter.Account == nil || slices.ContainsFunc(p.Targets, func(t post.Target) bool { return t.Account == *filter.Account }) {
			want = append(want, id)
		}
	}
	slices.SortFunc(want, func(a, b post.ID) int { return slices.Compare(b[:], a[:]) }) // ids rise with time
	for {
		page, err := m.f.s.ListPosts(m.t.Context(), filter)
		m.ok(rt, err)
		for _, v := range page.Items {
			got = append(got, v.Post.ID)
		}
		if filter.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("posts (-model +store):\n%s", diff)
	}
}

func (m *model) listDeliveries(rt *rapid.T) {
	filter := store.Filter{Limit: rapid.IntRange(1, 5).Draw(rt, "limit")}
	if rapid.Bool().Draw(rt, "of one kind") {
		filter.Kind = rapid.SampledFrom(post.Kinds()).Draw(rt, "kind")
	}
	for _, s := range post.States() {
		if rapid.IntRange(0, 4).Draw(rt, string(s)) == 0 {
			filter.States = append(filter.States, s)
		}
	}
	if rapid.Bool().Draw(rt, "from") {
		filter.From = m.now
	}
	if rapid.Bool().Draw(rt, "to") {
		filter.To = m.now.Add(5 * time.Minute)
	}
	var want, got []post.ID
	for id, d := range m.deliveries {
		switch {
		case filter.Kind != "" && d.Account.Kind != filter.Kind:
		case len(filter.States) > 0 && !slices.Contains(filter.States, d.State):
		case !filter.From.IsZero() && d.Due.Before(filter.From), !filter.To.IsZero() && !d.Due.Before(filter.To):
		default:
			want = append(want, id)
		}
	}
	for {
		page, err := m.f.s.ListDeliveries(m.t.Context(), filter)
		m.ok(rt, err)
		for _, v := range page.Items {
			if n := len(got); n > 0 && v.Delivery.Due.Before(m.deliveries[got[n-1]].Due) {
				rt.Fatalf("%s is out of order", v.Delivery.ID)
			}
			got = append(got, v.Delivery.ID)
		}
		if filter.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	byID := func(a, b post.ID) int { return slices.Compare(a[:], b[:]) }
	slices.SortFunc(want, byID)
	slices.SortFunc(got, byID)
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("deliveries of %+v (-model +store):\n%s", filter, diff)
	}
}

func (m *model) readOne(rt *rapid.T) {
	d := m.any(rt)
	c, _, err := m.f.s.Material(m.t.Context(), d)
	m.ok(rt, err)
	if diff := cmp.Diff(m.posts[d.Post].Targets[m.targetOf(d)].Content, c); diff != "" {
		rt.Fatalf("content (-model +store):\n%s", diff)
	}
	changes, err := m.f.s.History(m.t.Context(), d.Post)
	m.ok(rt, err)
	for i, c := range changes {
		if c.Post != d.Post || (i > 0 && c.Seq <= changes[i-1].Seq) {
			rt.Fatalf("history: %+v", changes)
		}
	}
}
