package app

import (
	"context"
	"encoding/json"
	"strings"

	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/internal/team"
	"crier/store"
)

// composeEnv is what the machine itself composes in, for a person: as that person may, with all of their accounts.
func (a *App) composeEnv(ctx context.Context, person string, fixed *store.When) compose.Env {
	p := team.Principal{Person: person, Scopes: []team.Scope{team.Admin}, Full: true}
	return compose.Env{
		Now: post.Instant(a.opts.Now()), NewID: newID, Author: person, Fixed: fixed,
		Outlet: func(handle string) (compose.Outlet, bool) {
			o, ok := a.byHandle[handle]
			if !ok || !a.people.Schedule(p, o.Account).Allowed {
				return compose.Outlet{}, false
			}
			return o, true
		},
		Media: func(id string) (post.Media, bool) {
			m, err := a.store.MediaByID(ctx, id)
			for _, u := range m.Uploads {
				// An upload through a limited key is named person/key.
				if by, _, _ := strings.Cut(u.By, "/"); by == person && (m.Alt == "" || u.By == person) {
					m.Alt = u.Alt
				}
			}
			return m.Media, err == nil
		},
	}
}

// composeRun makes the post of one run of a series, as its author.
func (a *App) composeRun(ctx context.Context, s store.Series, raw json.RawMessage, run recurrence.Occurrence) (store.NewPost, error) {
	return compose.Occurrence(a.composeEnv(ctx, s.Author, nil), s, raw, run)
}
