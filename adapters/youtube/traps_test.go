package youtube_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/sandbox"
)

// TestTrapsOfTheLibrary meets what google.golang.org/api gets wrong about uploads, each by name: it cannot go on in a new
// process, ignores Range, and takes a lost last answer for a failure. After each, one video is there, whole.
func TestTrapsOfTheLibrary(t *testing.T) {
	t.Parallel()
	const open, part = "POST /youtube/upload/youtube/v3/videos", "PUT /youtube/upload/youtube/v3/videos"
	tests := map[string]struct {
		fault  sandbox.Fault
		reason adapters.Reason // of the first try; empty: it is enough
		opens  int
		until  time.Duration
	}{
		"fails at once when opening is answered 503": {sandbox.Fault{Kind: sandbox.Refuse, Match: open, Status: 503, Times: 1}, adapters.Server, 2, 0},
		"unsupported protocol for no Location":       {sandbox.Fault{Kind: sandbox.Refuse, Match: open, Status: 200, Times: 1}, adapters.Server, 2, 0},
		"EOF for a FIN in the middle of a chunk":     {sandbox.Fault{Kind: sandbox.HalfArrivesCut, Match: part, Times: 1}, "", 1, 0},
		"a gap after a chunk that was kept in part":  {sandbox.Fault{Kind: sandbox.HalfArrives, Match: part, Times: 1}, "", 1, 0},
		"a gap after the last was kept in part":      {sandbox.Fault{Kind: sandbox.HalfArrives, Match: part, After: 1, Times: 1}, "", 1, 0},
		"EOF for the last chunk stored and FIN":      {sandbox.Fault{Kind: sandbox.PublishThenCut, Match: part, After: 1, Times: 1}, "", 1, 0},
		"an error for the last chunk stored and RST": {sandbox.Fault{Kind: sandbox.PublishThenReset, Match: part, After: 1, Times: 1}, "", 1, 0},
		"sends a chunk again after RST":              {sandbox.Fault{Kind: sandbox.ResetBefore, Match: part, After: 1, Times: 1}, adapters.Server, 1, 0},
		"gives up a chunk that is answered 503":      {sandbox.Fault{Kind: sandbox.Refuse, Match: part, Status: 503, After: 1, Times: 2}, adapters.Server, 1, 0},
		"waits for ever for a chunk that hangs":      {sandbox.Fault{Kind: sandbox.HangBefore, Match: part, After: 1, Times: 1}, adapters.Network, 1, 0},
		"an unexpected 308 without progress":         {sandbox.Fault{Kind: sandbox.Refuse, Match: part, Status: 308, Times: 2}, adapters.Server, 1, 0},
		"a 308 that names all bytes":                 {sandbox.Fault{Kind: sandbox.Refuse, Match: part, Status: 308, After: 1, Times: 2, Header: http.Header{"Range": {fmt.Sprintf("bytes=0-%d", longFilm-1)}}}, adapters.Server, 1, 0},
		"fails for a 401 in the middle":              {sandbox.Fault{Kind: sandbox.Refuse, Match: part, Status: 401, After: 1, Times: 1, Body: apiError(401, "authError")}, "", 1, 0},
		"no reason for a 403 as a page":              {sandbox.Fault{Kind: sandbox.Refuse, Match: open, Status: 403, Times: 1, Body: "<html></html>"}, adapters.Permission, 2, 0},
		"quota at opening":                           {sandbox.Fault{Kind: sandbox.Refuse, Match: open, Status: 403, Times: 1, Body: apiError(403, "quotaExceeded")}, adapters.Budget, 2, 23 * time.Hour},
		"too many uploads":                           {sandbox.Fault{Kind: sandbox.Refuse, Match: open, Status: 400, Times: 1, Body: apiError(400, "uploadLimitExceeded")}, adapters.RateLimit, 2, 24 * time.Hour},
		"a token that was revoked":                   {sandbox.Fault{Kind: sandbox.Refuse, Match: "/token", Status: 400, Times: 1, Body: `{"error":"invalid_grant"}`}, adapters.Auth, 1, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				d := r.Delivery(s.Samples[1].Content)
				r.Sandbox.Misbehave(tt.fault)
				began := time.Now()
				err := d.Prepare(r.Open(0))
				e := adapters.AsError(err)
				switch {
				case tt.reason == "" && err != nil:
					t.Errorf("got %v, want success", err)
				case tt.reason != "" && (err == nil || e.Fate != adapters.Absent || e.Reason != tt.reason):
					t.Errorf("got %v, want absent and %s", err, tt.reason)
				case tt.until != 0 && e.Until.Sub(began).Round(time.Minute) != tt.until:
					t.Errorf("may be tried at %s, want in %s", e.Until, tt.until)
				}
				// A new process goes on.
				if err := d.All(r.Open(0)); err != nil {
					t.Fatal(err)
				}
				acts := r.Sandbox.Record()
				if len(acts) != 2 || acts[0].Media[0] != s.Files[1].Media.ID || opens(r) != tt.opens {
					t.Errorf("%d uploads, want %d; acts: %+v", opens(r), tt.opens, acts)
				}
			})
		})
	}
	t.Run("one multipart request for a small file", func(t *testing.T) {
		t.Parallel()
		s := suite()
		adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
			if err := r.Delivery(s.Samples[0].Content).Prepare(r.Open(0)); err != nil || opens(r) != 1 || chunks(r) != 1 {
				t.Errorf("%v; %d uploads opened and %d chunks, want one of each", err, opens(r), chunks(r))
			}
		})
	})
}
