package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
	"crier/store"
)

// words reads a list of words of one kind, parted by commas.
func words[T ~string](list, location string, known []T) ([]T, error) {
	if list == "" {
		return nil, nil
	}
	var out []T
	for w := range strings.SplitSeq(list, ",") {
		if !slices.Contains(known, T(w)) {
			return nil, invalid(location, "invalid_parameter", "there is no such word")
		}
		out = append(out, T(w))
	}
	return out, nil
}

func (c *call) listDeliveries(ctx context.Context) (*answer, error) {
	q, _ := c.query.(*deliveryQuery)
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	f, err := q.filter(s)
	if err != nil {
		return nil, err
	}
	if f.States, err = words(q.State, "query.state", post.States()); err != nil {
		return nil, err
	}
	if q.Series != "" {
		if f.Series, err = post.ParseID(q.Series); err != nil {
			return nil, invalid("query.series", "invalid_parameter", "wanted: the id of a series")
		}
	}
	page, err := c.Store.ListDeliveries(ctx, f)
	if err != nil {
		return nil, cursorError(err, q.Cursor)
	}
	out := Page[Delivery]{Items: make([]Delivery, 0, len(page.Items)), NextCursor: textOr(page.Next)}
	for i := range page.Items {
		out.Items = append(out.Items, s.delivery(&page.Items[i]))
	}
	return &answer{body: out, next: page.Next}, nil
}

// deliveryQuery selects deliveries.
type deliveryQuery struct {
	postQuery
	Series string `query:"series" doc:"The id of a series."`
}

// seenDelivery reads a delivery whose post is there for the asker.
func (c *call) seenDelivery(ctx context.Context) (*sight, store.DeliveryView, error) {
	id, err := c.pathID("delivery")
	if err != nil {
		return nil, store.DeliveryView{}, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, store.DeliveryView{}, err
	}
	v, err := c.Store.DeliveryByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) || (err == nil && !s.sees(v.Delivery.Account)) {
		return nil, v, notFound("delivery")
	}
	if err != nil {
		return nil, v, fmt.Errorf("reading the delivery: %w", err)
	}
	return s, v, nil
}

func (c *call) getDelivery(ctx context.Context) (*answer, error) {
	s, v, err := c.seenDelivery(ctx)
	if err != nil {
		return nil, err
	}
	return s.answerDelivery(&v), nil
}

// atBody moves a delivery.
type atBody struct {
	At       string `json:"at,omitempty" doc:"As in a post."`
	TimeZone string `json:"time_zone,omitempty" doc:"IANA zone of a local time; without it the delivery's own counts."`
}

// when reads a moment for a delivery that is there already.
func (c *call) when(s *sight, d *post.Delivery, b atBody) (store.When, error) {
	name := b.TimeZone
	if name == "" {
		name = d.TimeZone
	}
	if name == "" {
		name = s.accounts[d.Account].Account.TimeZone
	}
	zone, err := c.zones.Load(name, c.at)
	if err != nil {
		return store.When{}, invalid("time_zone", civil.CodeZoneInvalid, "there is no such time zone: wanted an IANA name such as Europe/Berlin")
	}
	if b.At == "next-slot" {
		return store.When{}, invalid("at", "no_slots", "this account has no slots: name a time")
	}
	at, err := civil.ParseAt(b.At, zone, c.at)
	if e, ok := errors.AsType[*civil.Error](err); ok {
		return store.When{}, invalid("at", e.Code, e.Message)
	}
	due := post.Instant(at.Time)
	return store.When{Due: due, LocalDue: civil.Of(due.In(zone)).String(), TimeZone: zone.String()}, nil
}

// moveTo puts the civil time beside a new due time.
func moveTo(d *post.Delivery, w store.When) { d.LocalDue, d.TimeZone = w.LocalDue, w.TimeZone }

// change applies a change to a delivery that the asker may schedule on.
func (c *call) change(ctx context.Context, needed bool, verb string, prepare func(*sight, *store.DeliveryView) (func(*post.Delivery) error, error)) (*answer, error) {
	s, v, err := c.seenDelivery(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.may(s.dir.Schedule, v.Delivery.Account); err != nil {
		return nil, err
	}
	if err := c.precondition(tagOfDelivery(v.Delivery.Version), needed); err != nil {
		return nil, err
	}
	apply, err := prepare(s, &v)
	if err != nil {
		return nil, err
	}
	version := uint64(0)
	if needed || c.r.Header.Get("If-Match") != "" {
		version = v.Delivery.Version
	}
	after, err := c.Store.ChangeDelivery(ctx, c.write(func(result any) *answer {
		v, _ := result.(store.DeliveryView)
		return s.answerDelivery(&v)
	}), v.Delivery.ID, version, verb, apply)
	if err != nil {
		return nil, fmt.Errorf("changing the delivery: %w", err)
	}
	return s.answerDelivery(&after), nil
}

func (c *call) reschedule(ctx context.Context) (*answer, error) {
	var b atBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	return c.change(ctx, false, "delivery.rescheduled", func(s *sight, v *store.DeliveryView) (func(*post.Delivery) error, error) {
		w, err := c.when(s, &v.Delivery, b)
		if err != nil {
			return nil, err
		}
		return func(d *post.Delivery) error {
			if err := d.Reschedule(w.Due); err != nil {
				return fmt.Errorf("rescheduling: %w", err)
			}
			moveTo(d, w)
			return nil
		}, nil
	})
}

func (c *call) cancelDelivery(ctx context.Context) (*answer, error) {
	// The history calls it by what it did: while a request is under way, it only asks.
	return c.change(ctx, false, "", func(*sight, *store.DeliveryView) (func(*post.Delivery) error, error) {
		return (*post.Delivery).Cancel, nil
	})
}

func (c *call) retry(ctx context.Context) (*answer, error) {
	var b atBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	if b.At == "" {
		b.At = "now"
	}
	return c.change(ctx, true, "delivery.retried", func(s *sight, v *store.DeliveryView) (func(*post.Delivery) error, error) {
		w, err := c.when(s, &v.Delivery, b)
		if err != nil {
			return nil, err
		}
		return func(d *post.Delivery) error {
			if err := d.Retry(w.Due); err != nil {
				return fmt.Errorf("retrying: %w", err)
			}
			moveTo(d, w)
			return nil
		}, nil
	})
}

// resolveBody is what a person says about a delivery whose fate only they can tell.
type resolveBody struct {
	Part    *int   `json:"part,omitempty" doc:"The part in doubt; without it the first that is not out."`
	Verdict string `json:"verdict,omitempty" enum:"published,not_published"`
	URL     string `json:"url,omitempty" doc:"With published: where it is."`
	Then    string `json:"then,omitempty" enum:"retry,cancel" doc:"With not_published: send it again, or withdraw it."`
}

func (b *resolveBody) verdict(d *post.Delivery, identity string, now time.Time) (post.Verdict, error) {
	if b.Part != nil && *b.Part != d.NextPart() {
		return post.Verdict{}, invalid("part", "part_invalid", "that part is not the one in doubt")
	}
	switch b.Verdict {
	case "published":
		if b.Then != "" {
			return post.Verdict{}, invalid("then", "unknown_field", "what is published needs nothing more")
		}
		at := place{platform: d.Platform, identity: identity}
		if i := d.NextPart(); i < len(d.Parts) {
			at.role = d.Parts[i].Role
		}
		r, ok := at.receiptOf(b.URL, now)
		if !ok {
			return post.Verdict{}, invalid("url", "url_invalid", "wanted: the address of the "+string(at.role)+" on "+string(d.Platform)+", with its id")
		}
		return post.Verdict{Published: true, Receipt: r}, nil
	case "not_published":
		if b.Then != "retry" && b.Then != "cancel" {
			return post.Verdict{}, invalid("then", "then_required", "wanted: retry or cancel")
		}
		return post.Verdict{Cancel: b.Then == "cancel"}, nil
	}
	return post.Verdict{}, invalid("verdict", "verdict_required", "wanted: published or not_published")
}

func (c *call) resolve(ctx context.Context) (*answer, error) {
	var b resolveBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	return c.change(ctx, true, "delivery.resolved", func(s *sight, v *store.DeliveryView) (func(*post.Delivery) error, error) {
		if st := v.Delivery.State; st != post.Unconfirmed && st != post.AwaitingPerson {
			return nil, problem(http.StatusConflict, "wrong_state", "there is nothing to resolve")
		}
		verdict, err := b.verdict(&v.Delivery, s.accounts[v.Delivery.Account].Account.Identity, c.at)
		if err != nil {
			return nil, err
		}
		return func(d *post.Delivery) error {
			if err := d.Resolve(verdict, c.at); err != nil {
				return fmt.Errorf("resolving: %w", err)
			}
			return nil
		}, nil
	})
}

func (c *call) accept(ctx context.Context) (*answer, error) {
	return c.change(ctx, false, "delivery.accepted", func(*sight, *store.DeliveryView) (func(*post.Delivery) error, error) {
		return (*post.Delivery).Accept, nil
	})
}
