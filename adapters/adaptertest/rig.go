package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/internal/secret"
)

// Base is the sandbox's address in the tests. It leads nowhere but to the sandbox.
const Base = "http://sandbox.invalid"

// Rig is a sandbox with everything that an adapter needs around it. It lives in one bubble.
type Rig struct {
	Suite   *Suite
	Sandbox *sandbox.Sandbox
	// Memory is the server of the sandbox.
	Memory *sandbox.InMemory
	// Wire sees every request that reaches the connection pool.
	Wire *Wire
	// Stores are the two accounts' credentials.
	Stores [2]*Tokens

	t    *testing.T
	log  *sink
	mu   sync.Mutex
	said []string // all that came out of the adapter as text
}

func newRig(t *testing.T, s *Suite) *Rig {
	t.Helper()
	// A bubble begins in the year 2000, when some platforms' ids did not exist yet.
	time.Sleep(time.Until(time.Date(2026, time.November, 23, 9, 0, 0, 0, time.UTC)))
	config := sandbox.Config{
		Identities: []sandbox.Identity{s.Accounts[0].Identity, s.Accounts[1].Identity},
		BaseURL:    Base,
		Unlimited:  true,
	}
	if s.Sandbox != nil {
		s.Sandbox(&config)
	}
	box, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	memory := box.InMemory()
	r := &Rig{Suite: s, Sandbox: box, Memory: memory, Wire: &Wire{base: memory.Transport()}, t: t, log: &sink{}}
	for i := range r.Stores {
		r.Stores[i] = NewTokens(s.Accounts[i].Tokens)
	}
	t.Cleanup(func() {
		memory.Transport().CloseIdleConnections()
		if err := errors.Join(memory.Close(), box.Close()); err != nil {
			t.Error(err)
		}
		r.leaks()
	})
	return r
}

// Env gives what an adapter of account i is made from.
func (r *Rig) Env(i int) adapters.Env {
	return adapters.Env{
		Account:     r.Suite.Accounts[i].Account,
		Settings:    decoder(r.Suite.Settings(Base)),
		Extra:       decoder(r.Suite.Accounts[i].Extra),
		Secret:      func(s secret.Source) (secret.Text, error) { return s.Resolve(noEnvironment) },
		Credentials: r.Stores[i],
		Base:        r.Wire,
		Now:         time.Now,
		Log:         slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// Open makes the adapter of account i.
func (r *Rig) Open(i int) adapters.Adapter {
	r.t.Helper()
	a, err := r.Suite.Driver.Open(r.Env(i))
	if err != nil {
		r.t.Fatalf("open account %d: %v", i, err)
	}
	return a
}

// Context is a context with a flight for one attempt, which ends like the driver's commit at the latest.
func (r *Rig) Context() (context.Context, *adapters.Flight, context.CancelFunc) {
	f := &adapters.Flight{}
	ctx, cancel := context.WithTimeout(adapters.WithFlight(r.t.Context(), f), r.Suite.Driver.CommitTimeout)
	return ctx, f, cancel
}

// Delivery walks through the parts of one content.
type Delivery struct {
	Content  post.Content
	Receipts []post.Receipt

	rig     *Rig
	id      post.ID
	handles []post.Handle
}

// Delivery begins a delivery of a content.
func (r *Rig) Delivery(c post.Content) *Delivery {
	d := &Delivery{Content: c, rig: r}
	sum := []byte(c.Digest())
	copy(d.id[:], sum)
	return d
}

// Request is the request for the next part.
func (d *Delivery) Request() adapters.Request {
	part := len(d.Receipts)
	roles := d.Content.Roles(d.rig.Suite.Driver.Platform)
	req := adapters.Request{
		Delivery: d.id, Part: part, Role: roles[min(part, len(roles)-1)], Content: d.Content, Media: files(d.rig.Suite.Files),
	}
	if req.Role == post.RoleReply {
		req.Reply = part - 1
	}
	if f := d.rig.Suite.Driver.Destination; f != nil {
		req.Destination = f(d.Content)
	}
	if part > 0 {
		req.Root, req.Parent = d.Receipts[0], d.Receipts[part-1]
	}
	digest := d.Content.Digest()
	for _, h := range d.handles {
		if h.Part == part && h.Digest == digest && (h.Expires.IsZero() || time.Now().Before(h.Expires)) {
			req.Handles = append(req.Handles, h)
		}
	}
	return req
}

// Left is how many parts have no receipt yet.
func (d *Delivery) Left() int {
	return len(d.Content.Roles(d.rig.Suite.Driver.Platform)) - len(d.Receipts)
}

// Prepare does the next part's preparing, when it needs any.
func (d *Delivery) Prepare(a adapters.Adapter) error {
	p, ok := adapters.As[adapters.Preparer](a)
	if !ok || !p.Prepares(d.Request()) {
		return nil
	}
	flight := &adapters.Flight{}
	ctx, cancel := context.WithTimeout(adapters.WithFlight(d.rig.t.Context(), flight), 5*time.Minute)
	defer cancel()
	err := p.Prepare(ctx, d.Request(), d.save)
	d.rig.say(err)
	d.rig.flown(flight)
	return err
}

// save keeps a handle in place of an older one with its name.
func (d *Delivery) save(_ context.Context, h post.Handle) error {
	h.Values = maps.Clone(h.Values)
	for i, old := range d.handles {
		if old.Part == h.Part && old.Name == h.Name {
			d.handles[i] = h
			return nil
		}
	}
	d.handles = append(d.handles, h)
	return nil
}

// Publish sends the next part. Its receipt counts as the delivery's.
func (d *Delivery) Publish(a adapters.Adapter) (post.Receipt, error) {
	ctx, flight, cancel := d.rig.Context()
	defer cancel()
	return d.PublishIn(ctx, flight, a)
}

// PublishIn is Publish within a context and its flight.
func (d *Delivery) PublishIn(ctx context.Context, flight *adapters.Flight, a adapters.Adapter) (post.Receipt, error) {
	receipt, err := a.Publish(ctx, d.Request())
	d.rig.say(err)
	d.rig.flown(flight)
	switch {
	case err == nil && receipt.RemoteID == "":
		d.rig.t.Errorf("nil error without a remote id")
	case err != nil && receipt != (post.Receipt{}):
		d.rig.t.Errorf("both a receipt and an error: %+v, %v", receipt, err)
	case err == nil:
		d.Receipts = append(d.Receipts, receipt)
	}
	return receipt, err
}

// All prepares and publishes every part that is left.
func (d *Delivery) All(a adapters.Adapter) error {
	for d.Left() > 0 {
		if err := d.Prepare(a); err != nil {
			return fmt.Errorf("prepare part %d: %w", len(d.Receipts), err)
		}
		if _, err := d.Publish(a); err != nil {
			return fmt.Errorf("publish part %d: %w", len(d.Receipts), err)
		}
	}
	return nil
}

// Find looks for the next part.
func (d *Delivery) Find(a adapters.Adapter, since time.Time, taken ...string) (adapters.Look, error) {
	ctx, flight, cancel := d.rig.Context()
	defer cancel()
	req := d.Request()
	req.Taken = func(id string) bool { return slices.Contains(taken, id) }
	look, err := a.Find(ctx, req, since)
	d.rig.say(err)
	d.rig.flown(flight)
	if err == nil && (look.Sight == adapters.Found) != (look.Receipt.RemoteID != "") {
		d.rig.t.Errorf("sight %d with receipt %+v", look.Sight, look.Receipt)
	}
	return look, err
}

// Public are the acts that the world sees, in order.
func (r *Rig) Public() []sandbox.Act {
	var out []sandbox.Act
	for _, a := range r.Sandbox.Record() {
		if a.Public && !a.Deleted {
			out = append(out, a)
		}
	}
	return out
}

// Commits counts the requests to publish that the sandbox has seen.
func (r *Rig) Commits() int {
	n := 0
	for _, q := range r.Sandbox.Requests() {
		if q.Commit {
			n++
		}
	}
	return n
}

// say keeps what an error tells, to look for secrets in it at the end.
func (r *Rig) say(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, err.Error(), fmt.Sprintf("%+v", err))
	if e, ok := errors.AsType[*adapters.Error](err); ok {
		r.said = append(r.said, fmt.Sprintf("%+v", *e))
		for cause := e.Err; cause != nil; cause = errors.Unwrap(cause) {
			r.said = append(r.said, cause.Error())
		}
	}
}

// flown keeps what a flight recorded of our side, and checks that nothing was committed twice.
func (r *Rig) flown(f *adapters.Flight) {
	commits := 0
	for _, c := range f.Calls() {
		if c.Commit {
			commits++
		}
		r.mu.Lock()
		r.said = append(r.said, fmt.Sprintf("%s %s %v %s", c.Method, c.Path, c.Header, c.Body))
		if c.Err != nil {
			r.said = append(r.said, c.Err.Error())
		}
		r.mu.Unlock()
	}
	if commits > 1 {
		r.t.Errorf("%d commits in one attempt", commits)
	}
}

// leaks fails the test when a secret was told in an error, a flight or the log: those that are configured, those that were
// stored, and those that went over the wire.
func (r *Rig) leaks() {
	r.mu.Lock()
	all := strings.Join(r.said, "\n") + r.log.String()
	r.mu.Unlock()
	secrets := append(r.Wire.Secrets(), r.Suite.Secrets...)
	for i, a := range r.Suite.Accounts {
		for _, v := range a.Tokens {
			secrets = append(secrets, v)
		}
		secrets = append(secrets, r.Stores[i].Seen()...)
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(all, s) {
			r.t.Errorf("a secret beginning with %.4q was told in an error, a flight or the log", s)
		}
	}
}

func decoder(text string) func(any) error {
	return func(into any) error {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		if err := yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()); err != nil {
			return errors.New(yaml.FormatError(err, false, false))
		}
		return validated(into)
	}
}

// validated asks the target what it has against its values, as the configuration does.
func validated(into any) error {
	v, ok := into.(interface {
		Validate(report func(key, message string))
	})
	if !ok {
		return nil
	}
	var errs []error
	v.Validate(func(key, message string) { errs = append(errs, errors.New(key+": "+message)) })
	return errors.Join(errs...)
}

func noEnvironment(string) (string, bool) { return "", false }

// files is a MediaSource of the suite's files.
type files []File

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// Open implements [adapters.MediaSource].
func (f files) Open(id string) (io.ReadSeekCloser, error) {
	for _, file := range f {
		if file.Media.ID == id {
			return reader{bytes.NewReader(file.Bytes)}, nil
		}
	}
	return nil, fmt.Errorf("no file %s", id)
}

// sink is a log that many write to.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Wire stands below the adapter's whole chain and sees what goes out.
type Wire struct {
	base *http.Transport

	mu      sync.Mutex
	hosts   []string
	bad     []string
	secrets map[string]bool
}

// RoundTrip implements [http.RoundTripper].
func (w *Wire) RoundTrip(q *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.hosts = append(w.hosts, q.URL.Host)
	if w.secrets == nil {
		w.secrets = make(map[string]bool)
	}
	for _, s := range secretsOf(q) {
		w.secrets[s] = true
	}
	if len(q.Header["Idempotency-Key"]) > 0 || len(q.Header["X-Idempotency-Key"]) > 0 {
		w.bad = append(w.bad, q.Method+" "+q.URL.Path)
	}
	w.mu.Unlock()
	return w.base.RoundTrip(q)
}

// signature finds what OAuth 1.0a proves a request with.
var signature = regexp.MustCompile(`oauth_signature="([^"]+)"`)

// secretsOf lists what a request proves itself with: the token or the signature, and what of the address is secret.
func secretsOf(q *http.Request) []string {
	var out []string
	scheme, rest, _ := strings.Cut(q.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "bearer", "basic":
		out = append(out, rest)
	case "oauth":
		if m := signature.FindStringSubmatch(rest); m != nil {
			plain, err := url.QueryUnescape(m[1])
			if err == nil {
				out = append(out, plain)
			}
			out = append(out, m[1])
		}
	}
	for _, name := range []string{"appsecret_proof", "access_token", "upload_id"} {
		out = append(out, q.URL.Query().Get(name))
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// Secrets lists what the requests have proved themselves with.
func (w *Wire) Secrets() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.secrets))
}

// CloseIdleConnections lets clients reach the pool.
func (w *Wire) CloseIdleConnections() { w.base.CloseIdleConnections() }

// Hosts lists the hosts that requests went to, in order.
func (w *Wire) Hosts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.hosts...)
}

// Repeatable lists the requests that net/http would take for repeatable.
func (w *Wire) Repeatable() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.bad...)
}

// Tokens is a store of credentials in memory.
type Tokens struct {
	mu      sync.Mutex
	current map[string]secret.Text
	seen    []string
	// Refuse, when set, is asked before tokens are replaced.
	Refuse func() error
}

// NewTokens makes a store that holds the given tokens.
func NewTokens(tokens map[string]string) *Tokens {
	s := &Tokens{current: make(map[string]secret.Text, len(tokens))}
	for k, v := range tokens {
		s.current[k] = secret.New(v)
	}
	return s
}

// Load implements [adapters.Credentials].
func (s *Tokens) Load(ctx context.Context) (map[string]secret.Text, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.current), nil
}

// Replace implements [adapters.Credentials].
func (s *Tokens) Replace(ctx context.Context, old, current map[string]secret.Text) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Refuse != nil {
		if err := s.Refuse(); err != nil {
			return err
		}
	}
	if !maps.EqualFunc(old, s.current, secret.Text.Equal) {
		return adapters.ErrTokensChanged
	}
	s.current = maps.Clone(current)
	for _, v := range current {
		s.seen = append(s.seen, v.Reveal())
	}
	return nil
}

// Seen lists every token that was stored later on.
func (s *Tokens) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}
