// Package civil turns wall-clock times into instants and back.
//
// A wall-clock time names an instant only together with a zone, and on the days on which a zone changes its offset it
// may name none or two. Everything that people schedule goes through the one mapping of [Resolve], so that a post, a
// preview and a recurring series agree on what happens on such days.
package civil

import (
	"fmt"
	"time"
)

// DateTime is a wall-clock time without a zone, on the proleptic Gregorian calendar, to the second. It is comparable
// with ==. The zero value is no valid time.
type DateTime struct {
	Year   int
	Month  time.Month
	Day    int
	Hour   int
	Minute int
	Second int
}

// Of returns the time that clocks in t's location show at t. Fractions of a second are dropped.
func Of(t time.Time) DateTime {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return DateTime{Year: year, Month: month, Day: day, Hour: hour, Minute: minute, Second: second}
}

// AsUTC returns the instant at which clocks in UTC show c. It is the way to calculate with wall-clock times: a world
// without changes of offset in which every day has 24 hours. Fields out of range carry over as in [time.Date].
func (c DateTime) AsUTC() time.Time {
	return time.Date(c.Year, c.Month, c.Day, c.Hour, c.Minute, c.Second, 0, time.UTC)
}

// String formats c as 2006-01-02T15:04, or as 2006-01-02T15:04:05 if the seconds are not zero. [Parse] reads both.
func (c DateTime) String() string {
	if c.Second == 0 {
		return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d", c.Year, int(c.Month), c.Day, c.Hour, c.Minute)
	}
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", c.Year, int(c.Month), c.Day, c.Hour, c.Minute, c.Second)
}

// Clock formats the time of day of c as 15:04, or as 15:04:05 if the seconds are not zero.
func (c DateTime) Clock() string {
	return c.String()[len("2006-01-02T"):]
}

// Kind says how many instants a wall-clock time names in a zone.
type Kind uint8

// The kinds of a resolution.
const (
	Exact Kind = iota // one instant
	Gap               // none: the clocks are put forward across it
	Fold              // two: the clocks are put back across it
)

// Resolution is what a wall-clock time means in a zone.
type Resolution struct {
	// At is the instant: the only one, the end of the gap, or the first of the two. It is in the zone asked for.
	At   time.Time
	Kind Kind
	// Before and After are the nearest wall-clock times that exist, set for a Gap only: the last whole minute in front
	// of it, and its end.
	Before, After DateTime
	// Second is the later of the two instants, set for a Fold only.
	Second time.Time
}

// reach is longer than the distance of any zone from UTC (local mean time went up to 15:56), so that a zone's clocks
// show a later time at c.AsUTC()+reach than c, and an earlier one at c.AsUTC()-reach.
const reach = 26 * time.Hour

// Resolve returns what c means in loc. Its At is the first instant at which clocks in loc show c or later; it follows
// that a later c never has an earlier At. Fields of c out of range carry over as in [time.Date].
func Resolve(c DateTime, loc *time.Location) Resolution {
	wall := c.AsUTC()
	var before DateTime
	for from := wall.Add(-reach).In(loc); ; {
		start, end, offset := Period(from)
		at := instant(wall, offset, loc)
		if !end.IsZero() && !at.Before(end) {
			before = Of(end.Add(-time.Second).In(fixed(offset)))
			from = end
			continue
		}
		// The first period that ends after c on its own clocks: c lies in it, or in the gap in front of it.
		if !start.IsZero() && at.Before(start) {
			before.Second = 0
			return Resolution{At: start, Kind: Gap, Before: before, After: Of(start)}
		}
		if second, ok := secondPass(wall, end, loc); ok {
			return Resolution{At: at, Kind: Fold, Second: second}
		}
		return Resolution{At: at}
	}
}

// secondPass looks for an instant at or after the transition at end, zero if there is none, at which clocks in loc
// show wall once more.
func secondPass(wall, end time.Time, loc *time.Location) (time.Time, bool) {
	for !end.IsZero() && end.Before(wall.Add(reach)) {
		_, next, offset := Period(end)
		at := instant(wall, offset, loc)
		// The period that end lies in may have begun before end (see Period): what counts is what comes after.
		if !at.Before(end) && (next.IsZero() || at.Before(next)) {
			return at, true
		}
		end = next
	}
	return time.Time{}, false
}

// Period returns the bounds of a period that t lies in and throughout which the zone of t keeps one offset, and that
// offset in seconds east of UTC. A bound is zero where the period has none; end is always after t. Periods that touch
// may have the same offset.
func Period(t time.Time) (start, end time.Time, offset int) {
	start, end = t.ZoneBounds()
	_, offset = t.Zone()
	// Beyond the tables of a zone ZoneBounds takes each year for a period of its own, of 365 days: on 31 December of a
	// leap year (2040 is the first for many zones) the end that it names has gone by.
	if !end.IsZero() && !end.After(t) {
		end = end.Add(24 * time.Hour)
	}
	return start, end, offset
}

// instant returns the instant at which clocks that are offset seconds east of UTC show wall, read as UTC.
func instant(wall time.Time, offset int, loc *time.Location) time.Time {
	return wall.Add(-time.Duration(offset) * time.Second).In(loc)
}

// fixed returns a location with a constant offset in seconds east of UTC.
func fixed(offset int) *time.Location {
	return time.FixedZone("", offset)
}
