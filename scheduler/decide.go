package scheduler

import (
	"fmt"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// The policy of retries.
const (
	retryFirst   = 30 * time.Second
	retryLongest = 30 * time.Minute
	// retryWindow is how long after the first attempt safe failures are retried.
	retryWindow = 2 * time.Hour
	// retryJitter is the part of a wait that is drawn by lot, so that lanes do not come back in step.
	retryJitter = 0.2
	// maxPrepares is how often prepared work may be refused before the delivery fails.
	maxPrepares = 3
	// budgetAgain is when an exhausted budget is tried again if the platform names no reset.
	budgetAgain = time.Hour
	// limitAgain is when a rate limit is tried again if the platform names no reset.
	limitAgain = time.Minute
	// untilLongest bounds how far ahead a platform's own reset is believed.
	untilLongest = 7 * 24 * time.Hour
)

// Attempted is what is known at the end of one attempt.
type Attempted struct {
	Account  *post.Account
	Delivery *post.Delivery // as claimed
	Part     int
	Started  time.Time
	// Began is when it began by the platform's clock, as nearly as that is known: where looks for it begin.
	Began time.Time
	Now   time.Time
	// Receipt counts when Err is nil.
	Receipt post.Receipt
	Err     *adapters.Error
	// AuthFails is how often in a row the account's token was refused, this time included.
	AuthFails int
	// Lot is drawn from [0,1).
	Lot float64
}

// Decision is what follows.
type Decision struct {
	Settled post.Settled
	Holds   []store.HoldOn
	// Refresh asks for a fresh token and a new look at the identity before the next claim.
	Refresh bool
	// Alert says that an operator should hear of it: an adapter's bug, or a policy block.
	Alert bool
	// Words says the decision in plain words, for the attempt log.
	Words string
}

// Decide says what follows from an attempt. It is a pure function; DESIGN section 4 has its table.
func Decide(a Attempted) Decision {
	d := Decision{Settled: post.Settled{
		Part: a.Part, Fence: a.Delivery.Fence, From: a.Delivery.State, Counted: true, Began: a.Began,
	}}
	part := &a.Delivery.Parts[a.Part]
	if a.Err == nil {
		r := a.Receipt
		d.Settled.Receipt = &r
		d.Words = "published"
		return d
	}
	e := a.Err
	if part.Began.IsZero() {
		// With no earlier attempt in doubt, a stated absence clears nothing; with one, this attempt's absence says
		// nothing about the earlier one.
		d.Settled.Absent = e.Fate == adapters.Absent
	}
	d.Settled.Reason = &post.Reason{Code: string(e.Reason), Message: e.Message}
	switch {
	case e.Fate == adapters.Unknown:
		return unknown(d, a, "may be out: looking for it on the platform")
	case (e.Reason == adapters.Duplicate || e.Fate == adapters.Exists) && !part.Began.IsZero():
		return unknown(d, a, "the platform has it already: looking for the earlier attempt")
	case e.Reason == adapters.Duplicate || e.Fate == adapters.Exists:
		d.Settled.Reason.Code = "platform_duplicate"
		return failed(d, "the platform has the same content already and no attempt of ours is open: posted by hand")
	}
	switch e.Reason {
	case adapters.RateLimit:
		until := bounded(e.Until, a.Now, limitAgain)
		until = until.Add(time.Duration(a.Lot * float64(5*time.Second)))
		d.Holds = hold(a, post.HoldRateLimited, until)
		return again(d, until, false, "not out: waiting for the platform's limit")
	case adapters.Budget:
		until := bounded(e.Until, a.Now, budgetAgain)
		d.Holds = hold(a, post.HoldOverBudget, until)
		return again(d, until, false, "not out: waiting for the budget")
	case adapters.Network, adapters.Server:
		at, ok := retryAt(a)
		if !ok {
			return failed(d, "not out: two hours of safe failures are over")
		}
		return again(d, at, true, "not out: trying again")
	case adapters.Prepare:
		d.Settled.Unprepare, d.Settled.PrepareFailed = true, true
		if part.Prepares+1 >= maxPrepares {
			return failed(d, "not out: preparing was refused three times")
		}
		at, _ := retryAt(a)
		return again(d, at, true, "not out: preparing again")
	case adapters.Auth:
		d.Refresh = true
		if a.AuthFails < 2 {
			return again(d, a.Now, false, "not out: refreshing the token")
		}
		d.Holds = hold(a, post.HoldNeedsReconnect, time.Time{})
		return again(d, a.Now, false, "not out: the account has to be reconnected")
	case adapters.Permission:
		d.Holds = hold(a, post.HoldNeedsReconnect, time.Time{})
		return again(d, a.Now, false, "not out: the account lacks a permission")
	case adapters.Policy:
		d.Alert = true
		d.Holds = hold(a, post.HoldPaused, time.Time{})
		return failed(d, "not out: blocked by the platform's policy; the account is paused until a person has looked")
	case adapters.Protocol:
		d.Alert = true
		return failed(d, "not out: an answer that Crier does not understand")
	case adapters.Refused:
		return failed(d, "not out: the platform refuses this content")
	case adapters.Stopped:
		return again(d, time.Time{}, false, "stopped before anything was sent")
	case adapters.Duplicate: // decided above
	}
	d.Alert = true
	return failed(d, "not out: a reason that Crier does not know")
}

// DecidePreparation says what follows from a preparation that failed, as Decide does for an attempt. A limit that was met
// holds this delivery and no other: what is uploaded may go out, and its commit is counted elsewhere. Moved says that the
// preparation came further than ever before: then the connection or the platform failing is no failure of it, however
// often. It is a pure function.
func DecidePreparation(a Attempted, moved bool) Decision {
	d := Decide(a)
	if a.Err == nil {
		return d
	}
	switch a.Err.Reason {
	case adapters.RateLimit, adapters.Budget:
		d.Holds = nil
		d.Words = "not prepared: waiting for the platform's limit of what is prepared"
	case adapters.Network, adapters.Server:
		if moved {
			return again(d, a.Now, false, "not prepared yet: it came further and goes on")
		}
	case adapters.Auth, adapters.Permission, adapters.Refused, adapters.Policy, adapters.Duplicate, adapters.Prepare, adapters.Protocol, adapters.Stopped:
	}
	return d
}

// Looked is what is known at the end of one look.
type Looked struct {
	Account  post.Account
	Delivery post.Delivery
	Part     int
	Now      time.Time
	Look     adapters.Look
	Err      *adapters.Error
}

// lookSpacing is the least time between two looks, however late they are.
const lookSpacing = 10 * time.Second

// DecideLook says what follows from a look at a part of unknown fate. It is a pure function.
func DecideLook(l Looked) Decision {
	part := &l.Delivery.Parts[l.Part]
	doubt := l.Delivery.Doubt
	if doubt == nil {
		doubt = &post.Doubt{Since: l.Now}
	}
	d := Decision{Settled: post.Settled{
		Part: l.Part, Fence: l.Delivery.Fence, From: l.Delivery.State, Answers: doubt.Next, To: post.Unconfirmed,
	}}
	if l.Err != nil {
		wait := min(retryFirst<<min(doubt.Reads, 10), time.Hour)
		d.Settled.Unread = true
		d.Settled.Next = l.Now.Add(wait)
		d.Settled.Reason = &post.Reason{Code: "look_failed", Message: "the platform could not be asked: " + l.Err.Message}
		d.Refresh = l.Err.Reason == adapters.Auth
		d.Words = "the look failed and proves nothing: looking again"
		return d
	}
	switch l.Look.Sight {
	case adapters.Found:
		r := l.Look.Receipt
		d.Settled.Receipt = &r
		d.Words = "found on the platform"
		return d
	case adapters.Never:
		d.Settled.To, d.Settled.NotBefore, d.Settled.Absent = post.Scheduled, l.Now, true
		d.Settled.Reason = &post.Reason{Code: "proven_absent", Message: "the platform proves that it is not out"}
		d.Words = "certainly not out: sending it"
		return d
	case adapters.Ambiguous:
		d.Settled.Clean = true
		d.Settled.Reason = &post.Reason{Code: "ambiguous", Message: "several posts match: a person has to say which one is ours"}
		d.Words = "several posts match: a person decides"
		return d
	case adapters.NotSeen:
	}
	d.Settled.Clean = true
	looks := doubt.Looks + 1
	if looks < len(l.Account.Looks) {
		next := doubt.Since.Add(l.Account.Looks[looks])
		if soonest := l.Now.Add(lookSpacing); next.Before(soonest) && l.Account.Looks[looks]-l.Account.Looks[looks-1] >= lookSpacing {
			next = soonest
		}
		d.Settled.Next = next
		d.Settled.Reason = &post.Reason{Code: "not_seen_yet", Message: fmt.Sprintf("not seen in %d of %d looks", looks, len(l.Account.Looks))}
		d.Words = "not seen yet: looking again"
		return d
	}
	absent := &post.Reason{Code: "not_seen", Message: fmt.Sprintf("not seen in %d looks", looks)}
	d.Settled.Reason = absent
	switch {
	case l.Delivery.CancelRequested:
		d.Settled.To, d.Settled.Absent = post.Scheduled, true
		d.Words = "not seen to the platform's horizon: canceled, as asked"
	case l.Account.WhenNotSeen == post.Resend && !part.Resent:
		d.Settled.To, d.Settled.NotBefore, d.Settled.Resend = post.Scheduled, l.Now, true
		d.Words = "not seen to the platform's horizon: sending it once more"
	default:
		d.Words = "not seen to the platform's horizon: a person decides"
	}
	return d
}

// FirstLook is when the first look for an attempt of unknown fate happens.
func FirstLook(a post.Account, now time.Time) time.Time {
	if len(a.Looks) == 0 {
		return time.Time{} // nothing can answer: a person decides
	}
	return now.Add(a.Looks[0])
}

func unknown(d Decision, a Attempted, words string) Decision {
	d.Settled.To, d.Settled.Absent = post.Unconfirmed, false
	d.Settled.Next = FirstLook(*a.Account, a.Now)
	d.Words = words
	if a.Err.Reason == adapters.RateLimit {
		d.Holds = hold(a, post.HoldRateLimited, bounded(a.Err.Until, a.Now, limitAgain))
	}
	if a.Err.Reason == adapters.Policy {
		d.Alert = true
		d.Holds = hold(a, post.HoldPaused, time.Time{})
	}
	return d
}

func again(d Decision, at time.Time, counted bool, words string) Decision {
	d.Settled.To, d.Settled.NotBefore, d.Settled.Counted = post.Scheduled, at, counted
	d.Words = words
	return d
}

func failed(d Decision, words string) Decision {
	d.Settled.To = post.Failed
	d.Words = words
	return d
}

func hold(a Attempted, reason post.HoldReason, until time.Time) []store.HoldOn {
	on := store.HoldOn{
		Account: a.Account.Key(),
		Hold:    post.Hold{Reason: reason, Since: a.Now, Until: until, Detail: a.Err.Message},
	}
	if a.Err.Scope == adapters.ScopeApp && reason.FromPlatform() {
		on.App = a.Account.App
	}
	return []store.HoldOn{on}
}

// bounded takes a platform's own time with a grain of salt: never before a second from now, never absurdly late.
func bounded(until, now time.Time, otherwise time.Duration) time.Time {
	if until.IsZero() {
		until = now.Add(otherwise)
	}
	if soonest := now.Add(time.Second); until.Before(soonest) {
		return soonest
	}
	if latest := now.Add(untilLongest); until.After(latest) {
		return latest
	}
	return until
}

// retryAt is the next attempt after a safe failure: 30 s doubled with each attempt, at most 30 minutes, give or take a
// fifth by lot; ok is false when the window of retries is over by then. The doubling is read off the time since the
// first attempt (30 s, then as long again as all before), since a delivery's count of attempts also holds those at its
// other parts and those before a person's retry.
func retryAt(a Attempted) (at time.Time, ok bool) {
	first := a.Delivery.FirstAttempt
	if first.IsZero() || first.After(a.Started) {
		first = a.Started
	}
	wait := min(retryFirst+a.Started.Sub(first), retryLongest)
	wait += time.Duration((a.Lot*2 - 1) * retryJitter * float64(wait))
	at = a.Now.Add(wait)
	return at, !at.After(first.Add(retryWindow))
}
