package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/store"
)

// PlanAhead is how far ahead the occurrences of recurring posts are made: as long as the planner may be in trouble
// before one is late.
const PlanAhead = 48 * time.Hour

// planAtOnce bounds the occurrences that one series gets in one transaction.
const planAtOnce = 200

// PlannerStore is what the planner needs of a store.
type PlannerStore interface {
	store.Recurring
	ListDeliveries(ctx context.Context, f store.Filter) (store.DeliveryPage, error)
	PostByID(ctx context.Context, id post.ID) (store.PostView, error)
	ChangeDelivery(ctx context.Context, w store.Write, id post.ID, version uint64, verb string, change func(*post.Delivery) error) (store.DeliveryView, error)
}

// Compose makes one occurrence from a post of the series' pool. What cannot be sent of it is among its refused
// deliveries; an error keeps the whole series waiting.
type Compose func(ctx context.Context, s store.Series, raw json.RawMessage, at recurrence.Occurrence) (store.Occurrence, error)

// Planner turns recurring posts into occurrences. What it makes is keyed, so that doing it twice makes it once.
type Planner struct {
	Store   PlannerStore
	Compose Compose
	Now     func() time.Time
	Log     *slog.Logger
}

// Plan makes the occurrences of every series up to PlanAhead. One bad series never keeps the others waiting; the
// errors of all come back joined.
func (p *Planner) Plan(ctx context.Context) error {
	all, err := p.Store.ListSeries(ctx)
	if err != nil {
		return fmt.Errorf("listing the series: %w", err)
	}
	var errs []error
	for _, s := range all {
		err := p.one(ctx, s)
		if err != nil && !errors.Is(err, store.ErrStale) && ctx.Err() == nil {
			errs = append(errs, fmt.Errorf("series %s: %w", s.ID, err))
		}
	}
	return errors.Join(errs...)
}

// PlanOne makes the occurrences of one series, as after it was created.
func (p *Planner) PlanOne(ctx context.Context, id post.ID) error {
	s, err := p.Store.SeriesByID(ctx, id)
	if err != nil {
		return fmt.Errorf("reading the series: %w", err)
	}
	return p.one(ctx, s)
}

// Spec is the recurrence of a series.
func Spec(s store.Series) recurrence.Spec {
	spec := recurrence.Spec{Cron: s.Cron, Every: s.Every, Start: s.Start, Zone: s.TimeZone}
	if !s.Until.IsZero() {
		until := s.Until
		spec.Until = &until
	}
	return spec
}

func (p *Planner) one(ctx context.Context, s store.Series) error {
	if s.Deleted || len(s.Posts) == 0 {
		return nil
	}
	rule, err := recurrence.Parse(Spec(s))
	if err != nil {
		return fmt.Errorf("reading the rule: %w", err)
	}
	now := post.Instant(p.Now())
	from := s.Planned
	if from.IsZero() {
		from = post.Instant(s.CreatedAt)
	}
	due, planned := latestOf(rule, from, now, now.Add(PlanAhead))
	used := s.Used
	var runs []store.Occurrence
	for _, o := range due {
		if s.Order != "cycle" && used >= len(s.Posts) {
			break
		}
		if slices.Contains(s.Skipped, o.Key) {
			continue
		}
		run, err := p.Compose(ctx, s, s.Posts[used%len(s.Posts)], o)
		if err != nil {
			return fmt.Errorf("composing post %d of the pool: %w", used%len(s.Posts), err)
		}
		for _, why := range run.Refused {
			p.Log.WarnContext(ctx, "a run of a series cannot be sent", "series", s.ID, "run", o.Key, "reason", why)
		}
		runs = append(runs, run)
		used++
	}
	if len(runs) == 0 && !planned.After(s.Planned) {
		return nil
	}
	if _, err := p.Store.Materialize(ctx, store.Write{Now: now, Actor: "crier"}, s.ID, s.Revision, planned, used, runs); err != nil {
		return fmt.Errorf("writing the occurrences: %w", err)
	}
	return nil
}

// latestOf lists the occurrences in (from, until], of those before now only the latest: a series catches up with at
// most that one. It gives the instant up to which the list is complete.
func latestOf(rule *recurrence.Schedule, from, now, until time.Time) (all []recurrence.Occurrence, planned time.Time) {
	if missed := now.Add(-time.Minute); from.Before(missed) {
		var last *recurrence.Occurrence
		// However long Crier was down, the run before now is found from a bounded number of steps.
		for t := from; ; {
			o, ok := rule.Next(t)
			if !ok || o.At.After(missed) {
				break
			}
			last, t = &o, o.At
		}
		if last != nil {
			all = append(all, *last)
		}
		from = missed
	}
	for len(all) < planAtOnce {
		o, ok := rule.Next(from)
		if !ok || o.At.After(until) {
			return all, until
		}
		all = append(all, o)
		from = o.At
	}
	return all, from
}

// CatchUp leaves, of every series, only the latest of the occurrences that are overdue, as after a time in which
// Crier was down or asleep: the others are missed. It makes first what was not made in that time, so that all of it
// counts as one backlog; a series that cannot be made is logged and left to Plan. It is called after a jump of the
// clock, and by Begin.
func (p *Planner) CatchUp(ctx context.Context) error {
	all, err := p.Store.ListSeries(ctx)
	if err != nil {
		return fmt.Errorf("listing the series: %w", err)
	}
	if len(all) == 0 {
		return nil
	}
	for _, s := range all {
		if err := p.one(ctx, s); err != nil && !errors.Is(err, store.ErrStale) && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "the runs of a series cannot be made", "series", s.ID, "error", err)
		}
	}
	return p.superseded(ctx)
}

// place is where the runs of a series compete: one of several that are overdue goes out.
type place struct {
	series      post.ID
	account     post.AccountKey
	destination string
}

// superseded leaves out all but the latest overdue run of each place. It goes through what is overdue once, whatever
// the number of series.
func (p *Planner) superseded(ctx context.Context) error {
	now := post.Instant(p.Now())
	latest := make(map[place]post.Delivery)
	return p.eachScheduled(ctx, now, func(d post.Delivery) error {
		if d.Series.IsZero() || d.Begun() || d.Attempts > 0 {
			return nil
		}
		at := place{series: d.Series, account: d.Account, destination: d.Destination}
		old, have := latest[at]
		if !have {
			latest[at] = d
			return nil
		}
		if old.Due.After(d.Due) {
			old, d = d, old
		}
		latest[at] = d
		w := store.Write{Now: now, Actor: "crier"}
		_, err := p.Store.ChangeDelivery(ctx, w, old.ID, old.Version, "delivery.missed", func(x *post.Delivery) error {
			return x.Miss("superseded", "a later run of the series is due as well: a series catches up with its latest only")
		})
		if err != nil && !errors.Is(err, store.ErrStale) && !errors.Is(err, post.ErrTransition) {
			return fmt.Errorf("leaving out an overdue run of series %s: %w", old.Series, err)
		}
		return nil
	})
}

// eachScheduled calls f for each scheduled delivery that is due before the instant, in order of due.
func (p *Planner) eachScheduled(ctx context.Context, before time.Time, f func(post.Delivery) error) error {
	filter := store.Filter{States: []post.State{post.Scheduled}, To: before, Now: before, Limit: 500}
	for {
		page, err := p.Store.ListDeliveries(ctx, filter)
		if err != nil {
			return fmt.Errorf("listing what is scheduled: %w", err)
		}
		for i := range page.Items {
			if err := f(page.Items[i].Delivery); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		filter.Cursor = page.Next
	}
}
