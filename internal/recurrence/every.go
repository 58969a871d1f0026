package recurrence

import (
	"strconv"
	"time"

	"crier/internal/civil"
)

// The shortest and the longest interval.
const (
	minInterval = 5 * time.Minute
	maxInterval = 5 * 366 * 24 * time.Hour
)

// units are the letters of intervals. A month is none: it has no length, and a cron rule says which day is meant.
var units = map[byte]time.Duration{
	'w': 7 * 24 * time.Hour,
	'd': 24 * time.Hour,
	'h': time.Hour,
	'm': time.Minute,
}

// parseEvery reads an interval and its first run.
func parseEvery(text, start string, zone *time.Location) (rule, error) {
	interval, calendar, err := parseInterval(text)
	if err != nil {
		return nil, err
	}
	if start == "" {
		return nil, &Error{CodeStart, fieldStart, "every needs a start, for example 2026-12-04T17:00"}
	}
	wall, at, err := parseStart(start, zone)
	if err != nil {
		return nil, err
	}
	if calendar {
		return &calendarRule{start: wall, interval: interval, zone: zone}, nil
	}
	return &elapsedRule{start: at, interval: interval, zone: zone}, nil
}

// parseInterval reads an interval and reports whether it is counted in days on the calendar.
func parseInterval(text string) (interval time.Duration, calendar bool, err error) {
	refused := &Error{CodeEvery, fieldEvery, `must be a whole number of weeks, days, hours or minutes, such as "2w", "3d", "12h" or "30m"`}
	// Six digits are more than five years of minutes.
	if len(text) < 2 || len(text) > 8 {
		return 0, false, refused
	}
	digits, letter := text[:len(text)-1], text[len(text)-1]
	unit, ok := units[letter]
	if !ok {
		return 0, false, refused
	}
	n, convErr := strconv.ParseUint(digits, 10, 32)
	if convErr != nil {
		return 0, false, refused
	}
	if n > uint64(maxInterval/unit) { //nolint:gosec // Both are positive.
		return 0, false, &Error{CodeEvery, fieldEvery, "must be at most 5 years"}
	}
	interval = time.Duration(n) * unit
	if interval < minInterval {
		return 0, false, &Error{CodeEvery, fieldEvery, "must be at least 5 minutes"}
	}
	return interval, letter == 'w' || letter == 'd', nil
}

// parseStart reads the first run as local time and as the instant. A local time without an instant starts at the end
// of the gap, one with two at the first; for an interval in days so does an instant in the second pass, because only
// the local time is kept. Fractions of a second are dropped.
func parseStart(text string, zone *time.Location) (civil.DateTime, time.Time, error) {
	if at, err := civil.ParseInstant(text); err == nil {
		at = at.Truncate(time.Second)
		return civil.Of(at.In(zone)), at, nil
	}
	wall, err := civil.Parse(text)
	if err != nil {
		return civil.DateTime{}, time.Time{}, fromCivil(err, CodeStart, fieldStart)
	}
	return wall, civil.Resolve(wall, zone).At, nil
}

// calendarRule runs every so many days at the same local time.
type calendarRule struct {
	start    civil.DateTime
	interval time.Duration // whole days
	zone     *time.Location
}

func (r *calendarRule) next(t time.Time) (run, bool) {
	start := r.start.AsUTC()
	// Whatever clocks have shown by t was due by t: see wallRule.
	for c := firstStepAfter(start, r.interval, civil.Of(t.In(r.zone)).AsUTC()); c.Year() <= lastYear; c = c.Add(r.interval) {
		if due := wallRun(civil.Of(c), r.zone); due.at.After(t) {
			return due, true
		}
	}
	return run{}, false
}

// elapsedRule runs every so many hours or minutes of elapsed time.
type elapsedRule struct {
	start    time.Time
	interval time.Duration
	zone     *time.Location
}

func (r *elapsedRule) next(t time.Time) (run, bool) {
	at := firstStepAfter(r.start, r.interval, t)
	if at.UTC().Year() > lastYear {
		return run{}, false
	}
	return elapsedRun(at, r.zone), true
}

// firstStepAfter returns the first of start, start+interval, start+2·interval … that is after t. It counts in seconds,
// because a [time.Duration] ends after 292 years; start and interval are whole seconds.
func firstStepAfter(start time.Time, interval time.Duration, t time.Time) time.Time {
	if t.Before(start) {
		return start
	}
	step := int64(interval / time.Second)
	steps := (t.Unix()-start.Unix())/step + 1
	return time.Unix(start.Unix()+steps*step, 0).UTC()
}
