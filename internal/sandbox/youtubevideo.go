package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Names in Act.Raw of a video.
const (
	rawVideo    = "video" // JSON of youtubeVideo
	rawSize     = "size"
	rawFile     = "file_name"
	rawUploaded = "uploaded_at"
	rawJudged   = "upload_status" // what YouTube said after the upload; empty: processed
	rawWhy      = "judged_for"
)

// youtubeVideo is the writable part of a video resource. What a client may send back of a resource that it read, and
// what changes nothing, is accepted as it is and dropped.
type youtubeVideo struct {
	ID      string          `json:"id,omitempty"`
	Kind    string          `json:"kind,omitempty"`
	ETag    string          `json:"etag,omitempty"`
	Snippet *youtubeSnippet `json:"snippet,omitempty"`
	Status  *youtubeStatus  `json:"status,omitempty"`

	ContentDetails    json.RawMessage `json:"contentDetails,omitempty"`
	FileDetails       json.RawMessage `json:"fileDetails,omitempty"`
	ProcessingDetails json.RawMessage `json:"processingDetails,omitempty"`
	Statistics        json.RawMessage `json:"statistics,omitempty"`
	RecordingDetails  json.RawMessage `json:"recordingDetails,omitempty"`
	Localizations     json.RawMessage `json:"localizations,omitempty"`
}

type youtubeSnippet struct {
	Title                string   `json:"title,omitempty"`
	Description          string   `json:"description,omitempty"`
	Tags                 []string `json:"tags,omitempty"`
	CategoryID           string   `json:"categoryId,omitempty"`
	DefaultLanguage      string   `json:"defaultLanguage,omitempty"`
	DefaultAudioLanguage string   `json:"defaultAudioLanguage,omitempty"`
	PublishedAt          string   `json:"publishedAt,omitempty"`
	ChannelID            string   `json:"channelId,omitempty"`
	ChannelTitle         string   `json:"channelTitle,omitempty"`
	LiveBroadcastContent string   `json:"liveBroadcastContent,omitempty"`

	Thumbnails json.RawMessage `json:"thumbnails,omitempty"`
	Localized  json.RawMessage `json:"localized,omitempty"`
}

type youtubeStatus struct {
	PrivacyStatus           string `json:"privacyStatus,omitempty"`
	PublishAt               string `json:"publishAt,omitempty"`
	License                 string `json:"license,omitempty"`
	UploadStatus            string `json:"uploadStatus,omitempty"`
	FailureReason           string `json:"failureReason,omitempty"`
	RejectionReason         string `json:"rejectionReason,omitempty"`
	Embeddable              *bool  `json:"embeddable,omitempty"`
	PublicStatsViewable     *bool  `json:"publicStatsViewable,omitempty"`
	MadeForKids             *bool  `json:"madeForKids,omitempty"`
	SelfDeclaredMadeForKids *bool  `json:"selfDeclaredMadeForKids,omitempty"`
	ContainsSyntheticMedia  *bool  `json:"containsSyntheticMedia,omitempty"`
}

// prepare drops what the named parts do not cover, fills in YouTube's defaults and checks the rest.
func (v *youtubeVideo) prepare(parts []string, now time.Time) *youtubeError {
	kept := youtubeVideo{Snippet: &youtubeSnippet{}, Status: &youtubeStatus{}}
	if slices.Contains(parts, "snippet") && v.Snippet != nil {
		kept.Snippet = v.Snippet
	}
	if slices.Contains(parts, "status") && v.Status != nil {
		kept.Status = v.Status
	}
	*v = kept
	v.Snippet.Thumbnails, v.Snippet.Localized = nil, nil
	v.Snippet.CategoryID = cmp.Or(v.Snippet.CategoryID, "22")
	v.Status.PrivacyStatus = cmp.Or(v.Status.PrivacyStatus, "public")
	v.Status.License = cmp.Or(v.Status.License, "youtube")
	if fault := v.Snippet.check(); fault != nil {
		return fault
	}
	return v.Status.check(now)
}

func (s *youtubeSnippet) check() *youtubeError {
	tags := 0
	for i, tag := range s.Tags {
		tags += utf8.RuneCountInString(tag)
		if strings.Contains(tag, " ") {
			tags += 2
		}
		if i > 0 {
			tags++
		}
	}
	switch {
	case strings.TrimSpace(s.Title) == "" || utf8.RuneCountInString(s.Title) > 100 || strings.ContainsAny(s.Title, "<>"):
		return youtubeFault(http.StatusBadRequest, "invalidTitle", "The request metadata specifies an invalid or empty video title.")
	case len(s.Description) > 5000 || strings.ContainsAny(s.Description, "<>"):
		return youtubeFault(http.StatusBadRequest, "invalidDescription", "The request metadata specifies an invalid video description.")
	case tags > 500:
		return youtubeFault(http.StatusBadRequest, "invalidTags", "The request metadata specifies invalid video keywords.")
	case strings.Trim(s.CategoryID, "0123456789") != "":
		return youtubeFault(http.StatusBadRequest, "invalidCategoryId", "The request metadata specifies an invalid category.")
	}
	return nil
}

func (s *youtubeStatus) check(now time.Time) *youtubeError {
	if !slices.Contains([]string{"public", "unlisted", "private"}, s.PrivacyStatus) {
		return youtubeFault(http.StatusBadRequest, "invalidVideoMetadata", "Invalid value for privacyStatus: "+s.PrivacyStatus)
	}
	if !slices.Contains([]string{"youtube", "creativeCommon"}, s.License) {
		return youtubeFault(http.StatusBadRequest, "invalidVideoMetadata", "Invalid value for license: "+s.License)
	}
	if s.PublishAt == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, s.PublishAt)
	if err != nil || s.PrivacyStatus != "private" {
		return youtubeFault(http.StatusBadRequest, "invalidPublishAt", "The request metadata specifies an invalid scheduled publishing time.")
	}
	if !at.After(now) { // a time that has passed publishes at once
		s.PrivacyStatus, s.PublishAt = "public", ""
	}
	return nil
}

func videoOf(a Act) youtubeVideo {
	var v youtubeVideo
	// What cannot be read was not written here; such a video shows empty.
	_ = json.Unmarshal([]byte(a.Raw[rawVideo]), &v)
	if v.Snippet == nil {
		v.Snippet = &youtubeSnippet{}
	}
	if v.Status == nil {
		v.Status = &youtubeStatus{PrivacyStatus: "private"}
	}
	return v
}

func uploadedAt(a Act) time.Time {
	at, err := time.Parse(time.RFC3339Nano, a.Raw[rawUploaded])
	if err != nil {
		return a.At
	}
	return at
}

// videosOf lists a channel's videos as listings show them, newest upload first.
func (y *youtubePlatform) videosOf(channel string) []Act {
	list := slices.DeleteFunc(y.s.listed("youtube", channel), func(a Act) bool { return a.Kind != "video" })
	slices.Reverse(list)
	return list
}

// settle makes public what was scheduled for a time that has passed. It runs before every call with a token: the
// record shows such a video as public from the first call after its time on.
func (y *youtubePlatform) settle() error {
	now := y.s.now()
	due := y.s.record.list(func(a Act, _ time.Time) bool {
		return a.Platform == "youtube" && a.Kind == "video" && !a.Deleted && !a.Public && strings.Contains(a.Raw[rawVideo], `"publishAt"`)
	})
	for _, a := range due {
		v := videoOf(a)
		at, err := time.Parse(time.RFC3339, v.Status.PublishAt)
		if err != nil || at.After(now) || y.locked(a.Identity) {
			continue
		}
		v.Status.PrivacyStatus, v.Status.PublishAt = "public", ""
		if err := y.change(a.RemoteID, v, at); err != nil {
			return err
		}
	}
	return nil
}

// change writes a video's new resource into its act.
func (y *youtubePlatform) change(id string, v youtubeVideo, at time.Time) error {
	var failed error
	_, _, err := y.s.amend("youtube", id, func(a *Act) { failed = v.store(a, at) })
	return cmp.Or(err, failed)
}

// locked reports whether the channel's project keeps every video private because it is not audited.
func (y *youtubePlatform) locked(channel string) bool {
	return slices.ContainsFunc(y.channels, func(i Identity) bool {
		return i.ID == channel && i.Credentials["unaudited"] == "true"
	})
}

// own returns a video that the channel may change.
func (y *youtubePlatform) own(channel Identity, id string) (Act, *youtubeError) {
	a, ok := y.s.find("youtube", id)
	switch {
	case !ok || a.Kind != "video":
		return Act{}, youtubeFault(http.StatusNotFound, "videoNotFound", "The video that you are trying to change cannot be found.")
	case a.Identity != channel.ID:
		return Act{}, youtubeFault(http.StatusForbidden, "forbidden", "The video belongs to another channel.")
	}
	return a, nil
}

func (y *youtubePlatform) viewVideo(a Act, parts []string) (map[string]any, *youtubeError) {
	v := videoOf(a)
	v.Snippet.PublishedAt = uploadedAt(a).UTC().Format(time.RFC3339)
	if a.Public {
		v.Snippet.PublishedAt = a.At.UTC().Format(time.RFC3339)
	}
	v.Snippet.ChannelID = a.Identity
	v.Status.UploadStatus = cmp.Or(a.Raw[rawJudged], "processed")
	v.Status.FailureReason, v.Status.RejectionReason = "", ""
	processing := "succeeded"
	switch v.Status.UploadStatus {
	case "failed":
		v.Status.FailureReason, processing = a.Raw[rawWhy], "failed"
	case "rejected":
		v.Status.RejectionReason = a.Raw[rawWhy]
	case "uploaded":
		processing = "processing"
	}
	return youtubeParts("youtube#video", a.RemoteID, map[string]any{
		"snippet":           v.Snippet,
		"status":            v.Status,
		"contentDetails":    map[string]string{"duration": "PT10S"},
		"fileDetails":       map[string]string{"fileName": a.Raw[rawFile], "fileSize": a.Raw[rawSize], "fileType": "video"},
		"processingDetails": map[string]string{"processingStatus": processing},
		"statistics":        map[string]string{"viewCount": "0"},
		"player":            map[string]string{"embedHtml": ""},
	}, parts)
}

// Judge has YouTube say what becomes of a video after its upload: uploaded while it is at work, processed, failed or
// rejected, the last two with YouTube's word for the reason, such as codec or copyright. A video that failed or was
// rejected is shown to nobody, whatever its privacy. It reports false when there is no such video.
func (s *Sandbox) Judge(video, status, why string) (bool, error) {
	_, ok, err := s.amend("youtube", video, func(a *Act) {
		a.Raw[rawJudged], a.Raw[rawWhy] = status, why
		if out(*a) {
			a.Public = false
		}
	})
	if err != nil {
		return ok, fmt.Errorf("judge a video: %w", err)
	}
	return ok, nil
}

// out reports whether YouTube has taken the video out.
func out(a Act) bool { return a.Raw[rawJudged] == "failed" || a.Raw[rawJudged] == "rejected" }

// showOne answers with the resource of one video.
func (y *youtubePlatform) showOne(w http.ResponseWriter, id string) *youtubeError {
	a, ok := y.s.find("youtube", id)
	if !ok {
		return youtubeFault(http.StatusNotFound, "videoNotFound", "The video cannot be found.")
	}
	item, fault := y.viewVideo(a, []string{"snippet", "status"})
	if fault != nil {
		return fault
	}
	writeJSON(w, http.StatusOK, item)
	return nil
}

func (y *youtubePlatform) listVideos(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part", "id"}, "maxResults", "hl")
	if fault != nil {
		return fault
	}
	items := []any{}
	for _, id := range listOf(q, "id") {
		a, ok := y.s.find("youtube", id)
		if !ok || a.Kind != "video" || !a.Public && a.Identity != channel.ID {
			continue
		}
		item, fault := y.viewVideo(a, listOf(q, "part"))
		if fault != nil {
			return fault
		}
		items = append(items, item)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"kind": "youtube#videoListResponse", "items": items,
		"pageInfo": map[string]int{"totalResults": len(items), "resultsPerPage": len(items)},
	})
	return nil
}

// updateVideo replaces the named parts: what the request leaves out of them goes back to YouTube's default, which
// for privacyStatus is public.
func (y *youtubePlatform) updateVideo(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part"})
	if fault != nil {
		return fault
	}
	var in youtubeVideo
	if fault := youtubeBody(r, &in); fault != nil {
		return fault
	}
	a, fault := y.own(channel, in.ID)
	if fault != nil {
		return fault
	}
	parts, old := listOf(q, "part"), videoOf(a)
	if slices.Contains(parts, "snippet") && (in.Snippet == nil || in.Snippet.CategoryID == "") {
		return youtubeFault(http.StatusBadRequest, "invalidCategoryId", "The snippet.categoryId property specifies an invalid category ID.")
	}
	if slices.Contains(parts, "status") && in.Status != nil && in.Status.PublishAt != "" && a.Raw[rawMadePublic] != "" {
		return youtubeFault(http.StatusBadRequest, "invalidPublishAt", "A video that was published cannot be scheduled.")
	}
	if !slices.Contains(parts, "snippet") {
		in.Snippet = old.Snippet
	}
	if !slices.Contains(parts, "status") {
		in.Status = old.Status
	}
	if fault := in.prepare([]string{"snippet", "status"}, y.s.now()); fault != nil {
		return fault
	}
	if y.locked(channel.ID) {
		in.Status.PrivacyStatus = "private"
	}
	if err := y.change(a.RemoteID, in, y.s.now()); err != nil {
		return y.broken(err)
	}
	return y.showOne(w, a.RemoteID)
}

func (y *youtubePlatform) deleteVideo(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"id"})
	if fault != nil {
		return fault
	}
	a, fault := y.own(channel, q.Get("id"))
	if fault != nil {
		return fault
	}
	if _, _, err := y.s.amend("youtube", a.RemoteID, func(a *Act) { a.Deleted = true }); err != nil {
		return y.broken(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
