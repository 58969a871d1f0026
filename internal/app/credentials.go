package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/secret"
	"crier/store"
)

// tokenStore is where sealed tokens live.
type tokenStore interface {
	Token(ctx context.Context, account post.AccountKey) (sealed []byte, seed string, err error)
	SwapToken(ctx context.Context, account post.AccountKey, old, sealed []byte, seed string) error
}

// credentials is one account's tokens. Those that the configuration names are the seed; what the platform gave since
// lives sealed in the store, with the account's identity as associated data, so that a brand's token that is moved to
// a personal account does not open. A seed that changed in the configuration replaces what grew from the old one.
type credentials struct {
	account post.Account
	seed    map[string]secret.Text
	sealer  *secret.Sealer
	store   tokenStore

	mu     sync.Mutex
	sealed []byte // as last read or written
}

// Load implements adapters.Credentials.
func (c *credentials) Load(ctx context.Context) (map[string]secret.Text, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(ctx)
}

func (c *credentials) load(ctx context.Context) (map[string]secret.Text, error) {
	sealed, seed, err := c.store.Token(ctx, c.account.Key())
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.sealed = nil
		return maps.Clone(c.seed), nil
	case err != nil:
		return nil, fmt.Errorf("reading the tokens: %w", err)
	}
	c.sealed = sealed
	if seed != c.fingerprint() {
		return maps.Clone(c.seed), nil
	}
	plain, err := c.sealer.Open(sealed, c.place())
	if err != nil {
		return nil, fmt.Errorf("the stored tokens of account %s do not open, is this the right master key: %w", c.account.Handle, err)
	}
	var values map[string]string
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, fmt.Errorf("the stored tokens of account %s are damaged", c.account.Handle)
	}
	tokens := make(map[string]secret.Text, len(values))
	for name, v := range values {
		tokens[name] = secret.New(v)
	}
	return tokens, nil
}

// Replace implements adapters.Credentials.
func (c *credentials) Replace(ctx context.Context, old, current map[string]secret.Text) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.load(ctx)
	if err != nil {
		return err
	}
	if !maps.EqualFunc(now, old, secret.Text.Equal) {
		return adapters.ErrTokensChanged
	}
	values := make(map[string]string, len(current))
	for name, t := range current {
		values[name] = t.Reveal()
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encoding the tokens: %w", err)
	}
	sealed, err := c.sealer.Seal(plain, c.place())
	if err != nil {
		return fmt.Errorf("sealing the tokens: %w", err)
	}
	switch err := c.store.SwapToken(ctx, c.account.Key(), c.sealed, sealed, c.fingerprint()); {
	case errors.Is(err, store.ErrStale):
		return adapters.ErrTokensChanged
	case err != nil:
		return fmt.Errorf("storing the tokens: %w", err)
	}
	c.sealed = sealed
	return nil
}

// place is what the seal is bound to.
func (c *credentials) place() string {
	return strings.Join([]string{"token", string(c.account.Kind), string(c.account.Platform), c.account.Owner, c.account.Handle, c.account.Identity}, "\x00")
}

// fingerprint tells one seed from another without holding it.
func (c *credentials) fingerprint() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.seed)) {
		fmt.Fprintf(&b, "%d:%s%d:%s", len(name), name, len(c.seed[name].Reveal()), c.seed[name].Reveal())
	}
	return c.sealer.Fingerprint(secret.New(b.String()))
}
