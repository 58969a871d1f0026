package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/store"
)

// poolFiles gives the files that a series has in its pool already: whoever may change it may leave them there, though
// they have uploaded none.
func (c *call) poolFiles(ctx context.Context, x *store.Series) (map[string]post.Media, error) {
	out := map[string]post.Media{}
	for _, raw := range x.Posts {
		r, err := compose.Pooled(raw)
		if err != nil {
			continue // checkPool says so
		}
		for _, id := range r.MediaIDs() {
			m, err := c.Store.MediaByID(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading what is known of a file: %w", err)
			}
			out[id] = m.Media
		}
	}
	return out, nil
}

// pooled counts the series that have a file in their pool as uses of it, where the asker sees it by no other: until its
// first run is made, no post has it.
func (c *call) pooled(ctx context.Context, s *sight, m *store.Media) error {
	if c.seesMedia(s, m) {
		return nil
	}
	all, err := c.Store.ListSeries(ctx)
	if err != nil {
		return fmt.Errorf("listing the series: %w", err)
	}
	for i := range all {
		x := &all[i]
		alt, have := inPool(x, m.ID)
		if !have || !s.seesSeries(x) {
			continue
		}
		for _, k := range x.Accounts {
			m.Uses = append(m.Uses, store.MediaUse{Account: k, Since: x.CreatedAt, Alt: alt})
		}
	}
	return nil
}

// inPool finds a file in the pool of a series, and what is said there of it.
func inPool(x *store.Series, id string) (alt string, have bool) {
	for _, raw := range x.Posts {
		if !bytes.Contains(raw, []byte(id)) {
			continue
		}
		have = true
		r, err := compose.Pooled(raw)
		if err != nil {
			continue // it was checked when it was written
		}
		for _, ref := range r.MediaRefs() {
			if ref.ID == id && ref.Alt != nil {
				return *ref.Alt, true
			}
		}
	}
	return "", have
}

// readPool reads the posts strictly, and has the files fetched that they give as addresses.
func (c *call) readPool(ctx context.Context, s *sight, x *store.Series, raw []json.RawMessage) error {
	if len(raw) > maxPool {
		return invalid("posts", "too_many_values", "wanted: at most 500 posts")
	}
	x.Posts = nil
	for i, one := range raw {
		r, err := compose.Pooled(one)
		if err != nil {
			return within(fmt.Sprintf("posts[%d]", i), err)
		}
		if len(r.Targets) == 0 {
			return invalid(fmt.Sprintf("posts[%d].targets", i), compose.CodeTargetsRequired, "a post needs a target: the handle of an account")
		}
		for j := range r.Targets {
			v, ok := s.byHandle(r.Targets[j].Account)
			if !ok {
				return noAccount([]post.Problem{unknownAccount(fmt.Sprintf("posts[%d].targets[%d].account", i, j))})
			}
			if x.TimeZone == "" {
				x.TimeZone = v.Account.TimeZone
			}
		}
		if err := c.mayFetch(s, &r); err != nil {
			return err
		}
		if err := c.fetchMedia(ctx, &r); err != nil {
			return within(fmt.Sprintf("posts[%d]", i), err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("writing a post of the pool: %w", err)
		}
		x.Posts = append(x.Posts, b)
	}
	return nil
}

// within puts a place in front of those of a refusal.
func within(at string, err error) error {
	if p, ok := errors.AsType[*Problem](err); ok {
		for i := range p.Errors {
			p.Errors[i].Location = at + "." + p.Errors[i].Location
			p.Detail = p.Errors[i].Location + ": " + p.Errors[i].Message
		}
		return p
	}
	e, ok := errors.AsType[*compose.BodyError](err)
	if !ok {
		return err
	}
	out := &compose.BodyError{}
	for _, p := range e.Problems {
		if p.Location == "" {
			p.Location = at
		} else {
			p.Location = at + "." + p.Location
		}
		out.Problems = append(out.Problems, p)
	}
	return out
}

// checkPool composes each post as its run would, so that what a platform refuses is told now.
func (c *call) checkPool(ctx context.Context, s *sight, x *store.Series, known map[string]post.Media, next recurrence.Occurrence) error {
	when := store.When{Due: post.Instant(next.At), LocalDue: next.Local.String(), TimeZone: next.Zone}
	var all []post.Problem
	x.Accounts = nil
	kind, owner := post.Kind(""), ""
	for i, raw := range x.Posts {
		r, err := compose.Pooled(raw)
		if err != nil {
			return within(fmt.Sprintf("posts[%d]", i), err)
		}
		env, err := c.env(ctx, s, &r)
		if err != nil {
			return err
		}
		env.Fixed, env.Series = &when, x.ID
		uploaded := env.Media
		env.Media = func(id string) (post.Media, bool) {
			if m, ok := uploaded(id); ok {
				return m, true
			}
			m, ok := known[id]
			return m, ok
		}
		made := compose.Compose(env, r)
		if err := c.allowed(s, &made, false); err != nil {
			if p := problemOf(err); p.Status != http.StatusUnprocessableEntity {
				return err
			}
		}
		for _, p := range made.Problems {
			if p.Severity == post.SeverityError {
				p.Location = fmt.Sprintf("posts[%d].%s", i, p.Location)
				all = append(all, p)
			}
		}
		p := &made.New.Post
		if kind == "" {
			kind, owner = p.Kind, p.Owner
		}
		if p.Kind != kind || p.Owner != owner {
			all = append(all, post.Problem{
				Location: fmt.Sprintf("posts[%d].targets", i), Code: compose.CodeMixedKinds, Severity: post.SeverityError,
				Message: "a series goes to accounts of brands or to one person's own, not to both",
			})
		}
		for _, t := range p.Targets {
			if !slices.Contains(x.Accounts, t.Account) {
				x.Accounts = append(x.Accounts, t.Account)
			}
		}
	}
	if len(all) > 0 {
		return refused(all)
	}
	if x.Kind != "" && x.Kind != kind {
		return invalid("posts", compose.CodeMixedKinds, "a series stays with the brand's accounts or with the person's")
	}
	x.Kind, x.Owner = kind, owner
	return nil
}
