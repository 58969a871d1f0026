package adapters_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crier/adapters"
)

// wires counts the bytes that really leave and the connections that are made.
type wires struct {
	http.Transport
	dials atomic.Int64
	bytes atomic.Int64
}

type counted struct {
	net.Conn
	w *wires
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.w.bytes.Add(int64(n))
	return n, err
}

func newWires(t *testing.T) *wires {
	t.Helper()
	w := &wires{}
	w.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		w.dials.Add(1)
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return counted{c, w}, nil
	}
	t.Cleanup(w.CloseIdleConnections)
	return w
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func recorder(base http.RoundTripper) *adapters.Recorder {
	return &adapters.Recorder{Base: base, Now: time.Now}
}

// commit sends one commit under the flight.
func commit(t *testing.T, rt http.RoundTripper, f *adapters.Flight, url, body string, header ...string) (*http.Response, error) {
	t.Helper()
	ctx := adapters.AsCommit(adapters.WithFlight(t.Context(), f))
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, b)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := adapters.Client(rt).Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func last(t *testing.T, f *adapters.Flight) adapters.Call {
	t.Helper()
	c, ok := f.Last(false)
	if !ok {
		t.Fatal("nothing was recorded")
	}
	return c
}

func TestAGateThatRefusesKeepsTheWireSilent(t *testing.T) {
	t.Parallel()
	refused := errors.New("the claim does not stand")
	for name, tc := range map[string]struct {
		body   string
		passes int64 // how often the gate opens before it refuses
		dials  int64
	}{
		"before the connection is made":     {"hello", 0, 0},
		"a commit without a body":           {"", 0, 0},
		"at the first byte, after dialling": {"hello", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var hits atomic.Int64
			s := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
			w := newWires(t)
			var asked atomic.Int64
			f := &adapters.Flight{Gate: func() error {
				if asked.Add(1) > tc.passes {
					return refused
				}
				return nil
			}}
			_, err := commit(t, recorder(w), f, s.URL, tc.body)
			if !errors.Is(err, refused) || !errors.Is(err, adapters.ErrStopped) {
				t.Errorf("the error is %v", err)
			}
			if w.bytes.Load() != 0 || hits.Load() != 0 || w.dials.Load() != tc.dials {
				t.Errorf("%d bytes, %d requests, %d connections", w.bytes.Load(), hits.Load(), w.dials.Load())
			}
			if c := last(t, f); !c.Stopped || c.Written || c.Status != 0 || c.Err == nil || c.Ended.IsZero() {
				t.Errorf("recorded %+v", c)
			}
			e := f.NotSent(err, true)
			if e == nil || e.Fate != adapters.Absent || e.Reason != adapters.Stopped {
				t.Errorf("judged %+v", e)
			}
		})
	}
}

// Over HTTP/2 the head of the request is out when the gate is asked for the second time: what the platform makes of it
// is no answer to the commit.
func TestAGateThatRefusesLateWinsOverAnAnswer(t *testing.T) {
	t.Parallel()
	refused := errors.New("the claim does not stand")
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("the platform answers before it has read: %t", early), func(t *testing.T) {
			t.Parallel()
			var whole atomic.Int64
			arrived := make(chan struct{})
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				if !early {
					if _, err := io.ReadAll(r.Body); err == nil {
						whole.Add(1)
					}
				}
				w.WriteHeader(http.StatusBadRequest)
			}))
			s.EnableHTTP2 = true
			s.StartTLS()
			t.Cleanup(s.Close)
			var asked atomic.Int64
			f := &adapters.Flight{Gate: func() error {
				if asked.Add(1) > 1 {
					if early {
						<-arrived // the platform has the head
					}
					return refused
				}
				return nil
			}}
			_, err := commit(t, recorder(s.Client().Transport), f, s.URL, "hello")
			if !errors.Is(err, refused) || !errors.Is(err, adapters.ErrStopped) {
				t.Errorf("the error is %v", err)
			}
			if c := last(t, f); !c.Stopped || c.Written || c.Status != 0 || c.Err == nil || c.Ended.IsZero() {
				t.Errorf("recorded %+v", c)
			}
			if e := f.NotSent(err, true); e == nil || e.Fate != adapters.Absent || e.Reason != adapters.Stopped {
				t.Errorf("judged %+v", e)
			}
			if whole.Load() != 0 {
				t.Error("the platform took it for a whole request")
			}
		})
	}
}

func TestTheGateIsForCommitsAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	f := &adapters.Flight{Gate: func() error { return errors.New("closed") }}
	req, err := http.NewRequestWithContext(adapters.WithFlight(t.Context(), f), http.MethodPost, s.URL, strings.NewReader("upload"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := adapters.Client(recorder(newWires(t))).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if c := last(t, f); c.Commit || c.Stopped || c.Status != http.StatusOK {
		t.Errorf("recorded %+v", c)
	}
}

// What was on the wire, for each way in which a commit can break, and the fate that follows.
func TestWhatWasWritten(t *testing.T) {
	t.Parallel()
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = c.Close()
		}
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc // nil: nobody listens
		timeout time.Duration
		written bool
		status  int
		fate    adapters.Fate
		judged  bool
	}{
		"nobody listens":                        {nil, 0, false, 0, adapters.Absent, true},
		"cut after the request was read":        {hangUp, 0, true, 0, adapters.Unknown, true},
		"no answer until the deadline":          {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 100 * time.Millisecond, true, 0, adapters.Unknown, true},
		"an answer, however bad, is not judged": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 0, true, 503, adapters.Unknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "http://" + unused(t)
			if tc.handler != nil {
				url = serve(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					tc.handler(w, r)
				}).URL
			}
			f := &adapters.Flight{}
			ctx := t.Context()
			if tc.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tc.timeout)
				defer cancel()
			}
			req, err := http.NewRequestWithContext(adapters.AsCommit(adapters.WithFlight(ctx, f)), http.MethodPost, url, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := adapters.Client(recorder(newWires(t))).Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			c := last(t, f)
			if c.Written != tc.written || c.Status != tc.status || c.Stopped {
				t.Errorf("recorded %+v", c)
			}
			e := f.NotSent(err, true)
			if (e != nil) != tc.judged || (e != nil && (e.Fate != tc.fate || e.Reason != adapters.Network)) {
				t.Errorf("judged %+v", e)
			}
			if e := f.NotSent(err, false); e != nil && e.Fate != adapters.Absent {
				t.Errorf("as no commit it is judged %+v", e)
			}
		})
	}
}

// unused is an address on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own address
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAFlightWithoutACommitSentNothing(t *testing.T) {
	t.Parallel()
	f := &adapters.Flight{}
	if e := f.NotSent(errors.New("no"), true); e == nil || e.Fate != adapters.Absent {
		t.Errorf("judged %+v", e)
	}
	if e := f.NotSent(fmt.Errorf("by a layer above: %w", adapters.ErrStopped), true); e == nil || e.Fate != adapters.Absent || e.Reason != adapters.Stopped {
		t.Errorf("judged %+v", e)
	}
}

func TestACommitIsNeverRepeated(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	})
	f, rt := &adapters.Flight{}, recorder(newWires(t))
	if _, err := commit(t, rt, f, s.URL, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := commit(t, rt, f, s.URL, "hello"); !errors.Is(err, adapters.ErrStopped) {
		t.Errorf("the second commit of a flight: %v", err)
	}
	if hits.Load() != 1 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}

// A layer above that repeats a commit whose fate is unknown gets no further, and the fate stays unknown.
func TestARepeatedCommitDoesNotHideThatTheFirstWasWritten(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.Close()
		}
	})
	f, rt := &adapters.Flight{}, recorder(newWires(t))
	_, first := commit(t, rt, f, s.URL, "hello")
	_, second := commit(t, rt, f, s.URL, "hello")
	if first == nil || second == nil {
		t.Fatal("a cut connection passed")
	}
	if e := f.NotSent(second, true); e == nil || e.Fate != adapters.Unknown {
		t.Errorf("judged %+v, but the first was written", e)
	}
}

func TestAHeaderThatLetsItBeReplayedIsRefused(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	for _, header := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		f := &adapters.Flight{}
		_, err := commit(t, recorder(newWires(t)), f, s.URL, "hello", header, "k")
		if !errors.Is(err, adapters.ErrStopped) || hits.Load() != 0 {
			t.Errorf("%s: %v, %d requests", header, err, hits.Load())
		}
		if c := last(t, f); c.Written || c.Err == nil {
			t.Errorf("%s: recorded %+v", header, c)
		}
	}
}

// A reused connection that died must not lead net/http to send the commit again on a new one.
func TestADeadConnectionSendsNothingTwice(t *testing.T) {
	t.Parallel()
	var posts, conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		posts.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.Close()
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	rt := recorder(newWires(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := adapters.Client(rt).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	f := &adapters.Flight{}
	if _, err := commit(t, rt, f, s.URL, "hello"); err == nil {
		t.Error("a cut connection passed")
	}
	if posts.Load() != 1 || conns.Load() != 1 {
		t.Errorf("%d posts over %d connections, want 1 over 1", posts.Load(), conns.Load())
	}
	if c := last(t, f); !c.Written {
		t.Errorf("recorded %+v", c)
	}
}

// tripper is a transport of one function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNothingBelowCanRewindACommit(t *testing.T) {
	t.Parallel()
	var got *http.Request
	rt := recorder(tripper(func(r *http.Request) (*http.Response, error) {
		got = r
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	}))
	for _, gate := range []func() error{nil, func() error { return nil }} {
		f := &adapters.Flight{Gate: gate}
		if _, err := commit(t, rt, f, "http://platform/", "hello"); err != nil {
			t.Fatal(err)
		}
		if got.GetBody != nil {
			t.Error("the body can be had again")
		}
		if b, err := io.ReadAll(got.Body); err != nil || string(b) != "hello" || got.ContentLength != 5 {
			t.Errorf("the body is %q of %d bytes (%v)", b, got.ContentLength, err)
		}
	}
}

func TestAnAnswerIsCapped(t *testing.T) {
	t.Parallel()
	for size, whole := range map[int]bool{0: true, 9: true, 10: true, 11: false, 1000: false} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), size)) })
		rt := recorder(newWires(t))
		rt.Cap = 10
		f := &adapters.Flight{}
		resp, err := commit(t, rt, f, s.URL, "hello")
		if err != nil {
			t.Fatal(err)
		}
		got, rerr := io.ReadAll(resp.Body)
		c := last(t, f)
		if len(got) != min(size, 10) || (rerr == nil) != whole || c.Whole != whole || !bytes.Equal(c.Body, got) {
			t.Errorf("%d bytes: read %d (%v), recorded %d whole %v", size, len(got), rerr, len(c.Body), c.Whole)
		}
	}
}

func TestAnAnswerThatBreaksOffIsNotWhole(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"id":"1`))
	})
	f := &adapters.Flight{}
	resp, err := commit(t, recorder(newWires(t)), f, s.URL, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("half an answer was read without an error")
	}
	if c := last(t, f); c.Whole || c.Err == nil || c.Status != http.StatusOK || string(c.Body) != `{"id":"1` {
		t.Errorf("recorded %+v", c)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var hits atomic.Int64
		elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		f := &adapters.Flight{}
		resp, err := commit(t, recorder(newWires(t)), f, s.URL, "hello", "Authorization", "Bearer secret")
		if err != nil || resp.StatusCode != status || hits.Load() != 0 {
			t.Errorf("%d: %v, %d requests elsewhere", status, err, hits.Load())
		}
	}
}

func TestARecordHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	f := &adapters.Flight{}
	if _, err := commit(t, recorder(newWires(t)), f, s.URL+"/posts?access_token=secret1", "secret2", "Authorization", "secret3"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", f.Calls()); strings.Contains(got, "secret") || !strings.Contains(got, "/posts") {
		t.Errorf("recorded %s", got)
	}
}

func TestOneFlightManyCalls(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })
	f, rt := &adapters.Flight{}, recorder(newWires(t))
	ctx := adapters.WithFlight(t.Context(), f)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%d", s.URL, i), http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := adapters.Client(rt).Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			f.Calls()
			f.Last(false)
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, c := range f.Calls() {
		if c.Path != string(c.Body) || !c.Whole {
			t.Errorf("the record of %s holds the answer of %s", c.Path, c.Body)
		}
		seen[c.Path] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d calls are recorded", len(seen))
	}
	if _, ok := f.Last(true); ok {
		t.Error("one of them counts as a commit")
	}
}

func TestFlightsOfAContext(t *testing.T) {
	t.Parallel()
	f := &adapters.Flight{}
	if _, got := adapters.FlightFrom(adapters.WithFlight(t.Context(), f)); got != f {
		t.Error("the context's flight is not found")
	}
	ctx, own := adapters.FlightFrom(t.Context())
	if _, again := adapters.FlightFrom(ctx); own == nil || again != own {
		t.Error("a new flight does not live in the context returned")
	}
	if adapters.IsCommit(ctx) || !adapters.IsCommit(adapters.AsCommit(ctx)) {
		t.Error("a commit is not told apart")
	}
}
