package api

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// limit takes one request from what the key has left. The header fields are those of the IETF's draft
// (draft-ietf-httpapi-ratelimit-headers).
func (a *api) limit(w http.ResponseWriter, key string, now time.Time) error {
	perMinute := a.RequestsPerMinute
	perSecond := float64(perMinute) / 60
	a.mu.Lock()
	l := a.limiters[key]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(perSecond), perMinute)
		a.limiters[key] = l
	}
	a.mu.Unlock()
	allowed := l.AllowN(now, 1)
	left := max(0, l.TokensAt(now))
	full := math.Ceil((float64(perMinute) - left) / perSecond)
	w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=60`, perMinute))
	w.Header().Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, int(left), int(full)))
	if allowed {
		return nil
	}
	p := problem(http.StatusTooManyRequests, "too_many_requests", "this key has made too many requests")
	p.retryAfter = max(time.Second, time.Duration((1-left)/perSecond*float64(time.Second)))
	return p
}
