package youtube_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/adapters/youtube"
	"crier/internal/post"
	"crier/internal/sandbox"
)

const (
	clientSecret = "canary-client-secret"
	// chunk is small, and half of it still holds the 256 KiB that an upload keeps.
	chunk = 768 << 10
	// longFilm is a size of two chunks.
	longFilm = chunk + 640_000
)

// film is a file that looks like a video to nobody but the test.
func film(seed byte, size int) adaptertest.File {
	raw := bytes.Repeat([]byte{seed, 1, 2, 3, 5, 8, 13}, size/7+1)[:size]
	return adaptertest.NewFile(raw, post.Media{Type: "video/mp4", Width: 1920, Height: 1080, Duration: time.Minute})
}

func opts(pairs ...any) *post.Options {
	o := post.Options{"made_for_kids": []byte("false")}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		value, err := json.Marshal(pairs[i+1])
		if err != nil {
			panic(err) // a test wrote something that is no option
		}
		o[name] = value
	}
	return &o
}

func suite() adaptertest.Suite {
	short, long := film(1, 70_000), film(2, longFilm)
	base := post.Content{Title: "Crier in 90 seconds", Text: "What it does.", Media: []post.Media{short.Media}, Options: opts()}
	with := func(change func(*post.Content)) post.Content {
		c := base
		change(&c)
		return c
	}
	title := func(s string) post.Content { return with(func(c *post.Content) { c.Title = s }) }
	text := func(s string) post.Content { return with(func(c *post.Content) { c.Text = s }) }
	tags := func(t ...string) post.Content {
		return with(func(c *post.Content) { c.Options = opts("tags", t) })
	}
	return adaptertest.Suite{
		Driver: youtube.InChunks(chunk),
		Settings: func(base string) string {
			return "api_url: " + base + "/youtube\ntoken_url: " + base + "/youtube/token\nclient_id: crier.apps\nclient_secret: " + clientSecret + "\n"
		},
		Accounts: [2]adaptertest.Account{
			account("acme-tube", post.Brand, "UCacmeacmeacmeacme", "Acme", "canary-refresh-acme"),
			account("mia-tube", post.Personal, "UCmiamiamiamiamia1", "Mia", "canary-refresh-mia"),
		},
		Secrets: []string{clientSecret, "upload_id"},
		Files:   []adaptertest.File{short, long},
		Samples: []adaptertest.Sample{
			{Name: "video", Content: base, Acts: []adaptertest.Act{{Kind: "video", Title: base.Title, Text: base.Text, Media: []string{short.Media.ID}}}},
			{
				Name: "unlisted, in two chunks, with all options and a comment",
				Content: post.Content{
					Title: "All", Text: "More.", Link: "https://acme.example/1", Media: []post.Media{long.Media}, FirstComment: "First!",
					Options: opts("privacy", "unlisted", "tags", []string{"go", "town crier"}, "category", "28", "contains_synthetic_media", true, "notify", false),
				},
				Acts: []adaptertest.Act{
					{Kind: "video", Title: "All", Text: "More.\n\nhttps://acme.example/1", Media: []string{long.Media.ID}},
					{Kind: "comment", Text: "First!", Parent: 1},
				},
			},
		},
		Limits: []adaptertest.Limit{
			{Name: "title", Code: "title_too_long", At: title(strings.Repeat("ü", 100)), Over: title(strings.Repeat("ü", 101))},
			{Name: "title with brackets", Code: "not_supported", At: title("a ≤ b"), Over: title("a < b")},
			{Name: "description in bytes", Code: "too_long", At: text(strings.Repeat("ü", 2500)), Over: text(strings.Repeat("ü", 2500) + "x")},
			{
				Name: "tags with commas between", Code: "option_invalid",
				At: tags(strings.Repeat("a", 249), strings.Repeat("b", 250)), Over: tags(strings.Repeat("a", 250), strings.Repeat("b", 250)),
			},
			{
				Name: "tags with a space", Code: "option_invalid",
				At: tags("a " + strings.Repeat("b", 496)), Over: tags("a " + strings.Repeat("b", 497)),
			},
			{
				Name: "link in the description", Code: "too_long",
				At:   with(func(c *post.Content) { c.Text, c.Link = strings.Repeat("x", 4976), "https://acme.example/1" }),
				Over: with(func(c *post.Content) { c.Text, c.Link = strings.Repeat("x", 4977), "https://acme.example/1" }),
			},
			{
				Name: "one video", Code: "media_count",
				At: base, Over: with(func(c *post.Content) { c.Media = []post.Media{short.Media, long.Media} }),
			},
			{
				Name: "bytes of a video", Code: "media_size", CheckOnly: true,
				At:   with(func(c *post.Content) { c.Media = []post.Media{{ID: "x", Type: "video/mp4", Bytes: 256 << 30}} }),
				Over: with(func(c *post.Content) { c.Media = []post.Media{{ID: "x", Type: "video/mp4", Bytes: 256<<30 + 1}} }),
			},
		},
		ErrorBody: func(status int) string { return apiError(status, "somethingElse") },
		Statuses: func(status int, _ string) (adapters.Fate, []adapters.Reason, bool) {
			switch status {
			case http.StatusForbidden: // YouTube sends it as a page, too
				return adapters.Absent, []adapters.Reason{adapters.Permission}, true
			case http.StatusTooManyRequests:
				return adapters.Absent, []adapters.Reason{adapters.RateLimit}, true
			}
			return 0, nil, false
		},
		Refusals: refusals(),
		Proofless: []string{
			`{"kind":"youtube#video"}`, `{"id":"other","status":{"privacyStatus":"public"}}`, `{"status":{"privacyStatus":"public"}}`,
			`{"id":["x"]}`, `{"error":{"code":500}}`,
		},
		Listing: "/youtube/youtube/v3/playlistItems",
		Tokens:  "POST /youtube/token",
		Whose:   "GET /youtube/youtube/v3/channels",
		Page:    60,
		Uploads: "/youtube/upload/youtube/v3/videos",
		Skip:    map[string]string{"duplicate": "YouTube takes the update of a video twice"},
	}
}

func account(handle string, kind post.Kind, channel, name, refresh string) adaptertest.Account {
	return adaptertest.Account{
		Account: post.Account{Handle: handle, Platform: post.YouTube, Kind: kind, Owner: "x", Mode: post.ModeAPI, Identity: channel},
		Identity: sandbox.Identity{
			Platform: "youtube", ID: channel, Name: name,
			Credentials: map[string]string{
				"client_id": "crier.apps", "client_secret": clientSecret, "refresh_token": refresh,
				// The suite uploads more in a minute than a project may in a week.
				"quota_inserts": "1000000", "quota_units": "100000000", "upload_limit": "1000000",
			},
		},
		Tokens: map[string]string{"refresh_token": refresh},
	}
}

func apiError(status int, reason string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":"No.","errors":[{"domain":"youtube.video","reason":"%s","message":"No."}]}}`, status, reason)
}

func refusals() []adaptertest.Refusal {
	row := func(status int, reason string, fate adapters.Fate, why adapters.Reason, until time.Duration) adaptertest.Refusal {
		return adaptertest.Refusal{
			Name: fmt.Sprintf("%d %s", status, reason), Status: status, Body: apiError(status, reason), Fate: fate, Reason: why,
			Code: reason, Until: until,
		}
	}
	// The suite begins at nine in the morning UTC, which is one at night in Los Angeles.
	quota := row(403, "quotaExceeded", adapters.Absent, adapters.Budget, 23*time.Hour)
	quota.Scope = adapters.ScopeApp
	slow := row(403, "rateLimitExceeded", adapters.Absent, adapters.RateLimit, time.Minute)
	slow.Header = http.Header{"Retry-After": {"60"}}
	return []adaptertest.Refusal{
		quota,
		slow,
		row(403, "userRateLimitExceeded", adapters.Absent, adapters.RateLimit, 0),
		row(400, "uploadLimitExceeded", adapters.Absent, adapters.RateLimit, 24*time.Hour),
		row(429, "uploadRateLimitExceeded", adapters.Absent, adapters.RateLimit, 24*time.Hour),
		row(401, "authError", adapters.Absent, adapters.Auth, 0),
		row(401, "youtubeSignupRequired", adapters.Absent, adapters.Permission, 0),
		row(403, "forbidden", adapters.Absent, adapters.Permission, 0),
		row(403, "authenticatedUserAccountSuspended", adapters.Absent, adapters.Permission, 0),
		row(400, "invalidTitle", adapters.Absent, adapters.Refused, 0),
		row(403, "forbiddenPrivacySetting", adapters.Absent, adapters.Refused, 0),
		row(404, "videoNotFound", adapters.Absent, adapters.Prepare, 0),
		row(500, "backendError", adapters.Unknown, adapters.Server, 0),
		row(503, "invalidTitle", adapters.Unknown, adapters.Server, 0),
		{Name: "403 HTML", Status: 403, Body: "<html>Sorry</html>", Fate: adapters.Absent, Reason: adapters.Permission},
		{Name: "reason of a wrong type", Status: 400, Body: `{"error":{"errors":[{"reason":{}}]}}`, Fate: adapters.Absent, Reason: adapters.Refused},
	}
}

// TestAVideoThatIsTakenOutIsNotOut has YouTube take a video out before anybody has heard of the commit.
func TestAVideoThatIsTakenOutIsNotOut(t *testing.T) {
	t.Parallel()
	for status, why := range map[string]string{"rejected": "copyright", "failed": "codec"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				a := r.Open(0)
				d := r.Delivery(s.Samples[0].Content)
				since := time.Now()
				if err := d.Prepare(a); err != nil {
					t.Fatal(err)
				}
				if ok, err := r.Sandbox.Judge(r.Sandbox.Record()[0].RemoteID, status, why); !ok || err != nil {
					t.Fatalf("judge: %v, %v", ok, err)
				}
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1})
				if _, err := d.Publish(a); adapters.AsError(err).Fate != adapters.Unknown {
					t.Fatalf("got %v, want fate unknown", err)
				}
				if look, err := d.Find(a, since); err != nil || look.Sight != adapters.Never {
					t.Errorf("by its id: %+v, %v; want never", look, err)
				}
				if look, err := r.Delivery(s.Samples[0].Content).Find(a, since); err != nil || look.Sight != adapters.NotSeen {
					t.Errorf("by the listing: %+v, %v; want not seen", look, err)
				}
				_, err := d.Publish(a)
				if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Refused || e.Code != why {
					t.Errorf("again: %v, want refused for %s", err, why)
				}
			})
		})
	}
}

// TestAnotherPrivacyIsForAPersonToJudge has somebody change the video before anybody has heard of the commit.
func TestAnotherPrivacyIsForAPersonToJudge(t *testing.T) {
	t.Parallel()
	for want, is := range map[string]string{"public": "unlisted", "unlisted": "public", "private": "public"} {
		t.Run(want+" but "+is, func(t *testing.T) {
			t.Parallel()
			s := suite()
			c, other := s.Samples[0].Content, s.Samples[0].Content
			c.Options, other.Options = opts("privacy", want), opts("privacy", is)
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				a := r.Open(0)
				since := time.Now()
				d := r.Delivery(other)
				if err := d.All(a); err != nil {
					t.Fatal(err)
				}
				id := d.Receipts[0].RemoteID
				q := r.Delivery(c).Request()
				q.Handles = []post.Handle{{Name: "video", Done: true, Values: map[string]string{"video_id": id}}}
				if look, err := a.Find(t.Context(), q, since); err != nil || look.Sight != adapters.Ambiguous {
					t.Errorf("by its id: %+v, %v; want ambiguous", look, err)
				}
				if want == "private" {
					return
				}
				if look, err := r.Delivery(c).Find(a, since); err != nil || look.Sight != adapters.Ambiguous {
					t.Errorf("by the listing: %+v, %v; want ambiguous", look, err)
				}
				// The answer to the commit itself names another privacy.
				r.Sandbox.Misbehave(sandbox.Fault{
					Kind: sandbox.Refuse, Status: 200, Times: 1, Match: "PUT /youtube/youtube/v3/videos",
					Body: fmt.Sprintf(`{"kind":"youtube#video","id":%q,"status":{"privacyStatus":%q}}`, id, is),
				})
				_, err := a.Publish(t.Context(), q)
				if e := adapters.AsError(err); err == nil || e.Fate != adapters.Unknown {
					t.Errorf("commit: %v, want fate unknown", err)
				}
			})
		})
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, suite())
}
