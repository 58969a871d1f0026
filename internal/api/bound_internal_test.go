package api

import (
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func TestTheRateOfAKeyThatRestsIsForgotten(t *testing.T) {
	t.Parallel()
	a := &api{Deps: Deps{RequestsPerMinute: 60}, users: map[string]*user{}, sweepAt: minUsers}
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	const busy = "busy"
	for i := range 10 * minUsers {
		at := now.Add(time.Duration(i) * 100 * time.Millisecond)
		for _, key := range []string{strconv.Itoa(i), busy} {
			if err := a.user(key, at).limit(httptest.NewRecorder(), at); err != nil && key != busy {
				t.Fatalf("key %s: %v", key, err)
			}
		}
	}
	if n := len(a.users); n > 2*minUsers {
		t.Errorf("%d of %d keys are remembered, want at most %d", n, 10*minUsers+1, 2*minUsers)
	}
	if u := a.users[busy]; u == nil || u.rate.TokensAt(now.Add(1024*time.Second)) > 30 {
		t.Error("a key that was never at rest has got a new limit")
	}
}
