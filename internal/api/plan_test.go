package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The plan tells of the days on which the clocks change, of what is stored as of what is still to be made.
func TestThePlanTellsOfTheDaysOnWhichTheClocksChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.clock.Store(time.Date(2027, 3, 27, 12, 0, 0, 0, time.UTC).UnixMilli())
	series := h.ask("mia", "POST", "/api/v1/series", `{"cron":"30 2 * * *","time_zone":"Europe/Berlin","posts":[{"text":"s","targets":["acme-x"]}]}`).want(201)
	plan := func(from, to string) (all []string) {
		r := h.ask("mia", "GET", "/api/v1/plan?from="+from+"&to="+to, "").want(200)
		for i := range r.at("items").([]any) {
			all = append(all, fmt.Sprint(r.text("items", i, "at"), " ", r.text("items", i, "note")))
		}
		return all
	}
	const from, to = "2027-03-28T00:00:00Z", "2027-03-29T00:00:00Z"
	before := plan(from, to)
	if len(before) != 1 || !strings.HasPrefix(before[0], "2027-03-28T01:00:00.000Z moved from 02:30") {
		t.Fatalf("a run that is still to be made: %q", before)
	}
	h.materialize(series.text("id"))
	if after := plan(from, to); len(after) != 1 || after[0] != before[0] {
		t.Errorf("once it is made: %q, want %q", after, before)
	}

	h.clock.Store(time.Date(2027, 10, 30, 12, 0, 0, 0, time.UTC).UnixMilli())
	h.ask("mia", "DELETE", "/api/v1/series/"+series.text("id"), "").want(204)
	for _, at := range []string{"2027-10-31T02:30", "2027-10-31T02:30:00+01:00", "2027-10-31T04:30"} {
		h.ask("mia", "POST", posts, `{"text":"`+at+`","targets":["acme-x"],"at":"`+at+`","time_zone":"Europe/Berlin"}`).want(201)
	}
	got := plan("2027-10-31T00:00:00Z", "2027-11-01T00:00:00Z")
	for i, want := range []string{"this is the first (UTC+02:00)", "this is the second (UTC+01:00)", "2027-10-31T03:30:00.000Z "} {
		if len(got) != 3 || !strings.HasSuffix(got[i], want) {
			t.Errorf("%q, want one that ends in %q", got, want)
		}
	}
}
