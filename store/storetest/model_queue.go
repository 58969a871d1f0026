package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// The room of the queue's smaller questions: leases, what stands, what is to be prepared, what comes next.

func (m *model) queueSteps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"renew":          m.renew,
		"expire":         m.expire,
		"standing":       m.standing,
		"soon":           m.soon,
		"stale prepared": m.stalePrepared,
		"receipt taken":  m.receiptTaken,
		"hold an app":    m.holdApp,
		"a day":          m.day,
	}
}

// next is the earliest instant at which something could be to do; stops are not considered.
func (m *model) next() time.Time {
	var best time.Time
	take := func(at time.Time) {
		if !at.IsZero() && (best.IsZero() || at.Before(best)) {
			best = at
		}
	}
	for _, k := range m.keys() {
		if d, at := m.opens(k); d != nil {
			take(at)
		}
	}
	for _, d := range m.deliveries {
		if d.State == post.Unconfirmed {
			take(d.Doubt.Next)
		}
	}
	return best
}

// strand makes the model's delivery unconfirmed, as one whose worker is gone.
func (m *model) strand(rt *rapid.T, d *post.Delivery, why post.Reason) {
	was, receipts := d.State, receiptsOf(d)
	_, err := d.Settle(post.Settled{
		Part: d.NextPart(), Fence: d.Fence, To: post.Unconfirmed, Counted: true, Reason: &why, Began: m.began[d.ID], Next: m.now,
	}, m.now)
	m.ok(rt, err)
	m.left(was, receipts, d)
}

func (m *model) renew(rt *rapid.T) {
	until := m.now.Add(time.Duration(rapid.IntRange(-1, 5).Draw(rt, "minutes")) * time.Minute)
	mine := rapid.Bool().Draw(rt, "mine")
	name := fmt.Sprint(m.owner)
	if !mine {
		name = "somebody else"
	}
	ids := []post.ID{m.f.id()} // of nothing
	for id, d := range m.deliveries {
		if d.State == post.Sending {
			ids = append(ids, id)
			if mine {
				m.leases[id] = until
			}
		}
	}
	m.ok(rt, m.f.s.Renew(m.t.Context(), name, ids, until))
}

func (m *model) expire(rt *rapid.T) {
	spared := rapid.Bool().Draw(rt, "some run on")
	running := func(id post.ID) bool { return spared && id[15]%2 == 0 }
	want := 0
	for id, d := range m.deliveries {
		if d.State == post.Sending && m.leases[id].Before(m.now) && !running(id) {
			m.strand(rt, d, post.Reason{Code: "lease_ended", Message: "nothing came back from the attempt in time"})
			want++
		}
	}
	got, err := m.f.s.Expire(m.t.Context(), m.now, running)
	m.ok(rt, err)
	if got != want {
		rt.Fatalf("%d expired, the model says %d", got, want)
	}
}

func (m *model) standing(rt *rapid.T) {
	if len(m.claims) == 0 {
		rt.Skip("nothing was claimed")
	}
	w := rapid.SampledFrom(m.claims).Draw(rt, "claim")
	d := m.deliveries[w.Delivery.ID]
	stands := d.State == post.Sending && d.Fence == w.Delivery.Fence && !d.CancelRequested
	for _, h := range m.holds[d.Account] {
		stands = stands && !h.Until.IsZero()
	}
	for _, s := range m.stops {
		ended := !s.Hold.Until.IsZero() && !m.started[d.ID].Before(s.Hold.Until)
		open := s
		open.Hold = post.Hold{}
		stands = stands && (ended || !open.Matches(m.accounts[d.Account], time.Time{}))
	}
	err := m.f.s.Standing(m.t.Context(), d.ID, w.Delivery.Fence)
	if stands != (err == nil) || (err != nil && !errors.Is(err, post.ErrFenced)) {
		rt.Fatalf("%v, the model says that it stands: %t", err, stands)
	}
}

func (m *model) soon(rt *rapid.T) {
	until := m.now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(rt, "until")) * time.Minute)
	var want []post.ID
	for id, d := range m.deliveries {
		a := m.accounts[d.Account]
		if d.State != post.Scheduled || !d.NeedsPrepare || d.Prepared == d.Digest || d.Due.After(until) || d.NotBefore.After(m.now) || a.Mode == post.ModeAssist {
			continue
		}
		free := true
		for _, h := range m.holds[d.Account] {
			free = free && h.Open(m.now)
		}
		for _, s := range m.stops {
			free = free && !s.Matches(a, m.now)
		}
		if free {
			want = append(want, id)
		}
	}
	slices.SortFunc(want, func(a, b post.ID) int {
		if c := m.deliveries[a].Due.Compare(m.deliveries[b].Due); c != 0 {
			return c
		}
		return slices.Compare(a[:], b[:])
	})
	limit := rapid.IntRange(1, 5).Draw(rt, "limit")
	want = want[:min(limit, len(want))]
	work, err := m.f.s.Soon(m.t.Context(), m.now, until, limit)
	m.ok(rt, err)
	var got []post.ID
	for _, w := range work {
		got = append(got, w.Delivery.ID)
		if w.Part != m.deliveries[w.Delivery.ID].NextPart() {
			rt.Fatalf("part %d of %s", w.Part, w.Delivery.ID)
		}
	}
	if !slices.Equal(want, got) {
		rt.Fatalf("soon: %v, the model says %v", got, want)
	}
}

func (m *model) stalePrepared(rt *rapid.T) {
	d := m.any(rt)
	err := m.f.s.SavePrepared(m.t.Context(), m.now, store.Prepared{Delivery: d.ID, Digest: "of other words", Done: true})
	if !errors.Is(err, store.ErrStale) {
		rt.Fatalf("work for other words: %v, want ErrStale", err)
	}
}

func (m *model) receiptTaken(rt *rapid.T) {
	remote := fmt.Sprint(rapid.IntRange(1, m.remote+1).Draw(rt, "remote"))
	taken, err := m.f.s.ReceiptTaken(m.t.Context(), post.Twitter, remote)
	m.ok(rt, err)
	if _, want := m.receipts[remote]; taken != want {
		rt.Fatalf("receipt %s is taken: %t, the model says %t", remote, taken, want)
	}
	if taken, err = m.f.s.ReceiptTaken(m.t.Context(), post.Reddit, remote); err != nil || taken {
		rt.Fatalf("on another platform it is taken: %t, %v", taken, err)
	}
}

func (m *model) holdApp(rt *rapid.T) {
	h := post.Hold{Reason: post.HoldRateLimited, Since: m.now, Until: m.now.Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "minutes")) * time.Minute)}
	m.ok(rt, m.f.s.HoldLane(m.t.Context(), m.write(), store.HoldOn{App: "twitter:app", Hold: h}))
	for k := range m.holds {
		m.holds[k][h.Reason] = h
	}
}

// day lets a day pass, so that answers and marks of duplicates end.
func (m *model) day(rt *rapid.T) {
	m.pass(25 * time.Hour)
	m.step(rt)
}
