package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // formats that an upload may have
	_ "image/jpeg" // formats that an upload may have
	_ "image/png"  // formats that an upload may have
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	xMediaLife   = 24 * time.Hour      // from upload to use
	xInitLife    = 15 * 24 * time.Hour // from initialize to finalize
	xProcessing  = 2 * time.Second     // how long a video is worked on
	xMaxPhoto    = 5 << 20
	xMaxGIF      = 15 << 20
	xMaxVideo    = 512 << 20
	xMaxAltText  = 1000
	xMaxSegments = 1000
)

// xMedia is one upload, guarded by xPlatform.mu.
type xMedia struct {
	id, key, owner  string
	category, kind  string // tweet_image, tweet_gif, tweet_video; media type
	sum, alt, fault string
	total, size     int
	segments        map[int][]byte
	done            time.Time // when finalized; zero before
	expires         time.Time
}

// recallMedia brings back the uploads that a journal knows.
func (x *xPlatform) recallMedia() {
	for _, n := range x.s.notes("twitter") {
		expires, err := time.Parse(time.RFC3339, n.raw["expires"])
		if err != nil {
			continue
		}
		x.uploads[n.key] = &xMedia{
			id: n.key, key: n.raw["key"], owner: n.identity, category: n.raw["category"], kind: n.raw["kind"],
			sum: n.raw["sum"], alt: n.raw["alt"], fault: n.raw["fault"], done: n.at, expires: expires,
		}
		if id, err := strconv.ParseInt(n.key, 10, 64); err == nil {
			x.lastID = max(x.lastID, id)
		}
	}
}

// keep journals a finished upload. The caller holds x.mu.
func (x *xPlatform) keep(m *xMedia) error {
	return x.s.remember("twitter", m.owner, m.id, map[string]string{
		"key": m.key, "category": m.category, "kind": m.kind, "sum": m.sum, "alt": m.alt, "fault": m.fault,
		"expires": m.expires.UTC().Format(time.RFC3339),
	})
}

// attach returns the uploads that a post wants, if it may have them all. The caller holds x.mu.
func (x *xPlatform) attach(who Identity, ids []string) ([]*xMedia, error) {
	now := x.s.now()
	var out []*xMedia
	for _, id := range ids {
		m := x.uploads[id]
		if m == nil || m.owner != who.ID || m.state(now) != "succeeded" || now.After(m.expires) || slices.Contains(out, m) {
			return nil, errXMedia
		}
		out = append(out, m)
	}
	for _, m := range out {
		if len(out) > 1 && m.category != "tweet_image" {
			return nil, errXMedia
		}
	}
	return out, nil
}

// state is the processing state: videos take a while.
func (m *xMedia) state(now time.Time) string {
	switch {
	case m.done.IsZero():
		return "pending"
	case m.category != "tweet_video":
		return "succeeded"
	case now.Sub(m.done) < xProcessing:
		return "in_progress"
	case m.fault != "":
		return "failed"
	}
	return "succeeded"
}

// open makes an upload. The caller holds x.mu.
func (x *xPlatform) open(who Identity, category, kind string, total int) *xMedia {
	prefix := map[string]string{"tweet_image": "3", "tweet_video": "7", "tweet_gif": "16"}[category]
	now := x.s.now()
	for id, old := range x.uploads {
		if now.After(old.expires) {
			delete(x.uploads, id)
		}
	}
	id := x.nextID()
	m := &xMedia{
		id: id, key: prefix + "_" + id, owner: who.ID, category: category, kind: kind, total: total,
		segments: make(map[int][]byte), expires: now.Add(xInitLife),
	}
	x.uploads[id] = m
	return m
}

// finish judges the bytes of an upload: a refusal is an *xFieldError. The caller holds x.mu.
func (x *xPlatform) finish(m *xMedia, raw []byte) (*image.Config, error) {
	found := http.DetectContentType(raw)
	limit, kinds := xMaxPhoto, []string{"image/jpeg", "image/png", "image/webp", "image/gif"}
	switch m.category {
	case "tweet_gif":
		limit, kinds = xMaxGIF, []string{"image/gif"}
	case "tweet_video":
		limit, kinds = xMaxVideo, nil
	}
	if len(raw) == 0 || len(raw) > limit {
		return nil, &xFieldError{"media", fmt.Sprintf("File size must be between 1 and %d bytes.", limit)}
	}
	var dims *image.Config
	if kinds != nil {
		if !slices.Contains(kinds, found) {
			return nil, &xFieldError{"media", "media type unrecognized."}
		}
		if found != "image/webp" {
			c, _, err := image.DecodeConfig(bytes.NewReader(raw))
			if err != nil {
				return nil, &xFieldError{"media", "media type unrecognized."}
			}
			dims = &c
		}
	} else if !strings.HasPrefix(found, "video/") && (len(raw) < 12 || string(raw[4:8]) != "ftyp") {
		m.fault = "InvalidMedia" // videos are looked at later
	}
	sum := sha256.Sum256(raw)
	m.sum, m.kind, m.size = hex.EncodeToString(sum[:]), found, len(raw)
	m.segments = nil
	m.done = x.s.now()
	m.expires = m.done.Add(xMediaLife)
	return dims, x.keep(m)
}

func (m *xMedia) answer(now time.Time, dims *image.Config) map[string]any {
	data := map[string]any{"id": m.id, "media_key": m.key, "expires_after_secs": int(m.expires.Sub(now).Seconds())}
	if m.size > 0 {
		data["size"] = m.size
	}
	if dims != nil {
		data["image"] = map[string]any{"w": dims.Width, "h": dims.Height, "image_type": m.kind}
	}
	if m.category == "tweet_video" && !m.done.IsZero() {
		info := map[string]any{"state": m.state(now)}
		switch info["state"] {
		case "in_progress":
			info["check_after_secs"], info["progress_percent"] = 1, 50
		case "succeeded":
			info["progress_percent"] = 100
		case "failed":
			info["error"] = map[string]any{"code": 1, "name": m.fault, "message": "file is not a video"}
		}
		data["processing_info"] = info
	}
	return map[string]any{"data": data}
}

// uploadFields reads a multipart or JSON body whose fields are among those allowed; media is then the file's bytes.
func uploadFields(r *http.Request, allowed ...string) (fields map[string]string, media []byte, err error) {
	raw, err := bodyOf(r)
	if err != nil {
		return nil, nil, err
	}
	fields = make(map[string]string)
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, nil, &xFieldError{"", "Content-Type is missing"}
	}
	switch kind {
	case "application/json":
		var in map[string]json.RawMessage
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, nil, &xFieldError{"", "The request body is not valid JSON"}
		}
		for k, v := range in {
			var text string
			if json.Unmarshal(v, &text) != nil {
				text = string(v)
			}
			fields[k] = text
		}
		if text, ok := fields["media"]; ok {
			if media, err = base64.StdEncoding.DecodeString(text); err != nil {
				return nil, nil, &xFieldError{"media", "$.media: is not base64"}
			}
			fields["media"] = ""
		}
	case "multipart/form-data":
		form := multipart.NewReader(bytes.NewReader(raw), params["boundary"])
		for {
			part, err := form.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, nil, &xFieldError{"", "The multipart body is not valid"}
			}
			b, err := io.ReadAll(part)
			if err != nil {
				return nil, nil, &xFieldError{"", "The multipart body is not valid"}
			}
			if part.FormName() == "media" {
				fields["media"], media = "", b
				continue
			}
			fields[part.FormName()] = string(b)
		}
	default:
		return nil, nil, &xFieldError{"", "Content-Type " + kind + " is not supported"}
	}
	for k := range fields {
		if !slices.Contains(allowed, k) {
			return nil, nil, &xFieldError{k, fmt.Sprintf("$.%s: is not defined in the schema and the schema does not allow additional properties", k)}
		}
	}
	return fields, media, nil
}

// refuseUpload answers for an error of an upload call.
func (x *xPlatform) refuseUpload(w http.ResponseWriter, err error) {
	if bad := (*xFieldError)(nil); errors.As(err, &bad) {
		xInvalidRequest(w, bad.message, bad.field, "")
		return
	}
	x.xServerError(w, err)
}

// uploadOnce is POST /2/media/upload: a whole image.
func (x *xPlatform) uploadOnce(w http.ResponseWriter, r *http.Request, who Identity) {
	fields, media, err := uploadFields(r, "media", "media_category", "media_type", "shared", "additional_owners")
	if err != nil {
		x.refuseUpload(w, err)
		return
	}
	category := fields["media_category"]
	if category != "tweet_image" && category != "tweet_gif" {
		x.refuseUpload(w, &xFieldError{"media_category", "$.media_category: does not have a value in the enumeration [tweet_image, tweet_gif]"})
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.open(who, category, fields["media_type"], len(media))
	dims, err := x.finish(m, media)
	if err != nil {
		delete(x.uploads, m.id)
		x.refuseUpload(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m.answer(x.s.now(), dims))
}

// uploadInitialize is POST /2/media/upload/initialize.
func (x *xPlatform) uploadInitialize(w http.ResponseWriter, r *http.Request, who Identity) {
	raw, err := bodyOf(r)
	if err != nil || !xIsJSON(r) {
		xInvalidRequest(w, "A JSON body is needed", "", "")
		return
	}
	var in struct {
		MediaType        string   `json:"media_type"`
		MediaCategory    string   `json:"media_category"`
		TotalBytes       int      `json:"total_bytes"`
		Shared           bool     `json:"shared"`
		AdditionalOwners []string `json:"additional_owners"`
	}
	unknown, err := strictObject(raw, &in, "media_type", "media_category", "total_bytes", "shared", "additional_owners")
	limit := map[string]int{"tweet_image": xMaxPhoto, "tweet_gif": xMaxGIF, "tweet_video": xMaxVideo}[in.MediaCategory]
	kinds := []string{
		"video/mp4", "video/webm", "video/mp2t", "video/quicktime", "image/jpeg", "image/pjpeg", "image/png", "image/gif",
		"image/webp", "image/bmp", "image/tiff",
	}
	switch {
	case err != nil:
		xInvalidRequest(w, "The request body is not valid: "+err.Error(), "", "")
	case unknown != "":
		xInvalidRequest(w, fmt.Sprintf("$.%s: is not defined in the schema and the schema does not allow additional properties", unknown), unknown, "")
	case limit == 0:
		xInvalidRequest(w, "$.media_category: does not have a value in the enumeration", "media_category", in.MediaCategory)
	case !slices.Contains(kinds, in.MediaType):
		xInvalidRequest(w, "$.media_type: does not have a value in the enumeration", "media_type", in.MediaType)
	case strings.HasPrefix(in.MediaType, "video/") != (in.MediaCategory == "tweet_video"):
		xInvalidRequest(w, "media_type does not fit media_category", "media_type", in.MediaType)
	case in.TotalBytes < 1 || in.TotalBytes > limit:
		xInvalidRequest(w, fmt.Sprintf("total_bytes must be between 1 and %d", limit), "total_bytes", strconv.Itoa(in.TotalBytes))
	default:
		x.mu.Lock()
		defer x.mu.Unlock()
		writeJSON(w, http.StatusOK, x.open(who, in.MediaCategory, in.MediaType, in.TotalBytes).answer(x.s.now(), nil))
	}
}

// own returns an upload of this identity, or answers with the refusal. The caller holds x.mu.
func (x *xPlatform) own(w http.ResponseWriter, who Identity, id string) *xMedia {
	m := x.uploads[id]
	if m == nil || m.owner != who.ID || x.s.now().After(m.expires) {
		xInvalidRequest(w, "Media ID does not exist or is not yours", "id", id)
		return nil
	}
	return m
}

// uploadAppend is POST /2/media/upload/{id}/append. A segment sent again replaces the first.
func (x *xPlatform) uploadAppend(w http.ResponseWriter, r *http.Request, who Identity) {
	fields, media, err := uploadFields(r, "media", "segment_index")
	if err != nil {
		x.refuseUpload(w, err)
		return
	}
	index, err := strconv.Atoi(fields["segment_index"])
	if err != nil || index < 0 || index >= xMaxSegments || len(media) == 0 {
		xInvalidRequest(w, "segment_index must be between 0 and 999 and media must not be empty", "segment_index", fields["segment_index"])
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.own(w, who, r.PathValue("id"))
	if m == nil {
		return
	}
	have := len(media)
	for i, s := range m.segments {
		if i != index {
			have += len(s)
		}
	}
	if !m.done.IsZero() || have > m.total {
		xInvalidRequest(w, "Segments exceed total_bytes, or the upload is finalized", "media", "")
		return
	}
	m.segments[index] = bytes.Clone(media)
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{"expires_at": m.expires.Unix()}})
}

// uploadFinalize is POST /2/media/upload/{id}/finalize. Repeated, it answers the same.
func (x *xPlatform) uploadFinalize(w http.ResponseWriter, r *http.Request, who Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.own(w, who, r.PathValue("id"))
	if m == nil {
		return
	}
	if !m.done.IsZero() {
		writeJSON(w, http.StatusOK, m.answer(x.s.now(), nil))
		return
	}
	var raw []byte
	for i := range len(m.segments) {
		raw = append(raw, m.segments[i]...)
	}
	if len(raw) != m.total {
		xInvalidRequest(w, fmt.Sprintf("%d of %d bytes were appended", len(raw), m.total), "id", m.id)
		return
	}
	dims, err := x.finish(m, raw)
	if err != nil {
		x.refuseUpload(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m.answer(x.s.now(), dims))
}

// uploadStatus is GET /2/media/upload?command=STATUS&media_id=….
func (x *xPlatform) uploadStatus(w http.ResponseWriter, r *http.Request, who Identity) {
	q, ok := xQuery(w, r, "command", "media_id")
	if !ok {
		return
	}
	if q.Get("command") != "STATUS" {
		xInvalidRequest(w, "The query parameter [command] is not one of [STATUS]", "command", q.Get("command"))
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if m := x.own(w, who, q.Get("media_id")); m != nil {
		writeJSON(w, http.StatusOK, m.answer(x.s.now(), nil))
	}
}

// metadata is POST /2/media/metadata: the text for those who do not see the picture.
func (x *xPlatform) metadata(w http.ResponseWriter, r *http.Request, who Identity) {
	raw, err := bodyOf(r)
	if err != nil || !xIsJSON(r) {
		xInvalidRequest(w, "A JSON body is needed", "", "")
		return
	}
	var in struct {
		ID       string          `json:"id"`
		Metadata json.RawMessage `json:"metadata"`
	}
	var meta struct {
		AltText struct {
			Text string `json:"text"`
		} `json:"alt_text"`
	}
	unknown, err := strictObject(raw, &in, "id", "metadata")
	if err == nil && unknown == "" {
		unknown, err = strictObject(in.Metadata, &meta, "alt_text")
	}
	n := utf8.RuneCountInString(meta.AltText.Text)
	if err != nil || unknown != "" || n < 1 || n > xMaxAltText {
		xInvalidRequest(w, "id and metadata.alt_text.text of 1 to 1000 characters are needed, and nothing else", "metadata", unknown)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.own(w, who, in.ID)
	if m == nil {
		return
	}
	m.alt = meta.AltText.Text
	if !m.done.IsZero() {
		if err := x.keep(m); err != nil {
			x.xServerError(w, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{
		"id": m.id, "associated_metadata": map[string]any{"alt_text": map[string]string{"text": m.alt}},
	}})
}
