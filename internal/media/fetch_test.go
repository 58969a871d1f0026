package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/net/dns/dnsmessage"
)

// names is a name server that answers from a table, which may change between questions.
type names struct {
	mu    sync.Mutex
	table map[string][]string
	wg    sync.WaitGroup
}

func newNames(t *testing.T, table map[string][]string) *names {
	t.Helper()
	n := &names{table: table}
	t.Cleanup(n.wg.Wait)
	return n
}

func (n *names) set(host string, ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table[host] = ips
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		us, them := net.Pipe()
		n.wg.Go(func() { n.serve(them) })
		return us, nil
	}}
}

// serve answers questions as DNS over TCP does, until the other side goes.
func (n *names) serve(c net.Conn) {
	defer c.Close()
	for {
		var size uint16
		if binary.Read(c, binary.BigEndian, &size) != nil {
			return
		}
		raw := make([]byte, size)
		if _, err := io.ReadFull(c, raw); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(raw) != nil {
			return
		}
		out, err := n.answer(m).Pack()
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
			return
		}
	}
}

func (n *names) answer(m dnsmessage.Message) *dnsmessage.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := m.Questions[0]
	ips, ok := n.table[strings.TrimSuffix(q.Name.String(), ".")]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, s := range ips {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
		switch ip := netip.MustParseAddr(s); {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}})
		case !ip.Is4() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	return &m
}

func TestGuardMatrix(t *testing.T) {
	t.Parallel()
	g, err := NewGuard([]string{"nas.lan:8080", "[fd00::7]:80", "127.0.0.1:9000", "Bücher.example:80", "minio_1:9000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		target, address string // as dialed, as resolved; an empty target is the address itself
		pass            bool
	}{
		{"", "127.0.0.1:80", false},
		{"", "127.255.255.254:443", false},
		{"", "10.0.0.1:80", false},
		{"", "172.16.0.1:80", false},
		{"", "192.168.1.1:80", false},
		{"", "169.254.169.254:80", false},
		{"", "100.64.0.1:80", false},
		{"", "0.0.0.0:80", false},
		{"", "192.0.0.192:80", false},
		{"", "192.0.2.1:80", false},
		{"", "198.18.0.1:80", false},
		{"", "198.19.255.255:80", false},
		{"", "224.0.0.1:80", false},
		{"", "240.0.0.1:80", false},
		{"", "255.255.255.255:80", false},
		{"", "[::1]:80", false},
		{"", "[::]:80", false},
		{"", "[::ffff:127.0.0.1]:80", false},
		{"", "[::ffff:8.8.8.8]:80", false},
		{"", "[64:ff9b::7f00:1]:80", false},
		{"", "[fe80::1]:80", false},
		{"", "[fe80::1%eth0]:80", false},
		{"", "[fc00::1]:80", false},
		{"", "[fd00:ec2::254]:80", false},
		{"", "[2002:7f00:1::]:80", false},
		{"", "[2001::1]:80", false},
		{"", "[2001:db8::1]:80", false},
		{"", "[ff02::1]:80", false},
		{"", "8.8.8.8:22", false},
		{"", "8.8.8.8:8080", false},
		{"", "8.8.8.8:6379", false},
		{"", "no address", false},
		{"", "8.8.8.8:80", true},
		{"", "8.8.8.8:443", true},
		{"", "[2606:4700:4700::1111]:443", true},
		{"public.example:443", "8.8.8.8:443", true},
		{"public.example:443", "10.0.0.1:443", false},
		// The allow list.
		{"nas.lan:8080", "192.168.1.7:8080", true},
		{"NAS.lan:8080", "192.168.1.7:8080", true},
		{"nas.lan:8080", "127.0.0.1:8080", true},
		{"nas.lan:8080", "[fd00::9]:8080", true},
		{"nas.lan:8080", "169.254.169.254:8080", false},
		{"nas.lan:8080", "[::ffff:169.254.169.254]:8080", false},
		{"nas.lan:8080", "[fe80::1]:8080", false},
		{"nas.lan:8080", "0.0.0.0:8080", false},
		{"nas.lan:8080", "224.0.0.1:8080", false},
		{"nas.lan:8080", "255.255.255.255:8080", false},
		{"nas.lan:80", "192.168.1.7:80", false},
		{"nas.lan.:8080", "192.168.1.7:8080", false},
		{"other.lan:8080", "192.168.1.7:8080", false},
		{"x.nas.lan:8080", "192.168.1.7:8080", false},
		{"", "192.168.1.7:8080", false},
		{"", "[fd00::7]:80", true},
		{"", "[fd00::8]:80", false},
		{"", "127.0.0.1:9000", true},
		{"", "127.0.0.1:9001", false},
		{"xn--bcher-kva.example:80", "10.1.1.1:80", true},
		{"minio_1:9000", "172.18.0.2:9000", true},
	}
	for _, tt := range tests {
		target := tt.target
		if target == "" {
			target = tt.address
		}
		network := "tcp4"
		if strings.HasPrefix(tt.address, "[") {
			network = "tcp6"
		}
		err := g.control(target)(network, tt.address, nil)
		if (err == nil) != tt.pass {
			t.Errorf("%s at %s: %v, want pass %t", target, tt.address, err, tt.pass)
		}
		if err != nil && err.Error() != refused(nil).Error() {
			t.Errorf("%s at %s tells more than it may: %v", target, tt.address, err)
		}
	}
	if err := g.control("public.example:80")("udp4", "8.8.8.8:80", nil); err == nil {
		t.Error("UDP passed")
	}
}

func TestNewGuardRefusesWhatIsNoHostAndPort(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "nas.lan", ":80", "nas.lan:", "nas.lan:0", "nas.lan:70000", "nas.lan:080", "http://nas.lan:80", "*:80/x"} {
		if _, err := NewGuard([]string{entry}, nil); err == nil {
			t.Errorf("NewGuard accepted %q", entry)
		}
	}
}

// site is a server on this machine, what it counts, and how it is reached.
type site struct {
	*httptest.Server
	hits atomic.Int64
	port string
}

func newSite(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.port = u.Port()
	return s
}

func fetcher(t *testing.T, c FetchConfig) *Fetcher {
	t.Helper()
	f, err := NewFetcher(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// get fetches and returns the body, or the code and message of an *Error.
func get(t *testing.T, f *Fetcher, address string) (body string, e *Error) {
	t.Helper()
	err := f.Fetch(t.Context(), address, func(r io.Reader) error {
		p, err := io.ReadAll(r)
		body = string(p)
		return err
	})
	if err == nil {
		return body, nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("Fetch(%s) = %v, want an *Error", address, err)
	}
	return "", e
}

func TestEveryRefusedAddressLooksTheSame(t *testing.T) {
	t.Parallel()
	inside := newSite(t, func(http.ResponseWriter, *http.Request) {})
	n := newNames(t, map[string][]string{"inside.test": {"127.0.0.1", "::1"}, "meta.test": {"169.254.169.254"}, "void.test": nil})
	f := fetcher(t, FetchConfig{Resolver: n.resolver()})
	for _, address := range []string{
		"http://127.0.0.1/", "http://127.0.0.1:22/", inside.URL, "http://[::1]/", "http://[::ffff:127.0.0.1]/",
		"http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://0/", "http://0.0.0.0/", "https://[fe80::1%25lo]/",
		"http://inside.test/", "http://inside.test:" + inside.port, "http://meta.test/", "http://nowhere.test/", "http://void.test/",
		"file:///etc/passwd", "ftp://8.8.8.8/", "gopher://127.0.0.1:6379/_x", "http:///x", "http:opaque", "//8.8.8.8/x", "", "::",
		"http://user:pass@8.8.8.8/", "http://user@8.8.8.8/", "http://8.8.8.8:6379/", "http://8.8.8.8/" + strings.Repeat("x", maxURL),
	} {
		_, e := get(t, f, address)
		if e == nil || e.Code != CodeFetchRefused || e.Error() != refused(nil).Error() {
			t.Errorf("Fetch(%.60s) = %#v, want the one refusal", address, e)
		}
	}
	if hits := inside.hits.Load(); hits != 0 {
		t.Errorf("%d requests came through", hits)
	}
}

func TestAllowListOpensExactlyItsHostAndPort(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "file") })
	other := newSite(t, func(http.ResponseWriter, *http.Request) {})
	n := newNames(t, map[string][]string{"nas.test": {"127.0.0.1"}, "alias.test": {"127.0.0.1"}})
	f := fetcher(t, FetchConfig{Allow: []string{"nas.test:" + s.port}, Resolver: n.resolver()})
	if body, e := get(t, f, "http://nas.test:"+s.port+"/a.png"); body != "file" {
		t.Errorf("allowed address: %q, %v", body, e)
	}
	for _, address := range []string{"http://nas.test:" + other.port, "http://nas.test/", "http://alias.test:" + s.port, s.URL} {
		if _, e := get(t, f, address); e == nil || e.Code != CodeFetchRefused {
			t.Errorf("Fetch(%s) = %v, want %s", address, e, CodeFetchRefused)
		}
	}
	if s.hits.Load() != 1 || other.hits.Load() != 0 {
		t.Errorf("%d and %d requests, want 1 and 0", s.hits.Load(), other.hits.Load())
	}
}

// A name that changes its answer between two connections is judged by the answer that is connected to.
func TestRebinding(t *testing.T) {
	t.Parallel()
	n := newNames(t, map[string][]string{"nas.test": {"127.0.0.1"}, "evil.test": {"8.8.8.8"}})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		// By the time that the redirect is followed, both names lead elsewhere.
		n.set("nas.test", "169.254.169.254")
		n.set("evil.test", "127.0.0.1")
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	f := fetcher(t, FetchConfig{Allow: []string{"nas.test:" + s.port}, Resolver: n.resolver()})
	for _, to := range []string{"http://nas.test:" + s.port + "/again", "http://evil.test/"} {
		n.set("nas.test", "127.0.0.1")
		_, e := get(t, f, "http://nas.test:"+s.port+"/?to="+url.QueryEscape(to))
		if e == nil || e.Code != CodeFetchRefused {
			t.Errorf("redirect to %s = %v, want %s", to, e, CodeFetchRefused)
		}
		if strings.Contains(to, "evil") && !errors.Is(e, ssrf.ErrProhibitedIP) {
			t.Errorf("redirect to %s was refused for %v, want %v", to, errors.Unwrap(e), ssrf.ErrProhibitedIP)
		}
	}
	if hits := s.hits.Load(); hits != 2 {
		t.Errorf("%d requests, want 2", hits)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var referers atomic.Int64
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Referer() != "" {
			referers.Add(1)
		}
		to := r.URL.Query().Get("to")
		switch left := strings.TrimPrefix(r.URL.Path, "/"); {
		case to != "":
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		case left != "":
			http.Redirect(w, r, "/"+left[1:], http.StatusFound)
		default:
			io.WriteString(w, "end")
		}
	})
	secure := httptest.NewTLSServer(http.RedirectHandler(s.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	f := fetcher(t, FetchConfig{Allow: []string{s.Listener.Addr().String(), secure.Listener.Addr().String()}})
	f.client.Transport.(*http.Transport).TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	if body, e := get(t, f, s.URL+"/xxx"); body != "end" {
		t.Errorf("three redirects: %q, %v", body, e)
	}
	if referers.Load() != 0 {
		t.Error("a redirect told where it came from")
	}
	for address, code := range map[string]string{
		s.URL + "/xxxx":                                CodeFetchFailed,
		secure.URL:                                     CodeFetchFailed,
		s.URL + "/?to=http://10.0.0.1/":                CodeFetchRefused,
		s.URL + "/?to=http://127.0.0.1/":               CodeFetchRefused,
		s.URL + "/?to=http://169.254.169.254/":         CodeFetchRefused,
		s.URL + "/?to=file:///etc/passwd":              CodeFetchRefused,
		s.URL + "/?to=http://me:word@8.8.8.8/":         CodeFetchRefused,
		s.URL + "/?to=http://[::ffff:169.254.169.254]": CodeFetchRefused,
	} {
		if _, e := get(t, f, address); e == nil || e.Code != code {
			t.Errorf("Fetch(%s) = %v, want %s", address, e, code)
		}
	}
}

func TestFetchFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Write(make([]byte, 1001))
		case "/endless":
			w.WriteHeader(http.StatusOK)
			for range 100 {
				w.Write(make([]byte, 100))
				http.NewResponseController(w).Flush()
			}
		case "/fits":
			w.Write(make([]byte, 1000))
		case "/short":
			w.Header().Set("Content-Length", "500")
			w.Write(make([]byte, 100))
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	})
	c := FetchConfig{Allow: []string{s.Listener.Addr().String()}, Limits: Limits{ImageBytes: 10, VideoBytes: 1000}}
	f := fetcher(t, c)
	for path, code := range map[string]string{
		"/large": CodeSize, "/endless": CodeSize, "/short": CodeFetchFailed, "/gone": CodeFetchFailed,
	} {
		if _, e := get(t, f, s.URL+path); e == nil || e.Code != code {
			t.Errorf("%s = %v, want %s", path, e, code)
		}
	}
	if body, e := get(t, f, s.URL+"/fits"); len(body) != 1000 {
		t.Errorf("/fits = %d bytes, %v", len(body), e)
	}
	mine := errors.New("my own")
	if err := f.Fetch(t.Context(), s.URL+"/fits", func(io.Reader) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("error of the sink = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Fetch(ctx, s.URL+"/fits", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled = %v", err)
	}
	s.Close()
	if _, e := get(t, f, s.URL+"/fits"); e == nil || e.Code != CodeFetchFailed || !errors.Is(e, syscall.ECONNREFUSED) {
		t.Errorf("closed server = %v, want %s", e, CodeFetchFailed)
	}
}

func TestFetchEndsWhenNothingComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us, them := net.Pipe()
		f := fetcher(t, FetchConfig{Idle: time.Minute, Timeout: time.Hour})
		f.client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return us, nil }
		var wg sync.WaitGroup
		wg.Go(func() {
			p := make([]byte, 4096)
			if _, err := them.Read(p); err != nil {
				t.Errorf("read request: %v", err)
			}
			for _, part := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "one", "two"} {
				io.WriteString(them, part)
				time.Sleep(59 * time.Second)
			}
		})
		start := time.Now()
		_, e := get(t, f, "http://8.8.8.8/")
		if took := time.Since(start); e == nil || e.Code != CodeFetchFailed || took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("ended after %v with %v, want %s after 2 to 3 minutes", took, e, CodeFetchFailed)
		}
		wg.Wait()
	})
}

func TestFetchIntoFiles(t *testing.T) {
	t.Parallel()
	file := pngFile(t, 12, 34)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			io.WriteString(w, "<html>")
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write(file)
	})
	f, files := fetcher(t, FetchConfig{Allow: []string{s.Listener.Addr().String()}}), open(t, Limits{})
	var info Info
	put := func(r io.Reader) (err error) {
		info, err = files.Put(t.Context(), r)
		return err
	}
	if err := f.Fetch(t.Context(), s.URL, put); err != nil || info.Width != 12 || info.Type != TypePNG {
		t.Errorf("Fetch = %+v, %v", info, err)
	}
	if !bytes.Equal(content(t, files, info.ID), file) {
		t.Error("another file was stored")
	}
	err := f.Fetch(t.Context(), s.URL+"/page", put)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeType {
		t.Errorf("a page = %v, want %s", err, CodeType)
	}
}
