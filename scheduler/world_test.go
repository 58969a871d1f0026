package scheduler_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"crier/adapters"
	"crier/internal/post"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store, a platform and a scheduler in one bubble of fake time.
type world struct {
	t     *testing.T
	p     *platform
	dir   string
	began time.Time
	ids   uint64

	store    *faulty
	accounts []post.Account
	grace    time.Duration
	max      int
	boot     func() time.Duration
	skew     atomic.Int64 // of the wall clock
	events   chan scheduler.Event
	wrap     func(string, adapters.Adapter) adapters.Adapter

	cron *scheduler.Clockwork
	s    *scheduler.Scheduler
	stop context.CancelFunc
	done chan error
}

// faulty is a store whose turns can be made to fail.
type faulty struct {
	*bolt.Store
	failing atomic.Bool
	unsure  atomic.Bool // the next turn that claims is on disk, and says that it may not be
	vague   atomic.Bool // the same of the next turn that settles
	turns   atomic.Int64
	deaf    atomic.Pointer[string] // what is not answered: material, saving
}

func (f *faulty) mute(what string) error {
	if p := f.deaf.Load(); p != nil && *p == what {
		return errDisk
	}
	return nil
}

func (f *faulty) Material(ctx context.Context, d *post.Delivery) (post.Content, []post.Handle, error) {
	if err := f.mute("material"); err != nil {
		return post.Content{}, nil, err
	}
	return f.Store.Material(ctx, d)
}

func (f *faulty) SavePrepared(ctx context.Context, now time.Time, p store.Prepared) error {
	if err := f.mute("saving"); err != nil && p.Done {
		return err
	}
	return f.Store.SavePrepared(ctx, now, p)
}

var errDisk = errors.New("no space left on device")

func (f *faulty) Turn(ctx context.Context, t store.Turn) (store.Turned, error) {
	f.turns.Add(1)
	if f.failing.Load() {
		return store.Turned{}, errDisk
	}
	out, err := f.Store.Turn(ctx, t)
	if err == nil && len(out.Claims) > 0 && f.unsure.CompareAndSwap(true, false) {
		return store.Turned{}, store.ErrUnknownCommit
	}
	if err == nil && len(t.Results) > 0 && f.vague.CompareAndSwap(true, false) {
		return store.Turned{}, store.ErrUnknownCommit
	}
	return out, err
}

func account(handle string, kind post.Kind) post.Account {
	return post.Account{
		Handle: handle, Platform: post.Twitter, Kind: kind, Owner: "acme", Mode: post.ModeAPI, Identity: handle + "-id",
		TimeZone: "UTC", MaxLate: 15 * time.Minute, WhenNotSeen: post.Resend, Managed: "file",
		Looks: []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute},
	}
}

// inWorld runs f in a bubble with the accounts given; without any, with the brand account acme.
func inWorld(t *testing.T, f func(w *world), accounts ...post.Account) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, accounts...)
		defer w.close()
		f(w)
	})
}

func newWorld(t *testing.T, accounts ...post.Account) *world {
	t.Helper()
	if len(accounts) == 0 {
		accounts = []post.Account{account("acme", post.Brand)}
	}
	w := &world{
		t: t, dir: t.TempDir(), began: time.Now(), accounts: accounts, grace: 10 * time.Second, max: 16,
		events: make(chan scheduler.Event, 4096),
	}
	w.p = &platform{
		began: w.began, script: map[string][]behaviour{}, finds: map[string][]finding{}, owner: map[string]string{},
		verify: map[string]error{}, panics: map[string]bool{}, prepare: map[string][]error{},
		made: map[string]string{}, stuck: map[string]bool{}, mute: map[string]bool{},
	}
	for _, a := range accounts {
		w.p.owner[a.Handle] = a.Identity
	}
	w.open()
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

func (w *world) by() store.Write { return store.Write{Now: w.now(), Actor: "ann"} }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("unexpected error: %v", err)
	}
}

func (w *world) open() {
	w.t.Helper()
	s, err := bolt.Open(w.t.Context(), bolt.Options{Dir: w.dir, Create: true, Now: w.now()})
	w.ok(err)
	w.store = &faulty{Store: s}
	w.ok(s.SyncAccounts(w.t.Context(), w.by(), w.accounts))
}

// start starts a scheduler over the store, with a platform's voice for each account.
func (w *world) start() {
	w.t.Helper()
	w.build()
	ctx, stop := context.WithCancel(w.t.Context())
	w.stop, w.done = stop, make(chan error, 1)
	go func() { w.done <- w.s.Run(ctx) }()
}

func (w *world) build() {
	w.t.Helper()
	var outlets []scheduler.Outlet
	for _, a := range w.accounts {
		o := scheduler.Outlet{Account: a, CommitTimeout: 30 * time.Second}
		if a.Mode == post.ModeAPI {
			o.Adapter = newVoice(w.p, a.Handle, w.now)
			if w.wrap != nil {
				o.Adapter = w.wrap(a.Handle, o.Adapter)
			}
		}
		outlets = append(outlets, o)
	}
	var err error
	w.s, err = scheduler.New(scheduler.Config{
		Store: w.store, Outlets: outlets, MaxInFlight: w.max, PrepareAhead: 10 * time.Minute, Grace: w.grace,
		Now: w.now, Boot: w.boot, Lot: func() float64 { return 0.5 },
		Observe: func(e scheduler.Event) {
			select {
			case w.events <- e:
			default:
			}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	w.ok(err)
}

// startWithChores starts the scheduler and its upkeep.
func (w *world) startWithChores(p *scheduler.Planner) {
	w.t.Helper()
	w.start()
	var err error
	w.cron, err = scheduler.NewClockwork(w.t.Context(), w.s.Chores(p), slog.New(slog.DiscardHandler))
	w.ok(err)
	w.cron.Start()
}

// end stops the scheduler and waits for it.
func (w *world) end() {
	w.t.Helper()
	if w.cron != nil {
		w.ok(w.cron.Stop(w.t.Context()))
		w.cron = nil
	}
	if w.stop == nil {
		return
	}
	w.stop()
	if err := <-w.done; err != nil {
		w.t.Errorf("Run: %v", err)
	}
	w.stop = nil
}

func (w *world) close() {
	w.t.Helper()
	w.end()
	bad, err := w.store.Check(context.Background())
	if err != nil && !errors.Is(err, store.ErrClosed) || len(bad) > 0 {
		w.t.Errorf("the store does not agree with itself: %v, %v", bad, err)
	}
	w.ok(w.store.Close())
}

// pass lets time go by, until everybody waits.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) id() post.ID {
	w.ids++
	var id post.ID
	id[6] = 0x70
	binary.BigEndian.PutUint64(id[8:], w.ids)
	return id
}

// send writes a post for an account, due that long after now.
func (w *world) send(handle, text string, in time.Duration) post.ID {
	w.t.Helper()
	return w.write(handle, post.Content{Text: text}, in)
}

func (w *world) write(handle string, c post.Content, in time.Duration) post.ID {
	w.t.Helper()
	n := w.compose(handle, c, w.now().Add(in))
	_, err := w.store.CreatePost(w.t.Context(), w.by(), n)
	w.ok(err)
	return n.Deliveries[0].ID
}

func (w *world) compose(handle string, c post.Content, due time.Time) store.NewPost {
	var a post.Account
	for _, x := range w.accounts {
		if x.Handle == handle {
			a = x
		}
	}
	p := post.Post{ID: w.id(), Author: "ann", CreatedAt: w.now(), Kind: a.Kind, Content: c}
	d := post.Delivery{
		ID: w.id(), Post: p.ID, Target: w.id(), Account: a.Key(), Platform: a.Platform, State: post.Scheduled,
		Due: post.Instant(due), Digest: c.Digest(), NeedsPrepare: len(c.Media) > 0,
	}
	for _, r := range c.Roles(a.Platform) {
		d.Parts = append(d.Parts, post.Part{Role: r, State: post.PartWaiting})
	}
	p.Targets = []post.Target{{ID: d.Target, Account: d.Account, Platform: d.Platform, Content: c, Delivery: d.ID}}
	return store.NewPost{Post: p, Deliveries: []post.Delivery{d}}
}

func (w *world) view(id post.ID) store.DeliveryView {
	w.t.Helper()
	v, err := w.store.DeliveryByID(context.Background(), id)
	w.ok(err)
	return v
}

func (w *world) get(id post.ID) post.Delivery {
	w.t.Helper()
	return w.view(id).Delivery
}

// is fails the test unless the delivery is in the state, with the reason's code where one is given.
func (w *world) is(id post.ID, want post.State, code ...string) {
	w.t.Helper()
	d := w.get(id)
	got := ""
	if d.Reason != nil {
		got = d.Reason.Code
	}
	if d.State != want || (len(code) > 0 && got != code[0]) {
		w.t.Errorf("after %s the delivery is %s (%s), want %s %v", time.Since(w.began), d.State, got, want, code)
	}
}

// change applies a person's wish.
func (w *world) change(id post.ID, change func(*post.Delivery) error) {
	w.t.Helper()
	_, err := w.store.ChangeDelivery(w.t.Context(), w.by(), id, 0, "delivery.changed", change)
	w.ok(err)
}

func (w *world) status(handle string) post.AccountStatus {
	w.t.Helper()
	v, err := w.store.AccountByHandle(context.Background(), handle)
	w.ok(err)
	return post.Status(v.Holds, w.now())
}

func (w *world) key(handle string) post.AccountKey {
	for _, a := range w.accounts {
		if a.Handle == handle {
			return a.Key()
		}
	}
	return post.AccountKey{}
}

// said fails the test unless the identity has said exactly these texts, in order.
func (w *world) said(by string, want ...string) {
	w.t.Helper()
	if got := w.p.texts(by); strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Errorf("after %s %s has said %q, want %q", time.Since(w.began), by, got, want)
	}
}
