// Package reddit publishes to subreddits through vartanbeno/go-reddit, above a transport of our own that holds the
// account's tokens. What came of a call is read from the record of the wire, never from the library's word: it
// reports errors for posts that are out, and nil for posts that are not.
package reddit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vartanbeno/go-reddit/v2/reddit"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/secret"
)

var (
	_ adapters.Adapter     = (*adapter)(nil)
	_ adapters.TextCounter = (*adapter)(nil)
	_ adapters.Verifier    = (*adapter)(nil)
	_ adapters.Refresher   = (*adapter)(nil)
)

// Driver makes adapters of Reddit.
func Driver() adapters.Driver {
	return adapters.Driver{
		Platform:     post.Reddit,
		Open:         open,
		Settings:     checkSettings,
		Credentials:  []string{refreshToken, accessToken},
		Capabilities: capabilities,
		// How late a submission may show in the own listing is not documented.
		Looks:         []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute},
		CommitTimeout: 30 * time.Second,
		Destination:   destination,
	}
}

// adapter is one Reddit account. It is safe for concurrent use.
type adapter struct {
	env    adapters.Env
	config config
	tokens *tokens
	// client is this account's alone: a second one over the same http.Client would post as the first.
	client *reddit.Client
	owner  adapters.Owner
}

func open(env adapters.Env) (adapters.Adapter, error) {
	c, err := load(env)
	if err != nil {
		return nil, err
	}
	t := newTokens(c, env, &adapters.Recorder{Base: env.Base, Now: env.Now})
	client, err := reddit.NewReadonlyClient(
		reddit.WithHTTPClient(adapters.Client(t)), reddit.WithBaseURL(c.api.String()+"/"), reddit.WithUserAgent(c.userAgent),
	)
	if err != nil {
		return nil, fmt.Errorf("reddit client: %w", err)
	}
	return &adapter{env: env, config: c, tokens: t, client: client}, nil
}

// Platform implements [adapters.Adapter].
func (*adapter) Platform() post.Platform { return post.Reddit }

// Publish implements [adapters.Adapter].
func (a *adapter) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	path, form, err := submission(r)
	if err != nil {
		return post.Receipt{}, err
	}
	// The token comes first: what the commit's context marks is sent once and is public. It goes out with the token that
	// Reddit was asked about, and with no other.
	token, err := a.tokens.get(ctx, secret.Text{})
	if err != nil {
		return post.Receipt{}, err
	}
	ctx = withToken(ctx, token)
	if e := a.owner.Ask(a.env.Account, token, func() (adapters.Identity, error) { return a.whose(ctx) }); e != nil {
		return post.Receipt{}, e
	}
	ctx, flight := adapters.FlightFrom(adapters.AsCommit(ctx))
	q, err := a.client.NewRequest(http.MethodPost, path, form)
	if err != nil {
		return post.Receipt{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "no request could be made", Err: err}
	}
	var ignored json.RawMessage
	_, err = a.client.Do(ctx, q, &ignored)
	if e := flight.NotSent(err, true); e != nil {
		if cause := adapters.AsError(err); cause.Fate == adapters.Absent {
			return post.Receipt{}, cause
		}
		return post.Receipt{}, e
	}
	c, _ := flight.Last(true)
	if receipt, ok := a.proof(c); ok {
		return receipt, nil
	}
	e := classify(c, a.env.Now(), a.hidden(ctx, r, token)...)
	if e.Err = err; c.Err != nil {
		e.Err = c.Err
	}
	return post.Receipt{}, e
}

// hidden is what no message may repeat: tokens, and the words of the post.
func (a *adapter) hidden(ctx context.Context, r adapters.Request, token secret.Text) []string {
	out := []string{token.Reveal(), r.Content.Text, strings.TrimSpace(r.Content.Title), r.Content.FirstComment}
	stored, err := a.env.Credentials.Load(context.WithoutCancel(ctx))
	if err != nil {
		return out // they were not sent, either
	}
	for _, t := range stored {
		out = append(out, t.Reveal())
	}
	return out
}

// submission is the form of a part and where it goes.
func submission(r adapters.Request) (path string, form url.Values, err error) {
	form = url.Values{"api_type": {"json"}}
	switch r.Role {
	case post.RolePost:
		form.Set("kind", kind(r.Content))
		form.Set("sr", r.Destination)
		form.Set("title", strings.TrimSpace(r.Content.Title))
		if r.Content.Link != "" {
			form.Set("url", r.Content.Link)
			form.Set("resubmit", "true")
		}
		if r.Content.Text != "" {
			form.Set("text", r.Content.Text)
		}
		setOptions(form, r.Content.Options)
		return "api/submit", form, nil
	case post.RoleComment:
		if r.Root.RemoteID == "" {
			return "", nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the post to comment on is not known"}
		}
		form.Set("return_rtjson", "true")
		form.Set("thing_id", r.Root.RemoteID)
		form.Set("text", r.Content.FirstComment)
		return "api/comment", form, nil
	case post.RoleReply, post.RoleFollowUp:
	}
	return "", nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Message: "Reddit has no such part of a post"}
}

func setOptions(form url.Values, o *post.Options) {
	replies, stated := o.Bool(optSendReplies)
	form.Set("sendreplies", strconv.FormatBool(replies || !stated))
	for _, name := range []string{optNSFW, optSpoiler} {
		if v, _ := o.Bool(name); v {
			form.Set(name, "true")
		}
	}
	for name, key := range map[string]string{optFlair: "flair_text", optFlairID: "flair_id"} {
		if v, _ := o.String(name); v != "" {
			form.Set(key, v)
		}
	}
}

// proof is the receipt in a whole 2xx answer: an empty list of errors and the full id of what was made.
func (a *adapter) proof(c adapters.Call) (post.Receipt, bool) {
	if c.Status < 200 || c.Status > 299 || !c.Whole {
		return post.Receipt{}, false
	}
	var in struct {
		JSON struct {
			Errors []json.RawMessage `json:"errors"`
			Data   struct {
				Name string `json:"name"`
				URL  string `json:"url"`
			} `json:"data"`
		} `json:"json"`
		Name      string `json:"name"` // of a comment
		Permalink string `json:"permalink"`
	}
	if json.Unmarshal(c.Body, &in) != nil || len(in.JSON.Errors) > 0 {
		return post.Receipt{}, false
	}
	at := post.Instant(a.env.Now())
	switch {
	case isFullID("t3_", in.JSON.Data.Name):
		link := in.JSON.Data.URL
		if !isLink(link) {
			link = "https://www.reddit.com/comments/" + strings.TrimPrefix(in.JSON.Data.Name, "t3_") + "/"
		}
		return post.Receipt{RemoteID: in.JSON.Data.Name, URL: link, At: at}, true
	case isFullID("t1_", in.Name):
		return post.Receipt{RemoteID: in.Name, URL: permalink(in.Permalink), At: at}, true
	}
	return post.Receipt{}, false
}

// isFullID reports whether s is a full id of that kind, such as t3_abc.
func isFullID(kind, s string) bool {
	id, ok := strings.CutPrefix(s, kind)
	return ok && id != "" && len(id) <= 20 && !strings.ContainsAny(id, " /?#%")
}

// permalink is the public address of a path that Reddit gave.
func permalink(path string) string { return "https://www.reddit.com/" + strings.TrimPrefix(path, "/") }

// get makes one read and gives its record. The answer is whole and its status 200, or the error, with fate Absent,
// says why not.
func (a *adapter) get(ctx context.Context, path string, query url.Values) (adapters.Call, error) {
	ctx, flight := adapters.FlightFrom(ctx)
	if query != nil {
		path += "?" + query.Encode()
	}
	q, err := a.client.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return adapters.Call{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "no request could be made", Err: err}
	}
	before := len(flight.Calls())
	var ignored json.RawMessage
	_, err = a.client.Do(ctx, q, &ignored)
	calls := flight.Calls()
	if len(calls) == before || calls[len(calls)-1].Status == 0 {
		if cause := adapters.AsError(err); cause.Fate == adapters.Absent {
			return adapters.Call{}, cause
		}
		return adapters.Call{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "no answer from Reddit", Err: err}
	}
	c := calls[len(calls)-1]
	switch {
	case c.Status != http.StatusOK:
		if c.Status < 300 {
			return c, unreadable(c, "what was asked for")
		}
		return c, classify(c, a.env.Now()).Harmless()
	case !c.Whole:
		return c, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Status: c.Status, Message: "Reddit's answer broke off", Err: c.Err}
	}
	return c, nil
}

// Verify implements [adapters.Verifier].
func (a *adapter) Verify(ctx context.Context) (adapters.Identity, error) {
	token, err := a.tokens.get(ctx, secret.Text{})
	if err != nil {
		return adapters.Identity{}, err
	}
	id, err := a.whose(withToken(ctx, token))
	if err != nil && adapters.AsError(err).Status == http.StatusUnauthorized {
		// Revoked before its time, perhaps: a new one shows.
		next, nerr := a.tokens.get(ctx, token)
		if nerr != nil || next.Equal(token) {
			return adapters.Identity{}, err
		}
		token = next
		id, err = a.whose(withToken(ctx, token))
	}
	if err != nil {
		return adapters.Identity{}, err
	}
	_ = a.owner.Learn(a.env.Account, token, id) // who it is instead is for the scheduler to judge
	return id, nil
}

// whose asks to which user the token of the context belongs.
func (a *adapter) whose(ctx context.Context) (adapters.Identity, error) {
	c, err := a.get(ctx, "api/v1/me", nil)
	if err != nil {
		return adapters.Identity{}, err
	}
	var in struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Suspended bool   `json:"is_suspended"`
	}
	if err := json.Unmarshal(c.Body, &in); err != nil || in.ID == "" || in.Name == "" {
		return adapters.Identity{}, unreadable(c, "naming the account")
	}
	if in.Suspended {
		return adapters.Identity{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Permission, Message: "Reddit has suspended the account"}
	}
	return adapters.Identity{ID: in.Name, Remote: "t2_" + in.ID, Name: in.Name}, nil
}
