package youtube

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"crier/adapters"
	"crier/internal/secret"
)

const (
	// early is how long before its end an access token is replaced.
	early = time.Minute
	// shortLife is the life of a token whose answer does not say.
	shortLife = 5 * time.Minute
)

// tokens holds the access token at hand and gets new ones, one at a time. It is safe for concurrent use.
type tokens struct {
	url, id     string
	secret      secret.Text
	credentials adapters.Credentials
	client      *http.Client // bears no token
	now         func() time.Time

	turn chan struct{} // holds one element while somebody asks for a token
	// old and unsaved are a rotation that could not be stored; it is tried again before the next use. Whoever holds turn
	// may use them.
	old, unsaved map[string]secret.Text

	mu      sync.Mutex
	access  secret.Text
	expires time.Time
	seed    secret.Text // the refresh token that access came from
}

// current gives the access token while it is good for the refresh token that the credentials hold now.
func (t *tokens) current(seed secret.Text) (secret.Text, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.access, !t.access.IsZero() && t.seed.Equal(seed) && t.now().Add(early).Before(t.expires)
}

// atHand gives the access token, however old; absent before the first.
func (t *tokens) atHand() secret.Text {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.access
}

// fresh makes sure that the access token at hand is good for a while. Its error is an *adapters.Error, Absent.
func (t *tokens) fresh(ctx context.Context) error { return t.replace(ctx, secret.Text{}) }

// renew gets a new access token even though the one at hand looks good.
func (t *tokens) renew(ctx context.Context) error { return t.replace(ctx, t.atHand()) }

// replace makes sure that the token at hand is good and is not the refused one. Of several callers one asks Google,
// and the rest find its token.
func (t *tokens) replace(ctx context.Context, refused secret.Text) error {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return noToken(context.Cause(ctx))
	}
	if err := t.store(ctx); err != nil {
		return err
	}
	stored, err := t.credentials.Load(ctx)
	if err != nil {
		return noToken(err)
	}
	seed := stored["refresh_token"]
	if seed.IsZero() {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: "refresh_token is missing: connect the channel"}
	}
	if access, ok := t.current(seed); ok && (refused.IsZero() || !access.Equal(refused)) {
		return nil
	}
	return t.ask(ctx, stored, seed)
}

func noToken(err error) *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "the tokens could not be loaded", Err: err}
}

// ask trades the refresh token for an access token. A new refresh token is stored before anything is used.
func (t *tokens) ask(ctx context.Context, stored map[string]secret.Text, seed secret.Text) error {
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {seed.Reveal()},
		"client_id": {t.id}, "client_secret": {t.secret.Reveal()},
	}
	// A flight of its own: the answer is made of secrets.
	flight := &adapters.Flight{}
	ctx = adapters.WithFlight(ctx, flight)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, strings.NewReader(form.Encode()))
	if err != nil {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the token request cannot be made", Err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := t.client.Do(req)
	if err == nil {
		err = resp.Body.Close()
	}
	if e := flight.NotSent(withoutURL(err), false); e != nil {
		return e
	}
	call, _ := flight.Last(false)
	var got struct {
		AccessToken  string  `json:"access_token"`
		RefreshToken string  `json:"refresh_token"`
		ExpiresIn    float64 `json:"expires_in"`
	}
	if !succeeded(call) || json.Unmarshal(call.Body, &got) != nil || got.AccessToken == "" {
		return t.refused(call)
	}
	if got.RefreshToken != "" && got.RefreshToken != seed.Reveal() {
		current := maps.Clone(stored)
		current["refresh_token"] = secret.New(got.RefreshToken)
		t.old, t.unsaved = stored, current
		if err := t.store(ctx); err != nil {
			return err
		}
		seed = current["refresh_token"]
	}
	life := shortLife
	if got.ExpiresIn > early.Seconds() && got.ExpiresIn < 366*24*3600 {
		life = time.Duration(got.ExpiresIn) * time.Second
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.access, t.expires, t.seed = secret.New(got.AccessToken), t.now().Add(life), seed
	return nil
}

// store keeps a rotated refresh token before anything is done with what came with it.
func (t *tokens) store(ctx context.Context) error {
	if t.unsaved == nil {
		return nil
	}
	err := t.credentials.Replace(ctx, t.old, t.unsaved)
	if err != nil && !errors.Is(err, adapters.ErrTokensChanged) {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the new tokens could not be stored", Err: err}
	}
	// Tokens that somebody else has replaced meanwhile are the ones that count: the next call begins with them.
	t.old, t.unsaved = nil, nil
	if err != nil {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the tokens were replaced meanwhile", Err: err}
	}
	return nil
}

// refused says why Google gave no token. Only its own refusal is one: anything else is an outage, or whatever stands in
// between, and says nothing about the account or about what is to be posted.
func (t *tokens) refused(c adapters.Call) *adapters.Error {
	e := &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Status: c.Status, Message: "Google gave no access token"}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(c.Body, &said) == nil {
		e.Code = cut(said.Error)
	}
	switch {
	case c.Status == http.StatusTooManyRequests:
		e.Reason, e.Until = adapters.RateLimit, adapters.RetryAfter(c.Header, t.now())
	case e.Code == "" || c.Status < 400 || c.Status >= 500:
	case e.Code == "invalid_grant":
		// Also after seven days while the consent screen of the project is in testing.
		e.Reason, e.Message = adapters.Auth, "Google no longer accepts the refresh token: connect the channel again"
	default:
		e.Reason, e.Message = adapters.Auth, "Google does not accept client_id and client_secret"
	}
	return e
}

type tokenKey struct{}

// withToken has everything under the context sent with exactly this token.
func withToken(ctx context.Context, token secret.Text) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// bearer puts the access token on requests. Reads and uploads that are answered 401 are sent once more with a new
// token; a commit never is, and nothing with a token of the context.
type bearer struct {
	base   http.RoundTripper
	tokens *tokens
}

// RoundTrip implements [http.RoundTripper].
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if token, ok := ctx.Value(tokenKey{}).(secret.Text); ok {
		return b.base.RoundTrip(signed(r, token))
	}
	if adapters.IsCommit(ctx) {
		closeBody(r)
		return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: "no token was chosen for the commit"}
	}
	if err := b.tokens.fresh(ctx); err != nil {
		closeBody(r)
		return nil, err
	}
	used := b.tokens.atHand()
	resp, err := b.base.RoundTrip(signed(r, used))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	again := r
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			return resp, nil
		}
		body, err := r.GetBody()
		if err != nil {
			return resp, nil //nolint:nilerr // The 401 is the answer then.
		}
		again = r.Clone(ctx)
		again.Body = body
	}
	_ = resp.Body.Close() // it has been read already
	if err := b.tokens.replace(ctx, used); err != nil {
		closeBody(again)
		return nil, err
	}
	return b.base.RoundTrip(signed(again, b.tokens.atHand()))
}

func signed(r *http.Request, token secret.Text) *http.Request {
	out := r.Clone(r.Context())
	out.Header.Set("Authorization", "Bearer "+token.Reveal())
	return out
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing was read from it
	}
}
