package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// leastAhead is the shortest -ahead that leaves time to enqueue the burst.
	leastAhead = 10 * time.Second
	// leastIdle is how long the workers must stand idle before the due instant: River's leader election and one
	// round of its job scheduler (5 s) fit in.
	leastIdle = 7 * time.Second
	// warmUp is how long the workers stand idle before a burst that is due when it is enqueued.
	warmUp = 3 * time.Second
	// early is what clocks of two processes on one machine and a rounded instant may differ by.
	early = 2 * time.Millisecond
	// stuck bounds a burst: whatever takes longer has lost a job.
	stuck = 10 * time.Minute
	// cleanUp bounds what a server is asked to do at the end.
	cleanUp = 30 * time.Second
)

// load is what every system gets.
type load struct {
	jobs, inFlight, queued, singles, callers int
	ahead                                    time.Duration
}

// job is one piece of work; its text is what a post says.
type job struct {
	n    int
	text string
	due  time.Time
}

// jobs makes n jobs, each a step after the one before.
func jobs(n int, due time.Time, step time.Duration) []job {
	made := make([]job, n)
	for i := range made {
		made[i] = job{
			n: i, due: due.Add(time.Duration(i) * step),
			text: fmt.Sprintf("job %d of the benchmark, with about as much text as a post usually has, give or take a few words", i),
		}
	}
	return made
}

// queue is one system under test, on a store of its own that was empty when it was opened. Enqueued jobs are durable
// when the call returns, as far as the system's settings make them so.
type queue interface {
	// enqueue stores one job. It is safe for concurrent use.
	enqueue(ctx context.Context, j job) error
	// enqueueAll stores many jobs by the system's own way for many, errors.ErrUnsupported if it has none.
	enqueueAll(ctx context.Context, js []job) error
	// start starts the workers. They tell c of every job that starts.
	start(ctx context.Context, c *course) error
	// settled blocks until the results of the whole burst are durable.
	settled(ctx context.Context, c *course) error
	// close stops the workers and removes the store, also when ctx has ended.
	close(ctx context.Context) error
}

// withholder is a queue that can store jobs without letting a worker see them before release.
type withholder interface {
	withhold(ctx context.Context, js []job) (release func(context.Context) error, err error)
}

// opener makes a queue with an empty store.
type opener func(ctx context.Context) (queue, error)

// row is one line of the table.
type row struct {
	name string
	open opener
	// atOnce makes the burst due at the instant at which it is enqueued, so that no scheduling is measured.
	atOnce bool
	rounds []figures
}

// figures are the outcome of one burst. Rates are jobs a second; zero where the system has no such call.
type figures struct {
	single, bulk, rate float64
	p50, p99           time.Duration
}

// course records when the jobs of a burst start. It is safe for concurrent use.
type course struct {
	due     atomic.Int64 // unix nanoseconds
	started atomic.Int64
	lags    []time.Duration
	// all is closed when every job has started.
	all chan struct{}
}

func newCourse(n int) *course {
	return &course{lags: make([]time.Duration, n), all: make(chan struct{})}
}

// start notes that one job starts now.
func (c *course) start() {
	lag := time.Duration(time.Now().UnixNano() - c.due.Load())
	i := c.started.Add(1)
	if i > int64(len(c.lags)) {
		return
	}
	c.lags[i-1] = lag
	if i == int64(len(c.lags)) {
		close(c.all)
	}
}

// measure opens the row's system, fills it, sends the burst and closes it.
func (r row) measure(ctx context.Context, l load) (f figures, err error) {
	q, err := r.open(ctx)
	if err != nil {
		return figures{}, err
	}
	defer func() { err = errors.Join(err, q.close(ctx)) }()

	later := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	if f.single, err = oneByOne(ctx, q, jobs(l.singles, later, time.Second), l.callers); err != nil {
		return figures{}, fmt.Errorf("enqueueing one by one: %w", err)
	}
	// In portions, so that no system holds them all in memory.
	for portion := range slices.Chunk(jobs(l.queued, later, time.Second), 10_000) {
		if _, err = inBulk(ctx, q, portion, l.callers); err != nil {
			return figures{}, fmt.Errorf("enqueueing what is due later: %w", err)
		}
	}

	c := newCourse(l.jobs)
	var began time.Time
	if r.atOnce {
		began, err = sendAtOnce(ctx, q, c, l)
	} else {
		// A whole second: that is what asynq can tell apart.
		began = time.Now().Add(l.ahead).Truncate(time.Second)
		f.bulk, err = sendDue(ctx, q, c, l, began)
	}
	if err != nil {
		return figures{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	if err := q.settled(ctx, c); err != nil {
		return figures{}, fmt.Errorf("waiting for the results: %w", err)
	}
	took := time.Since(began)
	if n := c.started.Load(); n != int64(l.jobs) {
		return figures{}, fmt.Errorf("%d starts for %d jobs", n, l.jobs)
	}
	slices.Sort(c.lags)
	if c.lags[0] < -early {
		return figures{}, fmt.Errorf("a job started %s before it was due", -c.lags[0])
	}
	f.rate = float64(l.jobs) / took.Seconds()
	f.p50, f.p99 = percentile(c.lags, 50), percentile(c.lags, 99)
	return f, nil
}

// sendDue enqueues a burst for due and starts the workers, and returns the rate of the enqueueing, zero where it was
// done one by one.
func sendDue(ctx context.Context, q queue, c *course, l load, due time.Time) (float64, error) {
	c.due.Store(due.UnixNano())
	bulk, err := inBulk(ctx, q, jobs(l.jobs, due, 0), l.callers)
	if err != nil {
		return 0, fmt.Errorf("enqueueing the burst: %w", err)
	}
	if err := q.start(ctx, c); err != nil {
		return 0, fmt.Errorf("starting the workers: %w", err)
	}
	if idle := time.Until(due); idle < leastIdle {
		return 0, fmt.Errorf("%s were left after enqueueing, not %s: raise -ahead", idle.Round(time.Millisecond), leastIdle)
	}
	return bulk, nil
}

// sendAtOnce starts the workers, lets them idle, releases a burst to them and returns the instant just before.
func sendAtOnce(ctx context.Context, q queue, c *course, l load) (time.Time, error) {
	w, ok := q.(withholder)
	if !ok {
		return time.Time{}, errors.New("it cannot release a burst at once")
	}
	if err := q.start(ctx, c); err != nil {
		return time.Time{}, fmt.Errorf("starting the workers: %w", err)
	}
	select {
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	case <-time.After(warmUp):
	}
	release, err := w.withhold(ctx, jobs(l.jobs, time.Time{}, 0))
	if err != nil {
		return time.Time{}, fmt.Errorf("enqueueing the burst: %w", err)
	}
	began := time.Now()
	c.due.Store(began.UnixNano())
	if err := release(ctx); err != nil {
		return time.Time{}, fmt.Errorf("releasing the burst: %w", err)
	}
	return began, nil
}

// inBulk enqueues by the system's way for many, else one by one, and returns the rate of the former.
func inBulk(ctx context.Context, q queue, js []job, callers int) (float64, error) {
	began := time.Now()
	switch err := q.enqueueAll(ctx, js); {
	case errors.Is(err, errors.ErrUnsupported):
		_, err := oneByOne(ctx, q, js, callers)
		return 0, err
	case err != nil:
		return 0, err
	}
	return float64(len(js)) / time.Since(began).Seconds(), nil
}

// oneByOne enqueues with so many callers at the same time and returns the rate.
func oneByOne(ctx context.Context, q queue, js []job, callers int) (float64, error) {
	var next atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range callers {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(js) {
					return nil
				}
				if err := q.enqueue(ctx, js[i]); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(len(js)) / time.Since(began).Seconds(), nil
}
