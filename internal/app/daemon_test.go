package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata"

	"crier/internal/app"
	"crier/internal/config"
	"crier/internal/sandbox"
)

// The environment that turns the test binary into the daemon or into the platforms: what is killed here is a process of
// its own, with the real composition root, the real store and real sockets.
const (
	daemonEnv  = "CRIER_TEST_DAEMON"
	sandboxEnv = "CRIER_TEST_SANDBOX"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(daemonEnv); text != "" {
		os.Exit(daemon(text))
	}
	if text := os.Getenv(sandboxEnv); text != "" {
		os.Exit(platforms(text))
	}
	os.Exit(m.Run())
}

// orders are what a daemon of the tests is started with.
type orders struct {
	Config string
	Looks  []time.Duration
	Grace  time.Duration
	// Trap names the point at which the process kills itself; the zero trap is none.
	Trap trap
	// Disk is what is wrong with the process's disk once it serves; empty is nothing.
	Disk disk
}

// daemon is crier serve with the sandbox's horizon.
func daemon(text string) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300) // as cmd/crier does
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	var o orders
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = serve(ctx, o, log)
	}
	if err != nil {
		log.Error("ended", "error", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, o orders, log *slog.Logger) error {
	c, _, err := config.Load(o.Config)
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	opts := app.Options{
		Config: c, Log: log, Version: "test", Looks: o.Looks, Grace: o.Grace,
		Ready: func(addr net.Addr) {
			if err := o.Disk.spoil(); err != nil {
				log.ErrorContext(ctx, "the disk cannot be spoiled", "error", err)
			}
			_, _ = fmt.Fprintln(os.Stdout, addr)
			close(ready)
		},
	}
	o.Trap.lay(ctx, &opts)
	a, err := app.New(ctx, opts)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-ready:
			o.Trap.spring(ctx, a, c.DataDir)
		case <-ctx.Done():
		}
	}()
	err = a.Run(ctx)
	if ctx.Err() != nil {
		<-over
	}
	return err
}

// stage is how the platforms of a test are started.
type stage struct {
	Listen  string // its port stays the same from one life to the next
	Journal string
	// Crowd is how many Pages there are beside the demo's identities.
	Crowd int
}

// platforms is the sandbox as a process of its own. What it has published outlives it in its journal.
func platforms(text string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var st stage
	err := json.Unmarshal([]byte(text), &st)
	var l net.Listener
	if err == nil {
		l, err = listenAgain(ctx, st.Listen)
	}
	var box *sandbox.Sandbox
	if err == nil {
		box, err = sandbox.New(sandbox.Config{
			Identities: identities(st.Crowd), Journal: st.Journal, BaseURL: "http://" + l.Addr().String(), Unlimited: true,
		})
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	srv := &http.Server{Handler: box, ReadHeaderTimeout: 10 * time.Second}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(l) }) // it ends when it is closed below
	_, _ = fmt.Fprintln(os.Stdout, l.Addr())
	<-ctx.Done()
	_ = srv.Close()
	served.Wait()
	if err := box.Close(); err != nil {
		return 1
	}
	return 0
}

// listenAgain takes a port that an earlier life had, as soon as whoever may have borrowed it meanwhile lets go.
func listenAgain(ctx context.Context, address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err == nil {
			return l, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// identities are the demo's and those of a crowd of Pages. The daily budgets of YouTube do not matter here.
func identities(crowd int) []sandbox.Identity {
	all := app.DemoIdentities()
	for i := range all {
		if all[i].Platform == "youtube" {
			all[i].Credentials["quota_inserts"], all[i].Credentials["quota_units"] = "100000000", "100000000"
			all[i].Credentials["upload_limit"] = "100000000"
		}
	}
	for i := range crowd {
		id, token := crowdPage(i)
		all = append(all, sandbox.Identity{Platform: "facebook", ID: id, Name: "Crowd " + id, Credentials: map[string]string{
			"page_token": token, "app_id": "1122334455", "app_secret": "demo-app-secret",
		}})
	}
	return all
}

// crowdPage is one Page of a crowd.
func crowdPage(i int) (id, token string) {
	return fmt.Sprintf("77%06d", i), fmt.Sprintf("crowd-token-%d", i)
}

// process is one life of a child.
type process struct {
	cmd  *exec.Cmd
	url  string // empty when it ended before it was ready
	log  *journal
	done chan struct{}

	mu   sync.Mutex
	said []string // what it printed after its address
}

// journal keeps the last of what a process writes. It is safe for concurrent use.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.b.Len() > 1<<20 {
		j.b.Next(1 << 19)
	}
	return j.b.Write(p)
}

// String is the last of it.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	const most = 50_000
	s := j.b.String()
	return s[max(0, len(s)-most):]
}

// spawn starts the test binary in one of its roles and waits until it serves, or has ended.
func spawn(tb testing.TB, env string, with any) *process {
	tb.Helper()
	text, err := json.Marshal(with)
	if err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	p := &process{cmd: exec.Command(self), log: &journal{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env+"="+string(text))
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
		first := true
		for lines := bufio.NewScanner(out); lines.Scan(); first = false {
			if first && !strings.HasPrefix(lines.Text(), sprung) {
				addr <- lines.Text()
				continue
			}
			p.mu.Lock()
			p.said = append(p.said, lines.Text())
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
	}()
	select {
	case a := <-addr:
		p.url = "http://" + a
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
		tb.Fatalf("the process was not ready in time:\n%s", p.log)
	}
	return p
}

// words is what the process printed after its address.
func (p *process) words() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.said...)
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop ends the process as a service manager does.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		tb.Errorf("the process ended with status %d:\n%s", code, p.log)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // SIGKILL: nothing is flushed, nothing is said
	<-p.done
}

// startDaemon starts a daemon that has to serve.
func startDaemon(tb testing.TB, config string) *process {
	tb.Helper()
	return startOrdered(tb, orders{
		Config: config, Grace: 2 * time.Second, Looks: []time.Duration{time.Second, 2 * time.Second, 3 * time.Second},
	})
}

func startOrdered(tb testing.TB, o orders) *process {
	tb.Helper()
	p := spawn(tb, daemonEnv, o)
	if p.url == "" {
		tb.Fatalf("the daemon did not start:\n%s", p.log)
	}
	return p
}

// world is a sandbox in this process with the configuration of a daemon in another.
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
	return &world{box: box, config: writeConfig(tb, dir, base, ""), key: app.DemoKey}
}

// writeConfig writes the demo's configuration without spacing, and more accounts at its end.
func writeConfig(tb testing.TB, dir, base, more string) string {
	tb.Helper()
	text := app.DemoYAML(filepath.Join(dir, "data"), "127.0.0.1:0", base)
	text = strings.Replace(text, "min_gap: 2s", "min_gap: 0s", 1) + more
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// call makes one request of the API; it gives the status, 0 when the daemon is gone.
func (w *world) call(ctx context.Context, method, url string, body, into any) (int, error) {
	status, answer, err := request(ctx, method, url, w.key, body)
	switch {
	case err != nil:
		return 0, err
	case status >= 500:
		return status, fmt.Errorf("status %d: %s", status, answer)
	case into != nil && status < 300:
		return status, json.Unmarshal(answer, into)
	}
	return status, nil
}

// request asks an API and reads the whole answer. Headers come as names and values.
func request(ctx context.Context, method, url, key string, body any, headers ...string) (status int, text []byte, err error) {
	a, err := (&client{key: key}).try(ctx, method, url, body, headers...)
	return a.status, a.body, err
}
