package storetest

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// runModel drives a store and a plain model in memory with the same random steps. The model keeps deliveries alone and
// works out anew, for each turn, what every lane may send.
func runModel(t *testing.T, b Backend) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rt, b)
		defer m.close()
		rt.Repeat(m.actions())
	})
}

// actions are the steps of every room, and, under the empty name, what is compared after each.
func (m *model) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"":            m.agree,
		"create":      m.create,
		"late one":    m.lateOne,
		"turn":        m.turn,
		"settle":      m.settle,
		"late result": m.lateResult,
		"look":        m.look,
		"change":      m.change,
		"edit":        m.edit,
		"prepare":     m.prepare,
		"hold":        m.hold,
		"release":     m.release,
		"stop":        m.stop,
		"resume":      m.resume,
		"reopen":      m.reopen,
	}
	for _, room := range []map[string]func(*rapid.T){m.queueSteps(), m.postSteps(), m.deskSteps(), m.seriesSteps(), m.accountSteps()} {
		maps.Copy(all, room)
	}
	for _, name := range []string{
		"create", "create many", "change", "edit", "prepare", "hold", "hold an app", "release", "resume", "expire", "submit post",
		"cancel post", "materialize", "edit series", "delete series", "skip", "sync accounts",
	} {
		if all[name] == nil {
			m.rt.Fatalf("there is no step %q", name)
		}
		all[name] = m.wakes(all[name])
	}
	return all
}

// wakes runs a step and demands that whoever waits for something to do is woken if it makes something due earlier.
func (m *model) wakes(step func(*rapid.T)) func(*rapid.T) {
	return func(rt *rapid.T) {
		select {
		case <-m.f.s.Wake():
		default:
		}
		before, stopped := m.next(), len(m.stops)
		// The store may have forgotten a hold that has ended, which the model has not: it then said the earlier instant.
		said, err := m.f.s.Next(m.t.Context())
		m.ok(rt, err)
		step(rt)
		after := m.next()
		earlier := func(than time.Time) bool { return than.IsZero() || after.Before(than) }
		if after.IsZero() || !earlier(before) || !earlier(said) || stopped+len(m.stops) > 0 {
			return
		}
		select {
		case <-m.f.s.Wake():
		default:
			rt.Fatalf("something is due at %v and not only at %v, and nobody was woken", after, before)
		}
	}
}

type model struct {
	rt  *rapid.T
	t   *testing.T
	f   *fixture // its t is not used: a failing step must be rapid's own
	b   Backend
	now time.Time

	accounts   map[post.AccountKey]post.Account
	deliveries map[post.ID]*post.Delivery
	attempts   map[post.ID][]post.Attempt
	posts      map[post.ID]post.Post
	lastSent   map[post.AccountKey]time.Time
	holds      map[post.AccountKey]map[post.HoldReason]post.Hold
	excused    map[post.AccountKey]time.Time // until when waiting may count for nothing
	stops      map[string]store.Stop
	receipts   map[string]post.ID
	claims     []store.Work // every claim that was ever handed out
	owner      int
	remote     int

	leases   map[post.ID]time.Time // of what is in flight
	started  map[post.ID]time.Time
	began    map[post.ID]time.Time // by the platform's clock
	theirs   time.Time             // what that showed at the last turn
	external map[string]post.ID
	answers  map[string]stored
	keyring  map[string]store.Key
	media    map[string][]string // file → who brought it
	uses     map[post.ID]string  // delivery → file
	tokens   map[post.AccountKey]string
	pins     map[post.AccountKey]string
	series   map[post.ID]*modelSeries
	marks    map[post.ID]modelMark // what a delivery says
}

func newModel(t *testing.T, rt *rapid.T, b Backend) *model {
	dir := t.TempDir()
	m := &model{
		rt: rt, t: t, b: b, now: start(), f: &fixture{t: t, b: b, dir: dir, now: start()},
		accounts: map[post.AccountKey]post.Account{}, deliveries: map[post.ID]*post.Delivery{}, posts: map[post.ID]post.Post{},
		attempts: map[post.ID][]post.Attempt{},
		lastSent: map[post.AccountKey]time.Time{}, holds: map[post.AccountKey]map[post.HoldReason]post.Hold{},
		excused: map[post.AccountKey]time.Time{}, stops: map[string]store.Stop{}, receipts: map[string]post.ID{},
		leases: map[post.ID]time.Time{}, started: map[post.ID]time.Time{}, began: map[post.ID]time.Time{}, external: map[string]post.ID{},
		answers: map[string]stored{}, keyring: map[string]store.Key{}, media: map[string][]string{}, uses: map[post.ID]string{},
		tokens: map[post.AccountKey]string{}, pins: map[post.AccountKey]string{}, series: map[post.ID]*modelSeries{},
		marks: map[post.ID]modelMark{},
	}
	var err error
	if m.f.s, err = b.Open(dir); err != nil {
		rt.Fatalf("open: %v", err)
	}
	all := accounts()
	for i := range all {
		all[i].MaxLate = 10000 * time.Hour
		m.holds[all[i].Key()] = map[post.HoldReason]post.Hold{}
	}
	all[0].MinGap = time.Minute
	all[1].MaxLate = 15 * time.Minute
	all[2].Mode = post.ModeAssist
	for _, a := range all {
		m.accounts[a.Key()] = a
	}
	m.ok(rt, m.f.s.SyncAccounts(t.Context(), m.write(), all))
	return m
}

func (m *model) close() {
	if err := m.f.s.Close(); err != nil {
		m.t.Errorf("close: %v", err)
	}
	if err := os.RemoveAll(m.f.dir); err != nil {
		m.t.Errorf("clean up: %v", err)
	}
}

func (m *model) ok(rt *rapid.T, err error) {
	rt.Helper()
	if err != nil {
		rt.Fatalf("unexpected error: %v", err)
	}
}

func (m *model) write() store.Write { return store.Write{Now: m.now, Actor: "ann"} }

func (m *model) keys() []post.AccountKey { return []post.AccountKey{acme, page, other, ann} }

// agree compares every delivery and asks the store to check itself.
func (m *model) agree(rt *rapid.T) {
	problems, err := m.f.s.Check(m.t.Context())
	if err != nil || len(problems) > 0 {
		rt.Fatalf("check: %v %v", err, problems)
	}
	flying := map[post.AccountKey]int{}
	for id, want := range m.deliveries {
		v, err := m.f.s.DeliveryByID(m.t.Context(), id)
		m.ok(rt, err)
		got := v.Delivery
		got.Version, got.LastChange, got.LastAttempt = want.Version, want.LastChange, want.LastAttempt
		if diff := cmp.Diff(*want, got); diff != "" {
			rt.Fatalf("delivery %s (-model +store):\n%s", id, diff)
		}
		if diff := cmp.Diff(m.attempts[id], v.Attempts); diff != "" {
			rt.Fatalf("attempts at delivery %s (-model +store):\n%s", id, diff)
		}
		if got.State == post.Sending {
			flying[got.Account]++
		}
	}
	for k, n := range flying {
		if n > 1 {
			rt.Fatalf("%s has %d in flight", k, n)
		}
	}
	m.stopsAgree(rt)
}

// stopsAgree compares the stops in force.
func (m *model) stopsAgree(rt *rapid.T) {
	all, err := m.f.s.Stops(m.t.Context())
	m.ok(rt, err)
	want, got := map[string]store.Stop{}, map[string]store.Stop{}
	for _, s := range all {
		if !s.Hold.Open(m.now) {
			got[string(s.Kind)+"|"+s.Brand] = s
		}
	}
	for name, s := range m.stops {
		if !s.Hold.Open(m.now) {
			want[name] = s
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("stops (-model +store):\n%s", diff)
	}
}

func (m *model) create(rt *rapid.T) {
	to := []post.AccountKey{rapid.SampledFrom(m.keys()).Draw(rt, "account")}
	if to[0].Kind == post.Brand { // a post goes to brands or to one person
		to = rapid.SliceOfNDistinct(rapid.SampledFrom([]post.AccountKey{acme, page, other}), 1, 3, rapid.ID[post.AccountKey]).Draw(rt, "accounts")
	}
	m.writeOne(rt, m.now.Add(time.Duration(rapid.IntRange(-10, 20).Draw(rt, "due"))*30*time.Second), to...)
}

// lateOne writes a post whose account allows a quarter of an hour, on either side of it, and takes a turn.
func (m *model) lateOne(rt *rapid.T) {
	m.writeOne(rt, m.now.Add(-15*time.Minute+time.Duration(rapid.IntRange(-30, 30).Draw(rt, "late"))*10*time.Second), page)
	m.step(rt)
}

// writeOne writes a post with a delivery for each account.
func (m *model) writeOne(rt *rapid.T, due time.Time, to ...post.AccountKey) {
	n := m.f.draft(due, to...)
	n.Post.AllowDuplicate = rapid.IntRange(0, 2).Draw(rt, "allowed") == 0
	file := ""
	if files := slices.Sorted(maps.Keys(m.media)); len(files) > 0 && rapid.IntRange(0, 2).Draw(rt, "picture") == 0 {
		file = files[0]
	}
	for i := range n.Deliveries {
		d := &n.Deliveries[i]
		for range rapid.IntRange(0, 2).Draw(rt, "replies") {
			d.Parts = append(d.Parts, post.Part{Role: post.RoleReply, State: post.PartWaiting})
		}
		d.NeedsPrepare = rapid.IntRange(0, 3).Draw(rt, "prepare") == 0
		if rapid.IntRange(0, 4).Draw(rt, "draft") == 0 {
			d.State = post.Draft
		} else if i == 0 {
			n.Fingerprints[0] = m.words(rt)
		}
		if file != "" {
			n.Post.Targets[i].Content.Media = []post.Media{{ID: file, Type: "image/png"}}
			m.uses[d.ID] = file
		}
	}
	refusals, err := m.f.s.Refusals(m.t.Context(), m.now, n)
	m.ok(rt, err)
	v, err := m.f.s.CreatePost(m.t.Context(), m.write(), n)
	if (err != nil) != (len(refusals) > 0) {
		rt.Fatalf("it would be refused for %v and is for %v", refusals, err)
	}
	if m.repeats(rt, err, to[0], n.Fingerprints[0], n.Post.AllowDuplicate) {
		for i := range n.Deliveries {
			delete(m.uses, n.Deliveries[i].ID)
		}
		return
	}
	m.mark(n.Deliveries[0].ID, n.Fingerprints[0])
	m.posts[n.Post.ID] = v.Post
	for i := range n.Deliveries {
		m.deliveries[n.Deliveries[i].ID] = duplicate(&n.Deliveries[i])
	}
}

// targetOf is the place of a delivery among the targets of its post.
func (m *model) targetOf(d *post.Delivery) int {
	return slices.IndexFunc(m.posts[d.Post].Targets, func(t post.Target) bool { return t.Delivery == d.ID })
}

func duplicate(d *post.Delivery) *post.Delivery {
	c := *d
	c.Parts = slices.Clone(d.Parts)
	if d.Doubt != nil {
		x := *d.Doubt
		c.Doubt = &x
	}
	return &c
}

// head works out what the account may send now.
func (m *model) head(k post.AccountKey) *post.Delivery {
	for _, s := range m.stops {
		if s.Matches(m.accounts[k], m.now) {
			return nil
		}
	}
	head, at := m.opens(k)
	if head == nil || at.After(m.now) {
		return nil
	}
	return head
}

// opens works out what the account may send next and from when on, stops apart; nil when only an event can open it.
func (m *model) opens(k post.AccountKey) (*post.Delivery, time.Time) {
	a := m.accounts[k]
	var head *post.Delivery
	floor := time.Time{}
	for _, d := range m.deliveries {
		if d.Account != k {
			continue
		}
		switch {
		case d.State == post.Sending:
			return nil, time.Time{}
		case d.State == post.Unconfirmed:
			if until := d.Doubt.Since.Add(post.DoubtBlocks); until.After(floor) {
				floor = until
			}
		case d.State != post.Scheduled:
		case head == nil || d.Due.Before(head.Due) || (d.Due.Equal(head.Due) && slices.Compare(d.ID[:], head.ID[:]) < 0):
			head = d
		}
	}
	if head == nil || (head.NeedsPrepare && head.Prepared != head.Digest) {
		return nil, time.Time{}
	}
	for _, h := range m.holds[k] {
		if h.Until.IsZero() {
			return nil, time.Time{}
		}
		if h.Until.After(floor) {
			floor = h.Until
		}
	}
	if sent := m.lastSent[k]; !sent.IsZero() && !head.Begun() && sent.Add(a.MinGap).After(floor) {
		floor = sent.Add(a.MinGap)
	}
	if at := head.ReadyAt(); at.After(floor) {
		floor = at
	}
	return head, floor
}

// left notes in the model that an attempt ended.
func (m *model) left(was post.State, receipts int, d *post.Delivery) {
	if was == post.Sending && (d.State == post.Unconfirmed || receiptsOf(d) > receipts) {
		m.lastSent[d.Account] = m.now
	}
}

func receiptsOf(d *post.Delivery) int {
	n := 0
	for i := range d.Parts {
		if d.Parts[i].Receipt != nil {
			n++
		}
	}
	return n
}

// sameError reports whether both are nil or of the same class.
func sameError(a, b error) bool {
	for _, class := range []error{post.ErrTransition, post.ErrFenced, store.ErrReceiptTaken, nil} {
		if errors.Is(a, class) != errors.Is(b, class) {
			return false
		}
	}
	return true
}

// attempted keeps the flight record. A receipt that comes once more brings an attempt, unless that is known already.
func (m *model) attempted(r store.Result, repeated bool) {
	log := m.attempts[r.Delivery]
	for _, a := range r.Attempts {
		a.N = len(log)
		if repeated && len(log) > 0 && cmp.Equal(a, log[len(log)-1]) {
			continue
		}
		a.N++
		log = append(log, a)
	}
	m.attempts[r.Delivery] = log
}

// apply settles one result in the model.
func (m *model) apply(r store.Result) error {
	d := m.deliveries[r.Delivery]
	after := duplicate(d)
	if _, err := after.Settle(r.Settled, m.now); err != nil {
		return err
	}
	repeated := r.Settled.Receipt != nil && d.Parts[r.Settled.Part].Receipt != nil
	if p := r.Settled.Receipt; p != nil && !repeated {
		if _, taken := m.receipts[p.RemoteID]; taken {
			return store.ErrReceiptTaken
		}
		m.receipts[p.RemoteID] = d.ID
	}
	m.attempted(r, repeated)
	m.left(d.State, receiptsOf(d), after)
	if after.NotBefore.After(m.excused[d.Account]) {
		m.excused[d.Account] = after.NotBefore
	}
	*d = *after
	return nil
}
