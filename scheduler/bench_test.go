package scheduler_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
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

// queued is how many deliveries lie in the queue already, far ahead: CRIER_BENCH_QUEUED, 0 by default.
func queued(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(cmpOr(os.Getenv("CRIER_BENCH_QUEUED"), "0"))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// BenchmarkBurst sends 10,000 deliveries on 10,000 lanes that are due at one instant, 1,000 in flight, through the
// whole scheduler: intents and results are on disk, the platform answers at once. It reports the rate from the due
// instant to the last result, and the lag of the first byte behind the due instant.
func BenchmarkBurst(b *testing.B) {
	for range b.N {
		sendBurst(b, 10_000, 10_000)
	}
}

// BenchmarkBurstFewLanes sends the same on 100 lanes of 100, without spacing.
func BenchmarkBurstFewLanes(b *testing.B) {
	for range b.N {
		sendBurst(b, 100, 10_000)
	}
}

func sendBurst(b *testing.B, lanes, deliveries int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	dir := b.TempDir()
	s, err := bolt.Open(ctx, bolt.Options{Dir: dir, Create: true, Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var (
		n    atomic.Int64
		mu   sync.Mutex
		lags []time.Duration
		due  time.Time
	)
	sent := func() {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		lags = append(lags, now.Sub(due))
	}
	accounts := make([]post.Account, lanes)
	outlets := make([]scheduler.Outlet, lanes)
	for i := range accounts {
		kind := post.Kinds()[i%2]
		accounts[i] = post.Account{
			Handle: fmt.Sprintf("lane-%d", i), Platform: post.Twitter, Kind: kind, Owner: "acme", Mode: post.ModeAPI,
			Identity: fmt.Sprintf("id%d", i), TimeZone: "UTC", MaxLate: time.Hour, WhenNotSeen: post.Resend, Managed: "file",
			Looks: []time.Duration{time.Second},
		}
		outlets[i] = scheduler.Outlet{Account: accounts[i], Adapter: noop{account: accounts[i], n: &n, sent: sent}}
	}
	w := store.Write{Now: post.Instant(time.Now()), Actor: "bench"}
	if err := s.SyncAccounts(ctx, w, accounts); err != nil {
		b.Fatal(err)
	}
	if ahead := queued(b); ahead > 0 {
		fill(b, s, accounts, ahead, time.Now().Add(24*time.Hour), time.Minute)
	}
	due = post.Instant(time.Now().Add(3 * time.Second))
	fill(b, s, accounts, deliveries, due, 0)
	var done atomic.Int64
	finished := make(chan struct{})
	sched, err := scheduler.New(scheduler.Config{
		Store: s, Outlets: outlets, MaxInFlight: 2000, Grace: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
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
	if wait := time.Until(due); wait < 0 {
		b.Logf("filling took %s too long", -wait)
	}
	<-finished
	took := time.Since(due)
	cancel()
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
	slices.Sort(lags)
	b.ReportMetric(float64(deliveries)/took.Seconds(), "deliveries/s")
	b.ReportMetric(float64(lags[len(lags)/2].Milliseconds()), "lag-p50-ms")
	b.ReportMetric(float64(lags[len(lags)*99/100].Milliseconds()), "lag-p99-ms")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "sys-MiB")
	if fi, err := os.Stat(filepath.Join(dir, bolt.FileName)); err == nil {
		b.ReportMetric(float64(fi.Size())/(1<<20), "file-MiB")
	}
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
