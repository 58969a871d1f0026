package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/config"
	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// overload gives the size of a test: small for each change, the other with CRIER_OVERLOAD=full.
func overload(small, full int) int {
	if os.Getenv("CRIER_OVERLOAD") == "full" {
		return full
	}
	return small
}

// late is how late the first request of a due post may be here, where all tests share a machine. What was seen is logged.
const late = 15 * time.Second

// limited runs a daemon in this process whose limits for clients are these.
func (w *town) limited(t *testing.T, l app.HTTPLimits) (url string) {
	t.Helper()
	c, _, err := config.Parse("overload", []byte(w.yaml))
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan net.Addr, 1)
	a, err := app.New(t.Context(), app.Options{
		Config: c, Version: "overload", Grace: 2 * time.Second, HTTP: l, Ready: func(addr net.Addr) { ready <- addr },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	select {
	case addr := <-ready:
		return "http://" + addr.String()
	case <-time.After(30 * time.Second):
		t.Fatal("the daemon was not ready in time")
	}
	return ""
}

// honest asks on a new connection and has to be answered.
func honest(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+app.DemoKey)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("an honest client is kept out: %v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("an honest client got status %d", resp.StatusCode)
	}
}

// connect opens n connections, sends the same on each, and closes them at the end.
func connect(t *testing.T, url string, n int, text string) []net.Conn {
	t.Helper()
	all := make([]net.Conn, n)
	for i := range all {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, text) // one that has lost its place already hears so when it reads
		all[i] = conn
	}
	return all
}

// cut waits until the other side has ended every connection.
func cut(t *testing.T, all []net.Conn) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for i, conn := range all {
		if err := conn.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
			t.Fatalf("connection %d of %d is still open", i, len(all))
		}
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	t.Parallel()
	url := newTown(t).limited(t, app.HTTPLimits{Header: 300 * time.Millisecond})
	slow := connect(t, url, overload(50, 500), "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	honest(t, url)
	cut(t, slow)
}

func TestIdleConnectionsAreCutOff(t *testing.T) {
	t.Parallel()
	url := newTown(t).limited(t, app.HTTPLimits{Idle: 300 * time.Millisecond})
	cut(t, connect(t, url, 20, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
}

func TestSlowHeadersDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	const places = 20
	url := newTown(t).limited(t, app.HTTPLimits{Connections: places, Header: time.Hour, Idle: time.Hour})
	slow := connect(t, url, overload(10, 50)*places, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	for range 2 * places {
		honest(t, url)
	}
	cut(t, slow[:len(slow)-places])
}

func TestSlowBodiesDoNotKeepOthersOutForLong(t *testing.T) {
	t.Parallel()
	const places = 20
	url := newTown(t).limited(t, app.HTTPLimits{Connections: places, Stall: 500 * time.Millisecond})
	slow := connect(t, url, 3*places, "POST /api/v1/posts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+app.DemoKey+"\r\nContent-Length: 1000\r\n\r\n{")
	honest(t, url)
	cut(t, slow)
}

func TestBodiesThatNeverComeKeepNobodyFromTheWork(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"POST /api/v1/posts", "PATCH /api/v1/posts/x", "GET /api/v1/status"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			const clients = 100 // more than are worked on at one moment
			url := newTown(t).limited(t, app.HTTPLimits{Connections: clients + 10, Stall: time.Hour})
			slow := connect(t, url, clients, line+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+app.DemoKey+"\r\nContent-Length: 1000\r\n\r\n{")
			for range 3 {
				honest(t, url)
			}
			for _, c := range slow {
				_ = c.Close()
			}
		})
	}
}

// lags gives how late each commit was that the platforms have got, by the number at the end of its text.
func (w *world) lags(due map[string]time.Time) *times {
	out := &times{}
	for _, a := range w.box.Record() {
		if at, ok := due[a.Text]; ok && a.Public {
			out.add(a.At.Sub(at))
		}
	}
	return out
}

// queue creates n posts that come due one after the other from an instant on, and gives when by text.
func queuePosts(t *testing.T, url, key, name string, n int, first time.Time, step time.Duration) map[string]time.Time {
	t.Helper()
	c := dialCaller(t, url, key)
	due := map[string]time.Time{}
	for i := range n {
		text := fmt.Sprintf("due while there is much to do: %s %d", name, i)
		due[text] = post.Instant(first.Add(time.Duration(i) * step))
		body := m{"text": text, "targets": []string{"acme-page"}, "at": due[text].Format("2006-01-02T15:04:05.000Z07:00")}
		if resp, answer, err := c.ask(http.MethodPost, "/api/v1/posts", body); err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("queueing: %v %s", err, answer)
		}
	}
	return due
}

// onTime waits until all are out and logs how late they were.
func (w *world) onTime(t *testing.T, due map[string]time.Time) {
	t.Helper()
	var last time.Time
	for _, at := range due {
		if at.After(last) {
			last = at
		}
	}
	over := time.NewTimer(time.Until(last) + late)
	defer over.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		lags := w.lags(due)
		if len(lags.all) == len(due) {
			t.Logf("%d due posts: late by p50 %s, p99 %s", len(due), lags.at(0.5), lags.at(0.99))
			return
		}
		select {
		case <-again.C:
		case <-over.C:
			t.Fatalf("%d of %d posts are out %s after the last was due", len(lags.all), len(due), late)
		}
	}
}

func TestManyClientsAtOnceDelayNoDuePost(t *testing.T) {
	clients, each := overload(100, 1000), overload(10, 40)
	w := newWorld(t)
	p := startDaemon(t, w.config)
	t.Cleanup(p.kill)
	keys := newKeys(t, p.url, 1+clients/10)
	all := make([]*caller, clients)
	for i := range all {
		all[i] = dialCaller(t, p.url, keys[i%len(keys)])
	}
	before := anonymousMiB(t, p.cmd.Process.Pid)
	due := queuePosts(t, p.url, app.DemoKey, "clients", overload(20, 200), time.Now().Add(time.Second), 50*time.Millisecond)
	var took times
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			for n := range each {
				method, path, body := http.MethodGet, "/api/v1/deliveries?limit=20", any(nil)
				switch (i + n) % 4 {
				case 0:
					method, path = http.MethodPost, "/api/v1/posts"
					body = m{"text": fmt.Sprintf("one of many, %d of client %d", n, i), "targets": []string{"acme-x"}, "at": "2027-01-01T09:00"}
				case 1:
					path = "/api/v1/status"
				}
				began := time.Now()
				resp, answer, err := c.ask(method, path, body)
				took.add(time.Since(began))
				switch {
				case err != nil:
					t.Errorf("client %d: %v", i, err)
					return
				case resp.StatusCode == http.StatusCreated:
					created.Add(1)
				case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
					if resp.Header.Get("Retry-After") == "" {
						t.Errorf("client %d: a refusal without Retry-After: %s", i, answer)
					}
					refused.Add(1)
				case resp.StatusCode != http.StatusOK:
					t.Errorf("client %d: status %d: %s", i, resp.StatusCode, answer)
				}
			}
		})
	}
	wg.Wait()
	after := anonymousMiB(t, p.cmd.Process.Pid)
	t.Logf("%d clients, %d requests: p50 %s, p99 %s, %d created, %d refused; anonymous memory %.0f MiB before, %.0f MiB after",
		clients, clients*each, took.at(0.5), took.at(0.99), created.Load(), refused.Load(), before, after)
	if after > 400 {
		t.Errorf("the daemon has %.0f MiB of anonymous memory", after)
	}
	w.onTime(t, due)
}

func TestHundredsMayWaitForTheirPosts(t *testing.T) {
	clients := overload(60, 600)
	w := newWorld(t)
	p := startDaemon(t, w.config)
	t.Cleanup(p.kill)
	var wg sync.WaitGroup
	var waited atomic.Int64
	for i := range clients {
		c := dialCaller(t, p.url, app.DemoKey)
		wg.Go(func() {
			body := m{"text": fmt.Sprintf("waited for by client %d", i), "targets": []string{"acme-page"}, "at": "now"}
			resp, answer, err := c.ask(http.MethodPost, "/api/v1/posts", body, "Prefer", "wait=60")
			if err != nil || resp.StatusCode != http.StatusCreated {
				t.Errorf("client %d: %v %s", i, err, answer)
				return
			}
			var made postView
			if err := json.Unmarshal(answer, &made); err != nil {
				t.Error(err)
			}
			if resp.Header.Get("Preference-Applied") != "" {
				waited.Add(1)
				if made.State != "published" {
					t.Errorf("client %d has waited and is told %s", i, made.State)
				}
			}
		})
	}
	honest(t, p.url)
	wg.Wait()
	t.Logf("%d of %d clients found a place to wait", waited.Load(), clients)
	if waited.Load() < int64(min(clients, 512))/2 {
		t.Errorf("%d of %d clients could wait", waited.Load(), clients)
	}
}

// stored makes the data folder of a world and opens its store.
func (w *world) stored(t *testing.T, fill func(*bolt.Store)) {
	t.Helper()
	startDaemon(t, w.config).stop(t)
	s, err := bolt.Open(t.Context(), bolt.Options{Dir: filepath.Join(filepath.Dir(w.config), "data"), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	fill(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// inParallel runs n writes, many of which share a commit.
func inParallel(t *testing.T, n int, write func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := write(i); err != nil {
					t.Errorf("write %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// timed asks and logs how long it took.
func timed(t *testing.T, c *caller, method, path string, body any) []byte {
	t.Helper()
	began := time.Now()
	resp, answer, err := c.ask(method, path, body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %v %s", method, path, err, answer)
	}
	t.Logf("%s %s: %s, %d KiB", method, path, time.Since(began).Round(100*time.Microsecond), len(answer)>>10)
	return answer
}

func TestALongLaneDelaysNoOther(t *testing.T) {
	n := overload(1500, 50_000)
	w := newWorld(t)
	w.stored(t, func(s *bolt.Store) {
		long := queueOf(t, 4*n, 90*24*3600*100, time.Now().Add(time.Hour))
		var one []store.NewPost
		for i := range long {
			if long[i].Deliveries[0].Account.Handle == "acme-x" {
				one = append(one, long[i])
			}
		}
		if made, err := s.CreatePosts(t.Context(), benchWrite(), one); err != nil || made != n {
			t.Fatal(made, err)
		}
	})
	p := startDaemon(t, w.config)
	t.Cleanup(p.kill)
	due := queuePosts(t, p.url, app.DemoKey, "lane", 20, time.Now().Add(time.Second), 100*time.Millisecond)
	c := dialCaller(t, p.url, app.DemoKey)
	timed(t, c, http.MethodPost, "/api/v1/accounts/acme-x/pause", m{})
	timed(t, c, http.MethodGet, "/api/v1/status", nil)
	timed(t, c, http.MethodGet, "/api/v1/plan", nil)
	timed(t, c, http.MethodPost, "/api/v1/accounts/acme-x/resume", m{})
	seen, pages := 0, 0
	var last delivery
	for path := "/api/v1/deliveries?account=acme-x&limit=500"; path != ""; pages++ {
		resp, answer, err := c.ask(http.MethodGet, path, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("page %d: %v %s", pages, err, answer)
		}
		var page list[delivery]
		if err := json.Unmarshal(answer, &page); err != nil {
			t.Fatal(err)
		}
		seen += len(page.Items)
		last = page.Items[len(page.Items)-1]
		link := resp.Header.Get("Link")
		path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	}
	if seen != n {
		t.Errorf("the lane has %d deliveries over %d pages, want %d", seen, pages, n)
	}
	timed(t, c, http.MethodPost, "/api/v1/deliveries/"+last.ID+"/cancel", nil)
	timed(t, c, http.MethodGet, "/api/v1/deliveries/"+last.ID, nil)
	t.Logf("%d deliveries in one lane: %.0f MiB of anonymous memory", n, anonymousMiB(t, p.cmd.Process.Pid))
	w.onTime(t, due)
}

func TestManySeriesDelayNoDuePost(t *testing.T) {
	n := overload(150, 10_000)
	w := newWorld(t)
	w.stored(t, func(s *bolt.Store) {
		inParallel(t, n, func(i int) error {
			_, err := s.CreateSeries(t.Context(), benchWrite(), store.Series{
				ID: benchID(t), Author: "sam", CreatedAt: post.Instant(time.Now()), Kind: post.Brand, TimeZone: "UTC", Order: "cycle",
				Cron:     fmt.Sprintf("%d %d * * *", i%60, time.Now().Add(2*time.Hour).UTC().Hour()),
				Accounts: []post.AccountKey{{Kind: post.Brand, Handle: "acme-x"}},
				Posts:    []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"text":"again and again %d","targets":["acme-x"]}`, i))},
			})
			return err
		})
	})
	began := time.Now()
	p := startDaemon(t, w.config)
	t.Cleanup(p.kill)
	t.Logf("%d series: ready after %s, with all runs of two days made", n, time.Since(began).Round(time.Millisecond))
	due := queuePosts(t, p.url, app.DemoKey, "series", 20, time.Now().Add(time.Second), 100*time.Millisecond)
	c := dialCaller(t, p.url, app.DemoKey)
	timed(t, c, http.MethodGet, "/api/v1/plan", nil)
	timed(t, c, http.MethodGet, "/api/v1/series?limit=500", nil)
	var page list[delivery]
	if err := json.Unmarshal(timed(t, c, http.MethodGet, "/api/v1/deliveries?account=acme-x&limit=500", nil), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) < min(n, 500) {
		t.Errorf("%d runs are made of %d series", len(page.Items), n)
	}
	t.Logf("%.0f MiB of anonymous memory", anonymousMiB(t, p.cmd.Process.Pid))
	w.onTime(t, due)
}

func TestManyFilesAreListedPageByPage(t *testing.T) {
	n := overload(2000, 100_000)
	w := newWorld(t)
	w.stored(t, func(s *bolt.Store) {
		inParallel(t, n, func(i int) error {
			_, err := s.PutMedia(t.Context(), benchWrite(), store.Media{
				Media:   post.Media{ID: fmt.Sprintf("%064x", i), Type: "image/png", Bytes: 1000, Width: 8, Height: 6},
				Uploads: []store.Upload{{By: "sam", At: post.Instant(time.Now())}},
			})
			return err
		})
		began := time.Now()
		if err := s.Prune(t.Context(), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		t.Logf("pruning: %s", time.Since(began).Round(time.Millisecond))
		began = time.Now()
		if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db")); err != nil {
			t.Fatal(err)
		}
		t.Logf("backup: %s", time.Since(began).Round(time.Millisecond))
	})
	p := startDaemon(t, w.config)
	t.Cleanup(p.kill)
	due := queuePosts(t, p.url, app.DemoKey, "files", 20, time.Now().Add(time.Second), 50*time.Millisecond)
	for _, key := range []string{app.DemoKey, app.DemoKeyMia} { // Sam has uploaded them all, and Mia sees none
		timed(t, dialCaller(t, p.url, key), http.MethodGet, "/api/v1/media?limit=500", nil)
	}
	c := dialCaller(t, p.url, app.DemoKey)
	seen := 0
	var took times
	for path := "/api/v1/media?limit=500"; path != ""; {
		began := time.Now()
		resp, answer, err := c.ask(http.MethodGet, path, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("after %d files: %v %s", seen, err, answer)
		}
		took.add(time.Since(began))
		var page list[struct{ ID string }]
		if err := json.Unmarshal(answer, &page); err != nil {
			t.Fatal(err)
		}
		seen += len(page.Items)
		path = strings.TrimSuffix(strings.TrimPrefix(resp.Header.Get("Link"), "<"), `>; rel="next"`)
	}
	if seen != n {
		t.Errorf("%d files over all pages, want %d", seen, n)
	}
	timed(t, c, http.MethodDelete, fmt.Sprintf("/api/v1/media/%064x", n/2), nil)
	t.Logf("%d files: a page of 500 takes p50 %s, p99 %s; %.0f MiB of anonymous memory", n, took.at(0.5), took.at(0.99), anonymousMiB(t, p.cmd.Process.Pid))
	w.onTime(t, due)
}
