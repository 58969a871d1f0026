package adapters

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrStopped says that the gate refused a commit before its first byte.
var ErrStopped = errors.New("stopped before anything was written")

// ErrTokensChanged says that another refresh has replaced the tokens already.
var ErrTokensChanged = errors.New("the tokens have changed meanwhile")

// Flight records every HTTP call made under one context and holds the gate that a commit must pass. The scheduler
// makes one for each attempt; an adapter reads it to decide from what was really on the wire rather than from an
// SDK's word. It is safe for concurrent use.
type Flight struct {
	// Gate is asked right before the first byte of a commit. A non-nil error stops it: nothing is written.
	Gate func() error

	mu    sync.Mutex
	calls []*Call
}

// Call is the record of one HTTP request. It never holds request headers, tokens or request bodies.
type Call struct {
	Method string
	// Path is the path alone, without host and query, which may carry secrets.
	Path    string
	Commit  bool
	Started time.Time
	Ended   time.Time
	// Stopped says that the gate refused it. Written says that request bytes may have left: the headers were
	// handed to the connection.
	Stopped, Written bool
	// Status is 0 when no answer came.
	Status int
	Header http.Header
	// Body is what was read of the answer, capped. Whole says that it was read to its end within the cap.
	Body  []byte
	Whole bool
	Err   error
}

type flightKey struct{}

type commitKey struct{}

// WithFlight lets the transport record into f.
func WithFlight(ctx context.Context, f *Flight) context.Context {
	return context.WithValue(ctx, flightKey{}, f)
}

// FlightFrom gives the flight of the context, or a new one that lives in the context returned.
func FlightFrom(ctx context.Context) (context.Context, *Flight) {
	if f, ok := ctx.Value(flightKey{}).(*Flight); ok {
		return ctx, f
	}
	f := &Flight{}
	return WithFlight(ctx, f), f
}

// AsCommit marks the one request made under the context returned as the commit: the gate is asked before it, and
// nothing may send it twice.
func AsCommit(ctx context.Context) context.Context { return context.WithValue(ctx, commitKey{}, true) }

// IsCommit reports whether the context belongs to a commit, so that an adapter's own layers know not to replay it.
func IsCommit(ctx context.Context) bool { return ctx.Value(commitKey{}) != nil }

// Calls gives the calls so far, in order. The records are complete once the call has returned and its body is
// closed.
func (f *Flight) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Call, len(f.calls))
	for i, c := range f.calls {
		out[i] = *c
	}
	return out
}

// Last gives the last call, of commits only when commit is set.
func (f *Flight) Last(commit bool) (Call, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range slices.Backward(f.calls) {
		if !commit || c.Commit {
			return *c, true
		}
	}
	return Call{}, false
}

// BodyCap is how much of an answer is kept and handed on; a longer body ends there with an error.
const BodyCap = 4 << 20

// Recorder is the transport closest to the connection pool, below signers and token layers. It records calls into
// the context's [Flight], asks the gate right before the first byte of a commit, reads answers whole with a cap, and
// makes sure that nothing below can send a commit twice: the body cannot be rewound and no header makes net/http
// take it for repeatable (net/http replays a POST that carries Idempotency-Key when a reused connection dies).
type Recorder struct {
	Base http.RoundTripper
	Now  func() time.Time
	// Cap overrides BodyCap when positive.
	Cap int64
}

// RoundTrip implements http.RoundTripper.
func (t *Recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, flight := FlightFrom(r.Context())
	commit := IsCommit(ctx)
	call := &Call{Method: r.Method, Path: r.URL.Path, Commit: commit, Started: t.Now()}
	flight.mu.Lock()
	flight.calls = append(flight.calls, call)
	flight.mu.Unlock()

	update := func(change func(*Call)) {
		flight.mu.Lock()
		defer flight.mu.Unlock()
		change(call)
	}
	fail := func(err error) error {
		update(func(c *Call) { c.Err, c.Ended = err, t.Now() })
		return err
	}
	stopped := func(cause error) error {
		update(func(c *Call) { c.Stopped, c.Written = true, false })
		return fmt.Errorf("%w: %w", ErrStopped, cause)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the answer is read below
	late := lateGate{cancel: cancel}
	trace := &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { late.over(i.Conn) },
		WroteHeaders: func() {
			if !late.refuses() {
				update(func(c *Call) { c.Written = true })
			}
		},
	}
	out := r.Clone(httptrace.WithClientTrace(ctx, trace))
	if commit {
		if len(r.Header["Idempotency-Key"]) > 0 || len(r.Header["X-Idempotency-Key"]) > 0 {
			closeBody(r)
			return nil, fail(fmt.Errorf("%w: an idempotency header would let it be sent twice", ErrStopped))
		}
		// One earlier commit in the same flight means that some layer is repeating it.
		if flight.commits() > 1 {
			// What counts of the flight is the earlier one, which may be out.
			update(func(c *Call) { c.Commit = false })
			closeBody(r)
			return nil, fail(stopped(errors.New("a commit is never repeated")))
		}
		out.GetBody = nil
		if gate := flight.Gate; gate != nil {
			if err := gate(); err != nil {
				closeBody(r)
				return nil, fail(stopped(err))
			}
			// Dialling may take seconds, so that the gate is asked again right before the first byte.
			if err := late.guard(out, gate); err != nil {
				return nil, fail(stopped(err))
			}
		}
	}
	resp, err := t.Base.RoundTrip(out)
	if cause := late.refusal(); cause != nil {
		if err == nil {
			_ = resp.Body.Close() // whatever was said to a request without its body
		}
		return nil, fail(stopped(cause))
	}
	if err != nil {
		return nil, fail(err)
	}
	limit := t.Cap
	if limit <= 0 {
		limit = BodyCap
	}
	body, rerr := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	_ = resp.Body.Close() // what matters of the body has been read; its error is rerr
	whole := rerr == nil
	if int64(len(body)) > limit {
		body, whole, rerr = body[:limit], false, fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	update(func(c *Call) {
		c.Status, c.Header, c.Body, c.Whole, c.Err, c.Ended = resp.StatusCode, resp.Header.Clone(), body, whole, rerr, t.Now()
		c.Written = true
	})
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), &failingReader{rerr}))
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (t *Recorder) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (f *Flight) commits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c.Commit {
			n++
		}
	}
	return n
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing was read from it
	}
}

// lateGate asks the gate once more when net/http has a connection and has put the request's head into its buffer. Over
// HTTP/1 a head below 4 KiB whose body lies in memory is still unsent then, and a body that falls short of its length
// makes net/http drop the connection with all that is in the buffer, so that nothing gets out. Over HTTP/2 the head is
// out. There a body that falls short would end the stream in order, so that the request is canceled instead, and the
// stream reset: a request without its body is not carried out, and what the platform may answer to its head is no answer
// to the commit. A commit without a body passes the first gate alone.
type lateGate struct {
	gate   func() error
	body   *bytes.Buffer
	cancel context.CancelFunc // of the request

	mu      sync.Mutex
	refused error
	streams bool // over HTTP/2
}

// over learns what the request goes out on.
func (g *lateGate) over(c net.Conn) {
	t, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.streams = ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

// guard takes the request's body into memory: a commit's is small, a thumbnail the largest.
func (g *lateGate) guard(r *http.Request, gate func() error) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return fmt.Errorf("reading the request's body: %w", err)
	}
	if len(b) == 0 {
		r.Body = http.NoBody
		return nil
	}
	g.gate, g.body = gate, bytes.NewBuffer(b)
	r.Body, r.ContentLength = io.NopCloser(g.body), int64(len(b))
	return nil
}

// refuses is called by the goroutine that is about to read the body.
func (g *lateGate) refuses() bool {
	if g.gate == nil {
		return false
	}
	err := g.gate()
	if err == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = err
	if g.streams {
		g.cancel()
	} else {
		g.body.Reset()
	}
	return true
}

func (g *lateGate) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// failingReader ends a body with the error that reading it gave.
type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// Client gives an account's own http.Client over rt. It follows no redirect, since 301 and 302 turn a POST into a GET
// and 307 would carry the token to another host, and it sets no timeout: deadlines come from the context.
func Client(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NotSent classifies the last commit of the flight when no usable answer came. It returns nil when an answer came
// and the platform's own table has to say what it means. With commit unset, the last call of any kind is judged,
// and its fate is Absent: what is not a commit is not public.
func (f *Flight) NotSent(err error, commit bool) *Error {
	call, ok := f.Last(commit)
	switch {
	case !ok && commit, ok && call.Status == 0 && !call.Written:
		reason, message := Network, "no connection to the platform"
		if call.Stopped || errors.Is(err, ErrStopped) {
			reason, message = Stopped, "stopped before anything was sent"
		}
		return &Error{Fate: Absent, Reason: reason, Message: message, Err: err}
	case !ok:
		return &Error{Fate: Absent, Reason: Network, Message: "no request was made", Err: err}
	case call.Status == 0:
		return &Error{Fate: fateUnless(commit), Reason: Network, Message: "the connection broke before an answer came", Err: err}
	}
	return nil
}

func fateUnless(commit bool) Fate {
	if commit {
		return Unknown
	}
	return Absent
}

// ByStatus classifies a commit's answer by its status alone, the common table of all platforms: the part that a
// platform's own table did not recognise. refused says that the body has the platform's own error shape: a refusal in
// any other, a proxy's page say, does not prove that the platform has not acted.
func ByStatus(c Call, refused bool) *Error {
	e := &Error{Status: c.Status, Fate: Unknown, Reason: Server, Message: fmt.Sprintf("the platform answered %d", c.Status)}
	switch {
	case c.Status >= 200 && c.Status < 300:
		e.Reason, e.Message = Protocol, "the platform answered without naming the post"
		return e
	case c.Status >= 300 && c.Status < 400:
		e.Fate, e.Reason, e.Message = Absent, Protocol, "the platform's address redirects: check the configured address"
		return e
	case c.Status < 400 || c.Status >= 500,
		c.Status == http.StatusRequestTimeout, c.Status == http.StatusConflict, c.Status == http.StatusTooEarly, c.Status == 499:
		return e
	case c.Status == http.StatusTooManyRequests:
		e.Reason, e.Message = RateLimit, "the platform asks to wait"
	case c.Status == http.StatusUnauthorized:
		e.Reason, e.Message = Auth, "the platform does not accept the token"
	case c.Status == http.StatusPaymentRequired:
		e.Reason, e.Message, e.Scope = Budget, "the platform wants to be paid first", ScopeApp
	case c.Status == http.StatusForbidden:
		e.Reason, e.Message = Permission, "the platform does not allow this"
	case refused:
		e.Reason = Refused
	default:
		e.Reason, e.Message = Protocol, fmt.Sprintf("%d was answered in a form that the platform does not use", c.Status)
	}
	if refused {
		e.Fate = Absent
	}
	return e
}

// RetryAfter reads a Retry-After header, in seconds or as a date; zero when there is none or it makes no sense.
func RetryAfter(h http.Header, now time.Time) time.Time {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return time.Time{}
	}
	seconds := strings.Trim(v, "0123456789.") == ""
	if d, err := time.ParseDuration(v + "s"); seconds && err == nil && d <= 366*24*time.Hour {
		return now.Add(d).UTC()
	}
	if at, err := http.ParseTime(v); err == nil {
		return at.UTC()
	}
	return time.Time{}
}
