package storetest

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/internal/post"
	"crier/store"
)

// The room of the desk: answers, keys, media, counts, changes and upkeep.

// stored is the answer of a request, and until when it holds.
type stored struct {
	digest byte
	answer string
	until  time.Time
}

func (m *model) deskSteps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"once":     m.once,
		"keys":     m.keySteps,
		"media":    m.mediaSteps,
		"counts":   m.counts,
		"upkeep":   m.upkeep,
		"back up":  m.backUp,
		"withdraw": m.withdraw,
	}
}

// once makes a request under one of a few keys: recorded alone, or with an effect.
func (m *model) once(rt *rapid.T) {
	key := fmt.Sprint("k", rapid.IntRange(0, 3).Draw(rt, "key"))
	digest := byte(rapid.IntRange(1, 2).Draw(rt, "digest"))
	fresh := fmt.Sprint("answer ", m.f.ids)
	o := &store.Once{Client: "ann", Key: key, Digest: [32]byte{digest}, Answer: func(any) []byte { return []byte(fresh) }}
	earlier, known := m.answers[key]
	known = known && earlier.until.After(m.now)
	answer, err := m.f.s.Replay(m.t.Context(), m.now, *o)
	switch {
	case !known && !errors.Is(err, store.ErrNotFound),
		known && earlier.digest != digest && !errors.Is(err, store.ErrIdempotencyMismatch),
		known && earlier.digest == digest && (err != nil || string(answer) != earlier.answer):
		rt.Fatalf("replay of %s: %q, %v; the model has %+v", key, answer, err, earlier)
	}
	w := m.write()
	w.Once = o
	if rapid.Bool().Draw(rt, "alone") {
		err = m.f.s.Record(m.t.Context(), w, nil)
	} else {
		n := m.f.draft(m.now.Add(time.Hour), acme)
		var v store.PostView
		if v, err = m.f.s.CreatePost(m.t.Context(), w, n); err == nil {
			m.posts[n.Post.ID], m.deliveries[n.Deliveries[0].ID] = v.Post, duplicate(&n.Deliveries[0])
		} else if _, gone := m.f.s.PostByID(m.t.Context(), n.Post.ID); !errors.Is(gone, store.ErrNotFound) {
			rt.Fatalf("a refused request wrote its post: %v", gone)
		}
	}
	replay, replayed := errors.AsType[*store.ReplayedError](err)
	switch {
	case !known:
		m.ok(rt, err)
		m.answers[key] = stored{digest: digest, answer: fresh, until: m.now.Add(store.OnceFor)}
	case earlier.digest != digest:
		if !errors.Is(err, store.ErrIdempotencyMismatch) {
			rt.Fatalf("another request under %s: %v", key, err)
		}
	case !replayed || string(replay.Answer) != earlier.answer:
		rt.Fatalf("the request again: %v, want %q", err, earlier.answer)
	}
}

func (m *model) keySteps(rt *rapid.T) {
	k := store.Key{
		ID: fmt.Sprint("key", rapid.IntRange(0, 4).Draw(rt, "key")), Person: "ann", Name: fmt.Sprint(m.f.ids), Hash: []byte{1},
		Scopes: []string{"read"}, CreatedAt: m.now,
	}
	_, known := m.keyring[k.ID]
	if rapid.Bool().Draw(rt, "delete") {
		if err := m.f.s.DeleteKey(m.t.Context(), m.write(), k.ID); (err == nil) != known || (err != nil && !errors.Is(err, store.ErrNotFound)) {
			rt.Fatalf("delete %s: %v, known: %t", k.ID, err, known)
		}
		delete(m.keyring, k.ID)
	} else {
		m.ok(rt, m.f.s.PutKey(m.t.Context(), m.write(), k))
		m.keyring[k.ID] = k
	}
	got := map[string]store.Key{}
	all, err := m.f.s.ListKeys(m.t.Context())
	m.ok(rt, err)
	for _, k := range all {
		got[k.ID] = k
		one, err := m.f.s.KeyByID(m.t.Context(), k.ID)
		m.ok(rt, err)
		if diff := cmp.Diff(k, one); diff != "" {
			rt.Fatalf("key alone and in the list:\n%s", diff)
		}
	}
	if diff := cmp.Diff(m.keyring, got); diff != "" {
		rt.Fatalf("keys (-model +store):\n%s", diff)
	}
}

func fileID(n int) string { return strings.Repeat(fmt.Sprint(n), 64) }

// used reports whether a delivery that is still to be sent uses the file.
func (m *model) used(file string) bool {
	for id, f := range m.uses {
		switch d := m.deliveries[id]; d.State {
		case post.Draft, post.InReview, post.Scheduled, post.Sending, post.Unconfirmed, post.AwaitingPerson:
			if f == file {
				return true
			}
		case post.Published, post.Partial, post.Failed, post.Missed, post.Canceled, post.Removed:
		}
	}
	return false
}

func (m *model) mediaSteps(rt *rapid.T) {
	file, who := fileID(rapid.IntRange(0, 3).Draw(rt, "file")), rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "who")
	by, known := m.media[file]
	if rapid.IntRange(0, 2).Draw(rt, "delete") == 0 {
		err := m.f.s.DeleteMedia(m.t.Context(), m.write(), file)
		m.forgotten(rt, file, known, err)
	} else {
		_, err := m.f.s.PutMedia(m.t.Context(), m.write(), store.Media{
			Media: post.Media{ID: file, Type: "image/png"}, Uploads: []store.Upload{{By: who, At: m.now}},
		})
		m.ok(rt, err)
		if !slices.Contains(by, who) {
			m.media[file] = append(by, who)
		}
	}
	m.mediaAgree(rt)
}

// forgotten judges the answer to a file's deletion.
func (m *model) forgotten(rt *rapid.T, file string, known bool, err error) {
	switch {
	case !known:
		if !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("delete what is not there: %v", err)
		}
	case m.used(file):
		if !errors.Is(err, store.ErrInUse) {
			rt.Fatalf("delete what is needed: %v", err)
		}
	default:
		m.ok(rt, err)
		delete(m.media, file)
	}
}

func (m *model) withdraw(rt *rapid.T) {
	if len(m.media) == 0 {
		rt.Skip("there is no file")
	}
	file := rapid.SampledFrom(slices.Sorted(maps.Keys(m.media))).Draw(rt, "file")
	who := rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "who")
	left := slices.DeleteFunc(slices.Clone(m.media[file]), func(by string) bool { return by == who })
	gone, err := m.f.s.WithdrawMedia(m.t.Context(), m.write(), file, func(by string) bool { return by == who }, seesAll)
	if len(left) > 0 {
		m.ok(rt, err)
		m.media[file] = left
	} else {
		m.forgotten(rt, file, true, err)
	}
	if _, there := m.media[file]; gone == there {
		rt.Fatalf("gone: %t, the model still has it: %t", gone, there)
	}
	m.mediaAgree(rt)
}

func (m *model) mediaAgree(rt *rapid.T) {
	got := map[string][]string{}
	for cursor := ""; ; {
		page, next, err := m.f.s.ListMedia(m.t.Context(), func(store.Media) bool { return true }, 2, cursor)
		m.ok(rt, err)
		for _, x := range page {
			for _, u := range x.Uploads {
				got[x.ID] = append(got[x.ID], u.By)
			}
		}
		if cursor = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff(m.media, got); diff != "" {
		rt.Fatalf("media (-model +store):\n%s", diff)
	}
	for file := range m.media {
		if _, err := m.f.s.MediaByID(m.t.Context(), file); err != nil {
			rt.Fatalf("%s: %v", file, err)
		}
	}
}

func (m *model) counts(rt *rapid.T) {
	type place struct {
		kind  post.Kind
		key   post.AccountKey
		state post.State
	}
	want, got := map[place]int{}, map[place]int{}
	flying := 0
	for _, d := range m.deliveries {
		want[place{kind: d.Account.Kind, state: d.State}]++
		want[place{key: d.Account, state: d.State}]++
		if d.State == post.Sending {
			flying++
		}
	}
	all, err := m.f.s.Counts(m.t.Context())
	m.ok(rt, err)
	for kind, states := range all.ByState {
		for state, n := range states {
			got[place{kind: kind, state: state}] += n
		}
	}
	each, err := m.f.s.AccountCounts(m.t.Context())
	m.ok(rt, err)
	for key, c := range each {
		for state, n := range c.ByState {
			got[place{key: key, state: state}] += n
		}
	}
	maps.DeleteFunc(got, func(_ place, n int) bool { return n == 0 })
	if !maps.Equal(want, got) || flying != all.InFlight {
		rt.Fatalf("counted %v and %d in flight, the model says %v and %d", got, all.InFlight, want, flying)
	}
}

// upkeep prunes, and demands that the numbers of changes have no gap.
func (m *model) upkeep(rt *rapid.T) {
	before, err := m.f.s.Info(m.t.Context())
	m.ok(rt, err)
	if rapid.Bool().Draw(rt, "prune") {
		m.ok(rt, m.f.s.Prune(m.t.Context(), m.now, m.now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(rt, "minutes"))*time.Minute)))
	}
	m.ok(rt, m.f.s.Writable(m.t.Context()))
	info, err := m.f.s.Info(m.t.Context())
	m.ok(rt, err)
	if info.Sequence != before.Sequence || info.Epoch != before.Epoch {
		rt.Fatalf("after upkeep %+v, before it %+v", info, before)
	}
	changes, err := m.f.s.Changes(m.t.Context(), 0, 1<<20)
	m.ok(rt, err)
	for i, c := range changes {
		if i > 0 && c.Seq != changes[i-1].Seq+1 {
			rt.Fatalf("change %d follows %d", c.Seq, changes[i-1].Seq)
		}
	}
	if n := len(changes); n > 0 && changes[n-1].Seq != info.Sequence {
		rt.Fatalf("the last change is %d, the store says %d", changes[n-1].Seq, info.Sequence)
	}
}

func (m *model) backUp(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "rarely") > 0 {
		rt.Skip("it takes long")
	}
	m.f.ids++
	path := filepath.Join(m.f.dir, fmt.Sprint("backup-", m.f.ids))
	m.ok(rt, m.f.s.Backup(m.t.Context(), path))
	if problems, err := m.b.Verify(path); err != nil || len(problems) > 0 {
		rt.Fatalf("the backup: %v %v", err, problems)
	}
}
