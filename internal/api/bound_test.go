package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// opened is a body that tells when it begins to be read: its request is at work then.
type opened struct {
	io.Reader
	once sync.Once
	seen chan struct{}
}

func (o *opened) Read(b []byte) (int, error) {
	o.once.Do(func() { close(o.seen) })
	return o.Reader.Read(b)
}

// waiting makes a post and waits for it, which nobody sends; end lets it go and gives the answer. It returns when the
// request is at work.
func (h *house) waiting() (end func() *httptest.ResponseRecorder) {
	h.t.Helper()
	w := httptest.NewRecorder()
	body := &opened{Reader: strings.NewReader(`{"text":"waits","targets":["acme-x"],"at":"now"}`), seen: make(chan struct{})}
	r := httptest.NewRequestWithContext(h.t.Context(), "POST", posts, body)
	r.Header.Set("Authorization", "Bearer "+keyOf("mia"))
	r.Header.Set("Prefer", "wait=60")
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.handler.ServeHTTP(w, r)
	}()
	select {
	case <-body.seen:
	case <-over:
		h.t.Fatalf("who should wait is answered %d %s", w.Code, w.Body)
	}
	return func() *httptest.ResponseRecorder {
		h.hub.Close()
		<-over
		return w
	}
}

// until asks again and again until ok.
func (h *house) until(ok func() bool) {
	h.t.Helper()
	over := time.NewTimer(20 * time.Second)
	defer over.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-over.C:
			h.t.Fatal("waited in vain")
		}
	}
}

func TestWhatIsTooMuchAtATimeIsRefusedAndSaysSo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deps.MaxAtWork = 1
	h.open()
	end := h.waiting()
	r := h.ask("jo", "GET", "/api/v1/me", "")
	if r.code(503, "overloaded"); r.header.Get("Retry-After") == "" {
		t.Error("a refusal does not say when to ask again")
	}
	h.ask("", "GET", "/healthz", "").want(200)
	if w := end(); w.Code != http.StatusCreated {
		t.Errorf("who was at work got %d %s", w.Code, w.Body)
	}
	h.ask("jo", "GET", "/api/v1/me", "").want(200)
}

// looked is a store that counts how often a post is looked at, as it is for who waits for it.
type looked struct {
	store.Store
	at *atomic.Int64
}

func (l looked) PostByID(ctx context.Context, id post.ID) (store.PostView, error) {
	defer l.at.Add(1)
	return l.Store.PostByID(ctx, id)
}

func TestWhoFindsNoPlaceToWaitIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	looks := looked{h.store, &atomic.Int64{}}
	h.deps.Store, h.deps.MaxAtWork = looks, 3 // one may wait
	h.open()
	end := h.waiting()
	h.until(func() bool { // a post is written before anybody waits for it
		all, err := h.store.ListPosts(t.Context(), store.Filter{Limit: 1})
		for _, v := range all.Items {
			h.hub.Notify(v.Post.ID)
		}
		return err == nil && looks.at.Load() > 0
	})
	more := h.ask("mia", "POST", posts, `{"text":"more","targets":["acme-x"],"at":"now"}`, "Prefer", "wait=60").want(201)
	if more.header.Get("Preference-Applied") != "" {
		t.Error("a second has waited where one place was taken")
	}
	if w := end(); w.Header().Get("Preference-Applied") == "" {
		t.Errorf("who had a place has not waited: %d %s", w.Code, w.Body)
	}
}

// counted is a store that counts the proofs that it can be written.
type counted struct {
	store.Store
	proofs *atomic.Int64
}

func (c counted) Writable(ctx context.Context) error {
	c.proofs.Add(1)
	return c.Store.Writable(ctx)
}

func TestAskingWhetherCrierIsReadySyncsOnceASecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var proofs atomic.Int64
	h.deps.Store = counted{h.store, &proofs}
	h.open()
	for range 100 {
		h.ask("", "GET", "/readyz", "").want(200)
	}
	h.clock.Add(1000)
	for range 100 {
		h.ask("", "GET", "/readyz", "").want(200)
	}
	if n := proofs.Load(); n != 2 {
		t.Errorf("200 questions within two seconds made %d writes, want 2", n)
	}
}

func TestAPlanOfManySeriesMakesLittleMoreThanItTells(t *testing.T) { //nolint:paralleltest // it counts all allocations
	h := newHouse(t)
	series := func(n int) {
		for i := range n {
			h.ask("mia", "POST", "/api/v1/series", fmt.Sprintf(`{"cron":"* * * * *","time_zone":"UTC","posts":[{"text":"%d","targets":["acme-x"]}]}`, i)).want(201)
		}
	}
	cost := func() float64 {
		return testing.AllocsPerRun(1, func() {
			r := h.ask("mia", "GET", "/api/v1/plan?to=2026-12-20T00:00:00Z", "").want(200)
			if items := r.at("items").([]any); len(items) != 2000 {
				t.Errorf("the plan has %d firings", len(items))
			}
		})
	}
	series(1)
	few := cost()
	series(15)
	if many := cost(); many > 7*few {
		t.Errorf("a plan of 16 series costs %.0f allocations, one of 1 costs %.0f: it makes what it does not tell", many, few)
	}
	r := h.ask("mia", "GET", "/api/v1/plan?to=2026-12-20T00:00:00Z", "").want(200)
	if r.at("truncated") != true || r.text("items", 15, "at") != r.text("items", 0, "at") || r.text("items", 16, "at") == r.text("items", 0, "at") {
		t.Errorf("truncated %v, firings 0, 15 and 16 at %s, %s and %s", r.at("truncated"), r.text("items", 0, "at"), r.text("items", 15, "at"), r.text("items", 16, "at"))
	}
}

// impatient serves a house that waits for nobody, and tells when a connection has ended.
func (h *house) impatient() (conn net.Conn, ended <-chan struct{}) {
	h.t.Helper()
	h.deps.Stall = 200 * time.Millisecond
	h.open()
	over := make(chan struct{})
	server := httptest.NewUnstartedServer(h.handler)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(over)
		}
	}
	server.Start()
	h.t.Cleanup(server.Close)
	conn, err := new(net.Dialer).DialContext(h.t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn, over
}

func TestABodyThatTricklesIsCutOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	conn, ended := h.impatient()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n", posts, keyOf("jo")); err != nil {
		t.Fatal(err)
	}
	over := time.NewTimer(20 * time.Second)
	defer over.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for cut := false; !cut; {
		select {
		case <-ended:
			cut = true
		case <-again.C:
			_, _ = io.WriteString(conn, " ") // always in time for the next byte
		case <-over.C:
			t.Fatal("the connection is still open")
		}
	}
}

func TestAClientThatNeverReadsItsAnswersIsLeft(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	conn, ended := h.impatient()
	// More answers than the system's buffers hold are asked for, and none is read.
	if err := conn.SetWriteDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := io.WriteString(conn, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection is still open")
			}
			break
		}
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection is still open")
	}
}

// busy is a store whose list of accounts, which every request reads, lets nobody go until it is told to.
type busy struct {
	store.Store
	now, most *atomic.Int64
	open      <-chan struct{}
}

func (b busy) ListAccounts(ctx context.Context) ([]store.AccountView, error) {
	n := b.now.Add(1)
	defer b.now.Add(-1)
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); most = b.most.Load() {
	}
	<-b.open
	return b.Store.ListAccounts(ctx)
}

func TestFewRequestsAreWorkedOnAtOneMomentAndTheOthersWaitTheirTurn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method, path, body string
		status             int
		most               int64
	}{
		{"GET", "/api/v1/accounts", "", http.StatusOK, 4 * int64(runtime.GOMAXPROCS(0))},
		{"POST", posts, `{"text":"number #","targets":["acme-x"],"at":"2027-01-01T09:00"}`, http.StatusCreated, 48},
	} {
		t.Run(tt.method, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			open := make(chan struct{})
			b := busy{h.store, &atomic.Int64{}, &atomic.Int64{}, open}
			h.deps.Store = b
			h.open()
			const clients = 300
			var wg sync.WaitGroup
			var done, arrived atomic.Int64
			for i := range clients {
				wg.Go(func() {
					w := httptest.NewRecorder()
					body := strings.ReplaceAll(tt.body, "#", strconv.Itoa(i))
					r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(body))
					r.Header.Set("Authorization", "Bearer "+keyOf("jo"))
					arrived.Add(1)
					h.handler.ServeHTTP(w, r)
					if w.Code == tt.status {
						done.Add(1)
					}
				})
			}
			h.until(func() bool { return arrived.Load() == clients && b.now.Load() >= tt.most })
			close(open)
			wg.Wait()
			if b.most.Load() > tt.most || done.Load() != clients {
				t.Errorf("at most %d were at it at one moment, want %d; %d of %d were answered", b.most.Load(), tt.most, done.Load(), clients)
			}
		})
	}
}

// endless is a store whose list of posts takes until it is told to come.
type endless struct {
	store.Store
	now  *atomic.Int64
	open <-chan struct{}
}

func (e endless) ListPosts(ctx context.Context, f store.Filter) (store.PostPage, error) {
	e.now.Add(1)
	<-e.open
	return e.Store.ListPosts(ctx, f)
}

func TestLongReadsKeepNobodyFromPosting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	e := endless{h.store, &atomic.Int64{}, make(chan struct{})}
	open := make(chan struct{})
	e.open = open
	h.deps.Store = e
	h.open()
	reading := 4 * runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for range 3 * reading {
		wg.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), "GET", posts, http.NoBody)
			r.Header.Set("Authorization", "Bearer "+keyOf("jo"))
			h.handler.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	h.until(func() bool { return e.now.Load() == int64(reading) })
	done := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "POST", posts, strings.NewReader(`{"text":"meanwhile","targets":["acme-x"],"at":"now"}`))
		r.Header.Set("Authorization", "Bearer "+keyOf("jo"))
		h.handler.ServeHTTP(w, r)
		done <- w.Code
	}()
	select {
	case status := <-done:
		if status != http.StatusCreated {
			t.Errorf("status %d", status)
		}
	case <-time.After(20 * time.Second):
		t.Error("reads keep a post waiting")
	}
	close(open)
	wg.Wait()
}

func TestWhoWaitsForItsPostKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const waiting = 100 // more than there are hands
	var wg sync.WaitGroup
	var made atomic.Int64
	for i := range waiting {
		wg.Go(func() {
			w := httptest.NewRecorder()
			body := fmt.Sprintf(`{"text":"waits %d","targets":["acme-x"],"at":"now"}`, i)
			r := httptest.NewRequestWithContext(t.Context(), "POST", posts, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+keyOf("mia"))
			r.Header.Set("Prefer", "wait=60")
			h.handler.ServeHTTP(w, r)
			if w.Code == http.StatusCreated {
				made.Add(1)
			}
		})
	}
	h.until(func() bool {
		return len(h.ask("jo", "GET", posts+"?limit=500", "").want(200).at("items").([]any)) == waiting
	})
	h.hub.Close()
	wg.Wait()
	if made.Load() != waiting {
		t.Errorf("%d of %d were answered", made.Load(), waiting)
	}
}
