package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const agent = "linux:crier:test (by /u/jo_codes)"

func (w *world) reddit(t *testing.T, method, path, token string, form url.Values) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.base+"/reddit"+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Authorization", "Bearer "+token)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return w.do(t, req)
}

func (w *world) refreshReddit(t *testing.T, secret, refresh string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.base+"/reddit/api/v1/access_token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("rid", secret)
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(t, req)
}

func (w *world) token(t *testing.T, refresh string) string {
	t.Helper()
	token, _ := w.refreshReddit(t, "rs", refresh).json(t)["access_token"].(string)
	if token == "" {
		t.Fatal("no access token")
	}
	return token
}

func selfPost(sub, title string) url.Values {
	return url.Values{"api_type": {"json"}, "kind": {"self"}, "sr": {sub}, "title": {title}, "text": {"body"}}
}

func TestRedditTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if a := w.refreshReddit(t, "wrong", "rt-1"); a.status != 401 {
		t.Errorf("wrong secret: %d", a.status)
	}
	if a := w.refreshReddit(t, "rs", "nope"); a.status != 400 || !strings.Contains(a.body, "invalid_grant") {
		t.Errorf("unknown refresh token: %d %s", a.status, a.body)
	}
	next, _ := w.refreshReddit(t, "rs", "rt-2").json(t)["refresh_token"].(string)
	if a := w.refreshReddit(t, "rs", "rt-2"); next == "" || a.status != 400 {
		t.Errorf("used refresh token: %q, %d", next, a.status)
	}
	if a := w.reddit(t, "GET", "/api/v1/me", w.token(t, next), nil); a.json(t)["name"] != "acme_news" {
		t.Errorf("me %s", a.body)
	}
	token := w.token(t, "rt-1")
	w.ExpireTokens()
	if a := w.reddit(t, "GET", "/api/v1/me", token, nil); a.status != 401 {
		t.Errorf("revoked token: %d", a.status)
	}
}

func TestRedditThrottlesDefaultAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.base+"/reddit/api/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.do(t, req); a.status != 429 {
		t.Errorf("%d", a.status)
	}
}

func TestRedditSubmit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("t", 301)
	for name, tt := range map[string]struct {
		form   url.Values
		status int
		want   string
	}{
		"self":          {selfPost("test", "Hi"), 200, `"name":"t3_`},
		"r/ prefix":     {selfPost("r/test", "Hi"), 200, `"name":"t3_`},
		"own profile":   {selfPost("u_jo_codes", "Hi"), 200, `"name":"t3_`},
		"title 300":     {selfPost("test", long[1:]), 200, `"name":"t3_`},
		"title 301":     {selfPost("test", long), 200, `["TOO_LONG"`},
		"no title":      {selfPost("test", " "), 200, `["NO_TEXT"`},
		"no such sub":   {selfPost("nowhere", "Hi"), 200, `["SUBREDDIT_NOEXIST"`},
		"banned":        {selfPost("membersonly", "Hi"), 200, `["SUBREDDIT_NOTALLOWED"`},
		"links only":    {selfPost("linksonly", "Hi"), 200, `["NO_SELFS"`},
		"needs flair":   {selfPost("flaired", "Hi"), 400, `SUBMIT_VALIDATION_FLAIR_REQUIRED`},
		"bad word":      {selfPost("selfhosted", "Giveaway today"), 400, `TITLE_BLACKLISTED_STRING`},
		"no url":        {url.Values{"api_type": {"json"}, "kind": {"link"}, "sr": {"test"}, "title": {"L"}}, 200, `["NO_URL"`},
		"foreign image": {url.Values{"api_type": {"json"}, "kind": {"image"}, "sr": {"test"}, "title": {"L"}, "url": {"https://x.test/a.png"}}, 200, `["BAD_URL"`},
		"unknown kind":  {url.Values{"api_type": {"json"}, "kind": {"song"}, "sr": {"test"}, "title": {"L"}}, 200, `["INVALID_OPTION"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, path := range []string{"/api/submit", "/api/submit/?raw_json=1"} {
				a := w.reddit(t, "POST", path, w.token(t, "rt-1"), tt.form)
				if a.status != tt.status || !strings.Contains(a.body, tt.want) {
					t.Errorf("%s: %d %s, want %d with %s", path, a.status, a.body, tt.status, tt.want)
				}
				if h := a.header.Get("X-Ratelimit-Remaining"); !strings.HasSuffix(h, ".0") {
					t.Errorf("remaining %q is no float", h)
				}
			}
			if got, want := len(w.Record()) == 2, strings.Contains(tt.want, "t3_"); got != want {
				t.Errorf("%d acts", len(w.Record()))
			}
		})
	}
}

func TestRedditSubmissionLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		token := w.token(t, "rt-2")
		w.reddit(t, "POST", "/api/submit", token, selfPost("test", "one"))
		time.Sleep(4 * time.Minute)
		a := w.reddit(t, "POST", "/api/submit", token, selfPost("test", "two"))
		if !strings.Contains(a.body, `"RATELIMIT"`) || !strings.Contains(a.body, `"ratelimit":360`) {
			t.Errorf("%d %s", a.status, a.body)
		}
		time.Sleep(6 * time.Minute)
		if a := w.reddit(t, "POST", "/api/submit", token, selfPost("test", "two")); !strings.Contains(a.body, "t3_") {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestRedditListingPagesNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	token := w.token(t, "rt-1")
	for i := range 5 {
		w.reddit(t, "POST", "/api/submit", token, selfPost("test", fmt.Sprint("A & B ", i)))
	}
	w.reddit(t, "POST", "/api/submit", w.token(t, "rt-2"), selfPost("test", "not mine"))
	page := func(query string) (titles []string, after string) {
		var l struct {
			Data struct {
				After    string
				Children []struct{ Data struct{ Title string } }
			}
		}
		a := w.reddit(t, "GET", "/user/jo_codes/submitted?sort=new&"+query, token, nil)
		if err := json.Unmarshal([]byte(a.body), &l); err != nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, c := range l.Data.Children {
			titles = append(titles, c.Data.Title)
		}
		return titles, l.Data.After
	}
	first, after := page("limit=3&raw_json=1")
	if diff := cmp.Diff([]string{"A & B 4", "A & B 3", "A & B 2"}, first); diff != "" {
		t.Error(diff)
	}
	second, end := page("limit=3&after=" + after)
	if diff := cmp.Diff([]string{"A &amp; B 1", "A &amp; B 0"}, second); diff != "" || end != "" {
		t.Error(diff, end)
	}
}

func TestRedditComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	token := w.token(t, "rt-1")
	w.reddit(t, "POST", "/api/submit", token, selfPost("test", "Hi"))
	post := w.Record()[0]
	a := w.reddit(t, "POST", "/api/comment", token, url.Values{"thing_id": {post.RemoteID}, "text": {"first"}, "return_rtjson": {"true"}, "api_type": {"json"}})
	if name, _ := a.json(t)["name"].(string); !strings.HasPrefix(name, "t1_") {
		t.Errorf("comment %s", a.body)
	}
	for _, path := range []string{"/comments/", "/comments/"} {
		if a := w.reddit(t, "GET", path+strings.TrimPrefix(post.RemoteID, "t3_")+".json", token, nil); !strings.Contains(a.body, `"body":"first"`) {
			t.Errorf("thread %s", a.body)
		}
	}
	if act := w.Record()[1]; act.Parent != post.RemoteID || act.Kind != "comment" {
		t.Errorf("act %+v", act)
	}
	if a := w.reddit(t, "POST", "/api/comment", token, url.Values{"thing_id": {"t3_none"}, "text": {"x"}}); !strings.Contains(a.body, "DELETED_COMMENT") {
		t.Errorf("comment on nothing: %s", a.body)
	}
}

func TestRedditImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	token := w.token(t, "rt-1")
	var lease struct {
		Args struct {
			Action string
			Fields []struct{ Name, Value string }
		}
	}
	a := w.reddit(t, "POST", "/api/media/asset.json", token, url.Values{"filepath": {"a.png"}, "mimetype": {"image/png"}})
	if err := json.Unmarshal([]byte(a.body), &lease); err != nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	key := ""
	for _, f := range lease.Args.Fields {
		if f.Name == "key" {
			key = f.Value
		}
		if err := m.WriteField(f.Name, f.Value); err != nil {
			t.Fatal(err)
		}
	}
	file, err := m.CreateFormFile("file", "a.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(picture(t)); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", lease.Args.Action, &b)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Content-Type", m.FormDataContentType())
	if a := w.do(t, req); a.status != 201 {
		t.Fatalf("upload: %d %s", a.status, a.body)
	}
	form := url.Values{"api_type": {"json"}, "kind": {"image"}, "sr": {"test"}, "title": {"Pic"}, "url": {lease.Args.Action + "/" + key}}
	if a := w.reddit(t, "POST", "/api/submit", w.token(t, "rt-2"), form); !strings.Contains(a.body, "BAD_URL") {
		t.Errorf("another's upload: %s", a.body)
	}
	if a := w.reddit(t, "POST", "/api/submit", token, form); !strings.Contains(a.body, "websocket_url") || strings.Contains(a.body, "t3_") {
		t.Errorf("image %d %s", a.status, a.body)
	}
	if acts := w.Record(); len(acts) != 1 || len(acts[0].Media) != 1 {
		t.Errorf("acts %+v", acts)
	}
}
