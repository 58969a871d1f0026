package scheduler_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

func refusedToken() error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: "the token has ended"}
}

func TestARefusedTokenIsRefreshedOnceAndThePostGoesOut(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{denied}
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(2 * time.Second)
		w.is(id, post.Published)
		w.said("acme-id", "one")
		if r, v := w.p.count("acme refresh"), w.p.count("acme verify"); r != 1 || v != 2 {
			t.Errorf("%d refreshes and %d verifications, want 1 and 2", r, v)
		}
		if n := w.get(id).Attempts; n != 1 {
			t.Errorf("%d attempts counted, want 1", n)
		}
	})
}

func TestADeadTokenHoldsTheAccountUntilItIsReconnected(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.verify["acme"] = refusedToken()
		w.startWithChores(nil)
		id := w.send("acme", "one", 5*time.Minute)
		w.pass(10 * time.Minute)
		w.is(id, post.Scheduled)
		w.said("acme-id")
		if got := w.status("acme"); got != post.StatusNeedsReconnect {
			t.Errorf("the account is %s", got)
		}
		w.p.set(func() { delete(w.p.verify, "acme") })
		w.ok(w.s.Verify(w.t.Context(), w.key("acme")))
		w.pass(time.Second)
		w.is(id, post.Published)
		if got := w.status("acme"); got != post.StatusOK {
			t.Errorf("the account is %s", got)
		}
	})
}

func TestAnAnswerAboutTheTokenBeforeProvesNothingOfTheNextOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		before, after func(*platform)
		want          post.AccountStatus
	}{
		{
			"it was the account's, and the next one is not", func(*platform) {},
			func(p *platform) { p.owner["acme"] = "other-id" }, post.StatusWrongIdentity,
		},
		{
			"it was dead, and the next one is not", func(p *platform) { p.verify["acme"] = refusedToken() },
			func(p *platform) { delete(p.verify, "acme") }, post.StatusOK,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.p.ponder = 10 * time.Second
				tt.before(w.p)
				w.start() // and asks
				id := w.send("acme", "one", 5*time.Second)
				w.pass(3 * time.Second)
				w.p.set(func() { tt.after(w.p) })
				verified := make(chan error, 1)
				go func() { verified <- w.s.Verify(w.t.Context(), w.key("acme")) }()
				w.pass(time.Minute)
				if err := <-verified; (err == nil) != (tt.want == post.StatusOK) {
					t.Errorf("the person who reconnected was told: %v", err)
				}
				if got := w.status("acme"); got != tt.want {
					t.Errorf("the account is %s, want %s", got, tt.want)
				}
				if tt.want == post.StatusOK {
					w.is(id, post.Published)
				} else {
					w.said("other-id")
					w.is(id, post.Scheduled)
				}
			})
		})
	}
}

func TestADeadTokenIsAskedAboutEverLessOften(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.verify["acme"] = refusedToken()
		w.startWithChores(nil)
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{30 * time.Second, 1}, {2 * time.Minute, 2}, {8 * time.Minute, 3}, {25 * time.Minute, 4}, {90 * time.Minute, 5}, {150 * time.Minute, 6}} {
			w.pass(step.after - time.Since(w.began))
			if n := w.p.count("acme verify"); n != step.want {
				t.Errorf("after %s it was verified %d times, want %d", step.after, n, step.want)
			}
		}
		w.p.set(func() { delete(w.p.verify, "acme") })
		w.pass(time.Hour)
		if got := w.status("acme"); got != post.StatusOK {
			t.Errorf("it did not heal by itself: %s", got)
		}
	})
}

func TestATokenThatVerifiesButMayNotPostIsTriedEverLessOften(t *testing.T) {
	a := account("acme", post.Brand)
	a.MaxLate = 1000 * time.Hour
	inWorld(t, func(w *world) {
		for range 2000 {
			w.p.script["acme"] = append(w.p.script["acme"], denied)
		}
		w.startWithChores(nil)
		w.send("acme", "one", time.Second)
		w.pass(10 * time.Second)
		if got := w.status("acme"); got != post.StatusNeedsReconnect {
			t.Errorf("the account is %s", got)
		}
		w.pass(6 * time.Hour)
		if n := w.p.count("acme commit"); n < 3 || n > 25 {
			t.Errorf("%d commits with a refused token in six hours", n)
		}
	}, a)
}

func TestALackingPermissionHoldsTheAccount(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{forbidden}
		w.startWithChores(nil)
		id := w.send("acme", "one", time.Second)
		w.pass(5 * time.Minute)
		w.is(id, post.Scheduled, "permission")
		if got := w.status("acme"); got != post.StatusNeedsReconnect {
			t.Errorf("the account is %s", got)
		}
		w.ok(w.s.Verify(w.t.Context(), w.key("acme")))
		w.pass(time.Second)
		w.is(id, post.Published)
	})
}

func TestAWrongIdentityIsHeldAndNeverPosts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.owner["acme"] = "ann-at-home"
		w.send("acme", "due before the start", 0)
		w.startWithChores(nil)
		w.send("acme", "due later", time.Minute)
		w.pass(6 * time.Hour)
		if got := w.status("acme"); got != post.StatusWrongIdentity {
			t.Errorf("the account is %s", got)
		}
		if n := w.p.count("acme commit"); n != 0 {
			t.Errorf("%d commits in the wrong name", n)
		}
	})
}

func TestAVerificationThatPanicsEndsNothing(t *testing.T) {
	bad, good := account("bad", post.Brand), account("good", post.Brand)
	inWorld(t, func(w *world) {
		w.p.panics["bad"] = true
		w.startWithChores(nil)
		id := w.send("bad", "one", time.Second)
		w.send("good", "two", time.Second)
		w.pass(time.Minute)
		w.is(id, post.Scheduled, "server")
		w.said("good-id", "two")
		if err := w.s.Verify(w.t.Context(), w.key("bad")); err == nil {
			t.Error("a verification that broke down passed")
		}
		w.p.set(func() { delete(w.p.panics, "bad") })
		w.pass(10 * time.Minute)
		w.is(id, post.Published)
	}, bad, good)
}

func TestARefreshThatPanicsEndsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.script["acme"] = []behaviour{denied}
		w.p.refresh = func(string) error { panic("no refresh token") }
		w.start()
		id := w.send("acme", "one", time.Second)
		w.pass(time.Minute)
		w.is(id, post.Published)
	})
}

func TestABrokenNetworkAtTheStartIsAskedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.p.verify["acme"] = &adapters.Error{Fate: adapters.Unknown, Reason: adapters.Network, Message: "no route"}
		w.startWithChores(nil)
		id := w.send("acme", "one", time.Second)
		w.pass(45 * time.Second)
		w.is(id, post.Scheduled, "network")
		if got := w.status("acme"); got != post.StatusOK {
			t.Errorf("a broken network held the account: %s", got)
		}
		w.p.set(func() { delete(w.p.verify, "acme") })
		w.pass(2 * time.Minute)
		w.is(id, post.Published)
	})
}

// Of two accounts with one identity the first in the configuration speaks for it, and the second is held: whoever
// answers sooner, and whether or not the first can. One that has spoken for it before goes on to.
func TestOfTwoAccountsWithOneIdentityTheFirstSpeaksForIt(t *testing.T) {
	var accounts []post.Account
	for i := range 12 {
		first, second := account(fmt.Sprintf("z%d", i), post.Brand), account(fmt.Sprintf("a%d", i), post.Brand)
		second.Identity = fmt.Sprintf("Z%d-ID", i) // names differ by case alone
		accounts = append(accounts, first, second)
	}
	inWorld(t, func(w *world) {
		for i := range 12 {
			w.p.owner[fmt.Sprintf("a%d", i)] = fmt.Sprintf("z%d-id", i)
		}
		w.p.verify["z0"] = refusedToken()
		stand := func(when string) {
			t.Helper()
			for i := range 12 {
				want := map[string]post.AccountStatus{
					fmt.Sprintf("z%d", i): post.StatusOK, fmt.Sprintf("a%d", i): post.StatusWrongIdentity,
				}
				if i == 0 {
					want["z0"] = post.StatusNeedsReconnect
				}
				for handle, status := range want {
					if got := w.status(handle); got != status {
						t.Errorf("%s %s is %s, want %s", when, handle, got, status)
					}
				}
			}
		}
		w.startWithChores(nil)
		w.pass(3 * time.Minute)
		stand("at the first start")
		for i := range 12 {
			if n := w.p.count(fmt.Sprintf("a%d verify", i)); n != 0 {
				t.Errorf("the token of a%d was tried %d times", i, n)
			}
		}
		w.end()
		slices.Reverse(w.accounts)
		w.startWithChores(nil)
		w.pass(3 * time.Minute)
		for i := 1; i < 12; i++ {
			if got := w.status(fmt.Sprintf("z%d", i)); got != post.StatusOK {
				t.Errorf("in another order z%d, which has spoken before, is %s", i, got)
			}
		}
		if got := w.status("a0"); got != post.StatusOK {
			t.Errorf("in another order a0, before whom nobody has spoken, is %s", got)
		}
	}, accounts...)
}
