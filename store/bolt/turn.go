package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crier/internal/post"
	"crier/store"
)

// maxSteps bounds what one turn looks at, so that a long backlog cannot hold the writer.
const maxSteps = 2000

// prepareMargin is how long prepared work must still hold when its delivery is claimed.
const prepareMargin = time.Minute

// Turn settles what came back, moves late heads to missed and claims what is ready, in one transaction.
func (s *Store) Turn(ctx context.Context, turn store.Turn) (store.Turned, error) {
	turn.Now = post.Instant(turn.Now)
	var out store.Turned
	orphans := s.takeOrphans()
	err := s.write(ctx, turn.Now, func(t *tx) error {
		out = store.Turned{Refused: map[int]error{}}
		woken := t.wake
		if err := s.afterStepBack(t, turn.Now); err != nil {
			return err
		}
		if err := t.bringForward(turn.Now); err != nil {
			return err
		}
		for _, o := range orphans {
			if err := t.putBack(o, turn.Now); err != nil {
				return err
			}
		}
		for i := range turn.Results {
			if err := t.settle(&turn.Results[i], turn.Now, &out); err != nil {
				if t.refusal(err) {
					out.Refused[i] = err
					continue
				}
				return err
			}
		}
		touched, err := t.openLanes(turn.Now)
		if err != nil {
			return err
		}
		steps := maxSteps
		for _, kind := range post.Kinds() {
			if turn.Room[kind] <= 0 {
				continue
			}
			if err := t.claimKind(&turn, kind, touched, &steps, &out); err != nil {
				return err
			}
		}
		if err := t.settleLanes(turn.Now); err != nil {
			return err
		}
		t.wake = woken // the answer says what comes next
		next, err := t.next(turn.Now)
		out.Next = next
		return err
	})
	if err != nil {
		if errors.Is(err, store.ErrUnknownCommit) {
			for i := range out.Claims {
				w := &out.Claims[i]
				orphans = append(orphans, orphan{owner: turn.Owner, delivery: w.Delivery.ID, fence: w.Delivery.Fence})
			}
		}
		s.keepOrphans(orphans)
		return store.Turned{}, err
	}
	s.lastTurn.Store(millis(turn.Now))
	return out, nil
}

// afterStepBack looks anew at every lane that remembers what lies ahead, when the clock has gone back since the last turn
// or may have gone back before the first one, so that a step stretches no hold, no spacing and no doubt.
func (s *Store) afterStepBack(t *tx, now time.Time) error {
	if last := s.lastTurn.Load(); last != 0 && millis(now.Add(clockSlack)) >= last {
		return nil
	}
	return t.scan(bLaneState, nil, func(k, v []byte) (bool, error) {
		key, ok := cutAccount(k)
		if !ok {
			return false, corrupt(bLaneState, k, errShort)
		}
		l, err := decodeLane(key, v, nil)
		if err == nil && l.ahead(now.Add(clockSlack)) {
			_, err = t.lane(key)
		}
		return true, err
	})
}

// clockSlack is how far back the clock may go without being taken for a step.
const clockSlack = 5 * time.Second

// unsafeError marks an error that came after a write, so that it fails the operation and not one result alone.
type unsafeError struct{ err error }

func (e *unsafeError) Error() string { return e.err.Error() }
func (e *unsafeError) Unwrap() error { return e.err }

func (*tx) refusal(err error) bool {
	_, written := err.(*unsafeError) //nolint:errorlint // it is never wrapped
	return !written
}

// settle applies one result. An error before the first write is the result's own.
func (t *tx) settle(r *store.Result, now time.Time, out *store.Turned) error {
	before, err := t.delivery(r.Delivery)
	if err != nil {
		return err
	}
	if _, err := t.lane(before.Account); err != nil {
		return err
	}
	if p := r.Settled.Receipt; p != nil && p.RemoteID == "" {
		return fmt.Errorf("delivery %s: %w: a receipt without a remote id proves nothing", r.Delivery, post.ErrTransition)
	}
	after := copyOf(before)
	alert, err := after.Settle(r.Settled, now)
	if err != nil {
		return fmt.Errorf("delivery %s: %w", r.Delivery, err)
	}
	if err := t.checkReceipts(before, after); err != nil {
		return fmt.Errorf("delivery %s: %w", r.Delivery, err)
	}
	if err := t.applySettled(before, after, r, now); err != nil {
		return &unsafeError{err}
	}
	if alert {
		out.Alerts = append(out.Alerts, r.Delivery)
	}
	return nil
}

func (t *tx) applySettled(before, after *post.Delivery, r *store.Result, now time.Time) error {
	repeated := r.Settled.Receipt != nil && before.Parts[r.Settled.Part].Receipt != nil
	if repeated && recorded(before, r) {
		return nil // the commit that reported an error was on disk
	}
	if !repeated || len(r.Attempts) > 0 {
		if err := t.attempted(after, r.Attempts); err != nil {
			return err
		}
		if err := t.save(before, after, cause{now: now, actor: crier}); err != nil {
			return err
		}
	}
	if r.Settled.Unprepare {
		// What was refused must not be offered again: the part is prepared from nothing.
		if err := t.dropPartHandles(r.Delivery, r.Settled.Part); err != nil {
			return err
		}
	}
	for _, h := range r.Holds {
		if err := t.hold(h, now); err != nil {
			return err
		}
	}
	return nil
}

// openLanes lists the lanes that the results have touched and that are open now. What stands of them in the ready index
// is not up to date, and need not be: most of them are claimed again in the same turn.
func (t *tx) openLanes(now time.Time) ([]readyEntry, error) {
	var open []readyEntry
	for key, l := range t.lanes {
		head, err := t.openHead(l, now)
		if err != nil {
			return nil, err
		}
		if head == nil {
			continue
		}
		if at := l.opens(head); at <= millis(now) {
			open = append(open, readyEntry{ms: at, key: key, platform: head.Platform, owner: l.owner, first: head})
		}
	}
	return open, nil
}

// claimKind walks the open lanes of one kind in order of the instants at which they opened.
func (t *tx) claimKind(turn *store.Turn, kind post.Kind, touched []readyEntry, steps *int, out *store.Turned) error {
	stops, err := t.stopList()
	if err != nil {
		return err
	}
	if stoppedAll(stops, kind, turn.Now) {
		return nil
	}
	room := turn.Room[kind]
	entries, err := t.readyLanes(turn, kind, stops, touched, *steps)
	if err != nil {
		return err
	}
	out.Claims = slices.Grow(out.Claims, min(room, len(entries)))
	for _, e := range entries {
		if room == 0 || *steps <= 0 {
			return nil
		}
		claimed, err := t.claimLane(turn, e, steps, out)
		if err != nil {
			return err
		}
		if claimed {
			room--
		}
	}
	return nil
}

// readyLanes lists the lanes that are open at now, at most limit of those in the index, stopped brands and full platforms
// left out.
func (t *tx) readyLanes(turn *store.Turn, kind post.Kind, stops []store.Stop, touched []readyEntry, limit int) ([]readyEntry, error) {
	out := make([]readyEntry, 0, len(touched))
	now := millis(turn.Now)
	wanted := func(e *readyEntry) bool {
		return !turn.Full[e.platform] && !stoppedBy(stops, kind, e.owner, turn.Now)
	}
	err := t.scan(bReady, kindPrefix(kind), func(k, v []byte) (bool, error) {
		e, err := readReady(k, v)
		if err != nil {
			return false, err
		}
		if e.ms > now || len(out) == limit {
			return false, nil
		}
		if _, stale := t.lanes[e.key]; !stale && wanted(&e) {
			out = append(out, e)
		}
		return len(out) < turn.Room[kind]+maxExtra, nil
	})
	if err != nil {
		return nil, err
	}
	indexed := len(out)
	for _, e := range touched {
		if e.key.Kind == kind && wanted(&e) {
			out = append(out, e)
		}
	}
	if len(out) > indexed {
		slices.SortFunc(out, func(a, b readyEntry) int {
			return cmp.Or(cmp.Compare(a.ms, b.ms), strings.Compare(a.key.Handle, b.key.Handle))
		})
	}
	return out, nil
}

// maxExtra is how many lanes beyond the room a turn looks at, for those whose head turns out to be late, unprepared or
// a person's.
const maxExtra = 256

// claimLane begins the head of one lane, after those that are late, or reports false. The lane is left for settleLanes.
func (t *tx) claimLane(turn *store.Turn, e readyEntry, steps *int, out *store.Turned) (bool, error) {
	l, err := t.lane(e.key)
	if err != nil {
		return false, err
	}
	l.tidy(turn.Now)
	for *steps > 0 {
		*steps--
		head := e.first
		if e.first = nil; head == nil {
			if head, err = t.laneHead(l); errors.Is(err, store.ErrCorrupt) {
				l.quarantine(err, turn.Now)
				return false, nil
			}
		}
		if err != nil || head == nil {
			return false, err
		}
		if head.State != post.Scheduled || l.closed() || waits(head) || l.opens(head) > millis(turn.Now) {
			return false, nil
		}
		late := !head.Begun() && head.Late(turn.Now, l.excused) > l.maxLate
		if !late && !l.assist && head.Ready(turn.Now.Add(prepareMargin)) {
			// The lane's record knows of holds and doubts that tidy has forgotten; the head may be another by now.
			return true, t.begin(turn, l, head, instant(max(e.ms, l.opens(head))), out)
		}
		after := copyOf(head)
		switch {
		case late:
			if err := after.Miss("too_late", "its time had passed by more than the account allows"); err != nil {
				return false, err
			}
			out.Missed++
		case l.assist:
			if err := after.HandOver(); err != nil {
				return false, err
			}
		default:
			after.Prepared, after.PreparedUntil = "", time.Time{}
		}
		if err := t.save(head, after, cause{now: turn.Now, actor: crier}); err != nil {
			return false, err
		}
	}
	return false, nil
}

// begin claims a head that could be claimed from ready on: the delivery is sending and its intent is written with its lane.
func (t *tx) begin(turn *store.Turn, l *lane, head *post.Delivery, ready time.Time, out *store.Turned) error {
	out.Claims = append(out.Claims, store.Work{Ready: ready})
	claim := &out.Claims[len(out.Claims)-1]
	after := &claim.Delivery
	copyTo(after, head)
	if err := after.Begin(turn.Now); err != nil {
		return err
	}
	if err := t.save(head, after, cause{now: turn.Now, actor: crier}); err != nil {
		return err
	}
	i := intent{
		delivery: after.ID, owner: turn.Owner, lease: post.Instant(turn.Now.Add(turn.Lease)), started: turn.Now, began: turn.Now,
	}
	if began, ok := turn.Began[after.Platform]; ok {
		i.began = post.Instant(began)
	}
	l.flight, l.dirty = i, true
	claim.Part, claim.Lease, claim.Began = after.NextPart(), i.lease, i.began
	return nil
}
