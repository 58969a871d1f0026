package youtube_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/adapters/youtube"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/internal/sandbox/discovery"
)

// judge holds every request against the API's own description before it passes it on.
type judge struct {
	base http.RoundTripper
	doc  *discovery.Document

	mu     sync.Mutex
	faults []string
	seen   []string // "METHOD path?query body" of what is no chunk
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatalf("find the module google.golang.org/api: %v", err)
	}
	doc, err := discovery.Load(filepath.Join(strings.TrimSpace(string(dir)), "youtube", "v3", "youtube-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	return &judge{doc: doc}
}

func (j *judge) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(r.URL.Path, "/youtube")
	if path == "/token" || r.URL.Query().Has("upload_id") {
		return j.base.RoundTrip(r)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	judged := body
	if strings.HasSuffix(path, "/thumbnails/set") {
		judged = nil // bytes of a picture
	}
	j.mu.Lock()
	j.faults = append(j.faults, j.doc.Check(r.Method, path, r.URL.Query(), judged)...)
	j.seen = append(j.seen, fmt.Sprintf("%s %s?%s %s", r.Method, path, r.URL.RawQuery, body))
	j.mu.Unlock()
	return j.base.RoundTrip(r)
}

// last gives the last request that begins with prefix.
func (j *judge) last(prefix string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range slices.Backward(j.seen) {
		if strings.HasPrefix(s, prefix) {
			return s
		}
	}
	return ""
}

func (j *judge) open(t *testing.T, r *adaptertest.Rig) adapters.Adapter {
	t.Helper()
	env := r.Env(0)
	j.base = env.Base
	env.Base = j
	a, err := r.Suite.Driver.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRequestsFitTheDiscoveryDocument(t *testing.T) {
	t.Parallel()
	j := newJudge(t)
	s := suite()
	picture := adaptertest.PNG(5, "")
	s.Files = append(s.Files, picture)
	c := s.Samples[1].Content
	full := *c.Options
	full["thumbnail"] = fmt.Appendf(nil, "%q", picture.Media.ID)
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := j.open(t, r)
		since := time.Now()
		v, ok := adapters.As[adapters.Verifier](a)
		if !ok {
			t.Fatal("no Verifier")
		}
		if _, err := v.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := r.Delivery(c)
		if err := d.All(a); err != nil {
			t.Fatal(err)
		}
		for range 2 { // by the handle, and by the listing
			if look, err := r.Delivery(c).Find(a, since); err != nil || look.Sight != adapters.Found {
				t.Fatalf("find: %+v, %v", look, err)
			}
		}
		d.Receipts = d.Receipts[:2] // video and thumbnail
		if look, err := d.Find(a, since); err != nil || look.Sight != adapters.Found {
			t.Errorf("find the comment: %+v, %v", look, err)
		}
		if len(j.faults) > 0 {
			t.Errorf("requests are wrong:\n%s", strings.Join(j.faults, "\n"))
		}
		insert, update := j.last("POST /upload/youtube/v3/videos"), j.last("PUT /youtube/v3/videos")
		for _, want := range []string{"notifySubscribers=false", `"privacyStatus":"private"`} {
			if !strings.Contains(insert, want) {
				t.Errorf("opening lacks %s: %s", want, insert)
			}
		}
		for _, want := range []string{
			`"title":"All"`, `"description":"More.\n\nhttps://acme.example/1"`, `"tags":["go","town crier"]`, `"categoryId":"28"`,
			`"privacyStatus":"unlisted"`, `"selfDeclaredMadeForKids":false`, `"containsSyntheticMedia":true`, `"embeddable":true`,
		} {
			if !strings.Contains(update, want) {
				t.Errorf("the update lacks %s: %s", want, update)
			}
		}
		var kinds []string
		for _, act := range r.Public() {
			kinds = append(kinds, act.Kind)
		}
		if got := strings.Join(kinds, " "); got != "video thumbnail comment" {
			t.Errorf("acts: %s", got)
		}
	})
}

func TestAnUnauditedProjectIsToldAsSuch(t *testing.T) {
	t.Parallel()
	s := suite()
	s.Accounts[0].Identity.Credentials["unaudited"] = "true"
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		d := r.Delivery(s.Samples[0].Content)
		err := d.All(a)
		e := adapters.AsError(err)
		if err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Permission || !strings.Contains(e.Message, "not audited") {
			t.Errorf("got %v, want absent, permission and the word audited", err)
		}
		if look, err := d.Find(a, time.Now()); err != nil || look.Sight != adapters.NotSeen {
			t.Errorf("find: %+v, %v; want not seen", look, err)
		}
	})
}

func TestPrivateIsPublishedAsAsked(t *testing.T) {
	t.Parallel()
	s := suite()
	c := s.Samples[0].Content
	c.Options = opts("privacy", "private")
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		d := r.Delivery(c)
		if err := d.All(r.Open(0)); err != nil || len(r.Public()) != 0 || len(r.Sandbox.Record()) != 1 {
			t.Errorf("%v, %d acts, %d public", err, len(r.Sandbox.Record()), len(r.Public()))
		}
	})
}

// chunks counts the requests that carry bytes, and asks about them.
func chunks(r *adaptertest.Rig) int {
	n := 0
	for _, q := range r.Sandbox.Requests() {
		if q.Method == http.MethodPut && strings.Contains(q.Path, "/upload/") {
			n++
		}
	}
	return n
}

// gate is a MediaSource that hands out what its field says.
type gate struct{ raw []byte }

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

func (g gate) Open(string) (io.ReadSeekCloser, error) { return file{bytes.NewReader(g.raw)}, nil }

func TestUploadGoesOnAfterAFault(t *testing.T) {
	t.Parallel()
	const part = "PUT /youtube/upload/youtube/v3/videos"
	tests := map[string]struct {
		fault sandbox.Fault
		once  bool // one call of Prepare is enough
	}{
		"first chunk cut":                 {sandbox.Fault{Kind: sandbox.CutBefore, Times: 1}, false},
		"second chunk cut":                {sandbox.Fault{Kind: sandbox.CutBefore, After: 1, Times: 1}, false},
		"first chunk stored, cut":         {sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1}, true},
		"first chunk stored, 503":         {sandbox.Fault{Kind: sandbox.PublishThenStatus, Status: 503, Times: 1}, true},
		"last chunk stored, cut":          {sandbox.Fault{Kind: sandbox.PublishThenCut, After: 1, Times: 1}, true},
		"last chunk stored, half":         {sandbox.Fault{Kind: sandbox.PublishThenHalf, After: 1, Times: 1}, true},
		"last chunk stored, hang":         {sandbox.Fault{Kind: sandbox.PublishThenHang, After: 1, Times: 1}, false},
		"last chunk stored, gateway page": {sandbox.Fault{Kind: sandbox.PublishThenHTML502, After: 1, Times: 1}, true},
		"rate limit":                      {sandbox.Fault{Kind: sandbox.RateLimit, After: 1, Times: 1}, false},
		"token dies":                      {sandbox.Fault{Kind: sandbox.Refuse, Status: 401, After: 1, Times: 1}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				d := r.Delivery(s.Samples[1].Content)
				tt.fault.Match = part
				r.Sandbox.Misbehave(tt.fault)
				err := d.Prepare(r.Open(0))
				if tt.once && err != nil {
					t.Errorf("prepare: %v", err)
				}
				if e := adapters.AsError(err); err != nil && e.Fate != adapters.Absent {
					t.Errorf("prepare: %v, want absent", err)
				}
				// A new process goes on.
				if err := d.All(r.Open(0)); err != nil {
					t.Fatal(err)
				}
				acts := r.Public()
				if len(acts) != 2 || acts[0].Media[0] != s.Files[1].Media.ID || len(r.Sandbox.Record()) != 2 {
					t.Errorf("acts: %+v", r.Sandbox.Record())
				}
				if n := chunks(r); n > 5 {
					t.Errorf("%d requests for two chunks", n)
				}
			})
		})
	}
}

// TestAChunkIsEightMebibytes plays the driver as it is shipped; the other tests upload films of several chunks in
// smaller ones.
func TestAChunkIsEightMebibytes(t *testing.T) {
	t.Parallel()
	s := suite()
	s.Driver = youtube.Driver()
	long := film(3, 9<<20)
	s.Files = append(s.Files, long)
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		content := s.Samples[0].Content
		content.Media = []post.Media{long.Media}
		if err := r.Delivery(content).All(r.Open(0)); err != nil {
			t.Fatal(err)
		}
		if acts := r.Public(); len(acts) != 1 || acts[0].Media[0] != long.Media.ID || chunks(r) != 2 {
			t.Errorf("%d chunks, acts: %+v; want two, and the film", chunks(r), acts)
		}
	})
}

func TestUploadNeverGoesOnWithAnotherFile(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		p, ok := adapters.As[adapters.Preparer](a)
		if !ok {
			t.Fatal("no Preparer")
		}
		d := r.Delivery(s.Samples[1].Content)
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.CutBefore, Match: "PUT /youtube/upload", After: 1})
		if err := d.Prepare(a); err == nil {
			t.Fatal("the fault did not strike")
		}
		r.Sandbox.Behave()
		before := chunks(r)
		raw := bytes.Clone(s.Files[1].Bytes)
		raw[len(raw)-1]++
		for name, bad := range map[string][]byte{"other bytes": raw, "shorter": raw[1:], "empty": nil} {
			q := d.Request()
			q.Media = gate{bad}
			err := p.Prepare(t.Context(), q, func(context.Context, post.Handle) error { return nil })
			if e := adapters.AsError(err); err == nil || e.Reason != adapters.Prepare || e.Fate != adapters.Absent {
				t.Errorf("%s: %v, want absent and prepare", name, err)
			}
		}
		if chunks(r) != before {
			t.Error("bytes were sent")
		}
	})
}

func TestUploadTrustsNoAddressElsewhere(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"", "/relative", "http://evil.invalid/upload", "http://www.googleapis.com/upload", "https://evilgoogleapis.com/upload",
		"https://u:p@youtube.googleapis.com/", "https://sandbox.invalid/upload", ":",
	} {
		t.Run(location, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				r.Sandbox.Misbehave(sandbox.Fault{
					Kind: sandbox.Refuse, Status: 200, Match: "POST /youtube/upload", Header: http.Header{"Location": {location}},
				})
				d := r.Delivery(s.Samples[0].Content)
				err := d.Prepare(r.Open(0))
				want := adapters.Protocol
				if location == "" {
					want = adapters.Server // half an answer: asked for again
				}
				if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != want {
					t.Errorf("got %v, want absent and %s", err, want)
				}
				if n := chunks(r); n != 0 || slices.Contains(r.Wire.Hosts(), "evil.invalid") {
					t.Errorf("%d chunks, hosts %v", n, r.Wire.Hosts())
				}
			})
		})
	}
}

func TestThumbnailThatIsNoPicture(t *testing.T) {
	t.Parallel()
	s := suite()
	c := s.Samples[0].Content
	c.Options = opts("thumbnail", s.Files[0].Media.ID)
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		d := r.Delivery(c)
		err := d.All(r.Open(0))
		if e := adapters.AsError(err); err == nil || len(d.Receipts) != 1 || e.Fate != adapters.Absent || e.Reason != adapters.Refused {
			t.Errorf("%v after %d parts; want the video out and the thumbnail refused", err, len(d.Receipts))
		}
	})
}

func TestPartsDoNotStopTheChannel(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		d := r.Delivery(s.Samples[1].Content)
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: 403, Body: apiError(403, "forbidden"), Match: "commentThreads"})
		err := d.All(a)
		if e := adapters.AsError(err); err == nil || len(d.Receipts) != 1 || e.Reason != adapters.Refused || e.Fate != adapters.Absent {
			t.Errorf("%v after %d parts; want the comment refused as content", err, len(d.Receipts))
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := suite()
	base := s.Samples[0].Content
	tests := map[string]struct {
		change func(*post.Content)
		want   string // location code
	}{
		"no title":             {func(c *post.Content) { c.Title = " " }, "title title_required"},
		"no video":             {func(c *post.Content) { c.Media = nil }, "media media_required"},
		"a picture":            {func(c *post.Content) { c.Media = []post.Media{{Type: "image/png", Bytes: 1}} }, "media[0] media_type"},
		"thread":               {func(c *post.Content) { c.Thread = []post.Reply{{Text: "x"}} }, "thread not_supported"},
		"no word about kids":   {func(c *post.Content) { c.Options = nil }, "options.made_for_kids option_required"},
		"kids as a text":       {func(c *post.Content) { c.Options = opts("made_for_kids", "no") }, "options.made_for_kids option_invalid"},
		"privacy":              {func(c *post.Content) { c.Options = opts("privacy", "Public") }, "options.privacy option_invalid"},
		"tag with a comma":     {func(c *post.Content) { c.Options = opts("tags", []string{"a,b"}) }, "options.tags option_invalid"},
		"tags as a text":       {func(c *post.Content) { c.Options = opts("tags", "a") }, "options.tags option_invalid"},
		"category by its name": {func(c *post.Content) { c.Options = opts("category", "Music") }, "options.category option_invalid"},
		"playlist":             {func(c *post.Content) { c.Options = opts("playlist", "PL") }, "options.playlist not_supported"},
		"comment for kids": {func(c *post.Content) {
			c.FirstComment, c.Options = "x", opts("made_for_kids", true)
		}, "first_comment not_supported"},
		"comment in private": {func(c *post.Content) {
			c.FirstComment, c.Options = "x", opts("privacy", "private")
		}, "first_comment not_supported"},
		"link": {func(c *post.Content) { c.Link = "ftp://x" }, "link link_not_allowed"},
	}
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		a := r.Open(0)
		for name, tt := range tests {
			c := base
			tt.change(&c)
			var got []string
			for _, p := range a.Check(c) {
				got = append(got, p.Location+" "+p.Code)
			}
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("%s: %q, want %q", name, got, tt.want)
			}
		}
	})
}
