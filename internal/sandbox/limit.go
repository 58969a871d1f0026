package sandbox

import (
	"sync"
	"time"
)

// limiter counts requests in fixed windows. It is safe for concurrent use.
type limiter struct {
	window time.Duration

	mu      sync.Mutex
	buckets map[[2]string]*bucket // by identity and endpoint
}

type bucket struct {
	used  int
	reset time.Time
}

func newLimiter(window time.Duration) *limiter {
	return &limiter{window: window, buckets: make(map[[2]string]*bucket)}
}

// take counts one request and returns how many of limit remain, below zero when it was one too many, and when the
// window ends.
func (l *limiter) take(identity, endpoint string, limit int, now time.Time) (remaining int, reset time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := [2]string{identity, endpoint}
	b := l.buckets[key]
	if b == nil || !now.Before(b.reset) {
		b = &bucket{reset: now.Add(l.window)}
		l.buckets[key] = b
	}
	b.used++
	return limit - b.used, b.reset
}
