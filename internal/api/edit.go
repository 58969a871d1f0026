package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"crier/internal/compose"
	"crier/internal/team"
	"crier/store"
)

// changePost refuses unless the asker may change the post.
func (c *call) changePost(s *sight, v *store.PostView) error {
	if !v.Post.Draft && !c.who.Has(team.PostsWrite) {
		return forbidden("this key lacks the scope " + string(team.PostsWrite) + ": it may write drafts")
	}
	return s.scheduleOn(&v.Post)
}

func (c *call) patchPost(ctx context.Context) (*answer, error) {
	s, v, err := c.seenPost(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.changePost(s, &v); err != nil {
		return nil, err
	}
	if err := c.precondition(tagOfPost(v.Version), true); err != nil {
		return nil, err
	}
	r, err := compose.MergePost(&v, c.raw)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf knows it
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
	env.Earlier = &v
	made := compose.Compose(env, r)
	if err := c.allowed(s, &made, r.Draft); err != nil {
		return nil, err
	}
	if made.New.Post.Kind != v.Post.Kind && len(v.Post.Targets) > 0 {
		return nil, invalid("targets", compose.CodeMixedKinds, "a post stays with the brand's accounts or with the person's")
	}
	e, err := c.Store.EditPost(ctx, c.effect(), compose.EditOf(&made, &v))
	if err != nil {
		return nil, fmt.Errorf("changing the post: %w", err)
	}
	return &answer{body: s.edited(&e), etag: tagOfPost(e.View.Version)}, nil
}

// asked is the version that a change must still find: the one that If-Match has named, or 0 for any.
func (c *call) asked(version uint64) uint64 {
	if list := strings.TrimSpace(c.r.Header.Get("If-Match")); list == "" || list == "*" {
		return 0
	}
	return version
}

func (c *call) deletePost(ctx context.Context) (*answer, error) {
	s, v, err := c.seenPost(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.changePost(s, &v); err != nil {
		return nil, err
	}
	if err := c.precondition(tagOfPost(v.Version), false); err != nil {
		return nil, err
	}
	e, err := c.Store.CancelPost(ctx, c.effect(), v.Post.ID, c.asked(v.Version))
	if err != nil {
		return nil, fmt.Errorf("cancelling the post: %w", err)
	}
	return &answer{body: s.edited(&e)}, nil
}

func (c *call) submitPost(ctx context.Context) (*answer, error) {
	s, v, err := c.seenPost(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.scheduleOn(&v.Post); err != nil {
		return nil, err
	}
	if err := c.precondition(tagOfPost(v.Version), false); err != nil {
		return nil, err
	}
	if !v.Post.Draft {
		return nil, problem(http.StatusConflict, "wrong_state", "the post is no draft")
	}
	for i := range v.Post.Targets {
		if a := s.accounts[v.Post.Targets[i].Account].Account; a.Approvals > 0 {
			return nil, problem(http.StatusConflict, "approval_needed", "posts of account "+a.Handle+" need approval: write the post anew without draft")
		}
	}
	r := compose.RequestOf(&v.Post)
	env, err := c.env(ctx, s, &r)
	if err != nil {
		return nil, err
	}
	env.Earlier, env.Submit, env.Free = &v, true, c.spacing(ctx)
	r.Draft = false
	made := compose.Compose(env, r)
	if err := c.allowed(s, &made, false); err != nil {
		return nil, err
	}
	view, err := c.Store.SubmitPost(ctx, c.write(func(result any) *answer {
		v, _ := result.(store.PostView)
		return s.answerPost(0, &v)
	}), compose.SubmissionOf(&made, &v))
	if err != nil {
		return nil, fmt.Errorf("submitting the post: %w", err)
	}
	return s.answerPost(0, &view), nil
}
