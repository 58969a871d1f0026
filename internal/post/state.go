package post

import "slices"

// State is where a delivery stands. The zero value is no state.
type State string

// The states of a delivery.
const (
	Draft          State = "draft"           // not submitted; never sent
	InReview       State = "in_review"       // waits for approval or consent
	Scheduled      State = "scheduled"       // will be sent
	Sending        State = "sending"         // an intent is on disk; a request may be in flight
	Published      State = "published"       // the platform confirmed every part and named it
	Partial        State = "partial"         // some parts are out, the rest will not go on by itself
	Failed         State = "failed"          // certainly not out, will not be retried by itself
	Unconfirmed    State = "unconfirmed"     // may or may not be out
	Missed         State = "missed"          // its time passed while nothing could send it
	AwaitingPerson State = "awaiting_person" // a person has everything ready and posts by hand
	Canceled       State = "canceled"        // withdrawn before anything was out
	Removed        State = "removed"         // was out; taken down
)

// States lists every state, in the order of the contract.
func States() []State {
	return []State{
		Draft, InReview, Scheduled, Sending, Published, Partial, Failed, Unconfirmed, Missed, AwaitingPerson,
		Canceled, Removed,
	}
}

// Valid reports whether s is one of the states.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// next is the one table of what may become what.
func (s State) next() []State {
	switch s {
	case Draft:
		return []State{InReview, Scheduled, Canceled}
	case InReview:
		return []State{Scheduled, Draft, Missed, Canceled}
	case Scheduled:
		return []State{Sending, InReview, Draft, AwaitingPerson, Missed, Failed, Canceled}
	case Sending:
		return []State{Published, Scheduled, Partial, Failed, Unconfirmed, Missed, Canceled}
	case Published:
		return []State{Removed}
	case Partial:
		return []State{Scheduled, Published, Removed}
	case Failed:
		return []State{Scheduled, Canceled}
	case Unconfirmed:
		return []State{Published, Partial, Scheduled, Failed, Canceled}
	case Missed:
		return []State{Scheduled, Canceled}
	case AwaitingPerson:
		return []State{Published, Canceled, Missed}
	case Canceled, Removed:
		return nil
	}
	return nil
}

// CanBecome reports whether a delivery in state s may become to. Staying in a state is no transition and is not
// in the table.
func (s State) CanBecome(to State) bool { return slices.Contains(s.next(), to) }

// Waiting reports whether the delivery stands in its account's lane: it will be sent, or a request for it is in
// flight.
func (s State) Waiting() bool { return s == Scheduled || s == Sending }

// Final reports whether nothing more happens by itself or by a person, apart from a take-down.
func (s State) Final() bool { return s == Published || s == Canceled || s == Removed }

// NeedsPerson reports whether a person has to look at the delivery.
func (s State) NeedsPerson() bool {
	switch s {
	case Partial, Failed, Unconfirmed, Missed, AwaitingPerson:
		return true
	case Draft, InReview, Scheduled, Sending, Published, Canceled, Removed:
		return false
	}
	return false
}

// Editable reports whether a person may still change content or time. A delivery with a receipt is frozen
// whatever its state.
func (s State) Editable() bool {
	switch s {
	case Draft, InReview, Scheduled, Failed, Missed:
		return true
	case Sending, Published, Partial, Unconfirmed, AwaitingPerson, Canceled, Removed:
		return false
	}
	return false
}

// Summary is the state of a post as a whole.
type Summary string

// The summaries of a post.
const (
	SummaryPublishing Summary = "publishing"
	SummaryAttention  Summary = "attention"
	SummaryInReview   Summary = "in_review"
	SummaryScheduled  Summary = "scheduled"
	SummaryDraft      Summary = "draft"
	SummaryPublished  Summary = "published"
	SummaryCanceled   Summary = "canceled"
)

// Summaries lists every summary, in order of precedence.
func Summaries() []Summary {
	return []Summary{
		SummaryPublishing, SummaryAttention, SummaryInReview, SummaryScheduled, SummaryDraft, SummaryPublished,
		SummaryCanceled,
	}
}

// Standing is what Summarize asks of one delivery.
type Standing struct {
	State State
	// Overdue says that the due time has passed while the delivery is held or waits for approval.
	Overdue bool
}

// Summarize gives the first summary that fits the deliveries of a post.
func Summarize(all []Standing) Summary {
	has := func(match func(Standing) bool) bool { return slices.ContainsFunc(all, match) }
	in := func(states ...State) bool {
		return has(func(s Standing) bool { return slices.Contains(states, s.State) })
	}
	switch {
	case in(Sending):
		return SummaryPublishing
	case has(func(s Standing) bool { return s.State.NeedsPerson() || s.Overdue }):
		return SummaryAttention
	case in(InReview):
		return SummaryInReview
	case in(Scheduled):
		return SummaryScheduled
	case in(Draft):
		return SummaryDraft
	case in(Published, Removed):
		return SummaryPublished
	}
	return SummaryCanceled
}
