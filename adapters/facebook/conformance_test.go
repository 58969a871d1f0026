package facebook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/adapters/facebook"
	"crier/internal/post"
	"crier/internal/sandbox"
)

const appSecret = "canary-app-secret"

func suite() adaptertest.Suite {
	one, two := adaptertest.PNG(1, "a red square"), adaptertest.PNG(2, "")
	files := []adaptertest.File{one, two}
	var most []post.Media
	var digests []string
	for i := range 10 {
		f := adaptertest.PNG(byte(10+i), fmt.Sprintf("picture %d", i))
		files = append(files, f)
		most, digests = append(most, f.Media), append(digests, f.Media.ID)
	}
	return adaptertest.Suite{
		Driver: facebook.Driver(),
		Settings: func(base string) string {
			return "api_url: " + base + "/graph\nversion: v26.0\napp_id: \"700\"\napp_secret: " + appSecret + "\n"
		},
		Accounts: [2]adaptertest.Account{
			account("acme-page", post.Brand, "1029384756", "Acme Inc.", "canary-page-token-acme"),
			account("mia-page", post.Personal, "5647382910", "Mia makes", "canary-page-token-mia"),
		},
		Secrets: []string{appSecret},
		Files:   files,
		Samples: []adaptertest.Sample{
			{Name: "text", Content: post.Content{Text: "Crier is out"}, Acts: []adaptertest.Act{{Kind: "post", Text: "Crier is out"}}},
			{
				Name:    "link",
				Content: post.Content{Text: "Read this", Link: "https://acme.example/1"},
				Acts:    []adaptertest.Act{{Kind: "post", Text: "Read this", Link: "https://acme.example/1"}},
			},
			{
				Name:    "link alone",
				Content: post.Content{Link: "https://acme.example/2"},
				Acts:    []adaptertest.Act{{Kind: "post", Link: "https://acme.example/2"}},
			},
			{
				Name:    "photo without words",
				Content: post.Content{Media: []post.Media{one.Media}},
				Acts:    []adaptertest.Act{{Kind: "post", Media: []string{one.Media.ID}}},
			},
			{
				Name:    "photos, link and comment",
				Content: post.Content{Text: "Two", Link: "https://acme.example/3", Media: []post.Media{two.Media, one.Media}, FirstComment: "First!"},
				Acts: []adaptertest.Act{
					{Kind: "post", Text: "Two\n\nhttps://acme.example/3", Media: []string{two.Media.ID, one.Media.ID}},
					{Kind: "comment", Text: "First!", Parent: 1},
				},
			},
			{
				Name:    "most photos",
				Content: post.Content{Text: "Ten", Media: most, Options: &post.Options{"type": []byte(`"post"`)}},
				Acts:    []adaptertest.Act{{Kind: "post", Text: "Ten", Media: digests}},
			},
			{
				Name:    "an address without its scheme",
				Content: post.Content{Text: "See www.Acme.example for more"},
				Acts:    []adaptertest.Act{{Kind: "post", Text: "See www.Acme.example for more"}},
			},
		},
		Limits: []adaptertest.Limit{
			{
				Name: "message", Code: "too_long",
				At: post.Content{Text: strings.Repeat("ä", 63_206)}, Over: post.Content{Text: strings.Repeat("ä", 63_207)},
			},
			{
				Name: "first comment", Code: "too_long",
				At:   post.Content{Text: "x", FirstComment: strings.Repeat("🎺", 8_000)},
				Over: post.Content{Text: "y", FirstComment: strings.Repeat("🎺", 8_001)},
			},
			{
				Name: "photos", Code: "media_count",
				At: post.Content{Media: most}, Over: post.Content{Media: append(most, one.Media)},
			},
			{
				Name: "bytes of a photo", Code: "media_size", CheckOnly: true,
				At:   post.Content{Media: []post.Media{{ID: "x", Type: "image/png", Bytes: 10 << 20}}},
				Over: post.Content{Media: []post.Media{{ID: "x", Type: "image/png", Bytes: 10<<20 + 1}}},
			},
		},
		ErrorBody: func(int) string { return graphError(100, 0) },
		Statuses: func(status int, _ string) (adapters.Fate, []adapters.Reason, bool) {
			// Graph has throttled calls with the post live.
			return adapters.Unknown, []adapters.Reason{adapters.RateLimit}, status == http.StatusTooManyRequests
		},
		Refusals: refusals(),
		Proofless: []string{
			`{"success":true}`, `{"status":"down"}`, `{"error":null}`, `{"id":"not a number"}`, `{"id":"1_2","error":{"code":1}}`,
			`{"id":{"id":"1"}}`, `{"post_id":"1_2"}`, `{"debug_info":{"retriable":false},"id":"1"}`, `{"error_type":"OAuthException","id":"1"}`,
		},
		Listing:   "/published_posts",
		Page:      60,
		Again:     5 * time.Minute,
		Duplicate: true,
		Uploads:   "/photos",
		Whose:     "GET /graph/v26.0/me",

		ThrottledUnknown: true,
		SettingsOptional: true,
		Skip: map[string]string{
			"tokens": "a Page's token does not end by itself",
		},
	}
}

func account(handle string, kind post.Kind, page, name, token string) adaptertest.Account {
	return adaptertest.Account{
		Account: post.Account{Handle: handle, Platform: post.Facebook, Kind: kind, Owner: "x", Mode: post.ModeAPI, Identity: page},
		Identity: sandbox.Identity{
			Platform: "facebook", ID: page, Name: name,
			Credentials: map[string]string{"page_token": token, "app_id": "700", "app_secret": appSecret},
		},
		Tokens: map[string]string{"page_token": token},
	}
}

func graphError(code, subcode int) string {
	return fmt.Sprintf(`{"error":{"message":"(#%d) No.","type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"A"}}`, code, code, subcode)
}

func refusals() []adaptertest.Refusal {
	const week = 7 * 24 * time.Hour
	usage := func(minutes string) http.Header {
		return http.Header{"X-Business-Use-Case-Usage": {`{"1":[{"type":"pages","call_count":95.5,"estimated_time_to_regain_access":` + minutes + `}]}`}}
	}
	rows := []adaptertest.Refusal{
		{Name: "unknown error", Status: 400, Body: graphError(1, 99), Fate: adapters.Unknown, Reason: adapters.Server, Code: "1/99"},
		{Name: "service", Status: 400, Body: graphError(2, 0), Fate: adapters.Unknown, Reason: adapters.Server},
		{Name: "service as a 500", Status: 500, Body: graphError(2, 0), Fate: adapters.Unknown, Reason: adapters.Server},
		{Name: "content as a 500", Status: 500, Body: graphError(100, 0), Fate: adapters.Unknown, Reason: adapters.Server},
		{Name: "dead token as a 503", Status: 503, Body: graphError(190, 460), Fate: adapters.Unknown, Reason: adapters.Server},
		{Name: "transient", Status: 400, Body: `{"error":{"is_transient":"true","code":"777"}}`, Fate: adapters.Unknown, Reason: adapters.Server, Code: "777"},
		{Name: "app throttled", Status: 403, Body: graphError(4, 0), Fate: adapters.Unknown, Reason: adapters.RateLimit, Scope: adapters.ScopeApp, Until: 5 * time.Minute},
		{Name: "user throttled", Status: 400, Body: graphError(17, 0), Header: http.Header{"Retry-After": {"600"}}, Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 10 * time.Minute},
		{Name: "page throttled", Status: 400, Body: graphError(80001, 0), Header: usage("19"), Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 19 * time.Minute},
		{Name: "page throttled, as a string", Status: 400, Body: graphError(80001, 0), Header: usage(`"30"`), Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 30 * time.Minute},
		{Name: "page throttled, forever", Status: 400, Body: graphError(32, 0), Header: usage("1e300"), Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 24 * time.Hour},
		{Name: "page throttled, nonsense", Status: 400, Body: graphError(613, 0), Header: usage("[]"), Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 5 * time.Minute},
		{Name: "429 alone", Status: 429, Header: http.Header{"Retry-After": {fmt.Sprint(int(week.Seconds()))}}, Fate: adapters.Unknown, Reason: adapters.RateLimit, Until: 24 * time.Hour},
		{Name: "action blocked", Status: 403, Body: graphError(4, 2207051), Fate: adapters.Unknown, Reason: adapters.Policy, Until: 24 * time.Hour},
		{Name: "too fast", Status: 400, Body: graphError(1390008, 0), Fate: adapters.Unknown, Reason: adapters.Policy, Until: 24 * time.Hour},
		{Name: "checkpoint", Status: 400, Body: graphError(190, 459), Fate: adapters.Absent, Reason: adapters.Auth, Code: "190/459"},
		{Name: "password changed", Status: 400, Body: graphError(190, 460), Fate: adapters.Absent, Reason: adapters.Auth},
		{Name: "no role", Status: 400, Body: graphError(190, 492), Fate: adapters.Absent, Reason: adapters.Auth},
		{Name: "session", Status: 401, Body: graphError(102, 0), Fate: adapters.Absent, Reason: adapters.Auth},
		{Name: "permission", Status: 403, Body: graphError(200, 0), Fate: adapters.Absent, Reason: adapters.Permission},
		{Name: "permission, last of its range", Status: 400, Body: graphError(299, 0), Fate: adapters.Absent, Reason: adapters.Permission},
		{Name: "authorization of the Page", Status: 400, Body: graphError(1404078, 0), Fate: adapters.Absent, Reason: adapters.Permission},
		{Name: "restricted", Status: 400, Body: graphError(25, 2207050), Fate: adapters.Absent, Reason: adapters.Permission},
		{Name: "policy", Status: 400, Body: graphError(368, 0), Fate: adapters.Absent, Reason: adapters.Policy},
		{Name: "duplicate", Status: 400, Body: graphError(506, 0), Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "photos posted already", Status: 400, Body: graphError(100, 1366051), Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "gone", Status: 400, Body: graphError(100, 33), Fate: adapters.Absent, Reason: adapters.Refused, Code: "100/33"},
		{Name: "proof", Status: 400, Body: `{"error":{"message":"Invalid appsecret_proof provided in the API argument","code":100}}`, Fate: adapters.Absent, Reason: adapters.Auth},
		{Name: "app", Status: 400, Body: graphError(101, 0), Fate: adapters.Absent, Reason: adapters.Auth},
		{Name: "unlisted", Status: 400, Body: graphError(987654, 0), Fate: adapters.Absent, Reason: adapters.Refused},
		{Name: "400 of a proxy", Status: 400, Body: "<html>Bad Request</html>", Fate: adapters.Unknown, Reason: adapters.Protocol},
		{Name: "404 without a body", Status: 404, Fate: adapters.Unknown, Reason: adapters.Protocol},
		{Name: "error of another kind", Status: 400, Body: `{"error":[1]}`, Fate: adapters.Unknown, Reason: adapters.Protocol},
		{Name: "unlisted, as a 403", Status: 403, Body: graphError(987654, 0), Fate: adapters.Absent, Reason: adapters.Refused},
		{Name: "error as a text", Status: 400, Body: `{"error":"no"}`, Fate: adapters.Absent, Reason: adapters.Refused},
		{Name: "code as a string", Status: 400, Body: `{"error":{"code":"190","error_subcode":"463","error_user_title":null}}`, Fate: adapters.Absent, Reason: adapters.Auth, Code: "190/463"},
		{Name: "number in the text only", Status: 400, Body: `{"error":{"message":"190, 368 and 506","code":100}}`, Fate: adapters.Absent, Reason: adapters.Refused},
		{Name: "posted already, as a block", Status: 400, Body: `{"error":{"code":368,"message":"It looks like you already posted this"}}`, Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "posted already, as another block", Status: 400, Body: `{"error":{"code":1346003,"error_user_msg":"You have Already Posted that"}}`, Fate: adapters.Exists, Reason: adapters.Duplicate},
		{Name: "posted already, in some other error", Status: 400, Body: `{"error":{"code":100,"message":"not already posted"}}`, Fate: adapters.Absent, Reason: adapters.Refused},
	}
	type meaning struct {
		fate   adapters.Fate
		reason adapters.Reason
		until  time.Duration
	}
	for code, want := range map[int]meaning{
		1390008: {adapters.Unknown, adapters.Policy, 24 * time.Hour}, 1363047: {adapters.Unknown, adapters.Server, 0},
		1609010: {adapters.Unknown, adapters.Server, 0}, 1404078: {adapters.Absent, adapters.Permission, 0},
		4854002: {adapters.Absent, adapters.Permission, 0}, 1404006: {adapters.Absent, adapters.Permission, 0},
		1404112: {adapters.Absent, adapters.Permission, 0}, 1346003: {adapters.Absent, adapters.Policy, 0},
		1404102: {adapters.Absent, adapters.Policy, 0}, 1366051: {adapters.Exists, adapters.Duplicate, 0},
		1366046: {adapters.Absent, adapters.Refused, 0}, 1609005: {adapters.Absent, adapters.Refused, 0},
		1349125: {adapters.Absent, adapters.Refused, 0}, 2207051: {adapters.Unknown, adapters.Policy, 24 * time.Hour},
	} {
		// Graph sends these numbers as the code, and as the subcode of another one.
		for i, body := range []string{graphError(code, 0), graphError(100, code), graphError(200, code), graphError(368, code)} {
			rows = append(rows, adaptertest.Refusal{
				Name: fmt.Sprintf("%d, %d", code, i), Status: 400, Body: body, Fate: want.fate, Reason: want.reason, Until: want.until,
			})
		}
	}
	return rows
}

func TestConformance(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, suite())
}
