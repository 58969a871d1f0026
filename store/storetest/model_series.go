package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// The rooms of recurring posts and of accounts with what belongs to them.

// modelSeries is a series with its occurrences: key → delivery, zero for one that was left out.
type modelSeries struct {
	now  store.Series
	made map[string]post.ID
}

func (m *model) seriesSteps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create series": m.createSeries,
		"edit series":   m.editSeries,
		"delete series": m.deleteSeries,
		"skip":          m.skip,
		"materialize":   m.materialize,
	}
}

func (m *model) createSeries(rt *rapid.T) {
	if len(m.series) == 2 {
		rt.Skip("two are enough")
	}
	x, err := m.f.s.CreateSeries(m.t.Context(), m.write(), store.Series{
		ID: m.f.id(), Author: "ann", Kind: post.Brand, Accounts: []post.AccountKey{acme}, Cron: "0 9 * * *", TimeZone: "UTC",
		Order: "cycle", Posts: []json.RawMessage{json.RawMessage(`{"text":"hello"}`)},
	})
	m.ok(rt, err)
	m.series[x.ID] = &modelSeries{now: x, made: map[string]post.ID{}}
}

func (m *model) anySeries(rt *rapid.T) *modelSeries {
	if len(m.series) == 0 {
		rt.Skip("there is no series")
	}
	ids := slices.SortedFunc(maps.Keys(m.series), func(a, b post.ID) int { return slices.Compare(a[:], b[:]) })
	return m.series[rapid.SampledFrom(ids).Draw(rt, "series")]
}

// openRun reports whether an occurrence can still be withdrawn; one that was made as missed, until its time.
func (m *model) openRun(d *post.Delivery) bool {
	if d.State == post.Missed {
		return d.Reason != nil && d.Reason.Code == store.ReasonRefused && d.Due.After(m.now)
	}
	return !d.Begun() && (d.State == post.Draft || d.State == post.InReview || d.State == post.Scheduled)
}

// withdrawOpen cancels what has not begun; free gives the keys of those back.
func (m *model) withdrawOpen(rt *rapid.T, x *modelSeries, free bool) {
	for key, id := range x.made {
		d := m.deliveries[id]
		if d == nil || !m.openRun(d) {
			continue
		}
		m.ok(rt, d.Cancel())
		if free {
			delete(x.made, key)
		}
	}
}

// sameSeries takes over and compares what the store says of a series.
func (m *model) sameSeries(rt *rapid.T, x *modelSeries) {
	got, err := m.f.s.SeriesByID(m.t.Context(), x.now.ID)
	m.ok(rt, err)
	w := x.now
	if got.Revision != w.Revision || got.Used != w.Used || !got.Planned.Equal(w.Planned) || got.Deleted != w.Deleted || got.Cron != w.Cron || !slices.Equal(got.Skipped, w.Skipped) {
		rt.Fatalf("series %+v, the model says %+v", got, w)
	}
	x.now.Version = got.Version
	listed := 0
	for _, x := range m.series {
		if !x.now.Deleted {
			listed++
		}
	}
	if all, err := m.f.s.ListSeries(m.t.Context()); err != nil || len(all) != listed {
		rt.Fatalf("%d series are listed, %v; the model says %d", len(all), err, listed)
	}
	for n := range 5 {
		key := fmt.Sprint(n)
		made, err := m.f.s.OccurrenceMade(m.t.Context(), x.now.ID, key)
		m.ok(rt, err)
		if _, want := x.made[key]; made != want {
			rt.Fatalf("occurrence %s is made: %t, the model says %t", key, made, want)
		}
	}
}

func (m *model) editSeries(rt *rapid.T) {
	x := m.anySeries(rt)
	next := x.now
	next.Cron = fmt.Sprintf("%d 9 * * *", rapid.IntRange(0, 59).Draw(rt, "minute"))
	version := x.now.Version - uint64(rapid.IntRange(0, 1).Draw(rt, "older"))
	got, err := m.f.s.EditSeries(m.t.Context(), m.write(), next, version)
	switch {
	case x.now.Deleted:
		if !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("edit a deleted one: %v", err)
		}
	case version != x.now.Version:
		if !errors.Is(err, store.ErrStale) {
			rt.Fatalf("edit an older one: %v", err)
		}
	default:
		m.ok(rt, err)
		m.withdrawOpen(rt, x, true)
		next.Revision++
		if x.now = next; got.Revision != next.Revision {
			rt.Fatalf("revision %d, the model says %d", got.Revision, next.Revision)
		}
	}
	m.sameSeries(rt, x)
}

func (m *model) deleteSeries(rt *rapid.T) {
	x := m.anySeries(rt)
	if rapid.IntRange(0, 4).Draw(rt, "rarely") > 0 {
		rt.Skip("a deleted one tells little")
	}
	err := m.f.s.DeleteSeries(m.t.Context(), m.write(), x.now.ID, x.now.Version)
	if x.now.Deleted {
		if !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("delete a deleted one: %v", err)
		}
		return
	}
	m.ok(rt, err)
	m.withdrawOpen(rt, x, false)
	x.now.Deleted = true
	m.sameSeries(rt, x)
}

func (m *model) skip(rt *rapid.T) {
	x := m.anySeries(rt)
	key := fmt.Sprint(rapid.IntRange(0, 4).Draw(rt, "occurrence"))
	m.ok(rt, m.f.s.SkipOccurrence(m.t.Context(), m.write(), x.now.ID, key))
	id, made := x.made[key]
	if d := m.deliveries[id]; d != nil && m.openRun(d) {
		m.ok(rt, d.Cancel())
	}
	if !slices.Contains(x.now.Skipped, key) {
		x.now.Skipped = append(slices.Clone(x.now.Skipped), key)
		if !made {
			x.made[key] = post.ID{}
		}
	}
	m.sameSeries(rt, x)
}

func (m *model) materialize(rt *rapid.T) {
	x := m.anySeries(rt)
	revision := x.now.Revision - rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(rt, "older")
	var all []store.Occurrence
	want := 0
	stale := revision != x.now.Revision || x.now.Deleted
	fresh, refused := map[string]*store.NewPost{}, map[string]bool{}
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 4), 1, 3, rapid.ID[int]).Draw(rt, "occurrences") {
		key, at := fmt.Sprint(n), m.now.Add(time.Duration(n)*time.Minute)
		p := m.f.draft(at, acme)
		p.Post.Series, p.Deliveries[0].Series, p.Deliveries[0].Occurrence = x.now.ID, x.now.ID, key
		o := store.Occurrence{Key: key, At: at, Post: p}
		if rapid.IntRange(0, 3).Draw(rt, "refused") == 0 {
			o.Refused = map[post.ID]string{p.Deliveries[0].ID: "too long"}
			refused[key] = true
		}
		all = append(all, o)
		if _, taken := x.made[key]; !taken && !stale {
			fresh[key] = &p
			want++
		}
	}
	planned, used := m.now.Add(48*time.Hour), x.now.Used+want
	made, err := m.f.s.Materialize(m.t.Context(), m.write(), x.now.ID, revision, planned, used, all)
	if stale {
		if !errors.Is(err, store.ErrStale) {
			rt.Fatalf("for an older revision: %v, want ErrStale", err)
		}
	} else {
		m.ok(rt, err)
		x.now.Planned, x.now.Used = post.Instant(planned), used
	}
	if made != want {
		rt.Fatalf("%d were made, the model says %d", made, want)
	}
	for key, p := range fresh {
		x.made[key] = p.Deliveries[0].ID
		d := duplicate(&p.Deliveries[0])
		if refused[key] {
			m.ok(rt, d.Miss(store.ReasonRefused, "too long"))
		}
		m.deliveries[d.ID] = d
		m.refresh(rt, p.Post.ID)
	}
	m.sameSeries(rt, x)
}

func (m *model) accountSteps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"sync accounts": m.syncAccounts,
		"token":         m.token,
		"identity":      m.identity,
	}
}

// syncAccounts takes one account out of the configuration, or brings all back.
func (m *model) syncAccounts(rt *rapid.T) {
	gone := rapid.IntRange(0, 7).Draw(rt, "gone")
	var left []post.Account
	for i, k := range m.keys() {
		if i == gone {
			if _, held := m.holds[k][post.HoldRemoved]; !held {
				m.holds[k][post.HoldRemoved] = post.Hold{Reason: post.HoldRemoved, Since: m.now}
			}
			continue
		}
		left = append(left, m.accounts[k])
		delete(m.holds[k], post.HoldRemoved)
	}
	m.ok(rt, m.f.s.SyncAccounts(m.t.Context(), m.write(), left))
	all, err := m.f.s.ListAccounts(m.t.Context())
	m.ok(rt, err)
	if len(all) != len(m.keys()) {
		rt.Fatalf("%d accounts, want %d", len(all), len(m.keys()))
	}
	for i, v := range all {
		if i > 0 && all[i-1].Account.Handle >= v.Account.Handle {
			rt.Fatalf("accounts out of order: %s", v.Account.Handle)
		}
		one, err := m.f.s.AccountByHandle(m.t.Context(), v.Account.Handle)
		m.ok(rt, err)
		standing := map[post.HoldReason]bool{}
		for _, h := range one.Holds {
			if !h.Open(m.now) {
				standing[h.Reason] = true
			}
		}
		want := map[post.HoldReason]bool{}
		for reason, h := range m.holds[v.Account.Key()] {
			if !h.Open(m.now) {
				want[reason] = true
			}
		}
		if !maps.Equal(standing, want) || one.Pinned != m.pins[v.Account.Key()] || !one.LastSent.Equal(m.lastSent[v.Account.Key()]) {
			rt.Fatalf("%s: %+v; the model says holds %v, pinned %q, last sent %v", v.Account.Handle, one, want, m.pins[v.Account.Key()], m.lastSent[v.Account.Key()])
		}
	}
}

func (m *model) token(rt *rapid.T) {
	k := rapid.SampledFrom(m.keys()).Draw(rt, "account")
	old, fresh := m.tokens[k], fmt.Sprint("sealed ", rapid.IntRange(0, 9).Draw(rt, "token"))
	guess := old
	if rapid.Bool().Draw(rt, "wrong") {
		guess = "another"
	}
	var was []byte
	if guess != "" {
		was = []byte(guess)
	}
	err := m.f.s.SwapToken(m.t.Context(), k, was, []byte(fresh), "seed")
	if (guess == old) != (err == nil) || (err != nil && !errors.Is(err, store.ErrStale)) {
		rt.Fatalf("swap %q for %q over %q: %v", guess, fresh, old, err)
	}
	if err == nil {
		m.tokens[k] = fresh
	}
	sealed, _, err := m.f.s.Token(m.t.Context(), k)
	if string(sealed) != m.tokens[k] || (err != nil) != (m.tokens[k] == "") {
		rt.Fatalf("token %q, %v; the model says %q", sealed, err, m.tokens[k])
	}
}

func (m *model) identity(rt *rapid.T) {
	k := rapid.SampledFrom(m.keys()).Draw(rt, "account")
	remote := fmt.Sprint(rapid.IntRange(1, 6).Draw(rt, "remote"))
	free := m.pins[k] == "" || m.pins[k] == remote
	for other, r := range m.pins {
		free = free && (other == k || r != remote)
	}
	err := m.f.s.PinIdentity(m.t.Context(), m.write(), k, remote)
	if free != (err == nil) || (err != nil && !errors.Is(err, store.ErrIdentityTaken)) {
		rt.Fatalf("pin %s to %s: %v; the model has %v", remote, k, err, m.pins)
	}
	if free {
		m.pins[k] = remote
	}
}
