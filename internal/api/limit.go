package api

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"runtime"
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

// maxWriting bounds the requests that write at one moment: these few fill a commit as well as a thousand, and a due post
// that shares it does not wait for a thousand.
const maxWriting = 48

// maxReading bounds the requests that read at one moment. They wait for no disk, so more at once would answer none sooner.
// But whatever computes keeps the scheduler waiting for a processor, and a post on its way waits for one a dozen times:
// with a thousand requests at it, seconds.
func maxReading() int { return 4 * runtime.GOMAXPROCS(0) }

// maxAsking bounds the requests that are told whose key they bear at one moment. That is short and apart from the reading,
// so that a few long reads keep nobody from pausing or posting.
func maxAsking() int { return 2 * runtime.GOMAXPROCS(0) }

// atHand waits for one of those hands to do the request, which leave gives back.
func (c *call) atHand(ctx context.Context, hands chan struct{}) error {
	select {
	case hands <- struct{}{}:
		c.hand = hands
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a hand: %w", ctx.Err())
	}
}

func (c *call) leave() {
	if c.hand != nil {
		<-c.hand
		c.hand = nil
	}
}

// slowly does what waits for somebody else, and keeps no hand from the others meanwhile.
func (c *call) slowly(ctx context.Context, do func()) error {
	hands := c.hand
	c.leave()
	do()
	if hands == nil {
		return nil
	}
	return c.atHand(ctx, hands)
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
