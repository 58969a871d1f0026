package compose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// CodeAuthorNotAllowed says that whoever made a series may not post on one of its accounts any more.
const CodeAuthorNotAllowed = "author_not_allowed"

// RefusedError says that nothing of an occurrence can be made, with the first problem.
type RefusedError struct{ Problem post.Problem }

// Error names the place and the problem.
func (e *RefusedError) Error() string { return wordsOf(e.Problem) }

func wordsOf(p post.Problem) string {
	return fmt.Sprintf("%s: %s (%s)", p.Location, p.Message, p.Code)
}

// Occurrence makes the post of one run of a series from a post of its pool. env gives clock, accounts and media; the
// rest is set here. A target that cannot be sent as it stands is among the refused ones, and keeps no other from going
// out; an account that is not there at all, and kinds that do not go together, are a *[RefusedError].
func Occurrence(env Env, s store.Series, raw json.RawMessage, run recurrence.Occurrence) (store.Occurrence, error) {
	c, err := composeRun(env, s, raw, run)
	if err != nil {
		return store.Occurrence{}, err
	}
	out := store.Occurrence{Key: run.Key, At: run.At, Refused: map[post.ID]string{}}
	for _, p := range c.Problems {
		if p.Severity != post.SeverityError {
			continue
		}
		if p.Code == CodeAccountNotFound || p.Code == CodeMixedKinds {
			return store.Occurrence{}, &RefusedError{Problem: p}
		}
		for i := range c.New.Deliveries {
			if id := c.New.Deliveries[i].ID; concerns(p.Location, i) && out.Refused[id] == "" {
				out.Refused[id] = wordsOf(p)
			}
		}
	}
	if run.Note != "" {
		c.New.Post.Notes = append(c.New.Post.Notes, run.Note)
	}
	c.New.Post.At, c.New.Post.TimeZone = run.Local.String(), run.Zone
	out.Post = c.New
	return out, nil
}

// concerns reports whether the place of a problem is a target or what all targets share.
func concerns(location string, target int) bool {
	if !strings.HasPrefix(location, "targets[") {
		return true
	}
	rest, ok := strings.CutPrefix(location, fmt.Sprintf("targets[%d]", target))
	return ok && (rest == "" || rest[0] == '.')
}

// Refusals lists what would keep a run of a series with this post of its pool from going out, or a part of it.
func Refusals(env Env, s store.Series, raw json.RawMessage, run recurrence.Occurrence) ([]post.Problem, error) {
	c, err := composeRun(env, s, raw, run)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(c.Problems, func(p post.Problem) bool { return p.Severity != post.SeverityError }), nil
}

func composeRun(env Env, s store.Series, raw json.RawMessage, run recurrence.Occurrence) (Composed, error) {
	r, err := Pooled(raw)
	if err != nil {
		return Composed{}, err
	}
	env.Author, env.Series, env.Occurrence = s.Author, s.ID, run.Key
	env.Fixed = &store.When{Due: post.Instant(run.At), LocalDue: run.Local.String(), TimeZone: run.Zone}
	return Compose(env, r), nil
}
