package post

import (
	"slices"
	"time"
)

// Span is a stretch of time, from From until To.
type Span struct{ From, To time.Time }

// Spans is a set of stretches of time in order, disjoint: when waiting in a lane was excused by spacing, by order
// or by the platform's own limits. It is bounded, see maxSpans.
type Spans []Span

// maxSpans bounds what a lane remembers. Above it the two nearest stretches become one, which can only excuse more.
const maxSpans = 32

// Add gives the set with one more stretch. The receiver is left as it is.
func (s Spans) Add(from, to time.Time) Spans {
	if !from.Before(to) {
		return s
	}
	out := make(Spans, 0, len(s)+1)
	placed := Span{From: from, To: to}
	for _, x := range s {
		if x.To.Before(placed.From) || placed.To.Before(x.From) {
			out = append(out, x)
			continue
		}
		if x.From.Before(placed.From) {
			placed.From = x.From
		}
		if x.To.After(placed.To) {
			placed.To = x.To
		}
	}
	i, _ := slices.BinarySearchFunc(out, placed, func(a, b Span) int { return a.From.Compare(b.From) })
	out = slices.Insert(out, i, placed)
	for len(out) > maxSpans {
		nearest, gap := 1, out[1].From.Sub(out[0].To)
		for j := 2; j < len(out); j++ {
			if g := out[j].From.Sub(out[j-1].To); g < gap {
				nearest, gap = j, g
			}
		}
		out[nearest-1].To = out[nearest].To
		out = slices.Delete(out, nearest, nearest+1)
	}
	return out
}

// Within is how much of the time between from and to the set covers.
func (s Spans) Within(from, to time.Time) time.Duration {
	var sum time.Duration
	for _, x := range s {
		a, b := x.From, x.To
		if a.Before(from) {
			a = from
		}
		if b.After(to) {
			b = to
		}
		if a.Before(b) {
			sum += b.Sub(a)
		}
	}
	return sum
}

// Late is how much unexcused waiting lies between the delivery's due time and now.
func (d *Delivery) Late(now time.Time, excused Spans) time.Duration {
	from := d.Due
	if d.LateFrom.After(from) {
		from = d.LateFrom
	}
	if !from.Before(now) {
		return 0
	}
	return now.Sub(from) - excused.Within(from, now)
}
