package twitter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dghubble/go-twitter/twitter"
	"golang.org/x/text/unicode/norm"

	"crier/adapters"
)

const (
	// slack is how much earlier than the attempt a post may be dated.
	slack = time.Minute
	// maxPages bounds one look: X's timelines hold 3,200 posts.
	maxPages = 33
	// anyMedia is the number of media of a post that shows only that it has some.
	anyMedia = -1
)

// seen is one post of the timeline, in terms of both APIs.
type seen struct {
	id, parent, text string
	// root is the post that began the conversation, where X says so; stray says that the post answers one that it does
	// not name.
	root  string
	stray bool
	keys  []string // v2 alone
	ids   []string // v1.1 alone: the media's ids, which are those of the uploads
	media int
	at    time.Time
}

// likeness says how much a post of the timeline is like the part in question.
type likeness int

const (
	other likeness = iota
	alike          // it could be ours: a person has to judge
	same           // it says exactly the same
	ours           // it has the media that were uploaded for it alone
)

// like compares a post with what the part would have published.
func (d draft) like(s seen) likeness {
	place := same
	switch {
	case s.stray && (d.parent == "" || s.root != "" && s.root != d.root):
		return other
	case s.stray && s.root == "":
		place = alike
	case !s.stray && s.parent != d.parent:
		return other
	}
	if len(d.keys) > 0 && slices.Equal(s.keys, d.keys) || len(d.ids) > 0 && slices.Equal(s.ids, d.ids) {
		if place == alike {
			return same
		}
		return ours
	}
	enough := s.media == d.media || s.media == anyMedia && d.media > 0
	if !enough || comparison(s.text) != comparison(d.text) {
		return other
	}
	known := len(s.keys) > 0 && len(d.keys) > 0
	switch {
	case d.text == "" && known:
		return other // other media are another post
	case d.text == "", known:
		// Any picture without words fits; and the same words under other media may be ours from an earlier upload.
		return alike
	}
	return place
}

// Find implements [adapters.Adapter]. It reads the account's own timeline back past since. A post with our media is ours
// whatever it says; else the parent, the number of media and the text must agree. What fits only in part is for a
// person to judge.
func (a *adapter) Find(ctx context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	d, err := draftOf(r)
	if e := (*adapters.Error)(nil); asError(err, &e) && e.Reason != adapters.Prepare {
		return adapters.Look{}, err
	}
	var listed []seen
	if a.config.backend == apiV1 {
		listed, err = a.timelineV1(ctx, since)
	} else {
		listed, err = a.timelineV2(ctx, since)
	}
	if err != nil {
		return adapters.Look{}, err
	}
	if r.Taken != nil {
		listed = slices.DeleteFunc(listed, func(s seen) bool { return r.Taken(s.id) })
	}
	by := make(map[likeness][]seen)
	for _, s := range listed {
		l := d.like(s)
		by[l] = append(by[l], s)
	}
	for _, l := range []likeness{ours, same} {
		switch found := by[l]; len(found) {
		case 0:
		case 1:
			return adapters.Look{Sight: adapters.Found, Receipt: a.receipt(found[0].id, found[0].at), Detail: "the timeline shows it"}, nil
		default:
			return adapters.Look{Sight: adapters.Ambiguous, Detail: "the timeline shows " + strconv.Itoa(len(found)) + " posts like it"}, nil
		}
	}
	if len(by[alike]) > 0 {
		return adapters.Look{Sight: adapters.Ambiguous, Detail: "the timeline shows one that fits in part"}, nil
	}
	return adapters.Look{Detail: "the timeline does not show it"}, nil
}

// asError is errors.As for *adapters.Error, false for nil.
func asError(err error, into **adapters.Error) bool {
	e, ok := errors.AsType[*adapters.Error](err)
	if ok {
		*into = e
	}
	return ok
}

// dialect is one of X's two sets of names: its guides say the first, its OpenAPI document the second.
type dialect struct{ fields, names, expansions string }

func dialects(newer bool) dialect {
	const common = "created_at,text,entities,conversation_id,in_reply_to_user_id,attachments,"
	if newer {
		return dialect{"post.fields", common + "note_post", "referenced_posts"}
	}
	return dialect{"tweet.fields", common + "note_tweet,referenced_tweets", ""}
}

// timelineV2 reads the account's posts from before since until now.
func (a *adapter) timelineV2(ctx context.Context, since time.Time) ([]seen, error) {
	id := a.userID.Load()
	if id == nil {
		u, err := a.me(ctx)
		if err != nil {
			return nil, err
		}
		if !strings.EqualFold(u.name, a.env.Account.Identity) {
			return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: "the token belongs to another account"}
		}
		id = &u.id
	}
	query := url.Values{"max_results": {"100"}, "start_time": {since.Add(-slack).UTC().Format(time.RFC3339)}}
	var out []seen
	for range maxPages {
		c, err := a.page(ctx, *id, query)
		if err != nil {
			return nil, err
		}
		var in struct {
			Data []timelinePost `json:"data"`
			Meta *struct {
				Count *int   `json:"result_count"`
				Next  string `json:"next_token"`
			} `json:"meta"`
		}
		if err := json.Unmarshal(c.Body, &in); err != nil || in.Meta == nil || in.Meta.Count == nil || *in.Meta.Count != len(in.Data) {
			return nil, unreadable(c, "a timeline")
		}
		from := since.Add(-slack)
		for _, p := range in.Data {
			s, ok := p.seen()
			if !ok {
				return nil, unreadable(c, "naming or dating a post")
			}
			if !s.at.Before(from) {
				out = append(out, s)
			}
		}
		if in.Meta.Next == "" {
			return out, nil
		}
		query.Set("pagination_token", in.Meta.Next)
	}
	return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the timeline does not end"}
}

// page reads one page in the dialect that X understood last, and in the other one when it complains.
func (a *adapter) page(ctx context.Context, id string, query url.Values) (adapters.Call, error) {
	for second := false; ; second = true {
		newer := a.newer.Load()
		d := dialects(newer)
		q := url.Values{d.fields: {d.names}}
		if d.expansions != "" {
			q.Set("expansions", d.expansions)
		}
		maps.Copy(q, query)
		c, err := a.read(ctx, http.MethodGet, a.config.api, "/2/users/"+url.PathEscape(id)+"/tweets", q, "", nil)
		if c.Status == http.StatusBadRequest && bytes.Contains(c.Body, []byte(d.fields)) && !second {
			a.newer.CompareAndSwap(newer, !newer)
			continue
		}
		return c, err
	}
}

// timelinePost is a post as API v2 lists it, in either dialect.
type timelinePost struct {
	ID          string   `json:"id"`
	Text        string   `json:"text"`
	CreatedAt   string   `json:"created_at"`
	Entities    entities `json:"entities"`
	NoteTweet   *note    `json:"note_tweet"`
	NotePost    *note    `json:"note_post"`
	Attachments struct {
		Keys []string `json:"media_keys"`
	} `json:"attachments"`
	Conversation     string      `json:"conversation_id"`
	InReplyTo        string      `json:"in_reply_to_user_id"`
	ReferencedTweets []reference `json:"referenced_tweets"`
	ReferencedPosts  []reference `json:"referenced_posts"`
}

type entities struct {
	URLs []link `json:"urls"`
}

// link is an address that X has shortened. MediaKey is set when it stands for a medium.
type link struct {
	URL      string `json:"url"`
	Expanded string `json:"expanded_url"`
	MediaKey string `json:"media_key"`
}

// note is the whole of a long post.
type note struct {
	Text     string   `json:"text"`
	Entities entities `json:"entities"`
}

type reference struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func (p timelinePost) seen() (seen, bool) {
	at, err := time.Parse(time.RFC3339, p.CreatedAt)
	if err != nil || p.ID == "" {
		return seen{}, false
	}
	s := seen{id: p.ID, at: at, root: p.Conversation, keys: p.Attachments.Keys, media: len(p.Attachments.Keys)}
	for _, r := range append(p.ReferencedTweets, p.ReferencedPosts...) {
		if r.Type == "replied_to" {
			s.parent = r.ID
		}
	}
	// X may leave out what a post answers and still say that it does.
	s.stray = s.parent == "" && (p.InReplyTo != "" || p.Conversation != "" && p.Conversation != p.ID)
	text, links := p.Text, p.Entities.URLs
	for _, n := range []*note{p.NoteTweet, p.NotePost} {
		if n != nil && n.Text != "" {
			text, links = n.Text, n.Entities.URLs
		}
	}
	for _, l := range links {
		to := l.Expanded
		if l.MediaKey != "" || s.media > 0 && strings.Contains(to, "/status/"+p.ID+"/") {
			to = ""
		}
		if l.URL != "" {
			text = strings.Replace(text, l.URL, to, 1)
		}
	}
	s.text = unescape(text)
	return s, true
}

// timelineV1 is timelineV2 over API v1.1, which shows no media keys.
func (a *adapter) timelineV1(ctx context.Context, since time.Time) ([]seen, error) {
	var out []seen
	var before int64
	for range maxPages {
		var list []twitter.Tweet
		c, err := a.legacy(ctx, func(client *twitter.Client) error {
			var err error
			list, _, err = client.Timelines.UserTimeline(&twitter.UserTimelineParams{
				ScreenName: a.env.Account.Identity, Count: 200, MaxID: before, TweetMode: "extended",
				ExcludeReplies: twitter.Bool(false), IncludeRetweets: twitter.Bool(true),
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		// go-twitter gives an empty list and no error for an empty body and for null.
		if body := bytes.TrimSpace(c.Body); len(body) == 0 || body[0] != '[' {
			return nil, unreadable(c, "a timeline")
		}
		from := since.Add(-slack)
		for i := range list {
			s, ok := seenV1(&list[i])
			if !ok {
				return nil, unreadable(c, "naming or dating a post")
			}
			if s.at.Before(from) {
				return out, nil
			}
			out = append(out, s)
			before = list[i].ID - 1
		}
		if len(list) == 0 {
			return out, nil
		}
	}
	return out, nil // 3,200 posts are all that X lists
}

func seenV1(t *twitter.Tweet) (seen, bool) {
	at, err := t.CreatedAtTime()
	if err != nil || t.IDStr == "" || t.ID <= 0 {
		return seen{}, false
	}
	text := t.FullText
	if text == "" {
		text = t.Text
	}
	s := seen{id: t.IDStr, at: at, parent: t.InReplyToStatusIDStr}
	if t.Entities != nil {
		for _, u := range t.Entities.Urls {
			text = strings.Replace(text, u.URL, u.ExpandedURL, 1)
		}
		for _, m := range t.Entities.Media {
			text = strings.Replace(text, m.URL, "", 1)
		}
		s.media = len(t.Entities.Media)
	}
	if t.ExtendedEntities != nil {
		s.media = max(s.media, len(t.ExtendedEntities.Media))
		for _, m := range t.ExtendedEntities.Media {
			s.ids = append(s.ids, m.IDStr)
		}
	}
	// A short link at the end that no entity explains stands for media too.
	if bare := mediaLink.ReplaceAllString(text, ""); bare != text && s.media == 0 {
		text, s.media = bare, anyMedia
	}
	s.text = unescape(text)
	return s, true
}

// unescape undoes what X does to the three characters of markup.
func unescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(s)
}

// scheme and slash are where an address as X shows it may differ from what was sent.
var (
	scheme = regexp.MustCompile(`(?i)\bhttps?://`)
	slash  = regexp.MustCompile(`/(\s|$)`)
	// mediaLink is the short link that X appends for media.
	mediaLink = regexp.MustCompile(`\s*https://t\.co/\w+\s*$`)
)

// comparison is what two texts must have in common: blanks, the form of code points and the scheme of addresses, which
// X adds to a bare one, do not count.
func comparison(s string) string {
	s = scheme.ReplaceAllString(norm.NFC.String(s), "")
	return strings.Join(strings.Fields(slash.ReplaceAllString(s, "$1")), " ")
}
