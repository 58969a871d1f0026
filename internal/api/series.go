package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"crier/internal/civil"
	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/internal/team"
	"crier/scheduler"
	"crier/store"
)

// seriesBody is a recurring post as a client asks for it. In a patch, what is absent stays.
type seriesBody struct {
	Name     *string            `json:"name,omitempty"`
	Cron     *string            `json:"cron,omitempty" doc:"Five fields, such as 0 9 * * MON-FRI; this or every."`
	Every    *string            `json:"every,omitempty" doc:"Such as 2w, 3d, 12h; with start."`
	Start    *string            `json:"start,omitempty" doc:"The first run of every."`
	TimeZone *string            `json:"time_zone,omitempty" doc:"IANA zone; without it that of the first account."`
	Until    *string            `json:"until,omitempty" doc:"The last moment of a run; an empty text is for ever."`
	Posts    *[]json.RawMessage `json:"posts,omitempty" doc:"Posts without at, used in order."`
	Order    *string            `json:"order,omitempty" enum:"once,cycle" doc:"Use each post once, or begin again (the default)."`
}

const (
	maxPool = 500
	// nextRuns is how many runs a series is answered with.
	nextRuns = 5
	// maxPreview bounds a preview.
	maxPreview = 100
	// farAhead bounds how far runs are looked for.
	farAhead = 5 * 366 * 24 * time.Hour
)

// apply puts what a client said over a series, and checks the whole.
func (c *call) apply(ctx context.Context, s *sight, x *store.Series, b *seriesBody) error {
	set := func(into *string, from *string) {
		if from != nil {
			*into = *from
		}
	}
	known, err := c.poolFiles(ctx, x)
	if err != nil {
		return err
	}
	set(&x.Name, b.Name)
	if b.Cron != nil && *b.Cron != "" {
		x.Every, x.Start = "", ""
	}
	if b.Every != nil && *b.Every != "" {
		x.Cron = ""
	}
	set(&x.Cron, b.Cron)
	set(&x.Every, b.Every)
	set(&x.Start, b.Start)
	set(&x.TimeZone, b.TimeZone)
	set(&x.Order, b.Order)
	if len(x.Name) > 200 {
		return invalid("name", compose.CodeTooLong, "wanted: at most 200 bytes")
	}
	if x.Order == "" {
		x.Order = "cycle"
	}
	if x.Order != "once" && x.Order != "cycle" {
		return invalid("order", "invalid_type", "wanted: once or cycle")
	}
	if b.Posts != nil {
		if err := c.readPool(ctx, s, x, *b.Posts); err != nil {
			return err
		}
	}
	if len(x.Posts) == 0 {
		return invalid("posts", "posts_required", "a series needs a post")
	}
	if err := readUntil(x, b.Until); err != nil {
		return err
	}
	rule, err := recurrence.Parse(scheduler.Spec(*x))
	if e, ok := errors.AsType[*recurrence.Error](err); ok {
		return invalid(e.Field, e.Code, e.Message)
	}
	next, ok := rule.Next(c.at)
	if !ok {
		return invalid("until", recurrence.CodeNeverFires, "there is no run ahead")
	}
	return c.checkPool(ctx, s, x, known, next)
}

func readUntil(x *store.Series, until *string) error {
	if until == nil {
		return nil
	}
	x.Until = time.Time{}
	if *until == "" {
		return nil
	}
	if at, err := civil.ParseInstant(*until); err == nil {
		x.Until = post.Instant(at)
		return nil
	}
	local, err := civil.Parse(*until)
	zone, zerr := civil.LoadZone(x.TimeZone)
	if err != nil || zerr != nil {
		return invalid("until", recurrence.CodeUntil, "wanted: RFC 3339, or a local time in time_zone")
	}
	x.Until = post.Instant(civil.Resolve(local, zone).At)
	return nil
}

// seesSeries reports whether every account of a series is there for the asker.
func (s *sight) seesSeries(x *store.Series) bool {
	return len(x.Accounts) > 0 && !slices.ContainsFunc(x.Accounts, func(k post.AccountKey) bool { return !s.sees(k) })
}

// runs lists the next runs, those left out too.
func runs(x *store.Series, now time.Time, n int) []Run {
	out := []Run{}
	rule, err := recurrence.Parse(scheduler.Spec(*x))
	if err != nil {
		return out // it was checked when it was written; zone data may have changed since
	}
	for _, o := range rule.Between(now, now.Add(farAhead), n) {
		out = append(out, Run{
			Run: o.Key, At: stamp(o.At), Local: o.Local.String(), TimeZone: o.Zone, Note: o.Note, Skipped: slices.Contains(x.Skipped, o.Key),
		})
	}
	return out
}

func seriesView(x *store.Series, now time.Time, problems []Issue) Series {
	next := slices.DeleteFunc(runs(x, now, nextRuns+len(x.Skipped)), func(r Run) bool { return r.Skipped })
	return Series{
		ID: x.ID.String(), Version: x.Version, Name: x.Name, Author: x.Author, CreatedAt: stamp(x.CreatedAt), Kind: string(x.Kind),
		Accounts: kindAccounts(x.Accounts), Cron: textOr(x.Cron), Every: textOr(x.Every), Start: textOr(x.Start), TimeZone: x.TimeZone,
		Until: stampOr(x.Until), Order: x.Order, Posts: listOf(x.Posts), Used: x.Used, Next: next[:min(len(next), nextRuns)],
		Problems: listOf(problems),
	}
}

// refusals lists what would keep the next run of a series that is not made yet from going out, as it is made.
func (c *call) refusals(ctx context.Context, x *store.Series) ([]Issue, error) {
	if c.Refusals == nil || len(x.Posts) == 0 || (x.Order != "cycle" && x.Used >= len(x.Posts)) {
		return nil, nil
	}
	rule, err := recurrence.Parse(scheduler.Spec(*x))
	if err != nil {
		return nil, nil //nolint:nilerr // it was checked when it was written; zone data may have changed since
	}
	run, ok := rule.Next(c.at)
	if !ok {
		return nil, nil
	}
	found, err := c.Refusals(ctx, *x, x.Posts[x.Used%len(x.Posts)], run)
	if err != nil {
		return nil, fmt.Errorf("composing the next run: %w", err)
	}
	return issues(found), nil
}

func (c *call) answerSeries(status int, x *store.Series, problems []Issue) *answer {
	out := &answer{status: status, body: seriesView(x, c.at, problems), etag: tagOfSeries(x.Version)}
	if status == http.StatusCreated {
		out.location = Base + "/series/" + x.ID.String()
	}
	return out
}

func (c *call) createSeries(ctx context.Context) (*answer, error) {
	var b seriesBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	x := store.Series{ID: c.NewID(), Author: c.who.Person, CreatedAt: c.at, Planned: c.at}
	if err := c.apply(ctx, s, &x, &b); err != nil {
		return nil, err
	}
	made, err := c.Store.CreateSeries(ctx, c.write(func(result any) *answer {
		x, _ := result.(store.Series)
		return c.answerSeries(http.StatusCreated, &x, nil) // it has just been checked
	}), x)
	if err != nil {
		return nil, fmt.Errorf("writing the series: %w", err)
	}
	c.planned(ctx, made.ID)
	return c.answerSeries(http.StatusCreated, &made, nil), nil
}

// planned has the first runs made at once. If that fails, the planner's turn makes them.
func (c *call) planned(ctx context.Context, id post.ID) {
	if c.PlanSeries != nil {
		if err := c.PlanSeries(ctx, id); err != nil {
			c.Log.WarnContext(ctx, "the runs of a series are made later", "series", id, "error", err)
		}
	}
}

func (c *call) listSeries(ctx context.Context) (*answer, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.Store.ListSeries(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the series: %w", err)
	}
	all = slices.DeleteFunc(all, func(x store.Series) bool { return !s.seesSeries(&x) })
	return pagedAs(c, all, func(x *store.Series) string { return x.ID.String() }, func(x *store.Series) (Series, error) {
		problems, err := c.refusals(ctx, x)
		return seriesView(x, c.at, problems), err
	})
}

// seenSeries reads the series in the path, if it is there for the asker.
func (c *call) seenSeries(ctx context.Context) (*sight, store.Series, error) {
	id, err := c.pathID("series")
	if err != nil {
		return nil, store.Series{}, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, store.Series{}, err
	}
	x, err := c.Store.SeriesByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) || (err == nil && (x.Deleted || !s.seesSeries(&x))) {
		return nil, x, notFound("series")
	}
	if err != nil {
		return nil, x, fmt.Errorf("reading the series: %w", err)
	}
	return s, x, nil
}

// ownSeries is seenSeries for those who may change it.
func (c *call) ownSeries(ctx context.Context) (*sight, store.Series, error) {
	s, x, err := c.seenSeries(ctx)
	if err != nil {
		return nil, x, err
	}
	for _, k := range x.Accounts {
		if err := s.may(s.dir.Schedule, k); err != nil {
			return nil, x, err
		}
	}
	return s, x, c.precondition(tagOfSeries(x.Version), false)
}

func (c *call) getSeries(ctx context.Context) (*answer, error) {
	_, x, err := c.seenSeries(ctx)
	if err != nil {
		return nil, err
	}
	return c.seriesAnswer(ctx, &x)
}

// seriesAnswer is a series with what would keep its next run from going out.
func (c *call) seriesAnswer(ctx context.Context, x *store.Series) (*answer, error) {
	problems, err := c.refusals(ctx, x)
	if err != nil {
		return nil, err
	}
	return c.answerSeries(0, x, problems), nil
}

func (c *call) patchSeries(ctx context.Context) (*answer, error) {
	s, x, err := c.ownSeries(ctx)
	if err != nil {
		return nil, err
	}
	var b seriesBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	version := x.Version
	if err := c.apply(ctx, s, &x, &b); err != nil {
		return nil, err
	}
	// The runs that are made and have not begun are cancelled with the edit, and made anew from here.
	x.Planned = c.at
	if b.Posts != nil {
		x.Used = 0
	} else {
		open, err := c.openRuns(ctx, x.ID)
		if err != nil {
			return nil, err
		}
		x.Used = max(0, x.Used-open)
	}
	out, err := c.Store.EditSeries(ctx, c.effect(), x, version)
	if err != nil {
		return nil, fmt.Errorf("changing the series: %w", err)
	}
	c.planned(ctx, out.ID)
	return c.seriesAnswer(ctx, &out)
}

// openRuns counts the runs that took a post of the pool and have not begun: the edit gives their posts back.
func (c *call) openRuns(ctx context.Context, id post.ID) (int, error) {
	posts := map[post.ID]bool{}
	f := store.Filter{Series: id, States: []post.State{post.InReview, post.Scheduled, post.Missed}, Now: c.at, Limit: 500}
	for {
		page, err := c.Store.ListDeliveries(ctx, f)
		if err != nil {
			return 0, fmt.Errorf("counting the runs: %w", err)
		}
		for i := range page.Items {
			d := &page.Items[i].Delivery
			if d.State == post.Missed && (d.Reason == nil || d.Reason.Code != store.ReasonRefused || !d.Due.After(c.at)) {
				continue
			}
			posts[d.Post] = true
		}
		if f.Cursor = page.Next; page.Next == "" {
			return len(posts), nil
		}
	}
}

func (c *call) deleteSeries(ctx context.Context) (*answer, error) {
	_, x, err := c.ownSeries(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Store.DeleteSeries(ctx, c.effect(), x.ID, x.Version); err != nil {
		return nil, fmt.Errorf("ending the series: %w", err)
	}
	return &answer{}, nil
}

// previewQuery says how many runs are wanted.
type previewQuery struct {
	N int `query:"n" doc:"1 to 100, 5 by default."`
}

func (c *call) previewSeries(ctx context.Context) (*answer, error) {
	q, _ := c.query.(*previewQuery)
	n := q.N
	if n == 0 {
		n = nextRuns
	}
	if n < 0 || n > maxPreview {
		return nil, invalid("query.n", "invalid_parameter", "wanted: 1 to 100")
	}
	_, x, err := c.seenSeries(ctx)
	if err != nil {
		return nil, err
	}
	return &answer{body: Page[Run]{Items: runs(&x, c.at, n)}}, nil
}

// skipBody names a run to leave out.
type skipBody struct {
	Run string `json:"run,omitempty" doc:"As the series or its preview names it."`
}

func (c *call) skipRun(ctx context.Context) (*answer, error) {
	var b skipBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	_, x, err := c.ownSeries(ctx)
	if err != nil {
		return nil, err
	}
	known := slices.ContainsFunc(runs(&x, c.at, 1000), func(r Run) bool { return r.Run == b.Run })
	if !known {
		return nil, invalid("run", "run_unknown", "the series has no such run ahead: its preview names them")
	}
	problems, err := c.refusals(ctx, &x)
	if err != nil {
		return nil, err
	}
	err = c.Store.SkipOccurrence(ctx, c.write(func(result any) *answer {
		after, _ := result.(store.Series)
		return c.answerSeries(0, &after, problems)
	}), x.ID, b.Run)
	if err != nil {
		return nil, fmt.Errorf("leaving a run out: %w", err)
	}
	return c.told(func() (*answer, error) { return c.getSeries(ctx) })
}

// seriesScope is what writing a series needs: its posts are never drafts.
const seriesScope = team.PostsWrite
