package facebook_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/sandbox"
)

// TestTrapsOfTheLibrary answers a commit in the ways which huandu/facebook misreads, each by name.
func TestTrapsOfTheLibrary(t *testing.T) {
	t.Parallel()
	const down = `{"status":"down"}`
	tests := map[string]struct {
		status int
		body   string
		fate   adapters.Fate
		reason adapters.Reason
	}{
		"nil error for a service that is down":     {503, down, adapters.Unknown, adapters.Server},
		"nil error for one that says so with 200":  {200, down, adapters.Unknown, adapters.Protocol},
		"nil error for 500 of an object":           {500, `{}`, adapters.Unknown, adapters.Server},
		"nil error for a null error":               {500, `{"error":null}`, adapters.Unknown, adapters.Server},
		"nil error for a null error with 200":      {200, `{"error":null}`, adapters.Unknown, adapters.Protocol},
		"nil and nil for true":                     {200, `true`, adapters.Unknown, adapters.Protocol},
		"nil and nil for null":                     {200, `null`, adapters.Unknown, adapters.Protocol},
		"nil and nil for 500 true":                 {500, `true`, adapters.Unknown, adapters.Server},
		"nil and nil for 500 null":                 {500, `null`, adapters.Unknown, adapters.Server},
		"nil error for an error as a text":         {400, `{"error":"no"}`, adapters.Absent, adapters.Refused},
		"nil error for a code as a string":         {400, `{"error":{"message":"x","code":"190"}}`, adapters.Absent, adapters.Auth},
		"nil error for a null title":               {400, `{"error":{"message":"x","code":190,"error_user_title":null}}`, adapters.Absent, adapters.Auth},
		"nil error for is_transient as a string":   {400, `{"error":{"message":"x","code":777,"is_transient":"true"}}`, adapters.Unknown, adapters.Server},
		"nil error for is_transient as a number":   {400, `{"error":{"message":"x","code":777,"is_transient":1}}`, adapters.Unknown, adapters.Server},
		"nil error for debug_info":                 {400, `{"debug_info":{"retriable":false,"message":"x"}}`, adapters.Absent, adapters.Refused},
		"nil error for error_type":                 {400, `{"error_type":"OAuthException","error_message":"x"}`, adapters.Absent, adapters.Refused},
		"an unmarshal error for 500 as a page":     {500, `<html></html>`, adapters.Unknown, adapters.Server},
		"an unmarshal error for 502 without words": {502, ``, adapters.Unknown, adapters.Server},
		"an unmarshal error for a list":            {200, `[{"id":"1"}]`, adapters.Unknown, adapters.Protocol},
		"an error for half an object":              {200, `{"id":"1`, adapters.Unknown, adapters.Protocol},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: tt.status, Body: tt.body})
				_, err := r.Delivery(s.Samples[0].Content).Publish(r.Open(0))
				if e := adapters.AsError(err); err == nil || e.Fate != tt.fate || e.Reason != tt.reason {
					t.Errorf("got %v, want %s and %s", err, tt.fate, tt.reason)
				}
			})
		})
	}
	for name, header := range map[string]http.Header{
		"GET and nil for a 302":   {"Location": {adaptertest.Base + "/graph/v26.0/me"}},
		"the token for who leads": {"Location": {"http://evil.invalid/"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				status := http.StatusFound
				if name != "GET and nil for a 302" {
					status = http.StatusTemporaryRedirect
				}
				a := r.Open(0)
				if err := r.Delivery(adaptertest.Vary(s.Samples[0].Content, 1)).All(a); err != nil {
					t.Fatal(err)
				}
				before := len(r.Sandbox.Requests())
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Redirect, Status: status, Header: header})
				_, err := r.Delivery(s.Samples[0].Content).Publish(a)
				if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Protocol {
					t.Errorf("got %v, want absent and protocol", err)
				}
				if n := len(r.Sandbox.Requests()) - before; n != 1 || slices.Contains(r.Wire.Hosts(), "evil.invalid") {
					t.Errorf("%d requests to %v, want one and none elsewhere", n, r.Wire.Hosts())
				}
			})
		})
	}
}

// tail lets what comes after the answers' JSON be something else.
type tail struct {
	base http.RoundTripper
	more string
	err  error // in place of the end
}

func (w tail) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	end := io.Reader(&bytes.Buffer{})
	if w.err != nil {
		end = broken{w.err}
	}
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), bytes.NewReader([]byte(w.more)), end))
	resp.ContentLength = -1
	return resp, nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// TestAnIdThatCameIsTaken holds that a whole object with the post's id is proof, whatever follows it: the library throws
// it away when the connection breaks behind it.
func TestAnIdThatCameIsTaken(t *testing.T) {
	t.Parallel()
	for name, wire := range map[string]tail{
		"success, and markup behind it":            {more: "<html><body></body></html>"},
		"an error for a cut behind the whole JSON": {err: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				env := r.Env(0)
				wire.base = env.Base
				env.Base = wire
				a, err := s.Driver.Open(env)
				if err != nil {
					t.Fatal(err)
				}
				receipt, err := r.Delivery(s.Samples[0].Content).Publish(a)
				if acts := r.Public(); err != nil || len(acts) != 1 || receipt.RemoteID != acts[0].RemoteID {
					t.Errorf("%+v, %v; acts %+v", receipt, err, acts)
				}
			})
		})
	}
}

// bearers keeps whose token each Page's requests bore.
type bearers struct {
	base http.RoundTripper
	mu   *sync.Mutex
	seen map[string]int
	// proofs are those of the app secret, made from a token each.
	proofs map[string]int
}

func (b bearers) RoundTrip(q *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.seen[q.Header.Get("Authorization")+" "+q.URL.Query().Get("access_token")]++
	if proof := q.URL.Query().Get("appsecret_proof"); proof != "" {
		b.proofs[proof]++
	}
	b.mu.Unlock()
	return b.base.RoundTrip(q)
}

// TestNoSessionAndNoParametersAreShared has many calls at once: the library writes the token into the caller's parameters
// and caches the proof in the session without a lock. Run it with -race.
func TestNoSessionAndNoParametersAreShared(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		var work sync.WaitGroup
		for account := range s.Accounts {
			env := r.Env(account)
			b := bearers{base: env.Base, mu: &sync.Mutex{}, seen: make(map[string]int), proofs: make(map[string]int)}
			env.Base = b
			a, err := s.Driver.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			work.Go(func() {
				var calls sync.WaitGroup
				for n := range 16 {
					calls.Go(func() {
						if _, err := a.Publish(t.Context(), r.Delivery(adaptertest.Vary(s.Samples[0].Content, 100*account+n)).Request()); err != nil {
							t.Error(err)
						}
					})
				}
				calls.Wait()
				if len(b.proofs) != 1 {
					t.Errorf("account %d: %d proofs of the app secret, want that of its own token", account, len(b.proofs))
				}
				for said := range b.seen {
					if want := "Bearer " + s.Accounts[account].Tokens["page_token"] + " "; said != want {
						t.Errorf("account %d: a request bore %q", account, fmt.Sprintf("%.20s…", said))
					}
				}
			})
		}
		work.Wait()
	})
}
