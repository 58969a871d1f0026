package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crier/internal/sandbox"
)

// The scenarios of looks that have to read more than one page, with the real adapters against the platforms in
// miniature.

// reader is the way to the platforms: it counts the pages of listings, keeps them back until they may be read, and can
// break one of them.
type reader struct {
	open chan struct{}

	mu    sync.Mutex
	pages []string
	fail  int // the page to break, counted from 1; 0 breaks none
}

var errMidway = errors.New("connection reset half way")

// listings are the calls that list what an account has published.
var listings = []string{"/tweets", "/statuses/user_timeline.json", "/published_posts", "/submitted"}

func (r *reader) RoundTrip(req *http.Request) (*http.Response, error) {
	lists := false
	for _, l := range listings {
		lists = lists || req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, l)
	}
	if !lists {
		return http.DefaultTransport.RoundTrip(req)
	}
	select {
	case <-r.open:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	r.mu.Lock()
	r.pages = append(r.pages, req.URL.RequestURI())
	broken := len(r.pages) == r.fail
	r.mu.Unlock()
	if broken {
		return nil, errMidway
	}
	return http.DefaultTransport.RoundTrip(req)
}

func (r *reader) read() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pages)
}

// crowded loses the answer to a post and has the account publish more than a page of others, with another tool, before
// anybody looks.
func crowded(t *testing.T, c crowd, r *reader) (*crier, delivery) {
	t.Helper()
	w := newTown(t)
	r.open = make(chan struct{})
	w.transport = r
	d := w.start(t)
	d.misbehave(sandbox.Fault{Platform: c.platform, Identity: c.identity, Kind: sandbox.PublishThenCut, Times: 1})
	who := d.sam
	if c.mia {
		who = d.mia
	}
	x := who.post(m{"text": "The lost one", "targets": []any{c.target("The lost one")}, "at": "now"}).Deliveries[0]
	until(t, "it is out", func() bool { return len(w.acts(c.platform, c.identity)) == 1 })

	tool := &town{box: w.box, base: w.base, yaml: strings.Replace(w.yaml, dataDir(t, w.yaml), filepath.Join(t.TempDir(), "tool"), 1)}
	other := tool.start(t)
	hand := other.sam
	if c.mia {
		hand = other.mia
	}
	for i := range c.others {
		text := fmt.Sprintf("Another one, number %d", i)
		hand.post(m{"text": text, "targets": []any{c.target(text)}, "at": "now"})
	}
	untilLong(t, "the others are out", func() bool { return len(w.acts(c.platform, c.identity)) == c.others+1 })
	close(r.open)
	return d, x
}

type crowd struct {
	platform, identity string
	mia                bool
	others             int // more than the adapter's page
	target             func(text string) any
}

var crowds = map[string]crowd{
	"X":        {"twitter", "1001", false, 105, func(string) any { return "acme-x" }},
	"X v1.1":   {"twitter", "1002", true, 205, func(string) any { return "mia-x" }},
	"Facebook": {"facebook", "1029384756", false, 55, func(string) any { return "acme-page" }},
	"Reddit": {"reddit", "t2_acme", false, 105, func(text string) any {
		return m{"account": "acme-reddit", "title": text, "options": m{"subreddit": "test"}}
	}},
}

// dataDir is the data folder of a configuration.
func dataDir(t *testing.T, yaml string) string {
	t.Helper()
	_, rest, _ := strings.Cut(yaml, `data_dir: "`)
	dir, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("the configuration names no data folder")
	}
	return dir
}

// untilLong waits for something that takes many steps: as long as there is progress within the usual patience, the
// test's own deadline is the end.
func untilLong(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 10 {
		for over := time.Now().Add(patience); time.Now().Before(over); {
			if ok() {
				return
			}
			quiet(t, 25*time.Millisecond)
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func TestALookWhoseFirstPageIsFullOfOtherPosts(t *testing.T) {
	t.Parallel()
	for name, c := range crowds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &reader{}
			d, x := crowded(t, c, r)
			who := d.sam
			if c.mia {
				who = d.mia
			}
			got := who.await(x.ID, "published")
			acts := d.town.acts(c.platform, c.identity)
			d.town.same(t, got.Receipt, acts[0])
			if n := len(acts); n != c.others+1 {
				t.Errorf("%d are out, want %d", n, c.others+1)
			}
			if n := r.read(); n < 2 {
				t.Errorf("%d pages were read, want the second one too", n)
			}
		})
	}
}

func TestALookThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	for name, c := range crowds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &reader{fail: 2} // the first page was read, and does not show it
			d, x := crowded(t, c, r)
			who := d.sam
			if c.mia {
				who = d.mia
			}
			got := who.awaits(x.ID, "was looked for in vain", func(x delivery) bool { return x.reason() == "look_failed" })
			if got.State != "unconfirmed" {
				t.Errorf("after half a look it is %s", got.State)
			}
			// The two looks that the horizon still asks for never come early: half a look counts for nothing.
			quiet(t, 1500*time.Millisecond)
			if n := len(d.town.acts(c.platform, c.identity)); n != c.others+1 {
				t.Errorf("%d are out, want %d", n, c.others+1)
			}
			if got := who.delivery(x.ID); got.State != "unconfirmed" || got.Receipt != nil {
				t.Errorf("it is %s with the receipt %+v", got.State, got.Receipt)
			}
			// The next look, half a minute after the one that failed, gets through and finds it.
			untilLong(t, "it is found", func() bool { return who.delivery(x.ID).State == "published" })
			got = who.delivery(x.ID)
			acts := d.town.acts(c.platform, c.identity)
			d.town.same(t, got.Receipt, acts[0])
			if n := len(acts); n != c.others+1 {
				t.Errorf("in the end %d are out, want %d", n, c.others+1)
			}
		})
	}
}
