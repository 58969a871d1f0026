package recurrence_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/internal/civil"
	"crier/internal/recurrence"
)

func mustParse(tb testing.TB, spec recurrence.Spec) *recurrence.Schedule {
	tb.Helper()
	s, err := recurrence.Parse(spec)
	if err != nil {
		tb.Fatalf("Parse(%+v): %v", spec, err)
	}
	return s
}

func zoneOf(tb testing.TB, name string) *time.Location {
	tb.Helper()
	zone, err := civil.LoadZone(name)
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

func instant(tb testing.TB, s string) time.Time {
	tb.Helper()
	at, err := civil.ParseInstant(s)
	if err != nil {
		tb.Fatalf("ParseInstant(%q): %v", s, err)
	}
	return at
}

func TestRuns(t *testing.T) {
	t.Parallel()
	const berlin = "Europe/Berlin"
	tests := []struct {
		name  string
		spec  recurrence.Spec
		after string
		want  []string // local times with offsets
	}{
		{
			"workdays",
			recurrence.Spec{Cron: "0 9 * * MON-FRI", Zone: berlin},
			"2026-11-27T00:00:00Z",
			[]string{"2026-11-27T09:00:00+01:00", "2026-11-30T09:00:00+01:00"},
		},
		{
			"strictly after",
			recurrence.Spec{Cron: "0 9 * * *", Zone: berlin},
			"2026-11-27T08:00:00Z",
			[]string{"2026-11-28T09:00:00+01:00"},
		},
		{
			"a fraction of a second before",
			recurrence.Spec{Cron: "0 9 * * *", Zone: berlin},
			"2026-11-27T07:59:59.999Z",
			[]string{"2026-11-27T09:00:00+01:00"},
		},
		{
			"a restricted hour at a gap, next to its end",
			recurrence.Spec{Cron: "0 2,3 * * *", Zone: berlin},
			"2026-03-28T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00", "2026-03-30T03:00:00+02:00"},
		},
		{
			"steps of hours across a fold",
			recurrence.Spec{Cron: "30 */2 * * *", Zone: berlin},
			"2026-10-24T22:00:00Z",
			[]string{"2026-10-25T00:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T04:30:00+01:00"},
		},
		{
			"every hour across a fold",
			recurrence.Spec{Cron: "@hourly", Zone: berlin},
			"2026-10-24T23:30:00Z",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"},
		},
		{
			"every hour across a gap",
			recurrence.Spec{Cron: "0 * * * *", Zone: berlin},
			"2026-03-28T23:30:00Z",
			[]string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		},
		{
			"every hour of a day without midnight",
			recurrence.Spec{Cron: "0 * * * 5", Zone: "Africa/Cairo"},
			"2026-04-23T00:00:00Z",
			[]string{"2026-04-24T01:00:00+03:00", "2026-04-24T02:00:00+03:00"},
		},
		{
			"weekly at a midnight that does not exist",
			recurrence.Spec{Cron: "0 0 * * 5", Zone: "Africa/Cairo"},
			"2026-04-20T00:00:00Z",
			[]string{"2026-04-24T01:00:00+03:00", "2026-05-01T00:00:00+03:00"},
		},
		{
			"monthly at a midnight that does not exist",
			recurrence.Spec{Cron: "0 0 8 * *", Zone: "America/Havana"},
			"2026-03-01T00:00:00Z",
			[]string{"2026-03-08T01:00:00-04:00", "2026-04-08T00:00:00-04:00"},
		},
		{
			"a day that does not exist",
			recurrence.Spec{Cron: "0 9 * * *", Zone: "Pacific/Apia"},
			"2011-12-29T12:00:00Z",
			[]string{"2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"},
		},
		{
			"29 February across 2100, wall clock",
			recurrence.Spec{Cron: "0 9 29 2 *", Zone: "UTC"},
			"2096-02-29T09:00:00Z",
			[]string{"2104-02-29T09:00:00+00:00"},
		},
		{
			"29 February across 2100, every hour",
			recurrence.Spec{Cron: "0 * 29 2 *", Zone: berlin},
			"2096-02-29T22:00:00Z",
			[]string{"2104-02-29T00:00:00+01:00"},
		},
		{
			"Sunday as 7 in a range",
			recurrence.Spec{Cron: "0 9 * * 6-7", Zone: "UTC"},
			"2026-11-27T12:00:00Z",
			[]string{"2026-11-28T09:00:00+00:00", "2026-11-29T09:00:00+00:00", "2026-12-05T09:00:00+00:00"},
		},
		{
			"Sunday as 7 in a list",
			recurrence.Spec{Cron: "0 9 * * 1,7", Zone: "UTC"},
			"2026-11-27T12:00:00Z",
			[]string{"2026-11-29T09:00:00+00:00", "2026-11-30T09:00:00+00:00"},
		},
		{
			"Friday to Sunday by name",
			recurrence.Spec{Cron: "0 9 * * fri-SUN", Zone: "UTC"},
			"2026-11-26T12:00:00Z",
			[]string{"2026-11-27T09:00:00+00:00", "2026-11-28T09:00:00+00:00", "2026-11-29T09:00:00+00:00", "2026-12-04T09:00:00+00:00"},
		},
		{
			"0-7 is a restriction, so that either day field counts",
			recurrence.Spec{Cron: "0 9 1 * 0-7", Zone: "UTC"},
			"2026-11-26T12:00:00Z",
			[]string{"2026-11-27T09:00:00+00:00"},
		},
		{
			"a star is none",
			recurrence.Spec{Cron: "0 9 1 * *", Zone: "UTC"},
			"2026-11-26T12:00:00Z",
			[]string{"2026-12-01T09:00:00+00:00", "2027-01-01T09:00:00+00:00"},
		},
		{
			"names of months",
			recurrence.Spec{Cron: "0 9 1 Jan,DEC *", Zone: "UTC"},
			"2026-11-26T12:00:00Z",
			[]string{"2026-12-01T09:00:00+00:00", "2027-01-01T09:00:00+00:00", "2027-12-01T09:00:00+00:00"},
		},
		{
			"@weekly",
			recurrence.Spec{Cron: "@Weekly", Zone: "UTC"},
			"2026-11-26T12:00:00Z",
			[]string{"2026-11-29T00:00:00+00:00"},
		},
		{
			"@yearly",
			recurrence.Spec{Cron: "@yearly", Zone: "UTC"},
			"2026-11-26T12:00:00Z",
			[]string{"2027-01-01T00:00:00+00:00", "2028-01-01T00:00:00+00:00"},
		},
		{
			"every two weeks keeps its local time",
			recurrence.Spec{Every: "2w", Start: "2026-10-16T17:00", Zone: berlin},
			"2026-10-01T00:00:00Z",
			[]string{"2026-10-16T17:00:00+02:00", "2026-10-30T17:00:00+01:00", "2026-11-13T17:00:00+01:00"},
		},
		{
			"every day through a gap",
			recurrence.Spec{Every: "1d", Start: "2026-03-28T02:30", Zone: berlin},
			"2026-03-28T00:00:00Z",
			[]string{"2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			"every day from an instant",
			recurrence.Spec{Every: "1d", Start: "2026-10-24T07:00:00Z", Zone: berlin},
			"2026-10-24T07:00:00Z",
			[]string{"2026-10-25T09:00:00+01:00"},
		},
		{
			"every 12 hours are elapsed hours",
			recurrence.Spec{Every: "12h", Start: "2026-10-24T18:00", Zone: berlin},
			"2026-10-01T00:00:00Z",
			[]string{"2026-10-24T18:00:00+02:00", "2026-10-25T05:00:00+01:00", "2026-10-25T17:00:00+01:00"},
		},
		{
			"every 5 minutes, long after the start",
			recurrence.Spec{Every: "5m", Start: "0001-01-01T00:00", Zone: "UTC"},
			"2026-10-25T00:02:00Z",
			[]string{"2026-10-25T00:05:00+00:00"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mustParse(t, tt.spec)
			after := instant(t, tt.after)
			var got []string
			for range tt.want {
				o, ok := s.Next(after)
				if !ok {
					break
				}
				got = append(got, o.At.In(zoneOf(t, tt.spec.Zone)).Format("2006-01-02T15:04:05-07:00"))
				after = o.At
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("runs after %s (-want +got):\n%s", tt.after, diff)
			}
		})
	}
}

func TestOccurrenceTellsAboutTheDayOnWhichClocksChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spec  recurrence.Spec
		after string
		want  recurrence.Occurrence
	}{
		{
			"moved to the end of a gap",
			recurrence.Spec{Cron: "30 2 * * *", Zone: "Europe/Berlin"},
			"2026-03-28T12:00:00Z",
			recurrence.Occurrence{
				Key: "2026-03-29T02:30", At: instant(t, "2026-03-29T01:00:00Z"), Zone: "Europe/Berlin", Offset: 2 * time.Hour,
				Local: civil.DateTime{Year: 2026, Month: time.March, Day: 29, Hour: 3},
				Note:  "moved from 02:30, which does not exist on this day, because the clocks are put forward",
			},
		},
		{
			"the first of two",
			recurrence.Spec{Cron: "30 2 * * *", Zone: "Europe/Berlin"},
			"2026-10-24T12:00:00Z",
			recurrence.Occurrence{
				Key: "2026-10-25T02:30", At: instant(t, "2026-10-25T00:30:00Z"), Zone: "Europe/Berlin", Offset: 2 * time.Hour,
				Local: civil.DateTime{Year: 2026, Month: time.October, Day: 25, Hour: 2, Minute: 30},
				Note:  "02:30 happens twice on this day, because the clocks are put back; the first is meant (UTC+02:00, not UTC+01:00)",
			},
		},
		{
			"the second pass of an hourly rule",
			recurrence.Spec{Cron: "30 * * * *", Zone: "Europe/Berlin"},
			"2026-10-25T00:30:00Z",
			recurrence.Occurrence{
				Key: "2026-10-25T01:30:00Z", At: instant(t, "2026-10-25T01:30:00Z"), Zone: "Europe/Berlin", Offset: time.Hour,
				Local: civil.DateTime{Year: 2026, Month: time.October, Day: 25, Hour: 2, Minute: 30},
				Note:  "02:30 happens twice on this day, because the clocks are put back; this is the second (UTC+01:00)",
			},
		},
		{
			"nothing on other days",
			recurrence.Spec{Every: "1d", Start: "2026-11-01T09:00", Zone: "America/St_Johns"},
			"2026-11-20T00:00:00Z",
			recurrence.Occurrence{
				Key: "2026-11-20T09:00", At: instant(t, "2026-11-20T12:30:00Z"), Zone: "America/St_Johns", Offset: -3*time.Hour - 30*time.Minute,
				Local: civil.DateTime{Year: 2026, Month: time.November, Day: 20, Hour: 9},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := mustParse(t, tt.spec).Next(instant(t, tt.after))
			if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
				t.Errorf("Next = %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestUntilIsTheLastMoment(t *testing.T) {
	t.Parallel()
	until := instant(t, "2026-12-02T08:00:00Z")
	for _, spec := range []recurrence.Spec{
		{Cron: "0 9 * * *", Zone: "Europe/Berlin", Until: &until},
		{Every: "1d", Start: "2026-11-01T09:00", Zone: "Europe/Berlin", Until: &until},
		{Every: "24h", Start: "2026-11-01T09:00", Zone: "Europe/Berlin", Until: &until},
	} {
		s := mustParse(t, spec)
		if o, ok := s.Next(until.Add(-time.Second)); !ok || !o.At.Equal(until) {
			t.Errorf("%+v: Next = %v, %v, want the run at until", spec, o, ok)
		}
		if o, ok := s.Next(until); ok {
			t.Errorf("%+v: run %v after until", spec, o)
		}
	}
}

func TestBetweenIsHalfOpenAndLimited(t *testing.T) {
	t.Parallel()
	s := mustParse(t, recurrence.Spec{Cron: "0 9 * * *", Zone: "UTC"})
	from, to := instant(t, "2026-12-01T09:00:00Z"), instant(t, "2026-12-04T09:00:00Z")
	for limit, want := range map[int]string{
		100: "2026-12-01T09:00 2026-12-02T09:00 2026-12-03T09:00",
		2:   "2026-12-01T09:00 2026-12-02T09:00",
		0:   "", -1: "",
	} {
		var keys []string
		for _, o := range s.Between(from, to, limit) {
			keys = append(keys, o.Key)
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
}

func TestNextIsBoundedAtTheEndsOfTime(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, spec := range []recurrence.Spec{
		{Cron: "0 9 29 2 *", Zone: "Europe/Berlin"},
		{Cron: "59 * 29 2 *", Zone: "Europe/Berlin"},
		{Cron: "* * * * *", Zone: "Australia/Lord_Howe"},
		{Every: "1d", Start: "9999-12-30T23:59", Zone: "America/New_York"},
		{Every: "5m", Start: "0001-01-01T00:00", Zone: "Asia/Tokyo"},
	} {
		s := mustParse(t, spec)
		for _, after := range []time.Time{
			{},
			time.Unix(-1<<62, 0), time.Unix(1<<62, 0), time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC),
			time.Date(9997, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			if o, ok := s.Next(after); ok && (!o.At.After(after) || o.At.Year() > 9999) {
				t.Errorf("%+v: run %v after %v", spec, o, after)
			}
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestRunsDoNotDependOnWhereOneBegins: the same runs with the same keys come out from wherever they are asked for.
func TestRunsDoNotDependOnWhereOneBegins(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "America/Nuuk", "Pacific/Apia", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		spec := recurrence.Spec{Zone: rapid.SampledFrom(zones).Draw(t, "zone")}
		if rapid.Bool().Draw(t, "every") {
			spec.Every = rapid.SampledFrom([]string{"1d", "3d", "1w", "7h", "35m"}).Draw(t, "interval")
			spec.Start = rapid.SampledFrom([]string{"2010-01-01T02:30", "2011-12-30T00:00", "2026-03-29T02:15"}).Draw(t, "start")
		} else {
			spec.Cron = fmt.Sprintf("%s %s * * %s",
				rapid.SampledFrom([]string{"0", "30", "*/15", "45-59/7"}).Draw(t, "minute"),
				rapid.SampledFrom([]string{"*", "*/2", "0", "2", "23", "0-3"}).Draw(t, "hour"),
				rapid.SampledFrom([]string{"*", "0,5-7", "mon"}).Draw(t, "day"))
		}
		s, err := recurrence.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		near := time.Unix(rapid.Int64Range(1_300_000_000, 1_900_000_000).Draw(t, "near"), 0)
		zone, err := civil.LoadZone(spec.Zone)
		if err != nil {
			t.Fatal(err)
		}
		if _, end := near.In(zone).ZoneBounds(); !end.IsZero() {
			near = end
		}
		from := near.Add(-time.Duration(rapid.Int64Range(0, 200_000_000).Draw(t, "before")) * time.Millisecond)
		runs := s.Between(from, from.Add(400*time.Hour), 2000)
		keys := map[string]bool{}
		for i, o := range runs {
			if keys[o.Key] {
				t.Fatalf("key %s came twice", o.Key)
			}
			keys[o.Key] = true
			if i > 0 && !o.At.After(runs[i-1].At) {
				t.Fatalf("runs out of order: %v, %v", runs[i-1], o)
			}
			if o.Local != civil.Of(o.At.In(zone)) {
				t.Fatalf("local time %s at %s", o.Local, o.At)
			}
		}
		if len(runs) < 2 {
			return
		}
		i := rapid.IntRange(1, len(runs)-1).Draw(t, "run")
		gap := runs[i].At.Sub(runs[i-1].At)
		after := runs[i-1].At.Add(time.Duration(rapid.Int64Range(0, int64(gap)-1).Draw(t, "ns")))
		if o, ok := s.Next(after); !ok || o != runs[i] {
			t.Fatalf("after %s came %v, want %v", after, o, runs[i])
		}
	})
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	early := instant(t, "2026-01-01T00:00:00Z")
	never := time.Time{}
	far := time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	cronSpec := func(s string) recurrence.Spec { return recurrence.Spec{Cron: s, Zone: "UTC"} }
	every := func(every, start string) recurrence.Spec {
		return recurrence.Spec{Every: every, Start: start, Zone: "UTC"}
	}
	tests := []struct {
		name        string
		spec        recurrence.Spec
		code, field string
		says        string
	}{
		{"nothing", recurrence.Spec{Zone: "UTC"}, recurrence.CodeRequired, "cron", ""},
		{"both", recurrence.Spec{Cron: "@daily", Every: "1d", Zone: "UTC"}, recurrence.CodeEvery, "every", "not both"},
		{"no zone", recurrence.Spec{Cron: "@daily"}, recurrence.CodeZone, "time_zone", "needed"},
		{"an unknown zone", recurrence.Spec{Cron: "@daily", Zone: "Europe/Atlantis"}, recurrence.CodeZone, "time_zone", "unknown"},
		{"a start with cron", recurrence.Spec{Cron: "@daily", Start: "2026-12-01T09:00", Zone: "UTC"}, recurrence.CodeStart, "start", "belongs to every"},
		{"blanks", cronSpec("  "), recurrence.CodeCronInvalid, "cron", "five fields"},
		{"four fields", cronSpec("0 9 * *"), recurrence.CodeCronInvalid, "cron", "five fields"},
		{"six fields", cronSpec("0 0 9 * * *"), recurrence.CodeCronInvalid, "cron", "six fields"},
		{"TZ without a blank", cronSpec("TZ=UTC"), recurrence.CodeCronInvalid, "cron", "time_zone"},
		{"CRON_TZ without a blank", cronSpec("CRON_TZ=Europe/Berlin"), recurrence.CodeCronInvalid, "cron", "time_zone"},
		{"an empty zone in front", cronSpec("TZ= * * * * *"), recurrence.CodeCronInvalid, "cron", "time_zone"},
		{"a zone behind a blank", cronSpec(" tz=UTC 0 9 * * *"), recurrence.CodeCronInvalid, "cron", "time_zone"},
		{"@every", cronSpec("@every 1h"), recurrence.CodeCronInvalid, "cron", "use every"},
		{"@reboot", cronSpec("@reboot"), recurrence.CodeCronInvalid, "cron", "@hourly"},
		{"L", cronSpec("0 9 L * *"), recurrence.CodeCronInvalid, "cron", "last day"},
		{"5L", cronSpec("0 9 * * 5L"), recurrence.CodeCronInvalid, "cron", "last day"},
		{"FRIL", cronSpec("0 9 * * FRIL"), recurrence.CodeCronInvalid, "cron", "last day"},
		{"15W", cronSpec("0 9 15W * *"), recurrence.CodeCronInvalid, "cron", "nearest weekday"},
		{"#", cronSpec("0 9 * * 5#2"), recurrence.CodeCronInvalid, "cron", "n-th weekday"},
		{"?", cronSpec("0 9 ? * *"), recurrence.CodeCronInvalid, "cron", "write *"},
		{"minute 60", cronSpec("60 9 * * *"), recurrence.CodeCronInvalid, "cron", "minute: must be from 0 to 59"},
		{"day 0", cronSpec("0 9 0 * *"), recurrence.CodeCronInvalid, "cron", "day of month: must be from 1 to 31"},
		{"day of week 8", cronSpec("0 9 * * 8"), recurrence.CodeCronInvalid, "cron", "from 0 to 7"},
		{"a range backwards", cronSpec("0 17-9 * * *"), recurrence.CodeCronInvalid, "cron", "backwards"},
		{"a range over the week's end", cronSpec("0 9 * * SAT-MON"), recurrence.CodeCronInvalid, "cron", "list"},
		{"7 with a step", cronSpec("0 9 * * 7/2"), recurrence.CodeCronInvalid, "cron", "ambiguous"},
		{"an empty list", cronSpec(", 9 * * *"), recurrence.CodeCronInvalid, "cron", "missing"},
		{"an empty element", cronSpec("0,,5 9 * * *"), recurrence.CodeCronInvalid, "cron", "missing"},
		{"step 0", cronSpec("*/0 9 * * *"), recurrence.CodeCronInvalid, "cron", "step"},
		{"a huge step", cronSpec("*/18446744073709551615 9 * * *"), recurrence.CodeCronInvalid, "cron", "step"},
		{"two steps", cronSpec("*/2/2 9 * * *"), recurrence.CodeCronInvalid, "cron", "step"},
		{"two hyphens", cronSpec("1-2-3 9 * * *"), recurrence.CodeCronInvalid, "cron", "number"},
		{"a negative number", cronSpec("-1 9 * * *"), recurrence.CodeCronInvalid, "cron", "missing"},
		{"a signed number", cronSpec("+1 9 * * *"), recurrence.CodeCronInvalid, "cron", "number"},
		{"a range to a star", cronSpec("1-* 9 * * *"), recurrence.CodeCronInvalid, "cron", "alone"},
		{"a name in the wrong field", cronSpec("mon 9 * * *"), recurrence.CodeCronInvalid, "cron", "number"},
		{"a full name", cronSpec("0 9 * * MONDAY"), recurrence.CodeCronInvalid, "cron", "SUN, MON"},
		{"a line break", cronSpec("0 9 *\n* *"), recurrence.CodeCronInvalid, "cron", ""},
		{"NUL", cronSpec("0 9 * * \x00"), recurrence.CodeCronInvalid, "cron", ""},
		{"a huge rule", cronSpec(strings.Repeat("0,", 1<<20) + "0 9 * * *"), recurrence.CodeCronInvalid, "cron", "too long"},
		{"30 February", cronSpec("0 9 30 2 *"), recurrence.CodeNeverFires, "cron", "no month"},
		{"31 of the short months", cronSpec("0 * 31 2,4,6,9,11 *"), recurrence.CodeNeverFires, "cron", "no month"},
		{"no unit", every("10", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "whole number"},
		{"months", every("1mo", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "whole number"},
		{"two units", every("1d2h", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "whole number"},
		{"a fraction", every("1.5d", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "whole number"},
		{"a negative interval", every("-1d", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "whole number"},
		{"zero", every("0d", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "at least 5 minutes"},
		{"4 minutes", every("4m", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "at least 5 minutes"},
		{"6 years", every("312w", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "at most 5 years"},
		{"an overflow", every("9999999w", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "at most 5 years"},
		{"a huge interval", every(strings.Repeat("9", 1<<20)+"d", "2026-12-01T09:00"), recurrence.CodeEvery, "every", "whole number"},
		{"every without start", every("1d", ""), recurrence.CodeStart, "start", "needs a start"},
		{"a start that is no time", every("1d", "now"), recurrence.CodeStart, "start", "must look like"},
		{"a start on no day", every("1d", "2026-02-30T09:00"), recurrence.CodeStart, "start", "no such day"},
		{"a start beyond the calendar", recurrence.Spec{Every: "1d", Start: "9999-12-31T23:59", Zone: "America/New_York"}, recurrence.CodeNeverFires, "start", "too far"},
		{"until before the start", recurrence.Spec{Every: "1d", Start: "2026-12-01T09:00", Zone: "UTC", Until: &early}, recurrence.CodeNeverFires, "until", "before its first run"},
		{"until never", recurrence.Spec{Cron: "@daily", Zone: "UTC", Until: &never}, recurrence.CodeUntil, "until", ""},
		{"until the year 12026", recurrence.Spec{Cron: "@daily", Zone: "UTC", Until: &far}, recurrence.CodeUntil, "until", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := recurrence.Parse(tt.spec)
			var refused *recurrence.Error
			if !errors.As(err, &refused) {
				t.Fatalf("Parse = %v, %v, want an *Error", s, err)
			}
			if refused.Code != tt.code || refused.Field != tt.field || !strings.Contains(refused.Message, tt.says) {
				t.Errorf("Parse: %s on %s: %q, want %s on %s that says %q",
					refused.Code, refused.Field, refused.Message, tt.code, tt.field, tt.says)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"0 9 * * MON-FRI", "*/15 * * * *", "@daily", "@every 1h", "TZ=UTC", "CRON_TZ=Europe/Berlin 0 9 * * *", "0 9 30 2 *",
		"0 9 29 2 *", "0 9 */2 * 1", "0-59/7,3 */5 1,15 JAN-mar 5-7", ", , , , ,", "0 9 L * 5#2", "1/1 1/1 1/1 1/1 1/1",
	} {
		f.Add(seed, "2w", "2026-12-04T17:00")
	}
	after := time.Date(2026, time.March, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, rule, every, start string) {
		for _, spec := range []recurrence.Spec{{Cron: rule, Zone: "Europe/Berlin"}, {Every: every, Start: start, Zone: "Africa/Cairo"}} {
			s, err := recurrence.Parse(spec)
			if err != nil {
				var refused *recurrence.Error
				if !errors.As(err, &refused) || refused.Code == "" || refused.Field == "" || refused.Message == "" {
					t.Fatalf("Parse(%+v): error without code, field or message: %v", spec, err)
				}
				continue
			}
			last := after
			for range 3 {
				o, ok := s.Next(last)
				if !ok && spec.Cron != "" {
					t.Fatalf("Parse took %+v, but there is no run after %s", spec, last)
				}
				if ok && (!o.At.After(last) || o.Key == "") {
					t.Fatalf("%+v: run %+v after %s", spec, o, last)
				}
				if !ok {
					break
				}
				last = o.At
			}
		}
	})
}
