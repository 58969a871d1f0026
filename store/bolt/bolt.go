// Package bolt keeps Crier's queue in one bbolt file.
//
// One goroutine writes, with a group commit of its own; readers run beside it. Deliveries, contents and the small
// tables are the truth, every other bucket is an index that [Store.Check] can verify.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/store"
)

// Store is the bbolt store. Make it with [Open] and end it with Close.
type Store struct {
	db       *bbolt.DB
	dir      string
	home     home
	epoch    string
	restored bool

	ops      chan *op
	wake     chan struct{}
	finished chan struct{}
	closing  sync.RWMutex // held for writing while closed is set
	closed   bool
	seq      atomic.Uint64 // of the last change that is on disk
	lastTurn atomic.Int64  // when the last turn was taken, in milliseconds
	broken   error         // the writer's: why nothing can be written any more

	reading sync.RWMutex  // held for reading by every view
	txs     sync.Pool     // of *tx, empty: each view needs one, and they are large
	doubts  atomic.Uint64 // commits that reported an error and may be on disk
	wary    bool          // the writer's: the last commit was one of them
	kept    slab          // the writer's: the values of its transaction

	accounts decoded[accountRecord]
	keys     decoded[store.Key]

	orphaning sync.Mutex
	orphans   []orphan // claims that nobody got, since their commit reported an error
}

var _ store.Store = (*Store)(nil)

// Wake receives after a write that may have made something due earlier.
func (s *Store) Wake() <-chan struct{} { return s.wake }

// Restored reports whether the file was found to be restored or copied when it was opened: it is older than the note
// beside it, has none, or the note is about another file or another machine. Every lane was then held.
func (s *Store) Restored() bool { return s.restored }

// Close finishes the writes that wait, notes the sequence beside the file and closes it. All later calls give
// ErrClosed.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	close(s.ops)
	s.closing.Unlock()
	<-s.finished
	noteErr := s.note()
	if s.broken != nil { // bbolt's locks are held for good; the file is let go of when the process ends
		return fmt.Errorf("close the store: %w", errors.Join(s.broken, noteErr))
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return noteErr
}

// Note writes the sequence of the last change into the small file beside the store, with what a copy of the folder
// cannot take along. It is to be called at least once a minute: a store that is older than its note, or that its note
// does not mean, was restored or copied.
func (s *Store) Note(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.note()
}

// Info says what the store is.
func (s *Store) Info(ctx context.Context) (store.Info, error) {
	i := store.Info{Epoch: s.epoch, Schema: schema}
	err := s.read(ctx, func(t *tx) error {
		m, err := t.loadMeta()
		if err != nil {
			return err
		}
		i.Sequence, i.Bytes = m.seq, t.b.Size()
		return nil
	})
	return i, err
}

// Writable commits a small record.
func (s *Store) Writable(ctx context.Context) error {
	return s.write(ctx, time.Time{}, func(t *tx) error { return t.put(bMeta, []byte("writable"), []byte{1}) })
}
