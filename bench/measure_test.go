package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// toy is a queue in memory that starts each job a while after it is due and takes as long again to write the result.
type toy struct {
	late   time.Duration
	twice  bool          // start the first job twice
	taking time.Duration // how long enqueueing in bulk takes

	mu      sync.Mutex
	singles int
	bulk    []job
	closed  bool
	work    sync.WaitGroup
	result  chan struct{}
}

func (q *toy) enqueue(context.Context, job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.singles++
	return nil
}

func (q *toy) enqueueAll(_ context.Context, js []job) error {
	time.Sleep(q.taking)
	q.bulk = append(q.bulk, js...)
	return nil
}

func (q *toy) start(_ context.Context, c *course) error {
	q.result = make(chan struct{}, len(c.lags))
	for i, j := range q.bulk {
		if time.Until(j.due) > time.Hour {
			continue
		}
		q.work.Go(func() {
			time.Sleep(time.Until(j.due) + q.late)
			c.start()
			if q.twice && i == len(q.bulk)-1 {
				c.start()
			}
			time.Sleep(q.late)
			q.result <- struct{}{}
		})
	}
	return nil
}

func (q *toy) settled(_ context.Context, c *course) error {
	for range c.lags {
		<-q.result
	}
	return nil
}

func (q *toy) close(context.Context) error {
	q.work.Wait()
	q.closed = true
	return nil
}

func TestABurstIsTimedFromItsDueInstantToItsLastResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &toy{late: 2 * time.Second, taking: time.Second}
		r := row{name: "toy", open: func(context.Context) (queue, error) { return q, nil }}
		f, err := r.measure(t.Context(), load{jobs: 100, inFlight: 100, queued: 30, singles: 20, callers: 4, ahead: 15 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if f.p50 != 2*time.Second || f.p99 != 2*time.Second || f.rate != 25 || f.bulk != 100 {
			t.Errorf("p50 %s, p99 %s, %v jobs/s, %v enqueued a second, want 2s, 2s, 25, 100", f.p50, f.p99, f.rate, f.bulk)
		}
		if q.singles != 20 || len(q.bulk) != 130 || !q.closed {
			t.Errorf("%d one by one, %d in bulk, closed %t, want 20, 130, true", q.singles, len(q.bulk), q.closed)
		}
	})
}

func TestABurstThatWentWrongIsNoFigure(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		toy  *toy
		want string
	}{
		"a job that starts twice":     {&toy{late: time.Second, twice: true}, "101 starts for 100 jobs"},
		"a job that starts too early": {&toy{late: -time.Second}, "before it was due"},
		"enqueueing for too long":     {&toy{taking: 9 * time.Second}, "raise -ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := tc.toy
				r := row{name: "toy", open: func(context.Context) (queue, error) { return q, nil }}
				_, err := r.measure(t.Context(), load{jobs: 100, inFlight: 100, singles: 1, callers: 1, ahead: 15 * time.Second})
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want one that says %q", err, tc.want)
				}
				if !q.closed {
					t.Error("the queue was left open")
				}
			})
		})
	}
}

func TestARowThatCannotReleaseAtOnceSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &toy{}
		r := row{name: "toy", atOnce: true, open: func(context.Context) (queue, error) { return q, nil }}
		if _, err := r.measure(t.Context(), load{jobs: 1, singles: 1, callers: 1}); err == nil {
			t.Error("no error")
		}
	})
}

// oneOnly has no call for many, as asynq has none.
type oneOnly struct{ toy }

func (*oneOnly) enqueueAll(context.Context, []job) error { return errors.ErrUnsupported }

func TestASystemWithoutBulkEnqueueingIsFilledOneByOne(t *testing.T) {
	t.Parallel()
	q := &oneOnly{}
	rate, err := inBulk(t.Context(), q, jobs(50, time.Now(), 0), 8)
	if err != nil || rate != 0 || q.singles != 50 {
		t.Errorf("rate %v, %d enqueued, error %v, want 0, 50, none", rate, q.singles, err)
	}
}
