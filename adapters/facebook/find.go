package facebook

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	fb "github.com/huandu/facebook/v2"
	"golang.org/x/text/unicode/norm"

	"crier/adapters"
	"crier/internal/post"
)

const (
	// slack is how much earlier than the attempt a post may be dated.
	slack = 2 * time.Minute
	// perPage and maxPages bound one look. A Page that published more since then has not been read to the end.
	perPage, maxPages = 50, 20
)

// likeness says how much an item of a listing is like the part in question.
type likeness int

const (
	other likeness = iota
	alike          // it could be ours: the text fits, and what else there is does not decide
	same           // it is ours, or says exactly the same
)

// Find implements [adapters.Adapter]. A post is known by its photos, which were uploaded for it alone, else by text
// and link; a comment by its text. Two that fit, or one that fits only in part, are for a person to judge.
func (a *adapter) Find(ctx context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	g, err := a.graph(ctx)
	if err != nil {
		return adapters.Look{}, err
	}
	switch r.Role {
	case post.RolePost:
		return g.find(ctx, r, since, listing{
			path:   a.page + "/published_posts",
			fields: "id,message,created_time,permalink_url,attachments{media_type,target{id},unshimmed_url,subattachments{media_type,target{id}}}",
			like:   likePost(r),
		})
	case post.RoleComment:
		if !graphID(r.Root.RemoteID) {
			break
		}
		return g.find(ctx, r, since, listing{
			path:   r.Root.RemoteID + "/comments",
			fields: "id,message,created_time,permalink_url,from{id}",
			order:  "reverse_chronological",
			like:   likeComment(r, a.page),
		})
	case post.RoleReply, post.RoleFollowUp:
	}
	return adapters.Look{Sight: adapters.Never, Detail: "a Page post has no part of this kind"}, nil
}

// listing is where to look and what for.
type listing struct {
	path, fields, order string
	like                func(object) likeness
}

// find reads the listing, newest first, until a whole page of it is older than since.
func (g *graph) find(ctx context.Context, r adapters.Request, since time.Time, l listing) (adapters.Look, error) {
	var exact, near []object
	cursor := ""
	for range maxPages {
		params := fb.Params{"fields": l.fields, "limit": strconv.Itoa(perPage)}
		if l.order != "" {
			params["order"] = l.order
		}
		if cursor != "" {
			params["after"] = cursor
		}
		answer, err := g.call(ctx, fb.GET, l.path, params)
		if err != nil {
			return adapters.Look{}, err
		}
		if _, ok := answer.object["data"].([]any); !ok || !answer.succeeded() {
			return adapters.Look{}, g.fault(answer, false)
		}
		from := since.Add(-slack)
		old := true
		for _, item := range answer.object.list("data") {
			at, ok := graphTime(item.text("created_time"))
			if ok && at.Before(from) {
				continue
			}
			old = false
			id := item.text("id")
			if !graphID(id) || r.Taken != nil && r.Taken(id) {
				continue
			}
			switch l.like(item) {
			case same:
				exact = append(exact, item)
			case alike:
				near = append(near, item)
			case other:
			}
		}
		// The address of the next page is not followed: it could lead, with the token, anywhere.
		paging := answer.object.object("paging")
		cursor = paging.object("cursors").text("after")
		if old || paging.text("next") == "" || cursor == "" {
			return g.a.look(exact, near), nil
		}
	}
	return adapters.Look{}, &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Protocol,
		Message: "the listing is too long to be read back to the attempt",
	}
}

// look concludes from what matched.
func (a *adapter) look(exact, near []object) adapters.Look {
	switch {
	case len(exact) == 1:
		if receipt, ok := a.receipt(exact[0]); ok {
			return adapters.Look{Sight: adapters.Found, Receipt: receipt, Detail: "it is listed on the Page"}
		}
	case len(exact) > 1:
		return adapters.Look{Sight: adapters.Ambiguous, Detail: "several that say the same are listed on the Page"}
	case len(near) > 0:
		return adapters.Look{Sight: adapters.Ambiguous, Detail: "one with the same text but other attachments is listed on the Page"}
	}
	return adapters.Look{Sight: adapters.NotSeen, Detail: "it is not listed on the Page"}
}

// likePost compares with what the part would have published.
func likePost(r adapters.Request) func(object) likeness {
	text, link := words(r.Content)
	text = normalise(text)
	var photos []string
	for i := range r.Content.Media {
		if id := photoID(r, i); id != "" {
			photos = append(photos, id)
		}
	}
	return func(item object) likeness {
		shown, links := attachments(item)
		if slices.ContainsFunc(photos, func(id string) bool { return slices.Contains(shown, id) }) {
			return same
		}
		equal := normalise(item.text("message")) == text
		switch {
		case !equal:
			return other
		case len(r.Content.Media) > 0:
			// Photos with other ids are those of another post. Without any ids there is no telling.
			if len(shown) > 0 && len(photos) > 0 {
				return other
			}
			return alike
		case len(shown) > 0:
			return alike // a preview may be listed as a photo
		case link != "" && !slices.Contains(links, strings.TrimRight(link, "/")):
			return alike // Facebook may show where the link leads rather than the link
		case link == "" && !strings.Contains(text, "://") && slices.ContainsFunc(links, func(u string) bool { return !names(text, u) }):
			return alike // Facebook adds a preview to what looks like an address
		}
		return same
	}
}

// names reports whether a text has the host of an address in it, as in "see www.acme.example".
func names(text, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return false
	}
	return strings.Contains(strings.ToLower(text), strings.TrimPrefix(strings.ToLower(u.Hostname()), "www."))
}

func likeComment(r adapters.Request, page string) func(object) likeness {
	text := normalise(r.Content.FirstComment)
	return func(item object) likeness {
		from := item.object("from").text("id")
		if from != "" && from != page || normalise(item.text("message")) != text {
			return other
		}
		return same
	}
}

// attachments gives the ids of the photos and the links that a listed post shows.
func attachments(item object) (photos, links []string) {
	var walk func(list []object, depth int)
	walk = func(list []object, depth int) {
		for _, at := range list {
			if id := at.object("target").text("id"); id != "" && at.text("media_type") == "photo" {
				photos = append(photos, id)
			}
			if u := at.text("unshimmed_url"); u != "" {
				links = append(links, strings.TrimRight(u, "/"))
			}
			if depth > 0 {
				walk(at.object("subattachments").list("data"), depth-1)
			}
		}
	}
	walk(item.object("attachments").list("data"), 1)
	return photos, links
}

// normalise undoes what a platform may do to a text on its way.
func normalise(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(norm.NFC.String(s))
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
