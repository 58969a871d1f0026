package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/team"
	"crier/store"
)

// maxBody bounds a JSON body.
const maxBody = 1 << 20

// maxDrain bounds what is read of a body that is refused for its size.
const maxDrain = 32 << 20

// bodyRate is how many bytes a second of a body have to come at least, on the whole: who sends byte by byte is cut off
// after Deps.Stall, and not after a byte for each of them.
const bodyRate = 1 << 10

// writePiece is how much of an answer a client has to take within Deps.Stall.
const writePiece = 64 << 10

// route is one call of the API: what serves it and what the OpenAPI document says of it.
type route struct {
	method, path string
	id, summary  string
	tag          string
	scope        team.Scope // what the key needs
	query, body  any        // zero values of the types; nil when there is none
	answer       any        // zero value of the answer's type; nil for 204
	status       int
	ifMatch      bool // the entity tag is needed
	multipart    bool // a file is taken as well as JSON; the handler reads the body
	file         bool // the answer is a file
	reads        bool // nothing is written, whatever the method says
	handle       func(ctx context.Context, c *call) (*answer, error)
}

// call is one request on its way through its handler.
type call struct {
	*api
	r     *http.Request
	w     http.ResponseWriter
	who   team.Principal
	at    time.Time
	raw   []byte // the body; empty for multipart
	query any    // pointer to the route's query type
	once  *store.Once
	// rendered is the answer that the store was given with the effect; nil when it was given none.
	rendered *answer
	// secret says that the answer holds a secret, so that it is stored sealed.
	secret bool
	held   []chan struct{} // what it has a token in: see atHand
}

// wrap is what every request passes: its id, a net for panics, and answers for what no route takes.
func (a *api) wrap(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := a.NewID().String()
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Body != nil && r.Body != http.NoBody {
			body := &patient{ReadCloser: r.Body, conn: http.NewResponseController(w), stall: a.Stall}
			body.wait() // for a body that no handler reads, too: the server takes what is left of it
			r.Body = body
		}
		out := &recorder{ResponseWriter: w, conn: http.NewResponseController(w), stall: a.Stall}
		out.wait() // the server itself may write before any handler does, to say that it wants a body
		ctx := r.Context()
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
				panic(http.ErrAbortHandler)
			}
			a.Log.ErrorContext(ctx, "a handler broke down", "request", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if !out.wrote {
				writeProblem(w, id, problem(http.StatusInternalServerError, "internal", "something broke here: the log knows more under the request id"))
			}
		}()
		if p := r.URL.Path; p != path.Clean(p) && p != path.Clean(p)+"/" {
			writeProblem(out, id, notFound("path")) // the mux would send the client elsewhere
			return
		}
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(out, r)
			return
		}
		// The mux has its own words for what it does not know; they are kept apart from their text.
		probe := &silent{header: http.Header{}}
		handler.ServeHTTP(probe, r)
		if allow := probe.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			writeProblem(out, id, problem(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take that method"))
			return
		}
		writeProblem(out, id, notFound("path"))
	})
}

// patient is a body whose sender may not keep the connection by sending nothing, or next to nothing.
type patient struct {
	io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration
	began time.Time // when it was first asked for: who waits for a hand before is not to blame
	came  int64
}

// wait gives the sender time for the next piece. A connection without deadlines, as in tests, has none.
func (p *patient) wait() {
	at := time.Now().Add(p.stall)
	slowest := p.began.Add(p.stall + time.Duration(p.came)*time.Second/bodyRate)
	if !p.began.IsZero() && slowest.Before(at) {
		at = slowest
	}
	_ = p.conn.SetReadDeadline(at)
}

func (p *patient) Read(b []byte) (int, error) {
	if p.began.IsZero() {
		p.began = time.Now()
	}
	p.wait()
	n, err := p.ReadCloser.Read(b)
	p.came += int64(n)
	if errors.Is(err, io.EOF) {
		// The server now listens for the client's leaving, which a deadline would look like.
		_ = p.conn.SetReadDeadline(time.Time{})
	}
	return n, err //nolint:wrapcheck // a reader passes on what it was told
}

// recorder remembers whether an answer has begun, and leaves a client who does not take it.
type recorder struct {
	http.ResponseWriter
	conn  *http.ResponseController
	stall time.Duration
	wrote bool
}

// wait gives the client time for the next piece.
func (r *recorder) wait() { _ = r.conn.SetWriteDeadline(time.Now().Add(r.stall)) }

func (r *recorder) WriteHeader(status int) {
	r.wrote = true
	r.wait()
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	n := 0
	for first := true; first || len(b) > 0; first = false {
		piece := b[:min(len(b), writePiece)]
		b = b[len(piece):]
		r.wait()
		wrote, err := r.ResponseWriter.Write(piece)
		n += wrote
		if err != nil {
			return n, err //nolint:wrapcheck // a writer passes on what it was told
		}
	}
	return n, nil
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// silent takes an answer's header and drops its text.
type silent struct{ header http.Header }

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(b []byte) (int, error) { return len(b), nil }
func (s *silent) WriteHeader(int)             {}

// serve runs one route.
func (a *api) serve(rt *route) func(huma.Context) {
	return func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		ctx := r.Context()
		c := &call{api: a, r: r, w: w, at: a.now()}
		out, err := a.run(ctx, rt, c)
		if err != nil {
			a.fail(ctx, c, rt, err)
			return
		}
		if err := c.send(out); err != nil {
			a.fail(ctx, c, rt, err)
		}
	}
}

func (a *api) fail(ctx context.Context, c *call, rt *route, err error) {
	id := c.w.Header().Get("X-Request-Id")
	p := problemOf(err)
	gone := ctx.Err() != nil && p.Code == codeInterrupted // the client has left before anything was done
	if p.Status >= http.StatusInternalServerError && !gone {
		a.Log.ErrorContext(ctx, "a request was not answered", "request", id, "route", rt.id, "code", p.Code, "error", p.cause)
	}
	writeProblem(c.w, id, p)
}

func (a *api) run(ctx context.Context, rt *route, c *call) (*answer, error) {
	defer c.leave()
	if err := c.atHand(ctx, a.asking); err != nil {
		return nil, err
	}
	var err error
	if c.who, err = a.principal(ctx, c.r, c.at); err != nil {
		return nil, err
	}
	u := a.user(c.who.Key, c.at)
	if err := u.limit(c.w, c.at); err != nil {
		return nil, err
	}
	if rt.scope != "" && !c.who.Has(rt.scope) {
		return nil, forbidden("this key lacks the scope " + string(rt.scope))
	}
	if c.query, err = readQuery(c.r.URL, rt.query); err != nil {
		return nil, err
	}
	c.leave() // a body comes as slowly as the client likes
	if err := c.readBody(rt); err != nil {
		return nil, err
	}
	done, err := a.atWork()
	if err != nil {
		return nil, err
	}
	defer done()
	_, keyed := c.r.Header["Idempotency-Key"]
	keyed = keyed && rt.method == http.MethodPost
	if rt.method == http.MethodGet || (rt.reads && !keyed) {
		err = c.atHand(ctx, u.reading, a.reading)
	} else {
		err = c.atHand(ctx, a.writing)
	}
	if err != nil {
		return nil, err
	}
	var out *answer
	if keyed {
		out, err = c.runOnce(ctx, rt)
	} else {
		out, err = rt.handle(ctx, c)
	}
	if err != nil || out == nil {
		return nil, err
	}
	return out, out.encode()
}

// readBody takes the whole of a JSON body. Its type is believed only where it matters: curl sends JSON as a form unless
// told otherwise.
func (c *call) readBody(rt *route) error {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	if kind == "multipart/form-data" && rt.multipart {
		return nil
	}
	json := kind == "" || kind == "application/json" || kind == "text/plain" || kind == "application/x-www-form-urlencoded" ||
		kind == "application/merge-patch+json" || (strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
	if c.raw, err = io.ReadAll(io.LimitReader(c.r.Body, maxBody+1)); err != nil {
		return problem(http.StatusBadRequest, "body_unreadable", "the body did not arrive whole")
	}
	if len(c.raw) > maxBody {
		// A client that is still sending when the connection ends never reads the answer: some of the rest is taken.
		_, _ = io.CopyN(io.Discard, c.r.Body, maxDrain) // it is refused either way
		return &http.MaxBytesError{Limit: maxBody}
	}
	if !json && len(c.raw) > 0 {
		return problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "wanted: application/json")
	}
	if rt.body == nil && len(bytes.TrimSpace(c.raw)) > 0 && !bytes.Equal(bytes.TrimSpace(c.raw), []byte("{}")) && rt.method != http.MethodGet {
		return invalid("body", "unknown_field", "this call takes no body")
	}
	return nil
}

// decode reads the body strictly.
func (c *call) decode(into any) error {
	return compose.Decode(c.raw, into) //nolint:wrapcheck // problemOf knows it
}

// readQuery reads the query into a new value of the type of zero, strictly: every parameter is known and there once.
func readQuery(u *url.URL, zero any) (any, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, invalid("query", "invalid_query", "the query cannot be read")
	}
	var problems []post.Problem
	add := func(name, code, message string) {
		problems = append(problems, post.Problem{
			Location: "query." + name, Code: code, Severity: post.SeverityError, Message: message,
		})
	}
	fields := map[string]reflect.Value{}
	var into any
	if zero != nil {
		v := reflect.New(reflect.TypeOf(zero))
		into = v.Interface()
		for _, f := range reflect.VisibleFields(v.Elem().Type()) {
			if name := f.Tag.Get("query"); name != "" {
				fields[name] = v.Elem().FieldByIndex(f.Index)
			}
		}
	}
	for name, all := range values {
		field, ok := fields[name]
		switch {
		case !ok:
			add(safeName(name), "unknown_parameter", "there is no such query parameter")
		case len(all) > 1 || len(all[0]) > 1024 || strings.ContainsRune(all[0], 0):
			add(name, "invalid_parameter", "wanted: one value of at most 1024 bytes")
		case field.Kind() == reflect.Int:
			n, err := strconv.Atoi(all[0])
			if err != nil || n == 0 { // 0 stands for a parameter that is not there
				add(name, "invalid_parameter", "wanted: a whole number from 1")
			}
			field.SetInt(int64(n))
		default:
			field.SetString(all[0])
		}
	}
	if len(problems) > 0 {
		return nil, refused(problems)
	}
	return into, nil
}

// safeName is a parameter's name as it may stand in an answer.
func safeName(name string) string {
	for _, r := range name {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "(unprintable)"
		}
	}
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

// pathID reads the id in the path; one that is none names nothing.
func (c *call) pathID(what string) (post.ID, error) {
	id, err := post.ParseID(c.r.PathValue("id"))
	if err != nil {
		return post.ID{}, notFound(what)
	}
	return id, nil
}
