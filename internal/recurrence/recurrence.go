// Package recurrence computes when a recurring post is due.
//
// Rules are read as wall-clock rules of a zone and mapped to instants by [civil.Resolve], so that "every day at 02:30"
// goes out once on each day, also on those on which 02:30 does not exist or happens twice. The cron library parses and
// steps in UTC only: its own zone handling loses or doubles runs on such days in a quarter of the zones of the world.
package recurrence

import (
	"fmt"
	"time"

	"crier/internal/civil"
)

// Spec is a recurrence as a person wrote it. Exactly one of Cron and Every is set.
type Spec struct {
	Cron  string     // five cron fields or a descriptor, see [Parse]
	Every string     // an interval such as "2w", "3d", "12h" or "30m"
	Start string     // the first run of Every: local time in Zone, or RFC 3339 with an offset
	Zone  string     // IANA name, always needed
	Until *time.Time // the last moment at which a run may be due, inclusive; nil: for ever
}

// Occurrence is one run of a schedule.
type Occurrence struct {
	// Key names the run within its schedule and stays the same however often the run is computed. It is the local time
	// that the rule asks for, or the UTC instant for rules that count elapsed time; see [Parse].
	Key    string
	At     time.Time      // the instant, in UTC
	Local  civil.DateTime // what clocks in Zone show at At
	Zone   string
	Offset time.Duration // from UTC at At, positive east
	Note   string        // what a person should know about a day on which the clocks change, or ""
}

// rule is one kind of recurrence. next returns the first run strictly after t, which lies between the years 1 and 9999
// and is in UTC.
type rule interface {
	next(t time.Time) (run, bool)
}

// run is what a rule knows of an occurrence.
type run struct {
	at   time.Time
	key  string
	note string
}

// Schedule is a parsed [Spec]. It never changes and is safe for concurrent use.
type Schedule struct {
	rule  rule
	zone  *time.Location
	until time.Time // zero: for ever
}

// Next returns the first occurrence strictly after the given instant, and whether there is one: there is none after
// Until or the year 9999. It takes bounded time whatever the rule.
func (s *Schedule) Next(after time.Time) (Occurrence, bool) {
	t := after.UTC()
	if t.Year() < firstYear {
		t = time.Date(firstYear, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	if t.Year() > lastYear {
		return Occurrence{}, false
	}
	r, ok := s.rule.next(t)
	if !ok || r.at.UTC().Year() > lastYear || (!s.until.IsZero() && r.at.After(s.until)) {
		return Occurrence{}, false
	}
	local := r.at.In(s.zone)
	_, offset := local.Zone()
	return Occurrence{
		Key:    r.key,
		At:     r.at.UTC(),
		Local:  civil.Of(local),
		Zone:   s.zone.String(),
		Offset: time.Duration(offset) * time.Second,
		Note:   r.note,
	}, true
}

// The years between which runs are computed. Earlier instants count as the beginning of the first.
const (
	firstYear = 1
	lastYear  = 9999
)

// Between returns the occurrences at or after from and before to, in order, at most limit of them.
func (s *Schedule) Between(from, to time.Time, limit int) []Occurrence {
	var found []Occurrence
	for after := from.Add(-time.Nanosecond); len(found) < limit; {
		o, ok := s.Next(after)
		if !ok || !o.At.Before(to) {
			break
		}
		found = append(found, o)
		after = o.At
	}
	return found
}

// wallRun maps a local time that a rule asks for to a run.
func wallRun(c civil.DateTime, zone *time.Location) run {
	r := civil.Resolve(c, zone)
	out := run{at: r.At, key: c.String()}
	switch r.Kind {
	case civil.Gap:
		out.note = fmt.Sprintf("moved from %s, which does not exist on this day, because the clocks are put forward", c.Clock())
	case civil.Fold:
		out.note = civil.FoldNote(r)
	case civil.Exact:
	}
	return out
}

// elapsedRun describes a run of a rule that counts elapsed time, for which both passes of a fold are runs.
func elapsedRun(at time.Time, zone *time.Location) run {
	out := run{at: at, key: at.UTC().Format(time.RFC3339)}
	local := at.In(zone)
	r := civil.Resolve(civil.Of(local), zone)
	if r.Kind != civil.Fold {
		return out
	}
	pass := "first"
	if r.Second.Equal(at) {
		pass = "second"
	}
	out.note = fmt.Sprintf("%s happens twice on this day, because the clocks are put back; this is the %s (UTC%s)",
		civil.Of(local).Clock(), pass, local.Format("-07:00"))
	return out
}

// Note gives what a person should know about an instant of a day on which the clocks change: of a run by its key, and
// without one of any instant that somebody asked for.
func Note(key string, at time.Time, zone *time.Location) string {
	if c, err := civil.Parse(key); err == nil {
		if r := wallRun(c, zone); r.at.Equal(at) {
			return r.note
		}
	}
	return elapsedRun(at, zone).note
}
