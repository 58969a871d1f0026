package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata"

	"crier/internal/app"
	"crier/internal/config"
	"crier/internal/sandbox"
)

// The environment that turns the test binary into the daemon: the crash test kills a process of its own, with the
// real composition root, the real store and real sockets.
const (
	daemonEnv = "CRIER_TEST_DAEMON"
	roundsEnv = "CRIER_CRASH_ROUNDS"
	seedEnv   = "CRIER_CRASH_SEED"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(daemonEnv); path != "" {
		os.Exit(daemon(path))
	}
	os.Exit(m.Run())
}

// daemon is crier serve with the sandbox's horizon.
func daemon(path string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	c, _, err := config.Load(path)
	if err == nil {
		var a *app.App
		a, err = app.New(ctx, app.Options{
			Config: c, Log: log, Version: "crash test", Looks: []time.Duration{time.Second, 2 * time.Second, 3 * time.Second},
			Ready: func(addr net.Addr) { fmt.Println(addr) },
			Grace: 2 * time.Second,
		})
		if err == nil {
			err = a.Run(ctx)
		}
	}
	if err != nil {
		log.Error("ended", "error", err)
		return 1
	}
	return 0
}

// process is one life of the daemon.
type process struct {
	cmd  *exec.Cmd
	url  string
	log  *bytes.Buffer
	done chan struct{}
}

func startDaemon(tb testing.TB, config string) *process {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	p := &process{cmd: exec.Command(self), log: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), daemonEnv+"="+config)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	addr := make(chan string, 1)
	go func() {
		defer close(p.done)
		b := make([]byte, 256)
		n, _ := out.Read(b)
		addr <- strings.TrimSpace(string(b[:n]))
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait()
	}()
	select {
	case a := <-addr:
		if a == "" {
			<-p.done
			tb.Fatalf("the daemon did not start:\n%s", p.log)
		}
		p.url = "http://" + a
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		tb.Fatalf("the daemon was not ready in time:\n%s", p.log)
	}
	return p
}

// stop ends the daemon as a service manager does.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	<-p.done
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // SIGKILL: nothing is flushed, nothing is said
	<-p.done
}

// world is a sandbox over HTTP with a configuration for it.
type world struct {
	box    *sandbox.Sandbox
	config string
	key    string
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	dir := tb.TempDir()
	srv := httptest.NewUnstartedServer(nil)
	base := "http://" + srv.Listener.Addr().String()
	box, err := sandbox.New(sandbox.Config{Identities: app.DemoIdentities(), BaseURL: base, Unlimited: true})
	if err != nil {
		tb.Fatal(err)
	}
	srv.Config.Handler = box
	srv.Start()
	tb.Cleanup(func() { srv.CloseClientConnections(); srv.Close(); _ = box.Close() })
	text := app.DemoYAML(filepath.Join(dir, "data"), "127.0.0.1:0", base)
	text = strings.Replace(text, "min_gap: 2s", "min_gap: 0s", 1)
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return &world{box: box, config: path, key: app.DemoKey}
}

// call makes one request of the API; it gives the status, 0 when the daemon is gone.
func (w *world) call(ctx context.Context, method, url string, body, into any) (int, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+w.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if into != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(answer, into)
	}
	if resp.StatusCode >= 500 {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return resp.StatusCode, err
}

// TestCrashLoop kills the daemon at random moments while posts are queued and go out, on platforms that misbehave, and
// then asks the platforms' own record: each content at most once, none lost, none stuck.
func TestCrashLoop(t *testing.T) {
	rounds := 3
	if s := os.Getenv(roundsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(seedEnv); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("seed %d, %d rounds", seed, rounds)
	lot := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	accepted := map[string]int{} // of every post that the daemon said yes to: how many platforms it is for
	asked := map[string]bool{}   // every text that was sent to it
	n := 0
	for round := range rounds {
		forget := w.misbehave(lot)
		p := startDaemon(t, w.config)
		life := time.Duration(50+lot.IntN(900)) * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), life)
		for ctx.Err() == nil {
			n++
			text := fmt.Sprintf("round %d post %d of the crash loop", round, n)
			asked[text] = true
			body := crashPost(text, n, lot)
			status, err := w.call(ctx, http.MethodPost, p.url+"/api/v1/posts", body, nil)
			switch {
			case status == http.StatusCreated:
				accepted[text] = len(body["targets"].([]any))
			case status >= 400:
				t.Fatalf("round %d: status %d, %v", round, status, err)
			}
		}
		cancel()
		p.kill()
		forget()
	}
	p := startDaemon(t, w.config)
	w.settle(t, p)
	w.compare(t, accepted, asked)
	p.kill()
	t.Logf("%d posts accepted of %d asked for, %d acts on the platforms", len(accepted), len(asked), len(w.box.Record()))
}

// crashPost is a post for brand accounts, alternately on one and on three platforms, some with a thread.
func crashPost(text string, n int, lot *rand.Rand) map[string]any {
	targets := []any{"acme-x"}
	switch n % 3 {
	case 1:
		targets = []any{"acme-page", map[string]any{"account": "acme-reddit", "title": text, "options": map[string]any{"subreddit": "test"}}}
	case 2:
		targets = []any{"acme-x", "acme-page", map[string]any{"account": "acme-reddit", "title": text, "options": map[string]any{"subreddit": "test"}}}
	}
	body := map[string]any{"text": text, "targets": targets, "at": "now", "external_id": text}
	if n%6 == 3 && lot.IntN(2) == 0 {
		body["thread"] = []string{text + " (second part)"}
		body["targets"] = []any{"acme-x"}
	}
	return body
}

// misbehave arms faults for one life of the daemon.
func (w *world) misbehave(lot *rand.Rand) (forget func()) {
	kinds := []sandbox.FaultKind{
		sandbox.PublishThenCut, sandbox.PublishThenStatus, sandbox.PublishThenEmpty, sandbox.CutBefore, sandbox.HTML502,
		sandbox.PublishThenHang, sandbox.HangBefore,
	}
	var removes []func()
	for _, platform := range []string{"twitter", "facebook", "reddit"} {
		if lot.IntN(2) == 0 {
			continue
		}
		removes = append(removes, w.box.Misbehave(sandbox.Fault{
			Platform: platform, Kind: kinds[lot.IntN(len(kinds))], Times: 1 + lot.IntN(3), Status: 500, Delay: 400 * time.Millisecond,
		}))
	}
	return func() {
		for _, r := range removes {
			r()
		}
	}
}

// settle waits until nothing is on its way any more.
func (w *world) settle(t *testing.T, p *process) {
	t.Helper()
	// As long as something still goes out, nothing is stuck.
	const patience = 90 * time.Second
	deadline, least := time.Now().Add(patience), -1
	var status struct {
		Counts map[string]map[string]int `json:"counts"`
	}
	for time.Now().Before(deadline) {
		if code, err := w.call(t.Context(), http.MethodGet, p.url+"/api/v1/status", nil, &status); err != nil || code != http.StatusOK {
			t.Fatalf("status %d, %v\n%s", code, err, p.log)
		}
		open := 0
		for _, states := range status.Counts {
			open += states["scheduled"] + states["sending"] + states["unconfirmed"]
		}
		if open == 0 {
			return
		}
		if least < 0 || open < least {
			deadline, least = time.Now().Add(patience), open
		}
		w.decide(t, p)
		wait := time.NewTimer(200 * time.Millisecond)
		<-wait.C
	}
	t.Fatalf("not settled in time: %v\n%s", status.Counts, tail(p.log.String()))
}

// decide plays the person whom Crier asks when a part was in doubt twice: it looks at the platform and says what is
// there.
func (w *world) decide(t *testing.T, p *process) {
	t.Helper()
	type delivery struct {
		ID, Post, Platform string
		Version            int
		Reason             *struct{ Code string }
		Parts              []struct{ State string }
	}
	var page struct{ Items []delivery }
	if code, err := w.call(t.Context(), http.MethodGet, p.url+"/api/v1/deliveries?state=unconfirmed", nil, &page); err != nil || code != http.StatusOK {
		t.Fatalf("listing the unconfirmed: status %d, %v", code, err)
	}
	for _, d := range page.Items {
		if d.Reason == nil || (d.Reason.Code != "not_seen" && d.Reason.Code != "ambiguous") {
			continue // Crier still looks by itself
		}
		var one struct {
			Version int
			Content struct {
				Text   string
				Thread []struct{ Text string }
			}
			Parts []struct{ State string }
		}
		etag, err := w.read(t, p.url+"/api/v1/deliveries/"+d.ID, &one)
		if err != nil {
			t.Fatal(err)
		}
		text := one.Content.Text
		for i, part := range one.Parts {
			if part.State == "unconfirmed" && i > 0 {
				text = one.Content.Thread[i-1].Text
			}
		}
		verdict := map[string]any{"verdict": "not_published", "then": "retry"}
		for _, a := range w.box.Record() {
			if a.Platform == d.Platform && a.Text == text && a.Public {
				verdict = map[string]any{"verdict": "published", "url": a.URL}
			}
		}
		body, err := json.Marshal(verdict)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/deliveries/"+d.ID+"/resolve", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.key)
		req.Header.Set("If-Match", etag)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPreconditionFailed && resp.StatusCode != http.StatusConflict {
			t.Fatalf("resolving: %d %s", resp.StatusCode, answer)
		}
	}
}

// read gets one resource with its ETag.
func (w *world) read(t *testing.T, url string, into any) (etag string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.Header.Get("ETag"), json.NewDecoder(resp.Body).Decode(into)
}

// compare holds what the daemon accepted against what the platforms have.
func (w *world) compare(t *testing.T, accepted map[string]int, asked map[string]bool) {
	t.Helper()
	type place struct{ platform, identity, text string }
	out := map[place]int{}
	for _, a := range w.box.Record() {
		if !a.Public || a.Deleted {
			continue
		}
		text := a.Text
		out[place{a.Platform, a.Identity, text}]++
		if !strings.Contains(text, "(second part)") && !asked[text] {
			t.Errorf("%s has an act that nobody asked for: %q", a.Platform, text)
		}
	}
	for p, n := range out {
		if n > 1 {
			t.Errorf("%s has it %d times: %q", p.platform, n, p.text)
		}
	}
	for text, platforms := range accepted {
		found := 0
		for p := range out {
			if p.text == text {
				found++
			}
		}
		if found != platforms {
			t.Errorf("accepted for %d platforms and out on %d: %q", platforms, found, text)
		}
	}
}

func tail(s string) string {
	if len(s) > 8000 {
		return s[len(s)-8000:]
	}
	return s
}
