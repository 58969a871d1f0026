package storetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// A turn in the model: what may be claimed, and what was missed.

// pass lets time go by.
func (m *model) pass(d time.Duration) {
	for _, k := range m.keys() {
		if m.excusing(k) {
			m.excused[k] = m.now.Add(d)
		}
	}
	m.now = m.now.Add(d)
}

// excusing reports whether the account's deliveries may be waiting for something that they are not blamed for: a flight,
// a doubt, a limit of the platform. It says yes too often rather than too seldom.
func (m *model) excusing(k post.AccountKey) bool {
	for _, h := range m.holds[k] {
		if h.Reason.FromPlatform() && !h.Open(m.now) {
			return true
		}
	}
	for _, d := range m.deliveries {
		if d.Account == k && (d.State == post.Sending || d.State == post.Unconfirmed) {
			return true
		}
	}
	return m.accounts[k].MinGap > 0
}

// late is how long a delivery has certainly waited for nothing, and how long it has waited at the most.
func (m *model) late(d *post.Delivery) (surely, most time.Duration) {
	from := d.Due
	if d.LateFrom.After(from) {
		from = d.LateFrom
	}
	most = m.now.Sub(from)
	if until := m.excused[d.Account]; until.After(from) {
		from = until
	}
	return m.now.Sub(from), most
}

// step takes a turn with these results in both and compares what came of it.
func (m *model) step(rt *rapid.T, results ...store.Result) {
	room := map[post.Kind]int{}
	for _, kind := range post.Kinds() {
		room[kind] = rapid.SampledFrom([]int{100, 100, 0, 1, 2}).Draw(rt, "room for "+string(kind))
	}
	full := map[post.Platform]bool{}
	if p := rapid.SampledFrom([]post.Platform{"", "", "", post.Reddit, post.Twitter}).Draw(rt, "full"); p != "" {
		full[p] = true
	}
	m.theirs = m.now.Add(time.Duration(rapid.IntRange(-5, 1).Draw(rt, "the platform's clock")) * time.Hour)
	out, err := m.f.s.Turn(m.t.Context(), store.Turn{
		Now: m.now, Began: map[post.Platform]time.Time{post.Twitter: m.theirs}, Owner: fmt.Sprint(m.owner), Results: results, Lease: time.Minute, Room: room, Full: full,
	})
	m.ok(rt, err)
	for i, r := range results {
		if want, got := m.apply(r), out.Refused[i]; !sameError(want, got) {
			rt.Fatalf("result %d: %v, the model says %v", i, got, want)
		}
	}
	claims := map[post.ID]store.Work{}
	taken := map[post.Kind]int{}
	for _, w := range out.Claims {
		claims[w.Delivery.ID] = w
		taken[w.Delivery.Account.Kind]++
	}
	missed := 0
	for _, k := range m.keys() {
		if full[post.Twitter] || taken[k.Kind] > room[k.Kind] {
			room[k.Kind] = 0
		}
		missed += m.visited(rt, k, claims, room[k.Kind] > 0, taken[k.Kind] < room[k.Kind])
	}
	if len(claims) > 0 || missed != out.Missed {
		rt.Fatalf("claimed %v as well, and missed %d; the model says %d", claims, out.Missed, missed)
	}
	m.claims = append(m.claims, out.Claims...)
	next, err := m.f.s.Next(m.t.Context())
	m.ok(rt, err)
	if len(m.stops) > 0 {
		return
	}
	// What was left for want of room is due already: when it became so is not told.
	soonest := m.next()
	waits := !soonest.IsZero() && !soonest.After(m.now) && !next.After(m.now)
	if !next.Equal(out.Next) || !waits && !next.Equal(soonest) {
		rt.Fatalf("next is %v, the turn said %v, the model says %v", next, out.Next, soonest)
	}
}

// visited follows what a turn did to one account, and takes its claim off the list. room says that there was any for its
// kind, all that there was more than was taken: then nothing that may go out is left.
func (m *model) visited(rt *rapid.T, k post.AccountKey, claims map[post.ID]store.Work, room, all bool) (missed int) {
	a := m.accounts[k]
	for d := m.head(k); d != nil; d = m.head(k) {
		v, err := m.f.s.DeliveryByID(m.t.Context(), d.ID)
		m.ok(rt, err)
		surely, most := m.late(d)
		state := v.Delivery.State
		switch {
		case state != post.Scheduled && !room:
			rt.Fatalf("%s is %s, and there was no room", d.ID, state)
		case state == post.Missed:
			if d.Begun() || most <= a.MaxLate {
				rt.Fatalf("%s was missed after %s at the most", d.ID, most)
			}
			m.ok(rt, d.Miss("too_late", "its time had passed by more than the account allows"))
			missed++
		case !d.Begun() && surely > a.MaxLate && (all || state != post.Scheduled):
			rt.Fatalf("%s is %s after it waited for %s", d.ID, state, surely)
		case a.Mode == post.ModeAssist && state == post.AwaitingPerson:
			m.ok(rt, d.HandOver())
		case a.Mode != post.ModeAssist && state == post.Sending:
			m.ok(rt, d.Begin(m.now))
			m.leases[d.ID], m.started[d.ID], m.began[d.ID] = post.Instant(m.now.Add(time.Minute)), m.now, m.theirs
			w := claims[d.ID]
			if w.Delivery.Fence != d.Fence || w.Part != d.NextPart() || !w.Began.Equal(m.theirs) {
				rt.Fatalf("the claim is %+v, the model says fence %d, part %d", w, d.Fence, d.NextPart())
			}
			delete(claims, d.ID)
		case state != post.Scheduled:
			rt.Fatalf("%s is %s after a turn", d.ID, state)
		case all:
			rt.Fatalf("%s could have gone out, and did not", d.ID)
		default:
			return missed // its turn did not come
		}
	}
	return missed
}
