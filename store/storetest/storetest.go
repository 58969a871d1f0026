// Package storetest is the conformance suite that every store of Crier passes: what the interfaces of package store
// promise, asked of a real store through those interfaces alone.
package storetest

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

// Backend is one kind of store.
type Backend struct {
	// Open opens the store in a folder, making it when the folder is empty.
	Open func(dir string) (store.Store, error)
	// Damage makes the record of a delivery unreadable. The store in the folder is closed.
	Damage func(dir string, delivery post.ID) error
	// Verify opens a backup and checks it.
	Verify func(path string) ([]string, error)
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	t.Helper()
	for _, group := range []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"posts", runPosts},
		{"lists", runLists},
		{"edits", runEdits},
		{"marks", runMarks},
		{"once", runOnce},
		{"turns", runTurns},
		{"claims", runClaims},
		{"races", runRaces},
		{"lanes", runLanes},
		{"lateness", runLateness},
		{"doubt", runDoubt},
		{"holds", runHolds},
		{"prepare", runPrepare},
		{"receipts", runReceipts},
		{"matrix", runMatrix},
		{"accounts", runAccounts},
		{"series", runSeries},
		{"media", runMedia},
		{"desk", runDesk},
		{"durability", runDurability},
		{"model", runModel},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			group.run(t, b)
		})
	}
}

// start is when the suite's clock begins.
func start() time.Time { return time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC) }

// fixture is an open store with accounts, and ids that rise.
type fixture struct {
	t   testing.TB
	s   store.Store
	b   Backend
	dir string
	ids uint64
	now time.Time
}

const owner = "process-1"

// open gives an empty store with these accounts: acme-x and acme-page of the brand acme, other-x of the brand other,
// and ann-x of the person ann. None has spacing; all allow 15 minutes.
func open(tb testing.TB, b Backend) *fixture {
	tb.Helper()
	f := &fixture{t: tb, b: b, dir: tb.TempDir(), now: start()}
	f.s = f.must(b.Open(f.dir))
	tb.Cleanup(func() {
		if err := f.s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	f.sync(accounts()...)
	return f
}

func (f *fixture) must(s store.Store, err error) store.Store {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("open: %v", err)
	}
	return s
}

func account(handle string, kind post.Kind, owner string) post.Account {
	return post.Account{
		Handle: handle, Platform: post.Twitter, Kind: kind, Owner: owner, Mode: post.ModeAPI, Identity: handle,
		TimeZone: "UTC", MaxLate: 15 * time.Minute, WhenNotSeen: post.Resend, Managed: "file", App: "twitter:app",
	}
}

func accounts() []post.Account {
	return []post.Account{
		account("acme-x", post.Brand, "acme"),
		account("acme-page", post.Brand, "acme"),
		account("other-x", post.Brand, "other"),
		account("ann-x", post.Personal, "ann"),
	}
}

func brand(handle string) post.AccountKey {
	return post.AccountKey{Kind: post.Brand, Handle: handle}
}

var (
	acme  = brand("acme-x")
	page  = brand("acme-page")
	other = brand("other-x")
	ann   = post.AccountKey{Kind: post.Personal, Handle: "ann-x"}
)

// with gives the standard accounts with one changed.
func with(handle string, change func(*post.Account)) []post.Account {
	all := accounts()
	for i := range all {
		if all[i].Handle == handle {
			change(&all[i])
		}
	}
	return all
}

func (f *fixture) sync(a ...post.Account) {
	f.t.Helper()
	f.ok(f.s.SyncAccounts(f.t.Context(), f.by("crier"), a))
}

func (f *fixture) by(actor string) store.Write { return store.Write{Now: f.now, Actor: actor} }

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("unexpected error: %v", err)
	}
}

// id gives the next id.
func (f *fixture) id() post.ID {
	f.ids++
	var id post.ID
	binary.BigEndian.PutUint64(id[:8], 0x0190_0000_0000_7000)
	binary.BigEndian.PutUint64(id[8:], f.ids)
	return id
}

// draft gives a post with one scheduled delivery for each account, due together.
func (f *fixture) draft(due time.Time, to ...post.AccountKey) store.NewPost {
	content := post.Content{Text: fmt.Sprintf("words %d", f.ids)}
	n := store.NewPost{Post: post.Post{
		ID: f.id(), Author: "ann", CreatedAt: f.now, Kind: to[0].Kind, Content: content, Labels: []string{"launch"},
	}}
	for _, k := range to {
		d := post.Delivery{
			ID: f.id(), Post: n.Post.ID, Target: f.id(), Account: k, Platform: post.Twitter, State: post.Scheduled,
			Due: due, LocalDue: "2026-12-01T09:00", TimeZone: "UTC", Digest: content.Digest(),
			Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}},
		}
		n.Post.Targets = append(n.Post.Targets, post.Target{
			ID: d.Target, Account: k, Platform: post.Twitter, Content: content, Delivery: d.ID,
		})
		n.Deliveries = append(n.Deliveries, d)
		n.Fingerprints = append(n.Fingerprints, "")
	}
	return n
}

// create writes a draft and gives its delivery.
func (f *fixture) create(n store.NewPost) post.ID {
	f.t.Helper()
	if _, err := f.s.CreatePost(f.t.Context(), f.by("ann"), n); err != nil {
		f.t.Fatalf("create: %v", err)
	}
	return n.Deliveries[0].ID
}

// schedule writes a post with one delivery.
func (f *fixture) schedule(due time.Time, to post.AccountKey) post.ID {
	f.t.Helper()
	return f.create(f.draft(due, to))
}

// turn takes one turn with room for all.
func (f *fixture) turn(results ...store.Result) store.Turned {
	f.t.Helper()
	out, err := f.s.Turn(f.t.Context(), store.Turn{
		Now: f.now, Owner: owner, Results: results, Lease: time.Minute,
		Room: map[post.Kind]int{post.Brand: 1000, post.Personal: 1000},
	})
	if err != nil {
		f.t.Fatalf("turn: %v", err)
	}
	return out
}

// claim takes a turn that must claim exactly this delivery.
func (f *fixture) claim(id post.ID) store.Work {
	f.t.Helper()
	out := f.turn()
	if len(out.Claims) != 1 || out.Claims[0].Delivery.ID != id {
		f.t.Fatalf("claimed %v, want %s", claimed(out), id)
	}
	return out.Claims[0]
}

// idle takes a turn that must claim nothing.
func (f *fixture) idle() store.Turned {
	f.t.Helper()
	out := f.turn()
	if len(out.Claims) != 0 {
		f.t.Fatalf("claimed %v, want nothing", claimed(out))
	}
	return out
}

// settle takes a turn with one result, which must not be refused.
func (f *fixture) settle(r store.Result) store.Turned {
	f.t.Helper()
	out := f.turn(r)
	if err := out.Refused[0]; err != nil {
		f.t.Fatalf("refused: %v", err)
	}
	return out
}

func claimed(out store.Turned) []string {
	var ids []string
	for i := range out.Claims {
		ids = append(ids, out.Claims[i].Delivery.ID.String())
	}
	return ids
}

func (f *fixture) view(id post.ID) store.DeliveryView {
	f.t.Helper()
	v, err := f.s.DeliveryByID(f.t.Context(), id)
	if err != nil {
		f.t.Fatalf("delivery %s: %v", id, err)
	}
	return v
}

func (f *fixture) state(id post.ID, want post.State) {
	f.t.Helper()
	if got := f.view(id).Delivery.State; got != want {
		f.t.Fatalf("delivery %s is %s, want %s", id, got, want)
	}
}

// sound checks every record and index.
func (f *fixture) sound() {
	f.t.Helper()
	problems, err := f.s.Check(f.t.Context())
	if err != nil || len(problems) > 0 {
		f.t.Fatalf("check: %v %v", err, problems)
	}
}

// reopen closes the store and opens it again.
func (f *fixture) reopen() {
	f.t.Helper()
	f.ok(f.s.Close())
	f.s = f.must(f.b.Open(f.dir))
}

// The results of an attempt.

func published(w store.Work, remote string) store.Result {
	return store.Result{
		Delivery: w.Delivery.ID,
		Settled:  post.Settled{Part: w.Part, Fence: w.Delivery.Fence, Counted: true, Receipt: &post.Receipt{RemoteID: remote}},
		Attempts: []post.Attempt{{Part: w.Part, Act: "publish", Outcome: post.OutcomePublished, Status: 201}},
	}
}

func again(w store.Work, notBefore time.Time) store.Result {
	return store.Result{
		Delivery: w.Delivery.ID,
		Settled: post.Settled{
			Part: w.Part, Fence: w.Delivery.Fence, To: post.Scheduled, NotBefore: notBefore, Absent: true, Counted: true,
		},
		Attempts: []post.Attempt{{Part: w.Part, Act: "publish", Outcome: post.OutcomeNotPublished, Status: 503, Code: "busy"}},
	}
}

func failed(w store.Work) store.Result {
	return store.Result{
		Delivery: w.Delivery.ID,
		Settled: post.Settled{
			Part: w.Part, Fence: w.Delivery.Fence, To: post.Failed, Absent: true, Counted: true,
			Reason: &post.Reason{Code: "content", Message: "refused"},
		},
		Attempts: []post.Attempt{{Part: w.Part, Act: "publish", Outcome: post.OutcomeNotPublished, Status: 403, Reason: "content"}},
	}
}

func unknown(w store.Work, began, next time.Time) store.Result {
	return store.Result{
		Delivery: w.Delivery.ID,
		Settled: post.Settled{
			Part: w.Part, Fence: w.Delivery.Fence, To: post.Unconfirmed, Counted: true, Began: began, Next: next,
		},
		Attempts: []post.Attempt{{Part: w.Part, Act: "publish", Outcome: post.OutcomeUnknown, Message: "the answer was lost"}},
	}
}
