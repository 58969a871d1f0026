package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// BenchmarkReady starts the real daemon on a queue of CRIER_BENCH_QUEUED deliveries (1,000,000 by default), spread over
// 90 days, of which one is due. It reports the time from the start of the process until it serves and until the due one
// is at the platform, the anonymous memory a second later, and the file's size.
func BenchmarkReady(b *testing.B) {
	n := benchQueued(b)
	w := newWorld(b)
	first := startDaemon(b, w.config) // makes key, store and accounts
	first.stop(b)
	dir := filepath.Join(filepath.Dir(w.config), "data")
	fillQueue(b, dir, n, time.Now().Add(24*time.Hour))
	for b.Loop() {
		fillQueue(b, dir, 1, time.Now())
		sent := commits(w)
		began := time.Now()
		p := startDaemon(b, w.config)
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ready-ms")
		for commits(w) == sent {
			if time.Since(began) > time.Minute {
				b.Fatal("the due post did not go out")
			}
			pause := time.NewTimer(time.Millisecond)
			<-pause.C
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "first-commit-ms")
		pause := time.NewTimer(time.Second)
		<-pause.C
		b.ReportMetric(anonymousMiB(b, p.cmd.Process.Pid), "anon-MiB")
		p.kill()
	}
	fi, err := os.Stat(filepath.Join(dir, bolt.FileName))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(fi.Size())/(1<<20), "file-MiB")
	b.ReportMetric(float64(fi.Size())/float64(n)-float64(len(benchText(0, time.Now()))), "B/delivery")
	b.ReportMetric(float64(n), "queued")
	b.ReportMetric(0, "ns/op")
}

// commits counts what was sent to the platforms.
func commits(w *world) int {
	n := 0
	for _, r := range w.box.Requests() {
		if r.Commit {
			n++
		}
	}
	return n
}

// fillQueue queues n deliveries of the demo's brand accounts, over 90 days from an instant.
func fillQueue(tb testing.TB, dir string, n int, start time.Time) {
	tb.Helper()
	s, err := bolt.Open(tb.Context(), bolt.Options{Dir: dir, Now: time.Now()})
	if err != nil {
		tb.Fatal(err)
	}
	const chunk = 10_000
	step := 90 * 24 * time.Hour / time.Duration(n)
	for first := 0; first < n; first += chunk {
		from := start.Add(time.Duration(first) * step)
		if _, err := s.CreatePosts(tb.Context(), benchWrite(), queueOf(tb, min(chunk, n-first), n, from)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

func benchWrite() store.Write { return store.Write{Now: post.Instant(time.Now()), Actor: "bench"} }

// queueOf makes n posts of the demo's brand accounts from an instant on, as densely as if all were over 90 days.
func queueOf(tb testing.TB, n, all int, start time.Time) []store.NewPost {
	tb.Helper()
	accounts := []string{"acme-x", "acme-page", "acme-reddit", "acme-tube"}
	platforms := []post.Platform{post.Twitter, post.Facebook, post.Reddit, post.YouTube}
	from := post.Instant(start)
	step := 90 * 24 * time.Hour / time.Duration(all)
	batch := make([]store.NewPost, 0, n)
	for i := range n {
		key := post.AccountKey{Kind: post.Brand, Handle: accounts[i%4]}
		c := post.Content{Text: benchText(i, start)}
		p := post.Post{ID: benchID(tb), Author: "sam", CreatedAt: from, Kind: post.Brand, Content: c}
		d := post.Delivery{
			ID: benchID(tb), Post: p.ID, Target: benchID(tb), Account: key, Platform: platforms[i%4], State: post.Scheduled,
			Due: post.Instant(from.Add(time.Duration(i) * step)), Digest: c.Digest(),
			Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}},
		}
		p.Targets = []post.Target{{ID: d.Target, Account: key, Platform: d.Platform, Content: c, Delivery: d.ID}}
		batch = append(batch, store.NewPost{Post: p, Deliveries: []post.Delivery{d}, Fingerprints: []string{""}})
	}
	return batch
}

// benchText is about as long as what people write when they announce a thing.
func benchText(i int, start time.Time) string {
	return fmt.Sprintf("delivery %d of the benchmark of %d, with about as much text as a post usually has: some 160 characters, which is what people write when they announce a thing.", i, start.UnixMilli())
}

func benchID(tb testing.TB) post.ID {
	tb.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		tb.Fatal(err)
	}
	return post.ID(id)
}

// anonymousMiB is the process's memory that is not the file's.
func anonymousMiB(tb testing.TB, pid int) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				tb.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	tb.Fatal("no RssAnon in the process's status")
	return 0
}

// BenchmarkPunctual queues 200 posts over REST, each for an instant of its own 25 ms after the one before, and reports
// how long after its due time each commit reached the platform, as the platform's own log has it.
func BenchmarkPunctual(b *testing.B) {
	const posts = 200
	for range b.N {
		w := newWorld(b)
		p := startDaemon(b, w.config)
		due := make([]time.Time, posts)
		first := time.Now().Add(4 * time.Second)
		accounts := []string{"acme-x", "acme-page"}
		for i := range due {
			due[i] = post.Instant(first.Add(time.Duration(i) * 25 * time.Millisecond))
			body := map[string]any{
				"text": fmt.Sprintf("on time %d of %d", i, posts), "targets": []string{accounts[i%2]},
				"at": due[i].Format("2006-01-02T15:04:05.000Z07:00"),
			}
			if status, err := w.call(b.Context(), http.MethodPost, p.url+"/api/v1/posts", body, nil); err != nil || status != http.StatusCreated {
				b.Fatalf("status %d, %v", status, err)
			}
		}
		if left := time.Until(first); left < 0 {
			b.Logf("queueing took %s too long", -left)
		}
		pause := time.NewTimer(time.Until(due[posts-1].Add(time.Second)))
		<-pause.C
		var lags []time.Duration
		for _, r := range w.box.Requests() {
			if r.Commit && len(lags) < posts {
				lags = append(lags, r.Time.Sub(due[len(lags)]))
			}
		}
		if len(lags) != posts {
			b.Fatalf("%d of %d posts went out", len(lags), posts)
		}
		slices.Sort(lags)
		b.ReportMetric(float64(lags[posts/2].Microseconds())/1000, "lag-p50-ms")
		b.ReportMetric(float64(lags[posts*99/100].Microseconds())/1000, "lag-p99-ms")
		p.kill()
	}
}
