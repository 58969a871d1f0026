package scheduler_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
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

// seen is one post that is really out, whatever the adapter was told.
type seen struct {
	By, Text, ID string
	At           time.Duration // since the world began
}

// behaviour is what the platform does with one commit.
type behaviour int

const (
	accept    behaviour = iota
	dialFails           // no connection: nothing is written
	cutAfter            // accepted, and the answer is lost
	cutBefore           // written, not accepted, and no answer
	busy                // 503 to a commit: written, unknown
	limited             // 429 with Retry-After of ten minutes
	denied              // 401
	forbidden           // 403
	refusal             // 422
	blackHole           // written, accepted, and no answer for ever
	explode             // the adapter panics before it sends
	burst               // the adapter panics after the platform accepted
	nameless            // 201 without an id
	slow                // accepted after two seconds
)

// platform is a network in memory. It is the truth about what is out.
type platform struct {
	mu     sync.Mutex
	began  time.Time
	posts  []seen
	asked  []string // every call that reached it, as "handle what"
	script map[string][]behaviour
	// finds overrides looks by account, one entry a look; the zero entry answers from posts.
	finds map[string][]finding
	owner map[string]string // account handle → identity that its token belongs to
	// verify fails verifications of an account with this error.
	verify map[string]error
	// hidden keeps posts out of sight of looks.
	hidden  bool
	panics  map[string]bool // verifications that panic
	refresh func(handle string) error
	expiry  time.Duration
	prepare map[string][]error
	uploads int
}

type finding struct {
	look adapters.Look
	err  error
	set  bool
}

func (p *platform) next(handle string) behaviour {
	all := p.script[handle]
	if len(all) == 0 {
		return accept
	}
	p.script[handle] = all[1:]
	return all[0]
}

func (p *platform) out() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]seen(nil), p.posts...)
}

func (p *platform) texts(by string) []string {
	var all []string
	for _, s := range p.out() {
		if s.By == by {
			all = append(all, s.Text)
		}
	}
	return all
}

func (p *platform) count(call string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.asked {
		if c == call {
			n++
		}
	}
	return n
}

func (p *platform) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// wire carries one account's commits to the platform, as a connection pool would.
type wire struct {
	p      *platform
	handle string
}

var errCut = errors.New("connection reset by peer")

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	p := w.p
	if r.Method == http.MethodGet {
		h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
		return &http.Response{StatusCode: http.StatusOK, Header: h, Body: http.NoBody, Request: r}, nil
	}
	p.mu.Lock()
	what := p.next(w.handle)
	p.asked = append(p.asked, w.handle+" commit")
	p.mu.Unlock()
	if what == dialFails {
		return nil, errCut
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err // the gate refused the first byte
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	answer := func(status int, body string, header ...string) (*http.Response, error) {
		h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}} // the true time, whatever our clock says
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	publish := func() string {
		p.mu.Lock()
		defer p.mu.Unlock()
		id := fmt.Sprintf("r%d", len(p.posts)+1)
		p.posts = append(p.posts, seen{By: p.owner[w.handle], Text: string(body), ID: id, At: time.Since(p.began)})
		return id
	}
	wait := func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	switch what {
	case accept:
		return answer(http.StatusCreated, publish())
	case slow:
		id := publish()
		if err := wait(2 * time.Second); err != nil {
			return nil, err
		}
		return answer(http.StatusCreated, id)
	case cutAfter:
		publish()
		return nil, errCut
	case cutBefore:
		return nil, errCut
	case busy:
		return answer(http.StatusServiceUnavailable, "")
	case limited:
		return answer(http.StatusTooManyRequests, "", "Retry-After", "600")
	case denied:
		return answer(http.StatusUnauthorized, "")
	case forbidden:
		return answer(http.StatusForbidden, "")
	case refusal:
		return answer(http.StatusUnprocessableEntity, "no")
	case blackHole:
		publish()
		return nil, wait(24 * time.Hour)
	case nameless:
		publish()
		return answer(http.StatusCreated, "")
	case burst:
		publish()
		panic("the adapter broke down after the answer")
	case dialFails, explode:
	}
	panic("the adapter broke down")
}

// voice is an adapter of one account: small, but it speaks through the real recorder, so that the gate, the fates and
// the records are the real ones.
type voice struct {
	p      *platform
	handle string
	now    func() time.Time
	client *http.Client
}

func newVoice(p *platform, handle string, now func() time.Time) *voice {
	rt := &adapters.Recorder{Base: wire{p: p, handle: handle}, Now: now}
	return &voice{p: p, handle: handle, now: now, client: adapters.Client(rt)}
}

func (*voice) Platform() post.Platform           { return post.Twitter }
func (*voice) Check(post.Content) []post.Problem { return nil }

func (v *voice) say(r adapters.Request) string {
	if r.Role == post.RolePost {
		return r.Text()
	}
	return r.Text() + " < " + r.Parent.RemoteID + " < " + r.Root.RemoteID
}

func (v *voice) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	if v.Prepares(r) {
		if _, ok := r.Handle("upload"); !ok {
			return post.Receipt{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "nothing is uploaded"}
		}
	}
	ctx, flight := adapters.FlightFrom(ctx)
	req, err := http.NewRequestWithContext(adapters.AsCommit(ctx), http.MethodPost, "http://platform/posts", strings.NewReader(v.say(r)))
	if err != nil {
		return post.Receipt{}, err
	}
	resp, err := v.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
	}
	if e := flight.NotSent(err, true); e != nil {
		return post.Receipt{}, e
	}
	call, _ := flight.Last(true)
	if call.Status != http.StatusCreated {
		e := adapters.ByStatus(call, len(call.Body) > 0)
		e.Until = adapters.RetryAfter(call.Header, v.now())
		return post.Receipt{}, e
	}
	return post.Receipt{RemoteID: string(call.Body), URL: "http://platform/" + string(call.Body), At: v.now()}, nil
}

func (v *voice) Find(_ context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	p := v.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, v.handle+" find")
	if all := p.finds[v.handle]; len(all) > 0 {
		p.finds[v.handle] = all[1:]
		if all[0].set {
			return all[0].look, all[0].err
		}
	}
	if p.hidden {
		return adapters.Look{}, nil
	}
	for _, s := range p.posts {
		if s.By != p.owner[v.handle] || s.Text != v.say(r) || p.began.Add(s.At).Before(since.Add(-time.Second)) {
			continue
		}
		if r.Taken != nil && r.Taken(s.ID) {
			continue
		}
		return adapters.Look{Sight: adapters.Found, Receipt: post.Receipt{RemoteID: s.ID, At: p.began.Add(s.At)}}, nil
	}
	return adapters.Look{}, nil
}

func (v *voice) Verify(context.Context) (adapters.Identity, error) {
	p := v.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, v.handle+" verify")
	if p.panics[v.handle] {
		panic("the adapter cannot read the answer")
	}
	if err := p.verify[v.handle]; err != nil {
		return adapters.Identity{}, err
	}
	id := p.owner[v.handle]
	return adapters.Identity{ID: id, Remote: "number of " + id}, nil
}

func (v *voice) Refresh(context.Context) error {
	p := v.p
	p.mu.Lock()
	p.asked = append(p.asked, v.handle+" refresh")
	refresh := p.refresh
	p.mu.Unlock()
	if refresh != nil {
		return refresh(v.handle)
	}
	return nil
}

func (v *voice) Prepares(r adapters.Request) bool { return len(r.Attachments()) > 0 }

func (v *voice) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	if h, ok := r.Handle("upload"); ok && h.Done {
		return nil
	}
	p := v.p
	p.mu.Lock()
	p.asked = append(p.asked, v.handle+" prepare")
	var err error
	if all := p.prepare[v.handle]; len(all) > 0 {
		err, p.prepare[v.handle] = all[0], all[1:]
	}
	if err == nil {
		p.uploads++
	}
	h := post.Handle{Name: "upload", Values: map[string]string{"id": fmt.Sprint(p.uploads)}, Done: true}
	if p.expiry > 0 {
		h.Expires = v.now().Add(p.expiry)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return save(ctx, h)
}

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
	turns   atomic.Int64
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
