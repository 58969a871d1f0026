package post

import (
	"errors"
	"fmt"
	"time"
)

// The errors of a delivery's life.
var (
	// ErrTransition says that the table has no such change of state.
	ErrTransition = errors.New("no such change of state")
	// ErrFenced says that a newer attempt has begun, or that the attempt is over.
	ErrFenced = errors.New("the attempt is no longer the current one")
	// ErrTooLate says that something is out or in flight, so that it cannot be changed any more.
	ErrTooLate = errors.New("too late: it is out or on its way")
	// ErrResolveFirst says that a person or a look has to settle the doubt first.
	ErrResolveFirst = errors.New("resolve first: it may be out")
)

// DoubtBlocks is how long an unconfirmed delivery keeps its lane from going on.
const DoubtBlocks = 5 * time.Minute

// become changes the state by the table.
func (d *Delivery) become(to State) error {
	if d.State == to {
		return nil
	}
	if !d.State.CanBecome(to) {
		return fmt.Errorf("%w: %s to %s", ErrTransition, d.State, to)
	}
	d.State = to
	return nil
}

// Begin claims the next part of a scheduled delivery: it is then sending, under a new fence. The caller writes the
// intent in the same transaction. Any other state, and a delivery whose every part is out, is ErrTransition.
func (d *Delivery) Begin(now time.Time) error {
	i := d.NextPart()
	switch {
	case d.State != Scheduled:
		return fmt.Errorf("%w: %s to %s", ErrTransition, d.State, Sending)
	case i == len(d.Parts):
		return fmt.Errorf("%w: every part is out", ErrTransition)
	}
	d.State = Sending
	d.Fence++
	d.Parts[i].State = PartSending
	if d.FirstAttempt.IsZero() {
		d.FirstAttempt = now
	}
	d.NotBefore = time.Time{}
	return nil
}

// Settled is what was decided about one part after an attempt, a look or a person's verdict.
type Settled struct {
	Part  int
	Fence uint64
	// From is the state in which the attempt, the look or the preparation found the delivery; any other now says that
	// its end is settled already, as after a commit that failed and is on disk all the same. Empty is not asked.
	From State
	// Answers is, for a look, the planned instant that it kept: Doubt.Next as it was. Another one now says that the
	// look is counted already. Zero is not asked.
	Answers time.Time
	// Receipt is a proof that the part is out. It settles the part whatever the state and the fence.
	Receipt *Receipt
	// To is the state decided when there is no receipt: scheduled, failed or unconfirmed. A cancellation that was
	// asked for meanwhile, and parts that are out already, turn it into canceled or partial.
	To State
	// NotBefore is, with scheduled, when it may be tried again.
	NotBefore time.Time
	// Counted says that the attempt counts: it reached the platform or may have.
	Counted bool
	Reason  *Reason
	// Began is when the attempt began; kept as the start of looks when the fate is unknown.
	Began time.Time
	// Next is, with unconfirmed, the next look; zero leaves it to a person. Clean says that a look was read
	// without error and showed nothing, Unread that a look failed.
	Next          time.Time
	Clean, Unread bool
	// Absent says that the part was proven absent, so that the doubt about it is over.
	Absent bool
	// Resend says that the part is sent again because it was not seen to the horizon.
	Resend bool
	// Unprepare drops the prepared work; PrepareFailed counts a failure to prepare.
	Unprepare, PrepareFailed bool
}

// Settle applies what was decided about a part at now. A receipt is never refused; anything else under a fence that
// is not the current one, or that was settled before, is ErrFenced. It reports whether a newer attempt had begun when a receipt came in late, or
// whether the part has another receipt already, which calls for an alert: the part may be out twice.
func (d *Delivery) Settle(s Settled, now time.Time) (alert bool, err error) {
	if s.Part < 0 || s.Part >= len(d.Parts) {
		return false, fmt.Errorf("%w: part %d of %d", ErrTransition, s.Part, len(d.Parts))
	}
	p := &d.Parts[s.Part]
	if s.Receipt != nil {
		if p.Receipt != nil {
			return p.Receipt.RemoteID != s.Receipt.RemoteID, nil // settled already; the first proof stands
		}
		alert = s.Fence != d.Fence
		return alert, d.receive(p, *s.Receipt, s.Counted, now)
	}
	if s.Fence != d.Fence || p.Receipt != nil || (d.State != Sending && d.State != Unconfirmed && d.State != Scheduled) {
		return false, ErrFenced
	}
	if (s.From != "" && s.From != d.State) || (!s.Answers.IsZero() && d.Doubt != nil && !s.Answers.Equal(d.Doubt.Next)) {
		return false, ErrFenced
	}
	if s.Counted {
		d.Attempts++
	}
	if s.Unprepare {
		d.Prepared, d.PreparedUntil = "", time.Time{}
	}
	if s.PrepareFailed {
		p.Prepares++
	}
	d.Reason = s.Reason
	switch s.To {
	case Unconfirmed:
		return false, d.doubt(p, s, now)
	case Scheduled:
		return false, d.again(p, s)
	case Failed:
		return false, d.give(p, s)
	case Draft, InReview, Sending, Published, Partial, Missed, AwaitingPerson, Canceled, Removed:
	}
	return false, fmt.Errorf("%w: a part cannot be settled as %s", ErrTransition, s.To)
}

// receive takes a proof that a part is out. A proof outranks the table: what is out is out, even if the delivery was
// failed, missed or canceled before the proof came.
func (d *Delivery) receive(p *Part, r Receipt, counted bool, now time.Time) error {
	if counted {
		d.Attempts++
	}
	r.At = Instant(r.At)
	p.Receipt, p.State, p.Unknown = &r, PartPublished, false
	d.Doubt, d.Reason, d.NotBefore, d.FirstAttempt = nil, nil, time.Time{}, time.Time{}
	if d.NextPart() == len(d.Parts) {
		d.State = Published
		return nil
	}
	switch d.State {
	case Sending, Unconfirmed, Scheduled:
		if d.CancelRequested {
			d.State, d.Reason = Partial, &Reason{Code: "canceled", Message: "canceled after a part was out"}
			return nil
		}
		d.State, d.NotBefore = Scheduled, now
	case AwaitingPerson: // the person goes on with the next part
	case Draft, InReview, Published, Partial, Failed, Missed, Canceled, Removed:
		d.State = Partial
		d.Reason = &Reason{Code: "late_receipt", Message: "a part turned out to be out after the delivery had ended"}
	}
	return nil
}

// doubt leaves the part unconfirmed until a look or a person knows.
func (d *Delivery) doubt(p *Part, s Settled, now time.Time) error {
	if err := d.become(Unconfirmed); err != nil {
		return err
	}
	p.State, p.Unknown = PartUnknown, true
	if p.Began.IsZero() || (!s.Began.IsZero() && s.Began.Before(p.Began)) {
		p.Began = s.Began
	}
	if d.Doubt == nil {
		d.Doubt = &Doubt{Since: now}
	}
	d.Doubt.Next = s.Next
	if s.Clean {
		d.Doubt.Looks++
	}
	if s.Unread {
		d.Doubt.Reads++
	}
	return nil
}

// again puts the delivery back into its lane, or ends it when that was asked for meanwhile.
func (d *Delivery) again(p *Part, s Settled) error {
	if s.Absent {
		p.Unknown, p.Began = false, time.Time{}
	}
	if s.Resend {
		// Began stays: the next attempt looks once more from there before it sends.
		p.Resent, p.Unknown = true, false
		d.FirstAttempt = time.Time{}
	}
	if d.CancelRequested {
		return d.withdraw(p)
	}
	if err := d.become(Scheduled); err != nil {
		return err
	}
	p.State = PartWaiting
	d.Doubt, d.NotBefore = nil, s.NotBefore
	switch {
	case !s.Counted:
		d.FirstAttempt = time.Time{} // what never reached the platform takes nothing of the time for retries
	case d.FirstAttempt.IsZero():
		d.FirstAttempt = s.Began // a preparation, which no claim goes before
	}
	return nil
}

// give ends the delivery without the part.
func (d *Delivery) give(p *Part, s Settled) error {
	if s.Absent {
		p.Unknown = false
	}
	to := Failed
	switch {
	case d.Begun():
		to = Partial
	case d.CancelRequested:
		return d.withdraw(p)
	}
	if to == Partial && d.State == Scheduled {
		// The table leads to partial only from an attempt; a preparation that is refused after the first receipt
		// ends there as well.
		d.State = Sending
	}
	if err := d.become(to); err != nil {
		return err
	}
	p.State, d.Doubt, d.NotBefore, d.FirstAttempt = PartFailed, nil, time.Time{}, time.Time{}
	return nil
}

// withdraw ends a delivery whose cancellation was asked for and whose current part is proven absent.
func (d *Delivery) withdraw(p *Part) error {
	to := Canceled
	if d.Begun() {
		to = Partial
		if d.State != Unconfirmed {
			d.State = Sending // the table leads to partial from there alone
		}
	}
	if err := d.become(to); err != nil {
		return err
	}
	p.State, d.Doubt, d.NotBefore = PartWaiting, nil, time.Time{}
	d.Reason = &Reason{Code: "canceled", Message: "canceled"}
	return nil
}

// Cancel withdraws what is not out. While a request may be in flight or its fate is open, it only asks: no new
// attempt is made, and what proves absent ends canceled.
func (d *Delivery) Cancel() error {
	switch d.State {
	case Sending, Unconfirmed:
		d.CancelRequested = true
		return nil
	case Scheduled:
		d.CancelRequested = true
		i := d.NextPart()
		if i == len(d.Parts) {
			return ErrTooLate
		}
		return d.withdraw(&d.Parts[i])
	case Canceled:
		return nil
	case Draft, InReview, Failed, Missed, AwaitingPerson:
		if d.Begun() {
			return d.withdraw(&d.Parts[d.NextPart()])
		}
		d.CancelRequested = true
		d.Reason = &Reason{Code: "canceled", Message: "canceled"}
		return d.become(Canceled)
	case Published, Partial, Removed:
	}
	return ErrTooLate
}

// Miss says that the delivery's time has passed while nothing could send it.
func (d *Delivery) Miss(code, message string) error {
	if d.Begun() {
		return fmt.Errorf("%w: a delivery that has begun is not missed", ErrTransition)
	}
	if err := d.become(Missed); err != nil {
		return err
	}
	d.Reason, d.NotBefore, d.FirstAttempt = &Reason{Code: code, Message: message}, time.Time{}, time.Time{}
	return nil
}

// HandOver says that the delivery is due on an account whose posts a person makes by hand.
func (d *Delivery) HandOver() error {
	if err := d.become(AwaitingPerson); err != nil {
		return err
	}
	d.NotBefore, d.FirstAttempt = time.Time{}, time.Time{}
	return nil
}

// Retry schedules a delivery that failed, was missed or stopped half way. It goes on at the first part without a
// receipt.
func (d *Delivery) Retry(due time.Time) error {
	switch d.State {
	case Failed, Missed, Partial:
	case Unconfirmed:
		return ErrResolveFirst
	case Draft, InReview, Scheduled, Sending, Published, AwaitingPerson, Canceled, Removed:
		return fmt.Errorf("%w: %s cannot be retried", ErrTransition, d.State)
	}
	if err := d.become(Scheduled); err != nil {
		return err
	}
	d.requeue(due)
	if i := d.NextPart(); i < len(d.Parts) {
		p := &d.Parts[i]
		p.State, p.Resent, p.Prepares = PartWaiting, false, 0
	}
	return nil
}

// requeue sets a new due time and forgets what belonged to the old one.
func (d *Delivery) requeue(due time.Time) {
	d.Due, d.LateFrom = due, time.Time{}
	d.NotBefore, d.FirstAttempt = time.Time{}, time.Time{}
	d.Reason, d.CancelRequested, d.Doubt = nil, false, nil
}

// Reschedule moves a delivery of which nothing is out or in flight.
func (d *Delivery) Reschedule(due time.Time) error {
	if d.Begun() {
		return ErrTooLate
	}
	switch d.State {
	case Draft, InReview, Scheduled:
		reason := d.Reason
		d.requeue(due)
		if d.State == InReview {
			d.Reason = reason
		}
		return nil
	case Failed, Missed:
		return d.Retry(due)
	case Unconfirmed:
		return ErrResolveFirst
	case Sending, Published, Partial, AwaitingPerson, Canceled, Removed:
	}
	return ErrTooLate
}

// Verdict is what a person says about a delivery whose fate only they can tell.
type Verdict struct {
	Published bool
	// Receipt is, with Published, what the person pointed at.
	Receipt Receipt
	// Cancel says, without Published, to withdraw it rather than send it again.
	Cancel bool
}

// Resolve applies a person's verdict about the part in doubt.
func (d *Delivery) Resolve(v Verdict, now time.Time) error {
	if d.State != Unconfirmed && d.State != AwaitingPerson {
		return fmt.Errorf("%w: nothing to resolve in %s", ErrTransition, d.State)
	}
	i := d.NextPart()
	if i == len(d.Parts) {
		return ErrTooLate
	}
	p := &d.Parts[i]
	if v.Published {
		return d.receive(p, v.Receipt, false, now)
	}
	if d.State == AwaitingPerson {
		if !v.Cancel {
			return fmt.Errorf("%w: a person posts it by hand", ErrTransition)
		}
		return d.Cancel()
	}
	p.Unknown, p.Resent = false, false // Began stays: the next attempt looks before it sends
	d.Fence++                          // a worker that still holds the old fence may bring a receipt, and nothing else
	if v.Cancel {
		d.CancelRequested = true
		return d.withdraw(p)
	}
	if d.CancelRequested {
		d.CancelRequested = false // the person has decided anew
	}
	if err := d.become(Scheduled); err != nil {
		return err
	}
	p.State = PartWaiting
	due := d.Due
	d.requeue(due)
	d.LateFrom, d.NotBefore = now, now
	return nil
}

// Accept says that a partial delivery is good enough.
func (d *Delivery) Accept() error {
	if d.State != Partial {
		return fmt.Errorf("%w: %s is not partial", ErrTransition, d.State)
	}
	d.Reason = nil
	return d.become(Published)
}

// Submit turns a draft into a scheduled delivery.
func (d *Delivery) Submit(due time.Time) error {
	if d.State != Draft {
		return fmt.Errorf("%w: %s is not a draft", ErrTransition, d.State)
	}
	if err := d.become(Scheduled); err != nil {
		return err
	}
	d.requeue(due)
	return nil
}
