package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"crier/adapters"
	"crier/adapters/all"
	"crier/internal/config"
	"crier/internal/post"
)

// ServeOptions says how to serve.
type ServeOptions struct {
	ConfigPath string
	Log        *slog.Logger
	Version    string
}

// Serve runs the daemon of a configuration file until ctx ends. A bad configuration ends it before anything is opened.
func Serve(ctx context.Context, o ServeOptions) error {
	c, warnings, err := config.Load(o.ConfigPath)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		o.Log.WarnContext(ctx, "configuration", "warning", w.String())
	}
	a, err := New(ctx, Options{Config: c, Log: o.Log, Version: o.Version})
	if err != nil {
		return unlessTold(ctx, err)
	}
	return a.Run(ctx)
}

// Check loads a configuration, resolves its secrets and opens every adapter, without touching the data folder or the
// network. It prints what it found and gives the first error.
func Check(_ context.Context, configPath string, env func(string) (string, bool), out io.Writer) error {
	c, warnings, err := config.Load(configPath)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if _, err := fmt.Fprintf(out, "warning: %s\n", w); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	secrets, err := c.Secrets(env)
	if err != nil {
		return err
	}
	a := &App{opts: withDefaults(Options{Config: c, Env: env}), cfg: c, drivers: map[post.Platform]adapters.Driver{}}
	for _, d := range builtIn() {
		a.drivers[d.Platform] = d
	}
	if a.people, err = directory(c); err != nil {
		return err
	}
	if err := settings(c, a.drivers); err != nil {
		return err
	}
	if _, err := a.keys(secrets); err != nil {
		return err
	}
	list, err := accounts(c, a.drivers, nil)
	if err != nil {
		return err
	}
	if _, err := a.outlets(list, secrets); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d brands, %d people, %d accounts: good\n", configPath, len(c.Brands), len(c.People), len(list))
	return err
}

func builtIn() []adapters.Driver { return all.Drivers() }
