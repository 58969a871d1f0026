package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"crier/internal/post"
	"crier/store"
)

// The writer: one goroutine commits whatever gathered while the last commit ran. There is no timer, so a lone caller
// pays for one commit and a crowd shares one.
const (
	maxBatch = 1000
	maxQueue = 4096
)

// op is one operation. run may be called more than once, each time on a fresh transaction, and must set all that it
// gives back anew. It may refuse with an error; if it wrote before, the transaction is rolled back and the other
// operations are run again without it.
type op struct {
	now   time.Time
	run   func(*tx) error
	state atomic.Int32
	done  chan error
}

// The states of an operation.
const (
	opWaiting = iota
	opTaken
	opWithdrawn
)

// write runs one operation durably. A context that ends while the operation waits for its turn withdraws it; once it
// has been taken, write returns its outcome.
func (s *Store) write(ctx context.Context, now time.Time, run func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{now: post.Instant(now), run: run, done: make(chan error, 1)}
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return store.ErrClosed
	}
	select {
	case s.ops <- o:
		s.closing.RUnlock()
	case <-ctx.Done():
		s.closing.RUnlock()
		return ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.state.CompareAndSwap(opWaiting, opWithdrawn) {
			return ctx.Err()
		}
		return <-o.done
	}
}

// work is the writer goroutine. It ends when ops is closed and drained.
func (s *Store) work() {
	defer close(s.finished)
	debug.SetPanicOnFault(true) // for this goroutine alone: a page beyond the end of a file cut short is an error
	batch := make([]*op, 0, maxBatch)
	for o := range s.ops {
		batch = append(batch[:0], o)
	gather:
		for len(batch) < maxBatch {
			select {
			case more, ok := <-s.ops:
				if !ok {
					break gather
				}
				batch = append(batch, more)
			default:
				break gather
			}
		}
		s.commit(batch)
		clear(batch)
	}
}

// commit runs a batch and answers every operation in it.
func (s *Store) commit(batch []*op) {
	live := make([]*op, 0, len(batch))
	for _, o := range batch {
		if o.state.CompareAndSwap(opWaiting, opTaken) {
			live = append(live, o)
		}
	}
	for len(live) > 0 {
		bad, badErr, results, err := s.attempt(live)
		if bad >= 0 {
			live[bad].done <- badErr
			live = append(live[:bad], live[bad+1:]...)
			continue
		}
		for i, o := range live {
			if err != nil {
				o.done <- err
			} else {
				o.done <- results[i]
			}
		}
		return
	}
}

// attempt runs the operations in one transaction. bad is the index of an operation that failed after it had written;
// then nothing is on disk. results holds the refusals of the others.
func (s *Store) attempt(live []*op) (bad int, badErr error, results []error, err error) {
	if s.broken != nil {
		return -1, nil, nil, s.broken
	}
	s.awaitReaders()
	b, err := s.db.Begin(true)
	if err != nil {
		return -1, nil, nil, closedError(err)
	}
	s.kept.reset()
	t := newTx(b)
	t.kept = &s.kept
	results = make([]error, len(live))
	for i, o := range live {
		before := t.writes
		clear(t.lanes)
		failed := runOp(t, o)
		if failed != nil && t.writes > before {
			return i, failed, nil, rollback(b)
		}
		results[i] = failed
	}
	if t.writes == 0 {
		return -1, nil, results, rollback(b)
	}
	seq := s.seq.Load()
	if t.meta != nil {
		seq = t.meta.seq
	}
	if err := s.finish(t); err != nil {
		if errors.Is(err, store.ErrUnknownCommit) {
			s.doubts.Add(1)
			s.wary = true
		}
		return -1, nil, nil, err
	}
	s.seq.Store(seq)
	if t.wake {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return -1, nil, results, nil
}

// awaitReaders waits, after a commit in doubt, for the views that are open. bbolt rolls such a commit back and
// then reads the list of free pages anew from the head of the file; when that head is on disk after all, what the commit
// replaced is free at once, readers or not, and the next write would change pages under a view (seen in bbolt 1.5.0:
// Tx.rollback, freelist.Reload).
func (s *Store) awaitReaders() {
	if !s.wary {
		return
	}
	s.reading.Lock()
	s.wary = false
	s.reading.Unlock()
}

// finish writes the counters and commits. bbolt meets a damaged page with a panic, which becomes an error here; when even
// the rollback panics, bbolt holds its locks for good and nothing is written any more.
func (s *Store) finish(t *tx) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		err = fmt.Errorf("%w: %w: committing panicked: %v", store.ErrUnknownCommit, store.ErrCorrupt, r)
		defer func() {
			if recover() != nil {
				s.broken = err
			}
		}()
		if e := t.b.Rollback(); e != nil && !errors.Is(e, berrors.ErrTxClosed) {
			err = errors.Join(err, e)
		}
	}()
	if err := t.flushMeta(); err != nil {
		return errors.Join(err, rollback(t.b))
	}
	if err := t.b.Commit(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnknownCommit, err)
	}
	return nil
}

func rollback(b *bbolt.Tx) error {
	if err := b.Rollback(); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// runOp runs one operation and settles the lanes that it touched. A panic in it is its own failure alone: it counts as
// a write, so that nothing of it remains.
func runOp(t *tx, o *op) (err error) {
	defer func() {
		if r := recover(); r != nil {
			t.writes++
			err = fmt.Errorf("%w: reading it panicked: %v", store.ErrCorrupt, r)
		}
	}()
	if err := o.run(t); err != nil {
		return err
	}
	return t.settleLanes(o.now)
}

// closedError gives ErrClosed for what bbolt says of a closed file.
func closedError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// read runs f on a consistent view. A page that bbolt cannot read makes it panic, or fault where the file was cut short:
// both become ErrCorrupt. f must be short, for pages freed meanwhile cannot be reused until it returns; and it must not
// read on its own account, for a writer may wait for it to end.
func (s *Store) read(ctx context.Context, f func(*tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: reading it panicked: %v", store.ErrCorrupt, r)
		}
	}()
	return s.view(func(b *bbolt.Tx) error {
		t, _ := s.txs.Get().(*tx)
		if t == nil {
			t = &tx{}
		}
		t.b = b
		err := f(t)
		*t = tx{}
		s.txs.Put(t)
		return err
	})
}

func (s *Store) view(f func(*bbolt.Tx) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	return closedError(s.db.View(f))
}
