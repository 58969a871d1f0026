package reddit

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"crier/adapters"
	"crier/internal/secret"
)

// tokens gives access tokens of one account. go-reddit's and x/oauth2's own token transports ignore the context of
// the request that needs the token, keep a revoked one until its stated end and store nothing; this one does not.
type tokens struct {
	config   config
	env      adapters.Env
	recorder *adapters.Recorder
	// slot holds the state while nobody uses it: one refresh at a time, and waiting for it honours the context.
	slot chan tokenState
}

type tokenState struct {
	access secret.Text
	until  time.Time   // zero: not known
	seed   secret.Text // the stored token that access grew from
	// old and unsaved are a rotation that could not be stored; it is tried again before the next use.
	old, unsaved map[string]secret.Text
}

// early is how long before its end a token is no longer used.
const early = time.Minute

// longest bounds what an answer says about how long a token lives.
const longest = 30 * 24 * time.Hour

func newTokens(c config, env adapters.Env, r *adapters.Recorder) *tokens {
	t := &tokens{config: c, env: env, recorder: r, slot: make(chan tokenState, 1)}
	t.slot <- tokenState{}
	return t
}

// get gives a token that is not bad, the one that was refused before; a new one is fetched when there is none.
// The context must not be a commit's.
func (t *tokens) get(ctx context.Context, bad secret.Text) (secret.Text, error) {
	state, err := t.take(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	defer func() { t.slot <- state }()
	if state.unsaved != nil {
		if err := t.store(ctx, &state); err != nil {
			return secret.Text{}, err
		}
	}
	stored, err := t.load(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	fresh := state.until.IsZero() || t.env.Now().Before(state.until)
	if !state.access.IsZero() && state.seed.Equal(seedOf(stored)) && fresh && (bad.IsZero() || !state.access.Equal(bad)) {
		return state.access, nil
	}
	state.access = secret.Text{}
	if err := t.fetch(ctx, &state, stored); err != nil {
		return secret.Text{}, err
	}
	return state.access, nil
}

// held gives the token that is there, without fetching any.
func (t *tokens) held(ctx context.Context) (secret.Text, error) {
	state, err := t.take(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	defer func() { t.slot <- state }()
	if state.access.IsZero() {
		return secret.Text{}, refusedToken("the token has ended meanwhile")
	}
	return state.access, nil
}

func (t *tokens) take(ctx context.Context) (tokenState, error) {
	if err := ctx.Err(); err != nil {
		return tokenState{}, noToken(err)
	}
	select {
	case s := <-t.slot:
		return s, nil
	case <-ctx.Done():
		return tokenState{}, noToken(ctx.Err())
	}
}

func noToken(err error) *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "no access token from Reddit", Err: err}
}

func refusedToken(message string) *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: message}
}

func (t *tokens) load(ctx context.Context) (map[string]secret.Text, error) {
	stored, err := t.env.Credentials.Load(ctx)
	if err == nil {
		return stored, nil
	}
	reason := adapters.Server
	if ctx.Err() != nil {
		reason = adapters.Network
	}
	return nil, &adapters.Error{Fate: adapters.Absent, Reason: reason, Message: "the stored tokens could not be read", Err: err}
}

// seedOf is what access tokens grow from: when it is another one, the account was connected anew.
func seedOf(stored map[string]secret.Text) secret.Text {
	if refresh := stored[refreshToken]; !refresh.IsZero() {
		return refresh
	}
	return stored[accessToken]
}

// fetch spends the refresh token once.
func (t *tokens) fetch(ctx context.Context, state *tokenState, stored map[string]secret.Text) error {
	refresh := stored[refreshToken]
	if refresh.IsZero() {
		if stored[accessToken].IsZero() {
			return refusedToken("the account has neither refresh_token nor access_token")
		}
		state.access, state.until, state.seed = stored[accessToken], time.Time{}, stored[accessToken]
		return nil
	}
	c, err := t.ask(ctx, refresh)
	if err != nil {
		return noToken(err)
	}
	var in struct {
		Access  string  `json:"access_token"`
		Seconds float64 `json:"expires_in"`
		Refresh string  `json:"refresh_token"`
	}
	broken := json.Unmarshal(c.Body, &in) != nil
	switch {
	case c.Status == http.StatusUnauthorized && saysError(c.Body):
		return withStatus(refusedToken("Reddit does not accept client_id and client_secret"), c)
	case (c.Status == http.StatusOK || c.Status == http.StatusBadRequest) && saysError(c.Body):
		return withStatus(refusedToken("Reddit does not accept the refresh token: connect the account again"), c)
	case c.Status == http.StatusTooManyRequests:
		return classify(c, t.env.Now()).Harmless()
	case c.Status != http.StatusOK || broken || in.Access == "":
		// Whatever stands in between said this: nothing about the account, and nothing about what is to be posted.
		return withStatus(noToken(errors.New("the answer has no access token")), c)
	}
	life := time.Duration(min(max(in.Seconds, 0), longest.Seconds()) * float64(time.Second))
	if in.Refresh != "" && in.Refresh != refresh.Reveal() {
		current := maps.Clone(stored)
		current[refreshToken] = secret.New(in.Refresh)
		state.old, state.unsaved = stored, current
		if err := t.store(ctx, state); err != nil {
			return err
		}
		refresh = current[refreshToken]
	}
	state.access, state.until, state.seed = secret.New(in.Access), t.env.Now().Add(max(life-early, 0)), refresh
	return nil
}

// saysError reports whether a body is Reddit's refusal of a token: an object with an error in it.
func saysError(body []byte) bool {
	var in struct {
		Error any `json:"error"`
	}
	return json.Unmarshal(body, &in) == nil && in.Error != nil
}

func withStatus(e *adapters.Error, c adapters.Call) *adapters.Error {
	e.Status = c.Status
	return e
}

// store keeps a rotated refresh token before anything is done with what came with it.
func (t *tokens) store(ctx context.Context, state *tokenState) error {
	err := t.env.Credentials.Replace(ctx, state.old, state.unsaved)
	if err != nil && !errors.Is(err, adapters.ErrTokensChanged) {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the new tokens could not be stored", Err: err}
	}
	// Tokens that somebody else has replaced meanwhile are the ones that count: the next call begins with them.
	state.old, state.unsaved = nil, nil
	if err != nil {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the tokens were replaced meanwhile", Err: err}
	}
	return nil
}

// ask makes the one request to the token endpoint. It has a flight of its own, since the answer is made of secrets.
func (t *tokens) ask(ctx context.Context, refresh secret.Text) (adapters.Call, error) {
	ctx = adapters.WithFlight(ctx, &adapters.Flight{})
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}}
	u := *t.config.auth
	u.Path = strings.TrimRight(u.Path, "/") + "/api/v1/access_token"
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return adapters.Call{}, err
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("User-Agent", t.config.userAgent)
	q.SetBasicAuth(t.config.clientID, t.config.clientSecret.Reveal())
	resp, err := adapters.Client(t.recorder).Do(q)
	if err != nil {
		return adapters.Call{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it is read whole below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return adapters.Call{}, err
	}
	return adapters.Call{Status: resp.StatusCode, Header: resp.Header, Body: body, Whole: true}, nil
}

type tokenKey struct{}

// withToken has everything under the context sent with exactly this token.
func withToken(ctx context.Context, token secret.Text) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// RoundTrip implements [http.RoundTripper]: it is the account's transport below go-reddit. With a token of the context
// a request goes out once, and so does every commit; else a refused token is replaced and the request sent again, once.
func (t *tokens) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if token, ok := ctx.Value(tokenKey{}).(secret.Text); ok {
		return t.send(r, token)
	}
	if adapters.IsCommit(ctx) {
		closeBody(r)
		return nil, refusedToken("no token was chosen for the commit")
	}
	token, err := t.get(ctx, secret.Text{})
	if err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := t.send(r, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || r.Method != http.MethodGet {
		return resp, err
	}
	next, err := t.get(ctx, token)
	if err != nil || next.Equal(token) {
		return resp, nil //nolint:nilerr // the refusal itself says it best
	}
	_ = resp.Body.Close() // it is in memory
	return t.send(r, next)
}

// send signs and sends one request. Then it takes away the rate headers, which are in the flight's record: at
// "x-ratelimit-remaining: 0" go-reddit throws a published post away, and at 0.0 it forges a 429 for the next call
// (vartanbeno/go-reddit#48).
func (t *tokens) send(r *http.Request, token secret.Text) (*http.Response, error) {
	q := r.Clone(r.Context())
	q.Header.Set("Authorization", "Bearer "+token.Reveal())
	q.Header.Set("User-Agent", t.config.userAgent)
	query := q.URL.Query()
	query.Set("raw_json", "1") // else texts come back with HTML entities
	q.URL.RawQuery = query.Encode()
	resp, err := t.recorder.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"X-Ratelimit-Remaining", "X-Ratelimit-Used", "X-Ratelimit-Reset"} {
		resp.Header.Del(name)
	}
	return resp, nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing was read from it
	}
}

// Refresh implements [adapters.Refresher].
func (a *adapter) Refresh(ctx context.Context) error {
	held, err := a.tokens.held(ctx)
	if err != nil {
		held = secret.Text{}
	}
	_, err = a.tokens.get(ctx, held)
	return err
}
