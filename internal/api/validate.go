package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"crier/internal/compose"
	"crier/internal/post"
	"crier/store"
)

func (c *call) validatePost(ctx context.Context) (*answer, error) {
	var r compose.Request
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	env, err := c.env(ctx, s, &r)
	if err != nil {
		return nil, err
	}
	env.Free, env.DryRun = c.spacing(ctx), true
	made := compose.Compose(env, r)
	if err := c.allowed(s, &made, true); err != nil {
		if p := problemOf(err); p.Status != http.StatusUnprocessableEntity {
			return nil, err
		}
	}
	stored, err := c.storedAlready(ctx, &made)
	if err != nil {
		return nil, err
	}
	out := Validation{
		OK: !made.Refused() && len(stored) == 0, Errors: []Issue{}, Notes: listOf(made.New.Post.Notes), Targets: []ValidationTarget{},
	}
	made.Problems = append(made.Problems, stored...)
	inTarget := map[string]bool{}
	for i, p := range made.Places {
		for _, x := range stored {
			if x.Location == fmt.Sprintf("targets[%d]", i) {
				p.Problems = append(p.Problems, x)
			}
		}
		t := ValidationTarget{
			Account: p.Account.Handle, Destination: textOr(p.Destination), Due: stampOr(p.Due), NextAttemptAt: stampOr(p.Next),
			Problems: issues(p.Problems), Length: c.length(&p, i), Preview: contentView(p.Content),
		}
		for _, x := range p.Problems {
			inTarget[x.Location+"\x00"+x.Code] = true
		}
		out.Targets = append(out.Targets, t)
	}
	for _, x := range made.Problems {
		if !inTarget[x.Location+"\x00"+x.Code] {
			out.Errors = append(out.Errors, issues([]post.Problem{x})...)
		}
	}
	return &answer{body: out}, nil
}

// storedAlready lists the problems that the post has with what is stored already.
func (c *call) storedAlready(ctx context.Context, made *compose.Composed) ([]post.Problem, error) {
	all, err := c.Store.Refusals(ctx, c.at, made.New)
	if err != nil {
		return nil, fmt.Errorf("looking for what is stored already: %w", err)
	}
	var out []post.Problem
	for _, err := range all {
		p := problemOf(err)
		x := post.Problem{Location: "external_id", Code: p.Code, Severity: post.SeverityError, Message: p.Detail}
		if dup, ok := errors.AsType[*store.DuplicateError](err); ok {
			x.Location, x.Message = fmt.Sprintf("targets[%d]", dup.Target), p.Errors[0].Message
		}
		out = append(out, x)
	}
	return out, nil
}

// length counts the text of a target as its platform does, as far as that is known without asking it.
func (c *call) length(p *compose.Place, target int) *Length {
	o := c.Outlets[p.Account.Handle]
	if o.CountText != nil {
		n := o.CountText(p.Content)
		return &Length{Used: n.Used, Limit: n.Limit, Unit: n.Unit}
	}
	for _, x := range p.Problems {
		if x.Code == compose.CodeTooLong && x.Limit > 0 && x.Location == fmt.Sprintf("targets[%d].text", target) {
			return &Length{Used: x.Used, Limit: x.Limit, Unit: x.Unit}
		}
	}
	if o.Capabilities == nil {
		return nil
	}
	f := o.Capabilities().Fields["text"]
	out := &Length{Limit: int64(f.Max), Unit: f.Unit}
	switch {
	case f.Max == 0:
		return nil
	case f.Unit == "characters":
		out.Used = int64(len([]rune(p.Content.Text)))
	case f.Unit == "bytes":
		out.Used = int64(len(p.Content.Text))
	default:
		return nil // a unit of the platform's own
	}
	return out
}
