package twitter_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/adapters/twitter"
	"crier/internal/post"
	"crier/internal/sandbox"
)

const (
	consumerKey    = "canary-consumer-key"
	consumerSecret = "canary-consumer-secret"
)

func account(handle string, kind post.Kind, id, name, api string) adaptertest.Account {
	tokens := map[string]string{"access_token": id + "-canary-token-" + handle, "access_secret": "canary-secret-" + handle}
	a := adaptertest.Account{
		Account: post.Account{Handle: handle, Platform: post.Twitter, Kind: kind, Mode: post.ModeAPI, Identity: name},
		Identity: sandbox.Identity{Platform: "twitter", ID: id, Name: name, Credentials: map[string]string{
			"consumer_key": consumerKey, "consumer_secret": consumerSecret,
			"access_token": tokens["access_token"], "access_secret": tokens["access_secret"],
		}},
		Tokens: tokens,
	}
	if api != "" {
		a.Identity.Credentials["v1.1"], a.Extra = "true", "api: "+api
	}
	return a
}

func images(n int) []adaptertest.File {
	out := make([]adaptertest.File, n)
	for i := range out {
		out[i] = adaptertest.PNG(byte(i+1), fmt.Sprintf("picture %d", i+1))
	}
	out[n-1] = adaptertest.PNG(byte(n), "")
	return out
}

func media(files []adaptertest.File) (list []post.Media, sums []string) {
	for _, f := range files {
		list, sums = append(list, f.Media), append(sums, f.Media.ID)
	}
	return list, sums
}

func options(pairs ...string) *post.Options {
	o := post.Options{}
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i]] = []byte(pairs[i+1])
	}
	return &o
}

func suite(api string) adaptertest.Suite {
	files := images(4)
	four, fourSums := media(files)
	one, oneSums := media(files[:1])
	s := adaptertest.Suite{
		Driver: twitter.Driver(),
		Settings: func(base string) string {
			return fmt.Sprintf("api_url: %[1]s/x\nupload_url: %[1]s/x\nlegacy_api_url: %[1]s/x/1.1\nconsumer_key: %[2]s\nconsumer_secret: %[3]s\n",
				base, consumerKey, consumerSecret)
		},
		Secrets: []string{consumerKey, consumerSecret},
		Accounts: [2]adaptertest.Account{
			account("acme-x", post.Brand, "101", "acmeinc", api), account("mia-x", post.Personal, "202", "mia_makes", api),
		},
		Files: files,
		Samples: []adaptertest.Sample{
			{Name: "text", Content: post.Content{Text: "Hello, world"}, Acts: []adaptertest.Act{{Kind: "post", Text: "Hello, world"}}},
			{
				Name: "markup and blanks", Content: post.Content{Text: "a < b && c > d\n\n\"q\"  \u00e9 e\u0301 \U0001F468\u200D\U0001F469\u200D\U0001F467 &amp;"},
				Acts: []adaptertest.Act{{Kind: "post", Text: "a < b && c > d\n\n\"q\"  \u00e9 e\u0301 \U0001F468\u200D\U0001F469\u200D\U0001F467 &amp;"}},
			},
			{
				Name: "link", Content: post.Content{Text: "Read example.com too", Link: "https://acme.example/1?a=b&c=d"},
				Acts: []adaptertest.Act{{Kind: "post", Text: "Read example.com too\n\nhttps://acme.example/1?a=b&c=d"}},
			},
			{
				Name: "link that begins another", Content: post.Content{Text: "Read https://acme.example/blog", Link: "https://acme.example"},
				Acts: []adaptertest.Act{{Kind: "post", Text: "Read https://acme.example/blog\n\nhttps://acme.example"}},
			},
			{
				Name: "link that is there", Content: post.Content{Text: "Read https://acme.example, please", Link: "https://acme.example"},
				Acts: []adaptertest.Act{{Kind: "post", Text: "Read https://acme.example, please"}},
			},
			{
				Name: "link alone", Content: post.Content{Link: "https://acme.example/"},
				Acts: []adaptertest.Act{{Kind: "post", Text: "https://acme.example/"}},
			},
			{
				Name: "image", Content: post.Content{Text: "Look", Media: one},
				Acts: []adaptertest.Act{{Kind: "post", Text: "Look", Media: oneSums, Raw: map[string]string{"alt_text_0": "picture 1"}}},
			},
			{Name: "images alone", Content: post.Content{Media: four}, Acts: []adaptertest.Act{{Kind: "post", Media: fourSums}}},
			{
				Name: "thread with a comment",
				Content: post.Content{
					Text: "One", Thread: []post.Reply{{Text: "Two"}, {Text: "Three", Media: one}}, FirstComment: "More at https://acme.example/2",
				},
				Acts: []adaptertest.Act{
					{Kind: "post", Text: "One"},
					{Kind: "reply", Text: "Two", Parent: 1},
					{Kind: "reply", Text: "Three", Parent: 2, Media: oneSums},
					{Kind: "reply", Text: "More at https://acme.example/2", Parent: 1},
				},
			},
		},
		Limits: []adaptertest.Limit{
			{Name: "latin", Code: "too_long", At: text(strings.Repeat("a", 280)), Over: text(strings.Repeat("b", 281))},
			{Name: "cjk", Code: "too_long", At: text(strings.Repeat("字", 140)), Over: text(strings.Repeat("文", 140) + "a")},
			{Name: "emoji", Code: "too_long", At: text(strings.Repeat("\U0001F600", 140)), Over: text(strings.Repeat("\U0001F601", 141))},
			{
				Name: "link counts 23", Code: "too_long",
				At:   post.Content{Text: strings.Repeat("a", 255), Link: "https://acme.example/" + strings.Repeat("p", 200)},
				Over: post.Content{Text: strings.Repeat("a", 256), Link: "https://acme.example/" + strings.Repeat("q", 200)},
			},
			{Name: "cashtags", Code: "cashtags", At: text("buy $ACME now"), Over: text("buy $ACME and $EMCA now")},
			{Name: "nothing", Code: "empty", At: text("x"), Over: text(" ")},
			{Name: "byte order mark", Code: "invalid_characters", At: text("ab"), Over: text("a\uFEFFb")},
			{
				Name: "five images", Code: "media_count", At: post.Content{Text: "x", Media: four},
				Over: post.Content{Text: "x", Media: append(one, four...)},
			},
			{
				Name: "large image", Code: "media_size", CheckOnly: true,
				At:   post.Content{Media: []post.Media{{Type: "image/png", Bytes: 5 << 20}}},
				Over: post.Content{Media: []post.Media{{Type: "image/png", Bytes: 5<<20 + 1}}},
			},
			{
				Name: "video", Code: "media_type", CheckOnly: true, At: text("x"),
				Over: post.Content{Media: []post.Media{{Type: "video/mp4", Bytes: 1}}},
			},
			{Name: "title", Code: "not_supported", CheckOnly: true, At: text("x"), Over: post.Content{Text: "x", Title: "x"}},
			{
				Name: "quote", Code: "not_supported", CheckOnly: true, At: text("x"),
				Over: post.Content{Text: "x", Options: options("quote", `"123"`)},
			},
		},
		ErrorBody: func(status int) string {
			return fmt.Sprintf(`{"title":"Something","detail":"Something is not right.","type":"about:blank","status":%d}`, status)
		},
		Refusals:  refusals(),
		Proofless: []string{`{"data":{"text":"Hello"}}`, `{"errors":[{"message":"x"}]}`, `{"data":{"id":7}}`, `{"id":5}`},
		Listing:   "GET /x/2/users/101/tweets",
		Page:      101,
		Again:     7 * time.Hour,
		Duplicate: true,
		Uploads:   "POST /x/2/media/",
		Whose:     "GET /x/2/users/me",
		Skip:      map[string]string{"tokens": "tokens of OAuth 1.0a do not end"},
	}
	if api == "v1.1" {
		s.Listing, s.Page, s.Whose = "GET /x/1.1/statuses/user_timeline", 201, "GET /x/1.1/account/verify_credentials"
	}
	return s
}

func text(s string) post.Content { return post.Content{Text: s} }

func refusals() []adaptertest.Refusal {
	const absent = adapters.Absent
	v1 := func(code int) string { return fmt.Sprintf(`{"errors":[{"code":%d,"message":"So it is."}]}`, code) }
	problem := func(slug, detail string) string {
		return fmt.Sprintf(`{"title":"T","detail":%q,"type":"https://api.twitter.com/2/problems/%s","status":403}`, detail, slug)
	}
	reset := fmt.Sprint(time.Date(2026, 11, 23, 9, 20, 0, 0, time.UTC).Unix())
	later := fmt.Sprint(time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC).Unix())
	return []adaptertest.Refusal{
		{Name: "duplicate", Status: 403, Body: `{"detail":"You are not allowed to create a Tweet with duplicate content.","type":"about:blank","title":"Forbidden","status":403}`, Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "credits", Status: 402, Body: `{"title":"CreditsDepleted","detail":"x","type":"https://api.x.com/2/problems/credits","status":402}`, Fate: absent, Reason: adapters.Budget, Scope: adapters.ScopeApp},
		{Name: "usage", Status: 429, Body: problem("usage-capped", "x"), Fate: absent, Reason: adapters.Budget, Scope: adapters.ScopeApp, Code: "usage-capped"},
		{Name: "not permitted", Status: 403, Body: `{"detail":"You are not permitted to perform this action.","type":"about:blank","title":"Forbidden","status":403}`, Fate: absent, Reason: adapters.Refused},
		{Name: "stranger", Status: 403, Body: `{"detail":"Reply to this conversation is not allowed because you have not been mentioned.","type":"about:blank"}`, Fate: absent, Reason: adapters.Refused},
		{Name: "client", Status: 403, Body: problem("client-forbidden", "x"), Fate: absent, Reason: adapters.Permission, Scope: adapters.ScopeApp, Code: "client-forbidden"},
		{Name: "authentication kind", Status: 403, Body: problem("unsupported-authentication", "x"), Fate: absent, Reason: adapters.Permission},
		{Name: "not found", Status: 404, Body: `{"title":"Not Found","type":"about:blank","status":404}`, Fate: absent, Reason: adapters.Server},
		{Name: "media gone", Status: 400, Body: `{"errors":[{"message":"Your media IDs are invalid.","parameters":{"media.media_ids":["1"]}}],"title":"Invalid Request","type":"https://api.x.com/2/problems/invalid-request"}`, Fate: absent, Reason: adapters.Prepare, Code: "invalid-request"},
		{Name: "invalid request", Status: 400, Body: `{"errors":[{"message":"no","parameters":{"text":[""]}}],"title":"Invalid Request"}`, Fate: absent, Reason: adapters.Refused},
		{Name: "187", Status: 403, Body: v1(187), Fate: adapters.Exists, Reason: adapters.Duplicate, Code: "187"},
		{Name: "186", Status: 403, Body: v1(186), Fate: absent, Reason: adapters.Refused},
		{Name: "185", Status: 403, Body: v1(185), Fate: absent, Reason: adapters.RateLimit, Until: 30 * time.Minute},
		{Name: "88", Status: 429, Body: v1(88), Header: http.Header{"X-Rate-Limit-Remaining": {"0"}, "X-Rate-Limit-Reset": {reset}}, Fate: absent, Reason: adapters.RateLimit, Until: 20 * time.Minute},
		{Name: "89", Status: 401, Body: v1(89), Fate: absent, Reason: adapters.Auth, Code: "89"},
		{Name: "32 without 401", Status: 400, Body: v1(32), Fate: absent, Reason: adapters.Auth},
		{Name: "135", Status: 401, Body: v1(135), Fate: absent, Reason: adapters.Auth},
		{Name: "226", Status: 403, Body: v1(226), Fate: absent, Reason: adapters.Policy},
		{Name: "261", Status: 403, Body: v1(261), Fate: absent, Reason: adapters.Permission},
		{Name: "326", Status: 403, Body: v1(326), Fate: absent, Reason: adapters.Permission},
		{Name: "324", Status: 400, Body: v1(324), Fate: absent, Reason: adapters.Prepare},
		{Name: "385", Status: 403, Body: v1(385), Fate: absent, Reason: adapters.Refused},
		{Name: "453", Status: 403, Body: v1(453), Fate: absent, Reason: adapters.Permission, Code: "453"},
		{Name: "131 as a refusal", Status: 403, Body: v1(131), Fate: adapters.Unknown, Reason: adapters.Server},
		{
			Name: "day limit of the account", Status: 429, Body: `{"title":"Too Many Requests"}`, Fate: absent, Reason: adapters.RateLimit, Until: 10 * time.Hour,
			Header: http.Header{
				"X-Rate-Limit-Remaining": {"0"}, "X-Rate-Limit-Reset": {reset}, "X-User-Limit-24hour-Remaining": {"0"}, "X-User-Limit-24hour-Reset": {later},
			},
		},
		{
			Name: "day limit of the app", Status: 429, Body: `{"title":"Too Many Requests"}`, Fate: absent, Reason: adapters.RateLimit, Until: 10 * time.Hour,
			Scope:  adapters.ScopeApp,
			Header: http.Header{"X-Rate-Limit-Remaining": {"5"}, "X-App-Limit-24hour-Remaining": {"0"}, "X-App-Limit-24hour-Reset": {later}},
		},
		{Name: "429 of a proxy", Status: 429, Body: "<html>slow down</html>", Header: http.Header{"Retry-After": {"90"}}, Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 90 * time.Second},
		{Name: "401 of a proxy", Status: 401, Body: "<html>who are you</html>", Fate: adapters.Unknown, Reason: adapters.Auth},
		{
			Name: "nonsense in the headers", Status: 429, Body: `{"title":"Too Many Requests"}`, Fate: absent, Reason: adapters.RateLimit,
			Header: http.Header{"X-Rate-Limit-Remaining": {"0"}, "X-Rate-Limit-Reset": {"99999999999999"}, "Retry-After": {"soon"}},
		},
	}
}

// TestConformance runs the suite over API v2.
func TestConformance(t *testing.T) {
	t.Parallel()
	s := suite("")
	s.Samples = append(s.Samples, adaptertest.Sample{
		Name: "options", Content: post.Content{Text: "Yes or no?", FirstComment: "Well?", Options: options(
			"poll", `{"options":["yes","no"],"duration_minutes":60}`, "reply_settings", `"following"`, "community", `"77"`, "made_with_ai", `true`)},
		Acts: []adaptertest.Act{
			{Kind: "post", Text: "Yes or no?", Raw: map[string]string{
				"poll": "yes\nno", "reply_settings": "following", "community_id": "77", "made_with_ai": "true",
			}},
			{Kind: "reply", Text: "Well?", Parent: 1, Raw: map[string]string{"made_with_ai": "true", "reply_settings": ""}},
		},
	})
	adaptertest.Run(t, s)
}

// TestConformanceV1 runs the suite over API v1.1 and go-twitter.
func TestConformanceV1(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, suite("v1.1"))
}
