package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// The room of the lanes: turns and their results, what people do to single deliveries, holds and stops.

func (m *model) turn(rt *rapid.T) {
	m.pass(time.Duration(rapid.IntRange(0, 300_000).Draw(rt, "ms")) * time.Millisecond)
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
	p.Targets[m.targetOf(d)].Content = p.Content
	roles := make([]post.Role, len(d.Parts))
	for i := range d.Parts {
		roles[i] = d.Parts[i].Role
	}
	change := store.DeliveryEdit{Digest: p.Content.Digest(), Roles: roles, NeedsPrepare: d.NeedsPrepare}
	before, after := m.marks[d.ID].words, m.words(rt)
	version, stale := m.version(rt, d.Post)
	out, err := m.f.s.EditPost(m.t.Context(), m.write(), store.Edit{
		Post: p, Version: version, Changes: map[post.ID]store.DeliveryEdit{d.ID: change},
		Before: map[post.ID]string{d.ID: before}, Fingerprints: map[post.ID]string{d.ID: after},
	})
	if stale {
		if !errors.Is(err, store.ErrStale) {
			rt.Fatalf("edit of an older version: %v", err)
		}
		return
	}
	editable := func(d *post.Delivery) bool { return d.State.Editable() && !d.Begun() }
	some := false
	for _, x := range m.deliveries {
		some = some || x.Post == d.Post && editable(x)
	}
	if !some {
		if !errors.Is(err, post.ErrTooLate) {
			rt.Fatalf("edit of a %s delivery: %v", d.State, err)
		}
		return
	}
	if before != after && editable(d) {
		if m.repeats(rt, err, d.Account, after, p.AllowDuplicate) {
			return
		}
		m.mark(d.ID, after)
	}
	m.ok(rt, err)
	i := m.targetOf(d)
	if editable(d) {
		d.Digest = change.Digest
		delete(m.uses, d.ID) // its picture
	} else {
		p.Targets[i] = m.posts[d.Post].Targets[i]
		if len(out.Kept) != 1 || out.Kept[0].Delivery != d.ID {
			rt.Fatalf("edit of a %s delivery kept %v", d.State, out.Kept)
		}
	}
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
	held := false
	for _, r := range []post.HoldReason{post.HoldPaused, post.HoldRateLimited} {
		h, set := m.holds[k][r]
		held = held || (set && !h.Open(m.now))
	}
	m.ok(rt, m.f.s.ReleaseLane(m.t.Context(), m.write(), store.Release{Account: k, Late: late, Reasons: []post.HoldReason{post.HoldPaused, post.HoldRateLimited}}))
	delete(m.holds[k], post.HoldPaused)
	delete(m.holds[k], post.HoldRateLimited)
	if late == store.LateSend {
		m.excused[k] = later(m.excused[k], m.now)
	}
	for _, d := range m.deliveries {
		if late == store.LateMiss && held && d.Account == k {
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
	for _, k := range m.keys() {
		if late == store.LateSend && s.Matches(m.accounts[k], m.now) {
			m.excused[k] = later(m.excused[k], m.now)
		}
	}
	for _, d := range m.deliveries {
		if late == store.LateMiss && s.Matches(m.accounts[d.Account], m.now) {
			m.miss(rt, d)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
		if d.State == post.Sending {
			m.strand(rt, d, post.Reason{Code: "interrupted", Message: "Crier stopped while the request may have been under way"})
		}
	}
}
