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
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"crier/internal/app"
	"crier/internal/config"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// simPlatform is how one platform joins: an account of it in the configuration, its login on the platform, and what a
// post needs there.
type simPlatform struct {
	name    string
	account func(id int) (identity, credentials string)
	login   func(id int) sandbox.Identity
	// dress adds to a target what the platform asks for.
	dress func(w *simWorld, person string, target map[string]any, text string)
}

func simPlatforms() []simPlatform {
	nothing := func(*simWorld, string, map[string]any, string) {}
	oauth := func(platform, id, name, token string) sandbox.Identity {
		return sandbox.Identity{Platform: platform, ID: id, Name: name, Credentials: map[string]string{
			"client_id": "demo-client", "client_secret": "demo-client-secret", "refresh_token": token,
		}}
	}
	return []simPlatform{
		{
			name: "twitter",
			account: func(id int) (string, string) {
				return fmt.Sprintf("x%d", id), fmt.Sprintf("access_token: xt%d, access_secret: xs%d", id, id)
			},
			login: func(id int) sandbox.Identity {
				return sandbox.Identity{Platform: "twitter", ID: fmt.Sprint(1000 + id), Name: fmt.Sprintf("x%d", id), Credentials: map[string]string{
					"consumer_key": "demo-consumer", "consumer_secret": "demo-consumer-secret",
					"access_token": fmt.Sprintf("xt%d", id), "access_secret": fmt.Sprintf("xs%d", id),
				}}
			},
			dress: nothing,
		},
		{
			name: "facebook",
			account: func(id int) (string, string) {
				return fmt.Sprint(900000 + id), fmt.Sprintf("page_token: ft%d", id)
			},
			login: func(id int) sandbox.Identity {
				return sandbox.Identity{Platform: "facebook", ID: fmt.Sprint(900000 + id), Name: fmt.Sprintf("Page %d", id), Credentials: map[string]string{
					"page_token": fmt.Sprintf("ft%d", id), "app_id": "1122334455", "app_secret": "demo-app-secret",
				}}
			},
			dress: nothing,
		},
		{
			name:    "reddit",
			account: func(id int) (string, string) { return fmt.Sprintf("r_%d", id), fmt.Sprintf("refresh_token: rt%d", id) },
			login: func(id int) sandbox.Identity {
				return oauth("reddit", fmt.Sprintf("t2_r%d", id), fmt.Sprintf("r_%d", id), fmt.Sprintf("rt%d", id))
			},
			dress: func(_ *simWorld, _ string, target map[string]any, text string) {
				target["title"], target["options"] = "About "+text, map[string]any{"subreddit": "test"}
			},
		},
		{
			name: "youtube",
			account: func(id int) (string, string) {
				return fmt.Sprintf("UC%022d", id), fmt.Sprintf("refresh_token: yt%d", id)
			},
			login: func(id int) sandbox.Identity {
				return oauth("youtube", fmt.Sprintf("UC%022d", id), fmt.Sprintf("Tube %d", id), fmt.Sprintf("yt%d", id))
			},
			dress: func(w *simWorld, person string, target map[string]any, text string) {
				target["title"], target["media"] = "Film: "+text, []any{w.upload(person)}
				target["options"] = map[string]any{"privacy": "public", "made_for_kids": false}
			},
		},
	}
}

// simAccount is one account of the simulated team.
type simAccount struct {
	handle, platform, kind, owner, identity string // identity is the platform's number
	minGap                                  time.Duration
	out                                     bool // left out of the configuration
}

// simWorld is a team with its platforms, its daemon and what everybody did.
type simWorld struct {
	t        *testing.T
	lot      *rand.Rand
	dir      string
	box      *sandbox.Sandbox
	accounts []*simAccount
	people   []string
	films    map[string]string // a person's uploaded film
	dead     map[string]func() // accounts whose tokens are dead, and how to revive them
	posts    []*simPost
	series   []simSeries
	n        int
	story    []string
	did      map[string]int
	mime     string // of a form
	ended    []fullDelivery

	skew  atomic.Int64 // of the machine's wall clock
	steps []simStep
	life  *simLife
}

// simStep is a change of the wall clock: from when on it is how wrong.
type simStep struct {
	at   time.Time
	skew time.Duration
}

// simSeries is a recurring post and who made it.
type simSeries struct{ id, person string }

// simPost is a post that the daemon said yes to.
type simPost struct {
	id, person, text string
	deliveries       []string
	created          time.Time // true time
	moved            bool      // somebody changed its time, retried it or let others go first
}

// simLife is the daemon between a start and its end.
type simLife struct {
	net    *simNet
	mem    *sandbox.InMemory
	client *http.Client
	dead   atomic.Bool
	// doom is what befalls one of the next turns.
	doom   atomic.Int32
	doomed chan struct{}
	stop   context.CancelFunc
	done   chan error
}

// What may befall a turn.
const (
	doomBefore = 1 + iota // the daemon dies before its commit
	doomAfter             // and right after it
	doubtAfter            // its commit reports an error and is on disk
)

func newSimWorld(t *testing.T, lot *rand.Rand, size int) *simWorld {
	t.Helper()
	root := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		root = "/dev/shm" // thousands of syncs a day of fake time
	}
	dir, err := os.MkdirTemp(root, "crier-sim-") //nolint:usetesting // t.TempDir cannot be told to use memory
	if err != nil {
		t.Fatal(err)
	}
	w := &simWorld{t: t, lot: lot, dir: dir, films: map[string]string{}, dead: map[string]func(){}, did: map[string]int{}}
	w.people = []string{"sam"}
	var logins []sandbox.Identity
	id := 0
	for range size {
		person := fmt.Sprintf("p%d", len(w.people))
		w.people = append(w.people, person)
		for _, p := range simPlatforms() {
			for _, owner := range []struct{ kind, name string }{{"brand", "acme"}, {"personal", person}} {
				id++
				login := p.login(id)
				w.accounts = append(w.accounts, &simAccount{
					handle: fmt.Sprintf("%s-%d", p.name, id), platform: p.name, kind: owner.kind, owner: owner.name, identity: login.ID,
					minGap: []time.Duration{0, time.Minute, 10 * time.Minute}[lot.IntN(3)],
				})
				logins = append(logins, login)
			}
		}
	}
	if w.box, err = sandbox.New(sandbox.Config{Identities: logins, Unlimited: true}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *simWorld) close() {
	if w.life != nil {
		w.end()
	}
	if err := w.box.Close(); err != nil {
		w.t.Error(err)
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
	}
}

// now is what the machine's clock shows.
func (w *simWorld) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

// yaml is the configuration of the day.
func (w *simWorld) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:8080\ndata_dir: %q\ntime_zone: Europe/Berlin\nauth: {owner: sam}\n", filepath.Join(w.dir, "data"))
	b.WriteString(`scheduler: {min_gap: 0s, max_late: 30m, prepare_ahead: 10m}
platforms:
  twitter: {api_url: "http://sandbox.invalid/x", upload_url: "http://sandbox.invalid/x", legacy_api_url: "http://sandbox.invalid/x/1.1", consumer_key: demo-consumer, consumer_secret: demo-consumer-secret}
  facebook: {api_url: "http://sandbox.invalid/graph", video_url: "http://sandbox.invalid/graph", upload_url: "http://sandbox.invalid/graph", app_id: "1122334455", app_secret: demo-app-secret}
  reddit: {api_url: "http://sandbox.invalid/reddit", auth_url: "http://sandbox.invalid/reddit", client_id: demo-client, client_secret: demo-client-secret, user_agent: "linux:crier-sim:1 (by /u/r_1)"}
  youtube: {api_url: "http://sandbox.invalid/youtube", token_url: "http://sandbox.invalid/youtube/token", client_id: demo-client, client_secret: demo-client-secret}
brands: [{handle: acme, name: Acme}]
people:
`)
	for _, p := range w.people {
		fmt.Fprintf(&b, "  - {handle: %s, name: %s, roles: {acme: manager}, key: %s}\n", p, p, simKey(p))
	}
	b.WriteString("accounts:\n")
	for i, a := range w.accounts {
		if a.out {
			continue
		}
		for _, p := range simPlatforms() {
			if p.name == a.platform {
				identity, credentials := p.account(i + 1)
				fmt.Fprintf(&b, "  - {handle: %s, platform: %s, kind: %s, owner: %s, identity: %q, min_gap: %s, credentials: {%s}}\n",
					a.handle, a.platform, a.kind, a.owner, identity, a.minGap, credentials)
			}
		}
	}
	return b.String()
}

func simKey(person string) string { return "crier_" + person + "_0123456789abcdefghijklmnopqrstuvwxyz" }

// begin starts the daemon.
func (w *simWorld) begin() {
	w.t.Helper()
	c, _, err := config.Parse("sim", []byte(w.yaml()))
	if err != nil {
		w.t.Fatal(err)
	}
	l := &simLife{net: newSimNet(), mem: w.box.InMemory(), doomed: make(chan struct{}, 1), done: make(chan error, 1)}
	l.client = &http.Client{Transport: &http.Transport{DialContext: l.net.dial}, Timeout: 10 * time.Minute}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	began := time.Now()
	ready := make(chan struct{})
	a, err := app.New(ctx, app.Options{
		Config: c, Now: w.now, Boot: func() time.Duration { return time.Since(began) }, Transport: l.mem.Transport(),
		Queue: l.queue, Listen: l.net.listen, Ready: func(net.Addr) { close(ready) }, Grace: 2 * time.Second,
		Log: slog.New(slog.DiscardHandler), Version: "sim",
	})
	if err != nil {
		w.t.Fatalf("starting: %v", err)
	}
	go func() { l.done <- a.Run(ctx) }()
	<-ready
	w.life = l
}

// end stops the daemon as a service manager does, and checks what it leaves.
func (w *simWorld) end() {
	w.t.Helper()
	l := w.life
	w.life = nil
	l.stop()
	if err := <-l.done; err != nil && !l.dead.Load() {
		w.t.Errorf("the daemon ended with %v", err)
	}
	l.client.CloseIdleConnections()
	if err := l.mem.Close(); err != nil && !l.dead.Load() {
		w.t.Error(err)
	}
	l.net.close()
	synctest.Wait()
	problems, err := bolt.Fsck(filepath.Join(w.dir, "data", bolt.FileName))
	if err != nil || len(problems) > 0 {
		w.t.Errorf("the store after the end: %v, %v", problems, err)
	}
}

// die ends the daemon so that nothing more of it reaches the disk or a platform.
func (w *simWorld) die() {
	w.life.dead.Store(true)
	_ = w.life.mem.Close() // its connections break with it
	w.end()
}

// pass lets time go by; a doomed daemon dies on the way and is started again.
func (w *simWorld) pass(d time.Duration) {
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case <-end.C:
			synctest.Wait()
			return
		case <-w.life.doomed:
			w.note("died around a write")
			w.die()
			w.begin()
		}
	}
}

// queue is the store as the scheduler of this life sees it: gone from its death on.
func (l *simLife) queue(s scheduler.Store) scheduler.Store { return &mortalStore{Store: s, life: l} }

type mortalStore struct {
	scheduler.Store

	life *simLife
}

func (m *mortalStore) Turn(ctx context.Context, t store.Turn) (store.Turned, error) {
	if m.life.dead.Load() {
		return store.Turned{}, store.ErrClosed
	}
	doom := m.life.doom.Load()
	if doom == doomBefore && len(t.Results) > 0 {
		m.life.perish()
		return store.Turned{}, store.ErrClosed
	}
	out, err := m.Store.Turn(ctx, t)
	if doom == doomAfter && len(out.Claims) > 0 {
		m.life.perish()
		return store.Turned{}, store.ErrClosed
	}
	if doom == doubtAfter && err == nil && len(out.Claims)+len(t.Results) > 0 && m.life.doom.CompareAndSwap(doom, 0) {
		return store.Turned{}, store.ErrUnknownCommit
	}
	return out, err
}

func (l *simLife) perish() {
	if l.dead.CompareAndSwap(false, true) {
		l.doomed <- struct{}{}
	}
}

func (m *mortalStore) SavePrepared(ctx context.Context, now time.Time, p store.Prepared) error {
	if m.life.dead.Load() {
		return store.ErrClosed
	}
	return m.Store.SavePrepared(ctx, now, p)
}

func (m *mortalStore) Expire(ctx context.Context, now time.Time, running func(post.ID) bool) (int, error) {
	if m.life.dead.Load() {
		return 0, store.ErrClosed
	}
	return m.Store.Expire(ctx, now, running)
}

func (m *mortalStore) HoldLane(ctx context.Context, w store.Write, on store.HoldOn) error {
	if m.life.dead.Load() {
		return store.ErrClosed
	}
	return m.Store.HoldLane(ctx, w, on)
}

// call makes one request of the API as a person, and decodes an answer below 300 into into.
func (w *simWorld) call(person, method, path string, body, into any) int {
	w.t.Helper()
	var r io.Reader
	if raw, ok := body.([]byte); ok {
		r = bytes.NewReader(raw)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://sim/api/v1"+path, r)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+simKey(person))
	if _, form := body.([]byte); form {
		req.Header.Set("Content-Type", w.mime)
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPatch || strings.HasSuffix(path, "/resolve") || strings.HasSuffix(path, "/retry") {
		req.Header.Set("If-Match", "*")
	}
	resp, err := w.life.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode >= 500 {
		w.t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	if resp.StatusCode >= 300 {
		w.note("  %s %s: %d %s", method, path, resp.StatusCode, answer[:min(len(answer), 300)])
	} else if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	return resp.StatusCode
}

// simNet is the machine's network in memory: a listener whose connections are pipes, and a local socket that nobody
// uses.
type simNet struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newSimNet() *simNet {
	return &simNet{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *simNet) listen(_ context.Context, network, address string) (net.Listener, error) {
	if network == "unix" {
		if err := os.WriteFile(address, nil, 0o600); err != nil {
			return nil, err
		}
		return &simListener{closed: make(chan struct{})}, nil
	}
	return &simListener{conns: n.conns, closed: n.closed, once: &n.once}, nil
}

func (n *simNet) close() { n.once.Do(func() { close(n.closed) }) }

func (n *simNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case n.conns <- there:
		return here, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type simListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   *sync.Once
	local  sync.Once
}

func (l *simListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *simListener) Close() error {
	once := l.once
	if once == nil {
		once = &l.local
	}
	once.Do(func() { close(l.closed) })
	return nil
}

func (l *simListener) Addr() net.Addr { return &net.UnixAddr{Name: "sim", Net: "unix"} }
