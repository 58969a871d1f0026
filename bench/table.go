package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// peers are the modules whose versions stand below the table.
func peers() []string {
	return []string{"github.com/riverqueue/river", "github.com/jackc/pgx/v5", "github.com/hibiken/asynq", "github.com/redis/go-redis/v9", "go.etcd.io/bbolt"}
}

// writeTable writes the outcome as Markdown: each cell is the median over the rounds with the least and the greatest.
// Ratios are taken within each round, against the first row, and then treated the same way.
func writeTable(w io.Writer, o options, rows []row) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s jobs due at one instant, %s in flight at most, no-op work, %s others queued for later; %d rounds, median (least–greatest).\n",
		number(float64(o.load.jobs)), number(float64(o.load.inFlight)), number(float64(o.load.queued+o.load.singles)), o.rounds)
	fmt.Fprintf(&b, "%s, %s/%s, %d CPUs, %s%s.\n\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), runtime.Version(), versions())
	columns := []string{
		"System", "jobs/s", "lag p50, ms", "lag p99, ms", "rate, first row : this", "p99 lag, this : first row",
		fmt.Sprintf("enqueue, %d callers, jobs/s", o.load.callers), "enqueue in bulk, jobs/s",
	}
	fmt.Fprintf(&b, "| %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-1))
	first := rows[0].rounds
	for _, r := range rows {
		cells := []string{
			r.name,
			each(r.rounds, number, func(_ int, f figures) float64 { return f.rate }),
			each(r.rounds, number, func(_ int, f figures) float64 { return ms(f.p50) }),
			each(r.rounds, number, func(_ int, f figures) float64 { return ms(f.p99) }),
			each(r.rounds, ratio, func(i int, f figures) float64 { return first[i].rate / f.rate }),
			each(r.rounds, ratio, func(i int, f figures) float64 { return float64(f.p99) / float64(first[i].p99) }),
			each(r.rounds, number, func(_ int, f figures) float64 { return f.single }),
			each(r.rounds, number, func(_ int, f figures) float64 { return f.bulk }),
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// each is a cell: the median of one figure over the rounds with its spread, or a dash where there is none.
func each(rounds []figures, format func(float64) string, of func(int, figures) float64) string {
	values := make([]float64, len(rounds))
	for i, f := range rounds {
		values[i] = of(i, f)
	}
	slices.Sort(values)
	least, greatest := values[0], values[len(values)-1]
	if greatest == 0 {
		return "–"
	}
	if len(values) == 1 {
		return format(least)
	}
	return fmt.Sprintf("%s (%s–%s)", format(median(values)), format(least), format(greatest))
}

// median is the middle of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// percentile is the least of the sorted values that p in a hundred of them do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max((len(sorted)*p+99)/100-1, 0)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// number writes three significant figures, with commas between thousands.
func number(v float64) string {
	if v > 0 {
		unit := math.Pow(10, math.Floor(math.Log10(v))-2)
		v = math.Round(v/unit) * unit
	}
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ratio writes a ratio with two significant figures.
func ratio(v float64) string {
	if v >= 10 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// versions lists the modules that were measured, as they were linked.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, m := range info.Deps {
		if slices.Contains(peers(), m.Path) {
			b.WriteString(", " + m.Path + " " + m.Version)
		}
	}
	return b.String()
}
