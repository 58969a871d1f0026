package web_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/post"
	"crier/internal/web"
	"crier/scheduler"
	"crier/store"
)

// shelf is a store with one delivery of a brand and one of a person.
type shelf struct{}

// counted is a shelf that counts how often it is read.
type counted struct {
	shelf
	reads *atomic.Int64
}

func (c counted) Counts(ctx context.Context) (store.Counts, error) {
	c.reads.Add(1)
	return c.shelf.Counts(ctx)
}

func TestWhoAsksForThePageWithoutEndReadsTheStoreOnceASecond(t *testing.T) {
	t.Parallel()
	c := counted{reads: &atomic.Int64{}}
	var clock atomic.Int64
	clock.Store(1_000_000)
	h, err := web.New(web.Deps{
		Store: c, Now: func() time.Time { return time.UnixMilli(clock.Load()) }, Log: slog.New(slog.DiscardHandler),
		Status: func(func(post.AccountKey) bool) scheduler.Status { return scheduler.Status{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	crowd := func() {
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				if local := i%2 == 0; local {
					r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:8080"
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if got := strings.Contains(w.Body.String(), "acme"); w.Code != http.StatusOK || got != (i%2 == 0) {
					t.Errorf("asker %d got %d, brands %v", i, w.Code, got)
				}
			})
		}
		wg.Wait()
	}
	for _, at := range []int64{0, 999, 1000, 0} { // the last after a step of the clock
		clock.Store(1_000_000 + at)
		crowd()
	}
	if n := c.reads.Load(); n != 6 {
		t.Errorf("the store was read %d times, want 6: two pages, three times", n)
	}
}

func (shelf) Counts(context.Context) (store.Counts, error) {
	return store.Counts{ByState: map[post.Kind]map[post.State]int{
		post.Brand: {post.Scheduled: 41}, post.Personal: {post.Scheduled: 73},
	}}, nil
}

func (shelf) ListDeliveries(_ context.Context, f store.Filter) (store.DeliveryPage, error) {
	var page store.DeliveryPage
	for _, k := range []post.AccountKey{{Kind: post.Brand, Handle: "acme-x"}, {Kind: post.Personal, Handle: "mia-x"}} {
		if f.Visible(k) && f.Kind == k.Kind {
			page.Items = append(page.Items, store.DeliveryView{Delivery: post.Delivery{
				Account: k, State: f.States[0], Parts: []post.Part{{Receipt: &post.Receipt{URL: "javascript:alert(1)"}}},
			}})
		}
	}
	return page, nil
}

func (shelf) Stops(context.Context) ([]store.Stop, error) {
	return []store.Stop{{Brand: "acme"}}, nil
}

func TestThePageTellsEachAskerWhatTheyMayKnow(t *testing.T) {
	t.Parallel()
	h, err := web.New(web.Deps{
		Store: shelf{}, Now: time.Now,
		Status: func(of func(post.AccountKey) bool) scheduler.Status {
			out := scheduler.Status{InFlight: 5, Lag: 3 * time.Millisecond}
			if of == nil || of(post.AccountKey{Kind: post.Personal, Handle: "mia-x"}) {
				out = scheduler.Status{InFlight: 73, Lag: 73 * time.Second}
			}
			return out
		},
		Log: slog.New(slog.DiscardHandler), Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, remote, host, forwarded string
		local                         bool
	}{
		{"the machine itself", "127.0.0.1:5000", "127.0.0.1:8080", "", true},
		{"the machine itself by IPv6", "[::1]:5000", "localhost:8080", "", true},
		{"somewhere else", "192.0.2.7:5000", "127.0.0.1:8080", "", false},
		{"a proxy on the machine", "127.0.0.1:5000", "127.0.0.1:8080", "203.0.113.9", false},
		{"another site's name that leads here", "127.0.0.1:5000", "rebound.example", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr, r.Host = tt.remote, tt.host
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != http.StatusOK || !strings.Contains(body, "<dd>41</dd>") {
				t.Fatalf("%d %s", w.Code, body)
			}
			if !strings.Contains(body, "5 in flight") || !strings.Contains(body, "3ms") {
				t.Errorf("how the brands' sending is doing: %s", body)
			}
			if got := strings.Contains(body, "acme"); got != tt.local {
				t.Errorf("shows brands: %v, want %v", got, tt.local)
			}
			if strings.Contains(body, "mia-x") || strings.Contains(body, "73") {
				t.Error("shows what belongs to a person")
			}
			if strings.Contains(body, "javascript:") || strings.Contains(body, "<script") {
				t.Error("holds a script")
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("policy %q", csp)
			}
		})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/app.css", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %v", w.Code, w.Header())
	}
}
