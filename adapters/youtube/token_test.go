package youtube

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/adapters"
	"crier/internal/secret"
)

// store is credentials in memory.
type store struct {
	mu     sync.Mutex
	tokens map[string]secret.Text
	refuse error
}

func (s *store) Load(ctx context.Context) (map[string]secret.Text, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.tokens), ctx.Err()
}

func (s *store) Replace(_ context.Context, _, current map[string]secret.Text) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse == nil {
		s.tokens = current
	}
	return s.refuse
}

// google is a token endpoint and an API that knows the newest token only.
type google struct {
	mu            sync.Mutex
	asked, called int
	delay         time.Duration
	status        int
	body          string
	refused       int // how many calls of the API are answered 401
	bearers       []string
}

func (g *google) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(g.delay) // in fake time
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	status, body := http.StatusOK, `{"kind":"x"}`
	if r.URL.Path == "/token" {
		g.asked++
		status, body = g.status, g.body
	} else {
		g.called++
		g.bearers = append(g.bearers, r.Header.Get("Authorization"))
		if g.refused > 0 {
			g.refused--
			status = http.StatusUnauthorized
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func newTokens(g *google, s *store) (*tokens, *http.Client) {
	if g.status == 0 {
		g.status, g.body = http.StatusOK, `{"access_token":"canary-access","expires_in":3600}`
	}
	recorder := &adapters.Recorder{Base: g, Now: time.Now}
	t := &tokens{
		url: "http://google.invalid/token", id: "id", secret: secret.New("canary-client"), credentials: s,
		client: adapters.Client(recorder), now: time.Now, turn: make(chan struct{}, 1),
	}
	return t, adapters.Client(&bearer{base: recorder, tokens: t})
}

func refreshToken(s string) map[string]secret.Text {
	return map[string]secret.Text{"refresh_token": secret.New(s)}
}

func get(ctx context.Context, c *http.Client) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://google.invalid/api", http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestManyCallsAskForOneToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &google{delay: time.Second}
		_, client := newTokens(g, &store{tokens: refreshToken("canary-refresh")})
		var work sync.WaitGroup
		for range 16 {
			work.Go(func() {
				if status, err := get(t.Context(), client); err != nil || status != http.StatusOK {
					t.Errorf("%d, %v", status, err)
				}
			})
		}
		work.Wait()
		if g.asked != 1 || g.called != 16 {
			t.Errorf("asked %d times for %d calls", g.asked, g.called)
		}
		time.Sleep(time.Hour)
		if _, err := get(t.Context(), client); err != nil || g.asked != 2 {
			t.Errorf("an hour later: asked %d times, %v", g.asked, err)
		}
	})
}

func TestAReadIsRepeatedOnceAfter401(t *testing.T) {
	t.Parallel()
	for refused, want := range map[int]int{1: 2, 5: 2} {
		synctest.Test(t, func(t *testing.T) {
			g := &google{refused: refused}
			_, client := newTokens(g, &store{tokens: refreshToken("canary-refresh")})
			if _, err := get(t.Context(), client); err != nil || g.called != want {
				t.Errorf("%d refusals: %d calls, %v; want %d", refused, g.called, err, want)
			}
		})
	}
}

func TestACommitIsNotRepeatedAfter401(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &google{refused: 1}
		tk, client := newTokens(g, &store{tokens: refreshToken("canary-refresh")})
		if err := tk.fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		status, err := get(adapters.AsCommit(withToken(t.Context(), tk.atHand())), client)
		if err != nil || status != http.StatusUnauthorized || g.called != 1 || g.asked != 1 {
			t.Errorf("%d, %v; %d calls, %d tokens", status, err, g.called, g.asked)
		}
	})
}

func TestANewRefreshTokenIsStoredBeforeUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &google{status: http.StatusOK, body: `{"access_token":"canary-access","refresh_token":"canary-second"}`}
		s := &store{tokens: refreshToken("canary-first"), refuse: errors.New("disk full")}
		_, client := newTokens(g, s)
		if _, err := get(t.Context(), client); err == nil || g.called != 0 {
			t.Errorf("%v, %d calls; want none with a token that is not stored", err, g.called)
		}
		s.refuse = nil
		if _, err := get(t.Context(), client); err != nil || g.called != 1 {
			t.Errorf("%v, %d calls", err, g.called)
		}
		if got := s.tokens["refresh_token"].Reveal(); got != "canary-second" {
			t.Errorf("stored %q", got)
		}
	})
}

func TestAReconnectedChannelDropsTheOldToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &google{}
		s := &store{tokens: refreshToken("canary-first")}
		_, client := newTokens(g, s)
		for _, seed := range []string{"canary-first", "canary-other"} {
			s.tokens = refreshToken(seed)
			g.body = `{"access_token":"for-` + seed + `","expires_in":3600}`
			if _, err := get(t.Context(), client); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"Bearer for-canary-first", "Bearer for-canary-other"}
		if diff := cmp.Diff(want, g.bearers); diff != "" {
			t.Errorf("tokens (-want +got):\n%s", diff)
		}
	})
}

func TestNoToken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   adapters.Reason
	}{
		"revoked":          {400, `{"error":"invalid_grant","error_description":"canary-refresh"}`, adapters.Auth},
		"wrong client":     {401, `{"error":"invalid_client"}`, adapters.Auth},
		"outage":           {503, `<html>`, adapters.Server},
		"too much":         {429, ``, adapters.RateLimit},
		"nothing":          {200, ``, adapters.Server},
		"empty":            {200, `{}`, adapters.Server},
		"of a wrong type":  {200, `{"access_token":7}`, adapters.Server},
		"code with a trap": {400, `{"error":"canary-refresh\n\u0000"}`, adapters.Auth},
		"led elsewhere":    {302, ``, adapters.Server},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &google{status: tt.status, body: tt.body}
				tk, client := newTokens(g, &store{tokens: refreshToken("canary-refresh")})
				e, ok := errors.AsType[*adapters.Error](tk.fresh(t.Context()))
				if !ok || e.Fate != adapters.Absent || e.Reason != tt.want {
					t.Errorf("got %v, want absent and %s", e, tt.want)
				}
				if _, err := get(t.Context(), client); err == nil || g.called != 0 {
					t.Errorf("%v, %d calls without a token", err, g.called)
				}
			})
		})
	}
}

func TestWaitingForATokenEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &google{delay: time.Hour}
		tk, _ := newTokens(g, &store{tokens: refreshToken("canary-refresh")})
		done := make(chan error)
		go func() { done <- tk.fresh(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tk.fresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheQuotaFreesAtMidnightInCalifornia(t *testing.T) {
	t.Parallel()
	for now, want := range map[string]string{
		"2026-11-23T07:59:59Z": "2026-11-23T08:00:00Z",
		"2026-11-23T08:00:00Z": "2026-11-24T08:00:00Z",
		"2026-07-01T12:00:00Z": "2026-07-02T07:00:00Z",
		"2026-03-08T12:00:00Z": "2026-03-09T07:00:00Z", // the day that has 23 hours
		"2026-11-01T12:00:00Z": "2026-11-02T08:00:00Z", // the day that has 25
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := nextMidnight(at, pacific()).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", now, got, want)
		}
	}
}

func TestReadReasonSurvivesAnything(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``: "", `null`: "", `7`: "", `{"error":null}`: "", `{"error":"x"}`: "", `{"error":{"errors":{}}}`: "",
		`{"error":{"errors":[]}}`: "", `{"error":{"errors":[{"reason":"a b\u0000c"}]}}`: "abc",
		`{"error":{"errors":[{"reason":"` + strings.Repeat("x", 1000) + `"}]}}`: strings.Repeat("x", 64),
	} {
		if got, _ := readReason([]byte(body)); got != want {
			t.Errorf("%.60s: %q, want %q", body, got, want)
		}
	}
}
