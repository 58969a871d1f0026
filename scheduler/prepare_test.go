package scheduler_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

func film(text string) post.Content {
	return post.Content{Text: text, Media: []post.Media{{ID: "abc", Type: "video/mp4"}}}
}

func failing(reason adapters.Reason, times int) []error {
	var all []error
	for range times {
		all = append(all, &adapters.Error{Fate: adapters.Absent, Reason: reason, Message: "the upload broke"})
	}
	return all
}

func TestPreparingRunsAheadSoThatTheCommitIsOnTheSecond(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		id := w.write("acme", film("one"), time.Hour)
		w.pass(49 * time.Minute)
		if w.p.uploaded() != 0 {
			t.Error("it was prepared too early")
		}
		w.pass(2 * time.Minute)
		if n := w.p.uploaded(); n != 1 {
			t.Errorf("%d uploads, want 1", n)
		}
		w.pass(9*time.Minute + 10*time.Millisecond)
		w.is(id, post.Published)
		if at := w.p.out()[0].At; at != time.Hour {
			t.Errorf("it went out after %s", at)
		}
	})
}

func TestHandlesThatHaveExpiredAreMadeAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.expiry = 5 * time.Minute
		w.start()
		id := w.write("acme", film("one"), time.Hour)
		w.pass(time.Hour + time.Second)
		w.is(id, post.Published)
		if n := w.p.uploaded(); n != 2 {
			t.Errorf("%d uploads, want 2", n)
		}
	})
}

func TestPreparedWorkOutlivesARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		id := w.write("acme", film("one"), time.Hour)
		w.pass(55 * time.Minute)
		w.end()
		w.ok(w.store.Close())
		w.open()
		w.start()
		w.pass(6 * time.Minute)
		w.is(id, post.Published)
		if n := w.p.uploaded(); n != 1 {
			t.Errorf("%d uploads, want 1", n)
		}
	})
}

func TestAPreparationThatKeepsBreakingFailsTheDelivery(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.prepare["acme"] = failing(adapters.Network, 1000)
		w.start()
		id := w.write("acme", film("one"), time.Minute)
		w.pass(3 * time.Hour)
		w.is(id, post.Failed, "network")
		if n := w.p.count("acme prepare"); n < 6 || n > 12 {
			t.Errorf("%d preparations in two hours", n)
		}
	})
}

func TestAPreparationThatRecoversTooLateIsMissed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.prepare["acme"] = failing(adapters.Network, 6) // 30 s doubled six times: half an hour
		w.start()
		id := w.write("acme", film("one"), time.Minute)
		w.pass(time.Hour)
		w.is(id, post.Missed, "too_late")
	})
}

func TestWhatCannotBePreparedEndsLikeACommit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reason adapters.Reason
		want   post.State
		status post.AccountStatus
	}{
		"refused content":   {adapters.Refused, post.Failed, post.StatusOK},
		"refused by policy": {adapters.Policy, post.Failed, post.StatusPaused},
		"a lost permission": {adapters.Permission, post.Scheduled, post.StatusNeedsReconnect},
		// The limit of uploads stops what has to be uploaded, and nothing else.
		"a rate limit":   {adapters.RateLimit, post.Scheduled, post.StatusOK},
		"a spent budget": {adapters.Budget, post.Scheduled, post.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.prepare["acme"] = failing(tc.reason, 100)
				w.start()
				id := w.write("acme", film("one"), 10*time.Second)
				w.pass(30 * time.Second)
				w.is(id, tc.want, string(tc.reason))
				if got := w.status("acme"); got != tc.status {
					t.Errorf("the account is %s, want %s", got, tc.status)
				}
				w.said("acme-id")
				if n := w.p.count("acme prepare"); n != 1 {
					t.Errorf("%d preparations, want 1", n)
				}
			})
		})
	}
}

func TestALimitOfPreparingHoldsNoCommitThatIsReady(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]adapters.Error{
		"a rate limit":             {Reason: adapters.RateLimit},
		"the budget of a project":  {Reason: adapters.Budget, Scope: adapters.ScopeApp},
		"a rate limit of an app":   {Reason: adapters.RateLimit, Scope: adapters.ScopeApp},
		"a budget without its end": {Reason: adapters.Budget},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.start()
				ready := w.write("acme", film("ready"), 9*time.Minute)
				w.pass(time.Minute)
				e.Fate = adapters.Absent
				if name != "a budget without its end" {
					e.Until = w.now().Add(time.Hour)
				}
				w.p.mu.Lock()
				w.p.prepare["acme"] = []error{&e}
				w.p.mu.Unlock()
				limited := w.write("acme", film("limited"), 9*time.Minute)
				w.pass(8*time.Minute + time.Second)
				w.is(ready, post.Published)
				w.is(limited, post.Scheduled, string(e.Reason))
				// The platform's limit is not its own lateness.
				w.pass(time.Hour + time.Minute)
				w.is(limited, post.Published)
				if n := w.p.count("acme prepare"); n != 3 {
					t.Errorf("%d preparations, want one that worked, one that met the limit and one after it", n)
				}
			})
		})
	}
}

// hauling uploads a file of so many pieces, one in twenty minutes; then the line breaks.
type hauling struct {
	*voice
	pieces int
	done   *atomic.Int64
}

func (h hauling) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	if done, ok := r.Handle("upload"); ok && done.Done {
		return nil
	}
	select {
	case <-time.After(20 * time.Minute):
	case <-ctx.Done():
		return ctx.Err()
	}
	n := h.done.Add(1)
	if int(n) == h.pieces {
		return h.voice.Prepare(ctx, r, save)
	}
	if err := save(ctx, post.Handle{Name: "piece", Values: map[string]string{adapters.Progress: strconv.FormatInt(n, 10)}}); err != nil {
		return err
	}
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "the line broke"}
}

func TestAnUploadThatMovesIsNoFailure(t *testing.T) {
	patient := account("acme", post.Brand)
	patient.MaxLate = 24 * time.Hour
	inWorld(t, func(w *world) {
		var done atomic.Int64
		w.wrap = as(func(v *voice) hauling { return hauling{voice: v, pieces: 12, done: &done} })
		w.start()
		id := w.write("acme", film("one"), time.Minute)
		w.pass(3 * time.Hour)
		w.is(id, post.Scheduled)
		w.pass(2 * time.Hour)
		w.is(id, post.Published)
		if d := w.get(id); d.Attempts != 1 {
			t.Errorf("%d attempts are counted, want the one that sent it", d.Attempts)
		}
	}, patient)
}

// starting begins a new upload each time, which is no progress.
type starting struct{ *voice }

func (s starting) Prepare(ctx context.Context, _ adapters.Request, save func(context.Context, post.Handle) error) error {
	for _, at := range []string{"", "0", "-5", "x", "7"} {
		if err := save(ctx, post.Handle{Name: "piece", Values: map[string]string{adapters.Progress: at}}); err != nil {
			return err
		}
	}
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "the line broke"}
}

func TestAnUploadThatBeginsAnewEachTimeFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wrap = as(func(v *voice) starting { return starting{v} })
		w.start()
		id := w.write("acme", film("one"), time.Minute)
		w.pass(3 * time.Hour)
		w.is(id, post.Failed, "network")
	})
}

func TestAStoreThatCannotBeReadFailsNoPreparation(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"material", "saving"} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.store.deaf.Store(&what)
				w.start()
				id := w.write("acme", film("one"), 10*time.Minute)
				w.pass(time.Minute)
				w.is(id, post.Scheduled, "server")
				w.store.deaf.Store(nil)
				w.pass(10 * time.Minute)
				w.is(id, post.Published)
			})
		})
	}
}

func TestPreparedWorkThatIsRefusedThreeTimesFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wrap = as(func(v *voice) stale { return stale{v} })
		w.start()
		id := w.write("acme", film("one"), time.Minute)
		w.pass(10 * time.Minute)
		w.is(id, post.Failed, "prepare")
		if d := w.get(id); d.Attempts != 3 || d.Parts[0].Prepares != 3 {
			t.Errorf("%d attempts, %d refusals, want 3 of each", d.Attempts, d.Parts[0].Prepares)
		}
	})
}
