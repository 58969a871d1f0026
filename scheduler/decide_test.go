package scheduler_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/adapters"
	"crier/internal/post"
	"crier/scheduler"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// cell is what a row of the table asks to happen.
type cell struct {
	To      post.State
	Code    string
	At      time.Duration // NotBefore, or the next look, after the end of the attempt; -1 for none
	Counted bool
	Absent  bool
	Hold    post.HoldReason
	Until   time.Duration // of the hold, after the end of the attempt; -1 for none
	Refresh bool
	Alert   bool
	Drop    bool // of the prepared work, counted as a failure to prepare
}

func cellOf(d scheduler.Decision, now time.Time) cell {
	since := func(at time.Time) time.Duration {
		if at.IsZero() {
			return -1
		}
		return at.Sub(now)
	}
	c := cell{
		To: d.Settled.To, At: since(d.Settled.NotBefore), Counted: d.Settled.Counted, Absent: d.Settled.Absent,
		Refresh: d.Refresh, Alert: d.Alert, Drop: d.Settled.Unprepare && d.Settled.PrepareFailed, Until: -1,
	}
	if d.Settled.To == post.Unconfirmed {
		c.At = since(d.Settled.Next)
	}
	if d.Settled.Reason != nil {
		c.Code = d.Settled.Reason.Code
	}
	if len(d.Holds) > 0 {
		c.Hold, c.Until = d.Holds[0].Hold.Reason, since(d.Holds[0].Hold.Until)
	}
	return c
}

func attempted(fate adapters.Fate, reason adapters.Reason) scheduler.Attempted {
	acme := account("acme", post.Brand)
	return scheduler.Attempted{
		Account: &acme,
		Delivery: &post.Delivery{
			State: post.Sending, Fence: 7, FirstAttempt: noon.Add(-time.Second),
			Parts: []post.Part{{Role: post.RolePost, State: post.PartSending}},
		},
		Started: noon.Add(-time.Second), Began: noon.Add(-time.Minute), Now: noon, Lot: 0.5, AuthFails: 1,
		Err: &adapters.Error{Fate: fate, Reason: reason, Message: "so it is"},
	}
}

// The table of DESIGN section 4, cell by cell.
func TestEveryEndOfAnAttemptIsDecided(t *testing.T) {
	t.Parallel()
	const none = -1
	absent := map[adapters.Reason]cell{
		adapters.Network:    {post.Scheduled, "network", 30 * time.Second, true, true, "", none, false, false, false},
		adapters.Server:     {post.Scheduled, "server", 30 * time.Second, true, true, "", none, false, false, false},
		adapters.RateLimit:  {post.Scheduled, "rate_limit", 62500 * time.Millisecond, false, true, post.HoldRateLimited, 62500 * time.Millisecond, false, false, false},
		adapters.Auth:       {post.Scheduled, "auth", 0, false, true, "", none, true, false, false},
		adapters.Permission: {post.Scheduled, "permission", 0, false, true, post.HoldNeedsReconnect, none, false, false, false},
		adapters.Refused:    {post.Failed, "content", none, true, true, "", none, false, false, false},
		adapters.Policy:     {post.Failed, "policy", none, true, true, post.HoldPaused, none, false, true, false},
		adapters.Duplicate:  {post.Failed, "platform_duplicate", none, true, true, "", none, false, false, false},
		adapters.Budget:     {post.Scheduled, "budget", time.Hour, false, true, post.HoldOverBudget, time.Hour, false, false, false},
		adapters.Prepare:    {post.Scheduled, "prepare", 30 * time.Second, true, true, "", none, false, false, true},
		adapters.Protocol:   {post.Failed, "protocol", none, true, true, "", none, false, true, false},
		adapters.Stopped:    {post.Scheduled, "stopped", none, false, true, "", none, false, false, false},
	}
	for _, reason := range adapters.Reasons() {
		for _, fate := range []adapters.Fate{adapters.Unknown, adapters.Absent, adapters.Exists} {
			for _, doubt := range []bool{false, true} {
				a := attempted(fate, reason)
				if doubt {
					a.Delivery.Parts[0].Began = noon.Add(-time.Hour)
				}
				look := cell{post.Unconfirmed, string(reason), 10 * time.Second, true, false, "", none, false, false, false}
				var want cell
				switch {
				case fate == adapters.Unknown && reason == adapters.RateLimit:
					want = look
					want.Hold, want.Until = post.HoldRateLimited, time.Minute
				case fate == adapters.Unknown && reason == adapters.Policy:
					want = look
					want.Hold, want.Alert = post.HoldPaused, true
				case fate == adapters.Unknown:
					want = look
				case fate == adapters.Exists && doubt, reason == adapters.Duplicate && doubt:
					// The earlier attempt was out: it is looked for.
					want = look
					if reason == adapters.RateLimit {
						want.Hold, want.Until = post.HoldRateLimited, time.Minute
					}
					if reason == adapters.Policy {
						want.Hold, want.Alert = post.HoldPaused, true
					}
				case fate == adapters.Exists:
					want = cell{post.Failed, "platform_duplicate", none, true, false, "", none, false, false, false}
				default:
					want = absent[reason]
					want.Absent = !doubt // this attempt's absence says nothing about the earlier one
				}
				if diff := cmp.Diff(want, cellOf(scheduler.Decide(a), noon)); diff != "" {
					t.Errorf("%s, %s, earlier doubt %v (-want +got):\n%s", fate, reason, doubt, diff)
				}
			}
		}
	}
}

func TestEveryDecisionCarriesFencePartAndBegin(t *testing.T) {
	t.Parallel()
	for _, reason := range adapters.Reasons() {
		a := attempted(adapters.Unknown, reason)
		s := scheduler.Decide(a).Settled
		if s.Fence != 7 || s.Part != 0 || !s.Began.Equal(a.Began) || s.Reason.Message != "so it is" {
			t.Errorf("%s: %+v", reason, s)
		}
	}
}

func TestAReceiptPublishes(t *testing.T) {
	t.Parallel()
	a := attempted(adapters.Absent, adapters.Server)
	a.Err, a.Receipt = nil, post.Receipt{RemoteID: "r1"}
	s := scheduler.Decide(a).Settled
	if s.Receipt == nil || s.Receipt.RemoteID != "r1" || !s.Counted || s.Fence != 7 {
		t.Errorf("settled as %+v", s)
	}
}

func TestWhatDependsOnHowOftenItHappened(t *testing.T) {
	t.Parallel()
	const none = -1
	for name, tc := range map[string]struct {
		reason adapters.Reason
		change func(*scheduler.Attempted)
		want   cell
	}{
		"the second refusal of a token holds the account": {
			adapters.Auth, func(a *scheduler.Attempted) { a.AuthFails = 2 },
			cell{post.Scheduled, "auth", 0, false, true, post.HoldNeedsReconnect, none, true, false, false},
		},
		"the second refusal of prepared work prepares again": {
			adapters.Prepare, func(a *scheduler.Attempted) { a.Delivery.Parts[0].Prepares = 1 },
			cell{post.Scheduled, "prepare", 30 * time.Second, true, true, "", none, false, false, true},
		},
		"the third fails": {
			adapters.Prepare, func(a *scheduler.Attempted) { a.Delivery.Parts[0].Prepares = 2 },
			cell{post.Failed, "prepare", none, true, true, "", none, false, false, true},
		},
		"a safe failure within two hours is retried": {
			adapters.Server, func(a *scheduler.Attempted) { a.Delivery.FirstAttempt = noon.Add(-90 * time.Minute) },
			cell{post.Scheduled, "server", 30 * time.Minute, true, true, "", none, false, false, false},
		},
		"one whose next attempt would come after them fails": {
			adapters.Server, func(a *scheduler.Attempted) { a.Delivery.FirstAttempt = noon.Add(-91 * time.Minute) },
			cell{post.Failed, "server", none, true, true, "", none, false, false, false},
		},
		"a rate limit is held until the platform's own time": {
			adapters.RateLimit, func(a *scheduler.Attempted) { a.Err.Until, a.Lot = noon.Add(10*time.Minute), 0 },
			cell{post.Scheduled, "rate_limit", 10 * time.Minute, false, true, post.HoldRateLimited, 10 * time.Minute, false, false, false},
		},
		"a time in the past is a second from now": {
			adapters.RateLimit, func(a *scheduler.Attempted) { a.Err.Until, a.Lot = noon.Add(-time.Hour), 0 },
			cell{post.Scheduled, "rate_limit", time.Second, false, true, post.HoldRateLimited, time.Second, false, false, false},
		},
		"an absurd time is a week from now": {
			adapters.Budget, func(a *scheduler.Attempted) { a.Err.Until = noon.AddDate(50, 0, 0) },
			cell{post.Scheduled, "budget", 7 * 24 * time.Hour, false, true, post.HoldOverBudget, 7 * 24 * time.Hour, false, false, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := attempted(adapters.Absent, tc.reason)
			tc.change(&a)
			if diff := cmp.Diff(tc.want, cellOf(scheduler.Decide(a), noon)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyAPlatformsLimitsReachTheWholeApp(t *testing.T) {
	t.Parallel()
	for _, reason := range adapters.Reasons() {
		a := attempted(adapters.Absent, reason)
		a.Account.App, a.Err.Scope, a.AuthFails = "twitter:abc", adapters.ScopeApp, 2
		d := scheduler.Decide(a)
		want := ""
		if reason == adapters.RateLimit || reason == adapters.Budget {
			want = "twitter:abc"
		}
		for _, h := range d.Holds {
			if h.App != want || h.Account != a.Account.Key() {
				t.Errorf("%s holds %+v, want app %q", reason, h, want)
			}
		}
	}
}

func TestAnUnknownFateWithoutLooksIsLeftToAPerson(t *testing.T) {
	t.Parallel()
	a := attempted(adapters.Unknown, adapters.Network)
	a.Account.Looks = nil
	if next := scheduler.Decide(a).Settled.Next; !next.IsZero() {
		t.Errorf("a look is planned for %s", next)
	}
}

// The wait after a safe failure is 30 s at first, about doubles, never passes 30 minutes by more than the lot, and a
// retry never lies beyond two hours after the first attempt.
func TestRetriesKeepTheirBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := attempted(adapters.Absent, rapid.SampledFrom([]adapters.Reason{adapters.Network, adapters.Server}).Draw(t, "reason"))
		a.Lot = rapid.Float64Range(0, 0.999999).Draw(t, "lot")
		since := time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "since the first attempt"))
		took := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "took"))
		a.Delivery.Attempts = rapid.IntRange(0, 1000).Draw(t, "attempts")
		a.Started = noon.Add(-took)
		a.Delivery.FirstAttempt = a.Started.Add(-since)
		d := scheduler.Decide(a).Settled
		nominal := min(30*time.Second+since, 30*time.Minute)
		low, high := time.Duration(0.8*float64(nominal))-1, time.Duration(1.2*float64(nominal))+1
		end := a.Delivery.FirstAttempt.Add(2 * time.Hour)
		switch d.To {
		case post.Scheduled:
			if wait := d.NotBefore.Sub(noon); wait < low || wait > high {
				t.Fatalf("%s after the first attempt the wait is %s, want %s give or take a fifth", since, wait, nominal)
			}
			if d.NotBefore.After(end) {
				t.Fatalf("the retry at %s lies beyond %s", d.NotBefore, end)
			}
		case post.Failed:
			if !noon.Add(high).After(end) {
				t.Fatalf("given up %s after the first attempt", since)
			}
		default:
			t.Fatalf("decided %s", d.To)
		}
	})
}

func looked(change func(*scheduler.Looked)) scheduler.Looked {
	l := scheduler.Looked{
		Account: account("acme", post.Brand),
		Delivery: post.Delivery{
			State: post.Unconfirmed, Fence: 7, Doubt: &post.Doubt{Since: noon.Add(-10 * time.Second)},
			Parts: []post.Part{{State: post.PartUnknown, Unknown: true, Began: noon.Add(-11 * time.Second)}},
		},
		Now: noon,
	}
	if change != nil {
		change(&l)
	}
	return l
}

func TestEveryEndOfALookIsDecided(t *testing.T) {
	t.Parallel()
	type want struct {
		To                    post.State
		Code                  string
		Next                  time.Duration // the next look after now; -1 for none
		Clean, Unread         bool
		Absent, Resend, Found bool
		Refresh               bool
	}
	last := func(l *scheduler.Looked) { l.Delivery.Doubt.Looks = 2 }
	for name, tc := range map[string]struct {
		change func(*scheduler.Looked)
		want   want
	}{
		"found": {
			func(l *scheduler.Looked) {
				l.Look = adapters.Look{Sight: adapters.Found, Receipt: post.Receipt{RemoteID: "r1"}}
			},
			want{To: post.Unconfirmed, Next: -1, Found: true},
		},
		"proven absent": {
			func(l *scheduler.Looked) { l.Look.Sight = adapters.Never },
			want{To: post.Scheduled, Code: "proven_absent", Next: -1, Absent: true},
		},
		"several": {
			func(l *scheduler.Looked) { l.Look.Sight = adapters.Ambiguous },
			want{To: post.Unconfirmed, Code: "ambiguous", Next: -1, Clean: true},
		},
		"the first look shows nothing": {
			nil, want{To: post.Unconfirmed, Code: "not_seen_yet", Next: 50 * time.Second, Clean: true},
		},
		"the second look shows nothing": {
			func(l *scheduler.Looked) { l.Delivery.Doubt.Looks = 1 },
			want{To: post.Unconfirmed, Code: "not_seen_yet", Next: 290 * time.Second, Clean: true},
		},
		"a look that comes very late keeps its distance to the next": {
			func(l *scheduler.Looked) { l.Delivery.Doubt.Since = noon.Add(-time.Hour) },
			want{To: post.Unconfirmed, Code: "not_seen_yet", Next: 10 * time.Second, Clean: true},
		},
		"the last look shows nothing": {
			last, want{To: post.Scheduled, Code: "not_seen", Next: -1, Clean: true, Resend: true},
		},
		"the last look shows nothing, of an account that asks": {
			func(l *scheduler.Looked) { last(l); l.Account.WhenNotSeen = post.Ask },
			want{To: post.Unconfirmed, Code: "not_seen", Next: -1, Clean: true},
		},
		"the last look shows nothing, the second time": {
			func(l *scheduler.Looked) { last(l); l.Delivery.Parts[0].Resent = true },
			want{To: post.Unconfirmed, Code: "not_seen", Next: -1, Clean: true},
		},
		"the last look shows nothing, and it is to be canceled": {
			func(l *scheduler.Looked) { last(l); l.Delivery.CancelRequested = true },
			want{To: post.Scheduled, Code: "not_seen", Next: -1, Clean: true, Absent: true},
		},
		"an early look shows nothing, and it is to be canceled": {
			func(l *scheduler.Looked) { l.Delivery.CancelRequested = true },
			want{To: post.Unconfirmed, Code: "not_seen_yet", Next: 50 * time.Second, Clean: true},
		},
		"the platform cannot be read": {
			func(l *scheduler.Looked) { l.Err = &adapters.Error{Reason: adapters.Network} },
			want{To: post.Unconfirmed, Code: "look_failed", Next: 30 * time.Second, Unread: true},
		},
		"the platform cannot be read for the fourth time": {
			func(l *scheduler.Looked) {
				l.Err = &adapters.Error{Reason: adapters.Network}
				l.Delivery.Doubt.Reads, l.Delivery.Doubt.Looks = 3, 2
			},
			want{To: post.Unconfirmed, Code: "look_failed", Next: 4 * time.Minute, Unread: true},
		},
		"the platform cannot be read for a long time": {
			func(l *scheduler.Looked) {
				l.Err = &adapters.Error{Reason: adapters.Server}
				l.Delivery.Doubt.Reads = 1000
			},
			want{To: post.Unconfirmed, Code: "look_failed", Next: time.Hour, Unread: true},
		},
		"the token is refused": {
			func(l *scheduler.Looked) { l.Err = &adapters.Error{Reason: adapters.Auth} },
			want{To: post.Unconfirmed, Code: "look_failed", Next: 30 * time.Second, Unread: true, Refresh: true},
		},
		"an account without looks": {
			func(l *scheduler.Looked) { l.Account.Looks = nil; l.Account.WhenNotSeen = post.Ask },
			want{To: post.Unconfirmed, Code: "not_seen", Next: -1, Clean: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := scheduler.DecideLook(looked(tc.change))
			s := d.Settled
			got := want{
				To: s.To, Next: -1, Clean: s.Clean, Unread: s.Unread, Absent: s.Absent, Resend: s.Resend,
				Found: s.Receipt != nil, Refresh: d.Refresh,
			}
			if s.Reason != nil {
				got.Code = s.Reason.Code
			}
			if !s.Next.IsZero() {
				got.Next = s.Next.Sub(noon)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Fence != 7 || s.Counted {
				t.Errorf("fence %d, counted %v", s.Fence, s.Counted)
			}
			if s.To == post.Scheduled && !s.Absent && !s.Resend {
				t.Error("scheduled without evidence")
			}
		})
	}
}

// Whatever a look says, only a proof, or the whole horizon of clean looks, sends again.
func TestNothingShortOfTheHorizonSendsAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := looked(func(l *scheduler.Looked) {
			l.Delivery.Doubt.Looks = rapid.IntRange(0, 5).Draw(t, "looks")
			l.Delivery.Doubt.Reads = rapid.IntRange(0, 5).Draw(t, "reads")
			l.Delivery.Parts[0].Resent = rapid.Bool().Draw(t, "resent")
			l.Delivery.CancelRequested = rapid.Bool().Draw(t, "canceled")
			l.Account.WhenNotSeen = rapid.SampledFrom([]post.WhenNotSeen{post.Resend, post.Ask}).Draw(t, "choice")
			l.Look.Sight = rapid.SampledFrom([]adapters.Sight{adapters.NotSeen, adapters.Ambiguous}).Draw(t, "sight")
			if rapid.Bool().Draw(t, "unreadable") {
				l.Err = &adapters.Error{Reason: rapid.SampledFrom(adapters.Reasons()).Draw(t, "reason")}
			}
		})
		s := scheduler.DecideLook(l).Settled
		if s.To != post.Scheduled {
			return
		}
		if l.Err != nil || l.Look.Sight != adapters.NotSeen || l.Delivery.Doubt.Looks+1 < len(l.Account.Looks) {
			t.Fatalf("sent again after %s", fmt.Sprint(l.Look, l.Err, l.Delivery.Doubt))
		}
		if !l.Delivery.CancelRequested && (l.Account.WhenNotSeen != post.Resend || l.Delivery.Parts[0].Resent) {
			t.Fatal("sent again against the account's choice, or a second time")
		}
	})
}
