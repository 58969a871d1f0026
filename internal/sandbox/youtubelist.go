package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	youtubeMaxPlaylists = 1_000
	youtubeMaxItems     = 5_000 // of one playlist: YouTube's own limit
)

// youtubeItem is an entry of a playlist that is not a channel's uploads. Playlists do not survive a restart.
type youtubeItem struct {
	id, video, owner string
	added            time.Time
}

func viewItem(id, playlist, video, title, owner, added string, parts []string) (map[string]any, *youtubeError) {
	return youtubeParts("youtube#playlistItem", id, map[string]any{
		"snippet": map[string]any{
			"publishedAt": added, "channelId": owner, "title": title, "playlistId": playlist,
			"resourceId": map[string]string{"kind": "youtube#video", "videoId": video},
		},
		"contentDetails": map[string]string{"videoId": video, "videoPublishedAt": added},
		"status":         map[string]string{"privacyStatus": "public"},
	}, parts)
}

// listItems lists a playlist. A channel's uploads, private ones included for their owner, come newest first.
func (y *youtubePlatform) listItems(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part", "playlistId"}, "maxResults", "pageToken", "videoId")
	if fault != nil {
		return fault
	}
	playlist, entries := q.Get("playlistId"), []youtubeItem{}
	switch {
	case strings.HasPrefix(playlist, "UU"):
		i := slices.IndexFunc(y.channels, func(i Identity) bool { return uploadsOf(i.ID) == playlist })
		if i < 0 {
			return playlistGone()
		}
		for _, a := range y.videosOf(y.channels[i].ID) {
			if a.Public || a.Identity == channel.ID {
				entries = append(entries, youtubeItem{id: "UU." + a.RemoteID, video: a.RemoteID, owner: a.Identity, added: uploadedAt(a)})
			}
		}
	case strings.HasPrefix(playlist, "PL"):
		entries = slices.Clone(y.items[playlist])
	default:
		return playlistGone()
	}
	if video := q.Get("videoId"); video != "" {
		entries = slices.DeleteFunc(entries, func(e youtubeItem) bool { return e.video != video })
	}
	from, to, out, fault := youtubePage(q, len(entries), 5, 50)
	if fault != nil {
		return fault
	}
	items := []any{}
	for _, e := range entries[from:to] {
		title := ""
		if a, ok := y.s.find("youtube", e.video); ok {
			title = a.Title
		}
		item, fault := viewItem(e.id, playlist, e.video, title, e.owner, e.added.UTC().Format(time.RFC3339), listOf(q, "part"))
		if fault != nil {
			return fault
		}
		items = append(items, item)
	}
	out["kind"], out["items"] = "youtube#playlistItemListResponse", items
	writeJSON(w, http.StatusOK, out)
	return nil
}

func playlistGone() *youtubeError {
	return youtubeFault(http.StatusNotFound, "playlistNotFound", "The playlist cannot be found.")
}

// insertItem adds a video to a playlist, as often as it is asked to. A playlist is any id that begins with PL; it
// belongs to the channel that used it first.
func (y *youtubePlatform) insertItem(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part"})
	if fault != nil {
		return fault
	}
	var in struct {
		Snippet struct {
			PlaylistID string `json:"playlistId"`
			Position   int    `json:"position"`
			ResourceID struct {
				Kind    string `json:"kind"`
				VideoID string `json:"videoId"`
			} `json:"resourceId"`
		} `json:"snippet"`
	}
	if fault := youtubeBody(r, &in); fault != nil {
		return fault
	}
	playlist, video := in.Snippet.PlaylistID, in.Snippet.ResourceID.VideoID
	a, ok := y.s.find("youtube", video)
	entries := y.items[playlist]
	switch {
	case in.Snippet.ResourceID.Kind != "youtube#video":
		return youtubeFault(http.StatusBadRequest, "invalidResourceType", "The resource type is not supported.")
	case !ok || a.Kind != "video":
		return youtubeFault(http.StatusNotFound, "videoNotFound", "Video not found.")
	case !strings.HasPrefix(playlist, "PL"):
		return playlistGone()
	case len(entries) > 0 && entries[0].owner != channel.ID:
		return youtubeFault(http.StatusForbidden, "playlistItemsNotAccessible", "Forbidden")
	case len(entries) >= youtubeMaxItems || len(entries) == 0 && len(y.items) >= youtubeMaxPlaylists:
		return youtubeFault(http.StatusForbidden, "playlistContainsMaximumNumberOfVideos", "Playlist contains maximum number of videos.")
	}
	e := youtubeItem{id: y.nextID(24), video: video, owner: channel.ID, added: y.s.now()}
	item, fault := viewItem(e.id, playlist, video, a.Title, channel.ID, e.added.UTC().Format(time.RFC3339), listOf(q, "part"))
	if fault != nil {
		return fault
	}
	y.items[playlist] = append(entries, e)
	writeJSON(w, http.StatusOK, item)
	return nil
}

func viewThread(a Act, name string, parts []string) (map[string]any, *youtubeError) {
	at := a.At.UTC().Format(time.RFC3339)
	return youtubeParts("youtube#commentThread", a.RemoteID, map[string]any{
		"snippet": map[string]any{
			"videoId": a.Parent, "channelId": a.Identity, "isPublic": true, "canReply": true, "totalReplyCount": 0,
			"topLevelComment": map[string]any{
				"kind": "youtube#comment", "id": a.RemoteID,
				"snippet": map[string]any{
					"videoId": a.Parent, "textDisplay": a.Text, "textOriginal": a.Text, "publishedAt": at, "updatedAt": at,
					"authorDisplayName": name, "authorChannelId": map[string]string{"value": a.Identity},
				},
			},
		},
	}, parts)
}

// insertThread comments on a video that is not private.
func (y *youtubePlatform) insertThread(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part"})
	if fault != nil {
		return fault
	}
	var in struct {
		Snippet struct {
			ChannelID       string `json:"channelId"`
			VideoID         string `json:"videoId"`
			TopLevelComment struct {
				Snippet struct {
					TextOriginal string `json:"textOriginal"`
				} `json:"snippet"`
			} `json:"topLevelComment"`
		} `json:"snippet"`
	}
	if fault := youtubeBody(r, &in); fault != nil {
		return fault
	}
	video, ok := y.s.find("youtube", in.Snippet.VideoID)
	text := in.Snippet.TopLevelComment.Snippet.TextOriginal
	switch {
	case !ok || video.Kind != "video":
		return youtubeFault(http.StatusNotFound, "videoNotFound", "The video identified by videoId could not be found.")
	case !video.Public:
		return youtubeFault(http.StatusForbidden, "commentsDisabled", "The video has disabled comments.")
	case strings.TrimSpace(text) == "":
		return youtubeFault(http.StatusBadRequest, "commentTextRequired", "The request must specify the textOriginal property.")
	case len([]rune(text)) > 10_000:
		return youtubeFault(http.StatusBadRequest, "commentTextTooLong", "The comment text is too long.")
	case !slices.Contains(listOf(q, "part"), "snippet"):
		return youtubeFault(http.StatusBadRequest, "required", "Required part: snippet")
	}
	id := "Ugw" + y.nextID(23)
	a, err := y.s.publish(r.Context(), Act{
		Platform: "youtube", Identity: channel.ID, RemoteID: id, Kind: "comment", Parent: video.RemoteID, Text: text,
		URL: video.URL + "&lc=" + id, Public: true,
	})
	if err != nil {
		return y.broken(err)
	}
	item, fault := viewThread(a, channel.Name, listOf(q, "part"))
	if fault != nil {
		return fault
	}
	writeJSON(w, http.StatusOK, item)
	return nil
}

// listThreads lists the comments on a video, newest first.
func (y *youtubePlatform) listThreads(w http.ResponseWriter, r *http.Request, _ Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part", "videoId"}, "maxResults", "pageToken", "order", "textFormat", "searchTerms")
	if fault != nil {
		return fault
	}
	video, ok := y.s.find("youtube", q.Get("videoId"))
	if !ok || video.Kind != "video" {
		return youtubeFault(http.StatusNotFound, "videoNotFound", "The video identified by videoId could not be found.")
	}
	list := slices.DeleteFunc(y.s.listed("youtube", ""), func(a Act) bool { return a.Kind != "comment" || a.Parent != video.RemoteID })
	slices.Reverse(list)
	from, to, out, fault := youtubePage(q, len(list), 20, 100)
	if fault != nil {
		return fault
	}
	items := []any{}
	for _, a := range list[from:to] {
		name := ""
		if i := slices.IndexFunc(y.channels, func(i Identity) bool { return i.ID == a.Identity }); i >= 0 {
			name = y.channels[i].Name
		}
		item, fault := viewThread(a, name, listOf(q, "part"))
		if fault != nil {
			return fault
		}
		items = append(items, item)
	}
	out["kind"], out["items"] = "youtube#commentThreadListResponse", items
	writeJSON(w, http.StatusOK, out)
	return nil
}
