// Package youtube publishes videos to a YouTube channel through the Data API v3, sets their thumbnail and writes the
// first comment.
//
// The video is uploaded as private ahead of time; the commit is one videos.update that gives it the privacy asked
// for. The official library serves for types and small calls; the upload is our own, since the library's cannot go on
// in a new process and takes a lost last answer for a failure, which ends in a second video.
package youtube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/api/option"
	yt "google.golang.org/api/youtube/v3"

	"crier/adapters"
	"crier/internal/post"
)

// Driver makes adapters of YouTube channels.
func Driver() adapters.Driver { return driver(chunkBytes) }

// driver is [Driver] for uploads in chunks of that many bytes.
func driver(chunk int64) adapters.Driver {
	return adapters.Driver{
		Platform:      post.YouTube,
		Open:          func(env adapters.Env) (adapters.Adapter, error) { return open(env, chunk) },
		Settings:      checkSettings,
		Credentials:   []string{"refresh_token"},
		Capabilities:  capabilities,
		Looks:         []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute},
		CommitTimeout: 30 * time.Second,
	}
}

// adapter publishes to one channel. All that changes in it is the access token at hand; it is safe for concurrent use.
type adapter struct {
	channel  string // the channel's id
	settings settings
	tokens   *tokens
	client   *http.Client // bears the access token
	service  *yt.Service  // over client
	now      func() time.Time
	pacific  *time.Location
	chunk    int64 // the bytes that one request of an upload carries
	account  post.Account
	owner    adapters.Owner
}

var (
	_ adapters.Adapter     = (*adapter)(nil)
	_ adapters.TextCounter = (*adapter)(nil)
	_ adapters.Verifier    = (*adapter)(nil)
	_ adapters.Preparer    = (*adapter)(nil)
	_ adapters.Refresher   = (*adapter)(nil)
)

func open(env adapters.Env, chunk int64) (adapters.Adapter, error) {
	s, clientSecret, err := decodeSettings(env)
	if err != nil {
		return nil, err
	}
	recorder := &adapters.Recorder{Base: env.Base, Now: env.Now}
	t := &tokens{
		url: s.TokenURL, id: s.ClientID, secret: clientSecret, credentials: env.Credentials,
		client: adapters.Client(recorder), now: env.Now, turn: make(chan struct{}, 1),
	}
	client := adapters.Client(&bearer{base: recorder, tokens: t})
	// With a client of our own the library opens nothing; the context would only serve a login of its own.
	service, err := yt.NewService(context.Background(), option.WithHTTPClient(client), option.WithEndpoint(s.APIURL+"/"))
	if err != nil {
		return nil, fmt.Errorf("youtube: make the client: %w", err)
	}
	return &adapter{
		channel: env.Account.Identity, settings: s, tokens: t, client: client, service: service, now: env.Now,
		pacific: pacific(), chunk: chunk, account: env.Account,
	}, nil
}

// Platform implements [adapters.Adapter].
func (a *adapter) Platform() post.Platform { return post.YouTube }

// Refresh implements [adapters.Refresher].
func (a *adapter) Refresh(ctx context.Context) error { return a.tokens.renew(ctx) }

// Verify implements [adapters.Verifier].
func (a *adapter) Verify(ctx context.Context) (adapters.Identity, error) {
	if err := a.tokens.fresh(ctx); err != nil {
		return adapters.Identity{}, err
	}
	token := a.tokens.atHand()
	id, err := a.whose(withToken(ctx, token))
	if err != nil && adapters.AsError(err).Status == http.StatusUnauthorized {
		// Revoked before its time, perhaps: a new one shows.
		if a.tokens.replace(ctx, token) != nil || a.tokens.atHand().Equal(token) {
			return adapters.Identity{}, err
		}
		token = a.tokens.atHand()
		id, err = a.whose(withToken(ctx, token))
	}
	if err != nil {
		return adapters.Identity{}, err
	}
	_ = a.owner.Learn(a.account, token, id) // who it is instead is for the scheduler to judge
	return id, nil
}

// whose asks to which channel the token of the context belongs.
func (a *adapter) whose(ctx context.Context) (adapters.Identity, error) {
	var list yt.ChannelListResponse
	err := a.ask(ctx, &list, func(ctx context.Context) error {
		_, err := a.service.Channels.List([]string{"id", "snippet"}).Mine(true).Context(ctx).Do()
		return err
	})
	if err != nil {
		return adapters.Identity{}, err
	}
	for _, c := range list.Items {
		if c != nil && c.Id != "" {
			id := adapters.Identity{ID: c.Id, Remote: c.Id}
			if c.Snippet != nil {
				id.Name = c.Snippet.Title
			}
			return id, nil
		}
	}
	return adapters.Identity{}, &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Auth, Message: "the Google account behind the token has no channel",
	}
}

// Publish implements [adapters.Adapter].
func (a *adapter) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	// A commit is never replayed, so that its token has to be good before. It goes out with the token that YouTube was
	// asked about, and with no other.
	if err := a.tokens.fresh(ctx); err != nil {
		return post.Receipt{}, err
	}
	token := a.tokens.atHand()
	ctx = withToken(ctx, token)
	if e := a.owner.Ask(a.account, token, func() (adapters.Identity, error) { return a.whose(ctx) }); e != nil {
		return post.Receipt{}, e
	}
	switch r.Role {
	case post.RolePost:
		return a.show(ctx, r)
	case post.RoleFollowUp:
		return a.setThumbnail(ctx, r)
	case post.RoleComment:
		return a.comment(ctx, r)
	case post.RoleReply:
	}
	return post.Receipt{}, &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Refused, Message: "a video has no part of this kind",
	}
}

// show gives the uploaded video the privacy asked for. An update deletes what it leaves out, so that it says all
// again that the upload has said.
func (a *adapter) show(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	id := videoID(r)
	if id == "" {
		return post.Receipt{}, &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the video has not been uploaded",
		}
	}
	want := readOptions(r.Content.Options)
	v := video(r.Content, want.Privacy)
	v.Id = id
	call, err := a.commit(ctx, func(ctx context.Context) error {
		_, err := a.service.Videos.Update([]string{"snippet", "status"}, v).Context(ctx).Do()
		return err
	})
	if err != nil {
		return post.Receipt{}, err
	}
	var got yt.Video
	if !succeeded(call) || json.Unmarshal(call.Body, &got) != nil || got.Id != id || got.Status == nil {
		e := a.fault(call, true)
		if e.Code == "videoNotFound" && e.Fate == adapters.Absent {
			e.Reason, e.Message = adapters.Prepare, "the uploaded video is no longer there"
		}
		return post.Receipt{}, e
	}
	return a.shown(&got, want.Privacy)
}

// shown reads from a video resource whether the video is out as it was asked for.
func (a *adapter) shown(v *yt.Video, privacy string) (post.Receipt, error) {
	if takenOut(v) {
		return post.Receipt{}, &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Refused, Status: http.StatusOK,
			Code:    cut(v.Status.RejectionReason + v.Status.FailureReason),
			Message: "YouTube did not accept the video: it is " + v.Status.UploadStatus,
		}
	}
	switch v.Status.PrivacyStatus {
	case privacy:
		return post.Receipt{RemoteID: v.Id, URL: watch(v.Id), At: a.now().UTC()}, nil
	case "private":
		return post.Receipt{}, &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Permission, Status: http.StatusOK, Code: "locked_private",
			Message: "YouTube keeps the video private: the API project is not audited. Ask Google for the audit, or change the privacy in YouTube Studio",
		}
	}
	return post.Receipt{}, &adapters.Error{
		Fate: adapters.Unknown, Reason: adapters.Protocol, Status: http.StatusOK, Message: "YouTube answered another privacy than was asked for",
	}
}

// takenOut reports whether YouTube has taken the video out: it is shown to nobody, whatever its privacy.
func takenOut(v *yt.Video) bool {
	switch v.Status.UploadStatus {
	case "failed", "rejected", "deleted":
		return true
	}
	return false
}

// comment writes the first comment.
func (a *adapter) comment(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	if !remoteID(r.Root.RemoteID) {
		return post.Receipt{}, noVideo()
	}
	thread := &yt.CommentThread{Snippet: &yt.CommentThreadSnippet{
		VideoId:         r.Root.RemoteID,
		TopLevelComment: &yt.Comment{Snippet: &yt.CommentSnippet{TextOriginal: r.Content.FirstComment}},
	}}
	call, err := a.commit(ctx, func(ctx context.Context) error {
		_, err := a.service.CommentThreads.Insert([]string{"snippet"}, thread).Context(ctx).Do()
		return err
	})
	if err != nil {
		return post.Receipt{}, err
	}
	var got struct {
		ID string `json:"id"`
	}
	if !succeeded(call) || json.Unmarshal(call.Body, &got) != nil || !remoteID(got.ID) {
		return post.Receipt{}, ofPart(a.fault(call, true))
	}
	return commentReceipt(r.Root.RemoteID, got.ID, a.now()), nil
}

func commentReceipt(video, id string, at time.Time) post.Receipt {
	return post.Receipt{RemoteID: id, URL: watch(video) + "&lc=" + url.QueryEscape(id), At: at.UTC()}
}

func noVideo() *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the video of this part has no id"}
}

// commit makes the one request that do makes, and gives its record. The error says that no answer came.
func (a *adapter) commit(ctx context.Context, do func(context.Context) error) (adapters.Call, error) {
	return a.call(adapters.AsCommit(ctx), do)
}

// ask makes a read and decodes its answer into v. Anything but a whole success is an error.
func (a *adapter) ask(ctx context.Context, v any, do func(context.Context) error) error {
	call, err := a.call(ctx, do)
	if err != nil {
		return err
	}
	var head struct {
		Kind string `json:"kind"`
	}
	// An answer that does not say what it is, such as {}, must not pass for an empty list.
	if !succeeded(call) || json.Unmarshal(call.Body, &head) != nil || head.Kind == "" || json.Unmarshal(call.Body, v) != nil {
		return a.fault(call, false)
	}
	return nil
}

// call runs do, which makes one request, and gives that request's record. What the library concludes from the answer
// is not looked at.
func (a *adapter) call(ctx context.Context, do func(context.Context) error) (adapters.Call, error) {
	ctx, flight := adapters.FlightFrom(ctx)
	before := len(flight.Calls())
	err := withoutURL(do(ctx))
	// A failure to get a token: nothing was asked of the API.
	if e, ok := errors.AsType[*adapters.Error](err); ok {
		return adapters.Call{}, e
	}
	calls := flight.Calls()[before:]
	if len(calls) == 0 {
		return adapters.Call{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "no request was made", Err: err}
	}
	if e := flight.NotSent(err, adapters.IsCommit(ctx)); e != nil {
		return adapters.Call{}, e
	}
	return calls[len(calls)-1], nil
}

// withoutURL drops the address from a transport's error: that of an upload is a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// succeeded reports whether the answer came whole with a status of success. An id in it is then proof.
func succeeded(c adapters.Call) bool { return c.Status >= 200 && c.Status < 300 && c.Whole }

// watch is the public address of a video.
func watch(id string) string { return "https://www.youtube.com/watch?v=" + url.QueryEscape(id) }

// remoteID reports whether s may be an id of YouTube.
func remoteID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && r != '-' && r != '_' && r != '.'
	})
}
