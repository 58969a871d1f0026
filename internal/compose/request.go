package compose

import (
	"cmp"
	"encoding/json"
	"fmt"

	"crier/internal/post"
)

// Request is a post as a client asks for it.
type Request struct {
	ExternalID     string                     `json:"external_id,omitempty" maxLength:"255" doc:"Your own name of the post, unique for ever."`
	Text           string                     `json:"text,omitempty" doc:"What the post says."`
	Title          string                     `json:"title,omitempty" doc:"Needed by Reddit and YouTube."`
	Link           string                     `json:"link,omitempty" doc:"An http or https address."`
	Media          []MediaRef                 `json:"media,omitempty" doc:"Pictures or one video."`
	Thread         []Reply                    `json:"thread,omitempty" doc:"Further posts that reply to the first."`
	FirstComment   string                     `json:"first_comment,omitempty" doc:"A comment by the same account right after the post."`
	Options        map[string]json.RawMessage `json:"options,omitempty" doc:"The platform's own options; may be keyed by platform."`
	Targets        []Target                   `json:"targets,omitempty" doc:"Where it goes."`
	At             string                     `json:"at,omitempty" doc:"RFC 3339 with an offset, a local time such as 2026-12-01T09:00, or now."`
	TimeZone       string                     `json:"time_zone,omitempty" doc:"IANA zone of local times; without it each account's own counts."`
	Undo           string                     `json:"undo,omitempty" doc:"With at now: how long to wait first, such as 30s."`
	Labels         []string                   `json:"labels,omitempty" doc:"Your own marks."`
	Draft          bool                       `json:"draft,omitempty" doc:"Keep it without sending; its errors become warnings. Without a target it is its author's alone."`
	AllowDuplicate bool                       `json:"allow_duplicate,omitempty" doc:"Send it although the same was sent within 24 hours."`

	// moves and rezones say that a patch names the moment, or what it is read with: it then counts, also when the words
	// are those that the post was written with.
	moves, rezones bool
}

// Target is one place that a post goes to: a handle alone, or an object with what it overrides. Nil leaves what the
// post says; an empty value clears it.
type Target struct {
	ID           string                      `json:"id,omitempty" doc:"Of a target that is there already, in a patch."`
	Account      string                      `json:"account,omitempty" doc:"The account's handle."`
	Text         *string                     `json:"text,omitempty"`
	Title        *string                     `json:"title,omitempty"`
	Link         *string                     `json:"link,omitempty"`
	Media        *[]MediaRef                 `json:"media,omitempty"`
	Thread       *[]Reply                    `json:"thread,omitempty"`
	FirstComment *string                     `json:"first_comment,omitempty"`
	Options      *map[string]json.RawMessage `json:"options,omitempty" doc:"Merged into the post's by name; null drops one, {} drops all."`
	At           *string                     `json:"at,omitempty"`

	moves bool // as in Request
}

func (t *Target) fromText(s string) { t.Account = s }

// MediaRef names a stored file by the SHA-256 of its content, alone or with an alternative text, or an address to
// fetch one from.
type MediaRef struct {
	ID  string  `json:"id,omitempty" doc:"SHA-256 of a stored file."`
	URL string  `json:"url,omitempty" doc:"An address to fetch the file from."`
	Alt *string `json:"alt,omitempty" doc:"What the picture shows, for people who cannot see it."`
}

func (m *MediaRef) fromText(s string) { m.ID = s }

// Reply is one further post of a thread: a text alone, or with media.
type Reply struct {
	Text  string     `json:"text,omitempty"`
	Media []MediaRef `json:"media,omitempty"`
}

func (r *Reply) fromText(s string) { r.Text = s }

// MediaRefs gives every reference to a file, for the caller to fetch what is an address.
func (r *Request) MediaRefs() []*MediaRef {
	var refs []*MediaRef
	add := func(media []MediaRef, thread []Reply) {
		for i := range media {
			refs = append(refs, &media[i])
		}
		for i := range thread {
			for j := range thread[i].Media {
				refs = append(refs, &thread[i].Media[j])
			}
		}
	}
	add(r.Media, r.Thread)
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Media != nil {
			add(*t.Media, nil)
		}
		if t.Thread != nil {
			add(nil, *t.Thread)
		}
	}
	return refs
}

// Where gives the place of a reference that MediaRefs gave, such as targets[0].media[1].
func (r *Request) Where(ref *MediaRef) string {
	in := func(at string, media []MediaRef) string {
		for i := range media {
			if &media[i] == ref {
				return fmt.Sprintf("%smedia[%d]", at, i)
			}
		}
		return ""
	}
	inThread := func(at string, thread []Reply) string {
		for i := range thread {
			if place := in(fmt.Sprintf("%sthread[%d].", at, i), thread[i].Media); place != "" {
				return place
			}
		}
		return ""
	}
	place := cmp.Or(in("", r.Media), inThread("", r.Thread))
	for i := range r.Targets {
		t, at := &r.Targets[i], fmt.Sprintf("targets[%d].", i)
		if place == "" && t.Media != nil {
			place = in(at, *t.Media)
		}
		if place == "" && t.Thread != nil {
			place = inThread(at, *t.Thread)
		}
	}
	return cmp.Or(place, "media")
}

// MediaIDs lists the files that the request names, in its options too.
func (r *Request) MediaIDs() []string {
	var ids []string
	for _, ref := range r.MediaRefs() {
		if ref.ID != "" {
			ids = append(ids, ref.ID)
		}
	}
	inOptions := func(options map[string]json.RawMessage) {
		for _, raw := range options {
			ids = append(ids, idsIn(raw, 0)...)
		}
	}
	inOptions(r.Options)
	for i := range r.Targets {
		if o := r.Targets[i].Options; o != nil {
			inOptions(*o)
		}
	}
	return ids
}

// idsIn lists the texts inside an option that may name a stored file.
func idsIn(raw json.RawMessage, depth int) []string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if ValidMediaID(s) {
			return []string{s}
		}
		return nil
	}
	var ids []string
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case depth > maxDepth:
	case json.Unmarshal(raw, &object) == nil:
		for _, inner := range object {
			ids = append(ids, idsIn(inner, depth+1)...)
		}
	case json.Unmarshal(raw, &list) == nil:
		for _, inner := range list {
			ids = append(ids, idsIn(inner, depth+1)...)
		}
	}
	return ids
}

// ValidMediaID reports whether s may name a stored file: 64 lower-case hexadecimal digits.
func ValidMediaID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// RequestOf gives a stored post as the request that says the same, for an edit to be merged into.
func RequestOf(p *post.Post) Request {
	r := Request{
		ExternalID: p.ExternalID, Text: p.Content.Text, Title: p.Content.Title, Link: p.Content.Link,
		Media: refsOf(p.Content.Media), Thread: repliesOf(p.Content.Thread), FirstComment: p.Content.FirstComment,
		At: p.At, TimeZone: p.TimeZone, Undo: p.Undo, Labels: p.Labels, Draft: p.Draft, AllowDuplicate: p.AllowDuplicate,
	}
	if p.Content.Options != nil {
		r.Options = *p.Content.Options
	}
	for i := range p.Targets {
		r.Targets = append(r.Targets, TargetOf(&p.Targets[i]))
	}
	return r
}

// TargetOf gives a stored target as a request would say it.
func TargetOf(t *post.Target) Target {
	o := &t.Override
	out := Target{
		ID: t.ID.String(), Account: t.Account.Handle, Text: o.Text, Title: o.Title, Link: o.Link,
		FirstComment: o.FirstComment, At: o.At,
	}
	if o.Media != nil {
		refs := append([]MediaRef{}, refsOf(*o.Media)...)
		out.Media = &refs
	}
	if o.Thread != nil {
		thread := append([]Reply{}, repliesOf(*o.Thread)...)
		out.Thread = &thread
	}
	if o.Options != nil {
		options := map[string]json.RawMessage(*o.Options)
		out.Options = &options
	}
	return out
}

func refsOf(media []post.Media) []MediaRef {
	var refs []MediaRef
	for i := range media {
		refs = append(refs, MediaRef{ID: media[i].ID, Alt: &media[i].Alt})
	}
	return refs
}

func repliesOf(thread []post.Reply) []Reply {
	var out []Reply
	for _, r := range thread {
		out = append(out, Reply{Text: r.Text, Media: refsOf(r.Media)})
	}
	return out
}
