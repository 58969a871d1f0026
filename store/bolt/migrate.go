package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	bbolt "go.etcd.io/bbolt"

	"crier/store"
)

// migrations bring a file forward: the one at i makes schema i+2 out of schema i+1. Each runs once, in the transaction
// that writes the new number, so that a crash leaves a file of one schema or of the other. What stands in records that
// name their own version is left as it is: readers know the earlier ones.
func migrations() []func(*tx) error {
	return []func(*tx) error{
		(*tx).toSchema2,
		(*tx).toSchema3,
		(*tx).toSchema4,
	}
}

// readSchema gives the schema of a file, and refuses what this program does not know.
func (t *tx) readSchema() (uint64, error) {
	for id, name := range bucketNames {
		if t.bucket(bucketID(id)) == nil {
			return 0, fmt.Errorf("%w: bucket %s is missing", store.ErrCorrupt, name)
		}
	}
	b := t.get(bMeta, []byte(metaSchema))
	if len(b) != 8 {
		return 0, corrupt(bMeta, []byte(metaSchema), errShort)
	}
	n := readSeq(b)
	if n > schema {
		return 0, fmt.Errorf("the file has schema %d, this program knows %d: use a newer crier", n, schema)
	}
	if n == 0 {
		return 0, corrupt(bMeta, []byte(metaSchema), errors.New("there is no schema 0"))
	}
	return n, nil
}

// migrate brings a file of an earlier schema forward. Before it touches the file it keeps a copy beside it, which an
// earlier crier can open.
func (s *Store) migrate(ctx context.Context, dir string, from uint64) error {
	if from == schema {
		return nil
	}
	if err := s.keep(ctx, filepath.Join(dir, fmt.Sprintf("%s.schema-%d", FileName, from))); err != nil {
		return fmt.Errorf("keep a copy of schema %d: %w", from, err)
	}
	err := s.db.Update(func(b *bbolt.Tx) error { return newTx(b).forward(from) })
	if err != nil {
		return fmt.Errorf("bring schema %d forward: %w", from, err)
	}
	return nil
}

// keep makes a copy of the file, unless there is one: a start that was cut short has made it then, for its name is given
// after its last byte. Where the copy is of another time, since somebody went back to an earlier crier meanwhile, the new
// one has the sequence in its name as well.
func (s *Store) keep(ctx context.Context, path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		if s.isCopy(path) {
			return nil
		}
		path = fmt.Sprintf("%s-%d", path, s.seq.Load())
		if _, err = os.Lstat(path); err == nil {
			return nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(removeIfThere(path+".tmp"), s.Backup(ctx, path))
}

// isCopy reports whether a file is a copy of this store as it is now.
func (s *Store) isCopy(path string) (same bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil { // it is damaged
			same = false
		}
	}()
	db, err := openFile(path, &bbolt.Options{Timeout: lockWait, ReadOnly: true, FreelistType: bbolt.FreelistArrayType})
	if err != nil {
		return false // whatever it is, it is left alone
	}
	err = db.View(func(b *bbolt.Tx) error {
		t := newTx(b)
		m, err := t.loadMeta()
		same = err == nil && m.seq == s.seq.Load() && string(t.get(bMeta, []byte(metaEpoch))) == s.epoch
		return err
	})
	return errors.Join(err, db.Close()) == nil && same
}

// forward does the steps from a schema to the present one.
func (t *tx) forward(from uint64) error {
	for _, step := range migrations()[from-1:] {
		if err := step(t); err != nil {
			return err
		}
	}
	return t.put(bMeta, []byte(metaSchema), seqKey(schema))
}
