// Package client speaks Crier's REST API. The command line and tests use it; its types are the wire's, written down a
// second time on purpose, so that a change of the contract is seen by somebody.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"crier/internal/secret"
)

const (
	// maxAnswer bounds an answer in bytes.
	maxAnswer = 64 << 20
	// maxProblem bounds the body of a refusal in bytes.
	maxProblem = 1 << 20
	// dialWait bounds the making of a connection.
	dialWait = 10 * time.Second
	// answerWait bounds the wait for an answer's first byte. The API itself waits for up to half a minute when asked.
	answerWait = 2 * time.Minute
	// base is where the API lies under the daemon's address.
	base = "/api/v1"
)

// Options says which daemon to talk to and in whose name. Either URL or Socket is set.
type Options struct {
	// URL is the daemon's address, such as https://crier.acme.example, with or without a slash at the end.
	URL string
	// Socket is the path of the daemon's local socket. It needs no key.
	Socket string
	// Key is the API key; absent on the local socket.
	Key secret.Text
	// As is the handle of the person for whom one acts on the local socket; empty for the installation's owner.
	As string
	// UserAgent names the program.
	UserAgent string
}

// Client talks to one daemon. It is safe for concurrent use. It follows no redirects, since they would carry the key
// elsewhere, and repeats nothing by itself beyond what [http.Transport] does for requests that are safe to repeat.
type Client struct {
	opts Options
	base *url.URL
	http *http.Client
}

// New makes a client. It does not connect yet.
func New(o Options) (*Client, error) {
	dialer := &net.Dialer{Timeout: dialWait}
	transport := &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   dialWait,
		ResponseHeaderTimeout: answerWait,
		IdleConnTimeout:       time.Minute,
		MaxIdleConns:          4,
		ForceAttemptHTTP2:     true,
	}
	c := &Client{opts: o, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	switch {
	case (o.URL == "") == (o.Socket == ""):
		return nil, errors.New("either an address or a socket is needed")
	case o.Socket != "":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", o.Socket)
		}
		c.base = &url.URL{Scheme: "http", Host: "localhost"}
		return c, nil
	}
	u, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The cause would quote an address, which may hold a password.
		return nil, errors.New("the daemon's address must look like https://crier.acme.example")
	}
	transport.Proxy = http.ProxyFromEnvironment
	c.base = u
	return c, nil
}

// Where names the daemon for messages.
func (c *Client) Where() string {
	if c.opts.Socket != "" {
		return c.opts.Socket
	}
	return c.base.String()
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// UnreachableError says that no daemon answered. Sent says that the request may have arrived all the same.
type UnreachableError struct {
	Where string
	Sent  bool
	Err   error
}

// Error says where nobody answered, and why.
func (e *UnreachableError) Error() string {
	if e.Sent {
		return fmt.Sprintf("%s gave no answer, and the request may have arrived: %v", e.Where, e.Err)
	}
	return fmt.Sprintf("no daemon answers at %s: %v", e.Where, e.Err)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// call is one request. Body is encoded as JSON unless it is nil; stream replaces it.
type call struct {
	method, path string
	query        url.Values
	body         any
	stream       io.Reader
	streamSize   int64
	streamType   string
	header       map[string]string
}

// do sends a request and gives the answer's body. An answer other than 2xx is a *Problem, none is an
// *UnreachableError.
func (c *Client) do(ctx context.Context, q call) ([]byte, http.Header, error) {
	req, err := c.request(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, c.unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // Read to its end or given up.
	if resp.StatusCode/100 != 2 {
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if err != nil {
			b = nil // The status alone tells enough.
		}
		return nil, resp.Header, problem(resp, b)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, &UnreachableError{Where: c.Where(), Sent: true, Err: cause(err)}
	}
	if len(b) > maxAnswer {
		return nil, nil, fmt.Errorf("the answer of %s is larger than %d bytes", c.Where(), maxAnswer)
	}
	return b, resp.Header, nil
}

func (c *Client) request(ctx context.Context, q call) (*http.Request, error) {
	body, size, typ := q.stream, q.streamSize, q.streamType
	if q.body != nil {
		b, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body, size, typ = bytes.NewReader(b), int64(len(b)), "application/json"
	}
	u := *c.base
	u.RawQuery = q.query.Encode()
	// The path is escaped already; both forms are needed for it to stay so.
	escaped := c.base.EscapedPath() + q.path
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	u.Path, u.RawPath = plain, escaped
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", typ)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if c.opts.UserAgent != "" {
		req.Header.Set("User-Agent", c.opts.UserAgent)
	}
	if !c.opts.Key.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.opts.Key.Reveal())
	}
	if c.opts.Socket != "" && c.opts.As != "" {
		req.Header.Set("Crier-As", c.opts.As)
	}
	for name, value := range q.header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// unreachable explains an error of the transport, whose own text repeats method and address.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	op, ok := errors.AsType[*net.OpError](err)
	return &UnreachableError{Where: c.Where(), Sent: !ok || op.Op != "dial", Err: cause(err)}
}

// cause strips what net/http and net wrap around an error.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	return err
}

// Doc is one thing as the API told it.
type Doc[T any] struct {
	Value T
	// Raw is the JSON itself, with fields that T does not know.
	Raw json.RawMessage
	// ETag is empty for things that came in a list.
	ETag string
}

// MarshalJSON gives what the API told.
func (d Doc[T]) MarshalJSON() ([]byte, error) {
	if len(d.Raw) == 0 {
		return []byte("null"), nil
	}
	return d.Raw, nil
}

// UnmarshalJSON reads a thing and keeps its JSON.
func (d *Doc[T]) UnmarshalJSON(b []byte) error {
	d.Raw = bytes.Clone(b)
	return json.Unmarshal(b, &d.Value)
}

// Page is a part of a list. Next is where the next part begins, empty at the end.
type Page[T any] struct {
	Items []Doc[T] `json:"items"`
	Next  string   `json:"next_cursor"`
}

// fetch sends a request whose answer is one thing. An empty answer is the zero thing.
func fetch[T any](ctx context.Context, c *Client, q call) (Doc[T], error) {
	q.path = base + q.path
	b, header, err := c.do(ctx, q)
	if err != nil {
		return Doc[T]{}, err
	}
	d := Doc[T]{}
	if len(bytes.TrimSpace(b)) > 0 {
		if err := json.Unmarshal(b, &d); err != nil {
			return Doc[T]{}, notUnderstood(c, err)
		}
	}
	d.ETag = header.Get("ETag")
	return d, nil
}

// list reads pages until there are limit items, or all with a limit of 0. Next is set when there are more.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, limit int) (Page[T], error) {
	const most = 500 // that the API gives at once
	all := Page[T]{Items: []Doc[T]{}}
	ask := url.Values{}
	maps.Copy(ask, query)
	for {
		if limit > 0 {
			ask.Set("limit", strconv.Itoa(min(most, limit-len(all.Items))))
		}
		d, err := fetch[Page[T]](ctx, c, call{method: http.MethodGet, path: path, query: ask})
		if err != nil {
			return Page[T]{}, err
		}
		all.Items, all.Next = append(all.Items, d.Value.Items...), d.Value.Next
		if all.Next == "" || len(d.Value.Items) == 0 || (limit > 0 && len(all.Items) >= limit) {
			return all, nil
		}
		ask.Set("cursor", all.Next)
	}
}

// notUnderstood tells where an answer failed to decode, without quoting it.
func notUnderstood(c *Client, err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("the answer of %s is not understood: field %s is a %s", c.Where(), e.Field, e.Value)
	}
	return fmt.Errorf("the answer of %s is not understood: is it a Crier of this version", c.Where())
}

// segment makes a part of a path of any text.
func segment(s string) string { return "/" + url.PathEscape(s) }
