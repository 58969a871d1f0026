package bolt_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

var queued = flag.Int("queued", 100_000, "deliveries in the queue of BenchmarkOpen and behind BenchmarkDue")

// newID gives ids that rise with i.
func newID(i uint64, tag byte) (id post.ID) {
	binary.BigEndian.PutUint64(id[:8], i+1)
	id[15] = tag
	return id
}

func newPost(i uint64, to post.AccountKey, due time.Time) store.NewPost {
	c := post.Content{Text: "Crier 1.0 is out: the right words, in the right square, at the right hour, once, and in the right name. " +
		"Read more in the notes of the release, number " + fmt.Sprint(i)}
	d := post.Delivery{
		ID: newID(i, 1), Post: newID(i, 2), Target: newID(i, 3), Account: to, Platform: post.Twitter, State: post.Scheduled, Due: due,
		Digest: c.Digest(), Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}},
	}
	return store.NewPost{
		Post: post.Post{ID: d.Post, Author: "ann", CreatedAt: now, Kind: to.Kind, Content: c, Targets: []post.Target{{
			ID: d.Target, Account: to, Platform: post.Twitter, Content: c, Delivery: d.ID,
		}}},
		Deliveries: []post.Delivery{d},
	}
}

func benchOpen(b *testing.B, dir string) *bolt.Store {
	b.Helper()
	s, err := bolt.Open(b.Context(), bolt.Options{Dir: dir, Create: true, Now: now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func lanes(b *testing.B, s *bolt.Store, n int) []post.Account {
	b.Helper()
	accounts := make([]post.Account, n)
	for i := range accounts {
		accounts[i] = post.Account{
			Handle: fmt.Sprintf("acme-%05d", i), Platform: post.Twitter, Kind: post.Brand, Owner: "acme", MaxLate: time.Hour,
		}
	}
	if err := s.SyncAccounts(b.Context(), store.Write{Now: now, Actor: "crier"}, accounts); err != nil {
		b.Fatal(err)
	}
	return accounts
}

func fillQueue(b *testing.B, s *bolt.Store, accounts []post.Account, first, n int, due time.Time) {
	b.Helper()
	for chunk := range slices.Chunk(slices.Collect(countTo(n)), 10_000) {
		posts := make([]store.NewPost, 0, len(chunk))
		for _, i := range chunk {
			posts = append(posts, newPost(uint64(first+i), accounts[i%len(accounts)].Key(), due))
		}
		if _, err := s.CreatePosts(b.Context(), store.Write{Now: now, Actor: "ann"}, posts); err != nil {
			b.Fatal(err)
		}
	}
}

func countTo(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// settleAll takes turns until all n deliveries are published, with at most inFlight claims at once.
func settleAll(b *testing.B, s *bolt.Store, n, inFlight int) (turns int) {
	b.Helper()
	var results []store.Result
	for done := 0; done < n; turns++ {
		out, err := s.Turn(b.Context(), store.Turn{
			Now: now, Owner: "bench", Results: results, Lease: time.Minute, Room: map[post.Kind]int{post.Brand: inFlight},
		})
		if err != nil || len(out.Refused) > 0 {
			b.Fatal(err, out.Refused)
		}
		done += len(results)
		results = results[:0]
		for _, w := range out.Claims {
			id := w.Delivery.ID
			results = append(results, store.Result{
				Delivery: id,
				Settled: post.Settled{
					Part: w.Part, Fence: w.Delivery.Fence, Counted: true, Receipt: &post.Receipt{RemoteID: id.String(), At: now},
				},
				Attempts: []post.Attempt{{Act: "publish", StartedAt: now, EndedAt: now, Outcome: post.OutcomePublished, Status: 201}},
			})
		}
	}
	return turns
}

// BenchmarkDue settles 10,000 deliveries on 10,000 lanes, due at one instant, with 1,000 in flight and calls that take
// no time, on an empty queue and behind -queued others. The ratio compares with a bare loop over bbolt that writes the
// same keys in as many commits. The whole scheduler settles one half while the other is under way: bare-halves is a loop
// of as many commits as that makes.
func BenchmarkDue(b *testing.B) {
	const n, inFlight = 10_000, 1000
	for _, behind := range slices.Compact([]int{0, *queued}) {
		b.Run(fmt.Sprintf("behind=%d", behind), func(b *testing.B) {
			var ours, bare, halves time.Duration
			turns := 0
			for range b.N {
				s := benchOpen(b, b.TempDir())
				accounts := lanes(b, s, n)
				fillQueue(b, s, accounts, n, behind, now.Add(24*time.Hour))
				fillQueue(b, s, accounts, 0, n, now)
				first, second := replay(b, s), replay(b, s)
				begun := time.Now()
				turns = settleAll(b, s, n, inFlight)
				ours += time.Since(begun)
				bare += bareLoop(b, first, n, inFlight, n, behind > 0)
				halves += bareLoop(b, second, n, inFlight/2, n, behind > 0)
			}
			b.ReportMetric(float64(n*b.N)/ours.Seconds(), "settled/s")
			b.ReportMetric(float64(n*b.N)/bare.Seconds(), "bare/s")
			b.ReportMetric(float64(n*b.N)/halves.Seconds(), "bare-halves/s")
			b.ReportMetric(float64(bare)/float64(ours), "of-bare-loop")
			b.ReportMetric(float64(turns), "commits")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// replay gives the path of a copy of the store for a bare loop.
func replay(b *testing.B, s *bolt.Store) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "replay")
	if err := s.Backup(b.Context(), path); err != nil {
		b.Fatal(err)
	}
	return path
}

// bareLoop writes into a copy of the store what n deliveries on so many lanes write from claim to receipt, under the same
// keys and with as many bytes, batch of them in a commit, without reading or deciding anything. With others behind them,
// each lane is put among those that are ready once more.
func bareLoop(b *testing.B, path string, n, batch, lanes int, behind bool) time.Duration {
	b.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistArrayType, InitialMmapSize: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	seq := uint64(1 << 40)
	key := func(at time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())^(1<<63)) }
	ms, later := key(now), key(now.Add(24*time.Hour))
	value := make([]byte, 512)
	begun := time.Now()
	for first := 0; first < n+batch; first += batch {
		err := db.Update(func(tx *bbolt.Tx) error {
			var all []error
			put := func(bucket string, key []byte, size int) {
				all = append(all, tx.Bucket([]byte(bucket)).Put(key, value[:size]))
			}
			del := func(bucket string, key []byte) { all = append(all, tx.Bucket([]byte(bucket)).Delete(key)) }
			both := func(i, size, lane int) (id, account []byte) {
				p := newID(uint64(i), 1)
				id, account = p[:], append(fmt.Appendf(nil, "brand|acme-%05d", i%lanes), 0)
				seq++
				put("delivery", id, size)
				put("lanestate", account, lane)
				put("outbox", binary.BigEndian.AppendUint64(nil, seq), 68)
				return id, account
			}
			put("meta", []byte("counts"), 200)
			for i := first - batch; i < first && i >= 0; i++ {
				lane := 28
				if behind {
					lane = 60
				}
				id, account := both(i, 166, lane)
				put("receipt", fmt.Appendf(nil, "twitter\x00%s", post.ID(id)), 18)
				if behind {
					put("ready", slices.Concat([]byte("brand|"), later, account), 29)
				}
			}
			for i := first; i < min(first+batch, n); i++ {
				_, account := both(i, 103, 95)
				del("ready", slices.Concat([]byte("brand|"), ms, account))
			}
			return errors.Join(all...)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(begun)
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkOneLane sends 1,000 deliveries of one account one after the other, each in a commit of its own, and compares
// with a bare loop of as many commits.
func BenchmarkOneLane(b *testing.B) {
	const n = 1000
	var ours, bare time.Duration
	for range b.N {
		s := benchOpen(b, b.TempDir())
		fillQueue(b, s, lanes(b, s, 1), 0, n, now)
		path := replay(b, s)
		begun := time.Now()
		settleAll(b, s, n, 1000)
		ours += time.Since(begun)
		bare += bareLoop(b, path, n, 1, 1, false)
	}
	b.ReportMetric(float64(n*b.N)/ours.Seconds(), "settled/s")
	b.ReportMetric(float64(n*b.N)/bare.Seconds(), "bare/s")
	b.ReportMetric(float64(bare)/float64(ours), "of-bare-loop")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCreate writes posts one by one, by one caller and by many.
func BenchmarkCreate(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := benchOpen(b, b.TempDir())
			accounts := lanes(b, s, 100)
			next := make(chan uint64, callers)
			go func() {
				defer close(next)
				for i := range b.N {
					next <- uint64(i)
				}
			}()
			b.ResetTimer()
			b.SetParallelism(callers)
			done := make(chan error, callers)
			for range callers {
				go func() {
					for i := range next {
						n := newPost(i, accounts[i%100].Key(), now.Add(time.Hour))
						if _, err := s.CreatePost(b.Context(), store.Write{Now: now, Actor: "ann"}, n); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range callers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}

// BenchmarkCreatePosts writes 10,000 posts in one call.
func BenchmarkCreatePosts(b *testing.B) {
	const n = 10_000
	var took time.Duration
	for range b.N {
		s := benchOpen(b, b.TempDir())
		accounts := lanes(b, s, 100)
		posts := make([]store.NewPost, n)
		for i := range posts {
			posts[i] = newPost(uint64(i), accounts[i%100].Key(), now.Add(time.Hour))
		}
		begun := time.Now()
		if _, err := s.CreatePosts(b.Context(), store.Write{Now: now, Actor: "ann"}, posts); err != nil {
			b.Fatal(err)
		}
		took += time.Since(begun)
	}
	b.ReportMetric(float64(n*b.N)/took.Seconds(), "posts/s")
}

// BenchmarkOpen opens a store with -queued deliveries up to the first due time.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := benchOpen(b, dir)
	fillQueue(b, s, lanes(b, s, 1000), 0, *queued, now.Add(time.Hour))
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var took time.Duration
	for range b.N {
		begun := time.Now()
		s, err := bolt.Open(b.Context(), bolt.Options{Dir: dir, Now: now})
		if err != nil {
			b.Fatal(err)
		}
		if next, err := s.Next(b.Context()); err != nil || next.IsZero() {
			b.Fatal(next, err)
		}
		took += time.Since(begun)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms")
	b.ReportMetric(0, "ns/op")
}
