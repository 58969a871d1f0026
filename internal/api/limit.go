package api

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// minLimiters is how many limiters there are at least before any is dropped.
const minLimiters = 1024

// sweep drops the limiters that are full again: they limit like new ones. What is left belongs to keys that were used
// within the last minute. The lock is held.
func (a *api) sweep(now time.Time) {
	if len(a.limiters) < a.sweepAt {
		return
	}
	maps.DeleteFunc(a.limiters, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= float64(l.Burst()) })
	a.sweepAt = max(minLimiters, 2*len(a.limiters))
}

// atWork takes a place among the requests at work, which done gives back.
func (a *api) atWork() (done func(), err error) {
	select {
	case a.work <- struct{}{}:
		return func() { <-a.work }, nil
	default:
	}
	p := problem(http.StatusServiceUnavailable, "overloaded", "too many requests are being worked on: ask again in a moment")
	p.retryAfter = time.Second
	return nil, p
}

// maxHands bounds the requests that compute or write at one moment. A thousand at once would keep the scheduler waiting
// for its turn on the processor and behind a commit of a thousand writes; these few fill a commit as well.
const maxHands = 64

// atHand waits for a hand to do the request, which leave gives back.
func (c *call) atHand(ctx context.Context) error {
	select {
	case c.hands <- struct{}{}:
		c.handed = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a hand: %w", ctx.Err())
	}
}

func (c *call) leave() {
	if c.handed {
		c.handed = false
		<-c.hands
	}
}

// slowly does what waits for somebody else, and keeps no hand from the others meanwhile.
func (c *call) slowly(ctx context.Context, do func()) error {
	if !c.handed {
		do()
		return nil
	}
	c.leave()
	do()
	return c.atHand(ctx)
}

// limit takes one request from what the key has left. The header fields are those of the IETF's draft
// (draft-ietf-httpapi-ratelimit-headers).
func (a *api) limit(w http.ResponseWriter, key string, now time.Time) error {
	perMinute := a.RequestsPerMinute
	perSecond := float64(perMinute) / 60
	a.mu.Lock()
	l := a.limiters[key]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(perSecond), perMinute)
		a.sweep(now)
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
