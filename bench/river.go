package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverDatabase is dropped and made anew for each run.
const riverDatabase = "crier_bench_river"

// riverPace is how often River looks for work; zero is its default (100 ms at the least, 1 s without a notice).
type riverPace struct{ cooldown, poll time.Duration }

// riverQueue is a River client on a database of its own.
type riverQueue struct {
	admin  *pgx.Conn
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	worker riverWorker
	events <-chan *river.Event
	stop   func() // ends the subscription; nil before start
}

// openRiver makes an empty database with River's tables. Its pool has a connection for each caller, so that
// PostgreSQL can group commits; pgx would open four.
func openRiver(ctx context.Context, dsn string, pace riverPace, l load) (_ queue, err error) {
	q := &riverQueue{}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.close(ctx))
		}
	}()
	if q.admin, err = pgx.Connect(ctx, dsn); err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + riverDatabase + " WITH (FORCE)", "CREATE DATABASE " + riverDatabase} {
		if _, err := q.admin.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("making a database: %w", err)
		}
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the DSN: %w", err)
	}
	cfg.ConnConfig.Database = riverDatabase
	cfg.MaxConns = int32(min(l.callers, 90)) //nolint:gosec // at most 90, below PostgreSQL's 100 connections
	if q.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("opening a pool: %w", err)
	}
	driver := riverpgxv5.New(q.pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("preparing River's tables: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("making River's tables: %w", err)
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &q.worker); err != nil {
		return nil, fmt.Errorf("adding the worker: %w", err)
	}
	q.client, err = river.NewClient(driver, &river.Config{
		FetchCooldown: pace.cooldown, FetchPollInterval: pace.poll, Workers: workers,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: l.inFlight}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return q, nil
}

// riverJob is a job's content in River.
type riverJob struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

// Kind names the job for River.
func (riverJob) Kind() string { return "post" }

func riverParams(js []job) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(js))
	for i, j := range js {
		params[i] = river.InsertManyParams{Args: riverJob{N: j.n, Text: j.text}, InsertOpts: &river.InsertOpts{ScheduledAt: j.due}}
	}
	return params
}

func (q *riverQueue) enqueue(ctx context.Context, j job) error {
	_, err := q.client.Insert(ctx, riverJob{N: j.n, Text: j.text}, &river.InsertOpts{ScheduledAt: j.due})
	return err
}

func (q *riverQueue) enqueueAll(ctx context.Context, js []job) error {
	_, err := q.client.InsertManyFast(ctx, riverParams(js))
	return err
}

// withhold inserts in a transaction that release commits. Jobs without a due time are available at once.
func (q *riverQueue) withhold(ctx context.Context, js []job) (func(context.Context) error, error) {
	tx, err := q.pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	if _, err := q.client.InsertManyFastTx(ctx, tx, riverParams(js)); err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	return tx.Commit, nil
}

// riverWorker does nothing.
type riverWorker struct {
	river.WorkerDefaults[riverJob]

	course *course // set before the client starts
}

// Work notes that the job started.
func (w *riverWorker) Work(context.Context, *river.Job[riverJob]) error {
	w.course.start()
	return nil
}

func (q *riverQueue) start(ctx context.Context, c *course) error {
	// What autovacuum would have found out about a table that has been in use for a while.
	if _, err := q.pool.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("gathering statistics: %w", err)
	}
	q.worker.course = c
	// Room for all: River drops what does not fit.
	q.events, q.stop = q.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: len(c.lags) + 1,
		Kinds:    []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled},
	})
	return q.client.Start(ctx)
}

// settled counts events, which River sends after the results are committed.
func (q *riverQueue) settled(ctx context.Context, c *course) error {
	for range c.lags {
		select {
		case e := <-q.events:
			if e.Kind != river.EventKindJobCompleted {
				return fmt.Errorf("job %d: %s", e.Job.ID, e.Kind)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (q *riverQueue) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	var errs []error
	if q.stop != nil {
		errs = append(errs, q.client.StopAndCancel(ctx))
		q.stop()
	}
	if q.pool != nil {
		q.pool.Close()
	}
	if q.admin != nil {
		_, err := q.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+riverDatabase+" WITH (FORCE)")
		errs = append(errs, err, q.admin.Close(ctx))
	}
	return errors.Join(errs...)
}
