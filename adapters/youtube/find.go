package youtube

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
	yt "google.golang.org/api/youtube/v3"

	"crier/adapters"
	"crier/internal/post"
)

const (
	// slack is how much earlier than the attempt a video or a comment may be dated.
	slack = 2 * time.Minute
	// maxPages bounds one look. A listing that is longer since then has not been read to the end.
	maxPages = 20
)

// Find implements [adapters.Adapter]. The video is known by the id of its upload, a comment by its text and its
// author. A thumbnail cannot be read back; it is set again, which changes nothing.
func (a *adapter) Find(ctx context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	switch r.Role {
	case post.RolePost:
		if id := videoID(r); id != "" {
			return a.findVideo(ctx, r, id)
		}
		return a.findListed(ctx, r, since)
	case post.RoleComment:
		if remoteID(r.Root.RemoteID) {
			return a.findComment(ctx, r, since)
		}
	case post.RoleFollowUp:
		return adapters.Look{Sight: adapters.Never, Detail: "the thumbnail cannot be read back: setting it again changes nothing"}, nil
	case post.RoleReply:
	}
	return adapters.Look{Sight: adapters.Never, Detail: "a video has no part of this kind"}, nil
}

// findVideo asks for the uploaded video. The commit names it, so that nothing else can be what came of it.
func (a *adapter) findVideo(ctx context.Context, r adapters.Request, id string) (adapters.Look, error) {
	v, err := a.fetch(ctx, id)
	switch {
	case err != nil:
		return adapters.Look{}, err
	case v == nil:
		return adapters.Look{Detail: "the uploaded video is not there"}, nil
	case r.Taken != nil && r.Taken(id):
		return adapters.Look{Detail: "the uploaded video is that of another delivery"}, nil
	case v.Status.PrivacyStatus == "private" && readOptions(r.Content.Options).Privacy != "private":
		return adapters.Look{Detail: "the uploaded video is still private"}, nil
	case v.Status.PrivacyStatus == "":
		return adapters.Look{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "YouTube did not say who may see the video"}
	case takenOut(v):
		// It will not be out. The commit, sent again, is told why.
		return adapters.Look{Sight: adapters.Never, Detail: "the uploaded video is " + cut(v.Status.UploadStatus)}, nil
	case v.Status.PrivacyStatus != readOptions(r.Content.Options).Privacy:
		return adapters.Look{Sight: adapters.Ambiguous, Detail: "the uploaded video is " + cut(v.Status.PrivacyStatus) + ", which was not asked for"}, nil
	}
	return found(v, a.now(), "the uploaded video is "+cut(v.Status.PrivacyStatus)), nil
}

// fetch reads one video of the channel; nil when there is none.
func (a *adapter) fetch(ctx context.Context, id string) (*yt.Video, error) {
	var list yt.VideoListResponse
	err := a.ask(ctx, &list, func(ctx context.Context) error {
		_, err := a.service.Videos.List([]string{"snippet", "status"}).Id(id).Context(ctx).Do()
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, v := range list.Items {
		if v == nil || v.Id != id {
			continue
		}
		if v.Status == nil {
			return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "YouTube did not say how the video is"}
		}
		return v, nil
	}
	return nil, nil //nolint:nilnil // There is no such video, and that is no error.
}

func found(v *yt.Video, now time.Time, detail string) adapters.Look {
	receipt := post.Receipt{RemoteID: v.Id, URL: watch(v.Id), At: now.UTC()}
	if v.Snippet != nil {
		if at, err := time.Parse(time.RFC3339, v.Snippet.PublishedAt); err == nil {
			receipt.At = at.UTC()
		}
	}
	return adapters.Look{Sight: adapters.Found, Receipt: receipt, Detail: detail}
}

// findListed looks for a video whose upload nobody remembers any more, among the uploads of the channel.
func (a *adapter) findListed(ctx context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	playlist, err := a.uploads(ctx)
	if err != nil {
		return adapters.Look{}, err
	}
	ids, err := a.listed(ctx, playlist, since.Add(-slack))
	if err != nil {
		return adapters.Look{}, err
	}
	want := readOptions(r.Content.Options).Privacy
	title, text := normalise(r.Content.Title), normalise(description(r.Content))
	var like []*yt.Video
	for _, id := range ids {
		if r.Taken != nil && r.Taken(id) {
			continue
		}
		v, err := a.fetch(ctx, id)
		if err != nil {
			return adapters.Look{}, err
		}
		if v == nil || v.Snippet == nil || takenOut(v) || v.Status.PrivacyStatus == "private" && want != "private" {
			continue
		}
		if normalise(v.Snippet.Title) == title && normalise(v.Snippet.Description) == text {
			like = append(like, v)
		}
	}
	switch len(like) {
	case 0:
		return adapters.Look{Detail: "no such video is among the uploads of the channel"}, nil
	case 1:
		if is := like[0].Status.PrivacyStatus; is != want {
			return adapters.Look{Sight: adapters.Ambiguous, Detail: "such a video is " + cut(is) + ", which was not asked for"}, nil
		}
		return found(like[0], a.now(), "it is among the uploads of the channel"), nil
	}
	return adapters.Look{Sight: adapters.Ambiguous, Detail: "several such videos are among the uploads of the channel"}, nil
}

// uploads gives the playlist of all that the channel has uploaded.
func (a *adapter) uploads(ctx context.Context) (string, error) {
	var list yt.ChannelListResponse
	err := a.ask(ctx, &list, func(ctx context.Context) error {
		_, err := a.service.Channels.List([]string{"contentDetails"}).Mine(true).Context(ctx).Do()
		return err
	})
	if err != nil {
		return "", err
	}
	for _, c := range list.Items {
		if c != nil && c.Id == a.channel && c.ContentDetails != nil && c.ContentDetails.RelatedPlaylists != nil {
			return c.ContentDetails.RelatedPlaylists.Uploads, nil
		}
	}
	return "", &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "YouTube did not name the uploads of the channel"}
}

// listed gives the ids of a playlist, newest first, back to the first page that is older than from as a whole.
func (a *adapter) listed(ctx context.Context, playlist string, from time.Time) ([]string, error) {
	var ids []string
	page := ""
	for range maxPages {
		var list yt.PlaylistItemListResponse
		err := a.ask(ctx, &list, func(ctx context.Context) error {
			call := a.service.PlaylistItems.List([]string{"snippet"}).PlaylistId(playlist).MaxResults(50).Context(ctx)
			if page != "" {
				call.PageToken(page)
			}
			_, err := call.Do()
			return err
		})
		if err != nil {
			return nil, err
		}
		old := true
		for _, item := range list.Items {
			if item == nil || item.Snippet == nil || item.Snippet.ResourceId == nil || before(item.Snippet.PublishedAt, from) {
				continue
			}
			old = false
			if id := item.Snippet.ResourceId.VideoId; remoteID(id) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		if page = list.NextPageToken; old || page == "" {
			return ids, nil
		}
	}
	return nil, tooLong()
}

// findComment looks for the comment among those of the channel on its video.
func (a *adapter) findComment(ctx context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	text := normalise(r.Content.FirstComment)
	var like []post.Receipt
	page := ""
	for range maxPages {
		var list yt.CommentThreadListResponse
		err := a.ask(ctx, &list, func(ctx context.Context) error {
			call := a.service.CommentThreads.List([]string{"snippet"}).VideoId(r.Root.RemoteID).Order("time").
				TextFormat("plainText").MaxResults(100).Context(ctx)
			if page != "" {
				call.PageToken(page)
			}
			_, err := call.Do()
			return err
		})
		if err != nil {
			return adapters.Look{}, ofRead(err)
		}
		old := true
		for _, thread := range list.Items {
			c := top(thread)
			if c == nil || before(c.PublishedAt, since.Add(-slack)) {
				continue
			}
			old = false
			said := c.TextOriginal // only its author is shown it
			if said == "" {
				said = c.TextDisplay
			}
			ours := c.AuthorChannelId == nil || c.AuthorChannelId.Value == a.channel
			if !ours || normalise(said) != text || !remoteID(thread.Id) || r.Taken != nil && r.Taken(thread.Id) {
				continue
			}
			at, err := time.Parse(time.RFC3339, c.PublishedAt)
			if err != nil {
				at = a.now()
			}
			like = append(like, commentReceipt(r.Root.RemoteID, thread.Id, at))
		}
		if page = list.NextPageToken; !old && page != "" {
			continue
		}
		switch len(like) {
		case 0:
			return adapters.Look{Detail: "the comment is not listed"}, nil
		case 1:
			return adapters.Look{Sight: adapters.Found, Receipt: like[0], Detail: "the comment is listed"}, nil
		}
		return adapters.Look{Sight: adapters.Ambiguous, Detail: "several such comments are listed"}, nil
	}
	return adapters.Look{}, tooLong()
}

// top gives the comment that begins a thread, or nil.
func top(t *yt.CommentThread) *yt.CommentSnippet {
	if t == nil || t.Snippet == nil || t.Snippet.TopLevelComment == nil {
		return nil
	}
	return t.Snippet.TopLevelComment.Snippet
}

// ofRead keeps a refused read of comments from stopping the channel.
func ofRead(err error) error {
	return ofPart(adapters.AsError(err))
}

// before reports whether a stated time is before from. A time that cannot be read is not.
func before(stated string, from time.Time) bool {
	at, err := time.Parse(time.RFC3339, stated)
	return err == nil && at.Before(from)
}

func tooLong() *adapters.Error {
	return &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the listing is too long to be read back to the attempt",
	}
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
