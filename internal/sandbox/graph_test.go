package sandbox_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/sandbox"
)

// caller speaks HTTP to a sandbox on a loopback address.
type caller struct {
	*sandbox.Sandbox

	url string
	now time.Time
}

func newCaller(t *testing.T, journal string, identities ...sandbox.Identity) *caller {
	t.Helper()
	c := &caller{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s, err := sandbox.New(sandbox.Config{
		Now: func() time.Time { return c.now }, Identities: identities, Journal: journal, BaseURL: server.URL,
		ListingDelay: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c.Sandbox, c.url, handler = s, server.URL, s
	return c
}

type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func send(t *testing.T, method, address, contentType, body string, header map[string]string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // some answers are no JSON
	return a
}

func (a answer) id() string {
	id, _ := a.body["id"].(string)
	return id
}

// code is the error's code and subcode, 0 when there is none.
func (a answer) code() [2]int {
	e, _ := a.body["error"].(map[string]any)
	n, _ := e["code"].(float64)
	m, _ := e["error_subcode"].(float64)
	return [2]int{int(n), int(m)}
}

func pages() []sandbox.Identity {
	return []sandbox.Identity{
		{Platform: "facebook", ID: "100", Name: "Brand", Credentials: map[string]string{"page_token": "brand-token", "app_id": "9", "app_secret": "s3cret"}},
		{Platform: "facebook", ID: "200", Name: "Person", Credentials: map[string]string{"page_token": "person-token"}},
	}
}

// graph calls as Page 100. The text is "name=value&…", in the query of a GET and in the form of all others.
func (c *caller) graph(t *testing.T, method, path, text string) answer {
	t.Helper()
	auth := map[string]string{"Authorization": "Bearer brand-token"}
	if method == http.MethodGet {
		return send(t, method, c.url+"/graph/v26.0/"+path+"?"+text, "", "", auth)
	}
	return send(t, method, c.url+"/graph/v26.0/"+path, "application/x-www-form-urlencoded", text, auth)
}

func (c *caller) photo(t *testing.T, fields map[string]string, data []byte) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for k, v := range fields {
		if err := form.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("source", "a.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return send(t, http.MethodPost, c.url+"/graph/v26.0/100/photos", form.FormDataContentType(), body.String(), map[string]string{"Authorization": "OAuth brand-token"})
}

func png(n byte) []byte { return []byte("\x89PNG\r\n\x1a\n" + string(n)) }

func publicActs(s *sandbox.Sandbox) []sandbox.Act {
	var out []sandbox.Act
	for _, a := range s.Record() {
		if a.Public && !a.Deleted {
			out = append(out, a)
		}
	}
	return out
}

func TestGraphJudgesEveryParameter(t *testing.T) {
	t.Parallel()
	c := newCaller(t, "", pages()...)
	post := c.graph(t, http.MethodPost, "100/feed", "message=first").id()
	tests := []struct {
		name, method, path, text string
		want                     [2]int
	}{
		{"unknown parameter", http.MethodPost, "100/feed", "message=a&mesage=b", [2]int{100, 0}},
		{"wrong boolean", http.MethodPost, "100/feed", "message=a&published=yes", [2]int{100, 0}},
		{"wrong enum", http.MethodPost, "100/feed", "message=a&backdated_time_granularity=week", [2]int{100, 0}},
		{"removed in v26", http.MethodPost, "100/feed", "message=a&debug=all", [2]int{100, 0}},
		{"removed in v26, read", http.MethodGet, "100/published_posts", "date_format=c", [2]int{100, 0}},
		{"nothing to say", http.MethodPost, "100/feed", "published=true", [2]int{100, 0}},
		{"unknown field", http.MethodGet, post, "fields=id,mesage", [2]int{100, 0}},
		{"field syntax", http.MethodGet, post, "fields=id,", [2]int{100, 0}},
		{"bad link", http.MethodPost, "100/feed", "link=notaurl", [2]int{100, 1609005}},
		{"scheduled", http.MethodPost, "100/feed", "message=a&published=false&scheduled_publish_time=1795400000", [2]int{100, 0}},
		{"unknown photo", http.MethodPost, "100/feed", `attached_media[0]={"media_fbid":"5"}`, [2]int{100, 33}},
		{"unknown node", http.MethodGet, "100_5", "", [2]int{100, 33}},
		{"another page", http.MethodPost, "200/feed", "message=a", [2]int{200, 0}},
		{"same again", http.MethodPost, "100/feed", "message=first", [2]int{506, 0}},
		{"too long", http.MethodPost, "100/feed", "message=" + strings.Repeat("x", 63_207), [2]int{100, 0}},
		{"no page edge", http.MethodPost, "100/albums", "name=a", [2]int{100, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := c.graph(t, tt.method, tt.path, tt.text); got.code() != tt.want || got.status < 400 {
				t.Errorf("status %d, code %v, want %v: %s", got.status, got.code(), tt.want, got.raw)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(c.Record()); n != 1 {
			t.Errorf("%d acts recorded, want 1", n)
		}
	})
}

func TestGraphTokensAndProof(t *testing.T) {
	t.Parallel()
	c := newCaller(t, "", pages()...)
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write([]byte("brand-token"))
	proof := hex.EncodeToString(mac.Sum(nil))
	tests := []struct {
		name, path string
		status     int
		code       int
	}{
		{"good", "v26.0/me?fields=id,name&access_token=brand-token&format=json", 200, 0},
		{"good proof", "v26.0/me?access_token=brand-token&appsecret_proof=" + proof, 200, 0},
		{"bad proof", "v26.0/me?access_token=brand-token&appsecret_proof=" + strings.Repeat("0", 64), 400, 100},
		{"bad token", "v26.0/me?access_token=other", 401, 190},
		{"no token", "v26.0/me", 400, 2500},
		{"other version", "v19.0/me?access_token=brand-token", 400, 2635},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, http.MethodGet, c.url+"/graph/"+tt.path, "", "", nil)
			if got.status != tt.status || got.code()[0] != tt.code {
				t.Errorf("status %d, code %v: %s", got.status, got.code(), got.raw)
			}
			if tt.code == 0 && got.id() != "100" {
				t.Errorf("me is %s", got.raw)
			}
		})
	}
	debug := send(t, http.MethodGet, c.url+"/graph/v26.0/debug_token?input_token=brand-token&access_token=9%7Cs3cret", "", "", nil)
	data, _ := debug.body["data"].(map[string]any)
	if data["profile_id"] != "100" || data["is_valid"] != true || data["type"] != "PAGE" {
		t.Errorf("debug_token: %s", debug.raw)
	}
}

func TestGraphPhotoPostIsFoundAgainAfterARestart(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "journal")
	c := newCaller(t, journal, pages()...)
	one := c.photo(t, map[string]string{"published": "false", "alt_text_custom": "one"}, png(1)).id()
	two := c.photo(t, map[string]string{"published": "false"}, png(2)).id()
	if got := c.photo(t, map[string]string{"published": "false"}, []byte("text")); got.code()[0] != 324 {
		t.Errorf("text as photo: %s", got.raw)
	}
	if got := c.photo(t, nil, append(png(0), make([]byte, 10<<20)...)); got.code() != [2]int{100, 1366046} {
		t.Errorf("huge photo: %v", got.code())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = newCaller(t, journal, pages()...)
	text := url.Values{"attached_media[0]": {`{"media_fbid":"` + one + `"}`}, "attached_media[1]": {`{"media_fbid":"` + two + `"}`}, "fields": {"id,permalink_url,created_time"}}.Encode()
	post := c.graph(t, http.MethodPost, "100/feed", text)
	if post.id() == "" || post.body["created_time"] != "2026-11-22T12:00:00+0000" {
		t.Fatalf("post: %s", post.raw)
	}
	if got := c.graph(t, http.MethodPost, "100/feed", text); got.code() != [2]int{100, 1366051} {
		t.Errorf("photos of a public post went out again: %s", got.raw)
	}
	acts := publicActs(c.Sandbox)
	if len(acts) != 1 || len(acts[0].Media) != 2 || acts[0].RemoteID != post.id() {
		t.Errorf("record: %+v", acts)
	}
	if got := c.graph(t, http.MethodGet, "100/published_posts", ""); len(got.body["data"].([]any)) != 0 {
		t.Errorf("listed before the delay: %s", got.raw)
	}
	c.now = c.now.Add(time.Minute)
	got := c.graph(t, http.MethodGet, "100/published_posts", "limit=5&fields=id,attachments{media_type,subattachments{target{id}}},application{id}")
	want := map[string]any{
		"id": post.id(), "application": map[string]any{"id": "9"},
		"attachments": map[string]any{"data": []any{map[string]any{
			"media_type": "album",
			"subattachments": map[string]any{"data": []any{
				map[string]any{"target": map[string]any{"id": one, "url": c.url + "/graph/" + one}},
				map[string]any{"target": map[string]any{"id": two, "url": c.url + "/graph/" + two}},
			}},
		}}},
	}
	for _, target := range want["attachments"].(map[string]any)["data"].([]any)[0].(map[string]any)["subattachments"].(map[string]any)["data"].([]any) {
		delete(target.(map[string]any)["target"].(map[string]any), "url")
	}
	if diff := cmp.Diff([]any{want}, got.body["data"]); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
	if page := send(t, http.MethodGet, acts[0].URL, "", "", nil); page.status != 200 || !strings.Contains(page.raw, "Brand") {
		t.Errorf("permalink: %d %s", page.status, page.raw)
	}
}

func TestGraphStagedPostBecomesPublicOnce(t *testing.T) {
	t.Parallel()
	c := newCaller(t, "", pages()...)
	id := c.graph(t, http.MethodPost, "100/feed", "message=a&published=false").id()
	if n := len(publicActs(c.Sandbox)); n != 0 {
		t.Fatalf("%d public acts", n)
	}
	c.now = c.now.Add(time.Hour)
	for range 2 {
		if got := c.graph(t, http.MethodPost, id, "is_published=true"); got.body["success"] != true {
			t.Fatalf("publish: %s", got.raw)
		}
	}
	acts := publicActs(c.Sandbox)
	if len(acts) != 1 || acts[0].Raw["made_public"] != "1" || !acts[0].At.Equal(c.now) {
		t.Errorf("record: %+v", acts)
	}
	comment := c.graph(t, http.MethodPost, id+"/comments", "message=more")
	c.now = c.now.Add(time.Minute)
	if got := c.graph(t, http.MethodGet, id+"/comments", ""); comment.id() == "" || !strings.Contains(got.raw, comment.id()) {
		t.Errorf("comments: %s", got.raw)
	}
	if got := c.graph(t, http.MethodPost, id, "method=DELETE"); got.body["success"] != true {
		t.Errorf("delete: %s", got.raw)
	}
	if got := c.graph(t, http.MethodGet, id, ""); got.code() != [2]int{100, 33} {
		t.Errorf("after delete: %s", got.raw)
	}
}

func TestGraphPagesThroughPublishedPosts(t *testing.T) {
	t.Parallel()
	c := newCaller(t, "", pages()...)
	var want []string
	for _, text := range []string{"a", "b", "c"} {
		c.now = c.now.Add(time.Second)
		want = append([]string{c.graph(t, http.MethodPost, "100/feed", "message="+text).id()}, want...)
	}
	c.now = c.now.Add(time.Minute)
	var got []string
	for after := ""; ; {
		page := c.graph(t, http.MethodGet, "100/published_posts", "limit=2&fields=id&after="+after)
		for _, item := range page.body["data"].([]any) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		paging, _ := page.body["paging"].(map[string]any)
		if paging["next"] == nil {
			break
		}
		after = paging["cursors"].(map[string]any)["after"].(string)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
}

func TestGraphFaultStrikesOnlyTheCommit(t *testing.T) {
	t.Parallel()
	c := newCaller(t, "", pages()...)
	c.Misbehave(sandbox.Fault{Platform: "facebook", Kind: sandbox.PublishThenStatus, Status: 500, Times: 1})
	if got := c.photo(t, map[string]string{"published": "false"}, png(1)); got.status != 200 {
		t.Errorf("preparing was hit: %d", got.status)
	}
	if got := c.graph(t, http.MethodPost, "100/feed", "message=a"); got.status != 500 || len(publicActs(c.Sandbox)) != 1 {
		t.Errorf("commit: %d, %d acts", got.status, len(publicActs(c.Sandbox)))
	}
	c.Misbehave(sandbox.Fault{Platform: "facebook", Identity: "100", Kind: sandbox.RateLimit, Times: 1})
	if got := c.graph(t, http.MethodPost, "100/feed", "message=b"); got.code()[0] != 80001 || !strings.Contains(got.header.Get("X-Business-Use-Case-Usage"), `"estimated_time_to_regain_access":15`) {
		t.Errorf("throttle: %s %v", got.raw, got.header)
	}
}
