package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"crier/adapters"
	"crier/internal/civil"
	"crier/internal/post"
	"crier/store"
)

// The codes of problems that composing finds by itself; adapters add their own.
const (
	CodeTargetsRequired  = "targets_required"
	CodeAccountNotFound  = "account_not_found"
	CodeMixedKinds       = "mixed_kinds"
	CodeNoSlots          = "no_slots"
	CodeUndoInvalid      = "undo_invalid"
	CodeDuplicateContent = "duplicate_content"
	CodeSameText         = "same_text_on_platform"
	CodeSpacing          = "spacing"
	CodeAccountHeld      = "account_held"
	CodeAltMissing       = "alt_text_missing"
	CodeMediaNotFound    = "media_not_found"
	CodeMediaNotFetched  = "media_not_fetched"
	CodeLinkInvalid      = "link_invalid"
	CodeTooLong          = "too_long"
	CodeNotChangeable    = "not_changeable"
	CodeTargetNotFound   = "target_not_found"
)

// The bounds of a request, far above those of any platform.
const (
	maxTargets  = 100
	maxText     = 100_000 // bytes of one text
	maxMedia    = 100     // references in one list
	maxThread   = 100
	maxLabels   = 20
	maxLabel    = 64
	maxLink     = 2048
	maxExternal = 255
	maxUndo     = time.Hour
)

// Outlet is what composing asks of an account.
type Outlet struct {
	Account post.Account
	// Holds are those of its lane, for a warning.
	Holds []post.Hold
	// Check lists what the platform would refuse, Prepares says whether a part needs work ahead of its commit, and
	// Destination gives the place inside the account. Each may be nil.
	Check       func(post.Content) []post.Problem
	Prepares    func(adapters.Request) bool
	Destination func(post.Content) string
}

// Env is what a request is composed in.
type Env struct {
	Now    time.Time
	NewID  func() post.ID
	Author string
	// Outlet gives an account that the author can see and use; what it does not give is not there.
	Outlet func(handle string) (Outlet, bool)
	// Media gives a stored file that the author can see.
	Media func(id string) (post.Media, bool)
	// Free gives the first moment at or after due at which the account's spacing lets a delivery go; nil: due.
	Free func(a post.Account, due time.Time) time.Time
	// Zones reads time zones; nil reads each anew.
	Zones *civil.Zones
	// Earlier is, for an edit, the post as it is stored.
	Earlier *store.PostView
	// Submit says that the drafts of Earlier are to be sent.
	Submit bool
	// Fixed is the moment of all targets, in place of what the request says: an occurrence of a recurring post.
	Fixed *store.When
	// Series and Occurrence name what the post belongs to.
	Series     post.ID
	Occurrence string
	// DryRun forgives media that are still an address.
	DryRun bool
}

// Place is what became of one target.
type Place struct {
	Account     post.Account
	Destination string
	Content     post.Content
	Due         time.Time // zero when there is none
	Next        time.Time // when the spacing lets it go
	Problems    []post.Problem
}

// Composed is a request made into a post.
type Composed struct {
	New store.NewPost
	// Places are the targets, in their order.
	Places []Place
	// Problems lists those of the whole post and of all targets. Those of a draft are warnings, unless the post could
	// not be stored with them.
	Problems []post.Problem
	// When holds the moments by delivery, of those that got a new one.
	When map[post.ID]store.When
}

// Refused reports whether a problem keeps the post from being stored.
func (c *Composed) Refused() bool {
	return slices.ContainsFunc(c.Problems, func(p post.Problem) bool { return p.Severity == post.SeverityError })
}

// Hidden reports whether an account is not there for the author.
func (c *Composed) Hidden() bool {
	return slices.ContainsFunc(c.Problems, func(p post.Problem) bool { return p.Code == CodeAccountNotFound })
}

// Warnings lists the problems that refuse nothing.
func (c *Composed) Warnings() []post.Problem {
	var out []post.Problem
	for _, p := range c.Problems {
		if p.Severity == post.SeverityWarning {
			out = append(out, p)
		}
	}
	return out
}

type composer struct {
	env   Env
	req   *Request
	zone  *time.Location // of the request; nil when each account's own counts
	out   Composed
	notes []string
	// texts and places find what is said twice; both lead to the index of the first target.
	texts  map[string]int
	places map[string]int
	// kept are the targets that stay as they are, named the stored ones that the request has named.
	kept  map[int]bool
	named map[string]bool
	// free is when each account's spacing lets the next target of this post go.
	free map[string]time.Time
}

// Compose makes a request into a post with one delivery for each target. It always gives a whole answer; whether the
// post may be stored is for [Composed.Refused] to say.
func Compose(env Env, req Request) Composed {
	c := &composer{
		env: env, req: &req, texts: map[string]int{}, places: map[string]int{}, free: map[string]time.Time{},
		kept: map[int]bool{}, named: map[string]bool{},
	}
	c.out.When = map[post.ID]store.When{}
	p := &c.out.New.Post
	*p = post.Post{
		ID: env.NewID(), ExternalID: req.ExternalID, Author: env.Author, CreatedAt: post.Instant(env.Now),
		At: req.At, TimeZone: req.TimeZone, Undo: req.Undo, Labels: req.Labels, Draft: req.Draft, Series: env.Series,
		AllowDuplicate: req.AllowDuplicate,
	}
	c.whole(p)
	for i := range req.Targets {
		c.target(p, i)
	}
	c.kinds(p)
	if len(req.Targets) == 0 {
		p.Kind, p.Owner = post.Personal, p.Author
	}
	if e := env.Earlier; e != nil {
		p.ID, p.Version, p.Author, p.CreatedAt, p.Series = e.Post.ID, e.Post.Version, e.Post.Author, e.Post.CreatedAt, e.Post.Series
		for i := range c.out.New.Deliveries {
			c.out.New.Deliveries[i].Post = p.ID
		}
	}
	p.Warnings, p.Notes = c.out.Warnings(), c.notes
	return c.out
}

// whole checks what belongs to the post and to no target.
func (c *composer) whole(p *post.Post) {
	r := c.req
	c.limit("", "external_id", len(r.ExternalID), maxExternal)
	c.limit("", "labels", len(r.Labels), maxLabels)
	for i, l := range r.Labels {
		c.limit("", fmt.Sprintf("labels[%d]", i), len(l), maxLabel)
	}
	c.longTexts("", &r.Text, &r.Title, &r.FirstComment)
	if r.TimeZone != "" {
		c.zone = c.loadZone(r.TimeZone, "time_zone")
	}
	if _, ok := undoOf(r.Undo); !ok {
		c.undoInvalid()
	}
	switch {
	case len(r.Targets) == 0:
		c.add(post.Problem{
			Location: "targets", Code: CodeTargetsRequired, Severity: post.SeverityError,
			Message: "a post needs a target: the handle of an account",
		}, c.env.Earlier != nil && !c.env.Earlier.Post.Unplaced())
	case len(r.Targets) > maxTargets:
		c.limit("", "targets", len(r.Targets), maxTargets)
		r.Targets = r.Targets[:maxTargets]
	}
	if e := c.env.Earlier; e != nil && !c.env.Submit {
		if r.ExternalID != e.Post.ExternalID {
			c.hard("external_id", CodeNotChangeable, "the name of a post does not change")
		}
		if r.Draft != e.Post.Draft {
			c.hard("draft", CodeNotChangeable, "a draft is sent by submitting it, and nothing becomes a draft again")
		}
	}
	p.Content = post.Content{
		Text: r.Text, Title: r.Title, Link: r.Link, FirstComment: r.FirstComment,
		Media: c.media(r.Media, "media"), Thread: c.thread(r.Thread, "thread"), Options: optionsOf(r.Options),
	}
	c.linkOK(r.Link, "link")
}

// target composes one target.
func (c *composer) target(p *post.Post, i int) {
	t := &c.req.Targets[i]
	at := fmt.Sprintf("targets[%d]", i)
	o, ok := c.env.Outlet(t.Account)
	if id := strings.ToLower(t.ID); id != "" {
		if c.named[id] {
			c.hard(at+".id", CodeTargetNotFound, "the target is named twice")
			return
		}
		c.named[id] = true
	}
	if old, d := c.stored(t.ID); d != nil && old.Account.Handle == t.Account && c.stays(p, i, old, &d.Delivery, ok) {
		c.keep(p, i, old, &d.Delivery, &o)
		return
	}
	if !ok {
		c.hard(at+".account", CodeAccountNotFound, "there is no such account")
		return
	}
	target := post.Target{
		ID: c.env.NewID(), Delivery: c.env.NewID(), Account: o.Account.Key(), Platform: o.Account.Platform,
		Override: c.override(t, at),
	}
	earlier := c.earlier(t, &target, at)
	target.Content = merged(p.Content, target.Override, o.Account.Platform)
	if o.Destination != nil {
		target.Destination = o.Destination(target.Content)
	}
	place := Place{Account: o.Account, Destination: target.Destination, Content: target.Content}
	first := len(c.out.Problems)
	c.check(o, &target, at)
	when := c.when(t, &o.Account, earlier, at)
	c.spacing(&o, when.Due, &place, at)
	c.twice(&target, i, at)
	place.Due = when.Due
	place.Problems = slices.Clone(c.out.Problems[first:])
	c.out.Places = append(c.out.Places, place)

	d := c.delivery(p, &target, &o, when)
	if earlier == nil || !c.keeps(t, earlier) || c.env.Submit {
		c.out.When[d.ID] = when
	}
	c.goesTo(p, &target, d)
}

// goesTo adds a target with its delivery and fingerprint to the post.
func (c *composer) goesTo(p *post.Post, t *post.Target, d post.Delivery) {
	fingerprint := ""
	series := c.env.Series
	if c.env.Earlier != nil {
		series = c.env.Earlier.Post.Series
	}
	if series.IsZero() && !c.req.Draft && !c.unfetched() {
		fingerprint = Fingerprint(t)
	}
	p.Targets = append(p.Targets, *t)
	c.out.New.Deliveries = append(c.out.New.Deliveries, d)
	c.out.New.Fingerprints = append(c.out.New.Fingerprints, fingerprint)
}

// earlier finds the delivery of a target that is there already and takes over its ids.
func (c *composer) earlier(t *Target, target *post.Target, at string) *store.DeliveryView {
	if t.ID == "" {
		return nil
	}
	old, v := c.stored(t.ID)
	switch {
	case v == nil:
		c.hard(at+".id", CodeTargetNotFound, "the post has no such target")
		return nil
	case old.Account != target.Account:
		c.hard(at+".account", CodeNotChangeable, "the account of a target does not change: remove the target and add another")
		return nil
	}
	target.ID, target.Delivery = old.ID, old.Delivery
	return v
}

func (c *composer) delivery(p *post.Post, t *post.Target, o *Outlet, when store.When) post.Delivery {
	roles := t.Content.Roles(t.Platform)
	d := post.Delivery{
		ID: t.Delivery, Post: p.ID, Target: t.ID, Account: t.Account, Platform: t.Platform,
		Destination: t.Destination, State: post.Scheduled, Due: when.Due, LocalDue: when.LocalDue,
		TimeZone: when.TimeZone, Digest: t.Content.Digest(), Series: c.env.Series, Occurrence: c.env.Occurrence,
	}
	switch {
	case c.req.Draft && !c.env.Submit:
		d.State = post.Draft
	case o.Account.Approvals > 0:
		d.State = post.InReview
	}
	for i, role := range roles {
		d.Parts = append(d.Parts, post.Part{Role: role, State: post.PartWaiting})
		if o.Prepares != nil && !d.NeedsPrepare {
			d.NeedsPrepare = o.Prepares(adapters.Request{
				Delivery: d.ID, Part: i, Role: role, Content: t.Content, Reply: i - 1, Destination: t.Destination,
			})
		}
	}
	return d
}

// override keeps what a target says itself.
func (c *composer) override(t *Target, at string) post.RawTarget {
	c.longTexts(at+".", deref(t.Text), deref(t.Title), deref(t.FirstComment))
	o := post.RawTarget{Text: t.Text, Title: t.Title, Link: t.Link, FirstComment: t.FirstComment, At: t.At}
	if t.Link != nil {
		c.linkOK(*t.Link, at+".link")
	}
	if t.Media != nil {
		media := c.media(*t.Media, at+".media")
		o.Media = &media
	}
	if t.Thread != nil {
		thread := c.thread(*t.Thread, at+".thread")
		o.Thread = &thread
	}
	if t.Options != nil {
		o.Options = &post.Options{}
		if set := optionsOf(*t.Options); set != nil {
			o.Options = set
		}
	}
	return o
}

func deref(s *string) *string {
	if s == nil {
		return new(string)
	}
	return s
}

// merged gives what one target says: the base, and over it what the target says itself.
func merged(base post.Content, o post.RawTarget, platform post.Platform) post.Content {
	out := post.Content{
		Text: or(o.Text, base.Text), Title: or(o.Title, base.Title), Link: or(o.Link, base.Link),
		Media: or(o.Media, base.Media), Thread: or(o.Thread, base.Thread),
		FirstComment: or(o.FirstComment, base.FirstComment),
	}
	if len(out.Media) == 0 {
		out.Media = nil
	}
	if len(out.Thread) == 0 {
		out.Thread = nil
	}
	options := baseOptions(base.Options, platform)
	if o.Options != nil {
		if len(*o.Options) == 0 {
			clear(options)
		}
		maps.Copy(options, *o.Options)
	}
	maps.DeleteFunc(options, func(_ string, raw json.RawMessage) bool { return string(raw) == "null" })
	if len(options) > 0 {
		out.Options = &options
	}
	return out
}

func or[T any](override *T, base T) T {
	if override != nil {
		return *override
	}
	return base
}

// baseOptions gives the options of a post that are meant for a platform: those under its name, over those under none.
func baseOptions(o *post.Options, platform post.Platform) post.Options {
	out := post.Options{}
	if o == nil {
		return out
	}
	keyed := map[string]json.RawMessage{}
	for name, raw := range *o {
		p, err := post.ParsePlatform(name)
		if err != nil {
			out[name] = raw
			continue
		}
		var inner map[string]json.RawMessage
		if json.Unmarshal(raw, &inner) != nil {
			out[name] = raw // an option that is called like a platform: the adapter judges it
			continue
		}
		if p == platform {
			maps.Copy(keyed, inner)
		}
	}
	maps.Copy(out, keyed)
	return out
}

func optionsOf(m map[string]json.RawMessage) *post.Options {
	if len(m) == 0 {
		return nil
	}
	out := make(post.Options, len(m))
	for name, raw := range m {
		var b bytes.Buffer
		if json.Compact(&b, raw) != nil {
			continue // Bind gives valid JSON only
		}
		out[name] = b.Bytes()
	}
	return &out
}

// hard is a problem with which the post cannot be stored, problem one that a draft may have, warn one that refuses
// nothing.
func (c *composer) hard(at, code, message string) {
	c.add(post.Problem{Location: at, Code: code, Severity: post.SeverityError, Message: message}, true)
}

func (c *composer) problem(at, code, message string) {
	c.add(post.Problem{Location: at, Code: code, Severity: post.SeverityError, Message: message}, false)
}

func (c *composer) warn(at, code, message string) {
	c.add(post.Problem{Location: at, Code: code, Severity: post.SeverityWarning, Message: message}, false)
}

func (c *composer) add(p post.Problem, hard bool) {
	if c.req.Draft && !c.env.Submit && !hard {
		p.Severity = post.SeverityWarning
	}
	if len(c.out.Problems) < maxListed*10 {
		c.out.Problems = append(c.out.Problems, p)
	}
}

// Fingerprint is the digest of what counts as the same content in the same place: account, destination, normalised
// texts, link and media. Other options make no other content.
func Fingerprint(t *post.Target) string {
	h := sha256.New()
	put := func(s string) { h.Write([]byte(strconv.Itoa(len(s)) + ":" + s)) }
	content := &t.Content
	put(t.Account.String())
	put(strings.ToLower(t.Destination))
	put(normal(content.Text))
	put(normal(content.Title))
	put(content.Link)
	put(normal(content.FirstComment))
	for _, m := range content.Media {
		put(m.ID)
	}
	for _, r := range content.Thread {
		put("reply")
		put(normal(r.Text))
		for _, m := range r.Media {
			put(m.ID)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// normal is a text without the differences that no reader sees.
func normal(s string) string { return strings.Join(strings.Fields(norm.NFKC.String(s)), " ") }
