package twitter_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// TestNewerDialect runs what reads the timeline against an X that speaks only the names of its OpenAPI document.
func TestNewerDialect(t *testing.T) {
	t.Parallel()
	s := suite("")
	s.Sandbox = func(c *sandbox.Config) { c.XPostFields = true }
	s.Samples = append(s.Samples, adaptertest.Sample{
		Name: "long", Content: post.Content{Text: "x", Thread: []post.Reply{{Text: strings.Repeat("long & wide ", 20) + "https://acme.example/3"}}},
		Acts: []adaptertest.Act{{Kind: "post", Text: "x"}, {Kind: "reply", Parent: 1, Text: strings.Repeat("long & wide ", 20) + "https://acme.example/3"}},
	})
	adaptertest.Run(t, s)
}

// TestRepliesWithoutTheirParent has X not say what a reply answers: each part of a thread is found all the same, and never
// taken for a post of its own.
func TestRepliesWithoutTheirParent(t *testing.T) {
	t.Parallel()
	for _, newer := range []bool{false, true} {
		t.Run(fmt.Sprintf("newer dialect: %t", newer), func(t *testing.T) {
			t.Parallel()
			s := suite("")
			s.Sandbox = func(c *sandbox.Config) { c.XPostFields, c.XStrays = newer, true }
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				a := r.Open(0)
				since := time.Now()
				d := r.Delivery(post.Content{Text: "One", Thread: []post.Reply{{Text: "Two"}, {Text: "Three"}}, FirstComment: "Four"})
				for part := 0; d.Left() > 0; part++ {
					if look, err := d.Find(a, since); err != nil || look.Sight != adapters.NotSeen {
						t.Errorf("part %d before: %+v, %v", part, look, err)
					}
					r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1})
					if _, err := d.Publish(a); adapters.AsError(err).Fate != adapters.Unknown {
						t.Fatalf("part %d: %v, want fate unknown", part, err)
					}
					look, err := d.Find(a, since)
					if err != nil || look.Sight != adapters.Found || look.Receipt.RemoteID != r.Public()[part].RemoteID {
						t.Fatalf("part %d after: %+v, %v", part, look, err)
					}
					d.Receipts = append(d.Receipts, look.Receipt)
				}
				alone := r.Delivery(post.Content{Text: "Two"})
				if look, err := alone.Find(a, since); err != nil || look.Sight != adapters.NotSeen {
					t.Errorf("a post of the words of a reply: %+v, %v; want not seen", look, err)
				}
			})
		})
	}
}

// TestItsOwnRateLimit posts until X says too much, and waits for as long as X says.
func TestItsOwnRateLimit(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"", "v1.1"} {
		t.Run("api "+api, func(t *testing.T) {
			t.Parallel()
			s := suite(api)
			s.Sandbox = func(c *sandbox.Config) { c.Unlimited = false }
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				a := r.Open(0)
				for n := range 1000 {
					d := r.Delivery(adaptertest.Vary(s.Samples[0].Content, n))
					_, err := d.Publish(a)
					if err == nil {
						continue
					}
					e := adapters.AsError(err)
					if wait := time.Until(e.Until); e.Fate != adapters.Absent || e.Reason != adapters.RateLimit || wait <= 0 || wait > 15*time.Minute {
						t.Fatalf("post %d: %v until %s; want absent, rate_limit and at most a window", n, err, e.Until)
					}
					if got := len(r.Public()); got != n || n < 100 {
						t.Errorf("%d posts are out after %d were sent", got, n)
					}
					time.Sleep(time.Until(e.Until))
					if err := d.All(a); err != nil {
						t.Errorf("at the time that X named: %v", err)
					}
					return
				}
				t.Error("X never said too much")
			})
		})
	}
}

// TestLongPosts holds that an account which may write long posts finds them again, in both dialects.
func TestLongPosts(t *testing.T) {
	t.Parallel()
	for name, newer := range map[string]bool{"older dialect": false, "newer dialect": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite("")
			s.Sandbox = func(c *sandbox.Config) { c.XPostFields = newer }
			s.Accounts[0].Extra, s.Accounts[0].Identity.Credentials["max_weight"] = "max_weight: 25000", "25000"
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				a := r.Open(0)
				c := post.Content{Text: strings.Repeat("wörds & more\n", 300), Link: "https://acme.example/long"}
				if p := a.Check(c); len(p) > 0 {
					t.Errorf("check: %+v", p)
				}
				since := time.Now()
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1})
				d := r.Delivery(c)
				if _, err := d.Publish(a); adapters.AsError(err).Fate != adapters.Unknown {
					t.Fatalf("got %v, want fate unknown", err)
				}
				if look, err := d.Find(a, since); err != nil || look.Sight != adapters.Found {
					t.Errorf("got %+v, %v; want it found", look, err)
				}
			})
		})
	}
}

// TestClocks holds that a machine whose clock is wrong, yet right enough for X to take its signatures, finds its posts
// by X's own time.
func TestClocks(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"fast": 4 * time.Minute, "slow": -4 * time.Minute} {
		for _, api := range []string{"", "v1.1"} {
			t.Run(name+api, func(t *testing.T) {
				t.Parallel()
				s := suite(api)
				adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
					env := r.Env(0)
					env.Now = func() time.Time { return time.Now().Add(off) }
					a, err := s.Driver.Open(env)
					if err != nil {
						t.Fatal(err)
					}
					since := time.Now()
					r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1})
					d := r.Delivery(s.Samples[0].Content)
					if _, err := d.Publish(a); adapters.AsError(err).Fate != adapters.Unknown {
						t.Fatalf("got %v, want fate unknown", err)
					}
					time.Sleep(10 * time.Second)
					if look, err := d.Find(a, since); err != nil || look.Sight != adapters.Found {
						t.Errorf("got %+v, %v; want it found", look, err)
					}
				})
			})
		}
	}
}

// TestTrapsOfGoTwitter answers API v1.1 in the ways which go-twitter misreads.
func TestTrapsOfGoTwitter(t *testing.T) {
	t.Parallel()
	const duplicate = `{"title":"Forbidden","detail":"You are not allowed to create a Tweet with duplicate content.","type":"about:blank","status":403}`
	tests := map[string]struct {
		status int
		body   string
		fate   adapters.Fate
		reason adapters.Reason
	}{
		"nil error for 200 without a body":   {200, "", adapters.Unknown, adapters.Protocol},
		"nil error for 201 of an object":     {201, "{}", adapters.Unknown, adapters.Protocol},
		"nil error for 204":                  {204, "", adapters.Unknown, adapters.Protocol},
		"201 that breaks off":                {201, `{"id_str":"1`, adapters.Unknown, adapters.Protocol},
		"nil error for a refusal of v2":      {403, duplicate, adapters.Exists, adapters.Duplicate},
		"no access":                          {403, `{"errors":[{"code":453,"message":"x"}]}`, adapters.Absent, adapters.Permission},
		"a syntax error for a 503's page":    {503, "<html></html>", adapters.Unknown, adapters.Server},
		"nil error for 500 without a body":   {500, "", adapters.Unknown, adapters.Server},
		"nil error for 503 without a body":   {503, "", adapters.Unknown, adapters.Server},
		"a list where an object belongs":     {200, "[]", adapters.Unknown, adapters.Protocol},
		"an id that is no text":              {200, `{"id":5,"id_str":5}`, adapters.Unknown, adapters.Protocol},
		"a redirect that would become a GET": {301, "", adapters.Absent, adapters.Protocol},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite("v1.1")
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				header := http.Header{}
				if tt.status == http.StatusMovedPermanently {
					header.Set("Location", adaptertest.Base+"/x/1.1/statuses/user_timeline.json")
				}
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: tt.status, Body: tt.body, Header: header})
				_, err := r.Delivery(s.Samples[0].Content).Publish(r.Open(0))
				if e := adapters.AsError(err); err == nil || e.Fate != tt.fate || e.Reason != tt.reason {
					t.Errorf("got %v, want %s and %s", err, tt.fate, tt.reason)
				}
			})
		})
	}
}

// TestForeignToken holds that the timeline of another account proves nothing about this one.
func TestForeignToken(t *testing.T) {
	t.Parallel()
	s := suite("")
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		r.Stores[0] = adaptertest.NewTokens(s.Accounts[1].Tokens)
		if look, err := r.Delivery(s.Samples[0].Content).Find(r.Open(0), time.Now()); err == nil {
			t.Errorf("got %+v, want an error", look)
		}
	})
}
