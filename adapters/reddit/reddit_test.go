package reddit_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/adapters/reddit"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/internal/secret"
)

const clientSecret = "canary-client-secret"

func account(handle string, kind post.Kind, id, name string) adaptertest.Account {
	token := "canary-refresh-" + handle
	return adaptertest.Account{
		Account: post.Account{Handle: handle, Platform: post.Reddit, Kind: kind, Mode: post.ModeAPI, Identity: name},
		Identity: sandbox.Identity{Platform: "reddit", ID: id, Name: name, Credentials: map[string]string{
			"client_id": "client", "client_secret": clientSecret, "refresh_token": token,
		}},
		Tokens: map[string]string{"refresh_token": token},
	}
}

// in gives a content its subreddit and other options, in pairs.
func in(subreddit string, c post.Content, pairs ...string) post.Content {
	o := post.Options{"subreddit": fmt.Appendf(nil, "%q", subreddit)}
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i]] = []byte(pairs[i+1])
	}
	c.Options = &o
	return c
}

const news = "11111111-1111-1111-1111-111111111111"

func suite() adaptertest.Suite {
	title := func(n int) post.Content { return in("golang", post.Content{Title: strings.Repeat("ü", n)}) }
	x := in("golang", post.Content{Title: "x"})
	return adaptertest.Suite{
		Driver: reddit.Driver(),
		Settings: func(base string) string {
			return fmt.Sprintf("api_url: %[1]s/reddit\nauth_url: %[1]s/reddit\nclient_id: client\nclient_secret: %[2]s\n", base, clientSecret)
		},
		Secrets: []string{clientSecret},
		Accounts: [2]adaptertest.Account{
			account("acme-reddit", post.Brand, "t2_acme", "acme_inc"), account("mia-reddit", post.Personal, "t2_mia", "mia_makes"),
		},
		Samples: []adaptertest.Sample{
			{
				Name: "text", Content: in("golang", post.Content{Title: "Crier 1.0", Text: "It is out."}),
				Acts: []adaptertest.Act{{
					Kind: "post", Title: "Crier 1.0", Text: "It is out.", Destination: "golang", Raw: map[string]string{"kind": "self", "sendreplies": "true"},
				}},
			},
			{
				Name: "title alone", Content: in("r/Golang", post.Content{Title: "Only this"}),
				Acts: []adaptertest.Act{{Kind: "post", Title: "Only this", Destination: "golang"}},
			},
			{
				Name: "markup", Content: in("test", post.Content{Title: "A & B < C", Text: "x &amp; y\r\n\n> \"quoted\"  \n\u00e9 e\u0301"}),
				Acts: []adaptertest.Act{{Kind: "post", Title: "A & B < C", Text: "x &amp; y\r\n\n> \"quoted\"  \n\u00e9 e\u0301", Destination: "test"}},
			},
			{
				Name: "link", Content: in("golang", post.Content{Title: "Crier 1.0", Link: "https://acme.example/1?a=b&c=d"}),
				Acts: []adaptertest.Act{{
					Kind: "post", Title: "Crier 1.0", Link: "https://acme.example/1?a=b&c=d", Destination: "golang", Raw: map[string]string{"kind": "link"},
				}},
			},
			{
				Name: "link with text and a comment",
				Content: in("test", post.Content{
					Title: "Crier 1.0", Text: "Read on.", Link: "https://acme.example/1", FirstComment: "Ask me <anything> & more.",
				}),
				Acts: []adaptertest.Act{
					{Kind: "post", Title: "Crier 1.0", Text: "Read on.", Link: "https://acme.example/1", Destination: "test"},
					{Kind: "comment", Text: "Ask me <anything> & more.", Destination: "test", Parent: 1},
				},
			},
			{
				Name: "options",
				Content: in("flaired", post.Content{Title: "Crier 1.0"}, "flair", `"News"`, "flair_id", `"`+news+`"`, "nsfw", `true`, "spoiler", `true`,
					"send_replies", `false`, "type", `"self"`),
				Acts: []adaptertest.Act{{
					Kind: "post", Title: "Crier 1.0", Destination: "flaired",
					Raw: map[string]string{"flair_id": news, "flair_text": "news", "nsfw": "true", "spoiler": "true", "sendreplies": "false"},
				}},
			},
		},
		Limits: []adaptertest.Limit{
			{Name: "title", Code: "title_too_long", At: title(300), Over: title(301)},
			{Name: "no title", Code: "title_required", At: x, Over: in("golang", post.Content{Text: "x"})},
			{
				Name: "text", Code: "too_long", At: in("golang", post.Content{Title: "x", Text: strings.Repeat("ü", 40_000)}),
				Over: in("golang", post.Content{Title: "x", Text: strings.Repeat("ü", 40_001)}),
			},
			{
				Name: "comment", Code: "too_long", At: in("golang", post.Content{Title: "x", FirstComment: strings.Repeat("ü", 10_000)}),
				Over: in("golang", post.Content{Title: "x", FirstComment: strings.Repeat("ü", 10_001)}),
			},
			{Name: "no subreddit", Code: "subreddit_required", At: x, Over: post.Content{Title: "x"}},
			{Name: "no name of a subreddit", Code: "option_invalid", At: x, Over: in("no such place", post.Content{Title: "x"})},
			{Name: "media", Code: "not_supported", CheckOnly: true, At: x, Over: in("golang", post.Content{Title: "x", Media: []post.Media{{Type: "image/png"}}})},
			{Name: "thread", Code: "not_supported", CheckOnly: true, At: x, Over: in("golang", post.Content{Title: "x", Thread: []post.Reply{{Text: "x"}}})},
			{Name: "link", Code: "link_not_allowed", CheckOnly: true, At: x, Over: in("golang", post.Content{Title: "x", Link: "ftp://x"})},
			{Name: "type", Code: "option_invalid", CheckOnly: true, At: x, Over: in("golang", post.Content{Title: "x"}, "type", `"link"`)},
			{Name: "crosspost", Code: "not_supported", CheckOnly: true, At: x, Over: in("golang", post.Content{Title: "x"}, "crosspost_of", `"t3_x"`)},
		},
		ErrorBody: func(status int) string { return fmt.Sprintf(`{"message":"Something","error":%d}`, status) },
		Statuses: func(status int, _ string) (adapters.Fate, []adapters.Reason, bool) {
			switch {
			case status < 400:
				// Reddit has led elsewhere with the post out.
				return adapters.Unknown, []adapters.Reason{adapters.Protocol}, true
			case status == http.StatusForbidden:
				// Also as a page of the network's own security.
				return adapters.Absent, []adapters.Reason{adapters.Permission, adapters.Refused}, true
			case status == http.StatusTooManyRequests:
				return adapters.Absent, []adapters.Reason{adapters.RateLimit}, true
			}
			return 0, nil, false
		},
		Refusals: refusals(),
		Proofless: []string{
			`{"json":{"errors":[],"data":null}}`, `{"json":{"errors":[],"data":{"id":"abc"}}}`, `{"jquery":[[0,1,"call",["x"]]],"success":true}`,
			`{"json":{"errors":[],"data":{"user_submitted_page":"x","websocket_url":"wss://x"}}}`, `{"json":{"errors":[],"data":{"name":"t5_x"}}}`,
			`{"json":{"errors":[["RATELIMIT","x",null]],"data":{"name":"t3_x"}}}`,
			`{"json":{"errors":7,"data":{"name":"t3_`, `{"json":[]}`, `{"kind":"t3","data":{"name":"t3_x"}}`,
		},
		Listing: "GET /reddit/user/acme_inc/",
		Tokens:  "POST /reddit/api/v1/access_token",
		Whose:   "GET /reddit/api/v1/me",
		Page:    101,
		Skip: map[string]string{
			"duplicate": "Reddit takes the same text twice", "prepare": "nothing is uploaded ahead", "prepare faults": "nothing is uploaded ahead",
		},
	}
}

func refusals() []adaptertest.Refusal {
	const absent = adapters.Absent
	label := func(label, more string) string {
		return fmt.Sprintf(`{"json":{"errors":[[%q,"so it is","sr"]]%s}}`, label, more)
	}
	return []adaptertest.Refusal{
		{Name: "RATELIMIT", Status: 200, Body: label("RATELIMIT", `,"ratelimit":480.5`), Fate: absent, Reason: adapters.RateLimit, Until: 482 * time.Second, Code: "RATELIMIT"},
		{Name: "RATELIMIT in words", Status: 200, Body: `{"json":{"errors":[["RATELIMIT","Even wachten: probeer het over 9 minuten.","ratelimit"]]}}`, Fate: absent, Reason: adapters.RateLimit, Until: 9*time.Minute + time.Second},
		{Name: "RATELIMIT of nonsense", Status: 200, Body: `{"json":{"errors":[["RATELIMIT","later",null]],"ratelimit":1e300}}`, Fate: absent, Reason: adapters.RateLimit},
		{Name: "QUOTA_FILLED", Status: 200, Body: label("QUOTA_FILLED", ""), Fate: absent, Reason: adapters.RateLimit, Until: time.Hour},
		{Name: "SUBREDDIT_RATELIMIT", Status: 200, Body: label("SUBREDDIT_RATELIMIT", ""), Fate: absent, Reason: adapters.RateLimit, Until: time.Hour},
		{Name: "ALREADY_SUB", Status: 200, Body: label("ALREADY_SUB", ""), Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "SUBREDDIT_NOTALLOWED", Status: 200, Body: label("SUBREDDIT_NOTALLOWED", ""), Fate: absent, Reason: adapters.Refused, Code: "SUBREDDIT_NOTALLOWED"},
		{Name: "SUBREDDIT_NOEXIST", Status: 200, Body: label("SUBREDDIT_NOEXIST", ""), Fate: absent, Reason: adapters.Refused},
		{Name: "TOO_LONG", Status: 200, Body: label("TOO_LONG", ""), Fate: absent, Reason: adapters.Refused},
		{Name: "BAD_CAPTCHA", Status: 200, Body: label("BAD_CAPTCHA", ""), Fate: absent, Reason: adapters.Permission},
		{Name: "USER_REQUIRED", Status: 200, Body: label("USER_REQUIRED", ""), Fate: absent, Reason: adapters.Auth},
		{Name: "a label nobody knows", Status: 200, Body: label("BRAND_NEW", ""), Fate: absent, Reason: adapters.Refused, Code: "BRAND_NEW"},
		{Name: "a label nobody knows that names a rate", Status: 200, Body: label("NEW_SUB_RATELIMIT", `,"ratelimit":60`), Fate: absent, Reason: adapters.RateLimit, Until: 61 * time.Second, Code: "NEW_SUB_RATELIMIT"},
		{Name: "RATELIMIT with a status", Status: 400, Body: label("RATELIMIT", `,"ratelimit":60`), Fate: absent, Reason: adapters.RateLimit, Until: 61 * time.Second},
		{Name: "ALREADY_SUB with a status", Status: 403, Body: label("ALREADY_SUB", ""), Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "a triple of odd types", Status: 200, Body: `{"json":{"errors":[[7,{},null]]}}`, Fate: absent, Reason: adapters.Refused},
		{Name: "validation", Status: 400, Body: `{"reason":"SUBMIT_VALIDATION_TITLE_BLACKLISTED_STRING","error_type":"SUBMIT_VALIDATION_ERROR","fields":["title"],"explanation":"no","message":"Bad Request"}`, Fate: absent, Reason: adapters.Refused, Code: "SUBMIT_VALIDATION_TITLE_BLACKLISTED_STRING"},
		{Name: "one subreddit forbids", Status: 403, Body: `{"reason":"private","message":"Forbidden","error":403}`, Fate: absent, Reason: adapters.Refused},
		{Name: "blocked by the network", Status: 403, Body: `<html><body>blocked by network security</body></html>`, Fate: absent, Reason: adapters.Permission},
		{Name: "no such place", Status: 404, Body: `{"message":"Not Found","error":404}`, Fate: absent, Reason: adapters.Refused},
		{Name: "400 as a page", Status: 400, Body: "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>", Fate: absent, Reason: adapters.Refused},
		{Name: "400 as a text", Status: 400, Body: "Bad Request", Fate: absent, Reason: adapters.Refused},
		{Name: "404 of a proxy", Status: 404, Body: "<html>no such host</html>", Fate: adapters.Unknown, Reason: adapters.Protocol},
		{Name: "429", Status: 429, Body: `<html>`, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"300"}}, Fate: absent, Reason: adapters.RateLimit, Until: 5 * time.Minute},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, suite())
}

// TestTokens holds what go-reddit and x/oauth2 get wrong about tokens.
func TestTokens(t *testing.T) {
	t.Parallel()
	rotating := suite()
	rotating.Accounts[0].Identity.Credentials["rotate"] = "true"
	plain := suite()
	content := plain.Samples[0].Content
	tests := map[string]struct {
		suite *adaptertest.Suite
		run   func(t *testing.T, r *adaptertest.Rig)
	}{
		"one token serves all calls": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			a := r.Open(0)
			for n := range 3 {
				if err := r.Delivery(adaptertest.Vary(content, n)).All(a); err != nil {
					t.Fatal(err)
				}
			}
			if n := tokenCalls(r); n != 1 {
				t.Errorf("%d tokens fetched, want 1", n)
			}
		}},
		"a token is renewed before its end": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			a := r.Open(0)
			for n := range 2 {
				if err := r.Delivery(adaptertest.Vary(content, n)).All(a); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24*time.Hour - 30*time.Second)
			}
			if n := tokenCalls(r); n != 2 {
				t.Errorf("%d tokens fetched, want 2", n)
			}
		}},
		"a read replaces a token that was revoked": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			a := r.Open(0)
			if err := r.Delivery(content).All(a); err != nil {
				t.Fatal(err)
			}
			r.Sandbox.ExpireTokens()
			if look, err := r.Delivery(content).Find(a, time.Now()); err != nil || look.Sight != adapters.Found {
				t.Errorf("got %+v, %v; want it found", look, err)
			}
		}},
		"a commit does not, and the refresh after it helps": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			a := r.Open(0)
			if err := r.Delivery(adaptertest.Vary(content, 1)).All(a); err != nil {
				t.Fatal(err)
			}
			r.Sandbox.ExpireTokens()
			d := r.Delivery(content)
			if _, err := d.Publish(a); adapters.AsError(err).Fate != adapters.Absent || adapters.AsError(err).Reason != adapters.Auth {
				t.Fatalf("got %v, want absent and auth", err)
			}
			if n := r.Commits(); n != 2 {
				t.Errorf("%d commits, want 2", n)
			}
			f, ok := adapters.As[adapters.Refresher](a)
			if !ok {
				t.Fatal("the adapter can not refresh")
			}
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := d.All(a); err != nil {
				t.Error(err)
			}
		}},
		"a rotated refresh token is stored before it is used": {&rotating, func(t *testing.T, r *adaptertest.Rig) {
			disk := errors.New("disk is full")
			r.Stores[0].Refuse = func() error { return disk }
			a := r.Open(0)
			d := r.Delivery(content)
			if _, err := d.Publish(a); !errors.Is(err, disk) || adapters.AsError(err).Fate != adapters.Absent {
				t.Errorf("got %v, want the disk's error and absent", err)
			}
			if n := r.Commits(); n != 0 {
				t.Errorf("%d commits with a token that was not stored", n)
			}
			r.Stores[0].Refuse = nil
			if err := d.All(a); err != nil {
				t.Fatal(err)
			}
			if err := r.Delivery(adaptertest.Vary(content, 2)).All(r.Open(0)); err != nil {
				t.Errorf("with the rotated token: %v", err)
			}
		}},
		"a token endpoint that hangs ends with the context": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			r.Sandbox.Misbehave(sandbox.Fault{Match: "access_token", Kind: sandbox.HangBefore})
			_, err := r.Delivery(content).Publish(r.Open(0))
			if e := adapters.AsError(err); e.Fate != adapters.Absent || e.Reason != adapters.Network {
				t.Errorf("got %v, want absent and network", err)
			}
		}},
		"a token endpoint that fails is no refusal": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			for _, f := range []sandbox.Fault{
				{Kind: sandbox.HTML502}, {Kind: sandbox.CutBefore}, {Kind: sandbox.PublishThenEmpty}, {Kind: sandbox.PublishThenHalf}, {Kind: sandbox.RateLimit},
			} {
				f.Match = "access_token"
				remove := r.Sandbox.Misbehave(f)
				_, err := r.Delivery(content).Publish(r.Open(0))
				remove()
				if e := adapters.AsError(err); e.Fate != adapters.Absent || e.Reason == adapters.Auth {
					t.Errorf("%s: %v, want absent and not auth", f.Kind, err)
				}
			}
		}},
		"many at once fetch one token": {&rotating, func(t *testing.T, r *adaptertest.Rig) {
			a := r.Open(0)
			errs := make(chan error)
			for n := range 8 {
				go func() { errs <- r.Delivery(adaptertest.Vary(content, n)).All(a) }()
			}
			for range 8 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if n := tokenCalls(r); n != 1 {
				t.Errorf("%d tokens fetched, want 1", n)
			}
		}},
		"an access token alone is enough": {&plain, func(t *testing.T, r *adaptertest.Rig) {
			r.Stores[0] = adaptertest.NewTokens(map[string]string{"access_token": "canary-access"})
			_, err := r.Delivery(content).Publish(r.Open(0))
			if e := adapters.AsError(err); e.Reason != adapters.Auth || e.Status != http.StatusUnauthorized || tokenCalls(r) != 0 {
				t.Errorf("got %v and %d tokens fetched, want the platform's own refusal", err, tokenCalls(r))
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			adaptertest.Bubble(t, tt.suite, tt.run)
		})
	}
}

// TestItsOwnRateLimit posts until Reddit says too much, and waits for as long as Reddit says.
func TestItsOwnRateLimit(t *testing.T) {
	t.Parallel()
	s := suite()
	s.Sandbox = func(c *sandbox.Config) { c.Unlimited = false }
	s.Accounts[0].Identity.Credentials["submit_every"] = "9m"
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		if err := r.Delivery(adaptertest.Vary(s.Samples[0].Content, 1)).All(a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		d := r.Delivery(s.Samples[0].Content)
		_, err := d.Publish(a)
		e := adapters.AsError(err)
		if wait := time.Until(e.Until); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.RateLimit || wait < 8*time.Minute || wait > 8*time.Minute+2*time.Second {
			t.Fatalf("got %v until %s, want absent, rate_limit and eight minutes", err, e.Until)
		}
		time.Sleep(time.Until(e.Until))
		if err := d.All(a); err != nil {
			t.Errorf("at the time that Reddit named: %v", err)
		}
		// The limit of requests counts reads as well.
		for n := range 2000 {
			if _, err := d.Find(a, time.Now()); err != nil {
				e := adapters.AsError(err)
				if wait := time.Until(e.Until); n < 900 || e.Reason != adapters.RateLimit || wait <= 0 || wait > 10*time.Minute {
					t.Errorf("read %d: %v until %s", n, err, e.Until)
				}
				return
			}
		}
		t.Error("Reddit never said too much")
	})
}

func tokenCalls(r *adaptertest.Rig) int {
	n := 0
	for _, q := range r.Sandbox.Requests() {
		if strings.HasSuffix(q.Path, "/access_token") {
			n++
		}
	}
	return n
}

// TestUserAgent holds that Reddit is told who calls, or a line break refused.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		env := r.Env(0)
		env.Secret = func(secret.Source) (secret.Text, error) { return secret.Text{}, errors.New("unreadable") }
		if _, err := s.Driver.Open(env); err == nil || !strings.Contains(err.Error(), "client_secret") {
			t.Errorf("got %v, want an error about client_secret", err)
		}
	})
}
