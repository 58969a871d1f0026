// Command bench sends the same burst through Crier, River and asynq, in turn and several times over, and prints one
// table. run.sh starts the servers that River and asynq need and calls it; README.md says what the rows mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // main is the one place that ends the process
	}
}

// options are the command line's.
type options struct {
	load     load
	rounds   int
	only     *regexp.Regexp
	dir      string // where Crier's folders are made
	postgres string // DSN of a database from which others may be created and dropped
	always   string // socket of a Redis that syncs its log with every command
	everysec string // socket of a Redis that syncs its log once a second
}

// parse reads the command line; usage and mistakes go to errOut.
func parse(args []string, errOut io.Writer) (options, error) {
	var (
		o    options
		only string
	)
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(errOut)
	fs.IntVar(&o.rounds, "rounds", 3, "how often each row is measured, all rows in turn")
	fs.IntVar(&o.load.jobs, "jobs", 10_000, "jobs due at the one instant")
	fs.IntVar(&o.load.inFlight, "inflight", 1000, "most jobs at work at the same time")
	fs.IntVar(&o.load.queued, "queued", 0, "jobs that lie in the queue beside the burst, due a day later and on")
	fs.IntVar(&o.load.singles, "singles", 5000, "jobs enqueued one by one to measure that rate; due as -queued ones")
	fs.IntVar(&o.load.callers, "callers", 64, "callers that enqueue one by one")
	fs.DurationVar(&o.load.ahead, "ahead", 15*time.Second, "how long before its due instant the burst is enqueued")
	fs.StringVar(&only, "only", "", "measure only rows whose name matches this regular expression")
	fs.StringVar(&o.dir, "dir", "", "folder for Crier's data, on the same disk as the servers' (default: the system's for temporary files)")
	fs.StringVar(&o.postgres, "postgres", "", "DSN of a PostgreSQL superuser for River; without it its rows are left out")
	fs.StringVar(&o.always, "redis-always", "", "socket of a Redis with appendfsync always for asynq; without it its rows are left out")
	fs.StringVar(&o.everysec, "redis-everysec", "", "socket of a Redis with appendfsync everysec for asynq; without it its rows are left out")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return options{}, fmt.Errorf("reading -only: %w", err)
	}
	for name, n := range map[string]int{"rounds": o.rounds, "jobs": o.load.jobs, "inflight": o.load.inFlight, "singles": o.load.singles, "callers": o.load.callers} {
		if n < 1 {
			return options{}, fmt.Errorf("-%s must be at least 1", name)
		}
	}
	if o.load.queued < 0 || o.load.ahead < leastAhead {
		return options{}, fmt.Errorf("-queued must not be negative and -ahead not below %s", leastAhead)
	}
	return o, nil
}

// run measures every row in every round and writes the table to out; progress goes to errOut.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	var rows []row
	for _, r := range contenders(o) {
		if o.only.MatchString(r.name) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return errors.New("no row is left to measure")
	}
	for round := range o.rounds {
		for i := range rows {
			// What the row before left behind is not this row's to collect.
			runtime.GC()
			f, err := rows[i].measure(ctx, o.load)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, rows[i].name, err)
			}
			rows[i].rounds = append(rows[i].rounds, f)
			_, err = fmt.Fprintf(errOut, "round %d/%d  %-44s %8.0f jobs/s  p50 %6.0f ms  p99 %6.0f ms  load %s\n",
				round+1, o.rounds, rows[i].name, f.rate, ms(f.p50), ms(f.p99), machineLoad())
			if err != nil {
				return fmt.Errorf("writing progress: %w", err)
			}
		}
	}
	return writeTable(out, o, rows)
}

// contenders lists the rows in the table's order. Crier comes first: the ratios are taken against the first row.
func contenders(o options) []row {
	crier := func(lanes int) opener {
		return func(ctx context.Context) (queue, error) { return openCrier(ctx, o.dir, lanes, o.load.inFlight) }
	}
	rows := []row{
		{name: "Crier, an account a post", open: crier(o.load.jobs)},
		{name: "Crier, 100 accounts", open: crier(100)},
	}
	if o.postgres != "" {
		for _, s := range []struct {
			name string
			pace riverPace
		}{
			{"River, default polling", riverPace{}},
			{"River, fast polling", riverPace{cooldown: 5 * time.Millisecond, poll: 10 * time.Millisecond}},
		} {
			open := func(ctx context.Context) (queue, error) { return openRiver(ctx, o.postgres, s.pace, o.load) }
			rows = append(rows, row{name: s.name, open: open}, row{name: s.name + ", due when enqueued", open: open, atOnce: true})
		}
	}
	for _, s := range []struct{ name, socket string }{{"appendfsync always", o.always}, {"appendfsync everysec", o.everysec}} {
		if s.socket == "" {
			continue
		}
		for _, p := range []struct {
			name string
			pace time.Duration
		}{{"default polling", 0}, {"fast polling", 10 * time.Millisecond}} {
			rows = append(rows, row{
				name: "asynq, " + p.name + ", " + s.name,
				open: func(ctx context.Context) (queue, error) { return openAsynq(ctx, s.socket, p.pace, o.load) },
			})
		}
	}
	return rows
}

// machineLoad is the load average of the last minute, so that a disturbed round can be told from a quiet one.
func machineLoad() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(averages), " ")
	return minute
}
