package adapters_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/adapters"
)

func TestWhatAStatusSays(t *testing.T) {
	t.Parallel()
	type verdict struct {
		Fate   adapters.Fate
		Reason adapters.Reason
		Scope  adapters.Scope
	}
	special := map[int]verdict{
		400: {adapters.Absent, adapters.Refused, 0}, 401: {adapters.Absent, adapters.Auth, 0},
		402: {adapters.Absent, adapters.Budget, adapters.ScopeApp}, 403: {adapters.Absent, adapters.Permission, 0},
		408: {adapters.Unknown, adapters.Server, 0}, 409: {adapters.Unknown, adapters.Server, 0},
		425: {adapters.Unknown, adapters.Server, 0}, 429: {adapters.Absent, adapters.RateLimit, 0},
		499: {adapters.Unknown, adapters.Server, 0},
	}
	for status := 100; status < 700; status++ {
		for _, refused := range []bool{false, true} {
			want, ok := special[status]
			switch {
			case ok:
			case status/100 == 2:
				want = verdict{adapters.Unknown, adapters.Protocol, 0}
			case status/100 == 3:
				want = verdict{adapters.Absent, adapters.Protocol, 0}
			case status/100 == 4:
				want = verdict{adapters.Absent, adapters.Refused, 0}
			default:
				want = verdict{adapters.Unknown, adapters.Server, 0}
			}
			if !refused && status/100 == 4 {
				// Somebody else's refusal, a proxy's say, does not prove that the platform has not acted.
				want.Fate = adapters.Unknown
				if want.Reason == adapters.Refused {
					want.Reason = adapters.Protocol
				}
			}
			e := adapters.ByStatus(adapters.Call{Status: status}, refused)
			if diff := cmp.Diff(want, verdict{e.Fate, e.Reason, e.Scope}); diff != "" || e.Status != status || e.Message == "" {
				t.Errorf("%d, refused %v (-want +got):\n%s", status, refused, diff)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"":                              {},
		"120":                           now.Add(2 * time.Minute),
		" 5 ":                           now.Add(5 * time.Second),
		"0":                             now,
		"1.5":                           now.Add(1500 * time.Millisecond),
		"-5":                            {},
		"1h":                            {},
		"1m1":                           {},
		"soon":                          {},
		"99999999999999999999":          {},
		"31622401":                      {},
		"Tue, 01 Dec 2026 09:10:00 GMT": now.Add(10 * time.Minute),
		"Tue, 32 Dec 2026 09:10:00 GMT": {},
	} {
		h := http.Header{}
		if value != "" {
			h.Set("Retry-After", value)
		}
		if got := adapters.RetryAfter(h, now); !got.Equal(want) {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
