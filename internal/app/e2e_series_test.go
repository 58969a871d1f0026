package app_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type seriesView struct {
	ID      string
	Version int
	Cron    string
	Every   string
	Next    []struct {
		Run, Local string
		At         time.Time
		Skipped    bool
	}
}

// planned gives the deliveries of a series in one state.
func (c *client) planned(id, state string) []delivery {
	c.t.Helper()
	return want[list[delivery]](c, http.StatusOK, http.MethodGet, "/deliveries?series="+id+"&state="+state, nil).Items
}

// dues are the times of deliveries, to the second.
func dues(all []delivery) []string {
	out := []string{}
	for _, d := range all {
		out = append(out, d.Due.UTC().Format(time.DateTime))
	}
	return out
}

// daily gives when a civil hour of a zone comes in the 48 hours that are planned ahead.
func daily(t *testing.T, zone string, hour int) []string {
	t.Helper()
	place, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(place)
	out := []string{}
	for day := range 4 {
		at := time.Date(now.Year(), now.Month(), now.Day()+day, hour, 0, 0, 0, place)
		if at.After(now) && !at.After(now.Add(48*time.Hour)) {
			out = append(out, at.UTC().Format(time.DateTime))
		}
	}
	return out
}

// farHour is an hour of the day that is not about to strike in a zone.
func farHour(t *testing.T, zone string) int {
	t.Helper()
	place, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return (time.Now().In(place).Hour() + 12) % 24
}

// TestCronSeries plans a series by its rule in its own zone, leaves out a run, changes it and ends it; with each, what
// is planned and not begun follows.
func TestCronSeries(t *testing.T) {
	t.Parallel()
	const zone = "America/New_York"
	d := begin(t)
	hour := farHour(t, zone)
	cron := func(h int) string { return "0 " + strconv.Itoa(h) + " * * *" }
	s := want[seriesView](d.sam, http.StatusCreated, http.MethodPost, "/series", m{
		"cron": cron(hour), "time_zone": zone, "posts": []any{m{"text": "Good day", "targets": []any{"acme-x", "acme-page"}}},
	})
	if len(s.Next) != 5 {
		t.Errorf("it is answered with %d runs, want 5", len(s.Next))
	}
	expected := daily(t, zone, hour)
	twice := func(all []string) []string { // each run is for two accounts
		out := append(slices.Clone(all), all...)
		slices.Sort(out)
		return out
	}
	until(t, "the runs are planned", func() bool { return len(d.sam.planned(s.ID, "scheduled")) == len(twice(expected)) })
	if diff := cmp.Diff(twice(expected), dues(d.sam.planned(s.ID, "scheduled"))); diff != "" {
		t.Errorf("planned (-want +got):\n%s", diff)
	}

	s = want[seriesView](d.sam, http.StatusOK, http.MethodPost, "/series/"+s.ID+"/skip", m{"run": s.Next[0].Run})
	if diff := cmp.Diff(twice(expected[1:]), dues(d.sam.planned(s.ID, "scheduled"))); diff != "" {
		t.Errorf("after leaving one out (-want +got):\n%s", diff)
	}
	if n := len(d.sam.planned(s.ID, "canceled")); n != 2 {
		t.Errorf("%d deliveries are canceled, want the 2 of the run", n)
	}
	d.sam.refused(http.StatusUnprocessableEntity, "run_unknown", http.MethodPost, "/series/"+s.ID+"/skip", m{"run": "never"})

	moved := (hour + 1) % 24
	want[seriesView](d.sam, http.StatusOK, http.MethodPatch, "/series/"+s.ID, m{"cron": cron(moved)})
	if diff := cmp.Diff(twice(daily(t, zone, moved)), dues(d.sam.planned(s.ID, "scheduled"))); diff != "" {
		t.Errorf("after the change (-want +got):\n%s", diff)
	}

	a := d.sam.ask(http.MethodDelete, "/series/"+s.ID, nil)
	if a.status >= 300 {
		t.Fatalf("ending it: status %d: %s", a.status, a.body)
	}
	if left := d.sam.planned(s.ID, "scheduled"); len(left) != 0 {
		t.Errorf("ended, it still has %d deliveries", len(left))
	}
	d.sam.refused(http.StatusNotFound, "not_found", http.MethodGet, "/series/"+s.ID, nil)
}

// TestEverySeries starts an interval in two seconds: its first run goes out by itself, once, and the next has the next
// post of the pool.
func TestEverySeries(t *testing.T) {
	t.Parallel()
	d := begin(t)
	start := time.Now().Add(2 * time.Second).Truncate(time.Second)
	s := want[seriesView](d.sam, http.StatusCreated, http.MethodPost, "/series", m{
		"every": "12h", "start": start.Format(time.RFC3339), "order": "once",
		"posts": []any{
			m{"text": "The first", "targets": []any{"acme-x"}},
			m{"text": "The second", "targets": []any{"acme-x"}},
		},
	})
	if len(s.Next) == 0 || !s.Next[0].At.Equal(start) {
		t.Fatalf("asked to start at %s, it runs %+v", start, s.Next)
	}
	until(t, "the first run is out", func() bool { return len(d.sam.planned(s.ID, "published")) == 1 })
	if diff := cmp.Diff([]string{"The first"}, d.town.texts("twitter")); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
	rest := []string{start.Add(12 * time.Hour).UTC().Format(time.DateTime)}
	if diff := cmp.Diff(rest, dues(d.sam.planned(s.ID, "scheduled"))); diff != "" {
		t.Errorf("a pool of two, used once, plans (-want +got):\n%s", diff)
	}
	plan := want[struct {
		Items []struct{ Account, Series string }
	}](d.sam, http.StatusOK, http.MethodGet, "/plan", nil)
	if len(plan.Items) != 1 || plan.Items[0].Series != s.ID {
		t.Errorf("the plan shows %+v", plan.Items)
	}
	d.sam.refused(http.StatusUnprocessableEntity, "every_invalid", http.MethodPost, "/series", m{
		"every": "1 fortnight", "start": start.Format(time.RFC3339), "posts": []any{m{"text": "x", "targets": []any{"acme-x"}}},
	})
}
