package app

import (
	"errors"
	"fmt"
	"net/http"

	"crier/adapters"
	"crier/internal/api"
	"crier/internal/compose"
	"crier/internal/config"
	"crier/internal/media"
	"crier/internal/post"
	"crier/internal/secret"
	"crier/internal/team"
	"crier/internal/web"
	"crier/scheduler"
	"crier/store"
)

// serveAPI makes the API and the page over the scheduler and the store.
func (a *App) serveAPI(outlets []scheduler.Outlet, secrets config.Secrets) error {
	a.planner = &scheduler.Planner{
		Store: a.store, Compose: a.composeRun, Now: a.opts.Now, Log: a.opts.Log,
	}
	fetcher, err := media.NewFetcher(media.FetchConfig{Allow: a.cfg.Outgoing.Allow})
	if err != nil {
		return fmt.Errorf("outgoing: %w", err)
	}
	keys, err := a.keys(secrets)
	if err != nil {
		return err
	}
	rest, err := api.New(api.Deps{
		Store: a.store, Scheduler: a.sched, Files: a.files, Fetcher: fetcher, Directory: a.people,
		Outlets: a.apiOutlets(outlets), ConfiguredKeys: keys, Sealer: a.sealer, Hub: a.hub, GoingDown: a.goingDown.Load,
		NewID: newID, Now: a.opts.Now, Log: a.opts.Log, Version: a.opts.Version, PlanSeries: a.planner.PlanOne,
		Refusals: a.refusals,
		Stall:    a.opts.HTTP.Stall,
	})
	if err != nil {
		return fmt.Errorf("the API: %w", err)
	}
	page, err := web.New(web.Deps{Store: a.store, Status: a.sched.Status, Now: a.opts.Now, Version: a.opts.Version, Log: a.opts.Log})
	if err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	pages := http.NewServeMux()
	pages.Handle("GET /{$}", page)
	pages.Handle("GET /app.css", page)
	a.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The API answers all that is no page: a mux would send a path such as //posts elsewhere, in HTML.
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			if r.URL.Path == "/" || r.URL.Path == "/app.css" {
				pages.ServeHTTP(w, r)
				return
			}
		}
		rest.ServeHTTP(w, r)
	})
	return nil
}

// apiOutlets is what the API and composing ask of each account.
func (a *App) apiOutlets(outlets []scheduler.Outlet) map[string]api.Outlet {
	all := make(map[string]api.Outlet, len(outlets))
	a.byHandle = make(map[string]compose.Outlet, len(outlets))
	for _, o := range outlets {
		driver, known := a.drivers[o.Account.Platform]
		out := api.Outlet{Account: o.Account, Destination: driver.Destination}
		if known && driver.Capabilities != nil {
			out.Capabilities = func() adapters.Capabilities { return driver.Capabilities(o.Account) }
		}
		if d, ok := adapters.As[adapters.Describer](o.Adapter); ok {
			out.Capabilities = d.Capabilities
		}
		if o.Adapter != nil {
			out.Check = o.Adapter.Check
			if p, ok := adapters.As[adapters.Preparer](o.Adapter); ok {
				out.Prepares = p.Prepares
			}
			if c, ok := adapters.As[adapters.TextCounter](o.Adapter); ok {
				out.CountText = c.CountText
			}
		}
		all[o.Account.Handle] = out
		a.byHandle[o.Account.Handle] = compose.Outlet{
			Account: o.Account, Check: out.Check, Prepares: out.Prepares, Destination: out.Destination,
		}
	}
	return all
}

// keys are those that come from the configuration and from the machine itself: the bootstrap key of the owner, each
// person's own, and one of each person for the local socket, drawn anew at every start. All of them are full: who
// writes the configuration or opens the socket is the machine itself.
func (a *App) keys(secrets config.Secrets) ([]store.Key, error) {
	var keys []store.Key
	var errs []error
	configured := func(person string, text secret.Text, path string) {
		if text.IsZero() {
			return
		}
		k, err := api.ParseConfiguredKey(text, person)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: the key of %s: %w", a.cfg.Place(path), person, err))
			return
		}
		keys = append(keys, k)
	}
	configured(a.people.Owner, secrets.BootstrapKey, "auth.bootstrap_key")
	for i, p := range a.cfg.People {
		configured(p.Handle, secrets.People[p.Handle], fmt.Sprintf("people[%d].key", i))
	}
	a.local = make(map[string]string, len(a.people.People))
	for handle := range a.people.People {
		text, k, err := api.NewKey(store.Key{
			Person: handle, Name: "local socket", Scopes: []string{string(team.Admin)}, CreatedBy: handle,
			CreatedAt: post.Instant(a.opts.Now()), Full: true,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("the local socket's key: %w", err))
			continue
		}
		a.local[handle] = text.Reveal()
		keys = append(keys, k)
	}
	return keys, errors.Join(errs...)
}
