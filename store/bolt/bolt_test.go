package bolt_test

import (
	"path/filepath"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
	"crier/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Backend{
		Open: func(dir string) (store.Store, error) {
			s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Create: true, Now: time.Unix(0, 0)})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Damage: damage,
		Verify: bolt.Fsck,
	})
}

// damage gives a delivery's record an unknown version.
func damage(dir string, id post.ID) error {
	db, err := bbolt.Open(filepath.Join(dir, bolt.FileName), 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("delivery"))
		v := append([]byte(nil), b.Get(id[:])...)
		v[0] = 99
		return b.Put(id[:], v)
	})
	if err != nil {
		return err
	}
	return db.Close()
}
