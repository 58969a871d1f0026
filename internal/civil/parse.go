package civil

import (
	"strings"
	"time"
)

// The offsets from UTC that are in use, in seconds.
const (
	minOffset = -12 * 3600
	maxOffset = +14 * 3600
)

// maxLength is longer than every time that is accepted: 2006-01-02T15:04:05.999999999-07:00 has 35 bytes.
const maxLength = 64

// Parse reads a local time in one of the two forms that [DateTime.String] writes. The error is an *[Error] with
// [CodeTimeInvalid].
func Parse(s string) (DateTime, error) {
	p, err := parse(s)
	if err != nil {
		return DateTime{}, err
	}
	if !p.local {
		return DateTime{}, invalid("a local time has no UTC offset")
	}
	return p.DateTime, nil
}

// ParseInstant reads an RFC 3339 time with an offset, to the nanosecond; the seconds may be left out. The result is in
// UTC. The error is an *[Error] with [CodeTimeInvalid].
func ParseInstant(s string) (time.Time, error) {
	p, err := parse(s)
	if err != nil {
		return time.Time{}, err
	}
	if p.local {
		return time.Time{}, invalid("the UTC offset is missing")
	}
	return p.instant(), nil
}

// parsed is a time as it was written.
type parsed struct {
	DateTime
	nanos  int
	offset int // seconds east of UTC
	local  bool
}

// instant returns the instant of a time that has an offset.
func (p parsed) instant() time.Time {
	return p.AsUTC().Add(time.Duration(p.nanos) - time.Duration(p.offset)*time.Second)
}

const formHint = "the time must look like 2026-12-01T09:00 or 2026-12-01T09:00:00+01:00"

func invalid(message string) error {
	return &Error{Code: CodeTimeInvalid, Message: message}
}

// parse reads every form of a time. It does not use [time.Parse], which takes hours of one digit, commas in front of
// fractions and offsets of a hundred hours.
func parse(s string) (parsed, error) {
	if len(s) > maxLength {
		return parsed{}, invalid(formHint)
	}
	sc := scanner{rest: s}
	var p parsed
	p.Year = sc.digits(4)
	sc.one("-")
	p.Month = time.Month(sc.digits(2))
	sc.one("-")
	p.Day = sc.digits(2)
	sc.one("Tt")
	p.Hour = sc.digits(2)
	sc.one(":")
	p.Minute = sc.digits(2)
	seconds := sc.next(":")
	if seconds {
		sc.one(":")
		p.Second = sc.digits(2)
	}
	fraction := seconds && sc.next(".")
	if fraction {
		sc.one(".")
		p.nanos = sc.fraction()
	}
	if p.local = sc.rest == ""; !p.local {
		p.offset = sc.offset()
	}
	if sc.bad || sc.rest != "" || (p.local && fraction) {
		return parsed{}, invalid(formHint)
	}
	return p, p.check()
}

// check refuses what no calendar and no clock shows.
func (p parsed) check() error {
	switch {
	case p.Second == 60:
		return invalid("leap seconds are not supported")
	case p.Hour > 23, p.Minute > 59, p.Second > 59:
		return invalid("there is no such time of day")
	case p.Year < 1, Of(p.AsUTC()) != p.DateTime:
		return invalid("there is no such day")
	case p.offset < minOffset, p.offset > maxOffset:
		return invalid("there is no such UTC offset")
	}
	return nil
}

// scanner takes a string apart from the front. After the first mismatch bad is set and the results mean nothing.
type scanner struct {
	rest string
	bad  bool
}

// next reports whether one of the bytes of set is next.
func (s *scanner) next(set string) bool {
	return s.rest != "" && strings.IndexByte(set, s.rest[0]) >= 0
}

// one takes one of the bytes of set and returns it.
func (s *scanner) one(set string) byte {
	if s.bad || !s.next(set) {
		s.bad = true
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// digits takes a number of exactly n digits.
func (s *scanner) digits(n int) int {
	v := 0
	for range n {
		v = v*10 + int(s.one("0123456789")-'0')
	}
	return v
}

// fraction takes one digit or more and returns them as nanoseconds, without rounding.
func (s *scanner) fraction() int {
	nanos := 0
	unit := int(time.Second)
	for ok := true; ok && !s.bad; ok = s.next("0123456789") {
		unit /= 10
		nanos += unit * s.digits(1)
	}
	return nanos
}

// offset takes Z, +15:04 or -15:04 and returns the seconds east of UTC. Minutes above 59 come back as an offset that
// no zone has.
func (s *scanner) offset() int {
	sign := s.one("Zz+-")
	if sign == 'Z' || sign == 'z' {
		return 0
	}
	hours := s.digits(2)
	s.one(":")
	minutes := s.digits(2)
	if minutes > 59 {
		return maxOffset + 1
	}
	seconds := hours*3600 + minutes*60
	if sign == '-' {
		return -seconds
	}
	return seconds
}
