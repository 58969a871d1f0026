package storetest

import (
	"errors"
	"fmt"
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
		rt.Repeat(map[string]func(*rapid.T){
			"":            m.agree,
			"create":      m.create,
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
		})
	})
}

type model struct {
	rt  *rapid.T
	t   *testing.T
	f   *fixture // its t is not used: a failing step must be rapid's own
	b   Backend
	now time.Time

	accounts   map[post.AccountKey]post.Account
	deliveries map[post.ID]*post.Delivery
	posts      map[post.ID]post.Post
	lastSent   map[post.AccountKey]time.Time
	holds      map[post.AccountKey]map[post.HoldReason]post.Hold
	stops      map[string]store.Stop
	receipts   map[string]post.ID
	claims     []store.Work // every claim that was ever handed out
	owner      int
	remote     int
}

func newModel(t *testing.T, rt *rapid.T, b Backend) *model {
	dir := t.TempDir()
	m := &model{
		rt: rt, t: t, b: b, now: start(), f: &fixture{t: t, b: b, dir: dir, now: start()},
		accounts: map[post.AccountKey]post.Account{}, deliveries: map[post.ID]*post.Delivery{}, posts: map[post.ID]post.Post{},
		lastSent: map[post.AccountKey]time.Time{}, holds: map[post.AccountKey]map[post.HoldReason]post.Hold{},
		stops: map[string]store.Stop{}, receipts: map[string]post.ID{},
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
		got.Version = want.Version
		if diff := cmp.Diff(*want, got); diff != "" {
			rt.Fatalf("delivery %s (-model +store):\n%s", id, diff)
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
}

func (m *model) create(rt *rapid.T) {
	k := rapid.SampledFrom(m.keys()).Draw(rt, "account")
	due := m.now.Add(time.Duration(rapid.IntRange(-10, 20).Draw(rt, "due")) * 30 * time.Second)
	n := m.f.draft(due, k)
	d := &n.Deliveries[0]
	for range rapid.IntRange(0, 2).Draw(rt, "replies") {
		d.Parts = append(d.Parts, post.Part{Role: post.RoleReply, State: post.PartWaiting})
	}
	d.NeedsPrepare = rapid.IntRange(0, 3).Draw(rt, "prepare") == 0
	if rapid.IntRange(0, 4).Draw(rt, "draft") == 0 {
		d.State = post.Draft
	}
	v, err := m.f.s.CreatePost(m.t.Context(), m.write(), n)
	m.ok(rt, err)
	m.posts[n.Post.ID] = v.Post
	m.deliveries[d.ID] = duplicate(d)
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
	a := m.accounts[k]
	for _, s := range m.stops {
		if s.Matches(a, m.now) {
			return nil
		}
	}
	var head *post.Delivery
	floor := time.Time{}
	for _, d := range m.deliveries {
		if d.Account != k {
			continue
		}
		switch {
		case d.State == post.Sending:
			return nil
		case d.State == post.Unconfirmed:
			if until := d.Doubt.Since.Add(post.DoubtBlocks); until.After(floor) {
				floor = until
			}
		case d.State != post.Scheduled:
		case head == nil || d.Due.Before(head.Due) || (d.Due.Equal(head.Due) && slices.Compare(d.ID[:], head.ID[:]) < 0):
			head = d
		}
	}
	if head == nil || (head.NeedsPrepare && head.Prepared != head.Digest) || head.ReadyAt().After(m.now) {
		return nil
	}
	for _, h := range m.holds[k] {
		if h.Until.IsZero() {
			return nil
		}
		if h.Until.After(floor) {
			floor = h.Until
		}
	}
	if sent := m.lastSent[k]; !sent.IsZero() && !head.Begun() && sent.Add(a.MinGap).After(floor) {
		floor = sent.Add(a.MinGap)
	}
	if floor.After(m.now) {
		return nil
	}
	return head
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

// step takes a turn with these results in both and compares what came of it.
func (m *model) step(rt *rapid.T, results ...store.Result) {
	out, err := m.f.s.Turn(m.t.Context(), store.Turn{
		Now: m.now, Owner: fmt.Sprint(m.owner), Results: results, Lease: time.Minute,
		Room: map[post.Kind]int{post.Brand: 100, post.Personal: 100},
	})
	m.ok(rt, err)
	for i, r := range results {
		if want, got := m.apply(r), out.Refused[i]; !sameError(want, got) {
			rt.Fatalf("result %d: %v, the model says %v", i, got, want)
		}
	}
	want := map[post.ID]uint64{}
	for _, k := range m.keys() {
		for d := m.head(k); d != nil; d = m.head(k) {
			if m.accounts[k].Mode == post.ModeAssist {
				m.ok(rt, d.HandOver())
				continue
			}
			m.ok(rt, d.Begin(m.now))
			want[d.ID] = d.Fence
		}
	}
	got := map[post.ID]uint64{}
	for _, w := range out.Claims {
		got[w.Delivery.ID] = w.Delivery.Fence
		if diff := cmp.Diff(m.deliveries[w.Delivery.ID].NextPart(), w.Part); diff != "" {
			rt.Fatalf("part (-model +store):\n%s", diff)
		}
	}
	if !maps.Equal(want, got) {
		rt.Fatalf("claimed %v, the model says %v", got, want)
	}
	m.claims = append(m.claims, out.Claims...)
	next, err := m.f.s.Next(m.t.Context())
	m.ok(rt, err)
	if !next.Equal(out.Next) && len(m.stops) == 0 {
		rt.Fatalf("next is %v, the turn said %v", next, out.Next)
	}
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

// apply settles one result in the model.
func (m *model) apply(r store.Result) error {
	d := m.deliveries[r.Delivery]
	after := duplicate(d)
	if _, err := after.Settle(r.Settled, m.now); err != nil {
		return err
	}
	if p := r.Settled.Receipt; p != nil && d.Parts[r.Settled.Part].Receipt == nil {
		if _, taken := m.receipts[p.RemoteID]; taken {
			return store.ErrReceiptTaken
		}
		m.receipts[p.RemoteID] = d.ID
	}
	m.left(d.State, receiptsOf(d), after)
	*d = *after
	return nil
}

func (m *model) turn(rt *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 300_000).Draw(rt, "ms")) * time.Millisecond)
	m.step(rt)
}

// result draws an outcome for a claim.
func (m *model) result(rt *rapid.T, w store.Work) store.Result {
	soon := m.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "soon")) * time.Second)
	switch rapid.IntRange(0, 4).Draw(rt, "outcome") {
	case 0:
		return again(w, soon)
	case 1:
		return failed(w)
	case 2:
		return unknown(w, m.now, soon)
	}
	m.remote++
	if m.remote > 1 && rapid.IntRange(0, 9).Draw(rt, "taken") == 0 {
		m.remote--
	}
	return published(w, fmt.Sprint(m.remote))
}

func (m *model) settle(rt *rapid.T) {
	var results []store.Result
	for _, w := range m.claims {
		d := m.deliveries[w.Delivery.ID]
		if d.State == post.Sending && d.Fence == w.Delivery.Fence && rapid.Bool().Draw(rt, "ended") {
			results = append(results, m.result(rt, w))
		}
	}
	m.step(rt, results...)
}

// lateResult brings a result of any claim, however old.
func (m *model) lateResult(rt *rapid.T) {
	if len(m.claims) == 0 {
		rt.Skip("nothing was claimed")
	}
	m.step(rt, m.result(rt, rapid.SampledFrom(m.claims).Draw(rt, "claim")))
}

func (m *model) look(rt *rapid.T) {
	looks, err := m.f.s.Doubtful(m.t.Context(), m.now, 100)
	m.ok(rt, err)
	want := 0
	for _, d := range m.deliveries {
		if d.State == post.Unconfirmed && !d.Doubt.Next.IsZero() && !d.Doubt.Next.After(m.now) {
			want++
		}
	}
	if want != len(looks) {
		rt.Fatalf("%d looks are due, the model says %d", len(looks), want)
	}
	if want == 0 {
		rt.Skip("no look is due")
	}
	w := looks[rapid.IntRange(0, len(looks)-1).Draw(rt, "which")]
	r := m.result(rt, w)
	if r.Settled.To == post.Unconfirmed {
		r.Settled.Clean, r.Settled.Counted = true, false
	}
	m.step(rt, r)
}

// any draws a delivery.
func (m *model) any(rt *rapid.T) *post.Delivery {
	if len(m.deliveries) == 0 {
		rt.Skip("there is no delivery")
	}
	ids := slices.SortedFunc(maps.Keys(m.deliveries), func(a, b post.ID) int { return slices.Compare(a[:], b[:]) })
	return m.deliveries[rapid.SampledFrom(ids).Draw(rt, "delivery")]
}

func (m *model) change(rt *rapid.T) {
	d := m.any(rt)
	due := m.now.Add(time.Duration(rapid.IntRange(-2, 20).Draw(rt, "due")) * time.Minute)
	now := m.now
	methods := []func(*post.Delivery) error{
		(*post.Delivery).Cancel,
		(*post.Delivery).Accept,
		func(d *post.Delivery) error { return d.Reschedule(due) },
		func(d *post.Delivery) error { return d.Retry(due) },
		func(d *post.Delivery) error { return d.Submit(due) },
		func(d *post.Delivery) error { return d.Miss("late", "late") },
		func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, now) },
		func(d *post.Delivery) error { return d.Resolve(post.Verdict{Cancel: true}, now) },
	}
	method := methods[rapid.IntRange(0, len(methods)-1).Draw(rt, "method")]
	after := duplicate(d)
	want := method(after)
	_, err := m.f.s.ChangeDelivery(m.t.Context(), m.write(), d.ID, 0, "delivery.changed", method)
	if (want == nil) != (err == nil) {
		rt.Fatalf("%v, the model says %v", err, want)
	}
	if want == nil {
		*d = *after
	}
}

func (m *model) edit(rt *rapid.T) {
	d := m.any(rt)
	p := m.posts[d.Post]
	p.Content.Text += "!"
	p.Targets = slices.Clone(p.Targets)
	p.Targets[0].Content = p.Content
	roles := make([]post.Role, len(d.Parts))
	for i := range d.Parts {
		roles[i] = d.Parts[i].Role
	}
	change := store.DeliveryEdit{Digest: p.Content.Digest(), Roles: roles, NeedsPrepare: d.NeedsPrepare}
	_, err := m.f.s.EditPost(m.t.Context(), m.write(), store.Edit{Post: p, Changes: map[post.ID]store.DeliveryEdit{d.ID: change}})
	if !d.State.Editable() || d.Begun() {
		if !errors.Is(err, post.ErrTooLate) {
			rt.Fatalf("edit of a %s delivery: %v", d.State, err)
		}
		return
	}
	m.ok(rt, err)
	d.Digest = change.Digest
	m.posts[d.Post] = p
}

func (m *model) prepare(rt *rapid.T) {
	d := m.any(rt)
	if !d.NeedsPrepare || d.State == post.Canceled {
		rt.Skip("it needs no preparing")
	}
	m.ok(rt, m.f.s.SavePrepared(m.t.Context(), m.now, store.Prepared{Delivery: d.ID, Digest: d.Digest, Done: true}))
	d.Prepared = d.Digest
}

func (m *model) hold(rt *rapid.T) {
	k := rapid.SampledFrom(m.keys()).Draw(rt, "account")
	h := post.Hold{Reason: rapid.SampledFrom([]post.HoldReason{post.HoldPaused, post.HoldRateLimited}).Draw(rt, "reason"), Since: m.now}
	if minutes := rapid.IntRange(0, 5).Draw(rt, "minutes"); minutes > 0 {
		h.Until = m.now.Add(time.Duration(minutes) * time.Minute)
	}
	m.ok(rt, m.f.s.HoldLane(m.t.Context(), m.write(), store.HoldOn{Account: k, Hold: h}))
	m.holds[k][h.Reason] = h
}

func (m *model) release(rt *rapid.T) {
	k := rapid.SampledFrom(m.keys()).Draw(rt, "account")
	late := rapid.SampledFrom([]store.Late{store.LateApply, store.LateSend, store.LateMiss}).Draw(rt, "late")
	m.ok(rt, m.f.s.ReleaseLane(m.t.Context(), m.write(), k, late, post.HoldPaused, post.HoldRateLimited))
	clear(m.holds[k])
	for _, d := range m.deliveries {
		if late == store.LateMiss && d.Account == k {
			m.miss(rt, d)
		}
	}
}

func (m *model) miss(rt *rapid.T, d *post.Delivery) {
	if d.State != post.Scheduled || d.Begun() || !d.Due.Before(m.now) {
		return
	}
	m.ok(rt, d.Miss("too_late", "it was overdue when its account was resumed"))
}

func (m *model) stop(rt *rapid.T) {
	scope := rapid.SampledFrom([]store.Stop{{}, {Kind: post.Personal}, {Brand: "acme"}}).Draw(rt, "scope")
	scope.Hold = post.Hold{Reason: post.HoldPaused, Since: m.now}
	if rapid.Bool().Draw(rt, "timed") {
		scope.Hold.Until = m.now.Add(2 * time.Minute)
	}
	m.ok(rt, m.f.s.StopAll(m.t.Context(), m.write(), scope))
	m.stops[string(scope.Kind)+"|"+scope.Brand] = scope
}

func (m *model) resume(rt *rapid.T) {
	if len(m.stops) == 0 {
		rt.Skip("nothing is stopped")
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.stops))).Draw(rt, "scope")
	s := m.stops[name]
	late := rapid.SampledFrom([]store.Late{store.LateApply, store.LateSend, store.LateMiss}).Draw(rt, "late")
	m.ok(rt, m.f.s.ResumeAll(m.t.Context(), m.write(), s.Kind, s.Brand, late))
	delete(m.stops, name)
	s.Hold = post.Hold{}
	for _, d := range m.deliveries {
		if late == store.LateMiss && s.Matches(m.accounts[d.Account], m.now) {
			m.miss(rt, d)
		}
	}
}

// reopen restarts: what was in flight becomes unconfirmed.
func (m *model) reopen(rt *rapid.T) {
	m.ok(rt, m.f.s.Close())
	s, err := m.b.Open(m.f.dir)
	m.ok(rt, err)
	m.f.s = s
	m.owner++
	_, err = s.Recover(m.t.Context(), m.now, fmt.Sprint(m.owner))
	m.ok(rt, err)
	for _, d := range m.deliveries {
		if d.State != post.Sending {
			continue
		}
		v, err := s.DeliveryByID(m.t.Context(), d.ID)
		m.ok(rt, err)
		if v.Delivery.State != post.Unconfirmed || v.Delivery.Attempts != d.Attempts+1 || !v.Delivery.Doubt.Next.Equal(m.now) {
			rt.Fatalf("stranded: %+v", v.Delivery)
		}
		*d = *duplicate(&v.Delivery)
		m.lastSent[d.Account] = m.now
	}
}
