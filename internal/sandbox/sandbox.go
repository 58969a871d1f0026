// Package sandbox holds the platforms in miniature: small HTTP servers that speak the protocols of X, Facebook,
// Reddit and YouTube well enough that a wrong request fails as it would out there, and that remember what was
// really published and by whom. The demo publishes to it, and every test takes its record, not the adapter's word,
// for the truth.
//
// It imports nothing of Crier and no platform library, so that it can not share a mistake with an adapter.
//
// # Layout
//
// [Sandbox] is an [http.Handler]. The first element of the path names the platform and is removed before the
// platform sees the request:
//
//	/x/…        X, API v2 and v1.1
//	/graph/…    Facebook
//	/reddit/…   Reddit, its token endpoint and its upload host
//	/youtube/…  YouTube, its token endpoint and its upload host
//	/_sandbox/… what happened here, and faults (see admin.go)
//
// A request without such a prefix goes by its Host header when that is the platform's real API host.
//
// # Adding a platform
//
// A platform implements the platform interface below, is built by a constructor in the list of platforms.go, keeps
// its own state under its own lock, calls Sandbox.publish at the instant its act becomes public (which records,
// journals and syncs it before the answer is written), and reads its listings back with Sandbox.listed, so that a
// restart and late listings work by themselves (Sandbox.remember keeps what is not an act, such as uploads). Faults need nothing of it: the dispatcher runs the handler against
// a buffer and then decides what reaches the wire.
package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// maxBody bounds what one request may carry; it is read whole, so that a fault can replay it later.
	maxBody = 256 << 20
	// maxRequests bounds the request log; older entries are dropped.
	maxRequests = 10_000
)

// Config says who exists in a sandbox and how it behaves.
type Config struct {
	// Now is the clock of the platforms; nil means [time.Now].
	Now func() time.Time
	// Identities are the logins that exist, with their credentials.
	Identities []Identity
	// Journal names a JSONL file to which every published act is appended and synced before the answer is given,
	// and from which a new sandbox remembers what is out. Empty: nothing is kept.
	Journal string
	// ListingDelay is how late a new act shows in listings.
	ListingDelay time.Duration
	// BaseURL is what permalinks and upload addresses begin with, such as http://127.0.0.1:4000; the platform's
	// prefix is added. Empty means http://sandbox.invalid.
	BaseURL string
	// Unlimited announces rate limits without enforcing them, for runs of many posts.
	Unlimited bool
	// XPostFields makes X speak the newer of its two field dialects: post.fields, note_post, referenced_posts.
	XPostFields bool
	// XStrays makes X leave out of its listings which post a reply answers; the conversation and whom it answers stay.
	XStrays bool
	// Subreddits are the places that Reddit has; nil means a small world with one of each temper.
	Subreddits []Subreddit
	// Log receives one line for each act; nil discards.
	Log *slog.Logger
}

// platform is one social network in miniature. Its methods are called concurrently. The request's URL has lost the
// platform's prefix, and its body is in memory: reading it again needs only rewind.
type platform interface {
	http.Handler
	// name is the platform's name in acts, identities and faults: twitter, facebook, reddit, youtube.
	name() string
	// commits reports whether the request, when well formed, makes something public.
	commits(r *http.Request) bool
	// identify returns the ID of the identity whose credentials the request names, or "". It changes nothing and
	// verifies nothing: it serves faults and the request log.
	identify(r *http.Request) string
	// throttled writes the platform's own refusal for too many requests.
	throttled(w http.ResponseWriter, reset time.Time)
	// exhausted sets the platform's rate headers to nothing left, on an answer that is otherwise its usual one.
	exhausted(h http.Header, reset time.Time)
}

// Sandbox is the set of platforms. It is safe for concurrent use.
type Sandbox struct {
	now       func() time.Time
	base      string
	delay     time.Duration
	unlimited bool
	postDial  bool // X's newer field dialect
	strays    bool // X does not say what a reply answers
	log       *slog.Logger
	people    []Identity
	subs      []Subreddit
	record    *record
	platforms map[string]platform // by prefix

	mu       sync.Mutex
	faults   []*armed
	requests []Request
	dropped  int
	timers   map[*time.Timer]struct{}
	closed   bool
	late     sync.WaitGroup
}

// Request is one line of the request log.
type Request struct {
	Time     time.Time `json:"time"`
	Platform string    `json:"platform"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`               // as the client sent it, without query
	Identity string    `json:"identity,omitempty"` // as named by the credentials, not verified
	Commit   bool      `json:"commit"`             // whether the request was one that publishes
	Status   int       `json:"status"`             // what was answered; 0: nothing was
}

// New returns a sandbox of the given identities, with the acts of its journal. Close it when a journal is named or
// faults with delays are used.
func New(c Config) (*Sandbox, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.BaseURL == "" {
		c.BaseURL = "http://sandbox.invalid"
	}
	if u, err := url.Parse(c.BaseURL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("sandbox: base URL %q is not absolute", c.BaseURL)
	}
	if err := checkIdentities(c.Identities); err != nil {
		return nil, err
	}
	rec, err := openRecord(c.Journal)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{
		now:       c.Now,
		base:      strings.TrimRight(c.BaseURL, "/"),
		delay:     c.ListingDelay,
		unlimited: c.Unlimited,
		postDial:  c.XPostFields,
		strays:    c.XStrays,
		log:       c.Log,
		people:    cloneIdentities(c.Identities),
		subs:      c.Subreddits,
		record:    rec,
		timers:    make(map[*time.Timer]struct{}),
	}
	if s.subs == nil {
		s.subs = defaultSubreddits()
	}
	s.platforms = newPlatforms(s)
	return s, nil
}

// Close drops acts that a fault still holds back, waits for those under way and closes the journal.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	s.closed = true
	for t := range s.timers {
		if t.Stop() {
			s.late.Done()
		}
		delete(s.timers, t)
	}
	s.mu.Unlock()
	s.late.Wait()
	return s.record.close()
}

// Reset forgets acts, faults and requests, empties the journal and puts every platform back to how it began.
// Requests under way may still add to the new record.
func (s *Sandbox) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.requests, s.dropped = nil, nil, 0
	for t := range s.timers {
		if t.Stop() {
			s.late.Done()
		}
		delete(s.timers, t)
	}
	if err := s.record.reset(); err != nil {
		return err
	}
	s.platforms = newPlatforms(s)
	return nil
}

// Requests returns the request log, oldest first; it keeps the newest 10,000.
func (s *Sandbox) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// ServeHTTP answers for all platforms.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix, rest := splitPrefix(r)
	if prefix == adminPrefix {
		s.serveAdmin(w, r, rest)
		return
	}
	s.mu.Lock()
	p := s.platforms[prefix]
	s.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if len(raw) > maxBody {
		http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		return
	}
	body := &bufferedBody{raw: raw, cut: err}
	body.rewind()
	in := r.Clone(context.WithValue(r.Context(), originalKey{}, original{path: r.URL.EscapedPath(), host: r.Host, at: s.now()}))
	in.Body = body
	in.URL.Path, in.URL.RawPath = rest, ""

	commit := p.commits(in)
	body.rewind()
	identity := p.identify(in)
	body.rewind()
	index := s.logRequest(Request{
		Time: s.now(), Platform: p.name(), Method: r.Method, Path: r.URL.Path, Identity: identity, Commit: commit,
	})
	f := s.match(p.name(), r.Method+" "+r.URL.Path, identity, commit)
	status := s.answer(w, in, p, f)
	s.logStatus(index, status)
}

// splitPrefix returns the platform's prefix and the path without it. A real host comes first: YouTube's own paths begin
// like its prefix here.
func splitPrefix(r *http.Request) (prefix, rest string) {
	host, _, _ := strings.Cut(r.Host, ":")
	switch host {
	case "api.x.com", "api.twitter.com":
		return "x", r.URL.Path
	case "graph.facebook.com":
		return "graph", r.URL.Path
	case "oauth.reddit.com", "www.reddit.com":
		return "reddit", r.URL.Path
	case "www.googleapis.com", "youtube.googleapis.com", "oauth2.googleapis.com":
		return "youtube", r.URL.Path
	}
	prefix, rest, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch prefix {
	case "x", "graph", "reddit", "youtube", adminPrefix:
		return prefix, "/" + rest
	}
	return "", r.URL.Path
}

func (s *Sandbox) logRequest(q Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) >= maxRequests {
		n := len(s.requests) / 10
		s.requests = append([]Request(nil), s.requests[n:]...)
		s.dropped += n
	}
	s.requests = append(s.requests, q)
	return s.dropped + len(s.requests) - 1
}

func (s *Sandbox) logStatus(index, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := index - s.dropped; i >= 0 && i < len(s.requests) {
		s.requests[i].Status = status
	}
}

// response is an answer that a platform has given and that is not on the wire yet.
type response struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *response) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// run lets the platform handle the request and returns its answer.
func run(p platform, r *http.Request) *response {
	rewind(r)
	rec := &response{header: make(http.Header)}
	p.ServeHTTP(rec, r)
	rec.WriteHeader(http.StatusOK)
	return rec
}

// originalKey carries what the client sent before the prefix was removed; signatures are made over it.
type originalKey struct{}

type original struct {
	path, host string
	at         time.Time
}

// originalOf returns the escaped path and the host that the client sent, and when the request arrived: a LatePublish
// fault runs it long after.
func originalOf(r *http.Request) original {
	o, ok := r.Context().Value(originalKey{}).(original)
	if !ok {
		return original{path: r.URL.EscapedPath(), host: r.Host, at: time.Now()}
	}
	return o
}

// bufferedBody is a request body held in memory. When the client's body broke off, reading ends with that error.
type bufferedBody struct {
	raw []byte
	cut error
	r   *bytes.Reader
}

func (b *bufferedBody) rewind() { b.r = bytes.NewReader(b.raw) }

func (b *bufferedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) && b.cut != nil {
		return n, b.cut
	}
	return n, err
}

func (b *bufferedBody) Close() error { return nil }

// bodyOf returns the whole body of a request that the dispatcher handed on, and why it broke off, if it did. It may
// be called again and again and leaves the reading position alone.
func bodyOf(r *http.Request) ([]byte, error) {
	b, ok := r.Body.(*bufferedBody)
	if !ok {
		return nil, errors.New("sandbox: body was replaced")
	}
	return b.raw, b.cut
}

// rewind puts the body back to its beginning.
func rewind(r *http.Request) {
	if b, ok := r.Body.(*bufferedBody); ok {
		b.rewind()
	}
}

// permalink returns the public address of a path below the platform's prefix.
func (s *Sandbox) permalink(prefix, path string) string {
	return s.base + "/" + prefix + "/" + strings.TrimPrefix(path, "/")
}
