package compose

import (
	"fmt"
	"net/url"
	"slices"

	"crier/internal/post"
)

func (c *composer) media(refs []MediaRef, at string) []post.Media {
	if refs == nil {
		return nil
	}
	c.limit("", at, len(refs), maxMedia)
	out := make([]post.Media, 0, len(refs))
	for i, ref := range refs[:min(len(refs), maxMedia)] {
		here := fmt.Sprintf("%s[%d]", at, i)
		if ref.URL != "" {
			if c.env.DryRun {
				c.warn(here+".url", CodeMediaNotFetched, "a dry run does not fetch the file: what depends on it is not checked")
				continue
			}
			c.hard(here+".url", CodeMediaNotFetched, "the file was not fetched")
			continue
		}
		m, ok := c.known(ref.ID)
		if !ok {
			c.hard(here, CodeMediaNotFound, "there is no such file: upload it first")
			continue
		}
		if ref.Alt != nil {
			m.Alt = *ref.Alt
			c.limit("", here+".alt", len(m.Alt), maxText)
		}
		out = append(out, m)
	}
	return out
}

// known finds a stored file: one that the author can see, or that the post uses already.
func (c *composer) known(id string) (post.Media, bool) {
	if !ValidMediaID(id) {
		return post.Media{}, false
	}
	if m, ok := c.env.Media(id); ok {
		m.ID = id
		return m, true
	}
	if c.env.Earlier == nil {
		return post.Media{}, false
	}
	p := &c.env.Earlier.Post
	contents := []post.Content{p.Content}
	for i := range p.Targets {
		contents = append(contents, p.Targets[i].Content)
	}
	for _, content := range contents {
		all := slices.Clone(content.Media)
		for _, r := range content.Thread {
			all = append(all, r.Media...)
		}
		for _, m := range all {
			if m.ID == id {
				return m, true
			}
		}
	}
	return post.Media{}, false
}

func (c *composer) thread(replies []Reply, at string) []post.Reply {
	if replies == nil {
		return nil
	}
	c.limit("", at, len(replies), maxThread)
	out := make([]post.Reply, 0, len(replies))
	for i, r := range replies[:min(len(replies), maxThread)] {
		here := fmt.Sprintf("%s[%d]", at, i)
		c.limit("", here+".text", len(r.Text), maxText)
		out = append(out, post.Reply{Text: r.Text, Media: c.media(r.Media, here+".media")})
	}
	return out
}

func (c *composer) linkOK(link, at string) {
	if link == "" {
		return
	}
	u, err := url.Parse(link)
	if err != nil || len(link) > maxLink || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		c.problem(at, CodeLinkInvalid, "wanted: an http or https address of at most 2048 bytes")
	}
}

func (c *composer) longTexts(prefix string, text, title, comment *string) {
	c.limit(prefix, "text", len(*text), maxText)
	c.limit(prefix, "title", len(*title), maxText)
	c.limit(prefix, "first_comment", len(*comment), maxText)
}

func (c *composer) limit(prefix, field string, used, limit int) {
	if used > limit {
		c.add(post.Problem{
			Location: prefix + field, Code: CodeTooLong, Severity: post.SeverityError,
			Message: "it is longer than Crier takes", Used: int64(used), Limit: int64(limit), Unit: "bytes or items",
		}, true)
	}
}
