package api

import (
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestTheRateOfAKeyThatRestsIsForgotten(t *testing.T) {
	t.Parallel()
	a := &api{Deps: Deps{RequestsPerMinute: 60}, limiters: map[string]*rate.Limiter{}, sweepAt: minLimiters}
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	const busy = "busy"
	for i := range 10 * minLimiters {
		at := now.Add(time.Duration(i) * 100 * time.Millisecond)
		for _, key := range []string{strconv.Itoa(i), busy} {
			if err := a.limit(httptest.NewRecorder(), key, at); err != nil && key != busy {
				t.Fatalf("key %s: %v", key, err)
			}
		}
	}
	if n := len(a.limiters); n > 2*minLimiters {
		t.Errorf("%d limiters are kept for %d keys, want at most %d", n, 10*minLimiters+1, 2*minLimiters)
	}
	if l := a.limiters[busy]; l == nil || l.TokensAt(now.Add(1024*time.Second)) > 30 {
		t.Error("a key that was never at rest has got a new limit")
	}
}
