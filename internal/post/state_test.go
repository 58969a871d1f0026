package post_test

import (
	"slices"
	"strings"
	"testing"

	"crier/internal/post"
)

// contract is the table of API.md section 2, written out again.
var contract = map[post.State]string{
	post.Draft:          "in_review scheduled canceled",
	post.InReview:       "scheduled draft missed canceled",
	post.Scheduled:      "sending in_review draft awaiting_person missed failed canceled",
	post.Sending:        "published scheduled partial failed unconfirmed missed canceled",
	post.Published:      "removed",
	post.Partial:        "scheduled published removed",
	post.Failed:         "scheduled canceled",
	post.Unconfirmed:    "published partial scheduled failed canceled",
	post.Missed:         "scheduled canceled",
	post.AwaitingPerson: "published canceled missed",
	post.Canceled:       "",
	post.Removed:        "",
}

func TestTheTableOfStatesIsTheContract(t *testing.T) {
	t.Parallel()
	if len(contract) != len(post.States()) {
		t.Fatalf("%d states, the contract has %d", len(post.States()), len(contract))
	}
	for _, from := range post.States() {
		row, known := contract[from]
		if !known {
			t.Errorf("%s is not in the contract", from)
		}
		for _, to := range post.States() {
			want := slices.Contains(strings.Fields(row), string(to))
			if got := from.CanBecome(to); got != want {
				t.Errorf("%s to %s: %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestAnUnknownStateBecomesNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []post.State{"", "sent", "SENDING"} {
		if s.Valid() || s.Final() || s.Waiting() || s.Editable() || s.NeedsPerson() {
			t.Errorf("%q counts as something", s)
		}
		for _, to := range post.States() {
			if s.CanBecome(to) || to.CanBecome(s) {
				t.Errorf("%q and %s", s, to)
			}
		}
	}
}

func TestWhatIsSaidOfEachState(t *testing.T) {
	t.Parallel()
	for s, want := range map[post.State]string{
		post.Draft: "editable", post.InReview: "editable", post.Scheduled: "waiting editable", post.Sending: "waiting",
		post.Published: "final", post.Partial: "person", post.Failed: "person editable", post.Unconfirmed: "person",
		post.Missed: "person editable", post.AwaitingPerson: "person", post.Canceled: "final", post.Removed: "final",
	} {
		var got []string
		for _, q := range []struct {
			name string
			is   bool
		}{{"final", s.Final()}, {"waiting", s.Waiting()}, {"person", s.NeedsPerson()}, {"editable", s.Editable()}} {
			if q.is {
				got = append(got, q.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is %q, want %q", s, got, want)
		}
		if !s.Valid() {
			t.Errorf("%s is not valid", s)
		}
	}
}

// Each pair of standings, in both orders, against the order of precedence.
func TestTheSummaryIsTheFirstThatFits(t *testing.T) {
	t.Parallel()
	rank := func(s post.Standing) post.Summary {
		switch s.State {
		case post.Sending:
			return post.SummaryPublishing
		case post.Partial, post.Failed, post.Unconfirmed, post.Missed, post.AwaitingPerson:
			return post.SummaryAttention
		case post.InReview, post.Scheduled, post.Draft:
			if s.Overdue {
				return post.SummaryAttention
			}
			return post.Summary(s.State)
		case post.Published, post.Removed:
			return post.SummaryPublished
		case post.Canceled:
		}
		return post.SummaryCanceled
	}
	order := []post.Summary{"publishing", "attention", "in_review", "scheduled", "draft", "published", "canceled"}
	if !slices.Equal(order, post.Summaries()) {
		t.Errorf("the summaries are %v", post.Summaries())
	}
	var all []post.Standing
	for _, s := range post.States() {
		all = append(all, post.Standing{State: s})
		if s == post.InReview || s == post.Scheduled {
			all = append(all, post.Standing{State: s, Overdue: true})
		}
	}
	for _, a := range all {
		for _, b := range all {
			want := order[min(slices.Index(order, rank(a)), slices.Index(order, rank(b)))]
			if got := post.Summarize([]post.Standing{a, b}); got != want {
				t.Errorf("%v and %v: %s, want %s", a, b, got, want)
			}
		}
	}
}
