package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
	"crier/store"
)

// rezoneEvery is how often Rezone runs.
const rezoneEvery = 10 * time.Minute

// Begin is what the planner does before the first turn, so that nothing goes out by the rules of zone data that was
// replaced while Crier was down, and of overdue runs only the latest.
func (p *Planner) Begin(ctx context.Context) error {
	if err := p.rezone(ctx, 2*rezoneEvery); err != nil {
		return fmt.Errorf("following the zone data: %w", err)
	}
	return p.CatchUp(ctx)
}

// Rezone follows a change of zone data: what was asked for as a local time, and is due within PlanAhead, keeps that
// local time and moves to the instant that it means by the rules of today. What was asked for as an instant stays, and
// so does what a person has moved since it was written. Moved twice, it is moved once.
func (p *Planner) Rezone(ctx context.Context) error {
	return p.rezone(ctx, PlanAhead)
}

func (p *Planner) rezone(ctx context.Context, ahead time.Duration) error {
	now := post.Instant(p.Now())
	zones := make(map[string]*time.Location)
	return p.eachScheduled(ctx, now.Add(ahead), func(d post.Delivery) error {
		local, ok := localTime(&d)
		zone := loaded(d.TimeZone, zones)
		if !ok || zone == nil || d.Begun() || d.Attempts > 0 {
			return nil
		}
		means := civil.Resolve(local, zone).At
		if d.Due.Equal(post.Instant(means)) {
			return nil
		}
		if asked, err := p.askedLocally(ctx, &d, local); err != nil || !asked {
			return err
		}
		w := store.Write{Now: now, Actor: "crier"}
		_, err := p.Store.ChangeDelivery(ctx, w, d.ID, d.Version, "delivery.moved", func(x *post.Delivery) error {
			x.LocalDue = civil.Of(means).String() // another one than asked for only if that does not exist
			return x.Reschedule(post.Instant(means))
		})
		switch {
		case errors.Is(err, store.ErrStale), errors.Is(err, post.ErrTooLate), errors.Is(err, post.ErrTransition):
			return nil // it has changed meanwhile: the next time round
		case err != nil:
			return fmt.Errorf("moving delivery %s: %w", d.ID, err)
		}
		p.Log.WarnContext(ctx, "the rules of a time zone have changed: a delivery keeps its local time and moves",
			"delivery", d.ID, "zone", d.TimeZone, "local", d.LocalDue, "from", d.Due, "to", means)
		return nil
	})
}

// localTime is the local time of a delivery; of a run of a series, the one that its rule asks for. Runs that count
// elapsed time have none.
func localTime(d *post.Delivery) (civil.DateTime, bool) {
	text := d.LocalDue
	if !d.Series.IsZero() {
		text = d.Occurrence
	}
	c, err := civil.Parse(text)
	return c, err == nil
}

// loaded gives a zone, read once; nil when there is none of that name.
func loaded(name string, zones map[string]*time.Location) *time.Location {
	zone, known := zones[name]
	if !known {
		var err error
		if zone, err = civil.LoadZone(name); err != nil {
			zone = nil
		}
		zones[name] = zone
	}
	return zone
}

// askedLocally reports whether the delivery's local time is what was asked for, rather than what an instant that was
// asked for looked like in its zone.
func (p *Planner) askedLocally(ctx context.Context, d *post.Delivery, local civil.DateTime) (bool, error) {
	if !d.Series.IsZero() {
		return true, nil
	}
	v, err := p.Store.PostByID(ctx, d.Post)
	if err != nil {
		return false, fmt.Errorf("reading post %s: %w", d.Post, err)
	}
	at := v.Post.At
	i := slices.IndexFunc(v.Post.Targets, func(t post.Target) bool { return t.Delivery == d.ID })
	if i >= 0 && v.Post.Targets[i].Override.At != nil && *v.Post.Targets[i].Override.At != "" {
		at = *v.Post.Targets[i].Override.At
	}
	c, err := civil.Parse(at)
	return err == nil && c == local, nil
}
