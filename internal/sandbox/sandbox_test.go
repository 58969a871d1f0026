package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testBase = "http://sandbox.test"

func brand() Identity {
	return Identity{Platform: "twitter", ID: "1001", Name: "acme", Credentials: map[string]string{
		"consumer_key": "ck", "consumer_secret": "cs&1", "access_token": "1001-at", "access_secret": "as 1",
	}}
}

func person() Identity {
	return Identity{Platform: "twitter", ID: "2002", Name: "jo", Credentials: map[string]string{
		"consumer_key": "ck", "consumer_secret": "cs&1", "access_token": "2002-at", "access_secret": "as 2", "v1.1": "true",
	}}
}

func redditor() Identity {
	return Identity{Platform: "reddit", ID: "t2_abc", Name: "jo_codes", Credentials: map[string]string{
		"client_id": "rid", "client_secret": "rs", "refresh_token": "rt-1",
	}}
}

func otherRedditor() Identity {
	return Identity{Platform: "reddit", ID: "t2_xyz", Name: "acme_news", Credentials: map[string]string{
		"client_id": "rid", "client_secret": "rs", "refresh_token": "rt-2", "rotate": "true", "submit_every": "10m",
	}}
}

// world is a sandbox over TCP or pipes with a client that follows nothing.
type world struct {
	*Sandbox

	base   string
	client *http.Client
	nonce  int
	mu     sync.Mutex
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	c := Config{BaseURL: testBase, Identities: []Identity{brand(), person(), redditor(), otherRedditor()}}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := s.InMemory()
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return &world{Sandbox: s, base: testBase, client: plainClient(m.Transport())}
}

func plainClient(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is what a test sees of one exchange.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("answer %d %q is no JSON object: %v", a.status, a.body, err)
	}
	return v
}

func (w *world) do(t *testing.T, req *http.Request) answer {
	t.Helper()
	res, err := w.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	b, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); cerr != nil {
		t.Error(cerr)
	}
	return answer{res.StatusCode, res.Header, string(b), err}
}

// sign is an OAuth 1.0a signature written for tests, apart from the verifier's parameter collection.
func (w *world) sign(req *http.Request, who Identity, form url.Values, change func(map[string]string)) {
	w.mu.Lock()
	w.nonce++
	n := w.nonce
	w.mu.Unlock()
	auth := map[string]string{
		"oauth_consumer_key": who.Credentials["consumer_key"], "oauth_token": who.Credentials["access_token"],
		"oauth_signature_method": "HMAC-SHA1", "oauth_timestamp": strconv.FormatInt(w.now().Unix(), 10),
		"oauth_nonce": "n" + strconv.Itoa(n), "oauth_version": "1.0",
	}
	if change != nil {
		change(auth)
	}
	all := url.Values{}
	for k, v := range auth {
		all.Set(k, v)
	}
	maps.Copy(all, req.URL.Query())
	maps.Copy(all, form)
	// url.Values.Encode sorts; it differs from RFC 5849 in the space alone.
	params := strings.ReplaceAll(all.Encode(), "+", "%20")
	address := req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
	key := url.QueryEscape(who.Credentials["consumer_secret"]) + "&" + strings.ReplaceAll(url.QueryEscape(who.Credentials["access_secret"]), "+", "%20")
	text := req.Method + "&" + url.QueryEscape(address) + "&" + url.QueryEscape(params)
	auth["oauth_signature"] = hmacSHA1(key, text)
	pairs := make([]string, 0, len(auth))
	for k, v := range auth {
		pairs = append(pairs, k+`="`+strings.ReplaceAll(url.QueryEscape(v), "+", "%20")+`"`)
	}
	req.Header.Set("Authorization", "OAuth "+strings.Join(pairs, ", "))
}

func (w *world) x(t *testing.T, who Identity, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w.sign(req, who, nil, nil)
	return w.do(t, req)
}

func (w *world) tweet(t *testing.T, who Identity, text string) answer {
	t.Helper()
	b, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		t.Fatal(err)
	}
	return w.x(t, who, "POST", "/x/2/tweets", string(b))
}

func texts(acts []Act) []string {
	var out []string
	for _, a := range acts {
		out = append(out, a.Identity+": "+a.Text)
	}
	return out
}

func TestResetsAndSlammedDoors(t *testing.T) {
	t.Parallel()
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("over TCP: %t", tcp), func(t *testing.T) {
			t.Parallel()
			s, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			s.Misbehave(Fault{Kind: ResetBefore, Match: "GET /graph/"})
			m := s.InMemory()
			t.Cleanup(func() { _ = m.Close() })
			base, client := "http://sandbox.invalid", &http.Client{Transport: m.Transport()}
			if tcp {
				server := httptest.NewServer(s)
				t.Cleanup(server.Close)
				base, client = server.URL, server.Client()
			}
			get := func() error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/graph/v26.0/me", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err == nil {
					err = resp.Body.Close()
				}
				return err
			}
			if err := get(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want a reset", err)
			}
			if tcp {
				return
			}
			s.Behave()
			before := len(s.Requests())
			m.SlamNext(1)
			if err := get(); err == nil || len(s.Requests()) != before {
				t.Errorf("a door that was slammed: %v after %d requests", err, len(s.Requests())-before)
			}
			if err := get(); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

func TestFaultsOnTheWire(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for _, tt := range []struct {
		fault     Fault
		status    int  // 0: no whole answer
		published bool // at once
		body      string
	}{
		{fault: Fault{Kind: Refuse, Status: 418, Body: `{"no":1}`}, status: 418, body: `{"no":1}`},
		{fault: Fault{Kind: Refuse}, status: 500},
		{fault: Fault{Kind: PublishThenStatus, Status: 503, Body: "busy"}, status: 503, published: true, body: "busy"},
		{fault: Fault{Kind: PublishThenStatus, Status: 204}, status: 204, published: true},
		{fault: Fault{Kind: PublishThenCut}, published: true},
		{fault: Fault{Kind: PublishThenHalf}, published: true},
		{fault: Fault{Kind: PublishThenEmpty}, status: 200, published: true},
		{fault: Fault{Kind: PublishThenHang, Delay: hour}, published: true},
		{fault: Fault{Kind: PublishThenHTML502}, status: 502, published: true, body: gatewayPage},
		{fault: Fault{Kind: HTML502}, status: 502, body: gatewayPage},
		{fault: Fault{Kind: CutBefore}},
		{fault: Fault{Kind: HangBefore, Delay: hour}},
		{fault: Fault{Kind: RateLimit}, status: 429},
		{fault: Fault{Kind: Redirect, Status: 307, Header: http.Header{"Location": {"http://evil.test/"}}}, status: 307},
		{fault: Fault{Kind: LatePublish, Status: 500, Delay: hour}, status: 500},
		{fault: Fault{Kind: LatePublish, Delay: hour}},
		{fault: Fault{Kind: RateHeadersZero}, status: 201, published: true},
		{fault: Fault{Kind: LateListing, Delay: hour}, status: 201, published: true},
		{fault: Fault{Kind: Slow, Delay: hour}, status: 201, published: true},
		{fault: Fault{Kind: ResetBefore}},
		{fault: Fault{Kind: PublishThenReset}, published: true},
		{fault: Fault{Kind: PublishThenStall, Delay: hour}, published: true},
		{fault: Fault{Kind: HalfArrives}, status: 400},
		{fault: Fault{Kind: HalfArrivesCut}},
	} {
		t.Run(string(tt.fault.Kind)+" "+strconv.Itoa(tt.fault.Status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				tt.fault.Times = 1
				w.Misbehave(tt.fault)
				got := w.tweet(t, brand(), "hello")
				switch {
				case tt.status == 0 && got.err == nil:
					t.Errorf("got %d %q, want no whole answer", got.status, got.body)
				case tt.status != 0 && (got.err != nil || got.status != tt.status):
					t.Errorf("got %d, %v, want %d", got.status, got.err, tt.status)
				case tt.body != "" && got.body != tt.body:
					t.Errorf("body %q, want %q", got.body, tt.body)
				}
				if n := len(w.Record()); (n == 1) != tt.published {
					t.Errorf("%d acts, published should be %v", n, tt.published)
				}
				synctest.Wait()
				if n := len(w.Requests()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				} else if q := w.Requests()[0]; !q.Commit || q.Identity != "1001" || q.Status != tt.status && tt.fault.Kind != PublishThenHalf {
					t.Errorf("request log %+v", q)
				}
				switch tt.fault.Kind {
				case LatePublish:
					time.Sleep(hour + time.Second)
					if n := len(w.Record()); n != 1 {
						t.Errorf("%d acts after the delay, want 1", n)
					}
				case RateHeadersZero:
					if h := got.header.Get("X-Rate-Limit-Remaining"); h != "0" {
						t.Errorf("remaining %q", h)
					}
				case LateListing:
					if n := len(w.listed("twitter", "1001")); n != 0 {
						t.Errorf("listed at once")
					}
					time.Sleep(hour)
					if n := len(w.listed("twitter", "1001")); n != 1 {
						t.Errorf("not listed after the delay")
					}
				default:
				}
				if got := w.tweet(t, brand(), "after"); got.status != http.StatusCreated {
					t.Errorf("after the fault: %d %s %v", got.status, got.body, got.err)
				}
			})
		})
	}
}

// A slow platform takes its time, and acts for a client that did not wait.
func TestASlowPlatformActsAllTheSame(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"for who waits": 0, "for who leaves": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.Misbehave(Fault{Kind: Slow, Delay: time.Minute})
				w.client.Timeout = patience
				began := time.Now()
				got := w.tweet(t, brand(), "hello")
				if took := time.Since(began); patience == 0 && (got.status != http.StatusCreated || took != time.Minute) || patience > 0 && (got.err == nil || took != patience) {
					t.Errorf("after %s: %d %v", took, got.status, got.err)
				}
				synctest.Wait()
				if n := len(w.Record()); n != 1 {
					t.Errorf("%d acts, want 1", n)
				}
			})
		})
	}
}

func TestHangEndsWhenTheClientGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.Misbehave(Fault{Kind: PublishThenHang})
		w.client.Timeout = 30 * time.Second
		start := time.Now()
		if got := w.tweet(t, brand(), "hello"); got.err == nil {
			t.Fatal("answered")
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("took %v", d)
		}
		if len(w.Record()) != 1 {
			t.Error("not published")
		}
	})
}

func TestCutsOverTCP(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Identities: []Identity{brand()}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	w := &world{Sandbox: s, base: server.URL, client: plainClient(server.Client().Transport)}
	s.Misbehave(Fault{Kind: PublishThenHalf, Times: 1})
	if got := w.tweet(t, brand(), "half"); got.status != 201 || !errors.Is(got.err, io.ErrUnexpectedEOF) || got.body == "" {
		t.Errorf("half: %+v", got)
	}
	s.Misbehave(Fault{Kind: PublishThenCut, Times: 1})
	if got := w.tweet(t, brand(), "cut"); got.err == nil {
		t.Errorf("cut: %+v", got)
	}
	if diff := cmp.Diff([]string{"1001: half", "1001: cut"}, texts(s.Record())); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsStrikeWhereTheyShould(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	remove := w.Misbehave(Fault{Kind: Refuse, Identity: "1001", After: 1, Times: 1, Status: 500})
	var got []int
	for i, who := range []Identity{brand(), person(), brand(), brand()} {
		got = append(got, w.tweet(t, who, "n"+strconv.Itoa(i)).status)
	}
	if diff := cmp.Diff([]int{201, 201, 500, 201}, got); diff != "" {
		t.Error(diff)
	}
	remove()
	w.Misbehave(Fault{Kind: Refuse, Match: "GET /x/2/users/me", Status: 503})
	if a := w.x(t, brand(), "GET", "/x/2/users/me", ""); a.status != 503 {
		t.Errorf("me: %d", a.status)
	}
	w.Behave()
	if a := w.x(t, brand(), "GET", "/x/2/users/me", ""); a.status != 200 {
		t.Errorf("me: %d %s", a.status, a.body)
	}
}

func TestJournalIsReadBack(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "acts.jsonl")
	with := func(c *Config) { c.Journal = name }
	w := newWorld(t, with)
	id, _ := w.tweet(t, brand(), "one").json(t)["data"].(map[string]any)["id"].(string)
	w.tweet(t, person(), "two")
	w.x(t, brand(), "DELETE", "/x/2/tweets/"+id, "")
	want := w.Record()
	if len(want) != 2 || !want[0].Deleted {
		t.Fatalf("record %+v", want)
	}
	// A crash in the middle of a line: it was never acknowledged.
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"platform":"twitter","identi`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, with)
	if diff := cmp.Diff(want, again.Record()); diff != "" {
		t.Error(diff)
	}
	if got := again.tweet(t, person(), "two"); got.status != http.StatusForbidden {
		t.Errorf("the duplicate of a post from before the restart: %d", got.status)
	}
	if got := again.tweet(t, person(), "three"); got.status != http.StatusCreated {
		t.Errorf("after the torn line: %d %s", got.status, got.body)
	}
	if n := len(newWorld(t, with).Record()); n != 3 {
		t.Errorf("%d acts after the second restart, want 3", n)
	}
}

func TestJournalThatIsDamagedIsRefused(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "acts.jsonl")
	if err := os.WriteFile(name, []byte("not json\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Journal: name}); err == nil {
		t.Error("opened")
	}
}

func TestIdentitiesThatCollideAreRefused(t *testing.T) {
	t.Parallel()
	twin := person()
	twin.Credentials["access_token"] = brand().Credentials["access_token"]
	for _, list := range [][]Identity{{brand(), brand()}, {brand(), twin}, {{Platform: "myspace", ID: "1", Name: "x"}}} {
		if _, err := New(Config{Identities: list}); err == nil {
			t.Errorf("accepted %v", list)
		} else if strings.Contains(err.Error(), "1001-at") {
			t.Errorf("error %q holds a token", err)
		}
	}
}

func TestAdminSurface(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	call := func(method, path, body string) answer {
		req, err := http.NewRequestWithContext(t.Context(), method, w.base+"/_sandbox/"+path, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		return w.do(t, req)
	}
	if a := call("POST", "faults", `{"kind":"refuse","status":500,"delay":"1m","times":1}`); a.status != 204 {
		t.Fatalf("arm: %d %s", a.status, a.body)
	}
	if a := w.tweet(t, brand(), "x"); a.status != 500 {
		t.Errorf("armed fault did not strike: %d", a.status)
	}
	for _, bad := range []string{`{"kind":"explode"}`, `{"kind":"refuse","wen":1}`, `[]`} {
		if a := call("POST", "faults", bad); a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	w.tweet(t, brand(), "hello")
	if a := call("GET", "record", ""); !strings.Contains(a.body, `"text":"hello"`) {
		t.Errorf("record %s", a.body)
	}
	if a := call("GET", "requests", ""); strings.Count(a.body, `"commit":true`) != 2 {
		t.Errorf("requests %s", a.body)
	}
	if a := call("GET", "identities", ""); !strings.Contains(a.body, `"acme"`) || strings.Contains(a.body, "1001-at") || strings.Contains(a.body, "rt-1") {
		t.Errorf("identities %s", a.body)
	}
	if a := call("POST", "reset", ""); a.status != 204 || len(w.Record()) != 0 {
		t.Errorf("reset %d", a.status)
	}
}

func TestConcurrentPostsKeepTheirNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Unlimited = true })
	var wg sync.WaitGroup
	for i := range 16 {
		for _, who := range []Identity{brand(), person()} {
			wg.Go(func() {
				if a := w.tweet(t, who, who.Name+" "+strconv.Itoa(i)); a.status != 201 {
					t.Errorf("%d %s %v", a.status, a.body, a.err)
				}
			})
		}
	}
	wg.Wait()
	acts := w.Record()
	if len(acts) != 32 {
		t.Errorf("%d acts", len(acts))
	}
	for _, a := range acts {
		if want := map[string]string{"1001": "acme", "2002": "jo"}[a.Identity]; !strings.HasPrefix(a.Text, want) {
			t.Errorf("%s posted %q", a.Identity, a.Text)
		}
	}
}

func hmacSHA1(key, text string) string {
	return base64.StdEncoding.EncodeToString(macSHA1(key, text))
}
