package civil_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/internal/civil"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := civil.LoadZone(name)
	if err != nil {
		t.Fatalf("LoadZone(%q): %v", name, err)
	}
	return loc
}

func dateTime(t *testing.T, s string) civil.DateTime {
	t.Helper()
	c, err := civil.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return c
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, civil string
		kind              civil.Kind
		at, second        string // UTC
		before, after     string
	}{
		{name: "an ordinary day", zone: "Europe/Berlin", civil: "2026-12-01T09:00", at: "2026-12-01T08:00:00Z"},
		{name: "UTC", zone: "UTC", civil: "2026-12-01T09:00", at: "2026-12-01T09:00:00Z"},
		{name: "the minute before a gap", zone: "Europe/Berlin", civil: "2026-03-29T01:59", at: "2026-03-29T00:59:00Z"},
		{
			name: "the start of a gap", zone: "Europe/Berlin", civil: "2026-03-29T02:00", kind: civil.Gap,
			at: "2026-03-29T01:00:00Z", before: "2026-03-29T01:59", after: "2026-03-29T03:00",
		},
		{
			name: "the last second of a gap", zone: "Europe/Berlin", civil: "2026-03-29T02:59:59", kind: civil.Gap,
			at: "2026-03-29T01:00:00Z", before: "2026-03-29T01:59", after: "2026-03-29T03:00",
		},
		{name: "the end of a gap", zone: "Europe/Berlin", civil: "2026-03-29T03:00", at: "2026-03-29T01:00:00Z"},
		{
			name: "the start of a fold", zone: "Europe/Berlin", civil: "2026-10-25T02:00", kind: civil.Fold,
			at: "2026-10-25T00:00:00Z", second: "2026-10-25T01:00:00Z",
		},
		{
			name: "the last second of a fold", zone: "Europe/Berlin", civil: "2026-10-25T02:59:59", kind: civil.Fold,
			at: "2026-10-25T00:59:59Z", second: "2026-10-25T01:59:59Z",
		},
		{name: "the end of a fold", zone: "Europe/Berlin", civil: "2026-10-25T03:00", at: "2026-10-25T02:00:00Z"},
		{
			name: "a gap of half an hour", zone: "Australia/Lord_Howe", civil: "2026-10-04T02:15", kind: civil.Gap,
			at: "2026-10-03T15:30:00Z", before: "2026-10-04T01:59", after: "2026-10-04T02:30",
		},
		{
			name: "a fold of half an hour", zone: "Australia/Lord_Howe", civil: "2026-04-05T01:45", kind: civil.Fold,
			at: "2026-04-04T14:45:00Z", second: "2026-04-04T15:15:00Z",
		},
		{
			name: "a midnight that does not exist", zone: "Africa/Cairo", civil: "2026-04-24T00:00", kind: civil.Gap,
			at: "2026-04-23T22:00:00Z", before: "2026-04-23T23:59", after: "2026-04-24T01:00",
		},
		{
			name: "a day that does not exist", zone: "Pacific/Apia", civil: "2011-12-30T12:00", kind: civil.Gap,
			at: "2011-12-30T10:00:00Z", before: "2011-12-29T23:59", after: "2011-12-31T00:00",
		},
		{
			name: "a day that happens twice", zone: "America/Juneau", civil: "1867-10-19T12:00", kind: civil.Fold,
			at: "1867-10-18T20:57:41Z", second: "1867-10-19T20:57:41Z",
		},
		{
			name: "the last day of a leap year beyond the tables", zone: "America/New_York", civil: "2040-12-31T12:00",
			at: "2040-12-31T17:00:00Z",
		},
		{
			name: "New Year's Eve in the summer of a leap year", zone: "Australia/Sydney", civil: "2096-12-31T23:30",
			at: "2096-12-31T12:30:00Z",
		},
		{
			name: "a gap far beyond the tables", zone: "America/New_York", civil: "2399-03-14T02:30", kind: civil.Gap,
			at: "2399-03-14T07:00:00Z", before: "2399-03-14T01:59", after: "2399-03-14T03:00",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, tt.zone)
			got := civil.Resolve(dateTime(t, tt.civil), loc)
			want := civil.Resolution{Kind: tt.kind, At: utc(t, tt.at)}
			if tt.second != "" {
				want.Second = utc(t, tt.second)
			}
			if tt.before != "" {
				want.Before, want.After = dateTime(t, tt.before), dateTime(t, tt.after)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Resolve(%s in %s) (-want +got):\n%s", tt.civil, tt.zone, diff)
			}
			if got.At.Location() != loc {
				t.Errorf("At is in %v, want %v", got.At.Location(), loc)
			}
		})
	}
}

func utc(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Beyond a zone's tables the standard library cuts 31 December of a leap year off from its period: a cut at which no
// clock changes is no fold.
func TestTheLastDayOfALeapYearBeyondTheTablesIsExact(t *testing.T) {
	t.Parallel()
	for _, name := range oddZones {
		loc := zone(t, name)
		for _, year := range []int{2040, 2072, 2108, 2396} {
			for c := (civil.DateTime{Year: year, Month: time.December, Day: 30, Hour: 20}); c.Day != 1 || c.Hour < 4; {
				if r := civil.Resolve(c, loc); r.Kind != civil.Exact {
					t.Fatalf("%s in %s: %+v, want one instant", c, name, r)
				}
				c = civil.Of(c.AsUTC().Add(29*time.Minute + 59*time.Second))
			}
		}
	}
}

// oddZones have offsets of parts of an hour, gaps of half an hour or a day, or change at midnight.
var oddZones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "America/Nuuk",
	"Pacific/Apia", "Pacific/Chatham", "Asia/Kathmandu", "Africa/Monrovia", "Asia/Manila", "America/Juneau", "Africa/Casablanca",
}

// TestResolveIsTheFirstInstantNotBefore holds Resolve to its definition.
func TestResolveIsTheFirstInstantNotBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(oddZones).Draw(t, "zone")
		loc, err := civil.LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		near := time.Unix(rapid.Int64Range(-4_000_000_000, 8_000_000_000).Draw(t, "near"), 0).In(loc)
		if _, end := near.ZoneBounds(); rapid.Bool().Draw(t, "transition") && !end.IsZero() {
			near = end.Add(time.Duration(rapid.Int64Range(-90_000, 90_000).Draw(t, "off")) * time.Second)
		}
		c := civil.Of(near)
		if rapid.Bool().Draw(t, "shift") {
			c = civil.Of(c.AsUTC().Add(time.Duration(rapid.Int64Range(-7200, 7200).Draw(t, "by")) * time.Second))
		}

		r := civil.Resolve(c, loc)
		if r.Kind != civil.Gap && civil.Of(r.At) != c {
			t.Fatalf("At shows %s, want %s", civil.Of(r.At), c)
		}
		if civil.Of(r.At).AsUTC().Before(c.AsUTC()) {
			t.Fatalf("At shows %s, which is before %s", civil.Of(r.At), c)
		}
		if prev := civil.Of(r.At.Add(-time.Second)); !prev.AsUTC().Before(c.AsUTC()) {
			t.Fatalf("a second before At clocks show %s already, want less than %s", prev, c)
		}
		switch r.Kind {
		case civil.Fold:
			if civil.Of(r.Second.In(loc)) != c || !r.Second.After(r.At) {
				t.Fatalf("Second = %s after %s shows another time than %s", r.Second, r.At, c)
			}
		case civil.Gap:
			for _, edge := range []civil.DateTime{r.Before, r.After} {
				if k := civil.Resolve(edge, loc).Kind; k == civil.Gap {
					t.Fatalf("%s of the edges of a gap does not exist", edge)
				}
			}
			if r.After != civil.Of(r.At) || !r.Before.AsUTC().Before(c.AsUTC()) {
				t.Fatalf("edges %s and %s do not enclose %s", r.Before, r.After, c)
			}
		case civil.Exact:
			for d := -26 * time.Hour; d <= 26*time.Hour; d += 15 * time.Minute {
				if other := r.At.Add(d); d != 0 && civil.Of(other) == c {
					t.Fatalf("%s is shown at %s and at %s, and Resolve called it exact", c, r.At, other)
				}
			}
		}
	})
}

func TestPeriodEndsAfterItsTime(t *testing.T) {
	t.Parallel()
	for _, name := range oddZones {
		loc := zone(t, name)
		for at := time.Date(2036, time.January, 1, 0, 0, 0, 0, loc); at.Year() < 2110; at = at.Add(11 * time.Hour) {
			start, end, offset := civil.Period(at)
			if start.After(at) || (!end.IsZero() && !end.After(at)) {
				t.Fatalf("%s: the period of %s is from %s to %s", name, at, start, end)
			}
			if end.IsZero() {
				break
			}
			if _, last := end.Add(-time.Second).Zone(); last != offset {
				t.Fatalf("%s: the period of %s has two offsets", name, at)
			}
		}
	}
}

func TestDateTimeReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// From the first second of the year 1 to the last of 9999.
		c := civil.Of(time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "unix"), 0).UTC())
		got, err := civil.Parse(c.String())
		if err != nil || got != c {
			t.Fatalf("Parse(%s) = %v, %v", c, got, err)
		}
	})
}

func TestClockIsTheTimeOfDay(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"2026-12-01T09:05": "09:05", "2026-12-01T23:59:58": "23:59:58"} {
		if got := dateTime(t, in).Clock(); got != want {
			t.Errorf("Clock of %s = %q, want %q", in, got, want)
		}
	}
}
