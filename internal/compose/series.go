package compose

import (
	"encoding/json"
	"fmt"

	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/store"
)

// Pooled reads one post of a series' pool, which says neither when nor under which name: that is the series' to say.
// Errors are of type *[BodyError].
func Pooled(raw json.RawMessage) (Request, error) {
	var r Request
	if err := Decode(raw, &r); err != nil {
		return Request{}, err
	}
	b := binder{}
	refuse := func(set bool, field string) {
		if set {
			b.add(field, CodeUnknown, "a post of a series has no such field: the series says when it goes out")
		}
	}
	refuse(r.At != "", "at")
	refuse(r.TimeZone != "", "time_zone")
	refuse(r.Undo != "", "undo")
	refuse(r.ExternalID != "", "external_id")
	refuse(r.Draft, "draft")
	for i := range r.Targets {
		refuse(r.Targets[i].At != nil, fmt.Sprintf("targets[%d].at", i))
	}
	if len(b.problems) > 0 {
		return Request{}, &BodyError{Problems: b.problems}
	}
	return r, nil
}

// nodeOf is a request as the JSON value that says it.
func nodeOf(r Request) (*Node, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing a post as JSON: %w", err)
	}
	return Parse(raw)
}

// RefusedError says that an occurrence cannot be made, with the first problem.
type RefusedError struct{ Problem post.Problem }

// Error names the place and the problem.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: %s (%s)", e.Problem.Location, e.Problem.Message, e.Problem.Code)
}

// Occurrence makes the post of one run of a series from a post of its pool. env gives clock, accounts and media; the
// rest is set here. What an adapter refuses is a *[RefusedError].
func Occurrence(env Env, s store.Series, raw json.RawMessage, run recurrence.Occurrence) (store.NewPost, error) {
	r, err := Pooled(raw)
	if err != nil {
		return store.NewPost{}, err
	}
	env.Author, env.Series, env.Occurrence = s.Author, s.ID, run.Key
	env.Fixed = &store.When{Due: post.Instant(run.At), LocalDue: run.Local.String(), TimeZone: run.Zone}
	c := Compose(env, r)
	for _, p := range c.Problems {
		if p.Severity == post.SeverityError {
			return store.NewPost{}, &RefusedError{Problem: p}
		}
	}
	if run.Note != "" {
		c.New.Post.Notes = append(c.New.Post.Notes, run.Note)
	}
	c.New.Post.At, c.New.Post.TimeZone = run.Local.String(), run.Zone
	return c.New, nil
}
