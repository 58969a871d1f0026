package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// caller is one client of the API on one connection that it keeps. It costs little, so that on a machine that client and
// daemon share the daemon is what is measured.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	host string
	key  string
}

// dialCaller connects to a daemon's address, such as http://127.0.0.1:8080.
func dialCaller(tb testing.TB, url, key string) *caller {
	tb.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &caller{conn: conn, in: bufio.NewReader(conn), host: host, key: key}
}

// ask makes one request and gives the whole answer. What is no string and no nil is sent as JSON.
func (c *caller) ask(method, path string, body any, headers ...string) (*http.Response, []byte, error) {
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			return nil, nil, err
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n", method, path, c.host, c.key, len(raw))
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&out, "%s: %s\r\n", headers[i], headers[i+1])
	}
	out.WriteString("\r\n")
	out.Write(raw)
	if _, err := c.conn.Write(out.Bytes()); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, answer, err
}

// newKeys makes keys of the owner, each with a rate of its own, so that what is measured is not the limit of one key.
func newKeys(tb testing.TB, url string, n int) []string {
	tb.Helper()
	c := dialCaller(tb, url, benchKey)
	keys := make([]string, n)
	for i := range keys {
		resp, answer, err := c.ask(http.MethodPost, "/api/v1/keys", m{"name": fmt.Sprintf("caller %d", i), "scopes": []string{"admin"}})
		if err != nil || resp.StatusCode != http.StatusCreated {
			tb.Fatalf("making a key: %v %s", err, answer)
		}
		var made struct{ Key string }
		if err := json.Unmarshal(answer, &made); err != nil {
			tb.Fatal(err)
		}
		keys[i] = made.Key
	}
	return keys
}

// times collects how long things took; it is safe for concurrent use.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// at gives the time that a part of all did not exceed, such as 0.99.
func (t *times) at(part float64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	slices.Sort(t.all)
	return t.all[min(int(part*float64(len(t.all))), len(t.all)-1)]
}

func inMillis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
