package scheduler

import (
	"sync"
	"time"

	"crier/internal/post"
	"crier/store"
)

// flights is what others may know of the commits: how many are under way and how late the last was, by account. The zero
// value is ready.
type flights struct {
	mu   sync.Mutex
	now  map[post.ID]post.AccountKey
	last map[post.AccountKey]claimed
}

// claimed is an account's last claim.
type claimed struct {
	at  time.Time
	lag time.Duration
}

func (f *flights) begin(w *store.Work, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil {
		f.now, f.last = map[post.ID]post.AccountKey{}, map[post.AccountKey]claimed{}
	}
	f.now[w.Delivery.ID] = w.Delivery.Account
	if !w.Ready.IsZero() {
		f.last[w.Delivery.Account] = claimed{at: now, lag: now.Sub(w.Ready)}
	}
}

func (f *flights) end(id post.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.now, id)
}

// seen counts what is under way and gives the lag of the last claim, of the accounts that of reports true for.
func (f *flights) seen(of func(post.AccountKey) bool) (inFlight int, lag time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range f.now {
		if of == nil || of(key) {
			inFlight++
		}
	}
	var latest time.Time
	for key, c := range f.last {
		if (of == nil || of(key)) && !c.at.Before(latest) {
			if !c.at.Equal(latest) {
				lag = 0
			}
			latest, lag = c.at, max(lag, c.lag)
		}
	}
	return inFlight, lag
}
