package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"

	"crier/internal/app"
	"crier/internal/client"
	"crier/internal/config"
	"crier/internal/secret"
)

// config gives the path of the configuration: the flag, the environment, the usual name.
func (c *cli) config() string {
	if c.configPath != "" {
		return c.configPath
	}
	if path, ok := c.env("CRIER_CONFIG"); ok && path != "" {
		return path
	}
	return "config.yaml"
}

// errNoConfig says that there is no configuration to find the daemon by.
var errNoConfig = errors.New("no configuration says where the daemon is")

// dataDir gives the data folder of the configuration.
func (c *cli) dataDir() (string, error) {
	cfg, _, err := config.Load(c.config())
	if err != nil {
		return "", err
	}
	return cfg.DataDir, nil
}

// daemon gives a client of the daemon that the environment names, or else of the one of the configuration. The caller
// closes it.
func (c *cli) daemon() (*client.Client, error) { return c.daemonAs(c.person) }

func (c *cli) daemonAs(person string) (*client.Client, error) {
	o := client.Options{UserAgent: "crier/" + c.version + " (" + runtime.GOOS + ")"}
	if key, ok := c.env("CRIER_KEY"); ok {
		o.Key = secret.New(key)
	}
	if url, ok := c.env("CRIER_URL"); ok && url != "" {
		switch {
		case c.person != "":
			return nil, usagef("--as is for the local socket: with $CRIER_URL, the key says who one is")
		case o.Key.IsZero():
			return nil, errors.New("$CRIER_URL is set, but $CRIER_KEY is not: make a key with crier key create")
		}
		o.URL = url
		return client.New(o)
	}
	if person != "" && !o.Key.IsZero() && c.person != "" {
		return nil, usagef("--as and $CRIER_KEY both say who one is: unset $CRIER_KEY")
	}
	dir, err := c.dataDir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errNoConfig, err)
	}
	if err != nil {
		return nil, err
	}
	o.Socket, o.As = filepath.Join(dir, app.SocketName), person
	return client.New(o)
}
