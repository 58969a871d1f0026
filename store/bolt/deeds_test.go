package bolt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
	"crier/store/bolt"
)

// workbench is a store on which deeds are done: one of each kind of write, each on a post of its own.
type workbench struct {
	t    *testing.T
	s    *bolt.Store
	dir  string
	next uint64 // of the posts
	at   time.Time

	flying *store.Work // a claim that nobody has settled
}

// deed is one write. ready brings the store to where the write can be done; do does it and may be called again after an
// error, as a client or the scheduler would do; once says that doing it again after its effect is on disk changes
// nothing.
type deed struct {
	name  string
	ready func(*workbench) (do func() error)
	once  bool
}

var other = post.Account{
	Handle: "other-x", Platform: post.Twitter, Kind: post.Brand, Owner: "other", Mode: post.ModeAPI, MaxLate: time.Hour,
}

func newWorkbench(t *testing.T, dir string) *workbench {
	t.Helper()
	w := &workbench{t: t, dir: dir, at: now}
	w.s = open(t, dir)
	w.ok(w.s.SyncAccounts(t.Context(), w.write(), []post.Account{acme, other}))
	return w
}

func (w *workbench) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *workbench) write() store.Write { return store.Write{Now: w.at, Actor: "ann"} }

// under is a write with an idempotency key.
func (w *workbench) under(key string) store.Write {
	x := w.write()
	x.Once = &store.Once{Client: "ann", Key: key, Digest: [32]byte{1}, Answer: func(any) []byte { return []byte(key) }}
	return x
}

func (w *workbench) draft(due time.Time) store.NewPost {
	w.next++
	n := newPost(w.next, acme.Key(), due)
	n.Post.ExternalID = fmt.Sprint("e", w.next)
	return n
}

// later writes a post for a time far ahead.
func (w *workbench) later() store.NewPost {
	n := w.draft(w.at.Add(1000 * time.Hour))
	_, err := w.s.CreatePost(w.t.Context(), w.write(), n)
	w.ok(err)
	return n
}

func (w *workbench) turn(results ...store.Result) (store.Turned, error) {
	return w.s.Turn(w.t.Context(), store.Turn{
		Now: w.at, Owner: "process-1", Results: results, Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 10},
	})
}

// land settles what is in flight, so that the lane is free.
func (w *workbench) land() {
	if w.flying == nil {
		return
	}
	_, err := w.turn(receipt(*w.flying))
	w.ok(err)
	w.flying = nil
}

// claim makes a post that is due and claims it.
func (w *workbench) claim() store.Work {
	w.land()
	w.at = w.at.Add(time.Second)
	n := w.draft(w.at)
	_, err := w.s.CreatePost(w.t.Context(), w.write(), n)
	w.ok(err)
	out, err := w.turn()
	w.ok(err)
	if len(out.Claims) != 1 {
		w.t.Fatalf("claimed %d, want 1", len(out.Claims))
	}
	return out.Claims[0]
}

func receipt(c store.Work) store.Result {
	return store.Result{
		Delivery: c.Delivery.ID,
		Settled: post.Settled{
			Part: c.Part, Fence: c.Delivery.Fence, Counted: true, Receipt: &post.Receipt{RemoteID: c.Delivery.ID.String()},
		},
		Attempts: []post.Attempt{{Part: c.Part, Act: "publish", Outcome: post.OutcomePublished, Status: 201}},
	}
}

// replayed takes the earlier answer for a success.
func replayed(err error) error {
	if _, ok := errors.AsType[*store.ReplayedError](err); ok {
		return nil
	}
	return err
}

func deeds() []deed {
	return []deed{
		{"create a post", func(w *workbench) func() error {
			n := w.draft(w.at.Add(1000 * time.Hour))
			return func() error {
				_, err := w.s.CreatePost(w.t.Context(), w.under("create "+n.Post.ExternalID), n)
				return replayed(err)
			}
		}, true},
		{"create a post by its external id", func(w *workbench) func() error {
			w.next++
			name := fmt.Sprint("external ", w.next)
			return func() error {
				n := w.draft(w.at.Add(1000 * time.Hour)) // a client's second try has ids of its own
				n.Post.ExternalID = name
				_, err := w.s.CreatePost(w.t.Context(), w.write(), n)
				if _, ok := errors.AsType[*store.ExternalIDError](err); ok {
					return nil
				}
				return err
			}
		}, true},
		{"create 10 posts", func(w *workbench) func() error {
			var many []store.NewPost
			for range 10 {
				many = append(many, w.draft(w.at.Add(1000*time.Hour)))
			}
			return func() error {
				_, err := w.s.CreatePosts(w.t.Context(), w.under("many "+many[0].Post.ExternalID), many)
				return replayed(err)
			}
		}, true},
		{"edit a post", func(w *workbench) func() error {
			n := w.later()
			p := n.Post
			p.Content.Text += " edited"
			p.Targets = []post.Target{n.Post.Targets[0]}
			p.Targets[0].Content = p.Content
			e := store.Edit{Post: p, Changes: map[post.ID]store.DeliveryEdit{
				n.Deliveries[0].ID: {Digest: p.Content.Digest(), Roles: []post.Role{post.RolePost}},
			}}
			return func() error {
				_, err := w.s.EditPost(w.t.Context(), w.under("edit "+p.ExternalID), e)
				return replayed(err)
			}
		}, true},
		{"cancel a post", func(w *workbench) func() error {
			n := w.later()
			return func() error {
				_, err := w.s.CancelPost(w.t.Context(), w.under("cancel "+n.Post.ExternalID), n.Post.ID, 0)
				return replayed(err)
			}
		}, true},
		{"move a delivery", func(w *workbench) func() error {
			n := w.later()
			due := w.at.Add(2000 * time.Hour)
			return func() error {
				_, err := w.s.ChangeDelivery(w.t.Context(), w.under("move "+n.Post.ExternalID), n.Deliveries[0].ID, 0,
					"delivery.rescheduled", func(d *post.Delivery) error { return d.Reschedule(due) })
				return replayed(err)
			}
		}, true},
		{"claim", func(w *workbench) func() error {
			w.land()
			w.at = w.at.Add(time.Second)
			n := w.draft(w.at)
			_, err := w.s.CreatePost(w.t.Context(), w.write(), n)
			w.ok(err)
			return func() error {
				out, err := w.turn()
				if err != nil {
					if len(out.Claims) > 0 {
						w.t.Errorf("a turn that failed handed out %d claims", len(out.Claims))
					}
					return err
				}
				// Whatever became of an earlier turn, this one hands the claim out, and nobody waits for a lease.
				if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != n.Deliveries[0].ID {
					return fmt.Errorf("claimed %d", len(out.Claims))
				}
				w.flying = &out.Claims[0]
				return nil
			}
		}, false},
		{"settle", func(w *workbench) func() error {
			c := w.claim()
			return func() error {
				out, err := w.turn(receipt(c))
				if err != nil {
					return err
				}
				v, err := w.s.DeliveryByID(w.t.Context(), c.Delivery.ID)
				w.ok(err)
				if v.Delivery.State != post.Published || len(v.Attempts) != 1 || len(out.Refused)+len(out.Alerts) > 0 {
					return fmt.Errorf("%s after %d attempts, %v", v.Delivery.State, len(v.Attempts), out.Refused)
				}
				return nil
			}
		}, true},
		{"prepare", func(w *workbench) func() error {
			n := w.later()
			p := store.Prepared{
				Delivery: n.Deliveries[0].ID, Digest: n.Deliveries[0].Digest, Done: true,
				Handle: &post.Handle{Name: "media"},
			}
			return func() error { return w.s.SavePrepared(w.t.Context(), w.at, p) }
		}, false},
		{"hold a lane", func(w *workbench) func() error {
			on := store.HoldOn{Account: other.Key(), Hold: post.Hold{Reason: post.HoldPaused, Since: w.at, Until: w.at.Add(time.Hour)}}
			return func() error { return w.s.HoldLane(w.t.Context(), w.write(), on) }
		}, false},
		{"stop a brand", func(w *workbench) func() error {
			stop := store.Stop{Brand: "other", Hold: post.Hold{Reason: post.HoldPaused, Since: w.at}}
			return func() error { return w.s.StopAll(w.t.Context(), w.write(), stop) }
		}, false},
		{"store a token", func(w *workbench) func() error {
			old, _, err := w.s.Token(w.t.Context(), acme.Key())
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				w.t.Fatal(err)
			}
			w.next++
			fresh := fmt.Append(nil, "sealed ", w.next)
			return func() error {
				err := w.s.SwapToken(w.t.Context(), acme.Key(), old, fresh, "seed")
				if errors.Is(err, store.ErrStale) { // the first try is on disk
					now, _, err := w.s.Token(w.t.Context(), acme.Key())
					if err == nil && string(now) == string(fresh) {
						return nil
					}
				}
				return err
			}
		}, true},
		{"store a key", func(w *workbench) func() error {
			w.next++
			k := store.Key{ID: fmt.Sprint("k", w.next), Person: "ann", Hash: []byte{1}, CreatedAt: w.at}
			return func() error { return w.s.PutKey(w.t.Context(), w.write(), k) }
		}, false},
		{"store a file", func(w *workbench) func() error {
			w.next++
			m := store.Media{
				Media: post.Media{ID: fmt.Sprintf("%064d", w.next), Type: "image/png"}, CreatedAt: w.at,
				Uploads: []store.Upload{{By: "ann", At: w.at}},
			}
			return func() error {
				_, err := w.s.PutMedia(w.t.Context(), w.under("media "+m.ID), m)
				return replayed(err)
			}
		}, true},
		{"create a series", func(w *workbench) func() error {
			w.next++
			x := store.Series{
				ID: newID(w.next, 9), Author: "ann", Kind: post.Brand, Accounts: []post.AccountKey{acme.Key()}, Cron: "0 9 * * *",
				TimeZone: "UTC", Order: "cycle", Posts: []json.RawMessage{json.RawMessage(`{"text":"hello"}`)},
			}
			return func() error {
				_, err := w.s.CreateSeries(w.t.Context(), w.under("series "+x.ID.String()), x)
				return replayed(err)
			}
		}, true},
	}
}

// shown is what the store shows, secrets too.
type shown struct {
	All   everything
	Keys  []store.Key
	Token string
}

func (w *workbench) show() shown {
	w.t.Helper()
	x := shown{All: dumpAll(w.t, w.s)}
	var err error
	x.Keys, err = w.s.ListKeys(w.t.Context())
	w.ok(err)
	sealed, _, err := w.s.Token(w.t.Context(), acme.Key())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	x.Token = string(sealed)
	return x
}

// sound checks the store and that what is on disk is what it shows.
func (w *workbench) sound(what string) {
	w.t.Helper()
	problems, err := w.s.Check(w.t.Context())
	if err != nil || len(problems) > 0 {
		w.t.Fatalf("%s: check: %v %v", what, err, problems)
	}
}

// reopen closes the store, opens it again and compares what it shows.
func (w *workbench) reopen(dir string) {
	w.t.Helper()
	before := w.show()
	closeStore(w.t, w.s)
	w.s = open(w.t, dir)
	if diff := cmp.Diff(before, w.show()); diff != "" {
		w.t.Errorf("after reopening (-before +after):\n%s", diff)
	}
	w.sound("reopened")
}

// failedDeed judges a deed that ended with an error, and does it again now that the fault is over.
func (w *workbench) failedDeed(what string, d deed, do func() error, before shown, failed error) {
	w.t.Helper()
	if !errors.Is(failed, store.ErrUnknownCommit) {
		w.t.Errorf("%s: %v, want ErrUnknownCommit", what, failed)
	}
	seen := w.show()
	onDisk := !cmp.Equal(before, seen)
	w.sound(what)
	w.killed(what, seen)
	if err := do(); err != nil {
		w.t.Errorf("%s: again: %v", what, err)
	}
	again := w.show()
	if onDisk && d.once {
		if diff := cmp.Diff(seen, again); diff != "" {
			w.t.Errorf("%s: it was on disk, and doing it again did it twice (-first +second):\n%s", what, diff)
		}
	}
	if cmp.Equal(before, again) {
		w.t.Errorf("%s: it has no effect", what)
	}
	w.sound(what + ", again")
}

// killed opens the files as a process that died right now would leave them: whole, and with what the store shows.
func (w *workbench) killed(what string, want shown) {
	w.t.Helper()
	what += ", and killed"
	dir := w.t.TempDir()
	file, err := os.ReadFile(filepath.Join(w.dir, bolt.FileName))
	w.ok(err)
	path := filepath.Join(dir, bolt.FileName)
	w.ok(os.WriteFile(path, file, 0o600))
	w.ok(os.WriteFile(path+".marker", homeless(w.t, w.dir), 0o600))
	next := &workbench{t: w.t, s: open(w.t, dir)}
	if diff := cmp.Diff(want, next.show()); diff != "" || next.s.Restored() {
		w.t.Errorf("%s: restored %t (-before +after):\n%s", what, next.s.Restored(), diff)
	}
	next.sound(what)
	closeStore(w.t, next.s)
	if problems, err := bolt.Fsck(path); err != nil || len(problems) > 0 {
		w.t.Errorf("%s: fsck: %v %v", what, err, problems)
	}
	w.ok(os.RemoveAll(dir))
}
