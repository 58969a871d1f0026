// Package twitter publishes to X. API v2 is spoken through a thin client of our own; API v1.1, which X answers with
// code 453 unless the contract includes it, through dghubble/go-twitter for accounts that say api: v1.1. Both are
// signed by dghubble/oauth1 and judged from the same record of what was on the wire.
package twitter

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dghubble/go-twitter/twitter"

	"crier/adapters"
	"crier/internal/post"
)

var (
	_ adapters.Adapter     = (*adapter)(nil)
	_ adapters.TextCounter = (*adapter)(nil)
	_ adapters.Verifier    = (*adapter)(nil)
	_ adapters.Preparer    = (*adapter)(nil)
)

// Driver makes adapters of X.
func Driver() adapters.Driver {
	return adapters.Driver{
		Platform:     post.Twitter,
		Open:         open,
		Settings:     checkSettings,
		Credentials:  []string{accessToken, accessSecret},
		Capabilities: capabilities,
		// X's timeline shows a post within seconds; how late it may be is not documented.
		Looks:         []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute},
		CommitTimeout: 30 * time.Second,
	}
}

// adapter is one X account. It is safe for concurrent use.
type adapter struct {
	env      adapters.Env
	config   config
	recorder adapters.Recorder
	// userID is the account's number, once X has said it; newer says that X speaks the newer of its two field
	// dialects. Both are asked for again after a restart.
	userID atomic.Pointer[string]
	newer  atomic.Bool
	owner  adapters.Owner
}

func open(env adapters.Env) (adapters.Adapter, error) {
	c, err := load(env)
	if err != nil {
		return nil, err
	}
	return &adapter{env: env, config: c, recorder: adapters.Recorder{Base: env.Base, Now: env.Now}}, nil
}

// Platform implements [adapters.Adapter].
func (*adapter) Platform() post.Platform { return post.Twitter }

// draft is one post as it goes to either API.
type draft struct {
	text   string
	parent string // the post that it answers
	root   string // the post that begins the conversation of a reply
	ids    []string
	keys   []string // media keys, which only v2 shows
	media  int      // how many media it is to have
	// options are set on the post itself; of a reply only what labels the content.
	options options
}

// draftOf gathers what a part says. Without its prepared media it is an *adapters.Error with reason prepare.
func draftOf(r adapters.Request) (draft, error) {
	d := draft{text: r.Text(), media: len(r.Attachments())}
	switch r.Role {
	case post.RolePost:
		d.text = withLink(d.text, r.Content.Link)
		d.options = optionsOf(r.Content.Options)
	case post.RoleReply:
		d.parent, d.root = r.Parent.RemoteID, r.Root.RemoteID
		d.options.madeWithAI = optionsOf(r.Content.Options).madeWithAI
	case post.RoleComment:
		d.parent, d.root = r.Root.RemoteID, r.Root.RemoteID
		d.options.madeWithAI = optionsOf(r.Content.Options).madeWithAI
	case post.RoleFollowUp:
		return d, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "X has no follow-ups"}
	}
	if r.Role != post.RolePost && d.parent == "" {
		return d, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the post to answer is not known"}
	}
	for i := range d.media {
		h, ok := r.Handle(mediaName(i))
		if !ok || !h.Done || h.Values[mediaID] == "" {
			d.ids, d.keys = nil, nil
			return d, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the media are not uploaded"}
		}
		d.ids, d.keys = append(d.ids, h.Values[mediaID]), append(d.keys, h.Values[mediaKey])
	}
	return d, nil
}

// withLink appends a link to a text that does not have it.
func withLink(text, link string) string {
	switch {
	case link == "" || has(text, link):
		return text
	case text == "":
		return link
	}
	return text + "\n\n" + link
}

// has reports whether a link stands in a text, and not merely the beginning of another.
func has(text, link string) bool {
	for {
		_, after, ok := strings.Cut(text, link)
		if !ok {
			return false
		}
		// A full stop or a bracket ends an address only where the text goes on with a blank or ends.
		rest := strings.TrimLeft(after, ".,;:!?)]}'\"»”’…")
		if r, _ := utf8.DecodeRuneInString(rest); rest == "" || unicode.IsSpace(r) {
			return true
		}
		text = after
	}
}

// Publish implements [adapters.Adapter].
func (a *adapter) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	d, err := draftOf(r)
	if err != nil {
		return post.Receipt{}, err
	}
	k, err := a.keys(ctx)
	if err != nil {
		return post.Receipt{}, err
	}
	ctx = context.WithValue(ctx, keysKey{}, k)
	if e := a.owner.Ask(a.env.Account, k.token, func() (adapters.Identity, error) { return a.whose(ctx) }); e != nil {
		return post.Receipt{}, e
	}
	ctx, flight := adapters.FlightFrom(adapters.AsCommit(ctx))
	if a.config.backend == apiV1 {
		err = a.updateV1(ctx, d)
	} else {
		err = a.createV2(ctx, d)
	}
	if e := flight.NotSent(err, true); e != nil {
		if cause := (*adapters.Error)(nil); asError(err, &cause) {
			return post.Receipt{}, cause
		}
		return post.Receipt{}, e
	}
	c, _ := flight.Last(true)
	id := postID(c)
	if id == "" {
		e := classify(c, a.env.Now(), d.text, r.Text(), k.token.Reveal(), k.secret.Reveal())
		if e.Err = err; err == nil {
			e.Err = c.Err
		}
		return post.Receipt{}, e
	}
	return a.receipt(id, a.env.Now()), nil
}

// receipt names a post of this account.
func (a *adapter) receipt(id string, at time.Time) post.Receipt {
	return post.Receipt{RemoteID: id, URL: "https://x.com/" + a.env.Account.Identity + "/status/" + id, At: post.Instant(at)}
}

// postID is the proof that a commit is out: the id in a whole 2xx answer of either API.
func postID(c adapters.Call) string {
	if c.Status < 200 || c.Status > 299 || !c.Whole {
		return ""
	}
	var v2 struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if json.Unmarshal(c.Body, &v2) == nil && v2.Data.ID != "" {
		return v2.Data.ID
	}
	var v1 struct {
		ID string `json:"id_str"`
	}
	if c.Status == http.StatusOK && json.Unmarshal(c.Body, &v1) == nil {
		return v1.ID
	}
	return ""
}

// createPost is the body of POST /2/tweets.
type createPost struct {
	// Text is there even when it is empty: the back end wants it so.
	Text          string       `json:"text"`
	Media         *createMedia `json:"media,omitempty"`
	Poll          *poll        `json:"poll,omitempty"`
	Reply         *createReply `json:"reply,omitempty"`
	ReplySettings string       `json:"reply_settings,omitempty"`
	CommunityID   string       `json:"community_id,omitempty"`
	MadeWithAI    bool         `json:"made_with_ai,omitempty"`
}

type createMedia struct {
	IDs []string `json:"media_ids"`
}

type createReply struct {
	To string `json:"in_reply_to_tweet_id"`
}

// createV2 makes the one request of a commit over API v2. What came of it is in the flight.
func (a *adapter) createV2(ctx context.Context, d draft) error {
	body := createPost{
		Text: d.text, Poll: d.options.poll, ReplySettings: d.options.replySettings, CommunityID: d.options.community,
		MadeWithAI: d.options.madeWithAI,
	}
	if len(d.ids) > 0 {
		body.Media = &createMedia{IDs: d.ids}
	}
	if d.parent != "" {
		body.Reply = &createReply{To: d.parent}
	}
	_, err := a.call(ctx, http.MethodPost, a.config.api, "/2/tweets", nil, "application/json", jsonBody(body))
	return err
}

// updateV1 makes the one request of a commit over API v1.1. What came of it is in the flight; the error serves only
// for detail.
func (a *adapter) updateV1(ctx context.Context, d draft) error {
	params := &twitter.StatusUpdateParams{TweetMode: "extended"}
	for _, id := range d.ids {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the media's id is no number", Err: err}
		}
		params.MediaIds = append(params.MediaIds, n)
	}
	if d.parent != "" {
		n, err := strconv.ParseInt(d.parent, 10, 64)
		if err != nil {
			return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the post to answer has an id that is no number", Err: err}
		}
		params.InReplyToStatusID = n
	}
	client, err := a.legacyClient(ctx)
	if err != nil {
		return err
	}
	_, _, err = twitter.NewClient(client).Statuses.Update(d.text, params)
	return err
}

// user is the account as X knows it.
type user struct{ id, name, title string }

// Verify implements [adapters.Verifier].
func (a *adapter) Verify(ctx context.Context) (adapters.Identity, error) {
	k, err := a.keys(ctx)
	if err != nil {
		return adapters.Identity{}, err
	}
	id, err := a.whose(context.WithValue(ctx, keysKey{}, k))
	if err != nil {
		return adapters.Identity{}, err
	}
	_ = a.owner.Learn(a.env.Account, k.token, id) // who it is instead is for the scheduler to judge
	return id, nil
}

// whose asks to which account the keys of the context belong.
func (a *adapter) whose(ctx context.Context) (adapters.Identity, error) {
	u, err := a.me(ctx)
	if err != nil {
		return adapters.Identity{}, err
	}
	return adapters.Identity{ID: u.name, Remote: u.id, Name: u.title}, nil
}

// me asks whose token it is, and keeps the number for reading the timeline.
func (a *adapter) me(ctx context.Context) (user, error) {
	var u user
	var err error
	if a.config.backend == apiV1 {
		u, err = a.meV1(ctx)
	} else {
		u, err = a.meV2(ctx)
	}
	if err != nil {
		return user{}, err
	}
	if strings.EqualFold(u.name, a.env.Account.Identity) {
		a.userID.Store(&u.id)
	}
	return u, nil
}

func (a *adapter) meV2(ctx context.Context) (user, error) {
	c, err := a.read(ctx, http.MethodGet, a.config.api, "/2/users/me", nil, "", nil)
	if err != nil {
		return user{}, err
	}
	var in struct {
		Data struct {
			ID       string `json:"id"`
			Name     string `json:"name"`
			Username string `json:"username"`
		} `json:"data"`
	}
	if err := json.Unmarshal(c.Body, &in); err != nil || in.Data.ID == "" || in.Data.Username == "" {
		return user{}, unreadable(c, "naming the account")
	}
	return user{id: in.Data.ID, name: in.Data.Username, title: in.Data.Name}, nil
}

func (a *adapter) meV1(ctx context.Context) (user, error) {
	var u *twitter.User
	c, err := a.legacy(ctx, func(client *twitter.Client) error {
		var err error
		u, _, err = client.Accounts.VerifyCredentials(&twitter.AccountVerifyParams{SkipStatus: twitter.Bool(true)})
		return err
	})
	if err != nil {
		return user{}, err
	}
	if u == nil || u.IDStr == "" || u.ScreenName == "" {
		return user{}, unreadable(c, "naming the account")
	}
	return user{id: u.IDStr, name: u.ScreenName, title: u.Name}, nil
}

// legacy makes one read over API v1.1 and judges it by its record.
func (a *adapter) legacy(ctx context.Context, do func(*twitter.Client) error) (adapters.Call, error) {
	ctx, flight := adapters.FlightFrom(ctx)
	client, err := a.legacyClient(ctx)
	if err != nil {
		return adapters.Call{}, err
	}
	before := len(flight.Calls())
	err = do(twitter.NewClient(client))
	calls := flight.Calls()
	if len(calls) == before || calls[len(calls)-1].Status == 0 {
		return adapters.Call{}, a.unanswered(err)
	}
	c := calls[len(calls)-1]
	if refused := a.refusedRead(c); refused != nil {
		return c, refused
	}
	if err != nil {
		return c, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Status: c.Status, Message: "X's answer makes no sense", Err: err}
	}
	return c, nil
}
