package adapters_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"crier/adapters"
)

func TestOnlyAnErrorThatStatesAFateHasOne(t *testing.T) {
	t.Parallel()
	stated := &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Message: "no"}
	for name, tc := range map[string]struct {
		err    error
		fate   adapters.Fate
		reason adapters.Reason
	}{
		"stated":                {stated, adapters.Absent, adapters.Refused},
		"stated and wrapped":    {fmt.Errorf("posting: %w", stated), adapters.Absent, adapters.Refused},
		"stated and joined":     {errors.Join(errors.New("x"), stated), adapters.Absent, adapters.Refused},
		"of any other kind":     {errors.New("odd"), adapters.Unknown, adapters.Protocol},
		"a deadline":            {fmt.Errorf("posting: %w", context.DeadlineExceeded), adapters.Unknown, adapters.Network},
		"a cancellation":        {context.Canceled, adapters.Unknown, adapters.Network},
		"with a forgotten fate": {&adapters.Error{Reason: adapters.Server}, adapters.Unknown, adapters.Server},
	} {
		e := adapters.AsError(tc.err)
		if e == nil || e.Fate != tc.fate || e.Reason != tc.reason {
			t.Errorf("%s: %+v", name, e)
		}
	}
	cause := errors.New("the cause")
	if e := adapters.AsError(cause); !errors.Is(e, cause) || strings.Contains(e.Error(), "the cause") {
		t.Errorf("the cause is for the log, not for people: %v", e)
	}
}

func TestAnErrorSaysItsFateAndReason(t *testing.T) {
	t.Parallel()
	e := &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Status: 403, Code: "187", Message: "said before", Err: errors.New("secret")}
	if got := e.Error(); got != "said before (content, absent, status 403, code 187)" {
		t.Errorf("got %q", got)
	}
	for fate, want := range map[adapters.Fate]string{
		adapters.Unknown: "unknown", adapters.Absent: "absent", adapters.Exists: "exists", 99: "unknown",
	} {
		if fate.String() != want {
			t.Errorf("fate %d is %q", int(fate), fate)
		}
	}
}

func TestReasonsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[adapters.Reason]bool{}
	for _, r := range adapters.Reasons() {
		if r == "" || seen[r] {
			t.Errorf("%q twice, or empty", r)
		}
		seen[r] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d reasons", len(seen))
	}
}

func TestACallThatPublishesNothingLeavesNoDoubt(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]adapters.Reason{
		200: adapters.Server, 204: adapters.Server, 302: adapters.Protocol, 401: adapters.Auth, 404: adapters.Server,
		413: adapters.Server, 429: adapters.RateLimit, 500: adapters.Server,
	} {
		e := adapters.ByStatus(adapters.Call{Status: status}, false).Harmless()
		if e.Fate != adapters.Absent || e.Reason != want {
			t.Errorf("%d: %v, want absent and %s", status, e, want)
		}
	}
	if e := adapters.ByStatus(adapters.Call{Status: 413}, true).Harmless(); e.Reason != adapters.Refused {
		t.Errorf("a refusal in the platform's form is %v", e)
	}
}
