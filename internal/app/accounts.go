package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"crier/adapters"
	"crier/internal/config"
	"crier/internal/post"
	"crier/internal/secret"
	"crier/internal/team"
	"crier/scheduler"
)

// accounts makes the domain's accounts from the configuration.
func accounts(c *config.Config, drivers map[post.Platform]adapters.Driver, looks []time.Duration) ([]post.Account, error) {
	all := make([]post.Account, 0, len(c.Accounts))
	var errs []error
	for i, a := range c.Accounts {
		driver, known := drivers[a.Platform]
		if !known && a.Mode != post.ModeAssist {
			errs = append(errs, fmt.Errorf("%s: account %s: Crier cannot publish to %s yet; mode assist works",
				c.Place(fmt.Sprintf("accounts[%d].platform", i)), a.Handle, a.Platform))
			continue
		}
		if known && a.Mode != post.ModeAssist {
			if err := c.CheckCredentials(i, driver.Credentials); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		account := post.Account{
			Handle: a.Handle, Platform: a.Platform, Kind: a.Kind, Owner: a.Owner, Mode: a.Mode, Identity: a.Identity,
			Name: a.Name, TimeZone: a.TimeZone, MinGap: *a.MinGap, MaxLate: *a.MaxLate, WhenNotSeen: a.WhenNotSeen,
			Approvals: a.Approvals, Managed: "file", App: string(a.Platform), Looks: driver.Looks,
		}
		if looks != nil {
			account.Looks = looks
		}
		all = append(all, account)
	}
	return all, placed(errs)
}

// planned is what the configuration says of a platform that Crier cannot publish to yet. It may stand in the file
// already, and is read as strictly as all else.
type planned struct {
	APIURL    string        `yaml:"api_url"`
	UploadURL string        `yaml:"upload_url"`
	AppID     string        `yaml:"app_id"`
	AppSecret secret.Source `yaml:"app_secret"`
}

// settings refuses what stands under a platform and can work for no account, whether or not there is one.
func settings(c *config.Config, drivers map[post.Platform]adapters.Driver) error {
	var errs []error
	for platform, node := range c.Platforms {
		driver, known := drivers[platform]
		switch {
		case known && driver.Settings != nil:
			errs = append(errs, driver.Settings(node.Decode))
		case !known:
			errs = append(errs, node.Decode(&planned{}))
		}
	}
	return placed(errs)
}

// placed joins errors: of those that name places, the places and what is wrong there alone, each once and in order.
func placed(errs []error) error {
	var problems config.Problems
	var others []error
	for _, err := range errs {
		if p, ok := errors.AsType[config.Problems](err); ok {
			problems = append(problems, p...)
		} else if err != nil {
			others = append(others, err)
		}
	}
	return errors.Join(append(others, problems.Err())...)
}

// outlets opens the adapter of every account: a client of its own, its own tokens, nothing shared but the pool of
// connections.
func (a *App) outlets(all []post.Account, secrets config.Secrets) ([]scheduler.Outlet, error) {
	byHandle := make(map[string]int, len(a.cfg.Accounts))
	for i, c := range a.cfg.Accounts {
		byHandle[c.Handle] = i
	}
	base := a.pool()
	var outlets []scheduler.Outlet
	var errs []error
	for _, account := range all {
		i := byHandle[account.Handle]
		conf := a.cfg.Accounts[i]
		if account.Mode == post.ModeAssist {
			// Decoding refuses keys that mean nothing to anybody.
			if err := conf.Extra.Decode(&struct{}{}); err != nil {
				errs = append(errs, err)
			}
			outlets = append(outlets, scheduler.Outlet{Account: account})
			continue
		}
		driver := a.drivers[account.Platform]
		adapter, err := driver.Open(adapters.Env{
			Account:  account,
			Settings: a.cfg.Platforms[account.Platform].Decode,
			Extra:    conf.Extra.Decode,
			Secret:   func(s secret.Source) (secret.Text, error) { return s.Resolve(a.opts.Env) },
			Credentials: &credentials{
				account: account, seed: secrets.Accounts[account.Handle], sealer: a.sealer, store: a.store,
			},
			Base: base,
			Now:  a.opts.Now,
			Log:  a.opts.Log.With(slog.String("account", account.Handle)),
		})
		if err != nil {
			at := a.cfg.Place(fmt.Sprintf("accounts[%d]", i))
			errs = append(errs, fmt.Errorf("%s: account %s: %w", at, account.Handle, err))
			continue
		}
		outlets = append(outlets, scheduler.Outlet{Account: account, Adapter: adapter, CommitTimeout: driver.CommitTimeout})
	}
	return outlets, placed(errs)
}

// pool is the connection pool below all clients. It holds no credentials. Proxy variables and the system's roots are
// honoured, so that an operator can look at what is sent.
func (a *App) pool() http.RoundTripper {
	if a.opts.Transport != nil {
		return a.opts.Transport
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// directory is who is who.
func directory(c *config.Config) (team.Directory, error) {
	d := team.Directory{Brands: map[string]team.Brand{}, People: map[string]team.Person{}, Owner: c.Auth.Owner}
	for _, b := range c.Brands {
		d.Brands[b.Handle] = team.Brand{Handle: b.Handle, Name: b.Name}
	}
	for _, p := range c.People {
		person := team.Person{Handle: p.Handle, Name: p.Name, Roles: map[string]team.Role{}}
		for brand, name := range p.Roles {
			role, ok := team.ParseRole(name)
			if !ok {
				return team.Directory{}, fmt.Errorf("person %s: an unknown role", p.Handle)
			}
			person.Roles[brand] = role
		}
		d.People[p.Handle] = person
	}
	return d, nil
}
