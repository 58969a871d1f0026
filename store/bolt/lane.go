package bolt

import (
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
)

// lane is what is remembered of one account's deliveries. What the turn asks of the account's configuration is copied
// here, so that a turn reads one record for each lane.
type lane struct {
	key     post.AccountKey
	known   bool // the account is configured
	assist  bool
	owner   string
	app     string
	minGap  time.Duration
	maxLate time.Duration

	flight   intent // the request that may be under way
	lastSent time.Time
	holds    []post.Hold
	// doubts are the unconfirmed deliveries that may still keep the lane from going on.
	doubts  []doubt
	excused post.Spans
	rev     uint64 // grows when holds change
	counts  tally  // the account's deliveries

	head   position // the first waiting delivery
	astray bool     // it has left, and the next stands behind it

	// The entry in ready, when there is one.
	ready   bool
	readyMs int64
	entry   post.ID // the delivery that it names: the head, when it was written

	stored []byte // as read; nil when there is no record
	dirty  bool
}

type doubt struct {
	id    post.ID
	since time.Time
}

// Bits of a lane's flags.
const (
	flagKnown = 1 << iota
	flagAssist
	flagReady
	flagFlight
	flagHead
	flagAstray
)

// appendTo appends the record of the lane.
func (l *lane) appendTo(b []byte) []byte {
	e := encoder{b: b}
	e.byte(laneVersion)
	var flags byte
	if l.known {
		flags |= flagKnown
	}
	if l.assist {
		flags |= flagAssist
	}
	if l.ready {
		flags |= flagReady
	}
	if !l.flight.none() {
		flags |= flagFlight
	}
	if !l.head.none() {
		flags |= flagHead
	}
	if l.astray {
		flags |= flagAstray
	}
	e.byte(flags)
	e.text(l.owner)
	e.text(l.app)
	e.int(int64(l.minGap))
	e.int(int64(l.maxLate))
	if !l.flight.none() {
		e.intent(&l.flight)
	}
	e.time(l.lastSent)
	e.uint(l.rev)
	if !l.head.none() {
		e.int(l.head.due)
		e.id(l.head.id)
	}
	if l.ready {
		e.int(l.readyMs)
	}
	e.uint(uint64(len(l.holds)))
	for _, h := range l.holds {
		e.text(string(h.Reason))
		e.time(h.Since)
		e.time(h.Until)
		e.text(h.Detail)
		e.text(h.By)
	}
	e.uint(uint64(len(l.doubts)))
	for _, d := range l.doubts {
		e.id(d.id)
		e.time(d.since)
	}
	e.uint(uint64(len(l.excused)))
	for _, s := range l.excused {
		e.time(s.From)
		e.time(s.To)
	}
	e.tally(&l.counts)
	return e.b
}

// decodeLane reads a lane; words, which may be nil, keeps what many lanes say alike.
func decodeLane(key post.AccountKey, b []byte, words map[string]string) (*lane, error) {
	l := &lane{key: key}
	if b == nil {
		return l, nil
	}
	r := decoder{b: b, words: words}
	v := r.byte()
	if v < 1 || v > laneVersion {
		return nil, corrupt(bLaneState, accountKey(key), fmt.Errorf("unknown version %d", v))
	}
	flags := r.byte()
	l.known, l.assist, l.ready = flags&flagKnown != 0, flags&flagAssist != 0, flags&flagReady != 0
	l.owner = r.common()
	l.app = r.common()
	l.minGap = time.Duration(r.int())
	l.maxLate = time.Duration(r.int())
	switch {
	case v < laneHoldsIntent: // the rest of its intent stood elsewhere: see toSchema3
		l.flight.delivery = r.id()
		l.flight.started = r.time()
	case flags&flagFlight != 0:
		l.flight = r.intent()
	}
	l.lastSent = r.time()
	l.rev = r.uint()
	if v >= laneHoldsIntent && flags&flagHead != 0 {
		l.head.due = r.int()
		l.head.id = r.id()
		l.astray = flags&flagAstray != 0
	}
	if l.ready {
		l.readyMs = r.int()
		if l.entry = l.head.id; v < laneHoldsIntent {
			l.entry = r.id()
		}
	}
	for range r.count() {
		l.holds = append(l.holds, post.Hold{
			Reason: post.HoldReason(r.text()), Since: r.time(), Until: r.time(), Detail: r.text(), By: r.text(),
		})
	}
	for range r.count() {
		l.doubts = append(l.doubts, doubt{id: r.id(), since: r.time()})
	}
	for range r.count() {
		l.excused = append(l.excused, post.Span{From: r.time(), To: r.time()})
	}
	if v > 1 {
		l.counts = r.tally()
	}
	if err := r.err(); err != nil {
		return nil, corrupt(bLaneState, accountKey(key), err)
	}
	l.stored = b
	return l, nil
}

// maxFlight is how long a flight excuses those behind it: as long as doubt about it would.
const maxFlight = post.DoubtBlocks

// excuse accounts for the waiting up to now that the lane's deliveries are not blamed for: the flight under way, the
// platform's own limits and unconfirmed deliveries. It may run any number of times.
func (l *lane) excuse(now time.Time) {
	if !l.flight.none() {
		// Nobody waits longer for a request: what goes by beyond that is time in which Crier was down or asleep.
		l.span(l.flight.started, earlier(now, l.flight.started.Add(maxFlight)))
	}
	for _, h := range l.holds {
		if h.Reason.FromPlatform() {
			l.span(h.Since, earlier(now, h.Until))
		}
	}
	for _, d := range l.doubts {
		l.span(d.since, earlier(now, d.since.Add(post.DoubtBlocks)))
	}
}

func (l *lane) span(from, to time.Time) {
	if from.Before(to) {
		l.excused = l.excused.Add(from, to)
		l.dirty = true
	}
}

// earlier gives the earlier of the two; a zero b is no limit.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// tidy forgets what has ended at now.
func (l *lane) tidy(now time.Time) {
	n := len(l.holds) + len(l.doubts)
	l.excuse(now)
	l.holds = slices.DeleteFunc(l.holds, func(h post.Hold) bool { return h.Open(now) })
	l.doubts = slices.DeleteFunc(l.doubts, func(d doubt) bool { return !now.Before(d.since.Add(post.DoubtBlocks)) })
	if n != len(l.holds)+len(l.doubts) {
		l.dirty = true
	}
	// What lies in the future was written before the clock stepped back.
	ahead := now.Add(clockSlack)
	if l.lastSent.After(ahead) {
		l.lastSent, l.dirty = now, true
	}
	for i := range l.doubts {
		if l.doubts[i].since.After(ahead) {
			l.doubts[i].since, l.dirty = now, true
		}
	}
}

// ahead reports whether the lane remembers something that came after now: it was written before the clock stepped back.
func (l *lane) ahead(now time.Time) bool {
	return l.lastSent.After(now) || l.flight.started.After(now) ||
		slices.ContainsFunc(l.holds, func(h post.Hold) bool { return h.Since.After(now) }) ||
		slices.ContainsFunc(l.doubts, func(d doubt) bool { return d.since.After(now) })
}

// setHold sets a hold, replacing one of the same reason.
func (l *lane) setHold(h post.Hold, now time.Time) {
	l.excuse(now)
	h.Since, h.Until = post.Instant(h.Since), post.Instant(h.Until)
	if h.Since.IsZero() {
		h.Since = now
	}
	l.rev++
	l.dirty = true
	i := slices.IndexFunc(l.holds, func(x post.Hold) bool { return x.Reason == h.Reason })
	if i < 0 {
		l.holds = append(l.holds, h)
		return
	}
	l.holds[i] = h
}

// quarantine pauses a lane whose head cannot be read, so that one damaged record stops one account and is seen.
func (l *lane) quarantine(err error, now time.Time) {
	l.setHold(post.Hold{Reason: post.HoldPaused, Since: now, Detail: err.Error()}, now)
}

// dropHold ends the hold of that reason and reports whether there was one.
func (l *lane) dropHold(reason post.HoldReason, now time.Time) bool {
	i := slices.IndexFunc(l.holds, func(x post.Hold) bool { return x.Reason == reason })
	if i < 0 {
		return false
	}
	l.excuse(now)
	l.holds = slices.Delete(l.holds, i, i+1)
	l.rev++
	l.dirty = true
	return true
}

// closed reports whether nothing of the lane may begin, whatever the hour.
func (l *lane) closed() bool {
	return !l.known || !l.flight.none() ||
		slices.ContainsFunc(l.holds, func(h post.Hold) bool { return h.Until.IsZero() })
}

// opens is when the head may begin: its own instant, the ends of holds, spacing and doubt. It uses nothing but what is
// stored, so that it can be checked.
func (l *lane) opens(head *post.Delivery) int64 {
	at := millis(head.ReadyAt())
	for _, h := range l.holds {
		at = max(at, millis(h.Until))
	}
	if l.minGap > 0 && !l.lastSent.IsZero() && !head.Begun() {
		at = max(at, millis(l.lastSent.Add(l.minGap)))
	}
	for _, d := range l.doubts {
		at = max(at, millis(d.since.Add(post.DoubtBlocks)))
	}
	return at
}

// view gives the holds for a reader: those of a removed or unknown account included.
func (l *lane) view() []post.Hold {
	holds := slices.Clone(l.holds)
	if !l.known && !slices.ContainsFunc(holds, func(h post.Hold) bool { return h.Reason == post.HoldRemoved }) {
		holds = append(holds, post.Hold{Reason: post.HoldRemoved, Detail: "the account is not configured"})
	}
	return holds
}
