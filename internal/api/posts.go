package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"crier/internal/civil"
	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/team"
	"crier/store"
)

// env is what a request of this asker is composed in.
func (c *call) env(ctx context.Context, s *sight, r *compose.Request) (compose.Env, error) {
	files, err := c.visibleMedia(ctx, s, r.MediaIDs())
	if err != nil {
		return compose.Env{}, err
	}
	return compose.Env{
		Now: c.at, NewID: c.NewID, Author: c.who.Person, Zones: &c.zones,
		Outlet: func(handle string) (compose.Outlet, bool) {
			v, ok := s.byHandle(handle)
			if !ok {
				return compose.Outlet{}, false
			}
			o, ok := c.Outlets[handle]
			if !ok || o.Account.Key() != v.Account.Key() {
				return compose.Outlet{}, false
			}
			return o.compose(s.holdsOf(v.Account.Key(), v.Holds)), true
		},
		Media: func(id string) (post.Media, bool) {
			m, ok := files[id]
			return m, ok
		},
	}, nil
}

// spacing makes the function that tells when an account's gap lets a delivery go.
func (c *call) spacing(ctx context.Context) func(post.Account, time.Time) time.Time {
	return func(a post.Account, due time.Time) time.Time {
		free, err := c.Store.FreeAt(ctx, c.at, a.Key(), due)
		if err != nil || a.MinGap <= 0 {
			return due // a warning less; what is sent when does not hang on it
		}
		return free
	}
}

// allowed refuses a composed post that the asker may not make: hidden accounts first, so that nothing else is learnt
// about them, then rights, then problems.
func (c *call) allowed(s *sight, made *compose.Composed, draft bool) error {
	if made.Hidden() {
		return noAccount(slices.DeleteFunc(slices.Clone(made.Problems), func(p post.Problem) bool {
			return p.Code != compose.CodeAccountNotFound
		}))
	}
	if !draft && !c.who.Has(team.PostsWrite) {
		return forbidden("this key lacks the scope " + string(team.PostsWrite) + ": it may write drafts")
	}
	for _, place := range made.Places {
		if err := s.may(s.dir.Schedule, place.Account.Key()); err != nil {
			return err
		}
	}
	if made.Refused() {
		return refused(made.Problems)
	}
	if made.New.Post.Unplaced() && !s.keepsDrafts() {
		return forbidden("this key reaches some accounts only: a draft that it writes needs a target")
	}
	return nil
}

func (c *call) createPost(ctx context.Context) (*answer, error) {
	var r compose.Request
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	s, err := c.lookFor(ctx, &r)
	if err != nil {
		return nil, err
	}
	if err := c.mayFetch(s, &r); err != nil {
		return nil, err
	}
	if err := c.fetchMedia(ctx, &r); err != nil {
		return nil, err
	}
	env, err := c.env(ctx, s, &r)
	if err != nil {
		return nil, err
	}
	env.Free = c.spacing(ctx)
	made := compose.Compose(env, r)
	if err := c.allowed(s, &made, r.Draft); err != nil {
		return nil, err
	}
	wait := preferWait(c.r.Header)
	news, stop := c.Hub.Watch(made.New.Post.ID)
	defer stop()
	created, err := c.Store.CreatePost(ctx, c.write(func(result any) *answer {
		v, _ := result.(store.PostView)
		return s.answerPost(http.StatusCreated, &v)
	}), made.New)
	if err != nil {
		return nil, fmt.Errorf("writing the post: %w", err)
	}
	if wait == 0 || r.At != "now" || r.Draft || !c.mayWait() {
		return s.answerPost(http.StatusCreated, &created), nil
	}
	defer c.waited()
	view := created
	err = c.slowly(ctx, func() error { view = c.settle(ctx, view, news, wait); return nil })
	if err != nil {
		return s.answerPost(http.StatusCreated, &created), nil // it is on disk, which is what the client must know
	}
	after, err := c.look(ctx) // somebody may have added a target meanwhile, even one that the asker does not see
	if err != nil || after.post(&view.Post) != nil {
		return s.answerPost(http.StatusCreated, &created), nil
	}
	after.now = c.now()
	out := after.answerPost(http.StatusCreated, &view)
	out.applied = fmt.Sprintf("wait=%d", int(wait.Seconds()))
	return out, nil
}

// mayFetch refuses a request that could not be granted anyway before anything is fetched for it.
func (c *call) mayFetch(s *sight, r *compose.Request) error {
	if !slices.ContainsFunc(r.MediaRefs(), func(ref *compose.MediaRef) bool { return ref.URL != "" }) {
		return nil
	}
	for i, t := range r.Targets {
		v, ok := s.byHandle(t.Account)
		if !ok {
			return noAccount([]post.Problem{unknownAccount(fmt.Sprintf("targets[%d].account", i))})
		}
		if err := s.may(s.dir.Schedule, v.Account.Key()); err != nil {
			return err
		}
	}
	return nil
}

func unknownAccount(location string) post.Problem {
	return post.Problem{
		Location: location, Code: compose.CodeAccountNotFound, Severity: post.SeverityError, Message: "there is no such account",
	}
}

// noAccount is the 404 of a request that names accounts which are not there for the asker.
func noAccount(all []post.Problem) *Problem {
	p := problem(http.StatusNotFound, compose.CodeAccountNotFound, "there is no such account")
	p.Errors = issues(all)
	return p
}

// fetchMedia gets the files that a request gives as addresses, each once, and names them by their content.
func (c *call) fetchMedia(ctx context.Context, r *compose.Request) error {
	got := map[string]string{}
	for _, ref := range r.MediaRefs() {
		if ref.URL == "" {
			continue
		}
		if ref.ID != "" {
			return invalid(r.Where(ref), "invalid_type", "a file is named by its id or by an address, not by both")
		}
		id, ok := got[ref.URL]
		if !ok {
			if len(got) == maxFetches {
				return invalid("media", "media_count", fmt.Sprintf("a request has at most %d files fetched", maxFetches))
			}
			alt := ""
			if ref.Alt != nil {
				alt = *ref.Alt
			}
			m, err := c.fetch(ctx, ref.URL, alt)
			if err != nil {
				return fileAt(r.Where(ref)+".url", err)
			}
			if m, err = c.remember(ctx, c.effect(), m); err != nil {
				return err
			}
			id = m.ID
			got[ref.URL] = id
		}
		ref.ID, ref.URL = id, ""
	}
	return nil
}

// maxFetches bounds the files that one request has fetched.
const maxFetches = 20

// postQuery selects posts.
type postQuery struct {
	State      string `query:"state" doc:"One state of posts, or several with commas."`
	Account    string `query:"account" doc:"The handle of an account."`
	Kind       string `query:"kind" doc:"brand or personal."`
	Label      string `query:"label"`
	Author     string `query:"author" doc:"The handle of a person."`
	ExternalID string `query:"external_id"`
	From       string `query:"from" doc:"Due at or after, RFC 3339."`
	To         string `query:"to" doc:"Due before, RFC 3339."`
	Limit      int    `query:"limit" doc:"1 to 500, 100 by default."`
	Cursor     string `query:"cursor" doc:"As the page before gave it."`
}

// filter reads what lists of posts and deliveries have in common.
func (q *postQuery) filter(s *sight) (store.Filter, error) {
	f := store.Filter{
		Visible: s.sees, Unplaced: s.unplaced, Kind: post.Kind(q.Kind), Label: q.Label, Author: q.Author, ExternalID: q.ExternalID,
		Now: s.now, Cursor: q.Cursor,
	}
	var err error
	if f.Limit, err = limitOf(q.Limit); err != nil {
		return f, err
	}
	if q.Kind != "" && !f.Kind.Valid() {
		return f, invalid("query.kind", "invalid_parameter", "wanted: brand or personal")
	}
	if q.Account != "" {
		v, ok := s.byHandle(q.Account)
		if !ok {
			return f, notFound("account")
		}
		key := v.Account.Key()
		f.Account = &key
	}
	if f.From, err = instantOf(q.From, "query.from"); err != nil {
		return f, err
	}
	f.To, err = instantOf(q.To, "query.to")
	return f, err
}

func limitOf(n int) (int, error) {
	switch {
	case n == 0:
		return 100, nil
	case n < 0 || n > 500:
		return 0, invalid("query.limit", "invalid_parameter", "wanted: 1 to 500")
	}
	return n, nil
}

func instantOf(s, location string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := civil.ParseInstant(s)
	if err != nil {
		return time.Time{}, invalid(location, civil.CodeTimeInvalid, "wanted: an RFC 3339 time with an offset")
	}
	return t, nil
}

// cursorError tells a damaged cursor from something that is not there.
func cursorError(err error, cursor string) error {
	if cursor != "" && errors.Is(err, store.ErrNotFound) {
		return invalid("query.cursor", "invalid_parameter", "the cursor is none of this list")
	}
	return err
}

func (c *call) listPosts(ctx context.Context) (*answer, error) {
	q, _ := c.query.(*postQuery)
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	f, err := q.filter(s)
	if err != nil {
		return nil, err
	}
	if f.Summaries, err = words(q.State, "query.state", post.Summaries()); err != nil {
		return nil, err
	}
	page, err := c.Store.ListPosts(ctx, f)
	if err != nil {
		return nil, cursorError(err, q.Cursor)
	}
	out := Page[Post]{Items: make([]Post, 0, len(page.Items)), NextCursor: textOr(page.Next)}
	for i := range page.Items {
		out.Items = append(out.Items, s.view(&page.Items[i]))
	}
	return &answer{body: out, next: page.Next}, nil
}

// seenPost reads a post that is there for the asker.
func (c *call) seenPost(ctx context.Context) (*sight, store.PostView, error) {
	id, err := c.pathID("post")
	if err != nil {
		return nil, store.PostView{}, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, store.PostView{}, err
	}
	v, err := c.Store.PostByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, v, notFound("post")
	}
	if err != nil {
		return nil, v, fmt.Errorf("reading the post: %w", err)
	}
	return s, v, s.post(&v.Post)
}

func (c *call) getPost(ctx context.Context) (*answer, error) {
	s, v, err := c.seenPost(ctx)
	if err != nil {
		return nil, err
	}
	return s.answerPost(0, &v), nil
}

func (c *call) history(ctx context.Context) (*answer, error) {
	_, v, err := c.seenPost(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.Store.History(ctx, v.Post.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	changes := make([]Change, 0, len(all))
	for _, x := range all {
		changes = append(changes, Change{
			Seq: x.Seq, At: stamp(x.At), Actor: x.Actor, Type: x.Type, Delivery: idOr(x.Delivery),
			From: textOr(string(x.From)), To: textOr(string(x.To)), Detail: x.Detail,
		})
	}
	return paged(c, changes, func(x *Change) string { return fmt.Sprintf("%020d", x.Seq) })
}
