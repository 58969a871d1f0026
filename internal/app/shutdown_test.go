package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/store"
	"crier/store/bolt"
)

// crowdYAML are accounts for a crowd of Pages, each with a queue of its own.
func crowdYAML(n int) string {
	var b strings.Builder
	for i := range n {
		id, token := crowdPage(i)
		fmt.Fprintf(&b, "  - {handle: crowd-%d, platform: facebook, kind: brand, owner: acme, identity: %q, credentials: {page_token: %s}}\n", i, id, token)
	}
	return b.String()
}

// TestSIGTERMWithHundredsInFlight ends the daemon while hundreds of requests are on their way. What the platforms answer
// within the grace is stored; of the rest it is known that nobody knows; what was not sent yet is left alone. The next
// start looks and sends, and in the end each is out once.
func TestSIGTERMWithHundredsInFlight(t *testing.T) {
	t.Parallel()
	const each = 80 // answered in time, out without an answer, lost
	const grace, slow = 4 * time.Second, 2 * time.Second
	s := newCrowd(t, 4*each, grace)
	s.admin(http.MethodPost, "faults", m{"platform": "facebook", "kind": sandbox.PublishThenHang, "times": each}, nil)
	s.admin(http.MethodPost, "faults", m{"platform": "facebook", "kind": sandbox.HangBefore, "times": each}, nil)
	s.admin(http.MethodPost, "faults", m{"platform": "facebook", "kind": sandbox.Slow, "delay": slow.String()}, nil)
	sam := &client{t: t, base: s.p.url + "/api/v1", key: app.DemoKey}
	targets := func(group int) (all []any) {
		for i := range each {
			all = append(all, fmt.Sprintf("crowd-%d", group*each+i))
		}
		return all
	}
	for group := range 3 {
		sam.post(m{"text": "Right now", "targets": targets(group), "at": "now"})
	}
	s.underWay(3 * each)
	// These become due while the daemon goes down.
	sam.post(m{"text": "In a moment", "targets": targets(3), "at": in(1200 * time.Millisecond)})

	knocking := s.knock()
	began := time.Now()
	s.signal(syscall.SIGTERM)
	_ = pause(t.Context(), 500*time.Millisecond)
	s.signal(syscall.SIGTERM) // an impatient second one changes nothing
	s.signal(os.Interrupt)
	<-s.p.done
	if took := time.Since(began); took < slow/2 || took > grace+10*time.Second {
		t.Errorf("it went down within %s", took)
	}
	if code := s.p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with status %d:\n%s", code, s.p.log)
	}
	accepted := knocking()

	states, attempts := s.stored()
	if states[post.Published] != each || states[post.Unconfirmed] != 2*each || states[post.Scheduled] != each+accepted {
		t.Errorf("after going down, the deliveries are %v; %d were accepted meanwhile", states, accepted)
	}
	for id, n := range attempts {
		if n > 1 {
			t.Errorf("delivery %s counts %d attempts", id, n)
		}
	}
	if n := s.commits(); n != 3*each {
		t.Errorf("%d requests that post were made, want %d", n, 3*each)
	}

	s.admin(http.MethodDelete, "faults", nil, nil)
	s.p = startOrdered(t, s.orders)
	sam.base = s.p.url + "/api/v1"
	s.settled(sam)
	count := map[string]int{}
	for _, a := range s.record() {
		if count[a.Identity+" "+a.Text]++; count[a.Identity+" "+a.Text] > 1 {
			t.Errorf("%s has it twice: %q", a.Identity, a.Text)
		}
	}
	if len(count) != 4*each+accepted {
		t.Errorf("%d posts are out, want %d", len(count), 4*each+accepted)
	}
	s.p.stop(t)
	if problems, err := bolt.Fsck(filepath.Join(s.data, bolt.FileName)); err != nil || len(problems) > 0 {
		t.Errorf("the store: %v %q", err, problems)
	}
}

// TestAGoingDownDaemonIsNotReadyAndAnswersThoseWhoWait holds requests open while the daemon goes down: the proxy before
// it hears at once that it is no longer ready, who waits for a post in flight hears how it ended, and who waits for one
// that does not begin any more gets it as it is.
func TestAGoingDownDaemonIsNotReadyAndAnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	s := newCrowd(t, 2, 10*time.Second)
	s.admin(http.MethodPost, "faults", m{"platform": "facebook", "kind": sandbox.Slow, "delay": "1500ms"}, nil)
	type end struct {
		status int
		body   []byte
		err    error
	}
	wait := func(account, at string) <-chan end {
		ch := make(chan end, 1)
		go func() {
			status, body, err := request(t.Context(), http.MethodPost, s.p.url+"/api/v1/posts", app.DemoKey,
				m{"text": "I wait " + at, "targets": []any{account}, "at": at}, "Prefer", "wait=50")
			ch <- end{status, body, err}
		}()
		return ch
	}
	flying, idle := wait("crowd-0", "now"), wait("crowd-1", in(time.Hour))
	s.underWay(1)
	sam := &client{t: t, base: s.p.url + "/api/v1", key: app.DemoKey}
	until(t, "both are stored", func() bool {
		return len(want[list[delivery]](sam, http.StatusOK, http.MethodGet, "/deliveries", nil).Items) == 2
	})
	began := time.Now()
	s.signal(syscall.SIGTERM)
	until(t, "it says that it is not ready", func() bool {
		status, _, err := request(t.Context(), http.MethodGet, s.p.url+"/readyz", "", nil)
		if err != nil {
			t.Fatalf("it is gone before what is in flight has ended: %v", err)
		}
		return status == http.StatusServiceUnavailable
	})
	for name, ch := range map[string]<-chan end{"published": flying, "scheduled": idle} {
		e := <-ch
		if e.err != nil || e.status != http.StatusCreated {
			t.Errorf("who waited for what is %s got %d %s, %v", name, e.status, e.body, e.err)
			continue
		}
		if p := read[postView](t, answer{body: e.body}); p.State != name {
			t.Errorf("who waited got a post that is %s, want %s", p.State, name)
		}
	}
	<-s.p.done
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("those who waited kept it for %s", took)
	}
	if code := s.p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with status %d:\n%s", code, s.p.log)
	}
}

// crowdTown is a daemon with a crowd of accounts, and the platforms, each in a process of its own.
type crowdTown struct {
	*siege

	orders orders
	p      *process
}

func newCrowd(t *testing.T, n int, grace time.Duration) *crowdTown {
	t.Helper()
	c := layCrowd(t, n, grace)
	c.launch()
	return c
}

// layCrowd is a crowd whose daemon has not started yet.
func layCrowd(t *testing.T, n int, grace time.Duration) *crowdTown {
	t.Helper()
	dir := t.TempDir()
	s := &siege{t: t, dir: dir, data: filepath.Join(dir, "data"), stage: stage{
		Listen: "127.0.0.1:0", Journal: filepath.Join(dir, "platforms.jsonl"), Crowd: n,
	}}
	s.raise()
	t.Cleanup(s.box.kill)
	s.config = writeConfig(t, dir, s.base, crowdYAML(n))
	b, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "scheduler: {", "scheduler: {max_in_flight: 2000, ", 1)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &crowdTown{siege: s, orders: orders{Config: s.config, Looks: crashLooks(), Grace: grace}}
}

// launch starts the daemon, which the test's end kills.
func (c *crowdTown) launch() {
	c.t.Helper()
	c.p = startOrdered(c.t, c.orders)
	c.t.Cleanup(func() { c.p.kill() })
}

func (c *crowdTown) signal(s os.Signal) {
	c.t.Helper()
	if err := c.p.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// commits counts the requests that the platforms got and that post.
func (c *crowdTown) commits() int {
	c.t.Helper()
	var all []sandbox.Request
	c.admin(http.MethodGet, "requests", nil, &all)
	n := 0
	for _, r := range all {
		if r.Commit {
			n++
		}
	}
	return n
}

func (c *crowdTown) underWay(n int) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("%d requests are under way", n), func() bool { return c.commits() >= n })
}

// knock keeps asking for posts of the far future until the daemon no longer takes any: each gets a whole answer, or
// finds the door closed. The function returned gives how many were accepted.
func (c *crowdTown) knock() func() int {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	var mu sync.Mutex
	var accepted int
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				status, body, err := request(ctx, http.MethodPost, c.p.url+"/api/v1/posts", app.DemoKey,
					m{"text": fmt.Sprintf("Knock %d of %d", i, g), "targets": []any{"acme-page"}, "at": in(2 * time.Second)})
				switch {
				case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
					return // closed
				case err != nil, status != http.StatusCreated:
					c.t.Errorf("somebody who knocked got %d %s, %v", status, body, err)
					return
				}
				mu.Lock()
				accepted++
				mu.Unlock()
				if pause(ctx, 30*time.Millisecond) != nil {
					return
				}
			}
		})
	}
	return func() int { all.Wait(); cancel(); return accepted }
}

// stored reads the store that the daemon has left: the deliveries by state, and the attempts of each.
func (c *crowdTown) stored() (states map[post.State]int, attempts map[post.ID]int) {
	c.t.Helper()
	s, err := bolt.Open(c.t.Context(), bolt.Options{Dir: c.data, Now: time.Now()})
	if err != nil {
		c.t.Fatal(err)
	}
	states, attempts = map[post.State]int{}, map[post.ID]int{}
	for cursor, more := "", true; more; more = cursor != "" {
		page, err := s.ListDeliveries(c.t.Context(), store.Filter{Limit: 500, Cursor: cursor})
		if err != nil {
			c.t.Fatal(err)
		}
		for _, d := range page.Items {
			states[d.Delivery.State]++
			attempts[d.Delivery.ID] = d.Delivery.Attempts
		}
		cursor = page.Next
	}
	if err := s.Close(); err != nil {
		c.t.Fatal(err)
	}
	return states, attempts
}

// settled waits until nothing is on its way.
func (c *crowdTown) settled(sam *client) {
	c.t.Helper()
	c.settledUnless(sam, 15*time.Second)
}

// settledUnless waits until nothing is on its way, unless nothing moves for so long.
func (c *crowdTown) settledUnless(sam *client, still time.Duration) {
	c.t.Helper()
	last, least := time.Now(), -1
	for {
		n := len(want[list[delivery]](sam, http.StatusOK, http.MethodGet, "/deliveries?limit=500&state=scheduled,sending,unconfirmed", nil).Items)
		if n == 0 {
			return
		}
		if least < 0 || n < least {
			last, least = time.Now(), n
		}
		if time.Since(last) > still {
			c.t.Fatalf("%d are not settled:\n%s", n, c.p.log)
		}
		if pause(c.t.Context(), 100*time.Millisecond) != nil {
			return
		}
	}
}
