package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"crier/store"
)

// reading is how many requests read at one moment, oneReads how many of one key, writing how many write.
var (
	reading  = int64(4 * runtime.GOMAXPROCS(0))
	oneReads = reading / 2
)

const writing = 48

// gate counts who stands before it, and lets nobody go until it is opened.
type gate struct {
	now, most atomic.Int64
	open      chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) pass() {
	n := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	<-g.open
}

// fill waits until so many stand before the gate, and some time longer for any who should not.
func (g *gate) fill(h *house, many int64) {
	h.t.Helper()
	more := 0
	h.until(func() bool {
		if g.now.Load() >= many {
			more++
		}
		return more > 10
	})
}

// The stores that let nobody go: at the stops, which every request looks at; at the list of posts; at what is
// known of a file.
type (
	busy struct {
		store.Store
		*gate
	}
	endless struct {
		store.Store
		*gate
	}
	filing struct {
		store.Store
		*gate
	}
)

func (b busy) Stops(ctx context.Context) ([]store.Stop, error) {
	b.pass()
	return b.Store.Stops(ctx)
}

func (e endless) ListPosts(ctx context.Context, f store.Filter) (store.PostPage, error) {
	e.pass()
	return e.Store.ListPosts(ctx, f)
}

func (f filing) PutMedia(ctx context.Context, w store.Write, m store.Media) (store.Media, error) {
	f.pass()
	return f.Store.PutMedia(ctx, w, m)
}

// crowd is requests that run at once.
type crowd struct {
	h      *house
	wg     sync.WaitGroup
	mu     sync.Mutex
	status map[int]int // how many were answered so
}

func (h *house) crowd() *crowd { return &crowd{h: h, status: map[int]int{}} }

// send begins a request of a person.
func (c *crowd) send(who, method, path string, body io.Reader, headers ...string) {
	c.wg.Go(func() {
		r := httptest.NewRequestWithContext(c.h.t.Context(), method, path, body)
		r.Header.Set("Authorization", "Bearer "+keyOf(who))
		for pair := range slices.Chunk(headers, 2) {
			r.Header.Set(pair[0], pair[1])
		}
		w := httptest.NewRecorder()
		c.h.handler.ServeHTTP(w, r)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.status[w.Code]++
	})
}

func (c *crowd) answered(status int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.status[status])
}

// upload is a form with a file, and its type.
func upload(tb testing.TB, alt string) (io.Reader, string) {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "x.png")
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = part.Write(picture(tb))
	_ = w.WriteField("alt", alt)
	_ = w.Close()
	return &b, w.FormDataContentType()
}

func TestFewRequestsAreWorkedOnAtOneMomentAndTheOthersWaitTheirTurn(t *testing.T) {
	t.Parallel()
	const post = `{"text":"number %d","targets":["acme-x"],"at":"2027-01-01T09:00"}`
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		most                     int64
	}{
		{"reads", "GET", "/api/v1/accounts", "", http.StatusOK, reading},
		{"checks", "POST", posts + "/validate", post, http.StatusOK, reading},
		{"writes", "POST", posts, post, http.StatusCreated, writing},
		{"uploads", "POST", "/api/v1/media", "file", http.StatusCreated, writing},
		{"files", "GET", "/api/v1/media/%064d/content", "", http.StatusNotFound, reading},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := busy{h.store, newGate()}
			h.deps.Store = b
			h.open()
			clients := 300 + 2*int(reading)
			all := h.crowd()
			for i := range clients {
				who := []string{"jo", "mia"}[i%2]
				path := tt.path
				if strings.Contains(path, "%") {
					path = fmt.Sprintf(path, i)
				}
				var body io.Reader = http.NoBody
				kind := ""
				switch tt.body {
				case "":
				case "file":
					body, kind = upload(t, fmt.Sprint(i))
				default:
					body = strings.NewReader(fmt.Sprintf(tt.body, i))
				}
				all.send(who, tt.method, path, body, "Content-Type", kind)
			}
			b.fill(h, tt.most)
			close(b.open)
			all.wg.Wait()
			if b.most.Load() > tt.most || all.answered(tt.status) != int64(clients) {
				t.Errorf("at most %d were at it at one moment, want %d; answered: %v", b.most.Load(), tt.most, all.status)
			}
		})
	}
}

func TestFewUploadsAreWrittenAtOneMoment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	f := filing{h.store, newGate()}
	h.deps.Store = f
	h.open()
	all := h.crowd()
	const clients = 100
	for i := range clients {
		body, kind := upload(t, fmt.Sprint(i))
		all.send("jo", "POST", "/api/v1/media", body, "Content-Type", kind)
	}
	f.fill(h, writing)
	close(f.open)
	all.wg.Wait()
	if f.most.Load() > writing || all.answered(http.StatusCreated) != clients {
		t.Errorf("at most %d were at it at one moment, want %d; answered: %v", f.most.Load(), writing, all.status)
	}
}

func TestACrowdThatReadsIsRefusedBeyondTheBound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := busy{h.store, newGate()}
	h.deps.Store, h.deps.MaxAtWork = b, 40
	h.open()
	all := h.crowd()
	for range 100 {
		all.send("jo", "GET", "/api/v1/accounts", http.NoBody)
	}
	h.until(func() bool { return all.answered(http.StatusServiceUnavailable) == 60 })
	close(b.open)
	all.wg.Wait()
	if all.answered(http.StatusOK) != 40 {
		t.Errorf("answered: %v, want 40 and 60 refused", all.status)
	}
}

// newEndless is a house whose lists of posts take until the gate is opened, and a crowd for it.
func newEndless(tb testing.TB) (*house, endless, *crowd) {
	tb.Helper()
	h := newHouse(tb)
	e := endless{h.store, newGate()}
	h.deps.Store, h.deps.MaxAtWork = e, int(10*reading)
	h.open()
	return h, e, h.crowd()
}

func TestLongReadsKeepNobodyFromPosting(t *testing.T) {
	t.Parallel()
	h, e, all := newEndless(t)
	for range 3 * reading {
		all.send("jo", "GET", posts, http.NoBody)
		all.send("mia", "GET", posts, http.NoBody)
	}
	h.until(func() bool { return e.now.Load() == reading })
	all.send("jo", "POST", posts, strings.NewReader(`{"text":"meanwhile","targets":["acme-x"],"at":"now"}`))
	h.until(func() bool { return all.answered(http.StatusCreated) == 1 })
	close(e.open)
	all.wg.Wait()
}

func TestLongReadsOfOneKeyKeepNoOtherFromReading(t *testing.T) {
	t.Parallel()
	h, e, all := newEndless(t)
	for range 3 * reading {
		all.send("jo", "GET", posts, http.NoBody)
	}
	e.fill(h, oneReads)
	all.send("mia", "GET", "/api/v1/accounts", http.NoBody)
	h.until(func() bool { return all.answered(http.StatusOK) == 1 })
	close(e.open)
	all.wg.Wait()
	if e.most.Load() > oneReads {
		t.Errorf("one key had %d reads at one moment, want %d", e.most.Load(), oneReads)
	}
}

func TestFilesThatComeSlowlyKeepNobodyFromPosting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.open()
	all := h.crowd()
	body, kind := upload(t, "")
	whole, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	const uploads = 2 * writing
	rest, begun := make([]*io.PipeWriter, uploads), atomic.Int64{}
	for i := range rest {
		r, w := io.Pipe()
		rest[i] = w
		all.send("jo", "POST", "/api/v1/media", r, "Content-Type", kind)
		go func() {
			_, _ = w.Write(whole[:len(whole)/2])
			begun.Add(1)
		}()
	}
	h.until(func() bool { return begun.Load() == uploads })
	all.send("jo", "POST", posts, strings.NewReader(`{"text":"meanwhile","targets":["acme-x"],"at":"2027-01-01T09:00"}`))
	h.until(func() bool { return all.answered(http.StatusCreated) == 1 })
	for _, w := range rest {
		go func() {
			_, _ = w.Write(whole[len(whole)/2:])
			_ = w.Close()
		}()
	}
	all.wg.Wait()
	if all.answered(http.StatusCreated) != uploads+1 {
		t.Errorf("answered: %v", all.status)
	}
}

func TestWhoWaitsForItsPostKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.open()
	all := h.crowd()
	const waiting = 100 // more than there are hands
	for i := range waiting {
		body := fmt.Sprintf(`{"text":"waits %d","targets":["acme-x"],"at":"now"}`, i)
		all.send("mia", "POST", posts, strings.NewReader(body), "Prefer", "wait=60")
	}
	h.until(func() bool {
		return len(h.ask("jo", "GET", posts+"?limit=500", "").want(200).at("items").([]any)) == waiting
	})
	h.hub.Close()
	all.wg.Wait()
	if all.answered(http.StatusCreated) != waiting {
		t.Errorf("answered: %v", all.status)
	}
}
