package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	asynqTask  = "post"
	asynqQueue = "default"
	// asynqKeep is how long a result stays, so that it is stored as the others' are; asynq deletes by default.
	asynqKeep = 24 * time.Hour
	// asynqLook is how often the number of results is asked for once every job has started: asynq tells nobody.
	asynqLook = 5 * time.Millisecond
)

// asynqSystem is an asynq client and server on a Redis that nobody else uses.
type asynqSystem struct {
	redis     *redis.Client
	client    *asynq.Client
	inspector *asynq.Inspector
	server    *asynq.Server
	started   bool
}

// openAsynq empties the Redis behind the socket. Pace is how often asynq looks for tasks that are due and for tasks
// to do; zero is its default (5 s and about 1 s).
func openAsynq(ctx context.Context, socket string, pace time.Duration, l load) (_ queue, err error) {
	opt := asynq.RedisClientOpt{Network: "unix", Addr: socket, PoolSize: l.callers}
	rdb := redis.NewClient(&redis.Options{Network: opt.Network, Addr: opt.Addr})
	if err := rdb.FlushAll(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("emptying Redis: %w", err), rdb.Close())
	}
	return &asynqSystem{
		redis: rdb, client: asynq.NewClient(opt), inspector: asynq.NewInspector(opt),
		server: asynq.NewServer(opt, asynq.Config{
			Concurrency: l.inFlight, TaskCheckInterval: pace, DelayedTaskCheckInterval: pace, LogLevel: asynq.FatalLevel,
		}),
	}, nil
}

func (q *asynqSystem) enqueue(ctx context.Context, j job) error {
	payload, err := json.Marshal(map[string]any{"n": j.n, "text": j.text})
	if err != nil {
		return fmt.Errorf("encoding a job: %w", err)
	}
	_, err = q.client.EnqueueContext(ctx, asynq.NewTask(asynqTask, payload),
		asynq.Queue(asynqQueue), asynq.ProcessAt(j.due), asynq.Retention(asynqKeep))
	return err
}

// enqueueAll says that asynq has no call for many.
func (*asynqSystem) enqueueAll(context.Context, []job) error { return errors.ErrUnsupported }

func (q *asynqSystem) start(_ context.Context, c *course) error {
	q.started = true
	return q.server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		c.start()
		return nil
	}))
}

// settled waits until every job has started and then until Redis holds every result.
func (q *asynqSystem) settled(ctx context.Context, c *course) error {
	select {
	case <-c.all:
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(asynqLook)
	defer tick.Stop()
	for {
		info, err := q.inspector.GetQueueInfo(asynqQueue)
		if err != nil {
			return fmt.Errorf("counting the results: %w", err)
		}
		if info.Completed >= len(c.lags) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *asynqSystem) close(ctx context.Context) error {
	if q.started {
		q.server.Shutdown()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	return errors.Join(q.client.Close(), q.inspector.Close(), q.redis.FlushAll(ctx).Err(), q.redis.Close())
}
