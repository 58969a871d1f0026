package facebook_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/internal/secret"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	text := func(s string) func(any) error {
		return func(into any) error { return errors.New("no decoder for " + s) }
	}
	tests := map[string]struct {
		change func(*adapters.Env)
		want   string // in the error
	}{
		"bad settings":       {func(e *adapters.Env) { e.Settings = text("settings") }, "facebook settings"},
		"bad account":        {func(e *adapters.Env) { e.Extra = text("extra") }, "facebook account"},
		"user as the Page":   {func(e *adapters.Env) { e.Account.Identity = "acme" }, "identity"},
		"no Page":            {func(e *adapters.Env) { e.Account.Identity = "" }, "identity"},
		"secret unavailable": {func(e *adapters.Env) { e.Secret = noSecret }, "app_secret"},
	}
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		for name, tt := range tests {
			env := r.Env(0)
			tt.change(&env)
			if _, err := s.Driver.Open(env); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want one about %s", name, err, tt.want)
			}
		}
	})
	for name, row := range map[string]struct{ yaml, want string }{
		"none":                     {"", ""},
		"unknown key":              {"no_such_key: 1", "no_such_key"},
		"address without a scheme": {"api_url: graph.facebook.com", "api_url"},
		"address with a password":  {"upload_url: https://a:canary-app-secret@b", "upload_url"},
		"address with a query":     {"video_url: https://a/?access_token=canary-app-secret", "video_url"},
		"version without v":        {"version: \"26.0\"", "version"},
		"empty version":            {"version: \"\"", "version"},
		"app by name":              {"app_id: acme", "app_id"},
	} {
		s := suite()
		s.Settings = func(string) string { return row.yaml }
		adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
			_, err := s.Driver.Open(r.Env(0))
			switch {
			case row.want == "" && err != nil:
				t.Errorf("%s: %v", name, err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%s: %v, want one about %s", name, err, row.want)
			case err != nil && strings.Contains(err.Error(), appSecret):
				t.Errorf("%s: the value is in %v", name, err)
			}
		})
	}
}

func noSecret(secret.Source) (secret.Text, error) { return secret.Text{}, errors.New("not there") }

func TestAPhotoThatIsGoneIsPreparedAgain(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		d := r.Delivery(s.Samples[4].Content)
		if err := d.Prepare(a); err != nil {
			t.Fatal(err)
		}
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: 400, Body: graphError(100, 33), Times: 1})
		_, err := d.Publish(a)
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Prepare {
			t.Errorf("got %v, want absent and prepare", err)
		}
	})
}

func TestMessagesRepeatNeitherTokenNorText(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		said := fmt.Sprintf(`token %s, text %s\n\u0007 end `, s.Accounts[0].Tokens["page_token"], s.Samples[0].Content.Text)
		for _, code := range []int{100, 190, 200, 368} {
			body := fmt.Sprintf(`{"error":{"code":%d,"message":"%s","error_user_msg":"%s%s"}}`, code, said, said, strings.Repeat("ü", 5000))
			remove := r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: 400, Body: body})
			// Not through the rig: here the platform itself tells the token, so that the flight's body holds it.
			_, err := a.Publish(t.Context(), r.Delivery(s.Samples[0].Content).Request())
			remove()
			e := adapters.AsError(err)
			if strings.Contains(e.Message, s.Samples[0].Content.Text) || strings.Contains(e.Message, "canary") || strings.ContainsAny(e.Message, "\n\a") || len(e.Message) > 1000 {
				t.Errorf("%d: %q", code, e.Message)
			}
			if code != 190 && !strings.Contains(e.Message, "end") {
				t.Errorf("%d: the platform's words are missing in %q", code, e.Message)
			}
		}
	})
}

// listed answers the listing of the Page with one post.
func listed(r *adaptertest.Rig, post string) (remove func()) {
	return r.Sandbox.Misbehave(sandbox.Fault{
		Kind: sandbox.Refuse, Status: http.StatusOK, Match: "/published_posts",
		Body: `{"data":[` + post + `]}`,
	})
}

func TestFindIsSureOrSaysSo(t *testing.T) {
	t.Parallel()
	s := suite()
	text, link, alone, photos := s.Samples[0].Content, s.Samples[1].Content, s.Samples[2].Content, s.Samples[4].Content
	bare := post.Content{Text: "See www.Acme.example"}
	const now = `"created_time":"2026-11-23T09:00:00+0000"`
	tests := map[string]struct {
		content post.Content
		item    string
		want    adapters.Sight
	}{
		"same text":                    {text, `{"id":"1_2","message":"Crier is out",` + now + `}`, adapters.Found},
		"blanks and line ends differ":  {text, `{"id":"1_2","message":"Crier is out \r\n",` + now + `}`, adapters.Found},
		"same text with a photo":       {text, `{"id":"1_2","message":"Crier is out","attachments":{"data":[{"media_type":"photo","target":{"id":"9"}}]},` + now + `}`, adapters.Ambiguous},
		"same text, a link that is no": {text, `{"id":"1_2","message":"Crier is out","attachments":{"data":[{"unshimmed_url":"https://else.example"}]},` + now + `}`, adapters.Ambiguous},
		"a preview by itself":          {bare, `{"id":"1_2","message":"See www.Acme.example","attachments":{"data":[{"unshimmed_url":"https://acme.example/home"}]},` + now + `}`, adapters.Found},
		"a preview of something else":  {bare, `{"id":"1_2","message":"See www.Acme.example","attachments":{"data":[{"unshimmed_url":"https://else.example/"}]},` + now + `}`, adapters.Ambiguous},
		"a preview shown as a photo":   {link, `{"id":"1_2","message":"Read this","attachments":{"data":[{"media_type":"photo","target":{"id":"9"},"unshimmed_url":"https://acme.example/1"}]},` + now + `}`, adapters.Ambiguous},
		"other photos":                 {photos, `{"id":"1_2","message":"Two\n\nhttps://acme.example/3","attachments":{"data":[{"media_type":"photo","target":{"id":"9"}}]},` + now + `}`, adapters.Ambiguous},
		"other text":                   {text, `{"id":"1_2","message":"Crier is ou",` + now + `}`, adapters.NotSeen},
		"too old":                      {text, `{"id":"1_2","message":"Crier is out","created_time":"2026-11-23T08:57:59+0000"}`, adapters.NotSeen},
		"a clock that is behind":       {text, `{"id":"1_2","message":"Crier is out","created_time":"2026-11-23T08:58:30+0000"}`, adapters.Found},
		"no time":                      {text, `{"id":"1_2","message":"Crier is out"}`, adapters.Found},
		"no id":                        {text, `{"message":"Crier is out",` + now + `}`, adapters.NotSeen},
		"same link":                    {link, `{"id":"1_2","message":"Read this","attachments":{"data":[{"unshimmed_url":"https://acme.example/1/"}]},` + now + `}`, adapters.Found},
		"where the link leads":         {link, `{"id":"1_2","message":"Read this","attachments":{"data":[{"unshimmed_url":"https://www.acme.example/one"}]},` + now + `}`, adapters.Ambiguous},
		"another link alone":           {alone, `{"id":"1_2","attachments":{"data":[{"unshimmed_url":"https://acme.example/9"}]},` + now + `}`, adapters.Ambiguous},
		"photos unknown":               {photos, `{"id":"1_2","message":"Two\n\nhttps://acme.example/3",` + now + `}`, adapters.Ambiguous},
		"twice":                        {text, `{"id":"1_2","message":"Crier is out",` + now + `},{"id":"1_3","message":"Crier is out",` + now + `}`, adapters.Ambiguous},
		"nonsense":                     {text, `7,null,[],{"id":{},"message":[],"attachments":{"data":{}},"created_time":5}`, adapters.NotSeen},
	}
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		since := time.Now()
		for name, tt := range tests {
			remove := listed(r, tt.item)
			look, err := r.Delivery(tt.content).Find(a, since)
			remove()
			if err != nil || look.Sight != tt.want {
				t.Errorf("%s: %+v, %v; want sight %d", name, look, err, tt.want)
			}
		}
	})
}

func TestFindDoesNotReadForEver(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		r.Sandbox.Misbehave(sandbox.Fault{
			Kind: sandbox.Refuse, Status: http.StatusOK, Match: "/published_posts",
			Body: `{"data":[{"id":"1_2","message":"x"}],"paging":{"cursors":{"after":"again"},"next":"http://evil.invalid/"}}`,
		})
		if look, err := r.Delivery(s.Samples[0].Content).Find(a, time.Now()); err == nil {
			t.Errorf("got %+v, want an error", look)
		}
		for _, host := range r.Wire.Hosts() {
			if host == "evil.invalid" {
				t.Fatal("the address of the next page was followed")
			}
		}
	})
}

func TestThrottledByTheSandboxIsUnknown(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.RateLimit, Delay: 7 * time.Minute})
		_, err := r.Delivery(s.Samples[0].Content).Publish(r.Open(0))
		e := adapters.AsError(err)
		if e.Fate != adapters.Unknown || e.Reason != adapters.RateLimit || time.Until(e.Until) < 6*time.Minute || time.Until(e.Until) > 8*time.Minute {
			t.Errorf("got %v until %s", err, e.Until)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	photo := post.Media{Type: "image/jpeg", Bytes: 1, Alt: "x"}
	film := post.Media{Type: "video/mp4", Bytes: 1}
	tests := map[string]struct {
		content post.Content
		want    string // location code severity, joined
	}{
		"text":              {post.Content{Text: "x"}, ""},
		"link alone":        {post.Content{Link: "https://acme.example"}, ""},
		"nothing":           {post.Content{Text: " \n"}, "text empty error"},
		"title":             {post.Content{Text: "x", Title: "y"}, "title not_supported error"},
		"thread":            {post.Content{Text: "x", Thread: []post.Reply{{Text: "y"}}}, "thread not_supported error"},
		"no address":        {post.Content{Text: "x", Link: "acme.example"}, "link link_not_allowed error"},
		"photo and link":    {post.Content{Media: []post.Media{photo}, Link: "https://a.example"}, "link link_not_allowed warning"},
		"video":             {post.Content{Media: []post.Media{film}}, "media[0] media_type error"},
		"video and photo":   {post.Content{Media: []post.Media{film, photo}}, "media[0] media_type error, media mixed_media error"},
		"WebP":              {post.Content{Media: []post.Media{{Type: "image/webp", Bytes: 1, Alt: "x"}}}, "media[0] media_type error"},
		"no alt text":       {post.Content{Media: []post.Media{{Type: "image/png", Bytes: 1}}}, "media[0] alt_text_missing warning"},
		"a large photo":     {post.Content{Media: []post.Media{{Type: "image/png", Bytes: 5 << 20, Alt: "x"}}}, "media[0] media_size warning"},
		"type post":         {post.Content{Text: "x", Options: &post.Options{"type": []byte(`"post"`)}}, ""},
		"type story":        {post.Content{Text: "x", Options: &post.Options{"type": []byte(`"story"`)}}, "options.type option_invalid error"},
		"type of a number":  {post.Content{Text: "x", Options: &post.Options{"type": []byte(`1`)}}, "options.type option_invalid error"},
		"option of another": {post.Content{Text: "x", Options: &post.Options{"privacy": []byte(`1`)}}, "options.privacy option_unknown error"},
		"blank comment":     {post.Content{Text: "x", FirstComment: " "}, "first_comment empty error"},
	}
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		for name, tt := range tests {
			var got []string
			for _, p := range a.Check(tt.content) {
				got = append(got, p.Location+" "+p.Code+" "+string(p.Severity))
			}
			if all := strings.Join(got, ", "); all != tt.want {
				t.Errorf("%s: %q, want %q", name, all, tt.want)
			}
		}
	})
}
