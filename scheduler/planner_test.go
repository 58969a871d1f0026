package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/scheduler"
	"crier/store"
)

// planner plans the world's series; a post of a pool is a JSON string.
func (w *world) planner() *scheduler.Planner {
	return &scheduler.Planner{
		Store: w.store, Now: w.now, Log: slog.New(slog.DiscardHandler),
		Compose: func(_ context.Context, s store.Series, raw json.RawMessage, at recurrence.Occurrence) (store.Occurrence, error) {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return store.Occurrence{}, err
			}
			n := w.compose(s.Accounts[0].Handle, post.Content{Text: text}, at.At)
			n.Post.Series, n.Deliveries[0].Series, n.Deliveries[0].Occurrence = s.ID, s.ID, at.Key
			n.Deliveries[0].LocalDue, n.Deliveries[0].TimeZone = at.Local.String(), at.Zone
			return store.Occurrence{Key: at.Key, At: at.At, Post: n}, nil
		},
	}
}

func (w *world) series(every, order string, texts ...string) store.Series {
	w.t.Helper()
	s := store.Series{
		ID: w.id(), Author: "ann", CreatedAt: w.now(), Kind: post.Brand, TimeZone: "UTC", Order: order,
		Accounts: []post.AccountKey{w.accounts[0].Key()}, Every: every,
		Start: w.began.Add(time.Hour).UTC().Format("2006-01-02T15:04"),
	}
	for _, text := range texts {
		b, err := json.Marshal(text)
		w.ok(err)
		s.Posts = append(s.Posts, b)
	}
	s, err := w.store.CreateSeries(w.t.Context(), w.by(), s)
	w.ok(err)
	return s
}

// runs lists the deliveries of a series in order of due, as "text state" with a reason behind it.
func (w *world) runs(id post.ID) []string {
	w.t.Helper()
	page, err := w.store.ListDeliveries(w.t.Context(), store.Filter{Series: id, Now: w.now(), Limit: 500})
	w.ok(err)
	var all []string
	for _, v := range page.Items {
		c, _, err := w.store.Material(w.t.Context(), &v.Delivery)
		w.ok(err)
		line := c.Text + " " + string(v.Delivery.State)
		if v.Delivery.Reason != nil {
			line += " " + v.Delivery.Reason.Code
		}
		all = append(all, line)
	}
	return all
}

func (w *world) made(id post.ID, want ...string) {
	w.t.Helper()
	if got := w.runs(id); strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Errorf("after %s the series has %q, want %q", time.Since(w.began), got, want)
	}
}

func TestPlanningTwiceMakesOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.series("1d", "once", "mon", "tue", "wed", "thu")
		p := w.planner()
		w.ok(p.Plan(w.t.Context()))
		w.ok(p.Plan(w.t.Context()))
		w.ok(p.PlanOne(w.t.Context(), s.ID))
		w.made(s.ID, "mon scheduled", "tue scheduled")
		w.ok(w.store.Close())
		w.open()
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(s.ID, "mon scheduled", "tue scheduled")
		w.pass(24 * time.Hour)
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(s.ID, "mon scheduled", "tue scheduled", "wed scheduled")
	})
}

// Two planners that have read the same series write one after the other.
func TestPlannersWithTheSameSnapshotMakeOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.series("12h", "cycle", "a", "b", "c")
		first := w.planner()
		inner := first.Compose
		raced := false
		first.Compose = func(ctx context.Context, x store.Series, raw json.RawMessage, at recurrence.Occurrence) (store.Occurrence, error) {
			if !raced {
				raced = true
				w.ok(w.planner().Plan(ctx))
			}
			return inner(ctx, x, raw, at)
		}
		w.ok(first.Plan(w.t.Context()))
		want := []string{"a scheduled", "b scheduled", "c scheduled", "a scheduled"}
		w.made(s.ID, want...)
		w.pass(12 * time.Hour)
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(s.ID, append(want, "b scheduled")...)
	})
}

func TestOnceEndsWithThePoolAndCycleBeginsAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		once, cycle := w.series("12h", "once", "x", "y"), w.series("12h", "cycle", "a", "b")
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(once.ID, "x scheduled", "y scheduled")
		w.made(cycle.ID, "a scheduled", "b scheduled", "a scheduled", "b scheduled")
		w.pass(48 * time.Hour)
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(once.ID, "x scheduled", "y scheduled")
	})
}

func TestASeriesCatchesUpWithItsLatestRunAlone(t *testing.T) {
	// Nothing was planned for ten days, a run a day.
	inWorld(t, func(w *world) {
		s := w.series("1d", "cycle", "a", "b", "c")
		w.pass(10*24*time.Hour + 2*time.Hour)
		w.ok(w.planner().Plan(w.t.Context()))
		got := w.runs(s.ID)
		if len(got) != 3 {
			t.Errorf("made %q, want the latest run and those of two days", got)
		}
		page, err := w.store.ListDeliveries(w.t.Context(), store.Filter{Series: s.ID, Now: w.now(), To: w.now(), Limit: 10})
		w.ok(err)
		if len(page.Items) != 1 || !page.Items[0].Delivery.Due.Equal(w.began.Add(10*24*time.Hour+time.Hour)) {
			t.Errorf("overdue are %d runs, want the latest", len(page.Items))
		}
	})
}

func TestOverdueRunsAreSupersededByTheLatest(t *testing.T) {
	a := account("acme", post.Brand)
	a.MaxLate = 24 * time.Hour
	inWorld(t, func(w *world) {
		s := w.series("1h", "cycle", "a", "b", "c", "d")
		alone := w.send("acme", "not of the series", 90*time.Minute)
		w.ok(w.planner().Plan(w.t.Context()))
		w.pass(3*time.Hour + 30*time.Minute)
		w.ok(w.planner().CatchUp(w.t.Context()))
		w.ok(w.planner().CatchUp(w.t.Context()))
		got := w.runs(s.ID)
		if strings.Join(got[:4], ", ") != "a missed superseded, b missed superseded, c scheduled, d scheduled" {
			t.Errorf("the series has %q", got[:4])
		}
		w.is(alone, post.Scheduled)
		w.start()
		w.pass(time.Second)
		w.said("acme-id", "not of the series", "c")
	}, a)
}

// What was made before a long time down and what only falls due in it count as one backlog.
func TestCatchingUpCountsTheRunsThatWereNeverMade(t *testing.T) {
	a := account("acme", post.Brand)
	a.MaxLate = 1000 * time.Hour
	inWorld(t, func(w *world) {
		w.series("1d", "cycle", "a", "b", "c", "d", "e")
		w.ok(w.planner().Plan(w.t.Context()))
		w.pass(4*24*time.Hour + 2*time.Hour)
		w.ok(w.planner().CatchUp(w.t.Context()))
		w.startWithChores(w.planner())
		w.pass(5 * time.Minute)
		w.said("acme-id", "c")
	}, a)
}

func TestABadSeriesKeepsNobodyFromCatchingUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.series("1d", "cycle", "bad")
		p := w.planner()
		p.Compose = func(context.Context, store.Series, json.RawMessage, recurrence.Occurrence) (store.Occurrence, error) {
			return store.Occurrence{}, errors.New("its media is gone")
		}
		w.ok(p.CatchUp(w.t.Context()))
	})
}

// A post of the pool that cannot be sent is missed from the start and says why; an edit of the series makes its runs
// anew.
func TestARunThatCannotBeSentSaysSoAndTheOthersGoOn(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.series("12h", "cycle", "bad", "good")
		p := w.planner()
		inner := p.Compose
		p.Compose = func(ctx context.Context, x store.Series, raw json.RawMessage, at recurrence.Occurrence) (store.Occurrence, error) {
			o, err := inner(ctx, x, raw, at)
			if string(raw) == `"bad"` {
				o.Refused = map[post.ID]string{o.Post.Deliveries[0].ID: "targets[0].text: too long (too_long)"}
			}
			return o, err
		}
		w.ok(p.Plan(w.t.Context()))
		w.made(s.ID, "bad missed run_refused", "good scheduled", "bad missed run_refused", "good scheduled")
		w.startWithChores(p)
		w.pass(61 * time.Minute)
		w.said("acme-id")
		now, err := w.store.SeriesByID(w.t.Context(), s.ID)
		w.ok(err)
		now.Posts, now.Planned, now.Used = []json.RawMessage{json.RawMessage(`"better"`)}, w.now(), 0
		_, err = w.store.EditSeries(w.t.Context(), w.by(), now, now.Version)
		w.ok(err)
		w.ok(w.planner().PlanOne(w.t.Context(), s.ID))
		w.made(s.ID, "bad missed run_refused", "good canceled canceled", "better scheduled", "bad canceled canceled",
			"better scheduled", "good canceled canceled", "better scheduled", "bad canceled canceled", "better scheduled")
	})
}

func TestAChangedSeriesIsLeftToTheNextPlan(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.series("1d", "cycle", "old")
		p := w.planner()
		inner := p.Compose
		edited := false
		p.Compose = func(ctx context.Context, x store.Series, raw json.RawMessage, at recurrence.Occurrence) (store.Occurrence, error) {
			if !edited {
				edited = true
				now := s
				now.Posts = []json.RawMessage{json.RawMessage(`"new"`)}
				_, err := w.store.EditSeries(ctx, w.by(), now, s.Version)
				w.ok(err)
			}
			return inner(ctx, x, raw, at)
		}
		w.ok(p.Plan(w.t.Context()))
		w.made(s.ID)
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(s.ID, "new scheduled", "new scheduled")
	})
}

func TestASkippedRunIsLeftOutAndTakesNoPost(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.series("1d", "once", "a", "b")
		key := w.began.Add(time.Hour).UTC().Format("2006-01-02T15:04")
		w.ok(w.store.SkipOccurrence(w.t.Context(), w.by(), s.ID, key))
		w.ok(w.planner().Plan(w.t.Context()))
		w.pass(24 * time.Hour)
		w.ok(w.planner().Plan(w.t.Context()))
		w.made(s.ID, "a scheduled", "b scheduled")
		page, err := w.store.ListDeliveries(w.t.Context(), store.Filter{Series: s.ID, Now: w.now(), Limit: 10})
		w.ok(err)
		if first := page.Items[0].Delivery.Due; !first.Equal(w.began.Add(25 * time.Hour)) {
			t.Errorf("the first run is due %s: skipping %q had no effect", first, key)
		}
	})
}

func TestOneBadSeriesKeepsNoOtherWaiting(t *testing.T) {
	inWorld(t, func(w *world) {
		bad := w.series("1d", "cycle", "bad")
		good := w.series("1d", "cycle", "good")
		p := w.planner()
		inner := p.Compose
		broken := errors.New("its media is gone")
		p.Compose = func(ctx context.Context, x store.Series, raw json.RawMessage, at recurrence.Occurrence) (store.Occurrence, error) {
			if x.ID == bad.ID {
				return store.Occurrence{}, broken
			}
			return inner(ctx, x, raw, at)
		}
		if err := p.Plan(w.t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), bad.ID.String()) {
			t.Errorf("Plan: %v", err)
		}
		w.made(good.ID, "good scheduled", "good scheduled")
	})
}

func TestAStepOfTheClockCatchesUp(t *testing.T) {
	a := account("acme", post.Brand)
	a.MaxLate = 24 * time.Hour
	inWorld(t, func(w *world) {
		w.withBoot()
		s := w.series("1h", "cycle", "a", "b", "c")
		w.startWithChores(w.planner())
		w.pass(10*time.Minute + time.Second)
		w.skew.Store(int64(150 * time.Minute)) // over two runs
		w.pass(2 * time.Minute)
		w.said("acme-id", "b")
		if got := w.runs(s.ID)[:2]; got[0] != "a missed superseded" || got[1] != "b published" {
			t.Errorf("the series has %q", got)
		}
	}, a)
}
