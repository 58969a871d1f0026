package post_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func receipt(id string) *post.Receipt { return &post.Receipt{RemoteID: id, At: noon} }

// in gives a delivery of two parts in a state, the first of which is out when begun is set.
func in(state post.State, begun bool) *post.Delivery {
	d := &post.Delivery{
		State: state, Due: noon, Fence: 3, Attempts: 1,
		Parts: []post.Part{{Role: post.RolePost, State: post.PartWaiting}, {Role: post.RoleReply, State: post.PartWaiting}},
	}
	if begun {
		d.Parts[0].Receipt, d.Parts[0].State = receipt("r0"), post.PartPublished
	}
	if state == post.Unconfirmed {
		d.Doubt = &post.Doubt{Since: noon}
		d.Parts[d.NextPart()].State, d.Parts[d.NextPart()].Unknown = post.PartUnknown, true
	}
	return d
}

// name gives an error as the table below calls it.
func name(err error) string {
	for n, e := range map[string]error{
		"transition": post.ErrTransition, "late": post.ErrTooLate, "resolve": post.ErrResolveFirst, "fenced": post.ErrFenced,
	} {
		if errors.Is(err, e) {
			return "!" + n
		}
	}
	return fmt.Sprint(err)
}

// Every method in every state, with nothing out and with the first part out: the state that follows, or the error.
// States stand in the order of the contract: draft, in_review, scheduled, sending, published, partial, failed,
// unconfirmed, missed, awaiting_person, canceled, removed. A dash means that the state stays.
func TestEveryMethodInEveryState(t *testing.T) {
	t.Parallel()
	later := noon.Add(time.Hour)
	settle := func(s post.Settled) func(*post.Delivery) error {
		return func(d *post.Delivery) error {
			s.Part, s.Fence = d.NextPart(), 3
			_, err := d.Settle(s, later)
			return err
		}
	}
	const x, late, fenced = "!transition", "!late", "!fenced"
	for _, row := range []struct {
		method string
		begun  bool
		do     func(*post.Delivery) error
		want   string
	}{
		{
			"begin", false, func(d *post.Delivery) error { return d.Begin(later) },
			"!t !t sending !t !t !t !t !t !t !t !t !t",
		},
		{
			"cancel", false, (*post.Delivery).Cancel,
			"canceled canceled canceled - !late !late canceled - canceled canceled - !late",
		},
		{
			"cancel", true, (*post.Delivery).Cancel,
			"? ? partial - !late !late ? - ? partial - !late",
		},
		{
			"miss", false, func(d *post.Delivery) error { return d.Miss("too_late", "late") },
			"!t missed missed missed !t !t !t !t - missed !t !t",
		},
		{
			"miss", true, func(d *post.Delivery) error { return d.Miss("too_late", "late") },
			"!t !t !t !t !t !t !t !t !t !t !t !t",
		},
		{
			"hand over", false, (*post.Delivery).HandOver,
			"!t !t awaiting_person !t !t !t !t !t !t - !t !t",
		},
		{
			"retry", false, func(d *post.Delivery) error { return d.Retry(later) },
			"!t !t !t !t !t scheduled scheduled !resolve scheduled !t !t !t",
		},
		{
			"retry", true, func(d *post.Delivery) error { return d.Retry(later) },
			"!t !t !t !t !t scheduled scheduled !resolve scheduled !t !t !t",
		},
		{
			"reschedule", false, func(d *post.Delivery) error { return d.Reschedule(later) },
			"- - - !late !late !late scheduled !resolve scheduled !late !late !late",
		},
		{
			"reschedule", true, func(d *post.Delivery) error { return d.Reschedule(later) },
			"!late !late !late !late !late !late !late !late !late !late !late !late",
		},
		{
			"accept", false, (*post.Delivery).Accept,
			"!t !t !t !t !t published !t !t !t !t !t !t",
		},
		{
			"submit", false, func(d *post.Delivery) error { return d.Submit(later) },
			"scheduled !t !t !t !t !t !t !t !t !t !t !t",
		},
		{"resolve as out", false, func(d *post.Delivery) error {
			return d.Resolve(post.Verdict{Published: true, Receipt: *receipt("r9")}, later)
		}, "!t !t !t !t !t !t !t scheduled !t - !t !t"},
		{"resolve the last as out", true, func(d *post.Delivery) error {
			return d.Resolve(post.Verdict{Published: true, Receipt: *receipt("r9")}, later)
		}, "!t !t !t !t !t !t !t published !t published !t !t"},
		{
			"resolve as not out", false, func(d *post.Delivery) error { return d.Resolve(post.Verdict{}, later) },
			"!t !t !t !t !t !t !t scheduled !t !t !t !t",
		},
		{
			"resolve as not out and cancel", false, func(d *post.Delivery) error { return d.Resolve(post.Verdict{Cancel: true}, later) },
			"!t !t !t !t !t !t !t canceled !t canceled !t !t",
		},
		{
			"resolve as not out and cancel", true, func(d *post.Delivery) error { return d.Resolve(post.Verdict{Cancel: true}, later) },
			"!t !t !t !t !t !t !t partial !t partial !t !t",
		},
		{
			"settle again", false, settle(post.Settled{To: post.Scheduled}),
			"!f !f - scheduled !f !f !f scheduled !f !f !f !f",
		},
		{
			"settle failed", false, settle(post.Settled{To: post.Failed}),
			"!f !f failed failed !f !f !f failed !f !f !f !f",
		},
		{
			"settle failed", true, settle(post.Settled{To: post.Failed}),
			"!f !f partial partial !f !f !f partial !f !f !f !f",
		},
		{
			"settle in doubt", false, settle(post.Settled{To: post.Unconfirmed}),
			"!f !f !t unconfirmed !f !f !f - !f !f !f !f",
		},
		{
			"settle with a receipt", false, settle(post.Settled{Receipt: receipt("r9")}),
			"partial partial - scheduled partial partial partial scheduled partial - partial partial",
		},
		{
			"settle the last with a receipt", true, settle(post.Settled{Receipt: receipt("r9")}),
			"published published published published - published published published published published published published",
		},
	} {
		want := strings.Fields(row.want)
		for i, state := range post.States() {
			w := want[i]
			switch w {
			case "-":
				w = string(state)
			case "!t":
				w = x
			case "!f":
				w = fenced
			case "!late":
				w = late
			case "?":
				continue // no delivery stands there with a part that is out
			}
			d := in(state, row.begun)
			err := row.do(d)
			got := string(d.State)
			if err != nil {
				got = name(err)
			}
			if got != w {
				t.Errorf("%s in %s (begun %v): %s, want %s", row.method, state, row.begun, got, w)
			}
			if err != nil && row.method != "cancel" && !strings.HasPrefix(row.method, "settle") {
				if diff := cmp.Diff(in(state, row.begun), d); diff != "" {
					t.Errorf("%s in %s was refused and changed it:\n%s", row.method, state, diff)
				}
			}
		}
	}
}

func TestOneClaimAtATime(t *testing.T) {
	t.Parallel()
	d := in(post.Scheduled, false)
	if err := d.Begin(noon); err != nil {
		t.Fatal(err)
	}
	if d.State != post.Sending || d.Fence != 4 || d.Parts[0].State != post.PartSending || !d.FirstAttempt.Equal(noon) {
		t.Errorf("claimed as %+v", d)
	}
	if err := d.Begin(noon); !errors.Is(err, post.ErrTransition) {
		t.Errorf("a second claim of what is in flight: %v", err)
	}
	if d.Fence != 4 {
		t.Errorf("the refused claim moved the fence to %d", d.Fence)
	}
}

func sending(begun bool) *post.Delivery {
	d := in(post.Scheduled, begun)
	if err := d.Begin(noon); err != nil {
		panic(err)
	}
	return d
}

func settled(t *testing.T, d *post.Delivery, s post.Settled) bool {
	t.Helper()
	alert, err := d.Settle(s, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return alert
}

func TestAReceiptIsNeverRefused(t *testing.T) {
	t.Parallel()
	for _, state := range post.States() {
		for _, fence := range []uint64{0, 3, 99} {
			d := in(state, false)
			alert, err := d.Settle(post.Settled{Fence: fence, Receipt: receipt("r1")}, noon)
			if err != nil || d.Parts[0].Receipt == nil || d.Parts[0].State != post.PartPublished {
				t.Errorf("%s, fence %d: %v", state, fence, err)
			}
			if alert != (fence != 3) {
				t.Errorf("%s, fence %d: alert %v", state, fence, alert)
			}
		}
	}
}

func TestTheFirstProofStands(t *testing.T) {
	t.Parallel()
	d := sending(false)
	settled(t, d, post.Settled{Fence: 4, Receipt: receipt("r1"), Counted: true})
	before := *d
	if settled(t, d, post.Settled{Fence: 4, Receipt: receipt("r1"), Counted: true}) {
		t.Error("the same proof again is no alarm")
	}
	if !settled(t, d, post.Settled{Fence: 4, Receipt: receipt("r2"), Counted: true}) {
		t.Error("a second post of the same part raised no alarm")
	}
	if diff := cmp.Diff(before, *d); diff != "" {
		t.Errorf("a second proof changed the delivery:\n%s", diff)
	}
}

func TestAStaleFenceIsRefused(t *testing.T) {
	t.Parallel()
	for _, to := range []post.State{post.Scheduled, post.Failed, post.Unconfirmed} {
		for _, fence := range []uint64{3, 5} {
			d := sending(false)
			before := *d
			if _, err := d.Settle(post.Settled{Fence: fence, To: to, Counted: true}, noon); !errors.Is(err, post.ErrFenced) {
				t.Errorf("%s under fence %d: %v", to, fence, err)
			}
			if diff := cmp.Diff(before, *d); diff != "" {
				t.Errorf("it changed the delivery:\n%s", diff)
			}
		}
	}
}

// The end of an attempt or a look comes twice when its commit failed and was on disk all the same.
func TestWhatIsSettledOnceIsNotSettledAgain(t *testing.T) {
	t.Parallel()
	for _, to := range []post.State{post.Scheduled, post.Failed, post.Unconfirmed} {
		d := sending(false)
		s := post.Settled{Fence: d.Fence, From: post.Sending, To: to, Counted: true, Next: noon.Add(time.Minute)}
		settled(t, d, s)
		before := *d
		if _, err := d.Settle(s, noon); !errors.Is(err, post.ErrFenced) {
			t.Errorf("%s once more: %v", to, err)
		}
		if diff := cmp.Diff(before, *d); diff != "" {
			t.Errorf("%s once more changed the delivery:\n%s", to, diff)
		}
	}
	d := in(post.Unconfirmed, false)
	d.Doubt.Next = noon
	look := post.Settled{Fence: d.Fence, From: post.Unconfirmed, Answers: noon, To: post.Unconfirmed, Clean: true, Next: noon.Add(time.Minute)}
	settled(t, d, look)
	if _, err := d.Settle(look, noon); !errors.Is(err, post.ErrFenced) || d.Doubt.Looks != 1 {
		t.Errorf("the same look once more: %v, and %d looks count", err, d.Doubt.Looks)
	}
}

func TestAPartIsSettledOnlyAsTheTableSays(t *testing.T) {
	t.Parallel()
	for _, to := range post.States() {
		if to == post.Scheduled || to == post.Failed || to == post.Unconfirmed {
			continue
		}
		if _, err := sending(false).Settle(post.Settled{Fence: 4, To: to}, noon); !errors.Is(err, post.ErrTransition) {
			t.Errorf("settled as %s: %v", to, err)
		}
	}
	for _, part := range []int{-1, 2} {
		if _, err := sending(false).Settle(post.Settled{Part: part, Fence: 4, Receipt: receipt("r")}, noon); !errors.Is(err, post.ErrTransition) {
			t.Errorf("part %d: %v", part, err)
		}
	}
}

func TestACancellationThatWasAskedForEndsWhatProvesAbsent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		begun bool
		s     post.Settled
		want  post.State
		code  string
	}{
		{false, post.Settled{To: post.Scheduled, Absent: true}, post.Canceled, "canceled"},
		{true, post.Settled{To: post.Scheduled, Absent: true}, post.Partial, "canceled"},
		{false, post.Settled{To: post.Failed, Absent: true}, post.Canceled, "canceled"},
		{true, post.Settled{To: post.Failed, Absent: true, Reason: &post.Reason{Code: "content"}}, post.Partial, "content"},
		{false, post.Settled{To: post.Unconfirmed, Reason: &post.Reason{Code: "network"}}, post.Unconfirmed, "network"},
		{false, post.Settled{Receipt: receipt("r1")}, post.Partial, "canceled"},
		{true, post.Settled{Receipt: receipt("r1")}, post.Published, ""},
	} {
		d := sending(tc.begun)
		if err := d.Cancel(); err != nil || d.State != post.Sending {
			t.Fatalf("cancel: %v, %s", err, d.State)
		}
		tc.s.Part, tc.s.Fence = d.NextPart(), 4
		settled(t, d, tc.s)
		code := ""
		if d.Reason != nil {
			code = d.Reason.Code
		}
		if d.State != tc.want || code != tc.code {
			t.Errorf("begun %v, %+v: %s (%s), want %s (%s)", tc.begun, tc.s, d.State, code, tc.want, tc.code)
		}
	}
}

func TestTheBookOfDoubt(t *testing.T) {
	t.Parallel()
	d := sending(false)
	began := noon.Add(time.Second)
	next := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	unknown := post.Settled{Fence: 4, To: post.Unconfirmed, Counted: true, Began: began, Next: next(1)}
	settled(t, d, unknown)
	if diff := cmp.Diff(&post.Doubt{Since: noon.Add(time.Minute), Next: next(1)}, d.Doubt); diff != "" {
		t.Errorf("after the attempt:\n%s", diff)
	}
	if p := d.Parts[0]; !p.Unknown || !p.Began.Equal(began) || p.State != post.PartUnknown || !d.InDoubt() {
		t.Errorf("the part is %+v", p)
	}
	settled(t, d, post.Settled{Fence: 4, To: post.Unconfirmed, Clean: true, Next: next(2)})
	settled(t, d, post.Settled{Fence: 4, To: post.Unconfirmed, Unread: true, Next: next(3)})
	if diff := cmp.Diff(&post.Doubt{Since: noon.Add(time.Minute), Next: next(3), Looks: 1, Reads: 1}, d.Doubt); diff != "" {
		t.Errorf("after two looks:\n%s", diff)
	}
	if d.Attempts != 2 || !d.Parts[0].Began.Equal(began) {
		t.Errorf("%d attempts, began %s: a look is no attempt", d.Attempts, d.Parts[0].Began)
	}
	// The resend: once, and the next attempt looks from the first one's begin before it sends.
	settled(t, d, post.Settled{Fence: 4, To: post.Scheduled, Resend: true, NotBefore: next(4)})
	if p := d.Parts[0]; !p.Resent || p.Unknown || !p.Began.Equal(began) || d.Doubt != nil || d.State != post.Scheduled || !d.NotBefore.Equal(next(4)) {
		t.Errorf("sent again as %+v", d)
	}
	if err := d.Begin(next(5)); err != nil {
		t.Fatal(err)
	}
	settled(t, d, post.Settled{Fence: 5, To: post.Unconfirmed, Counted: true, Began: next(5), Next: next(6)})
	if p := d.Parts[0]; !p.Began.Equal(began) || !p.Resent {
		t.Errorf("the earliest begin is lost: %+v", p)
	}
	// A proof of absence ends the doubt whole.
	settled(t, d, post.Settled{Fence: 5, To: post.Scheduled, Absent: true})
	if p := d.Parts[0]; p.Unknown || !p.Began.IsZero() {
		t.Errorf("still in doubt: %+v", p)
	}
}

func TestAReceiptEndsTheDoubtAndTheSeriesOfAttempts(t *testing.T) {
	t.Parallel()
	d := sending(false)
	settled(t, d, post.Settled{Fence: 4, To: post.Unconfirmed, Counted: true, Began: noon, Reason: &post.Reason{Code: "network"}})
	settled(t, d, post.Settled{Fence: 4, Receipt: receipt("r1")})
	if d.State != post.Scheduled || d.Doubt != nil || d.Reason != nil || !d.FirstAttempt.IsZero() || d.NextPart() != 1 {
		t.Errorf("the delivery is %+v", d)
	}
}

func TestWhatIsNotCountedTakesNothingOfTheTimeForRetries(t *testing.T) {
	t.Parallel()
	d := sending(false)
	settled(t, d, post.Settled{Fence: 4, To: post.Scheduled, Absent: true})
	if d.Attempts != 1 || !d.FirstAttempt.IsZero() {
		t.Errorf("%d attempts since %s", d.Attempts, d.FirstAttempt)
	}
	// A preparation that failed begins the time, though no claim went before it.
	settled(t, d, post.Settled{Fence: 4, To: post.Scheduled, Counted: true, Began: noon, Absent: true, PrepareFailed: true, Unprepare: true})
	if d.Attempts != 2 || !d.FirstAttempt.Equal(noon) || d.Parts[0].Prepares != 1 {
		t.Errorf("%d attempts since %s, %d preparations", d.Attempts, d.FirstAttempt, d.Parts[0].Prepares)
	}
	if err := d.Begin(noon.Add(time.Hour)); err != nil || !d.FirstAttempt.Equal(noon) {
		t.Errorf("a later claim moved the begin to %s (%v)", d.FirstAttempt, err)
	}
}

func TestUnprepareDropsThePreparedWork(t *testing.T) {
	t.Parallel()
	d := sending(false)
	d.NeedsPrepare, d.Digest, d.Prepared, d.PreparedUntil = true, "x", "x", noon.Add(time.Hour)
	if !d.Ready(noon) || d.Ready(noon.Add(time.Hour)) {
		t.Error("the prepared work does not hold as long as it says")
	}
	settled(t, d, post.Settled{Fence: 4, To: post.Scheduled, Unprepare: true})
	if d.Ready(noon) || d.Prepared != "" || !d.PreparedUntil.IsZero() {
		t.Error("it is still prepared")
	}
}

func TestAPersonsVerdictFencesTheWorkerOff(t *testing.T) {
	t.Parallel()
	d := in(post.Unconfirmed, false)
	d.Parts[0].Began, d.Parts[0].Resent, d.CancelRequested = noon, true, true
	if err := d.Resolve(post.Verdict{}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	p := d.Parts[0]
	if d.State != post.Scheduled || d.CancelRequested || d.Doubt != nil || p.Unknown || p.Resent || !p.Began.Equal(noon) {
		t.Errorf("the delivery is %+v", d)
	}
	if !d.Due.Equal(noon) || !d.LateFrom.Equal(noon.Add(time.Hour)) {
		t.Errorf("due %s, late from %s", d.Due, d.LateFrom)
	}
	if _, err := d.Settle(post.Settled{Fence: 3, To: post.Failed}, noon); !errors.Is(err, post.ErrFenced) {
		t.Errorf("the old worker's result: %v", err)
	}
	if alert := settled(t, d, post.Settled{Fence: 3, Receipt: receipt("r1")}); !alert || d.Parts[0].Receipt == nil {
		t.Error("the old worker's proof was lost, or raised no alarm")
	}
}

// A person who posts by hand confirms part by part, and stays asked until all are out.
func TestAPersonConfirmsPartByPart(t *testing.T) {
	t.Parallel()
	d := in(post.AwaitingPerson, false)
	for i, want := range []post.State{post.AwaitingPerson, post.Published} {
		if err := d.Resolve(post.Verdict{Published: true, Receipt: *receipt(fmt.Sprint("r", i))}, noon); err != nil {
			t.Fatal(err)
		}
		if d.State != want || d.Reason != nil {
			t.Errorf("after part %d: %s, %v", i, d.State, d.Reason)
		}
	}
}

func TestRetryGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	d := in(post.Partial, true)
	d.Parts[1].State, d.Parts[1].Resent, d.Parts[1].Prepares = post.PartFailed, true, 3
	d.CancelRequested, d.Reason, d.LateFrom = true, &post.Reason{Code: "content"}, noon
	due := noon.Add(time.Hour)
	if err := d.Retry(due); err != nil {
		t.Fatal(err)
	}
	if d.NextPart() != 1 || d.CancelRequested || d.Reason != nil || !d.Due.Equal(due) || !d.LateFrom.IsZero() {
		t.Errorf("the delivery is %+v", d)
	}
	if p := d.Parts[1]; p.State != post.PartWaiting || p.Resent || p.Prepares != 0 {
		t.Errorf("the part is %+v", p)
	}
}

func TestRescheduleKeepsWhyAReviewWaits(t *testing.T) {
	t.Parallel()
	for _, state := range []post.State{post.Draft, post.InReview, post.Scheduled} {
		d := in(state, false)
		d.Reason, d.NotBefore, d.FirstAttempt = &post.Reason{Code: "why"}, noon, noon
		if err := d.Reschedule(noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if (d.Reason != nil) != (state == post.InReview) || !d.ReadyAt().Equal(noon.Add(time.Hour)) || !d.FirstAttempt.IsZero() {
			t.Errorf("%s: %+v", state, d)
		}
	}
}

func TestReadyAtIsTheLaterOfDueAndRetry(t *testing.T) {
	t.Parallel()
	d := &post.Delivery{Due: noon}
	for notBefore, want := range map[time.Time]time.Time{
		{}: noon, noon.Add(-time.Hour): noon, noon.Add(time.Hour): noon.Add(time.Hour),
	} {
		if d.NotBefore = notBefore; !d.ReadyAt().Equal(want) {
			t.Errorf("with %s: %s", notBefore, d.ReadyAt())
		}
	}
}
