package reddit_test

import (
	"net/http"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/sandbox"
)

// TestTrapsOfGoReddit answers in the ways which go-reddit misreads.
func TestTrapsOfGoReddit(t *testing.T) {
	t.Parallel()
	spent := http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Used": {"1000"}, "X-Ratelimit-Reset": {"300"}}
	tests := map[string]struct {
		status int
		body   string
		header http.Header
		fate   adapters.Fate
		reason adapters.Reason
	}{
		"nil and nil for jquery":              {200, `{"jquery":[],"success":true}`, nil, adapters.Unknown, adapters.Protocol},
		"nil and nil for no data":             {200, `{"json":{"errors":[],"data":null}}`, nil, adapters.Unknown, adapters.Protocol},
		"nil and nil for a redirect to JSON":  {302, "", http.Header{"Location": {adaptertest.Base + "/reddit/api/v1/me"}}, adapters.Unknown, adapters.Protocol},
		"EOF for nothing":                     {200, "", nil, adapters.Unknown, adapters.Protocol},
		"a syntax error for a page":           {200, "<html></html>", nil, adapters.Unknown, adapters.Protocol},
		"an error for a failure with headers": {500, "<html></html>", spent, adapters.Unknown, adapters.Server},
		"a label lost in odd types":           {200, `{"json":{"errors":[["NO_LINKS",7,null]]}}`, nil, adapters.Absent, adapters.Refused},
		"a reason lost in a 400":              {400, `{"reason":"TOO_LONG","explanation":"x","message":"Bad Request"}`, nil, adapters.Absent, adapters.Refused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: tt.status, Body: tt.body, Header: tt.header, Times: 1})
				a := r.Open(0)
				_, err := r.Delivery(s.Samples[0].Content).Publish(a)
				if e := adapters.AsError(err); err == nil || e.Fate != tt.fate || e.Reason != tt.reason {
					t.Errorf("got %v, want %s and %s", err, tt.fate, tt.reason)
				}
				// No forged 429: the next call goes out.
				if err := r.Delivery(s.Samples[0].Content).All(a); err != nil {
					t.Errorf("the next post: %v", err)
				}
			})
		})
	}
}

// TestClocks holds that a machine whose clock is wrong finds its posts by Reddit's own time.
func TestClocks(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"fast": time.Hour, "slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
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
