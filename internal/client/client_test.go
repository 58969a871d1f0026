package client

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/secret"
)

func serve(t *testing.T, prefix string, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(Options{URL: s.URL + prefix, Key: secret.New("crier_1_secret")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestIDsStayOneSegmentOfThePath(t *testing.T) {
	t.Parallel()
	var path string
	c := serve(t, "/behind%20a/", func(w http.ResponseWriter, r *http.Request) {
		path = r.RequestURI
		_, _ = io.WriteString(w, `{}`)
	})
	if _, err := c.Post(t.Context(), "../keys?x=1#y"); err != nil {
		t.Fatal(err)
	}
	if want := "/behind%20a/api/v1/posts/..%2Fkeys%3Fx=1%23y"; path != want {
		t.Errorf("asked for %s, want %s", path, want)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(elsewhere.Close)
	c := serve(t, "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	_, err := c.Post(t.Context(), "p")
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusFound || !strings.Contains(p.Detail, "redirect") {
		t.Errorf("error is %v", err)
	}
	if asked {
		t.Error("the redirect was followed")
	}
}

func TestRefusalsOfAnyShape(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind, body string
		want       string
	}{
		"a problem":             {"application/problem+json", `{"status":418,"detail":"no","code":"not_now"}`, "no (502 not_now)"},
		"a proxy's page":        {"text/html", "<h1>Bad</h1>", "Bad Gateway (502)"},
		"nothing":               {"", "", "Bad Gateway (502)"},
		"JSON of another shape": {"application/json", `{"detail":{"a":1}}`, "Bad Gateway (502)"},
		"torn JSON":             {"application/json", `{"detail":"x`, "Bad Gateway (502)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, "", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(http.StatusBadGateway)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := c.Status(t.Context())
			if err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestAnswersThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"<html>", `[1]`, `{"id":7}`, `{"id":"`, `"x"`} {
		c := serve(t, "", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if _, err := c.Post(t.Context(), "p"); err == nil || !strings.Contains(err.Error(), "is not understood") {
			t.Errorf("%s: error is %v", body, err)
		}
	}
}

func TestUnreachableSaysWhetherItWasSent(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	nobody, err := New(Options{URL: closed})
	if err != nil {
		t.Fatal(err)
	}
	hanging := serve(t, "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, test := range map[string]struct {
		c    *Client
		sent bool
	}{"nobody listens": {nobody, false}, "it hangs up": {hanging, true}} {
		_, err := test.c.Status(t.Context())
		e, ok := errors.AsType[*UnreachableError](err)
		if !ok || e.Sent != test.sent {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"https://crier.example": true, "http://127.0.0.1:8080/": true, "https://a.example/crier": true,
		"": false, "crier.example": false, "ftp://a.example": false, "https://u:p@a.example": false, "https://a.example?x=1": false, "http://": false,
	} {
		_, err := New(Options{URL: address})
		if (err == nil) != ok {
			t.Errorf("%q: error is %v", address, err)
		}
	}
}

func TestReadyTellsTheTimeOfADaemonThatIsNot(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	c := serve(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", at.Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	got, err := c.Ready(t.Context())
	if _, ok := errors.AsType[*Problem](err); !ok {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(at, got); diff != "" {
		t.Error(diff)
	}
}
