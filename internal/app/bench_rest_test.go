package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crier/internal/app"
	"crier/store/bolt"
)

const benchKey = app.DemoKey

// benchQueued is CRIER_BENCH_QUEUED, by default 1,000,000.
func benchQueued(b *testing.B) int {
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

// BenchmarkREST measures the API of the real daemon over TCP, on an empty store and on CRIER_BENCH_QUEUED deliveries
// over 90 days: posts created by one caller and by 64, and pages of 500 of the calendar. Every caller has keys of its
// own, since each key is limited.
func BenchmarkREST(b *testing.B) {
	for _, n := range []int{0, benchQueued(b)} {
		b.Run(fmt.Sprintf("queued=%d", n), func(b *testing.B) {
			w := newWorld(b)
			p := startDaemon(b, w.config) // makes key, store and accounts
			dir := filepath.Join(filepath.Dir(w.config), "data")
			first := time.Now().Add(24 * time.Hour)
			if n > 0 {
				p.stop(b)
				fillQueue(b, dir, n, first)
				p = startDaemon(b, w.config)
			}
			b.Cleanup(p.kill)
			keys := newKeys(b, p.url, 256)
			b.Run("create/callers=1", func(b *testing.B) { benchCreate(b, p, keys[:64], dir, 1) })
			b.Run("create/callers=64", func(b *testing.B) { benchCreate(b, p, keys[64:], dir, 64) })
			if n > 0 {
				b.Run("calendar", func(b *testing.B) { benchCalendar(b, p, keys[0], first, "") })
				b.Run("calendar of one account", func(b *testing.B) { benchCalendar(b, p, keys[0], first, "&account=acme-x") })
				b.Run("calendar by state", func(b *testing.B) { benchCalendar(b, p, keys[0], first, "&state=scheduled") })
			}
		})
	}
}

// benchPost is a post as people write them, one of many, months ahead.
func benchPost(n int64) m {
	accounts := []string{"acme-x", "acme-page"}
	return m{
		"text": fmt.Sprintf("Crier 1.0 is out: the right words, in the right square, at the right hour, once, and in the right name. "+
			"Read more in the notes of the release, number %d of this benchmark", n),
		"targets": accounts[n%2 : n%2+1],
		"at":      time.Now().Add(time.Duration(24*60+n%100_000) * time.Minute).UTC().Format(time.RFC3339),
	}
}

// benchPosts numbers the posts of a run: no two are equal.
var benchPosts atomic.Int64

// benchCreate creates b.N posts by as many callers. For one caller, the same number of bytes is then written and synced
// in as many rounds by a bare loop beside the store.
func benchCreate(b *testing.B, p *process, keys []string, dir string, callers int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var took times
	before := written(b, p.cmd.Process.Pid)
	var wg sync.WaitGroup
	all := make([]*caller, callers)
	for i := range all {
		all[i] = dialCaller(b, p.url, "")
	}
	b.ResetTimer()
	for i, c := range all {
		wg.Go(func() {
			for n := i; left.Add(-1) >= 0; n += callers {
				c.key = keys[n%len(keys)]
				body := benchPost(benchPosts.Add(1))
				began := time.Now()
				resp, answer, err := c.ask(http.MethodPost, "/api/v1/posts", body)
				if err != nil || resp.StatusCode != http.StatusCreated {
					b.Errorf("creating a post: %v %s", err, answer)
					return
				}
				took.add(time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	elapsed := b.Elapsed()
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "posts/s")
	b.ReportMetric(inMillis(took.at(0.50)), "p50-ms")
	b.ReportMetric(inMillis(took.at(0.99)), "p99-ms")
	b.ReportMetric(0, "ns/op")
	if bytes := written(b, p.cmd.Process.Pid) - before; bytes > 0 {
		each := bytes / int64(b.N)
		b.ReportMetric(float64(each), "bytes/post")
		if callers == 1 {
			bare := bareSyncs(b, dir, min(b.N, 2000), int(each))
			b.ReportMetric(float64(bare), "bare-ns/post")
			b.ReportMetric(float64(bare)/(float64(elapsed)/float64(b.N)), "of-bare-loop")
		}
	}
}

// bareSyncs gives how long a round of what a commit of bbolt is to a disk takes: so many bytes in pages of a file that
// has its size already, a sync, a page, a sync. It reads, decides and encodes nothing.
func bareSyncs(b *testing.B, dir string, rounds, each int) time.Duration {
	b.Helper()
	const page, size = 4096, 64 << 20
	f, err := os.Create(filepath.Join(dir, "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	if _, err := f.Write(make([]byte, size)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	pages := max(each/page-1, 1)
	buf := make([]byte, page)
	at := int64(page)
	began := time.Now()
	for i := range rounds {
		buf[0] = byte(i)
		for range pages {
			if _, err := f.WriteAt(buf, at); err != nil {
				b.Fatal(err)
			}
			if at += page; at >= size {
				at = page
			}
		}
		datasync(b, f)
		if _, err := f.WriteAt(buf, 0); err != nil {
			b.Fatal(err)
		}
		datasync(b, f)
	}
	return time.Since(began) / time.Duration(rounds)
}

// written is how many bytes a process has given to the file system, 0 where nobody tells.
func written(b *testing.B, pid int) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// benchCalendar reads pages of 500 from instants all over the 90 days.
func benchCalendar(b *testing.B, p *process, key string, first time.Time, filter string) {
	b.Helper()
	c := dialCaller(b, p.url, key)
	var took times
	items, size := 0, 0
	n := 0
	for b.Loop() {
		from := first.Add(time.Duration(n*7919%80) * 24 * time.Hour).Add(time.Duration(n*104729%1440) * time.Minute)
		path := "/api/v1/deliveries?limit=500" + filter +
			"&from=" + url.QueryEscape(from.UTC().Format(time.RFC3339)) + "&to=" + url.QueryEscape(from.AddDate(0, 0, 7).UTC().Format(time.RFC3339))
		began := time.Now()
		resp, answer, err := c.ask(http.MethodGet, path, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("reading a page: %v %s", err, answer)
		}
		took.add(time.Since(began))
		n++
		if items == 0 {
			var page list[json.RawMessage]
			if err := json.Unmarshal(answer, &page); err != nil {
				b.Fatal(err)
			}
			items, size = len(page.Items), len(answer)
		}
	}
	b.ReportMetric(inMillis(took.at(0.50)), "p50-ms")
	b.ReportMetric(inMillis(took.at(0.99)), "p99-ms")
	b.ReportMetric(float64(items), "items/page")
	b.ReportMetric(float64(size)/1024, "KiB/page")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBulk writes 10,000 posts in one call of the store, on an empty store and on CRIER_BENCH_QUEUED deliveries:
// what a bulk import will be made of.
func BenchmarkBulk(b *testing.B) {
	for _, n := range []int{0, benchQueued(b)} {
		b.Run(fmt.Sprintf("queued=%d", n), func(b *testing.B) {
			w := newWorld(b)
			startDaemon(b, w.config).stop(b)
			dir := filepath.Join(filepath.Dir(w.config), "data")
			if n > 0 {
				fillQueue(b, dir, n, time.Now().Add(24*time.Hour))
			}
			const posts = 10_000
			for b.Loop() {
				b.StopTimer()
				s, err := bolt.Open(b.Context(), bolt.Options{Dir: dir, Now: time.Now()})
				if err != nil {
					b.Fatal(err)
				}
				all := queueOf(b, posts, posts, time.Now().Add(24*time.Hour))
				b.StartTimer()
				if _, err := s.CreatePosts(b.Context(), benchWrite(), all); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(posts)*float64(b.N)/b.Elapsed().Seconds(), "posts/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
