package bolt_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// A mark that an earlier Crier wrote, one for each content and place, counts like any other and goes with an edit.
func TestMarksOfAnEarlierCrierCount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorkbench(t, dir)
	words := func() store.NewPost {
		n := w.draft(w.at.Add(time.Hour))
		n.Fingerprints = []string{"words"}
		return n
	}
	first := words()
	_, err := w.s.CreatePost(t.Context(), w.write(), first)
	w.ok(err)
	closeStore(t, w.s)
	db, err := bbolt.Open(filepath.Join(dir, bolt.FileName), 0o600, nil)
	w.ok(err)
	w.ok(db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("fingerprint"))
		k, v := b.Cursor().First()
		key, value := append([]byte(nil), k...), append([]byte(nil), v...)
		return errors.Join(b.Delete(key), b.Put(key[:len(key)-16], value))
	}))
	w.ok(db.Close())
	w.s = open(t, dir)
	_, err = w.s.CreatePost(t.Context(), w.write(), words())
	if dup, ok := errors.AsType[*store.DuplicateError](err); !ok || dup.Earlier != first.Post.ID {
		t.Errorf("got %v, want post %s named", err, first.Post.ID)
	}
	id := first.Deliveries[0].ID
	_, err = w.s.EditPost(t.Context(), w.write(), store.Edit{
		Post: first.Post, Changes: map[post.ID]store.DeliveryEdit{id: {Digest: "other", Roles: []post.Role{post.RolePost}}},
		Before: map[post.ID]string{id: "words"}, Fingerprints: map[post.ID]string{id: "others"},
	})
	w.ok(err)
	_, err = w.s.CreatePost(t.Context(), w.write(), words())
	w.ok(err)
	closeStore(t, w.s)
}
