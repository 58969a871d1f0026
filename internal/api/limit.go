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

// user is what one key has under way, and has left.
type user struct {
	rate *rate.Limiter
	// reading holds a token of each of the key's requests that read, or wait only for others to end theirs: see maxReading.
	reading chan struct{}
}

// minUsers is how many keys are remembered at least before any is forgotten.
const minUsers = 1024

// user gives what is remembered of a key.
func (a *api) user(key string, now time.Time) *user {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[key]
	if u == nil {
		perMinute := a.RequestsPerMinute
		u = &user{
			rate:    rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute),
			reading: make(chan struct{}, max(maxReading()/2, 1)),
		}
		a.sweep(now)
		a.users[key] = u
	}
	return u
}

// sweep forgets the keys that are new again for all that is remembered of them: those that are left were used within the
// last minute. The lock is held.
func (a *api) sweep(now time.Time) {
	if len(a.users) < a.sweepAt {
		return
	}
	maps.DeleteFunc(a.users, func(_ string, u *user) bool {
		return len(u.reading) == 0 && u.rate.TokensAt(now) >= float64(u.rate.Burst())
	})
	a.sweepAt = max(minUsers, 2*len(a.users))
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
// with a thousand requests at it, seconds. A key has a half of them at most, so that one whose reads are long keeps no
// other waiting.
func maxReading() int { return 4 * runtime.GOMAXPROCS(0) }

// maxAsking bounds the requests that are told whose key they bear at one moment. That is short and apart from the reading,
// so that a few long reads keep nobody from pausing or posting.
func maxAsking() int { return 2 * runtime.GOMAXPROCS(0) }

// atHand waits for a token in each of those, in this order, which leave gives back.
func (c *call) atHand(ctx context.Context, hands ...chan struct{}) error {
	for _, h := range hands {
		select {
		case h <- struct{}{}:
			c.held = append(c.held, h)
		case <-ctx.Done():
			return fmt.Errorf("waiting for a hand: %w", ctx.Err())
		}
	}
	return nil
}

// leave gives back what atHand took.
func (c *call) leave() {
	for _, h := range c.held {
		<-h
	}
	c.held = nil
}

// slowly does what waits for somebody else, and keeps no hand from the others meanwhile.
func (c *call) slowly(ctx context.Context, do func() error) error {
	held := c.held
	c.leave()
	err := do()
	if gone := c.atHand(ctx, held...); err == nil {
		err = gone
	}
	return err
}

// limit takes one request from what the key has left. The header fields are those of the IETF's draft
// (draft-ietf-httpapi-ratelimit-headers).
func (u *user) limit(w http.ResponseWriter, now time.Time) error {
	perMinute, perSecond := u.rate.Burst(), float64(u.rate.Limit())
	allowed := u.rate.AllowN(now, 1)
	left := max(0, u.rate.TokensAt(now))
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
