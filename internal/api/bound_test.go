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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// waiting makes a post and waits for it, which nobody sends; end lets it go and gives the answer. It returns when the post
// is on disk: its request is at work, and stays so.
func (h *house) waiting() (end func() *httptest.ResponseRecorder) {
	h.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(h.t.Context(), "POST", posts, strings.NewReader(`{"text":"waits","targets":["acme-x"],"at":"now"}`))
	r.Header.Set("Authorization", "Bearer "+keyOf("mia"))
	r.Header.Set("Prefer", "wait=60")
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.handler.ServeHTTP(w, r)
	}()
	h.until(func() bool {
		all, err := h.store.ListPosts(h.t.Context(), store.Filter{Limit: 1})
		return err == nil && len(all.Items) == 1
	})
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
