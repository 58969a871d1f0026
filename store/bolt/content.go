package bolt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// A post is stored with each of its words once: a target names the fields in which its content differs from the base,
// and an override that is the target's content says only that.

// The fields of a post that are often empty; each is written if its bit is set.
const (
	postExternal = 1 << iota
	postOwner
	postAt
	postTimeZone
	postLabels
	postSeries
	postDraft
	postWarnings
	postNotes
	postAllowDuplicate
	postUndo
)

// The fields of a content.
const (
	contentText = 1 << iota
	contentTitle
	contentLink
	contentMedia
	contentThread
	contentFirstComment
	contentOptions
)

func encodePost(p *post.Post) []byte {
	e := encoder{b: make([]byte, 0, 256+len(p.Content.Text)+96*len(p.Targets))}
	var flags uint64
	set(&flags, postExternal, p.ExternalID != "")
	set(&flags, postOwner, p.Owner != "")
	set(&flags, postAt, p.At != "")
	set(&flags, postTimeZone, p.TimeZone != "")
	set(&flags, postLabels, len(p.Labels) > 0)
	set(&flags, postSeries, !p.Series.IsZero())
	set(&flags, postDraft, p.Draft)
	set(&flags, postWarnings, len(p.Warnings) > 0)
	set(&flags, postNotes, len(p.Notes) > 0)
	set(&flags, postAllowDuplicate, p.AllowDuplicate)
	set(&flags, postUndo, p.Undo != "")
	e.byte(contentVersion)
	e.uint(flags)
	e.uint(p.Version)
	e.text(p.Author)
	e.time(p.CreatedAt)
	e.word(kindWords, string(p.Kind))
	for _, f := range []struct {
		bit  uint64
		text string
	}{{postExternal, p.ExternalID}, {postOwner, p.Owner}, {postAt, p.At}, {postTimeZone, p.TimeZone}, {postUndo, p.Undo}} {
		if flags&f.bit != 0 {
			e.text(f.text)
		}
	}
	if flags&postLabels != 0 {
		e.texts(p.Labels)
	}
	if flags&postSeries != 0 {
		e.id(p.Series)
	}
	if flags&postWarnings != 0 {
		e.uint(uint64(len(p.Warnings)))
		for i := range p.Warnings {
			encodeProblem(&e, &p.Warnings[i])
		}
	}
	if flags&postNotes != 0 {
		e.texts(p.Notes)
	}
	encodeContent(&e, &post.Content{}, &p.Content)
	e.uint(uint64(len(p.Targets)))
	for i := range p.Targets {
		encodeTarget(&e, &p.Content, &p.Targets[i])
	}
	return e.b
}

func (e *encoder) texts(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

func encodeProblem(e *encoder, p *post.Problem) {
	e.text(p.Location)
	e.text(p.Code)
	e.text(string(p.Severity))
	e.text(p.Message)
	e.int(p.Limit)
	e.int(p.Used)
	e.text(p.Unit)
}

func encodeTarget(e *encoder, base *post.Content, x *post.Target) {
	e.id(x.ID)
	e.account(x.Account)
	e.word(platformWords, string(x.Platform))
	e.text(x.Destination)
	e.id(x.Delivery)
	encodeContent(e, base, &x.Content)
	encodeOverride(e, &x.Content, &x.Override)
}

// encodeContent writes the fields of c that differ from base.
func encodeContent(e *encoder, base, c *post.Content) {
	var flags uint64
	set(&flags, contentText, c.Text != base.Text)
	set(&flags, contentTitle, c.Title != base.Title)
	set(&flags, contentLink, c.Link != base.Link)
	set(&flags, contentMedia, !slices.Equal(c.Media, base.Media))
	set(&flags, contentThread, !sameThread(c.Thread, base.Thread))
	set(&flags, contentFirstComment, c.FirstComment != base.FirstComment)
	set(&flags, contentOptions, !sameOptions(c.Options, base.Options))
	e.uint(flags)
	if flags&contentText != 0 {
		e.text(c.Text)
	}
	if flags&contentTitle != 0 {
		e.text(c.Title)
	}
	if flags&contentLink != 0 {
		e.text(c.Link)
	}
	if flags&contentMedia != 0 {
		encodeMedia(e, c.Media)
	}
	if flags&contentThread != 0 {
		encodeThread(e, c.Thread)
	}
	if flags&contentFirstComment != 0 {
		e.text(c.FirstComment)
	}
	if flags&contentOptions != 0 {
		encodeOptions(e, c.Options)
	}
}

func sameThread(a, b []post.Reply) bool {
	return slices.EqualFunc(a, b, func(x, y post.Reply) bool { return x.Text == y.Text && slices.Equal(x.Media, y.Media) })
}

func sameOptions(a, b *post.Options) bool {
	if a == nil || b == nil {
		return a == b
	}
	return maps.EqualFunc(*a, *b, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}

func encodeMedia(e *encoder, media []post.Media) {
	e.uint(uint64(len(media)))
	for _, m := range media {
		e.hash(m.ID)
		e.text(m.Alt)
		e.text(m.Type)
		e.int(m.Bytes)
		e.int(int64(m.Width))
		e.int(int64(m.Height))
		e.int(int64(m.Duration))
	}
}

func encodeThread(e *encoder, thread []post.Reply) {
	e.uint(uint64(len(thread)))
	for _, r := range thread {
		e.text(r.Text)
		encodeMedia(e, r.Media)
	}
}

// encodeOptions writes a nil pointer as 0, so that absent and empty stay apart.
func encodeOptions(e *encoder, o *post.Options) {
	if o == nil {
		e.uint(0)
		return
	}
	e.uint(uint64(len(*o)) + 1)
	for _, name := range o.Names() {
		e.text(name)
		e.bytes((*o)[name])
	}
}

// encodeOverride writes which fields a target gave itself, and of those the ones that are not what its content says.
func encodeOverride(e *encoder, c *post.Content, o *post.RawTarget) {
	var given, own uint64
	field := func(bit uint64, is, same bool) {
		set(&given, bit, is)
		set(&own, bit, is && !same)
	}
	field(contentText, o.Text != nil, o.Text != nil && *o.Text == c.Text)
	field(contentTitle, o.Title != nil, o.Title != nil && *o.Title == c.Title)
	field(contentLink, o.Link != nil, o.Link != nil && *o.Link == c.Link)
	field(contentMedia, o.Media != nil, o.Media != nil && slices.Equal(*o.Media, c.Media))
	field(contentThread, o.Thread != nil, o.Thread != nil && sameThread(*o.Thread, c.Thread))
	field(contentFirstComment, o.FirstComment != nil, o.FirstComment != nil && *o.FirstComment == c.FirstComment)
	field(contentOptions, o.Options != nil, sameOptions(o.Options, c.Options))
	e.uint(given)
	e.uint(own)
	for _, f := range []struct {
		bit  uint64
		text *string
	}{{contentText, o.Text}, {contentTitle, o.Title}, {contentLink, o.Link}, {contentFirstComment, o.FirstComment}} {
		if own&f.bit != 0 {
			e.text(*f.text)
		}
	}
	if own&contentMedia != 0 {
		encodeMedia(e, *o.Media)
	}
	if own&contentThread != 0 {
		encodeThread(e, *o.Thread)
	}
	if own&contentOptions != 0 {
		encodeOptions(e, o.Options)
	}
	if o.At == nil {
		e.byte(0)
		return
	}
	e.byte(1)
	e.text(*o.At)
}

// post reads a post; ErrNotFound when there is none.
func (t *tx) post(id post.ID) (*post.Post, error) {
	b := t.get(bContent, id[:])
	if b == nil {
		return nil, fmt.Errorf("post %s: %w", id, store.ErrNotFound)
	}
	return decodePost(id, b)
}

func decodePost(id post.ID, b []byte) (*post.Post, error) {
	if len(b) > 0 && b[0] == '{' {
		p, err := post1(b)
		if err == nil && p.ID != id {
			err = errors.New("it is another post's")
		}
		if err != nil {
			return nil, corrupt(bContent, id[:], err)
		}
		return p, nil
	}
	r := decoder{b: b}
	if err := r.version(contentVersion); err != nil {
		return nil, corrupt(bContent, id[:], err)
	}
	p := &post.Post{ID: id}
	r.post(p)
	if err := r.err(); err != nil {
		return nil, corrupt(bContent, id[:], err)
	}
	return p, nil
}

func (d *decoder) post(p *post.Post) {
	flags := d.uint()
	p.Draft, p.AllowDuplicate = flags&postDraft != 0, flags&postAllowDuplicate != 0
	p.Version = d.uint()
	p.Author = d.text()
	p.CreatedAt = d.time()
	p.Kind = post.Kind(d.word(kindWords))
	for _, f := range []struct {
		bit  uint64
		text *string
	}{{postExternal, &p.ExternalID}, {postOwner, &p.Owner}, {postAt, &p.At}, {postTimeZone, &p.TimeZone}, {postUndo, &p.Undo}} {
		if flags&f.bit != 0 {
			*f.text = d.text()
		}
	}
	if flags&postLabels != 0 {
		p.Labels = d.texts()
	}
	if flags&postSeries != 0 {
		p.Series = d.id()
	}
	if flags&postWarnings != 0 {
		p.Warnings = make([]post.Problem, d.count())
		for i := range p.Warnings {
			p.Warnings[i] = post.Problem{
				Location: d.text(), Code: d.text(), Severity: post.Severity(d.text()), Message: d.text(),
				Limit: d.int(), Used: d.int(), Unit: d.text(),
			}
		}
	}
	if flags&postNotes != 0 {
		p.Notes = d.texts()
	}
	p.Content = d.content(&post.Content{})
	if n := d.count(); n > 0 {
		p.Targets = make([]post.Target, n)
		for i := range p.Targets {
			d.target(&p.Content, &p.Targets[i])
		}
	}
}

func (d *decoder) texts() []string {
	list := make([]string, d.count())
	for i := range list {
		list[i] = d.text()
	}
	return list
}

func (d *decoder) target(base *post.Content, x *post.Target) {
	x.ID = d.id()
	x.Account = d.account()
	x.Platform = post.Platform(d.word(platformWords))
	x.Destination = d.text()
	x.Delivery = d.id()
	x.Content = d.content(base)
	d.override(&x.Content, &x.Override)
}

// content reads a content and takes from base, as copies of its own, what was not written.
func (d *decoder) content(base *post.Content) post.Content {
	flags := d.uint()
	c := *base
	if flags&contentText != 0 {
		c.Text = d.text()
	}
	if flags&contentTitle != 0 {
		c.Title = d.text()
	}
	if flags&contentLink != 0 {
		c.Link = d.text()
	}
	c.Media = slices.Clone(base.Media)
	if flags&contentMedia != 0 {
		c.Media = d.media()
	}
	c.Thread = cloneThread(base.Thread)
	if flags&contentThread != 0 {
		c.Thread = d.thread()
	}
	if flags&contentFirstComment != 0 {
		c.FirstComment = d.text()
	}
	c.Options = cloneOptions(base.Options)
	if flags&contentOptions != 0 {
		c.Options = d.options()
	}
	return c
}

func cloneThread(thread []post.Reply) []post.Reply {
	out := slices.Clone(thread)
	for i := range out {
		out[i].Media = slices.Clone(out[i].Media)
	}
	return out
}

func cloneOptions(o *post.Options) *post.Options {
	if o == nil {
		return nil
	}
	c := maps.Clone(*o)
	return &c
}

func (d *decoder) media() []post.Media {
	n := d.count()
	if n == 0 {
		return nil
	}
	media := make([]post.Media, n)
	for i := range media {
		media[i] = post.Media{
			ID: d.hash(), Alt: d.text(), Type: d.text(), Bytes: d.int(), Width: int(d.int()), Height: int(d.int()),
			Duration: time.Duration(d.int()),
		}
	}
	return media
}

func (d *decoder) thread() []post.Reply {
	n := d.count()
	if n == 0 {
		return nil
	}
	thread := make([]post.Reply, n)
	for i := range thread {
		thread[i] = post.Reply{Text: d.text(), Media: d.media()}
	}
	return thread
}

func (d *decoder) options() *post.Options {
	n := d.count()
	if n == 0 {
		return nil
	}
	o := make(post.Options, n-1)
	for range n - 1 {
		name := d.text()
		o[name] = bytes.Clone(d.take(d.uint()))
	}
	return &o
}

func (d *decoder) override(c *post.Content, o *post.RawTarget) {
	given, own := d.uint(), d.uint()
	for _, f := range []struct {
		bit  uint64
		text **string
		same string
	}{
		{contentText, &o.Text, c.Text},
		{contentTitle, &o.Title, c.Title},
		{contentLink, &o.Link, c.Link},
		{contentFirstComment, &o.FirstComment, c.FirstComment},
	} {
		switch {
		case own&f.bit != 0:
			s := d.text()
			*f.text = &s
		case given&f.bit != 0:
			s := f.same
			*f.text = &s
		}
	}
	// An override that clears is an empty list, not none.
	if given&contentMedia != 0 {
		media := slices.Clone(c.Media)
		if own&contentMedia != 0 {
			media = d.media()
		}
		if media == nil {
			media = []post.Media{}
		}
		o.Media = &media
	}
	if given&contentThread != 0 {
		thread := cloneThread(c.Thread)
		if own&contentThread != 0 {
			thread = d.thread()
		}
		if thread == nil {
			thread = []post.Reply{}
		}
		o.Thread = &thread
	}
	if given&contentOptions != 0 {
		o.Options = cloneOptions(c.Options)
		if own&contentOptions != 0 {
			o.Options = d.options()
		}
	}
	if d.byte() != 0 {
		s := d.text()
		o.At = &s
	}
}
