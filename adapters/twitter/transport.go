package twitter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dghubble/oauth1"

	"crier/adapters"
	"crier/internal/secret"
)

// userAgent names us on every call of API v2.
const userAgent = "crier"

// keys are one login of the account. A context may hold the keys that everything under it is to be signed with, so that a
// commit goes out with those that the platform was asked about.
type keys struct{ token, secret secret.Text }

type keysKey struct{}

// keys gives the keys of the context, else those that are stored now.
func (a *adapter) keys(ctx context.Context) (keys, error) {
	if k, ok := ctx.Value(keysKey{}).(keys); ok {
		return k, nil
	}
	tokens, err := a.env.Credentials.Load(ctx)
	if err != nil {
		reason := adapters.Server
		if ctx.Err() != nil {
			reason = adapters.Network
		}
		return keys{}, &adapters.Error{Fate: adapters.Absent, Reason: reason, Message: "the stored tokens could not be read", Err: err}
	}
	k := keys{token: tokens[accessToken], secret: tokens[accessSecret]}
	if k.token.IsZero() || k.secret.IsZero() {
		return keys{}, &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Auth, Message: "the account has no access_token or no access_secret",
		}
	}
	return k, nil
}

// client gives an HTTP client that signs as the account. From the outside in: the signer, the recorder, the pool. The
// recorder stands below the signer, so that it sees what is really sent, and the signer is made for each call, so
// that tokens which were replaced count at once; that costs nothing, as the pool is not made anew.
func (a *adapter) client(ctx context.Context) (*http.Client, error) {
	k, err := a.keys(ctx)
	if err != nil {
		return nil, err
	}
	base := context.WithValue(ctx, oauth1.HTTPClient, &http.Client{Transport: &a.recorder})
	config := oauth1.NewConfig(a.config.consumerKey.Reveal(), a.config.consumerSecret.Reveal())
	return adapters.Client(config.Client(base, oauth1.NewToken(k.token.Reveal(), k.secret.Reveal())).Transport), nil
}

// call makes one request of API v2 and gives the record of it. The error is that of the wire; an answer of any status
// is none.
func (a *adapter) call(ctx context.Context, method string, base *url.URL, path string, query url.Values, contentType string, body []byte) (adapters.Call, error) {
	client, err := a.client(ctx)
	if err != nil {
		return adapters.Call{}, err
	}
	u := *base
	u.Path, u.RawQuery = strings.TrimRight(u.Path, "/")+path, query.Encode()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	q, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return adapters.Call{}, fmt.Errorf("make request: %w", err)
	}
	q.Header.Set("User-Agent", userAgent)
	if contentType != "" {
		q.Header.Set("Content-Type", contentType)
	}
	resp, err := client.Do(q)
	if err != nil {
		return adapters.Call{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read into memory below
	text, err := io.ReadAll(resp.Body)
	return adapters.Call{
		Method: method, Path: u.Path, Commit: adapters.IsCommit(ctx), Status: resp.StatusCode, Header: resp.Header,
		Body: text, Whole: err == nil, Err: err,
	}, nil
}

// read is a call that is no commit and whose answer must be whole and of status 200 to count. Its errors have fate
// Absent: nothing of it is public.
func (a *adapter) read(ctx context.Context, method string, base *url.URL, path string, query url.Values, contentType string, body []byte) (adapters.Call, error) {
	c, err := a.call(ctx, method, base, path, query, contentType, body)
	if err != nil {
		return c, a.unanswered(err)
	}
	return c, a.refusedRead(c)
}

// jsonBody encodes a body of ours. It holds strings, numbers and booleans alone, so that encoding cannot fail; a body
// of nothing is what X would refuse.
func jsonBody(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// roundTripper is a function as http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// legacyClient gives the client for go-twitter, which takes no context and knows one address only. It is made for one
// call: above the signer it leads to our address, so that the signature is over what is sent, and attaches ctx.
func (a *adapter) legacyClient(ctx context.Context) (*http.Client, error) {
	client, err := a.client(ctx)
	if err != nil {
		return nil, err
	}
	signer := client.Transport
	return adapters.Client(roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(ctx)
		r.URL.Scheme, r.URL.Host, r.Host = a.config.legacy.Scheme, a.config.legacy.Host, ""
		// go-twitter's paths begin with the version, which the configured address may end with.
		r.URL.Path = strings.TrimSuffix(a.config.legacy.Path, "/1.1") + r.URL.Path
		return signer.RoundTrip(r)
	})), nil
}
