package bolt_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// A delivery that may be out goes back to the queue, an edit drops it, and its receipt comes all the same: a receipt is
// never refused. The history of the post holds it, however much has been pruned, and the file still agrees with itself.
func TestAReceiptOfADeliveryThatItsPostHasDropped(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t, t.TempDir())
	c := w.claim()
	_, err := w.turn(store.Result{Delivery: c.Delivery.ID, Settled: post.Settled{
		Part: c.Part, Fence: c.Delivery.Fence, To: post.Scheduled, NotBefore: w.at.Add(time.Hour), Counted: true, Began: w.at,
	}})
	w.ok(err)
	p, err := w.s.PostByID(t.Context(), c.Delivery.Post)
	w.ok(err)
	next, other := p.Post, newPost(77, other.Key(), w.at.Add(100*time.Hour))
	added := other.Deliveries[0]
	added.Post, next.Targets = next.ID, other.Post.Targets
	_, err = w.s.EditPost(t.Context(), w.write(), store.Edit{
		Post: next, Dropped: []post.ID{c.Delivery.ID}, Added: []post.Delivery{added},
	})
	w.ok(err)
	w.at = w.at.Add(time.Minute)
	_, err = w.turn(receipt(c))
	w.ok(err)
	w.sound("a receipt of what was dropped")
	backup := filepath.Join(t.TempDir(), "backup")
	w.ok(w.s.Backup(t.Context(), backup))
	if err := bolt.Restore(t.Context(), t.TempDir(), backup, w.at); err != nil {
		t.Errorf("its backup: %v", err)
	}
	w.ok(w.s.Prune(t.Context(), w.at, w.at))
	w.sound("pruned")
	history, err := w.s.History(t.Context(), c.Delivery.Post)
	w.ok(err)
	if !slices.ContainsFunc(history, func(c post.Change) bool { return c.Type == "delivery.published" }) {
		t.Errorf("the history has lost that it was published: %+v", history)
	}
}

func TestRenewingALeaseEndsNoHold(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t, t.TempDir())
	c := w.claim()
	hold := post.Hold{Reason: post.HoldPaused, Since: w.at, Until: w.at.Add(3 * time.Minute)}
	w.ok(w.s.HoldLane(t.Context(), w.write(), store.HoldOn{Account: acme.Key(), Hold: hold}))
	w.ok(w.s.Renew(t.Context(), "process-1", []post.ID{c.Delivery.ID}, w.at.Add(5*time.Minute)))
	v, err := w.s.AccountByHandle(t.Context(), acme.Handle)
	if err != nil || len(v.Holds) != 1 {
		t.Errorf("holds %v, %v", v.Holds, err)
	}
	n, err := w.s.Expire(t.Context(), w.at.Add(4*time.Minute), func(post.ID) bool { return false })
	if err != nil || n != 0 {
		t.Errorf("%d leases have ended, %v: it was not renewed", n, err)
	}
}
