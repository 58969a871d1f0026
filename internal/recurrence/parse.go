package recurrence

import (
	"errors"
	"time"

	"crier/internal/civil"
)

// The codes of an [Error]; they are part of the outside contract.
const (
	CodeRequired    = "recurrence_required"
	CodeCronInvalid = "cron_invalid"
	CodeEvery       = "every_invalid"
	CodeStart       = "start_invalid"
	CodeUntil       = "until_invalid"
	CodeNeverFires  = "never_fires"
	CodeZone        = civil.CodeZoneInvalid
)

// The fields of a spec, as the outside contract names them.
const (
	fieldCron  = "cron"
	fieldEvery = "every"
	fieldStart = "start"
	fieldZone  = "time_zone"
	fieldUntil = "until"
)

// Error says why a spec was refused. Message is meant for the person who sent it and never repeats what was sent.
type Error struct {
	Code    string
	Field   string // cron, every, start, time_zone or until
	Message string
}

// Error returns the field and the message.
func (e *Error) Error() string { return e.Field + ": " + e.Message }

// Parse checks a spec. Errors are of type *[Error].
//
// Cron takes minute, hour, day of month, month and day of week: numbers, ranges a-b, lists, steps a-b/n, a/n (up to the
// end of the field) and */n; JAN–DEC and SUN–SAT in any case; Sunday is 0 and 7. If both day fields are restricted, a
// day that matches either counts. The descriptors are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and
// @annually. Two kinds of cron rules are told apart by their hour:
//
//   - with a restricted hour, the rule names local times. Each comes once: at the end of the gap if it does not exist
//     on that day, at the first pass if it happens twice. Local times that share a gap come once together. Keys are
//     local times.
//   - with the hour *, the rule counts passes of the clock, and the hour that happens twice counts twice. Keys are UTC
//     instants.
//
// Every takes a whole number of weeks (w), days (d), hours (h) or minutes (m), from 5 minutes to 5 years. Weeks and
// days are counted on the calendar, so that runs keep their local time: what is said above of a restricted hour holds.
// Hours and minutes are elapsed time, with UTC instants for keys.
//
// A spec that has no occurrence at all is refused.
func Parse(spec Spec) (*Schedule, error) {
	zone, err := civil.LoadZone(spec.Zone)
	if err != nil {
		return nil, fromCivil(err, CodeZone, fieldZone)
	}
	s := &Schedule{zone: zone}
	switch {
	case spec.Cron != "" && spec.Every != "":
		return nil, &Error{CodeEvery, fieldEvery, "give either cron or every, not both"}
	case spec.Cron != "":
		if spec.Start != "" {
			return nil, &Error{CodeStart, fieldStart, "start belongs to every; a cron rule starts when it is created"}
		}
		s.rule, err = parseCron(spec.Cron, zone)
	case spec.Every != "":
		s.rule, err = parseEvery(spec.Every, spec.Start, zone)
	default:
		return nil, &Error{CodeRequired, fieldCron, `give a rule, for example "0 9 * * MON-FRI", or every, for example "2w"`}
	}
	if err != nil {
		return nil, err
	}
	if spec.Until != nil {
		if spec.Until.Year() < firstYear || spec.Until.Year() > lastYear || spec.Until.IsZero() {
			return nil, &Error{CodeUntil, fieldUntil, "there is no such time"}
		}
		s.until = *spec.Until
	}
	if _, ok := s.Next(time.Time{}); !ok {
		if spec.Until == nil {
			return nil, &Error{CodeNeverFires, fieldStart, "the first run is too far ahead"}
		}
		return nil, &Error{CodeNeverFires, fieldUntil, "the rule ends before its first run"}
	}
	return s, nil
}

// fromCivil gives an error of package civil the field that it is about. Its message repeats nothing that was sent.
func fromCivil(err error, code, field string) error {
	message := "cannot be read"
	if refused, ok := errors.AsType[*civil.Error](err); ok {
		message = refused.Message
	}
	return &Error{Code: code, Field: field, Message: message}
}
