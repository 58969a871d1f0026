package api

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"crier/internal/post"
)

// place is where a part should be.
type place struct {
	platform post.Platform
	role     post.Role
	identity string // of the account
}

// receiptOf reads the address at which a person found a part. Where the address holds the platform's own id, that is
// the receipt's, so that it meets the one that a look would bring. One that names no post is refused, but on Facebook and
// Instagram, whose addresses often show names and shortened ids that no listing gives back: there the address itself is it.
func (p place) receiptOf(address string, now time.Time) (post.Receipt, bool) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || len(address) > 2048 || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || !hostOf(p.platform, u.Hostname()) {
		return post.Receipt{}, false
	}
	id := p.remoteID(u)
	if id == "" && (p.platform == post.Facebook || p.platform == post.Instagram) && strings.Trim(u.Path, "/") != "" {
		u.Fragment = ""
		id = u.String()
	}
	return post.Receipt{RemoteID: id, URL: u.String(), At: now}, id != ""
}

// hostOf reports whether a host is one of the platform's.
func hostOf(p post.Platform, host string) bool {
	host = strings.ToLower(host)
	under := func(domains ...string) bool {
		return slices.ContainsFunc(domains, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
	}
	switch p {
	case post.Twitter:
		return under("x.com", "twitter.com")
	case post.Facebook:
		return under("facebook.com", "fb.com", "fb.watch")
	case post.Instagram:
		return under("instagram.com")
	case post.Reddit:
		return under("reddit.com", "redd.it")
	case post.YouTube:
		return under("youtube.com", "youtu.be")
	}
	return false
}

// segments are the parts of an address' path.
type segments []string

func (s segments) after(word string) string {
	if i := slices.Index(s, word); i >= 0 && i+1 < len(s) {
		return s[i+1]
	}
	return ""
}

// remoteID gives the platform's id in the form that its adapter uses; empty when the address does not show it.
func (p place) remoteID(u *url.URL) string {
	parts := segments(strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' }))
	comment := p.role == post.RoleComment
	switch p.platform {
	case post.Twitter:
		if id := parts.after("status"); digits(id) {
			return id
		}
	case post.Reddit:
		return redditID(u, parts, comment)
	case post.YouTube:
		return youTubeID(u, parts, comment)
	case post.Facebook:
		return p.graphID(u, parts, comment)
	case post.Instagram:
	}
	return ""
}

// redditID reads /r/golang/comments/<post>/<title>/<comment>/ and redd.it/<post>.
func redditID(u *url.URL, parts segments, comment bool) string {
	i := slices.Index(parts, "comments")
	switch {
	case comment && i >= 0 && i+3 < len(parts) && alnum(parts[i+3]):
		return "t1_" + parts[i+3]
	case comment:
	case alnum(parts.after("comments")):
		return "t3_" + parts.after("comments")
	case strings.EqualFold(u.Hostname(), "redd.it") && len(parts) == 1 && alnum(parts[0]):
		return "t3_" + parts[0]
	}
	return ""
}

// youTubeID reads watch?v=<video>&lc=<comment>, /shorts/<video>, /live/<video> and youtu.be/<video>.
func youTubeID(u *url.URL, parts segments, comment bool) string {
	all := []string{u.Query().Get("v"), parts.after("shorts"), parts.after("live")}
	if comment {
		all = []string{u.Query().Get("lc")}
	} else if strings.EqualFold(u.Hostname(), "youtu.be") && len(parts) == 1 {
		all = append(all, parts[0])
	}
	sign := func(r rune) bool {
		return (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || strings.ContainsRune("-_.", r)
	}
	for _, id := range all {
		if id != "" && len(id) <= 128 && strings.TrimFunc(id, sign) == "" {
			return id
		}
	}
	return ""
}

// graphID reads /<page>_<post>, /<page>/posts/…/<post> and ?story_fbid=<post>&id=<page>, which Graph calls <page>_<post>,
// and with comment_id <post>_<comment>, as /<post>_<comment> is called as well. The page may be a name: it is the account's own.
func (p place) graphID(u *url.URL, parts segments, comment bool) string {
	page, id := p.identity, ""
	if i := slices.Index(parts, "posts"); i >= 0 && i+1 < len(parts) {
		id = parts[len(parts)-1]
		if i > 0 && digits(parts[i-1]) {
			page = parts[i-1]
		}
	}
	if story := u.Query().Get("story_fbid"); story != "" {
		page, id = u.Query().Get("id"), story
	}
	if len(parts) == 1 {
		if before, after, ok := strings.Cut(parts[0], "_"); ok {
			page, id = before, after
		}
	}
	if reply := u.Query().Get("comment_id"); comment && (reply != "" || len(parts) != 1) {
		page, id = id, reply
	}
	if !digits(page) || !digits(id) {
		return ""
	}
	return page + "_" + id
}

func digits(s string) bool {
	return s != "" && strings.TrimFunc(s, func(r rune) bool { return r >= '0' && r <= '9' }) == ""
}

func alnum(s string) bool {
	return s != "" && strings.TrimFunc(s, func(r rune) bool {
		return (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z')
	}) == ""
}
