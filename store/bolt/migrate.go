package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	keep := filepath.Join(dir, fmt.Sprintf("%s.schema-%d", FileName, from))
	// A copy that is there already was made by a start that was cut short: its name is given after its last byte.
	if _, err := os.Lstat(keep); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(removeIfThere(keep+".tmp"), s.Backup(ctx, keep)); err != nil {
			return fmt.Errorf("keep a copy of schema %d: %w", from, err)
		}
	} else if err != nil {
		return fmt.Errorf("keep a copy of schema %d: %w", from, err)
	}
	err := s.db.Update(func(b *bbolt.Tx) error { return newTx(b).forward(from) })
	if err != nil {
		return fmt.Errorf("bring schema %d forward: %w", from, err)
	}
	return nil
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
