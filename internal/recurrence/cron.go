package recurrence

import (
	"time"

	"github.com/robfig/cron/v3"

	"crier/internal/civil"
)

// starBit is how the cron library marks a field that was written as a star.
const starBit = 1 << 63

// parseCron reads a cron rule. Only text that [normalise] wrote itself reaches the library.
func parseCron(text string, zone *time.Location) (rule, error) {
	normal, err := normalise(text)
	if err != nil {
		return nil, err
	}
	fields, err := parseFields(normal)
	if err != nil {
		return nil, err
	}
	// 2000 is a leap year, so that five years from its beginning see every date that there is.
	if fields.Next(time.Date(1999, time.December, 31, 23, 59, 59, 0, time.UTC)).IsZero() {
		return nil, &Error{CodeNeverFires, fieldCron, "no month that is named has such a day"}
	}
	if fields.Hour&starBit != 0 {
		return &hourlyRule{fields: fields, zone: zone}, nil
	}
	return &wallRule{fields: fields, zone: zone}, nil
}

// parseFields hands five fields to the cron library, whose parser is known to panic on text that nobody foresaw.
func parseFields(normal string) (fields *cron.SpecSchedule, err error) {
	defer func() {
		if recover() != nil {
			fields, err = nil, cronError("the rule cannot be read")
		}
	}()
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	schedule, parseErr := parser.Parse(normal)
	spec, ok := schedule.(*cron.SpecSchedule)
	if parseErr != nil || !ok {
		return nil, cronError("the rule cannot be read")
	}
	spec.Location = time.UTC
	return spec, nil
}

func cronError(message string) error {
	return &Error{Code: CodeCronInvalid, Field: fieldCron, Message: message}
}

// nextUTC returns the first match strictly after t in a world without changes of offset, or false if there is none
// before the year 10000. The library gives up after five calendar years, which is less than the eight from one
// 29 February to the next around the year 2100.
func nextUTC(fields *cron.SpecSchedule, t time.Time) (time.Time, bool) {
	const searched = 5
	for t.Year() <= lastYear {
		if n := fields.Next(t); !n.IsZero() {
			return n, n.Year() <= lastYear
		}
		t = time.Date(t.Year()+searched, time.December, 31, 23, 59, 59, 0, time.UTC)
	}
	return time.Time{}, false
}

// wallRule is a cron rule that names local times.
type wallRule struct {
	fields *cron.SpecSchedule
	zone   *time.Location
}

// next steps through local times from the one that clocks show at t. None that is due after t is passed over: Resolve
// returns the first instant at which clocks show c or later, so whatever clocks have shown by t was due by t.
func (r *wallRule) next(t time.Time) (run, bool) {
	c := civil.Of(t.In(r.zone)).AsUTC()
	for {
		n, ok := nextUTC(r.fields, c)
		if !ok {
			return run{}, false
		}
		if due := wallRun(civil.Of(n), r.zone); due.at.After(t) {
			return due, true
		}
		c = n
	}
}

// hourlyRule is a cron rule for every hour: it counts passes of the clock.
type hourlyRule struct {
	fields *cron.SpecSchedule
	zone   *time.Location
}

// next looks for a match in one period of constant offset after the other. Within a period local time is UTC moved by
// the offset. Letting the library step in the zone instead would lose all hours of a day that has no midnight.
func (r *hourlyRule) next(t time.Time) (run, bool) {
	t = t.Truncate(time.Second)
	for t.Year() <= lastYear {
		// The period of the first second that can match.
		_, end, seconds := civil.Period(t.Add(time.Second).In(r.zone))
		offset := time.Duration(seconds) * time.Second

		n, ok := nextUTC(r.fields, t.Add(offset))
		at := n.Add(-offset)
		switch {
		case ok && (end.IsZero() || at.Before(end)):
			return elapsedRun(at, r.zone), true
		case end.IsZero():
			return run{}, false
		}
		t = end.Add(-time.Second).UTC()
	}
	return run{}, false
}
