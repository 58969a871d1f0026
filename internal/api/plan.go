package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"crier/internal/civil"
	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/scheduler"
	"crier/store"
)

const (
	// maxPlan bounds the firings of one answer, maxWindow the time between its ends.
	maxPlan   = 2000
	maxWindow = 366 * 24 * time.Hour
	planAhead = 7 * 24 * time.Hour
)

// planQuery is the window of a plan.
type planQuery struct {
	From string `query:"from" doc:"RFC 3339; now by default."`
	To   string `query:"to" doc:"RFC 3339; a week after from by default, a year at most."`
}

func (c *call) plan(ctx context.Context) (*answer, error) {
	q, _ := c.query.(*planQuery)
	from, err := instantOf(q.From, "query.from")
	if err != nil {
		return nil, err
	}
	if q.From == "" {
		from = c.at
	}
	to, err := instantOf(q.To, "query.to")
	if err != nil {
		return nil, err
	}
	if q.To == "" {
		to = from.Add(planAhead)
	}
	if !from.Before(to) || to.Sub(from) > maxWindow || to.Year() > 9999 {
		return nil, invalid("query.to", "invalid_parameter", "wanted: after from, by a year at most")
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	out := Plan{From: stamp(from), To: stamp(to), Items: []Firing{}}
	if err := c.stored(ctx, s, from, to, &out); err != nil {
		return nil, err
	}
	if err := c.recurring(ctx, s, from, to, &out); err != nil {
		return nil, err
	}
	out.trim()
	c.conflicts(s, out.Items)
	return &answer{body: out}, nil
}

// trim puts the firings in order and leaves out those that are too many.
func (p *Plan) trim() {
	slices.SortStableFunc(p.Items, func(a, b Firing) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Account, b.Account))
	})
	if len(p.Items) > maxPlan {
		p.Items, p.Truncated = p.Items[:maxPlan], true
	}
}

// stored adds what is stored already.
func (c *call) stored(ctx context.Context, s *sight, from, to time.Time, out *Plan) error {
	f := store.Filter{
		Visible: s.sees, From: from, To: to, Now: c.at, Limit: 500,
		States: []post.State{post.InReview, post.Scheduled, post.Sending, post.Unconfirmed, post.AwaitingPerson},
	}
	zones := map[string]*time.Location{}
	for {
		page, err := c.Store.ListDeliveries(ctx, f)
		if err != nil {
			return fmt.Errorf("listing what is planned: %w", err)
		}
		for i := range page.Items {
			v := &page.Items[i]
			d := &v.Delivery
			out.Items = append(out.Items, Firing{
				At: stamp(d.Due), NextAttemptAt: stampOr(v.Next), Local: d.LocalDue, TimeZone: d.TimeZone, Account: d.Account.Handle,
				Platform: string(d.Platform), Kind: string(d.Account.Kind), Destination: textOr(d.Destination), State: string(d.State),
				Note: clockNote(d, zones), Post: idOr(d.Post), Delivery: idOr(d.ID), Series: idOr(d.Series), Spaced: v.Next.After(d.Due) && d.NotBefore.IsZero(),
				Conflicts: holdReasons(s.holdsOf(d.Account, v.Holds)),
			})
		}
		if len(out.Items) > maxPlan {
			return nil
		}
		if f.Cursor = page.Next; page.Next == "" {
			return nil
		}
	}
}

// clockNote says what a person should know of a delivery's time if the clocks change on its day.
func clockNote(d *post.Delivery, zones map[string]*time.Location) string {
	zone, known := zones[d.TimeZone]
	if !known {
		var err error
		if zone, err = civil.LoadZone(d.TimeZone); err != nil {
			zone = nil // zone data may have lost a name since
		}
		zones[d.TimeZone] = zone
	}
	if zone == nil {
		return ""
	}
	return recurrence.Note(d.Occurrence, d.Due, zone)
}

func holdReasons(holds []post.Hold) []string {
	out := []string{}
	for _, h := range holds {
		out = append(out, string(h.Reason))
	}
	return out
}

// recurring adds the runs of series that the planner has not made yet.
func (c *call) recurring(ctx context.Context, s *sight, from, to time.Time, out *Plan) error {
	all, err := c.Store.ListSeries(ctx)
	if err != nil {
		return fmt.Errorf("listing the series: %w", err)
	}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("listing the runs: %w", err)
		}
		x := &all[i]
		if !s.seesSeries(x) {
			continue
		}
		rule, err := recurrence.Parse(scheduler.Spec(*x))
		if err != nil {
			continue // the planner's log tells of it
		}
		start := from
		if x.Planned.After(start) {
			start = x.Planned.Add(time.Millisecond)
		}
		if start.Before(c.at) {
			start = c.at
		}
		// Which post of the pool a run takes is counted from what the planner has used.
		used := x.Used
		if skipTo := x.Planned; skipTo.Before(start) {
			used += len(rule.Between(skipTo.Add(time.Millisecond), start, maxPlan))
		}
		if !start.Before(to) {
			continue
		}
		for _, o := range rule.Between(start, to, maxPlan) {
			if slices.Contains(x.Skipped, o.Key) {
				continue
			}
			if x.Order != "cycle" && used >= len(x.Posts) {
				break
			}
			c.run(s, x, x.Posts[used%len(x.Posts)], o, out)
			used++
		}
		if len(out.Items) <= 2*maxPlan {
			continue
		}
		// What lies behind the last firing that can be told of is not worth making: with thousands of series it would
		// be millions.
		out.trim()
		if last, err := time.Parse(stampForm, out.Items[maxPlan-1].At); err == nil {
			to = last.Add(time.Millisecond)
		}
	}
	return nil
}

func (c *call) run(s *sight, x *store.Series, raw json.RawMessage, o recurrence.Occurrence, out *Plan) {
	r, err := compose.Pooled(raw)
	if err != nil {
		return // it was checked when it was written
	}
	for _, t := range r.Targets {
		v, ok := s.byHandle(t.Account)
		if !ok {
			continue
		}
		a := v.Account
		out.Items = append(out.Items, Firing{
			At: stamp(o.At), NextAttemptAt: stampOr(o.At), Local: o.Local.String(), TimeZone: o.Zone, Note: o.Note, Account: a.Handle,
			Platform: string(a.Platform), Kind: string(a.Kind), State: string(post.Scheduled), Series: idOr(x.ID),
			Conflicts: holdReasons(s.holdsOf(a.Key(), v.Holds)),
		})
	}
}

// conflicts marks firings of one account that lie closer together than its spacing.
func (c *call) conflicts(s *sight, items []Firing) {
	last := map[string]time.Time{}
	for i := range items {
		f := &items[i]
		at, err := time.Parse(stampForm, f.At)
		v, ok := s.byHandle(f.Account)
		if err != nil || !ok {
			continue
		}
		gap := v.Account.MinGap
		if before, have := last[f.Account]; have && gap > 0 && at.Before(before.Add(gap)) {
			f.Conflicts = append(f.Conflicts, compose.CodeSpacing)
			at = before.Add(gap)
			if f.Delivery == nil {
				f.Spaced, f.NextAttemptAt = true, stampOr(at)
			}
		}
		last[f.Account] = at
	}
}
