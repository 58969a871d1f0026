// Package facebook publishes to Facebook Pages through the Graph API: posts of text, a link or photos, and a first
// comment. Personal profiles cannot be posted to by any API.
//
// Photos are uploaded unpublished ahead of time; the commit is one POST to the Page's feed that names them.
package facebook

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	fb "github.com/huandu/facebook/v2"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/secret"
)

// Driver makes adapters of Facebook Pages.
func Driver() adapters.Driver {
	return adapters.Driver{
		Platform:     post.Facebook,
		Open:         open,
		Settings:     checkSettings,
		Credentials:  []string{pageToken},
		Capabilities: capabilities,
		// Graph lists a new post late now and then, and has answered 500 for posts that were live.
		Looks:         []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute},
		CommitTimeout: 30 * time.Second,
	}
}

// adapter publishes to one Page. All that changes in it is which token is known; it is safe for concurrent use.
type adapter struct {
	page        string // the Page's id
	settings    settings
	appSecret   secret.Text // absent: calls carry no proof of it
	credentials adapters.Credentials
	client      *http.Client
	now         func() time.Time
	account     post.Account
	owner       adapters.Owner
}

var (
	_ adapters.Adapter     = (*adapter)(nil)
	_ adapters.TextCounter = (*adapter)(nil)
	_ adapters.Verifier    = (*adapter)(nil)
	_ adapters.Preparer    = (*adapter)(nil)
)

func open(env adapters.Env) (adapters.Adapter, error) {
	s, appSecret, err := decodeSettings(env)
	if err != nil {
		return nil, err
	}
	return &adapter{
		page:        env.Account.Identity,
		settings:    s,
		appSecret:   appSecret,
		credentials: env.Credentials,
		client:      adapters.Client(&adapters.Recorder{Base: env.Base, Now: env.Now}),
		now:         env.Now,
		account:     env.Account,
	}, nil
}

// Platform implements [adapters.Adapter].
func (a *adapter) Platform() post.Platform { return post.Facebook }

// Publish implements [adapters.Adapter]: one POST that makes the post or the comment public.
func (a *adapter) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	path, params, err := a.commit(r)
	if err != nil {
		return post.Receipt{}, err
	}
	g, err := a.graph(ctx)
	if err != nil {
		return post.Receipt{}, err
	}
	if e := a.owner.Ask(a.account, g.token, func() (adapters.Identity, error) { return g.whose(ctx) }); e != nil {
		return post.Receipt{}, e
	}
	g.hidden = append(g.hidden, r.Content.Text, r.Content.FirstComment)
	answer, err := g.call(adapters.AsCommit(ctx), fb.POST, path, params)
	if err != nil {
		return post.Receipt{}, err
	}
	if receipt, ok := a.receipt(answer.object); ok && answer.succeeded() {
		return receipt, nil
	}
	fault := g.fault(answer, true)
	if fault.Fate == adapters.Absent && fault.Code == codeGone && len(r.Attachments()) > 0 {
		fault.Reason = adapters.Prepare // an uploaded photo is no longer there
	}
	return post.Receipt{}, fault
}

// commit gives path and parameters of the one request that makes the part public.
func (a *adapter) commit(r adapters.Request) (path string, params fb.Params, err error) {
	// With fields, Graph answers a write like a read of what it wrote.
	params = fb.Params{"fields": "id,permalink_url,created_time"}
	switch r.Role {
	case post.RolePost:
		text, link := words(r.Content)
		if text != "" {
			params["message"] = text
		}
		if link != "" {
			params["link"] = link
		}
		params["published"] = "true"
		for i := range r.Content.Media {
			id := photoID(r, i)
			if id == "" {
				return "", nil, &adapters.Error{
					Fate: adapters.Absent, Reason: adapters.Prepare,
					Message: "photo " + strconv.Itoa(i+1) + " has not been uploaded",
				}
			}
			// The indexed keys are the documented form of the list.
			params["attached_media["+strconv.Itoa(i)+"]"] = `{"media_fbid":"` + id + `"}`
		}
		return a.page + "/feed", params, nil
	case post.RoleComment:
		if !graphID(r.Root.RemoteID) {
			return "", nil, &adapters.Error{
				Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the post to comment on has no id",
			}
		}
		params["message"] = r.Content.FirstComment
		return r.Root.RemoteID + "/comments", params, nil
	case post.RoleReply, post.RoleFollowUp:
	}
	return "", nil, &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Refused, Message: "a Page post has no part of this kind",
	}
}

// words gives the message and the link attachment of a post. Graph takes photos or a link attachment, not both;
// beside photos the link stands under the text.
func words(c post.Content) (text, link string) {
	if c.Link == "" || len(c.Media) == 0 {
		return c.Text, c.Link
	}
	if c.Text == "" {
		return c.Link, ""
	}
	return c.Text + "\n\n" + c.Link, ""
}

// receipt reads the proof of a post or comment: an object that names it.
func (a *adapter) receipt(o object) (post.Receipt, bool) {
	id := o.text("id")
	if !graphID(id) {
		return post.Receipt{}, false
	}
	r := post.Receipt{RemoteID: id, URL: o.text("permalink_url"), At: a.now().UTC()}
	if u, err := url.Parse(r.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		r.URL = "https://www.facebook.com/" + id
	}
	if at, ok := graphTime(o.text("created_time")); ok {
		r.At = at
	}
	return r, true
}

// Verify implements [adapters.Verifier]: with a Page's token, /me is the Page.
func (a *adapter) Verify(ctx context.Context) (adapters.Identity, error) {
	g, err := a.graph(ctx)
	if err != nil {
		return adapters.Identity{}, err
	}
	id, err := g.whose(ctx)
	if err != nil {
		return adapters.Identity{}, err
	}
	_ = a.owner.Learn(a.account, g.token, id) // who it is instead is for the scheduler to judge
	return id, nil
}

// whose asks to which Page the token belongs.
func (g *graph) whose(ctx context.Context) (adapters.Identity, error) {
	answer, err := g.call(ctx, fb.GET, "me", fb.Params{"fields": "id,name"})
	if err != nil {
		return adapters.Identity{}, err
	}
	id := answer.object.text("id")
	if !answer.succeeded() || !graphID(id) {
		return adapters.Identity{}, g.fault(answer, false)
	}
	return adapters.Identity{ID: id, Remote: id, Name: answer.object.text("name")}, nil
}
