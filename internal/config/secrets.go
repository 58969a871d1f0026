package config

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"crier/internal/post"
	"crier/internal/secret"
)

// Secrets are the values of the secrets that the configuration names, those of the platforms' own settings aside.
type Secrets struct {
	// BootstrapKey is a key of the installation's owner, or absent.
	BootstrapKey secret.Text
	// People holds the keys of those people who have one, by handle.
	People map[string]secret.Text
	// Accounts holds the credentials of accounts by the handle of the account and their own names.
	Accounts map[string]map[string]secret.Text
}

// Secrets gets all secrets; env looks up an environment variable, as [os.LookupEnv] does. The error joins one for each
// secret that cannot be had; each says where the secret is named.
func (c *Config) Secrets(env func(string) (string, bool)) (Secrets, error) {
	var errs []error
	resolve := func(s secret.Source) secret.Text {
		t, err := s.Resolve(env)
		errs = append(errs, err)
		return t
	}
	s := Secrets{
		BootstrapKey: resolve(c.Auth.BootstrapKey),
		People:       map[string]secret.Text{},
		Accounts:     map[string]map[string]secret.Text{},
	}
	for _, p := range c.People {
		if t := resolve(p.Key); !t.IsZero() {
			s.People[p.Handle] = t
		}
	}
	for _, a := range c.Accounts {
		tokens := make(map[string]secret.Text, len(a.Credentials))
		for _, name := range slices.Sorted(maps.Keys(a.Credentials)) {
			tokens[name] = resolve(a.Credentials[name])
		}
		s.Accounts[a.Handle] = tokens
	}
	if err := errors.Join(errs...); err != nil {
		return Secrets{}, err
	}
	return s, nil
}

// plain gives the paths of all secrets that stand in the file itself, in the order of their places.
func (c *Config) plain() []Position {
	var at []Position
	check := func(s secret.Source, path string) {
		if s.Inline() {
			at = append(at, c.places[path])
		}
	}
	check(c.Auth.BootstrapKey, "auth.bootstrap_key")
	for i, p := range c.People {
		check(p.Key, child(item("people", i), "key"))
	}
	for i, a := range c.Accounts {
		for name, s := range a.Credentials {
			check(s, child(child(item("accounts", i), "credentials"), name))
		}
		at = append(at, a.Extra.plain()...)
	}
	for _, n := range c.Platforms {
		at = append(at, n.plain()...)
	}
	slices.SortFunc(at, comparePositions)
	return at
}

// plain gives the places of texts in an undecoded mapping under keys that sound like secrets. Only its adapter knows
// which are; a warning may err.
func (n Node) plain() []Position {
	mapping, ok := n.node.(*ast.MappingNode)
	if !ok {
		return nil
	}
	var at []Position
	for _, v := range mapping.Values {
		key, _ := text(v.Key)
		if s, isText := text(v.Value); isText && s != "" && soundsSecret(key) {
			at = append(at, position(n.file.name, v.Value.GetToken()))
		}
	}
	return at
}

func soundsSecret(key string) bool {
	return slices.ContainsFunc([]string{"secret", "token", "password", "_key"}, func(end string) bool {
		return strings.HasSuffix(key, end)
	})
}

// warnings tells what is allowed and should not stay.
func (c *Config) warnings() []Warning {
	var list []Warning
	for _, at := range c.plain() {
		list = append(list, Warning{at, "a secret stands here in plain sight; use {env: NAME} or {file: PATH}"})
	}
	for i, a := range c.Accounts {
		if a.Approvals > 0 {
			list = append(list, Warning{c.places[child(item("accounts", i), "approvals")], "nobody can approve yet: what is posted to this account waits and is missed; set 0"})
		}
	}
	type login struct {
		platform post.Platform
		identity string
	}
	first := map[login]Position{}
	for i, a := range c.Accounts {
		if a.Identity == "" {
			continue
		}
		at := c.places[child(item("accounts", i), "identity")]
		l := login{a.Platform, strings.ToLower(a.Identity)}
		if before, again := first[l]; again {
			list = append(list, Warning{at, "the same identity as at " + before.String() + ": this account will be held"})
			continue
		}
		first[l] = at
	}
	slices.SortStableFunc(list, func(a, b Warning) int { return comparePositions(a.Position, b.Position) })
	return list
}
