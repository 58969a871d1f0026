package recurrence_test

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"

	"crier/internal/civil"
	"crier/internal/recurrence"
)

// The years over which every zone is tried: 2026 to 2028, the last of them a leap year.
var (
	firstDay = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(2029, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// allZones returns every zone of the toolchain's database, one of each set of names with the same data; under the race
// detector only some of them, see stride.
func allZones(t *testing.T) []string {
	t.Helper()
	//nolint:staticcheck // The tests run where the tree of the toolchain is.
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatalf("open the toolchain's zone database: %v", err)
	}
	defer archive.Close()
	names := 0
	var zones []string
	seen := map[[sha256.Size]byte]bool{}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") || f.Name == "Factory" {
			continue
		}
		names++
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); !seen[sum] {
			seen[sum] = true
			zones = append(zones, f.Name)
		}
	}
	if names < 400 || len(zones) < 200 {
		t.Fatalf("the database has %d names for %d zones, want more than 400 for 200", names, len(zones))
	}
	few := zones[:0]
	for i := 0; i < len(zones); i += stride {
		few = append(few, zones[i])
	}
	return few
}

// transitions returns the changes of offset of a zone in those years.
func transitions(zone *time.Location) []time.Time {
	var found []time.Time
	for at := firstDay.In(zone); ; {
		_, end := at.ZoneBounds()
		if end.IsZero() || !end.Before(lastDay) {
			return found
		}
		found = append(found, end)
		at = end
	}
}

// daysOff returns the days of those years, by the clocks of the zone, on which next does not fire exactly once.
func daysOff(zone *time.Location, next func(time.Time) (time.Time, bool)) []string {
	return daysOffIn(firstDay, lastDay, zone, next)
}

// daysOffIn is daysOff for the days from the first and before the last.
func daysOffIn(first, last time.Time, zone *time.Location, next func(time.Time) (time.Time, bool)) []string {
	fired := map[string]int{}
	for t := first.Add(-48 * time.Hour); ; {
		at, ok := next(t)
		if !ok || at.After(last.Add(48*time.Hour)) {
			break
		}
		fired[at.In(zone).Format(time.DateOnly)]++
		t = at
	}
	var off []string
	for day := first; day.Before(last); day = day.AddDate(0, 0, 1) {
		if date := day.Format(time.DateOnly); fired[date] != 1 {
			off = append(off, date)
		}
	}
	return off
}

func TestDailyRulesFireOnceOnEveryDayInEveryZone(t *testing.T) {
	t.Parallel()
	zones := allZones(t)
	for _, rule := range []string{"30 2 * * *", "0 9 * * *", "0 0 * * *", "15 2 * * *", "@daily"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			for _, name := range zones {
				s := mustParse(t, recurrence.Spec{Cron: rule, Zone: name})
				next := func(after time.Time) (time.Time, bool) {
					o, ok := s.Next(after)
					return o.At, ok
				}
				if off := daysOff(zoneOf(t, name), next); len(off) > 0 {
					t.Errorf("%s: not once on %v", name, off)
				}
			}
		})
	}
	t.Run("every 1d", func(t *testing.T) {
		t.Parallel()
		for _, name := range zones {
			s := mustParse(t, recurrence.Spec{Every: "1d", Start: "2025-06-01T02:30", Zone: name})
			next := func(after time.Time) (time.Time, bool) {
				o, ok := s.Next(after)
				return o.At, ok
			}
			if off := daysOff(zoneOf(t, name), next); len(off) > 0 {
				t.Errorf("%s: not once on %v", name, off)
			}
		}
	})
}

// Years far ahead lie beyond every zone's tables, where the last day of a leap year is a trap.
func TestTheTurnOfEachYearFiresOnceInEveryZone(t *testing.T) {
	t.Parallel()
	zones := allZones(t)
	rules := map[string]recurrence.Spec{}
	for _, rule := range []string{"0 0 * * *", "30 0 * * *", "0 9 * * *", "30 12 * * *", "59 23 * * *"} {
		rules[rule] = recurrence.Spec{Cron: rule}
	}
	rules["every 1d"] = recurrence.Spec{Every: "1d", Start: "2025-06-01T23:30"}
	for _, year := range []int{2027, 2028, 2037, 2040, 2099, 2108, 2396} {
		t.Run(fmt.Sprint(year), func(t *testing.T) {
			t.Parallel()
			first, last := time.Date(year, time.December, 29, 0, 0, 0, 0, time.UTC), time.Date(year+1, time.January, 4, 0, 0, 0, 0, time.UTC)
			for _, name := range zones {
				zone := zoneOf(t, name)
				for rule, spec := range rules {
					spec.Zone = name
					s := mustParse(t, spec)
					off := daysOffIn(first, last, zone, func(after time.Time) (time.Time, bool) {
						o, ok := s.Next(after)
						if o.Note != "" {
							t.Errorf("%s in %s: %s, where no clock changes", rule, o.Local, o.Note)
						}
						return o.At, ok
					})
					if len(off) > 0 {
						t.Errorf("%s in %s: not once on %v", rule, name, off)
					}
				}
			}
		})
	}
}

func TestALeapDayFiresOnceInEveryZone(t *testing.T) {
	t.Parallel()
	for _, name := range allZones(t) {
		s := mustParse(t, recurrence.Spec{Cron: "0 9 29 2 *", Zone: name})
		got := s.Between(firstDay, time.Date(2110, time.January, 1, 0, 0, 0, 0, time.UTC), 100)
		var years []int
		for _, o := range got {
			local := o.At.In(zoneOf(t, name))
			if local.Month() != time.February || local.Day() != 29 || local.Hour() != 9 {
				t.Errorf("%s: it runs at %s", name, local)
			}
			years = append(years, local.Year())
		}
		var want []int
		for year := 2028; year < 2110; year += 4 {
			if year != 2100 {
				want = append(want, year)
			}
		}
		if !slices.Equal(want, years) {
			t.Errorf("%s: the years are %v", name, years)
		}
	}
}

// TestLibraryAloneMissesDays shows that the check above can fail, and why the library does not step in zones here.
func TestLibraryAloneMissesDays(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, zone, day string }{
		{"30 2 * * *", "Europe/Berlin", "2026-03-29"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-25"},
		{"0 9 * * *", "Australia/Lord_Howe", "2026-10-04"},
		{"0 0 * * *", "Africa/Cairo", "2026-04-24"},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.day, func(t *testing.T) {
			t.Parallel()
			plain, err := cron.ParseStandard("CRON_TZ=" + tt.zone + " " + tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			off := daysOff(zoneOf(t, tt.zone), func(after time.Time) (time.Time, bool) {
				at := plain.Next(after)
				return at, !at.IsZero()
			})
			if !strings.Contains(strings.Join(off, " "), tt.day) {
				t.Errorf("the library is off on %v, want %s among them", off, tt.day)
			}
		})
	}
}

// TestHourlyRulesCountEveryPassOfTheClock compares with trying every minute around every change of offset.
func TestHourlyRulesCountEveryPassOfTheClock(t *testing.T) {
	t.Parallel()
	zones := allZones(t)
	tests := []struct {
		rule    string
		matches func(civil.DateTime, time.Weekday) bool
	}{
		{"0 * * * *", func(c civil.DateTime, _ time.Weekday) bool { return c.Minute == 0 }},
		{"*/20 * * * *", func(c civil.DateTime, _ time.Weekday) bool { return c.Minute%20 == 0 }},
		{"45 * * * 5", func(c civil.DateTime, d time.Weekday) bool { return c.Minute == 45 && d == time.Friday }},
		{"10 * 25-31 3,10 *", func(c civil.DateTime, _ time.Weekday) bool {
			return c.Minute == 10 && c.Day >= 25 && (c.Month == time.March || c.Month == time.October)
		}},
		{"5 * 8 * SUN", func(c civil.DateTime, d time.Weekday) bool {
			return c.Minute == 5 && (c.Day == 8 || d == time.Sunday)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			changes := 0
			for _, name := range zones {
				zone := zoneOf(t, name)
				s := mustParse(t, recurrence.Spec{Cron: tt.rule, Zone: name})
				for _, change := range transitions(zone) {
					changes++
					from, to := change.Add(-26*time.Hour), change.Add(26*time.Hour)
					got := s.Between(from, to, 1000)
					for at := from.Truncate(time.Minute); at.Before(to); at = at.Add(time.Minute) {
						local := at.In(zone)
						if at.Before(from) || !tt.matches(civil.Of(local), local.Weekday()) {
							continue
						}
						if len(got) == 0 || !got[0].At.Equal(at) {
							t.Fatalf("%s: %s is due, got %v", name, local, got)
						}
						got = got[1:]
					}
					if len(got) > 0 {
						t.Fatalf("%s: not due: %v", name, got)
					}
				}
			}
			if want := 400 / stride; changes < want {
				t.Errorf("%d changes of offset were tried, want more than %d", changes, want)
			}
		})
	}
}
