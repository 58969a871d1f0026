package civil

import (
	"fmt"
	"time"
)

// The codes of an [Error]; they are part of the outside contract.
const (
	CodeAtRequired       = "at_required"
	CodeTimeInvalid      = "time_invalid"
	CodeLocalTimeMissing = "local_time_missing"
	CodeInPast           = "in_past"
	CodeTooFar           = "too_far"
	CodeZoneInvalid      = "time_zone_invalid"
)

// Error says why a time or a zone was refused. Message is meant for the person who sent it and never repeats what was
// sent.
type Error struct {
	Code    string
	Message string
	// Before and After are the nearest local times that exist, set with CodeLocalTimeMissing only.
	Before, After DateTime
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

const (
	pastTolerance = 60 * time.Second // how far back a time may lie and still mean "at once"
	maxYearsAhead = 5
)

// At is a moment that somebody asked for.
type At struct {
	Time  time.Time // in UTC, to the millisecond
	Now   bool      // it was asked for as "now"; Time is then the moment of asking
	Local bool      // it was given as a local time, so that another zone would make it another instant
	Note  string    // what the person should know about a day on which the clocks change, or ""
}

// ParseAt reads the moment at which a post is to go out:
//
//   - RFC 3339 with an offset, seconds optional: that instant;
//   - 2006-01-02T15:04 or 2006-01-02T15:04:05: local time in zone, the first pass if it exists twice;
//   - now: the moment now.
//
// A zone is needed for the second form only and may otherwise be nil. A moment more than 60 seconds before now or more
// than 5 calendar years after it is refused. Errors are of type *[Error] and carry one of the codes above.
func ParseAt(s string, zone *time.Location, now time.Time) (At, error) {
	now = now.UTC()
	switch s {
	case "":
		return At{}, &Error{Code: CodeAtRequired, Message: "a time is needed"}
	case "now":
		return At{Time: now.Truncate(time.Millisecond), Now: true}, nil
	}
	p, err := parse(s)
	if err != nil {
		return At{}, err
	}
	at := At{Time: p.instant()}
	if p.local {
		if at, err = resolveAt(p.DateTime, zone); err != nil {
			return At{}, err
		}
	}
	at.Time = at.Time.UTC().Truncate(time.Millisecond)
	switch {
	case at.Time.Before(now.Add(-pastTolerance)):
		return At{}, &Error{Code: CodeInPast, Message: "the time lies in the past"}
	case at.Time.After(now.AddDate(maxYearsAhead, 0, 0)):
		return At{}, &Error{Code: CodeTooFar, Message: "the time lies more than 5 years ahead"}
	}
	return at, nil
}

func resolveAt(c DateTime, zone *time.Location) (At, error) {
	if zone == nil {
		return At{}, &Error{Code: CodeZoneInvalid, Message: "a local time needs a time zone"}
	}
	r := Resolve(c, zone)
	switch r.Kind {
	case Gap:
		return At{}, &Error{
			Code: CodeLocalTimeMissing,
			Message: fmt.Sprintf("this local time does not exist in %s, because the clocks are put forward; the nearest are %s and %s",
				zone, r.Before, r.After),
			Before: r.Before,
			After:  r.After,
		}
	case Fold:
		return At{Time: r.At, Local: true, Note: FoldNote(r)}, nil
	case Exact:
	}
	return At{Time: r.At, Local: true}, nil
}

// FoldNote tells a person which of the two instants of a Fold is meant.
func FoldNote(r Resolution) string {
	return fmt.Sprintf("%s happens twice on this day, because the clocks are put back; the first is meant (UTC%s, not UTC%s)",
		Of(r.At).Clock(), r.At.Format("-07:00"), r.Second.Format("-07:00"))
}
