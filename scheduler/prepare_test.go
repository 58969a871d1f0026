package scheduler_test

import (
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
		"a rate limit":      {adapters.RateLimit, post.Scheduled, post.StatusRateLimited},
		"a spent budget":    {adapters.Budget, post.Scheduled, post.StatusOverBudget},
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
