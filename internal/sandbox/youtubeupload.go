package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// youtubeGranule is what all chunks but the last are multiples of; less than a whole one is not kept.
	youtubeGranule     = 256 << 10
	youtubeMaxUploads  = 1_000
	youtubeUploadLife  = 7 * 24 * time.Hour // what other Google APIs name
	youtubeMaxVideo    = 256 << 30
	youtubeMaxImage    = 50 << 20
	youtubeUploadsDay  = 100 // videos of one channel in 24 hours; YouTube names no number
	youtubeGuploader   = "X-Guploader-No-308"
	youtubeContentType = "X-Upload-Content-Type"
)

// youtubeUpload is one resumable upload. Its bytes are counted and digested, not kept, and an upload does not survive
// a restart: its address is then gone, as an old one is.
type youtubeUpload struct {
	channel  string
	resource youtubeVideo
	file     string
	size     int64 // 0: the client has not said yet
	received int64
	digest   hash.Hash
	opened   time.Time
	video    string // once complete
}

// contentRange is a Content-Range header of the upload protocol: a chunk, or the question how far it came.
type contentRange struct {
	first, last, size int64 // size is 0 when it is "*"
	query             bool
}

func parseContentRange(text string) (contentRange, bool) {
	span, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	if !ok || !strings.HasPrefix(text, "bytes ") {
		return contentRange{}, false
	}
	var c contentRange
	var err error
	if size != "*" {
		if c.size, err = strconv.ParseInt(size, 10, 64); err != nil || c.size <= 0 {
			return contentRange{}, false
		}
	}
	if span == "*" {
		c.query = true
		return c, true
	}
	first, last, _ := strings.Cut(span, "-")
	c.first, err = strconv.ParseInt(first, 10, 64)
	if err != nil {
		return contentRange{}, false
	}
	c.last, err = strconv.ParseInt(last, 10, 64)
	return c, err == nil && c.first >= 0 && c.last >= c.first && (c.size == 0 || c.last < c.size)
}

// postUpload opens an upload, or takes a chunk that comes by POST as some client libraries send it.
func (y *youtubePlatform) postUpload(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	if r.URL.Query().Has("upload_id") {
		return y.chunk(w, r, channel)
	}
	q, fault := youtubeQuery(r, []string{"part", "uploadType"}, "notifySubscribers", "autoLevels", "stabilize")
	if fault != nil {
		return fault
	}
	if q.Get("uploadType") != "resumable" {
		return youtubeFault(http.StatusBadRequest, "badRequest", "This sandbox serves resumable uploads only")
	}
	if fault := y.spend(channel, "inserts", 1); fault != nil {
		return fault
	}
	u := &youtubeUpload{channel: channel.ID, file: r.Header.Get("Slug"), digest: sha256.New(), opened: y.s.now()}
	if fault := youtubeBody(r, &u.resource); fault != nil {
		return fault
	}
	if fault := u.resource.prepare(listOf(q, "part"), y.s.now()); fault != nil {
		return fault
	}
	if text := r.Header.Get("X-Upload-Content-Length"); text != "" {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size <= 0 || size > youtubeMaxVideo {
			return youtubeFault(http.StatusBadRequest, "badRequest", "Invalid X-Upload-Content-Length")
		}
		u.size = size
	}
	if kind := r.Header.Get(youtubeContentType); kind != "" && !strings.HasPrefix(kind, "video/") && kind != "application/octet-stream" {
		return youtubeFault(http.StatusBadRequest, "badContent", "Media type '"+kind+"' is not supported")
	}
	if y.full(channel) {
		return youtubeFault(http.StatusBadRequest, "uploadLimitExceeded", "The user has exceeded the number of videos they may upload.")
	}
	if channel.Credentials["unaudited"] == "true" {
		u.resource.Status.PrivacyStatus = "private"
	}
	y.forgetUploads()
	id := y.nextID(32)
	y.uploads[id] = u
	w.Header().Set("Location", uploadAddress(r, id))
	w.Header().Set("X-Guploader-Uploadid", id)
	w.WriteHeader(http.StatusOK)
	return nil
}

// uploadAddress is where the upload goes on: the address that the client used, with the upload's id.
func uploadAddress(r *http.Request, id string) string {
	return clientURL(r) + "?" + url.Values{"uploadType": {"resumable"}, "upload_id": {id}}.Encode()
}

// clientURL is the address that the client used, without its query. A platform's real host is reached by https,
// whatever leads here.
func clientURL(r *http.Request) string {
	sent := originalOf(r)
	if r.TLS != nil || strings.HasSuffix(sent.host, ".googleapis.com") || strings.HasSuffix(sent.host, ".facebook.com") {
		return "https://" + sent.host + sent.path
	}
	return "http://" + sent.host + sent.path
}

// full reports whether the channel took as many videos in 24 hours as it may.
func (y *youtubePlatform) full(channel Identity) bool {
	limit := youtubeUploadsDay
	if own, err := strconv.Atoi(channel.Credentials["upload_limit"]); err == nil {
		limit = own
	}
	since := y.s.now().Add(-24 * time.Hour)
	recent := y.s.record.list(func(a Act, _ time.Time) bool {
		return a.Platform == "youtube" && a.Identity == channel.ID && a.Kind == "video" && uploadedAt(a).After(since)
	})
	return len(recent) >= limit
}

// forgetUploads drops what is too old, and the oldest when there are too many.
func (y *youtubePlatform) forgetUploads() {
	oldest := ""
	for id, u := range y.uploads {
		if y.s.now().Sub(u.opened) > youtubeUploadLife {
			delete(y.uploads, id)
		} else if oldest == "" || u.opened.Before(y.uploads[oldest].opened) {
			oldest = id
		}
	}
	if len(y.uploads) >= youtubeMaxUploads {
		delete(y.uploads, oldest)
	}
}

// chunk takes bytes of an upload, or says how far it came. What arrived of a request that broke off is kept.
func (y *youtubePlatform) chunk(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	u := y.uploads[r.URL.Query().Get("upload_id")]
	if u == nil || u.channel != channel.ID || y.s.now().Sub(u.opened) > youtubeUploadLife {
		return youtubeFault(http.StatusNotFound, "notFound", "Not Found")
	}
	span, ok := parseContentRange(r.Header.Get("Content-Range"))
	raw, cut := bodyOf(r)
	switch {
	case !ok:
		return youtubeFault(http.StatusBadRequest, "badRequest", "Failed to parse Content-Range header.")
	case u.video != "":
		return y.showOne(w, u.video)
	case span.size > 0 && u.size > 0 && span.size != u.size:
		return youtubeFault(http.StatusBadRequest, "badRequest", "Invalid request. The total size differs from the one declared.")
	case span.query && (span.size == 0 || u.received < span.size):
		u.progress(w, r)
		return nil
	case span.query: // all had arrived before the client knew the size
		if fault := y.complete(r, u); fault != nil {
			return fault
		}
		return y.showOne(w, u.video)
	case span.first > u.received:
		return youtubeFault(http.StatusBadRequest, "badRequest", fmt.Sprintf("Invalid request. The chunk begins at %d, but %d bytes have arrived.", span.first, u.received))
	case cut == nil && int64(len(raw)) != span.last-span.first+1:
		return youtubeFault(http.StatusBadRequest, "badRequest", "Invalid request. The body is not as long as Content-Range says.")
	}
	final := span.size > 0 && span.last == span.size-1
	if !final && (span.last+1)%youtubeGranule != 0 {
		return youtubeFault(http.StatusBadRequest, "badRequest", "Invalid request. The chunk is no multiple of 262144 bytes.")
	}
	if span.size > 0 {
		u.size = span.size
	}
	u.take(raw, span.first)
	if u.size == 0 || u.received < u.size {
		u.progress(w, r)
		return nil
	}
	if fault := y.complete(r, u); fault != nil {
		return fault
	}
	return y.showOne(w, u.video)
}

// take adds what is new of the bytes that begin at first.
func (u *youtubeUpload) take(raw []byte, first int64) {
	if skip := u.received - first; skip < int64(len(raw)) {
		raw = raw[skip:]
	} else {
		return
	}
	if u.size == 0 || u.received+int64(len(raw)) < u.size {
		raw = raw[:len(raw)-len(raw)%youtubeGranule]
	}
	u.digest.Write(raw)
	u.received += int64(len(raw))
}

// progress answers 308 with the bytes that have arrived, or 200 for a client that asked for no 308.
func (u *youtubeUpload) progress(w http.ResponseWriter, r *http.Request) {
	if u.received > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", u.received-1))
	}
	if r.Header.Get(youtubeGuploader) == "yes" {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

// complete makes the video of an upload whose last byte arrived.
func (y *youtubePlatform) complete(r *http.Request, u *youtubeUpload) *youtubeError {
	id := y.nextID(11)
	now := y.s.now().UTC()
	a := Act{
		Platform: "youtube", Identity: u.channel, RemoteID: id, Kind: "video", URL: y.s.permalink("youtube", "watch?v="+id),
		Media: []string{hex.EncodeToString(u.digest.Sum(nil))}, At: now,
		Raw: map[string]string{
			rawSize: strconv.FormatInt(u.size, 10), rawFile: u.file, rawUploaded: now.Format(time.RFC3339Nano),
		},
	}
	if err := u.resource.store(&a, now); err != nil {
		return y.broken(err)
	}
	if _, err := y.s.publish(r.Context(), a); err != nil {
		return y.broken(err)
	}
	u.video = id
	return nil
}

// setThumbnail takes the picture of a video, alone or as the second part of multipart/related.
func (y *youtubePlatform) setThumbnail(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"videoId", "uploadType"})
	if fault != nil {
		return fault
	}
	video, fault := y.own(channel, q.Get("videoId"))
	if fault != nil {
		return fault
	}
	image, err := bodyOf(r)
	if err == nil && q.Get("uploadType") == "multipart" {
		image, err = relatedMedia(image, r.Header.Get("Content-Type"))
	}
	switch {
	case err != nil || q.Get("uploadType") == "resumable":
		return youtubeFault(http.StatusBadRequest, "badRequest", "The thumbnail cannot be read")
	case len(image) == 0:
		return youtubeFault(http.StatusBadRequest, "mediaBodyRequired", "The request does not include the image content.")
	case len(image) > youtubeMaxImage || !slices.Contains([]string{"image/jpeg", "image/png"}, http.DetectContentType(image)):
		return youtubeFault(http.StatusBadRequest, "invalidImage", "The provided image content is invalid.")
	}
	digest := sha256.Sum256(image)
	_, err = y.s.publish(r.Context(), Act{
		Platform: "youtube", Identity: channel.ID, RemoteID: "thumbnail:" + y.nextID(11), Kind: "thumbnail",
		Parent: video.RemoteID, URL: video.URL, Media: []string{hex.EncodeToString(digest[:])}, Public: video.Public,
	})
	if err != nil {
		return y.broken(err)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"kind":  "youtube#thumbnailSetResponse",
		"items": []any{map[string]any{"default": map[string]any{"url": video.URL, "width": 120, "height": 90}}},
	})
	return nil
}

// relatedMedia returns the second part of a multipart/related body; the first one is metadata.
func relatedMedia(raw []byte, contentType string) ([]byte, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, err
	}
	parts := multipart.NewReader(strings.NewReader(string(raw)), params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		return nil, err
	}
	media, err := parts.NextPart()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(media)
}

// store writes the resource into the act, which is public unless the video is private.
func (v *youtubeVideo) store(a *Act, now time.Time) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode video: %w", err)
	}
	a.Title, a.Text = v.Snippet.Title, v.Snippet.Description
	a.Raw[rawVideo] = string(text)
	public := v.Status.PrivacyStatus != "private" && !out(*a)
	if public && !a.Public {
		a.At = now.UTC()
		a.Raw[rawMadePublic] = madePublic(a.Raw)
	}
	a.Public = public
	return nil
}
