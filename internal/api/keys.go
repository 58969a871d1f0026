package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
	"crier/internal/team"
	"crier/store"
)

// keyBody asks for a key.
type keyBody struct {
	Person    string   `json:"person,omitempty" doc:"Whose key; without it one's own."`
	Name      string   `json:"name,omitempty" doc:"What it is for."`
	Scopes    []string `json:"scopes,omitempty"`
	Accounts  []string `json:"accounts,omitempty" doc:"Handles that it is limited to."`
	ExpiresAt string   `json:"expires_at,omitempty" format:"date-time" doc:"When it ends; without it, when the key that makes it ends."`
}

// key checks what was asked for against what the asker's own key may: no key makes one that may more.
func (c *call) key(b *keyBody, s *sight) (store.Key, error) {
	k := store.Key{
		Person: b.Person, Name: strings.TrimSpace(b.Name), Scopes: b.Scopes, Accounts: b.Accounts,
		CreatedBy: c.who.Person, CreatedAt: c.at,
	}
	if k.Person == "" {
		k.Person = c.who.Person
	}
	if err := allow(c.Directory.MakeKey(c.who, k.Person), "person"); err != nil {
		return k, err
	}
	k.Full = team.FullKey(c.who, k.Person)
	if k.Name == "" || len(k.Name) > 100 {
		return k, invalid("name", "name_required", "wanted: 1 to 100 bytes that say what the key is for")
	}
	if len(k.Scopes) == 0 {
		return k, invalid("scopes", "scopes_required", "a key without scopes can do nothing")
	}
	for i, sc := range k.Scopes {
		switch {
		case !slices.Contains(team.Scopes(), team.Scope(sc)):
			return k, invalid(fmt.Sprintf("scopes[%d]", i), "scope_unknown", "there is no such scope")
		case !c.who.Has(team.Scope(sc)):
			return k, forbidden("a key cannot make one that may more than itself")
		}
	}
	if len(c.who.Accounts) > 0 && len(k.Accounts) == 0 {
		k.Accounts = c.who.Accounts
	}
	if len(k.Accounts) > 100 {
		return k, invalid("accounts", "too_many_values", "wanted: at most 100 accounts")
	}
	for i, h := range k.Accounts {
		if len(c.who.Accounts) > 0 && !slices.Contains(c.who.Accounts, h) {
			return k, forbidden("a key cannot make one that may more than itself")
		}
		// Another person's accounts are not the asker's to see; a key of one's own names what one sees.
		if _, ok := s.byHandle(h); !ok && k.Person == c.who.Person {
			return k, invalid(fmt.Sprintf("accounts[%d]", i), "account_not_found", "there is no such account")
		}
		if !post.ValidHandle(h) {
			return k, invalid(fmt.Sprintf("accounts[%d]", i), "account_not_found", "there is no such account")
		}
	}
	var err error
	k.Expires, err = c.keyEnd(b.ExpiresAt)
	return k, err
}

// keyEnd reads when a key is to end: no later than the key that makes it, with which it ends if nothing is said.
func (c *call) keyEnd(asked string) (time.Time, error) {
	if asked == "" {
		return c.who.Expires, nil
	}
	at, err := civil.ParseInstant(asked)
	if err != nil {
		return time.Time{}, invalid("expires_at", civil.CodeTimeInvalid, "wanted: an RFC 3339 time with an offset")
	}
	end := post.Instant(at)
	switch {
	case !end.After(c.at):
		return time.Time{}, invalid("expires_at", civil.CodeInPast, "the time lies in the past")
	case !c.who.Expires.IsZero() && end.After(c.who.Expires):
		return time.Time{}, forbidden("a key cannot make one that outlives it")
	}
	return end, nil
}

func (c *call) createKey(ctx context.Context) (*answer, error) {
	var b keyBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := c.key(&b, s)
	if err != nil {
		return nil, err
	}
	text, made, err := NewKey(asked)
	if err != nil {
		return nil, err
	}
	c.secret = true
	out := &answer{
		status: http.StatusCreated, location: Base + "/keys/" + made.ID,
		body: NewKeyView{Key: keyView(made, "api"), Text: text.Reveal()},
	}
	if err := c.Store.PutKey(ctx, c.write(func(any) *answer { return out }), made); err != nil {
		return nil, fmt.Errorf("writing the key: %w", err)
	}
	return out, nil
}

func (c *call) listKeys(ctx context.Context) (*answer, error) {
	all, err := c.Store.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the keys: %w", err)
	}
	var shared []Key
	for _, k := range c.ConfiguredKeys {
		if c.sharesKey(k) {
			shared = append(shared, keyView(k, "file"))
		}
	}
	for _, k := range all {
		if c.sharesKey(k) {
			shared = append(shared, keyView(k, "api"))
		}
	}
	return paged(c, shared, func(k *Key) string { return k.ID })
}

// sharesKey reports whether the asker may know of a key and revoke it: their own, and as the owner everybody's. A key
// that somebody else made shows the person's full keys to nobody, and one for some accounts shows those for no others.
func (c *call) sharesKey(k store.Key) bool {
	if k.ID == c.who.Key {
		return true
	}
	if len(c.who.Accounts) > 0 && !reachesOnly(k.Accounts, c.who.Accounts) {
		return false
	}
	if k.Person == c.who.Person {
		return c.who.Full || !k.Full
	}
	return c.Directory.Owner != "" && c.who.Person == c.Directory.Owner && c.who.Has(team.Admin)
}

// reachesOnly reports whether a key for the accounts reaches nothing but those allowed; one without a list reaches all.
func reachesOnly(accounts, allowed []string) bool {
	return len(accounts) > 0 && !slices.ContainsFunc(accounts, func(h string) bool { return !slices.Contains(allowed, h) })
}

func (c *call) deleteKey(ctx context.Context) (*answer, error) {
	id := c.r.PathValue("id")
	if k, ok := c.keys[id]; ok && c.sharesKey(k) {
		return nil, problem(http.StatusConflict, "managed_by_file", "this key stands in the configuration: remove it there")
	}
	k, err := c.Store.KeyByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) || (err == nil && !c.sharesKey(k)) {
		return nil, notFound("key")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if err := c.Store.DeleteKey(ctx, c.effect(), id); err != nil {
		return nil, fmt.Errorf("removing the key: %w", err)
	}
	return &answer{}, nil
}

func (c *call) me(ctx context.Context) (*answer, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	p := c.Directory.People[c.who.Person]
	out := Me{
		Person: c.who.Person, Name: p.Name, Owner: c.Directory.Owner != "" && c.who.Person == c.Directory.Owner,
		Roles: map[string]string{}, Key: c.who.Key, Scopes: []string{}, Accounts: kindAccounts(s.order), Full: c.who.Full,
	}
	for brand := range c.Directory.Brands {
		if r := c.Directory.Role(c.who.Person, brand); r != team.NoRole {
			out.Roles[brand] = r.String()
		}
	}
	for _, sc := range c.who.Scopes {
		out.Scopes = append(out.Scopes, string(sc))
	}
	return &answer{body: out}, nil
}
