package scheduler

import (
	"sync"
	"time"

	"crier/internal/post"
	"crier/store"
)

// flights is what has a worker, commits and looks, with what others may know of it: how many commits are under way and
// how late the last claim was, by account. It may be used by many goroutines.
type flights struct {
	mu    sync.Mutex
	now   map[flight]post.AccountKey
	taken map[berth]int
	last  map[post.AccountKey]claimed
}

// flight is what one worker is for. A delivery has two when a person has resolved it while it was looked for and it is
// sent again.
type flight struct {
	delivery post.ID
	look     bool
}

// berth is what a flight takes one of.
type berth struct {
	look     bool
	kind     post.Kind
	platform post.Platform
}

func berthOf(d *post.Delivery, look bool) berth {
	return berth{look: look, kind: d.Account.Kind, platform: d.Platform}
}

// claimed is an account's last claim.
type claimed struct {
	at  time.Time
	lag time.Duration
}

func newFlights() *flights {
	return &flights{now: map[flight]post.AccountKey{}, taken: map[berth]int{}, last: map[post.AccountKey]claimed{}}
}

// claim begins the flights of claims.
func (f *flights) claim(claims []store.Work, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range claims {
		w := &claims[i]
		f.begin(&w.Delivery, false)
		if !w.Ready.IsZero() {
			f.last[w.Delivery.Account] = claimed{at: now, lag: now.Sub(w.Ready)}
		}
	}
}

// look begins the flight of a look.
func (f *flights) look(d *post.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin(d, true)
}

// begin notes a flight. The caller holds mu.
func (f *flights) begin(d *post.Delivery, look bool) {
	f.now[flight{d.ID, look}] = d.Account
	f.taken[berthOf(d, look)]++
}

func (f *flights) end(d *post.Delivery, look bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.now, flight{d.ID, look})
	f.taken[berthOf(d, look)]--
}

// has reports whether a delivery has a worker.
func (f *flights) has(id post.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, sent := f.now[flight{id, false}]
	_, looked := f.now[flight{id, true}]
	return sent || looked
}

// commits counts those that send.
func (f *flights) commits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for at, of := range f.taken {
		if !at.look {
			n += of
		}
	}
	return n
}

// berths counts those that are taken, of commits or of looks.
func (f *flights) berths(look bool) map[berth]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[berth]int, len(f.taken))
	for at, n := range f.taken {
		if at.look == look && n > 0 {
			out[at] = n
		}
	}
	return out
}

// seen counts the commits under way and gives the lag of the last claim, of the accounts that of reports true for.
func (f *flights) seen(of func(post.AccountKey) bool) (inFlight int, lag time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for x, key := range f.now {
		if !x.look && (of == nil || of(key)) {
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
