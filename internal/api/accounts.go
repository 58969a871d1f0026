package api

import (
	"context"
	"errors"
	"fmt"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/team"
	"crier/store"
)

func (c *call) listAccounts(ctx context.Context) (*answer, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Account, 0, len(s.order))
	for _, k := range s.order {
		all = append(all, s.account(s.accounts[k]))
	}
	return paged(c, all, func(a *Account) string { return a.Handle })
}

// seenAccount finds the account in the path, if it is there for the asker.
func (c *call) seenAccount(ctx context.Context) (*sight, store.AccountView, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, store.AccountView{}, err
	}
	v, ok := s.byHandle(c.r.PathValue("handle"))
	if !ok {
		return nil, v, notFound("account")
	}
	return s, v, nil
}

func (s *sight) answerAccount(v store.AccountView) *answer {
	return &answer{body: s.account(v), etag: tagOfAccount(v.Version)}
}

func (c *call) getAccount(ctx context.Context) (*answer, error) {
	s, v, err := c.seenAccount(ctx)
	if err != nil {
		return nil, err
	}
	return s.answerAccount(v), nil
}

func (c *call) capabilities(ctx context.Context) (*answer, error) {
	_, v, err := c.seenAccount(ctx)
	if err != nil {
		return nil, err
	}
	o := c.Outlets[v.Account.Handle]
	if o.Capabilities == nil {
		return nil, notFound("driver for this account")
	}
	return &answer{body: o.Capabilities()}, nil
}

// pauseBody says why an account is paused.
type pauseBody struct {
	Reason string `json:"reason,omitempty"`
}

// lateBody says what becomes of what is overdue.
type lateBody struct {
	Late string `json:"late,omitempty" enum:"apply,send,miss" doc:"What becomes of what is overdue: as max_late says (the default), send it all, or miss it all."`
}

func (b lateBody) late() (store.Late, error) {
	switch l := store.Late(b.Late); l {
	case "":
		return store.LateApply, nil
	case store.LateApply, store.LateSend, store.LateMiss:
		return l, nil
	case "next-slot":
		return "", invalid("late", "no_slots", "there are no slots: wanted apply, send or miss")
	}
	return "", invalid("late", "invalid_parameter", "wanted: apply, send or miss")
}

const maxReason = 500

func (c *call) pauseAccount(ctx context.Context) (*answer, error) {
	var b pauseBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	if len(b.Reason) > maxReason {
		return nil, invalid("reason", "too_long", "wanted: at most 500 bytes")
	}
	return c.onAccount(ctx, c.Directory.Pause, func(w store.Write, v store.AccountView) error {
		hold := post.Hold{Reason: post.HoldPaused, Since: c.at, Detail: b.Reason, By: c.who.Person}
		return c.Store.HoldLane(ctx, w, store.HoldOn{Account: v.Account.Key(), Version: c.asked(v.Version), Hold: hold})
	})
}

// resumeAccount ends what a person has set, and the hold after a restore, which waits for a person's look. What a
// platform set ends when the platform agrees: see verifyAccount.
func (c *call) resumeAccount(ctx context.Context) (*answer, error) {
	var b lateBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	late, err := b.late()
	if err != nil {
		return nil, err
	}
	return c.onAccount(ctx, c.Directory.Pause, func(w store.Write, v store.AccountView) error {
		return c.Store.ReleaseLane(ctx, w, store.Release{
			Account: v.Account.Key(), Version: c.asked(v.Version), Late: late,
			Reasons: []post.HoldReason{post.HoldPaused, post.HoldRestored},
		})
	})
}

// onAccount does something to an account and answers with how it then is.
func (c *call) onAccount(ctx context.Context, ask func(team.Principal, post.Account) team.Answer, do func(store.Write, store.AccountView) error) (*answer, error) {
	s, v, err := c.seenAccount(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.may(ask, v.Account.Key()); err != nil {
		return nil, err
	}
	if err := c.precondition(tagOfAccount(v.Version), false); err != nil {
		return nil, err
	}
	w := c.write(func(result any) *answer {
		after, _ := result.(store.AccountView)
		return s.answerAccount(after)
	})
	if err := do(w, v); err != nil {
		return nil, fmt.Errorf("changing the account: %w", err)
	}
	return c.told(func() (*answer, error) { return c.getAccount(ctx) })
}

func (c *call) verifyAccount(ctx context.Context) (*answer, error) {
	s, v, err := c.seenAccount(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.may(s.dir.Manage, v.Account.Key()); err != nil {
		return nil, err
	}
	if err := c.precondition(tagOfAccount(v.Version), false); err != nil {
		return nil, err
	}
	var out Verified
	err = c.slowly(ctx, func() error { return c.Scheduler.Verify(ctx, v.Account.Key()) })
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, invalid("account", "not_supported", "nothing asks a platform for this account: a person posts by hand, or it is no longer configured")
	case err != nil:
		e := adapters.AsError(err)
		out.Reason = &ReasonView{Code: string(e.Reason), Message: e.Message}
	default:
		out.OK = true
	}
	s, v, err = c.seenAccount(ctx)
	if err != nil {
		return nil, err
	}
	out.Account = s.account(v)
	return &answer{body: out}, nil
}
