package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/config"
	"crier/internal/sandbox"
)

// town is a sandbox over HTTP, the truth of what is out, and the configuration of a daemon that publishes to it.
type town struct {
	box  *sandbox.Sandbox
	base string
	yaml string
	// transport and env are the daemon's; nil means its own.
	transport http.RoundTripper
	env       func(string) (string, bool)
	// looks is the platforms' horizon; nil means one of a second.
	looks []time.Duration
}

// newTown makes a town of the demo's accounts. Each edit is an old text of the configuration and what stands there
// instead.
func newTown(t *testing.T, edits ...string) *town {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	base := "http://" + srv.Listener.Addr().String()
	box, err := sandbox.New(sandbox.Config{Identities: app.DemoIdentities(), BaseURL: base, Unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = box
	srv.Start()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close(); _ = box.Close() })
	yaml := app.DemoYAML(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", base)
	edits = append([]string{"min_gap: 2s", "min_gap: 0s"}, edits...)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(yaml, edits[i]) {
			t.Fatalf("the configuration has no %q", edits[i])
		}
		yaml = strings.Replace(yaml, edits[i], edits[i+1], 1)
	}
	w := &town{box: box, base: base, yaml: yaml}
	t.Cleanup(func() { w.trace(t) })
	return w
}

// crier is one life of the whole daemon, in this process, on a port of its own.
type crier struct {
	town *town
	url  string
	// stop ends the life as a signal would and gives what Run returned.
	stop func() error
	sam  *client // the owner of the installation and manager of the brand
	mia  *client // an author of the brand with accounts of her own
}

// start runs a daemon on the town's data folder; the test's end stops it.
func (w *town) start(t *testing.T) *crier {
	t.Helper()
	c, _, err := config.Parse("e2e", []byte(w.yaml))
	if err != nil {
		t.Fatal(err)
	}
	looks := w.looks
	if looks == nil {
		looks = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, 900 * time.Millisecond}
	}
	ready := make(chan net.Addr, 1)
	a, err := app.New(t.Context(), app.Options{
		Config: c, Version: "e2e", Grace: 2 * time.Second, Transport: w.transport, Env: w.env,
		Looks: looks,
		Ready: func(addr net.Addr) { ready <- addr },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	var result error
	go func() {
		defer close(ended)
		result = a.Run(ctx)
	}()
	stop := func() error {
		cancel()
		<-ended
		return result
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	select {
	case addr := <-ready:
		d := &crier{town: w, url: "http://" + addr.String() + "/api/v1", stop: stop}
		d.sam = &client{t: t, base: d.url, key: app.DemoKey}
		d.mia = &client{t: t, base: d.url, key: app.DemoKeyMia}
		return d
	case <-ended:
		t.Fatalf("the daemon did not start: %v", result)
	case <-time.After(10 * time.Second):
		t.Fatal("the daemon was not ready in time")
	}
	return nil
}

// begin is a town with a daemon.
func begin(t *testing.T, edits ...string) *crier {
	t.Helper()
	return newTown(t, edits...).start(t)
}

// misbehave arms a fault of the platforms.
func (d *crier) misbehave(f sandbox.Fault) (remove func()) { return d.town.box.Misbehave(f) }

// acts gives what is out on a platform by an identity, in order.
func (w *town) acts(platform, identity string) []sandbox.Act {
	return slices.DeleteFunc(w.box.Record(), func(a sandbox.Act) bool {
		return a.Platform != platform || a.Identity != identity || !a.Public || a.Deleted || a.Kind == "thumbnail"
	})
}

// texts gives the texts of what is out on a platform, by whomever, in order.
func (w *town) texts(platform string) []string {
	out := []string{}
	for _, a := range w.box.Record() {
		if a.Platform == platform && a.Public && !a.Deleted {
			out = append(out, a.Text)
		}
	}
	return out
}

// trace logs, if the test has failed, what the platforms refused.
func (w *town) trace(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, r := range w.box.Requests() {
		if r.Commit || r.Status < 200 || r.Status >= 300 {
			t.Logf("%s %s %s by %q: %d", r.Time.Format(time.StampMilli), r.Method, r.Path, r.Identity, r.Status)
		}
	}
}

// underWay waits until the platforms have got n requests that publish.
func (w *town) underWay(t *testing.T, n int) {
	t.Helper()
	until(t, "requests are under way", func() bool {
		got := slices.DeleteFunc(w.box.Requests(), func(r sandbox.Request) bool { return !r.Commit })
		return len(got) >= n
	})
}

// public is the address that the world knows for one of the sandbox's.
func (w *town) public(address string) string { return publicOf(w.base, address) }

// onPages begins the addresses of the posts of Pages.
const onPages = "https://www.facebook.com/"

func publicOf(base, address string) string {
	return strings.NewReplacer(
		base+"/x/", "https://x.com/", base+"/youtube/", "https://www.youtube.com/",
		base+"/reddit/", "https://www.reddit.com/", base+"/graph/", onPages,
	).Replace(address)
}

// The API's answers, as a client written from its documentation alone would read them.
type (
	postView struct {
		ID, State, Kind string
		Version         int
		ExternalID      string `json:"external_id"`
		Series          string
		Deliveries      []delivery
		Warnings        []issue
	}
	delivery struct {
		ID, Post, Account, Platform, Kind, State, Destination string
		Due                                                   time.Time
		NextAttemptAt                                         time.Time `json:"next_attempt_at"`
		Attempts                                              int
		Holds                                                 []hold
		Reason                                                *struct{ Code, Message string }
		Receipt                                               *receipt
		Parts                                                 []part
		CancelRequested                                       bool                                 `json:"cancel_requested"`
		AttemptsLog                                           []struct{ Outcome, Decision string } `json:"attempts_log"`
		etag                                                  string
		by                                                    string // the key that reads it
	}
	part struct {
		Index       int
		Role, State string
		Receipt     *receipt
	}
	receipt struct {
		RemoteID string `json:"remote_id"`
		URL      string
	}
	hold    struct{ Reason string }
	account struct {
		Handle, Status, Kind string
		Holds                []hold
	}
	issue   struct{ Location, Code, Severity string }
	problem struct {
		Status     int
		Code, Post string
		Errors     []issue
	}
	list[T any] struct{ Items []T }
)

func (d *delivery) reason() string {
	if d.Reason == nil {
		return ""
	}
	return d.Reason.Code
}

// m is a JSON object.
type m = map[string]any

// client asks the API with one person's key.
type client struct {
	t    *testing.T
	base string
	key  string
}

// answer is one answer of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask makes one request; headers come as names and values. What is no string and no bytes is sent as JSON.
func (c *client) ask(method, path string, body any, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(c.t.Context(), method, path, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *client) try(ctx context.Context, method, path string, body any, headers ...string) (answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader:
		r = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, raw}, err
}

// want makes a request that has to end with a status, and reads the answer.
func want[T any](c *client, status int, method, path string, body any, headers ...string) T {
	c.t.Helper()
	a := c.ask(method, path, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return read[T](c.t, a)
}

func read[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if len(a.body) == 0 {
		return v
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("reading %s: %v", a.body, err)
	}
	return v
}

// post creates a post that has to be accepted.
func (c *client) post(body m) postView {
	c.t.Helper()
	return want[postView](c, http.StatusCreated, http.MethodPost, "/posts", body)
}

// refused makes a request that has to be refused with a status and a code.
func (c *client) refused(status int, code, method, path string, body any, headers ...string) problem {
	c.t.Helper()
	p := want[problem](c, status, method, path, body, headers...)
	if p.Code != code {
		c.t.Fatalf("%s %s: code %s, want %s", method, path, p.Code, code)
	}
	return p
}

// delivery reads one delivery with its entity tag.
func (c *client) delivery(id string) delivery {
	c.t.Helper()
	a := c.ask(http.MethodGet, "/deliveries/"+id, nil)
	if a.status != http.StatusOK {
		c.t.Fatalf("reading delivery %s: status %d: %s", id, a.status, a.body)
	}
	d := read[delivery](c.t, a)
	d.etag = a.header.Get("ETag")
	return d
}

// act does something to a delivery that has to work, such as cancel.
func (c *client) act(d delivery, verb string, body any, headers ...string) delivery {
	c.t.Helper()
	return want[delivery](c, http.StatusOK, http.MethodPost, "/deliveries/"+d.ID+"/"+verb, body, headers...)
}

// patience is how long anything may take here.
const patience = 8 * time.Second

// until waits for something to come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-over.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// await waits for a delivery to come into a state.
func (c *client) await(id, state string) delivery {
	c.t.Helper()
	return c.awaits(id, "is "+state, func(d delivery) bool { return d.State == state })
}

// awaits waits for a delivery to come true.
func (c *client) awaits(id, what string, ok func(delivery) bool) delivery {
	c.t.Helper()
	var d delivery
	over := time.Now().Add(patience)
	until(c.t, fmt.Sprintf("delivery %s %s", id, what), func() bool {
		if d = c.delivery(id); !ok(d) && time.Now().After(over.Add(-100*time.Millisecond)) {
			c.t.Fatalf("delivery %s never %s: %s, reason %+v, holds %v, next %s, log %+v", id, what, d.State, d.Reason, d.Holds, d.NextAttemptAt, d.AttemptsLog)
		}
		return ok(d)
	})
	return d
}

// quiet lets some time pass in which nothing may happen.
func quiet(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// same is the receipt's proof against the sandbox's own record.
func (w *town) same(t *testing.T, r *receipt, a sandbox.Act) {
	t.Helper()
	if r == nil {
		t.Fatalf("no receipt for %s %s", a.Platform, a.RemoteID)
	}
	// Some answers name the whole address, which is the sandbox's, and of others Crier makes the public one.
	if r.RemoteID != a.RemoteID || w.public(r.URL) != w.public(a.URL) {
		t.Errorf("%s: the receipt is %s %s, the platform has %s %s", a.Platform, r.RemoteID, r.URL, a.RemoteID, w.public(a.URL))
	}
}

// in is a time from now, as a client would write it.
func in(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339Nano) }
