package civil_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/civil"
)

var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestParseAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     civil.At
	}{
		{name: "now", in: "now", want: civil.At{Time: now, Now: true}},
		{name: "an offset", in: "2026-12-01T09:00:00+01:00", want: at("2026-12-01T08:00:00Z")},
		{name: "a negative offset", in: "2026-12-01T09:00:00-03:30", want: at("2026-12-01T12:30:00Z")},
		{name: "Z", in: "2026-12-01T09:00:00Z", want: at("2026-12-01T09:00:00Z")},
		{name: "lower case, as RFC 3339 allows", in: "2026-12-01t09:00:00z", want: at("2026-12-01T09:00:00Z")},
		{name: "an unknown local offset", in: "2026-12-01T09:00:00-00:00", want: at("2026-12-01T09:00:00Z")},
		{name: "an offset without seconds", in: "2026-12-01T09:00+01:00", want: at("2026-12-01T08:00:00Z")},
		{name: "a fraction, cut to milliseconds", in: "2026-12-01T09:00:00.123987654321Z", want: at("2026-12-01T09:00:00.123Z")},
		{name: "the largest offset", in: "2026-12-01T09:00:00+14:00", want: at("2026-11-30T19:00:00Z")},
		{name: "local time", in: "2026-12-01T09:00", want: local("2026-12-01T08:00:00Z", "")},
		{name: "local time with seconds", in: "2026-12-01T09:00:30", want: local("2026-12-01T08:00:30Z", "")},
		{
			name: "local time that exists twice", in: "2027-10-31T02:30",
			want: local("2027-10-31T00:30:00Z",
				"02:30 happens twice on this day, because the clocks are put back; the first is meant (UTC+02:00, not UTC+01:00)"),
		},
		{name: "29 February", in: "2028-02-29T09:00:00Z", want: at("2028-02-29T09:00:00Z")},
		{name: "60 seconds ago", in: "2026-11-23T11:59:00Z", want: at("2026-11-23T11:59:00Z")},
		{name: "in exactly 5 years", in: "2031-11-23T12:00:00Z", want: at("2031-11-23T12:00:00Z")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := civil.ParseAt(tt.in, zone(t, "Europe/Berlin"), now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseAt(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func at(s string) civil.At {
	instant, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return civil.At{Time: instant}
}

func local(s, note string) civil.At {
	a := at(s)
	a.Local, a.Note = true, note
	return a
}

func TestParseAtRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, code string
	}{
		{"nothing", "", civil.CodeAtRequired},
		{"more than 60 seconds ago", "2026-11-23T11:58:59.999Z", civil.CodeInPast},
		{"last year, local", "2025-11-23T11:58", civil.CodeInPast},
		{"more than 5 years ahead", "2031-11-23T12:00:00.001Z", civil.CodeTooFar},
		{"the end of the calendar", "9999-12-31T23:59:59Z", civil.CodeTooFar},
		{"a gap", "2027-03-28T02:30", civil.CodeLocalTimeMissing},
		{"a word", "tomorrow", civil.CodeTimeInvalid},
		{"a slot", "next-slot", civil.CodeTimeInvalid},
		{"Now", "Now", civil.CodeTimeInvalid},
		{"a date", "2026-12-01", civil.CodeTimeInvalid},
		{"a space for the T", "2026-12-01 09:00", civil.CodeTimeInvalid},
		{"space around", " 2026-12-01T09:00", civil.CodeTimeInvalid},
		{"an hour of one digit", "2026-12-01T9:00:00Z", civil.CodeTimeInvalid},
		{"a comma for the point", "2026-12-01T09:00:00,5Z", civil.CodeTimeInvalid},
		{"a point without digits", "2026-12-01T09:00:00.Z", civil.CodeTimeInvalid},
		{"a local fraction", "2026-12-01T09:00:00.5", civil.CodeTimeInvalid},
		{"an offset without colon", "2026-12-01T09:00:00+0100", civil.CodeTimeInvalid},
		{"an offset of hours", "2026-12-01T09:00:00+01", civil.CodeTimeInvalid},
		{"text after the offset", "2026-12-01T09:00:00Zulu", civil.CodeTimeInvalid},
		{"a zone name", "2026-12-01T09:00:00[Europe/Berlin]", civil.CodeTimeInvalid},
		{"an offset that no zone has", "2026-12-01T09:00:00+14:01", civil.CodeTimeInvalid},
		{"an absurd offset", "2026-12-01T09:00:00-23:59", civil.CodeTimeInvalid},
		{"offset minutes above 59", "2026-12-01T09:00:00+01:60", civil.CodeTimeInvalid},
		{"a leap second", "2026-12-31T23:59:60Z", civil.CodeTimeInvalid},
		{"second 61", "2026-12-31T23:59:61Z", civil.CodeTimeInvalid},
		{"minute 60", "2026-12-31T23:60:00Z", civil.CodeTimeInvalid},
		{"hour 24", "2026-12-31T24:00:00Z", civil.CodeTimeInvalid},
		{"30 February", "2027-02-30T09:00", civil.CodeTimeInvalid},
		{"29 February of no leap year", "2027-02-29T09:00", civil.CodeTimeInvalid},
		{"month 13", "2027-13-01T09:00", civil.CodeTimeInvalid},
		{"month 0", "2027-00-01T09:00", civil.CodeTimeInvalid},
		{"day 0", "2027-01-00T09:00", civil.CodeTimeInvalid},
		{"year 0", "0000-01-01T09:00", civil.CodeTimeInvalid},
		{"year 10000", "10000-01-01T09:00:00Z", civil.CodeTimeInvalid},
		{"a signed year", "+2027-01-01T09:00:00Z", civil.CodeTimeInvalid},
		{"a minus for a digit", "2027-01-0-T09:00:00Z", civil.CodeTimeInvalid},
		{"digits of another script", "２０２７-01-01T09:00", civil.CodeTimeInvalid},
		{"NUL", "2026-12-01T09:00\x00", civil.CodeTimeInvalid},
		{"a huge fraction", "2026-12-01T09:00:00." + strings.Repeat("0", 1<<20) + "Z", civil.CodeTimeInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := civil.ParseAt(tt.in, zone(t, "Europe/Berlin"), now)
			var refused *civil.Error
			if !errors.As(err, &refused) || refused.Code != tt.code {
				t.Fatalf("ParseAt = %v, %v, want %s", got, err, tt.code)
			}
			if diff := cmp.Diff(civil.At{}, got); diff != "" {
				t.Errorf("a refused time came back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsDoNotRepeatWhatWasSent(t *testing.T) {
	t.Parallel()
	const canary = "1987-06-05"
	for _, in := range []string{canary, canary + "T25:00", canary + "T12:00", canary + "T12:00:00Z", canary + "\x1b[2J"} {
		if _, err := civil.ParseAt(in, time.UTC, now); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("ParseAt(%q): %v", in, err)
		}
	}
	if _, err := civil.LoadZone("Canary/Canary"); err == nil || strings.Contains(err.Error(), "Canary") {
		t.Errorf("LoadZone: %v", err)
	}
}

func TestParseAtNamesTheNearestLocalTimes(t *testing.T) {
	t.Parallel()
	_, err := civil.ParseAt("2027-03-28T02:30", zone(t, "Europe/Berlin"), now)
	want := &civil.Error{
		Code: civil.CodeLocalTimeMissing,
		Message: "this local time does not exist in Europe/Berlin, because the clocks are put forward; " +
			"the nearest are 2027-03-28T01:59 and 2027-03-28T03:00",
		Before: dateTime(t, "2027-03-28T01:59"),
		After:  dateTime(t, "2027-03-28T03:00"),
	}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestParseAtNeedsAZoneForLocalTimesOnly(t *testing.T) {
	t.Parallel()
	if _, err := civil.ParseAt("2026-12-01T09:00:00Z", nil, now); err != nil {
		t.Errorf("a time with an offset was refused: %v", err)
	}
	_, err := civil.ParseAt("2026-12-01T09:00", nil, now)
	var refused *civil.Error
	if !errors.As(err, &refused) || refused.Code != civil.CodeZoneInvalid {
		t.Errorf("error = %v, want %s", err, civil.CodeZoneInvalid)
	}
}

// Five years after 29 February is 1 March, not a day count that drifts with leap years.
func TestParseAtCountsCalendarYears(t *testing.T) {
	t.Parallel()
	leapDay := time.Date(2028, time.February, 29, 12, 0, 0, 0, time.UTC)
	if _, err := civil.ParseAt("2033-03-01T12:00:00Z", nil, leapDay); err != nil {
		t.Errorf("5 years after 29 February: %v", err)
	}
	if _, err := civil.ParseAt("2033-03-01T12:00:01Z", nil, leapDay); err == nil {
		t.Error("a second more than 5 years was taken")
	}
}

func TestParseInstantAndParseKeepApart(t *testing.T) {
	t.Parallel()
	if c, err := civil.Parse("2026-12-01T09:00:00Z"); err == nil {
		t.Errorf("Parse took an instant: %v", c)
	}
	if i, err := civil.ParseInstant("2026-12-01T09:00:00"); err == nil {
		t.Errorf("ParseInstant took a local time: %v", i)
	}
	got, err := civil.ParseInstant("2026-12-01T09:00:00.123456789+02:00")
	want := time.Date(2026, time.December, 1, 7, 0, 0, 123456789, time.UTC)
	if err != nil || got != want {
		t.Errorf("ParseInstant = %v, %v, want %v", got, err, want)
	}
}

func FuzzParseAt(f *testing.F) {
	for _, seed := range []string{
		"now", "2026-12-01T09:00", "2026-12-01T09:00:00", "2026-12-01T09:00:00.5Z", "2026-12-01t09:00:00-03:30",
		"2027-03-28T02:30", "2027-10-31T02:30", "2026-12-31T23:59:60Z", "0000-00-00T00:00", "",
	} {
		f.Add(seed, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, in, zoneName string) {
		loc, err := civil.LoadZone(zoneName)
		if err != nil {
			loc = nil
		}
		got, err := civil.ParseAt(in, loc, now)
		if err != nil {
			var refused *civil.Error
			if !errors.As(err, &refused) || refused.Code == "" || refused.Message == "" {
				t.Fatalf("ParseAt(%q): error without a code: %v", in, err)
			}
			return
		}
		if got.Time.Before(now.Add(-time.Minute)) || got.Time.After(now.AddDate(5, 0, 0)) {
			t.Fatalf("ParseAt(%q) = %v, outside the window", in, got.Time)
		}
		if got.Local || got.Now {
			return
		}
		// Whatever is taken with seconds is RFC 3339 to the standard library too, and means the same.
		if want, err := time.Parse(time.RFC3339, strings.ToUpper(in)); err == nil && !want.Truncate(time.Millisecond).Equal(got.Time) {
			t.Fatalf("ParseAt(%q) = %v, want %v", in, got.Time, want)
		}
	})
}
