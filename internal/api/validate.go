package api

import (
	"context"
	"net/http"

	"crier/internal/compose"
	"crier/internal/post"
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
	out := Validation{OK: !made.Refused(), Errors: []Issue{}, Notes: listOf(made.New.Post.Notes), Targets: []ValidationTarget{}}
	inTarget := map[string]bool{}
	for _, p := range made.Places {
		t := ValidationTarget{
			Account: p.Account.Handle, Destination: textOr(p.Destination), Due: stampOr(p.Due), NextAttemptAt: stampOr(p.Next),
			Problems: issues(p.Problems), Length: c.length(&p), Preview: contentView(p.Content),
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

// length counts the text of a target as its platform does, as far as that is known without asking it.
func (c *call) length(p *compose.Place) *Length {
	for _, x := range p.Problems {
		if x.Code == compose.CodeTooLong && x.Limit > 0 {
			return &Length{Used: x.Used, Limit: x.Limit, Unit: x.Unit}
		}
	}
	o := c.Outlets[p.Account.Handle]
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
