package api

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"crier/internal/post"
)

// receiptOf reads the address at which a person found a post. Where the address holds the platform's own id, that is
// the receipt's, so that it meets the one that a look would bring; else the address itself is.
func receiptOf(p post.Platform, address string, now time.Time) (post.Receipt, bool) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || len(address) > 2048 || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || !hostOf(p, u.Hostname()) {
		return post.Receipt{}, false
	}
	id := remoteID(p, u)
	if id == "" {
		u.Fragment = ""
		id = u.String()
	}
	return post.Receipt{RemoteID: id, URL: u.String(), At: now}, true
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

// remoteID gives the platform's id in the form that its adapter uses; empty when the address does not show it.
func remoteID(p post.Platform, u *url.URL) string {
	parts := strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
	after := func(word string) string {
		if i := slices.Index(parts, word); i >= 0 && i+1 < len(parts) {
			return parts[i+1]
		}
		return ""
	}
	switch p {
	case post.Twitter:
		if id := after("status"); digits(id) {
			return id
		}
	case post.Reddit:
		// /r/golang/comments/<post>/<title>/<comment>/
		if i := slices.Index(parts, "comments"); i >= 0 && i+3 < len(parts) && alnum(parts[i+3]) {
			return "t1_" + parts[i+3]
		}
		if id := after("comments"); alnum(id) {
			return "t3_" + id
		}
		if strings.EqualFold(u.Hostname(), "redd.it") && len(parts) == 1 && alnum(parts[0]) {
			return "t3_" + parts[0]
		}
	case post.YouTube:
		if id := u.Query().Get("lc"); id != "" {
			return id
		}
		if id := u.Query().Get("v"); id != "" {
			return id
		}
		if id := after("shorts"); id != "" {
			return id
		}
		if strings.EqualFold(u.Hostname(), "youtu.be") && len(parts) == 1 {
			return parts[0]
		}
	case post.Facebook, post.Instagram:
		// The address of a post on a Page holds names and shortened ids that no listing gives back.
	}
	return ""
}

func digits(s string) bool {
	return s != "" && strings.TrimFunc(s, func(r rune) bool { return r >= '0' && r <= '9' }) == ""
}

func alnum(s string) bool {
	return s != "" && strings.TrimFunc(s, func(r rune) bool {
		return (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z')
	}) == ""
}
