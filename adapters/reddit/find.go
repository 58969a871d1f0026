package reddit

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"crier/adapters"
	"crier/internal/post"
)

const (
	// slack is how much earlier than the attempt a post may be dated.
	slack = 2 * time.Minute
	// maxPages bounds one look: Reddit's listings hold 1,000 things.
	maxPages = 11
)

// thing is a post or a comment as listings show it.
type thing struct {
	Name      string   `json:"name"`
	Subreddit string   `json:"subreddit"`
	Title     string   `json:"title"`
	Selftext  string   `json:"selftext"`
	URL       string   `json:"url"`
	IsSelf    bool     `json:"is_self"`
	Body      string   `json:"body"`
	Parent    string   `json:"parent_id"`
	Permalink string   `json:"permalink"`
	Created   *float64 `json:"created_utc"`
}

func (t thing) at() time.Time { return time.Unix(int64(*t.Created), 0).UTC() }

// Find implements [adapters.Adapter]. It reads the account's own listing, newest first, back past since: posts by
// subreddit, title and body or address, the first comment by the post that it answers and its text. A post of the same
// title in the same place that differs otherwise is for a person to judge.
func (a *adapter) Find(ctx context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	listing, same := "submitted", samePost(r)
	switch r.Role {
	case post.RolePost:
	case post.RoleComment:
		listing, same = "comments", sameComment(r)
	case post.RoleReply, post.RoleFollowUp:
		return adapters.Look{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Message: "Reddit has no such part of a post"}
	}
	listed, err := a.listed(ctx, listing, since)
	if err != nil {
		return adapters.Look{}, err
	}
	var matches []thing
	near := false
	for _, t := range listed {
		if r.Taken != nil && r.Taken(t.Name) {
			continue
		}
		switch same(t) {
		case exact:
			matches = append(matches, t)
		case alike:
			near = true
		case other:
		}
	}
	switch len(matches) {
	case 0:
		if near {
			return adapters.Look{Sight: adapters.Ambiguous, Detail: "the account's listing shows one of the same title, but not the same otherwise"}, nil
		}
		return adapters.Look{Detail: "the account's listing does not show it"}, nil
	case 1:
		t := matches[0]
		return adapters.Look{
			Sight: adapters.Found, Detail: "the account's listing shows it",
			Receipt: post.Receipt{RemoteID: t.Name, URL: permalink(t.Permalink), At: post.Instant(t.at())},
		}, nil
	}
	return adapters.Look{Sight: adapters.Ambiguous, Detail: "the account's listing shows " + strconv.Itoa(len(matches)) + " like it"}, nil
}

// likeness says how much a listed thing is like the part in question.
type likeness int

const (
	other likeness = iota
	alike          // it could be ours: Reddit may spell an address or a text otherwise than it was sent
	exact
)

func samePost(r adapters.Request) func(thing) likeness {
	title, text, link := comparison(r.Content.Title), comparison(r.Content.Text), strings.TrimRight(r.Content.Link, "/")
	return func(t thing) likeness {
		if !isFullID("t3_", t.Name) || !strings.EqualFold(t.Subreddit, r.Destination) || comparison(t.Title) != title {
			return other
		}
		if link != "" && !t.IsSelf && strings.TrimRight(t.URL, "/") == link || link == "" && t.IsSelf && comparison(t.Selftext) == text {
			return exact
		}
		return alike
	}
}

func sameComment(r adapters.Request) func(thing) likeness {
	text := comparison(r.Content.FirstComment)
	return func(t thing) likeness {
		if isFullID("t1_", t.Name) && t.Parent == r.Root.RemoteID && comparison(t.Body) == text {
			return exact
		}
		return other
	}
}

// comparison is what two texts must have in common: blanks and the form of code points do not count.
func comparison(s string) string { return strings.Join(strings.Fields(norm.NFC.String(s)), " ") }

// listed reads one of the account's own listings back past since.
func (a *adapter) listed(ctx context.Context, name string, since time.Time) ([]thing, error) {
	query := url.Values{"sort": {"new"}, "limit": {"100"}}
	var out []thing
	for range maxPages {
		c, err := a.get(ctx, "user/"+url.PathEscape(a.env.Account.Identity)+"/"+name, query)
		if err != nil {
			return nil, err
		}
		page, after, ok := parseListing(c.Body)
		if !ok {
			return nil, unreadable(c, "a listing")
		}
		from := since.Add(-slack)
		past := false
		for _, t := range page {
			past = t.at().Before(from)
			if !past {
				out = append(out, t)
			}
		}
		// The last of the page decides: what a user has pinned comes first, however old.
		if after == "" || past {
			return out, nil
		}
		query.Set("after", after)
	}
	return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "Reddit lists no further back than this"}
}

// parseListing reads a listing. go-reddit's own types take an answer without one for an empty one.
func parseListing(body []byte) (page []thing, after string, ok bool) {
	var in struct {
		Kind string `json:"kind"`
		Data *struct {
			After    *string `json:"after"`
			Children *[]struct {
				Data thing `json:"data"`
			} `json:"children"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &in) != nil || in.Kind != "Listing" || in.Data == nil || in.Data.Children == nil {
		return nil, "", false
	}
	for _, child := range *in.Data.Children {
		t := child.Data
		if t.Name == "" || t.Created == nil || !(*t.Created >= 0 && *t.Created < 1<<40) {
			return nil, "", false
		}
		page = append(page, t)
	}
	if in.Data.After != nil {
		after = *in.Data.After
	}
	return page, after, true
}
