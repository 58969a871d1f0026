package app

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"crier/adapters"
	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/internal/team"
	"crier/store"
)

// machine is a person for whom the machine itself acts.
func machine(person string) team.Principal {
	return team.Principal{Person: person, Scopes: []team.Scope{team.Admin}, Full: true}
}

// composeEnv is what the machine itself composes in, for a person: as that person may, with all of their accounts.
func (a *App) composeEnv(ctx context.Context, person string, fixed *store.When) compose.Env {
	return compose.Env{
		Now: post.Instant(a.opts.Now()), NewID: newID, Author: person, Fixed: fixed,
		Outlet: func(handle string) (compose.Outlet, bool) {
			o, ok := a.byHandle[handle]
			if !ok || !a.people.Schedule(machine(person), o.Account).Allowed {
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

// composeRun makes one run of a series, as its author.
func (a *App) composeRun(ctx context.Context, s store.Series, raw json.RawMessage, run recurrence.Occurrence) (store.Occurrence, error) {
	return compose.Occurrence(a.runEnv(ctx, &s), s, raw, run)
}

// refusals lists what would keep a run with this post of the pool from going out.
func (a *App) refusals(ctx context.Context, s store.Series, raw json.RawMessage, run recurrence.Occurrence) ([]post.Problem, error) {
	return compose.Refusals(a.runEnv(ctx, &s), s, raw, run)
}

// runEnv is what a run of a series is composed in. It gives every account of the series: one that is gone from the
// configuration keeps its queue, and where the author may not post any more the target alone is refused.
func (a *App) runEnv(ctx context.Context, s *store.Series) compose.Env {
	env := a.composeEnv(ctx, s.Author, nil)
	allowed := env.Outlet
	env.Outlet = func(handle string) (compose.Outlet, bool) {
		if o, ok := allowed(handle); ok {
			return o, true
		}
		o, known := a.byHandle[handle]
		if !known {
			v, err := a.store.AccountByHandle(ctx, handle)
			if err != nil {
				return compose.Outlet{}, false
			}
			// Without its adapter nobody knows what has to be prepared; once it is back, its adapter says.
			o = compose.Outlet{
				Account: v.Account, Holds: v.Holds, Destination: a.drivers[v.Account.Platform].Destination,
				Prepares: func(adapters.Request) bool { return true },
			}
		}
		if !slices.Contains(s.Accounts, o.Account.Key()) {
			return compose.Outlet{}, false
		}
		if !a.people.Schedule(machine(s.Author), o.Account).Allowed {
			o.Check = func(post.Content) []post.Problem {
				return []post.Problem{{
					Location: "account", Code: compose.CodeAuthorNotAllowed, Severity: post.SeverityError,
					Message: "the series' author may not post on this account any more",
				}}
			}
		}
		return o, true
	}
	return env
}
