package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
	"crier/store"
)

// check adds what the platform and the account's lane say about a target.
func (c *composer) check(o Outlet, t *post.Target, at string) {
	var found []post.Problem
	if o.Check != nil {
		found = o.Check(t.Content)
	}
	unfetched := c.unfetched()
	for _, p := range found {
		if unfetched && (p.Location == "media" || p.Code == "empty") {
			continue
		}
		p.Location = join(at, p.Location)
		c.add(p, false)
	}
	told := slices.ContainsFunc(found, func(p post.Problem) bool { return p.Code == CodeAltMissing })
	for i, m := range t.Content.Media {
		if !told && m.Alt == "" && strings.HasPrefix(m.Type, "image/") {
			c.warn(fmt.Sprintf("%s.media[%d].alt", at, i), CodeAltMissing, "people who cannot see the picture are told nothing")
		}
	}
	for _, name := range t.Content.Options.Names() {
		for _, id := range idsIn((*t.Content.Options)[name], 0) {
			if _, ok := c.known(id); !ok {
				c.hard(at+".options."+shown(name), CodeMediaNotFound, "there is no such file: upload it first")
			}
		}
	}
	if status := post.Status(o.Holds, c.env.Now); status != post.StatusOK {
		c.warn(at+".account", CodeAccountHeld, "nothing of this account is sent now: "+string(status))
	}
}

func (c *composer) unfetched() bool {
	return c.env.DryRun && slices.ContainsFunc(c.req.MediaRefs(), func(r *MediaRef) bool { return r.URL != "" })
}

// when resolves the moment of a target. A moment that an edit does not name is kept, past or not.
func (c *composer) when(t *Target, a *post.Account, earlier *store.DeliveryView, at string) store.When {
	if c.env.Fixed != nil {
		return *c.env.Fixed
	}
	zone := c.zone
	if zone == nil {
		zone = c.loadZone(a.TimeZone, at+".account")
	}
	asked := or(t.At, c.req.At)
	if earlier != nil && c.keeps(t, earlier) {
		d := &earlier.Delivery
		c.noteAgain(d)
		return store.When{Due: d.Due, LocalDue: d.LocalDue, TimeZone: d.TimeZone}
	}
	here := at + ".at"
	if asked == "next-slot" {
		c.problem(here, CodeNoSlots, "this account has no slots: name a time")
		return store.When{}
	}
	moment, err := civil.ParseAt(asked, zone, c.env.Now)
	if e, ok := errors.AsType[*civil.Error](err); ok {
		c.problem(here, e.Code, e.Message)
		return store.When{}
	}
	c.note(moment.Note)
	due := moment.Time
	if wait := c.undo(moment.Now); wait > 0 {
		due = due.Add(wait)
	}
	if moment.Now && c.req.Draft && !c.env.Submit {
		return store.When{} // at once means once it is submitted
	}
	due = post.Instant(due)
	return store.When{Due: due, LocalDue: civil.Of(due.In(zone)).String(), TimeZone: zone.String()}
}

// keeps reports whether the moment of a target stays as it was.
func (c *composer) keeps(t *Target, earlier *store.DeliveryView) bool {
	due := earlier.Delivery.Due
	switch {
	case c.env.Submit:
		// What was said when the draft was written, or by a reschedule since, stands if it still lies ahead.
		return due.After(c.env.Now)
	case c.req.Draft && due.IsZero():
		return false // there is none to keep
	}
	return !c.moves(t)
}

// moves reports whether a patch names the moment of a target.
func (c *composer) moves(t *Target) bool {
	return t.moves || c.req.rezones || (c.req.moves && t.At == nil)
}

// undo is how long a post that goes at once waits for a change of mind.
func (c *composer) undo(atOnce bool) time.Duration {
	wait, ok := undoOf(c.req.Undo)
	if c.req.Undo == "" || !ok {
		return 0
	}
	if !atOnce {
		c.undoInvalid()
		return 0
	}
	return wait
}

// undoOf reads how long a post waits; none is no time.
func undoOf(s string) (time.Duration, bool) {
	if s == "" {
		return 0, true
	}
	wait, err := time.ParseDuration(s)
	return wait, err == nil && wait >= 0 && wait <= maxUndo
}

// undoInvalid is told once, however many targets it is asked for.
func (c *composer) undoInvalid() {
	if !slices.ContainsFunc(c.out.Problems, func(p post.Problem) bool { return p.Code == CodeUndoInvalid }) {
		c.hard("undo", CodeUndoInvalid, "wanted: with at now, a duration such as 30s of at most an hour")
	}
}

func (c *composer) note(s string) {
	if s != "" && !slices.Contains(c.notes, s) {
		c.notes = append(c.notes, s)
	}
}

// noteAgain keeps the note about a moment that stays as it was.
func (c *composer) noteAgain(d *post.Delivery) {
	local, err := civil.Parse(d.LocalDue)
	zone, zoneErr := c.env.zone(d.TimeZone)
	if err != nil || zoneErr != nil {
		return
	}
	if r := civil.Resolve(local, zone); r.Kind == civil.Fold && slices.Contains(c.env.Earlier.Post.Notes, civil.FoldNote(r)) {
		c.note(civil.FoldNote(r))
	}
}

func (e *Env) zone(name string) (*time.Location, error) {
	if e.Zones == nil {
		return civil.LoadZone(name)
	}
	return e.Zones.Load(name, e.Now)
}

func (c *composer) loadZone(name, at string) *time.Location {
	zone, err := c.env.zone(name)
	if err != nil {
		c.hard(at, civil.CodeZoneInvalid, "there is no such time zone: wanted an IANA name such as Europe/Berlin")
		return time.UTC
	}
	return zone
}

// spacing tells when the account's least gap lets a target go, if that is later than asked for.
func (c *composer) spacing(o *Outlet, due time.Time, place *Place, at string) {
	if due.IsZero() {
		return
	}
	a := o.Account
	next := due
	if c.env.Free != nil && (c.env.Earlier == nil || c.env.Submit) {
		next = c.env.Free(a, due)
	}
	if free := c.free[a.Handle]; next.Before(free) && a.MinGap > 0 {
		next = free
	}
	c.free[a.Handle] = next.Add(a.MinGap)
	place.Next = next
	if next.After(due) {
		c.warn(at+".at", CodeSpacing, "it will go out later than asked, about "+next.UTC().Format(time.RFC3339)+
			": the account's posts are kept apart")
	}
}

// twice finds the same content for the same place, and the same text on two accounts of one platform. What stays as
// it is on both sides is nothing that this request says.
func (c *composer) twice(t *post.Target, i int, at string) {
	fingerprint := Fingerprint(t)
	if first, ok := c.places[fingerprint]; !ok {
		c.places[fingerprint] = i
	} else if !c.req.AllowDuplicate && !(c.kept[first] && c.kept[i]) {
		c.problem(at, CodeDuplicateContent, fmt.Sprintf("targets[%d] says the same in the same place", first))
	}
	text := normal(t.Content.Text)
	if text == "" {
		return
	}
	key := string(t.Platform) + "\x00" + strings.ToLower(text)
	first, ok := c.texts[key]
	if !ok {
		c.texts[key] = i
		return
	}
	if c.req.Targets[first].Account == c.req.Targets[i].Account || (c.kept[first] && c.kept[i]) {
		return
	}
	message := fmt.Sprintf("targets[%d] says the same on another account of this platform", first)
	if t.Platform == post.Twitter {
		c.problem(at+".text", CodeSameText, message+", which its rules forbid")
		return
	}
	c.warn(at+".text", CodeSameText, message)
}

// kinds makes sure that a post goes to brand accounts or to one person's own.
func (c *composer) kinds(p *post.Post) {
	for i, place := range c.out.Places {
		a := &place.Account
		if p.Kind == "" {
			p.Kind = a.Kind
			if a.Kind == post.Personal {
				p.Owner = a.Owner
			}
		}
		if a.Kind != p.Kind || (a.Kind == post.Personal && a.Owner != p.Owner) {
			c.hard(fmt.Sprintf("targets[%d].account", i), CodeMixedKinds,
				"a post goes to accounts of brands or to one person's own, not to both: a campaign does that")
			return
		}
	}
}
