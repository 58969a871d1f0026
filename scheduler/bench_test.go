package scheduler_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"crier/adapters"
	"crier/internal/post"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// noop publishes nothing and says so at once: what is left is Crier's own cost.
type noop struct {
	account post.Account
	n       *atomic.Int64
	sent    func()
}

func (noop) Platform() post.Platform           { return post.Twitter }
func (noop) Check(post.Content) []post.Problem { return nil }
func (a noop) Verify(context.Context) (adapters.Identity, error) {
	return adapters.Identity{ID: a.account.Identity}, nil
}

func (a noop) Publish(context.Context, adapters.Request) (post.Receipt, error) {
	a.sent()
	return post.Receipt{RemoteID: strconv.FormatInt(a.n.Add(1), 10), At: time.Now()}, nil
}

func (noop) Find(context.Context, adapters.Request, time.Time) (adapters.Look, error) {
	return adapters.Look{}, nil
}

// queued is how many deliveries lie in the queue already, far ahead: CRIER_BENCH_QUEUED, by default 1,000,000.
func queued(b *testing.B) int {
	b.Helper()
	s := os.Getenv("CRIER_BENCH_QUEUED")
	if s == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkBurst sends 10,000 deliveries that are due at one instant, 1,000 in flight, through the whole scheduler:
// intents and results are on disk, the platform answers at once. It reports the rate from the due instant to the last
// result, and the lag of the first byte behind the due instant; with one lane, where all but the first wait for those
// before them, the rate alone.
func BenchmarkBurst(b *testing.B) {
	// The long queue comes last: a disk is busy for a while with a large file that has gone.
	for _, c := range []struct{ lanes, queued int }{{10_000, 0}, {100, 0}, {1, 0}, {10_000, queued(b)}} {
		bursts(b, c.lanes, c.queued)
	}
}

// BenchmarkGrowth sends the same bursts, on ever more lanes and on top of an ever longer queue.
func BenchmarkGrowth(b *testing.B) {
	for lanes := 1; lanes <= 10_000; lanes *= 10 {
		bursts(b, lanes, 0)
	}
	for behind := 1000; behind <= queued(b); behind *= 10 {
		bursts(b, 10_000, behind)
	}
}

// bursts sends 10,000 deliveries at a time, on so many lanes and on top of so many that are queued far ahead.
func bursts(b *testing.B, lanes, queued int) {
	b.Helper()
	b.Run(fmt.Sprintf("lanes=%d/queued=%d", lanes, queued), func(b *testing.B) {
		q := newCrowd(b, lanes)
		if queued > 0 {
			fill(b, q.store, q.accounts, queued, time.Now().Add(24*time.Hour), time.Minute)
		}
		for range b.N {
			q.burst(b, 10_000)
		}
		q.report(b)
	})
}

// crowd is many accounts with a store, and what their bursts took.
type crowd struct {
	dir      string
	store    *bolt.Store
	accounts []post.Account
	outlets  []scheduler.Outlet
	sent     atomic.Int64

	mu   sync.Mutex
	due  time.Time
	lags []time.Duration
	out  int
	took time.Duration
}

func newCrowd(b *testing.B, lanes int) *crowd {
	b.Helper()
	gc := debug.SetGCPercent(300) // as the daemon does
	b.Cleanup(func() { debug.SetGCPercent(gc) })
	q := &crowd{dir: b.TempDir(), accounts: make([]post.Account, lanes), outlets: make([]scheduler.Outlet, lanes)}
	s, err := bolt.Open(b.Context(), bolt.Options{Dir: q.dir, Create: true, Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	q.store = s
	for i := range q.accounts {
		kind := post.Kinds()[i%2]
		q.accounts[i] = post.Account{
			Handle: fmt.Sprintf("lane-%d", i), Platform: post.Twitter, Kind: kind, Owner: "acme", Mode: post.ModeAPI,
			Identity: fmt.Sprintf("id%d", i), TimeZone: "UTC", MaxLate: time.Hour, WhenNotSeen: post.Resend, Managed: "file",
			Looks: []time.Duration{time.Second},
		}
		q.outlets[i] = scheduler.Outlet{Account: q.accounts[i], Adapter: noop{account: q.accounts[i], n: &q.sent, sent: q.leaves}}
	}
	w := store.Write{Now: post.Instant(time.Now()), Actor: "bench"}
	if err := s.SyncAccounts(b.Context(), w, q.accounts); err != nil {
		b.Fatal(err)
	}
	return q
}

// leaves notes how late a request is.
func (q *crowd) leaves() {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lags = append(q.lags, now.Sub(q.due))
}

// burst queues deliveries for one instant and lets a scheduler of its own send them.
func (q *crowd) burst(b *testing.B, deliveries int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	q.due = post.Instant(time.Now().Add(3 * time.Second))
	fill(b, q.store, q.accounts, deliveries, q.due, 0)
	var done atomic.Int64
	finished := make(chan struct{})
	sched, err := scheduler.New(scheduler.Config{
		Store: q.store, Outlets: q.outlets, MaxInFlight: 1000, Grace: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Observe: func(e scheduler.Event) {
			if e.Receipt != nil && done.Add(1) == int64(deliveries) {
				close(finished)
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- sched.Run(ctx) }()
	if wait := time.Until(q.due); wait < 0 {
		b.Logf("filling took %s too long", -wait)
	}
	<-finished
	q.took += time.Since(q.due)
	q.out += deliveries
	cancel()
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
}

func (q *crowd) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(q.out)/q.took.Seconds(), "deliveries/s")
	if len(q.accounts) == 1 {
		return
	}
	slices.Sort(q.lags)
	b.ReportMetric(float64(q.lags[len(q.lags)/2].Milliseconds()), "lag-p50-ms")
	b.ReportMetric(float64(q.lags[len(q.lags)*99/100].Milliseconds()), "lag-p99-ms")
}

// fill queues deliveries round-robin over the accounts, every step apart.
func fill(b *testing.B, s *bolt.Store, accounts []post.Account, n int, due time.Time, step time.Duration) {
	b.Helper()
	batch := make([]store.NewPost, 0, 1000)
	for i := range n {
		a := accounts[i%len(accounts)]
		c := post.Content{Text: fmt.Sprintf("delivery %d of the benchmark, with about as much text as a post usually has, give or take a few words", i)}
		p := post.Post{ID: newID(b), Author: "bench", CreatedAt: due, Kind: a.Kind, Content: c}
		d := post.Delivery{
			ID: newID(b), Post: p.ID, Target: newID(b), Account: a.Key(), Platform: a.Platform, State: post.Scheduled,
			Due: due.Add(time.Duration(i) * step), Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}}, Digest: c.Digest(),
		}
		p.Targets = []post.Target{{ID: d.Target, Account: a.Key(), Platform: a.Platform, Content: c, Delivery: d.ID}}
		batch = append(batch, store.NewPost{Post: p, Deliveries: []post.Delivery{d}, Fingerprints: []string{""}})
		if len(batch) == cap(batch) || i == n-1 {
			if _, err := s.CreatePosts(b.Context(), store.Write{Now: post.Instant(time.Now()), Actor: "bench"}, batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

func newID(b *testing.B) post.ID {
	b.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		b.Fatal(err)
	}
	return post.ID(id)
}
