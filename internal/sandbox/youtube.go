package sandbox

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	youtubeTokenLife = 3599 * time.Second
	youtubeMaxTokens = 1_000
	youtubeInserts   = 100    // uploads a day of one project
	youtubeUnits     = 10_000 // everything else
)

// youtubePlatform is YouTube's Data API v3, its upload host and the token endpoint of Google.
//
// Optional credentials of an identity change how it behaves: unaudited=true locks every video as private,
// quota_inserts and quota_units replace the daily budgets of its project (its client_id), upload_limit is how many
// videos its channel may take in 24 hours, rotate=true gives a new refresh token with every access token.
type youtubePlatform struct {
	s        *Sandbox
	channels []Identity
	mux      *http.ServeMux

	mu      sync.Mutex // guards what follows, and makes checks and acts one step
	tokens  map[string]youtubeToken
	refresh map[string]string // current refresh token by channel ID
	uploads map[string]*youtubeUpload
	spent   map[[2]string]int // by project and bucket, on the day that spentOn names
	spentOn string
	items   map[string][]youtubeItem // by playlist
	serial  int
}

type youtubeToken struct {
	channel Identity
	expires time.Time
}

func newYouTube(s *Sandbox) *youtubePlatform {
	y := &youtubePlatform{
		s: s, channels: s.identities("youtube"), mux: http.NewServeMux(),
		tokens: make(map[string]youtubeToken), refresh: make(map[string]string), uploads: make(map[string]*youtubeUpload),
		spent: make(map[[2]string]int), items: make(map[string][]youtubeItem),
	}
	for _, i := range y.channels {
		y.refresh[i.ID] = i.Credentials["refresh_token"]
	}
	for _, n := range s.notes("youtube") {
		if kind, _, _ := strings.Cut(n.key, " "); kind == "refresh" {
			y.refresh[n.identity] = n.raw["token"]
		}
	}
	const api, upload = "/youtube/v3/", "/upload/youtube/v3/"
	y.mux.HandleFunc("POST /token", y.token)
	y.route("GET "+api+"channels", 1, y.listChannels)
	y.route("GET "+api+"videos", 1, y.listVideos)
	y.route("PUT "+api+"videos", 50, y.updateVideo)
	y.route("DELETE "+api+"videos", 50, y.deleteVideo)
	y.route("GET "+api+"playlistItems", 1, y.listItems)
	y.route("POST "+api+"playlistItems", 50, y.insertItem)
	y.route("GET "+api+"commentThreads", 1, y.listThreads)
	y.route("POST "+api+"commentThreads", 50, y.insertThread)
	y.route("POST "+upload+"thumbnails/set", 50, y.setThumbnail)
	y.route("POST "+upload+"videos", 0, y.postUpload)
	y.route("PUT "+upload+"videos", 0, y.chunk)
	y.mux.HandleFunc("GET /watch", y.watch)
	y.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		youtubeFault(http.StatusNotFound, "notFound", "Not Found").write(w)
	})
	return y
}

func (y *youtubePlatform) name() string                                     { return "youtube" }
func (y *youtubePlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) { y.mux.ServeHTTP(w, r) }

func (y *youtubePlatform) identify(r *http.Request) string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.tokens[bearer(r)].channel.ID
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// commits reports whether the request shows something to the public: the last chunk of a video that is not private,
// an update of a private video to another privacy, a comment, a thumbnail.
func (y *youtubePlatform) commits(r *http.Request) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "POST /youtube/v3/commentThreads", "POST /upload/youtube/v3/thumbnails/set":
		return true
	case "PUT /upload/youtube/v3/videos", "POST /upload/youtube/v3/videos":
		u := y.uploads[r.URL.Query().Get("upload_id")]
		span, ok := parseContentRange(r.Header.Get("Content-Range"))
		return u != nil && ok && !span.query && span.last == span.size-1 && u.resource.Status.PrivacyStatus != "private"
	case "PUT /youtube/v3/videos":
		raw, _ := bodyOf(r)
		var v youtubeVideo
		return json.Unmarshal(raw, &v) == nil && v.Status != nil && cmp.Or(v.Status.PrivacyStatus, "public") != "private"
	}
	return false
}

func (y *youtubePlatform) throttled(w http.ResponseWriter, reset time.Time) {
	w.Header().Set("Retry-After", strconv.Itoa(int(reset.Sub(y.s.now()).Seconds())+1))
	youtubeFault(http.StatusTooManyRequests, "rateLimitExceeded", "Too many requests").write(w)
}

// exhausted does nothing: YouTube sends no headers that tell what is left.
func (y *youtubePlatform) exhausted(http.Header, time.Time) {}

// youtubeError is a refusal in Google's shape.
type youtubeError struct {
	status          int
	reason, message string
}

func youtubeFault(status int, reason, message string) *youtubeError {
	return &youtubeError{status: status, reason: reason, message: message}
}

func (e *youtubeError) write(w http.ResponseWriter) {
	domain := "youtube.api"
	switch e.reason {
	case "quotaExceeded", "rateLimitExceeded":
		domain = "youtube.quota"
	case "authError", "backendError", "required", "badRequest":
		domain = "global"
	}
	writeJSON(w, e.status, map[string]any{"error": map[string]any{
		"code": e.status, "message": e.message,
		"errors": []map[string]string{{"domain": domain, "reason": e.reason, "message": e.message}},
	}})
}

// broken answers for a failure of the sandbox itself, such as a full disk.
func (y *youtubePlatform) broken(err error) *youtubeError {
	y.s.log.Error("sandbox failed", "platform", "youtube", "error", err)
	return youtubeFault(http.StatusInternalServerError, "backendError", "Backend Error")
}

type youtubeHandler func(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError

// route serves a method: it checks the token, spends the method's units, also for a call that turns out wrong, and
// runs the handler under y.mu.
func (y *youtubePlatform) route(pattern string, units int, handle youtubeHandler) {
	y.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		y.mu.Lock()
		defer y.mu.Unlock()
		t, ok := y.tokens[bearer(r)]
		if !ok || !y.s.now().Before(t.expires) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
			youtubeFault(http.StatusUnauthorized, "authError", "Invalid Credentials").write(w)
			return
		}
		if err := y.settle(); err != nil {
			y.broken(err).write(w)
			return
		}
		fault := y.spend(t.channel, "units", units)
		if fault == nil {
			fault = handle(w, r, t.channel)
		}
		if fault != nil {
			fault.write(w)
		}
	})
}

// spend takes n from a bucket of the channel's project. Buckets are full again at midnight in Los Angeles.
func (y *youtubePlatform) spend(channel Identity, bucket string, n int) *youtubeError {
	pacific, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		pacific = time.FixedZone("PST", -8*60*60)
	}
	if day := y.s.now().In(pacific).Format(time.DateOnly); day != y.spentOn {
		y.spentOn = day
		clear(y.spent)
	}
	limit := map[string]int{"units": youtubeUnits, "inserts": youtubeInserts}[bucket]
	if own, err := strconv.Atoi(channel.Credentials["quota_"+bucket]); err == nil {
		limit = own
	}
	key := [2]string{channel.Credentials["client_id"], bucket}
	if y.spent[key]+n > limit {
		return youtubeFault(http.StatusForbidden, "quotaExceeded", "The request cannot be completed because you have exceeded your quota.")
	}
	y.spent[key] += n
	return nil
}

// token is Google's token endpoint: it knows the refresh_token grant only.
func (y *youtubePlatform) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, text string) {
		writeJSON(w, status, map[string]string{"error": code, "error_description": text})
	}
	raw, err := bodyOf(r)
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		refuse(http.StatusBadRequest, "invalid_request", "The body is no form.")
		return
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil || form.Get("grant_type") != "refresh_token" {
		refuse(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+form.Get("grant_type"))
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	client := func(i Identity) bool {
		return i.Credentials["client_id"] == id && i.Credentials["client_secret"] == secret
	}
	if !slices.ContainsFunc(y.channels, client) {
		refuse(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	i := slices.IndexFunc(y.channels, func(i Identity) bool {
		return client(i) && form.Get("refresh_token") != "" && y.refresh[i.ID] == form.Get("refresh_token")
	})
	if i < 0 {
		refuse(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		return
	}
	now := y.s.now()
	for token, t := range y.tokens {
		if len(y.tokens) >= youtubeMaxTokens || !now.Before(t.expires) {
			delete(y.tokens, token)
		}
	}
	access := "ya29." + rand.Text()
	out := map[string]any{
		"access_token": access, "expires_in": int(youtubeTokenLife.Seconds()), "token_type": "Bearer",
		"scope": "https://www.googleapis.com/auth/youtube.force-ssl",
	}
	if who := y.channels[i]; who.Credentials["rotate"] == "true" {
		next := "1//" + rand.Text()
		if err := y.s.remember("youtube", who.ID, "refresh "+who.ID, map[string]string{"token": next}); err != nil {
			y.broken(err).write(w)
			return
		}
		y.refresh[who.ID] = next
		out["refresh_token"] = next
	}
	y.tokens[access] = youtubeToken{channel: y.channels[i], expires: now.Add(youtubeTokenLife)}
	writeJSON(w, http.StatusOK, out)
}

// youtubeQuery refuses parameters that the method does not know, or that it needs and did not get.
func youtubeQuery(r *http.Request, required []string, optional ...string) (url.Values, *youtubeError) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) &&
			!slices.Contains([]string{"alt", "prettyPrint", "fields", "key", "quotaUser"}, name) {
			return nil, youtubeFault(http.StatusBadRequest, "badRequest", "Invalid query parameter: "+name)
		}
	}
	for _, name := range required {
		if q.Get(name) == "" {
			return nil, youtubeFault(http.StatusBadRequest, "required", "Required parameter: "+name)
		}
	}
	return q, nil
}

// listOf splits a repeated parameter, whose values may also be joined with commas.
func listOf(q url.Values, name string) []string {
	return strings.FieldsFunc(strings.Join(q[name], ","), func(r rune) bool { return r == ',' })
}

// youtubeBody decodes a JSON body strictly: Google refuses names that it does not know.
func youtubeBody(r *http.Request, v any) *youtubeError {
	raw, err := bodyOf(r)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		err = d.Decode(v)
	}
	if err != nil {
		return youtubeFault(http.StatusBadRequest, "badRequest", "Invalid JSON payload received: "+err.Error())
	}
	return nil
}

// youtubePage cuts one page out of n results and returns its bounds and the tokens that go with it.
func youtubePage(q url.Values, n, usual, most int) (from, to int, extra map[string]any, fault *youtubeError) {
	size := usual
	if text := q.Get("maxResults"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > most {
			return 0, 0, nil, youtubeFault(http.StatusBadRequest, "badRequest", "Invalid value for maxResults: "+text)
		}
	}
	if token := q.Get("pageToken"); token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			from, err = strconv.Atoi(string(raw))
		}
		if err != nil || from < 0 || from > n {
			return 0, 0, nil, youtubeFault(http.StatusBadRequest, "invalidPageToken", "The page token is not valid.")
		}
	}
	to = min(from+size, n)
	extra = map[string]any{"pageInfo": map[string]int{"totalResults": n, "resultsPerPage": size}}
	if to < n {
		extra["nextPageToken"] = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	}
	return from, to, extra, nil
}

// nextID returns an id of n characters that nothing has yet. It is called with y.mu held.
func (y *youtubePlatform) nextID(n int) string {
	for {
		y.serial++
		sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", y.s.now().UnixNano(), y.serial))
		id := base64.RawURLEncoding.EncodeToString(sum[:])[:n]
		if _, taken := y.s.record.get("youtube", id); !taken {
			return id
		}
	}
}

func (y *youtubePlatform) watch(w http.ResponseWriter, r *http.Request) {
	a, ok := y.s.find("youtube", r.URL.Query().Get("v"))
	if !ok || a.Kind != "video" || !a.Public {
		http.NotFound(w, r)
		return
	}
	i := slices.IndexFunc(y.channels, func(i Identity) bool { return i.ID == a.Identity })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	actPage(w, y.channels[i].Name, a)
}

func (y *youtubePlatform) listChannels(w http.ResponseWriter, r *http.Request, channel Identity) *youtubeError {
	q, fault := youtubeQuery(r, []string{"part"}, "mine", "id", "maxResults")
	if fault != nil {
		return fault
	}
	if q.Get("mine") != "true" && !slices.Contains(listOf(q, "id"), channel.ID) {
		return youtubeFault(http.StatusBadRequest, "missingRequiredParameter", "No filter selected. Expected one of: mine, id")
	}
	all := map[string]any{
		"snippet":        map[string]any{"title": channel.Name, "publishedAt": "2020-01-01T00:00:00Z"},
		"contentDetails": map[string]any{"relatedPlaylists": map[string]string{"uploads": uploadsOf(channel.ID)}},
		"status":         map[string]any{"privacyStatus": "public", "longUploadsStatus": "allowed"},
		"statistics":     map[string]string{"videoCount": strconv.Itoa(len(y.videosOf(channel.ID)))},
	}
	item, fault := youtubeParts("youtube#channel", channel.ID, all, listOf(q, "part"))
	if fault != nil {
		return fault
	}
	writeJSON(w, http.StatusOK, map[string]any{"kind": "youtube#channelListResponse", "items": []any{item}})
	return nil
}

// youtubeParts shows the named parts of a resource.
func youtubeParts(kind, id string, all map[string]any, parts []string) (map[string]any, *youtubeError) {
	out := map[string]any{"kind": kind, "id": id}
	for _, part := range parts {
		v, ok := all[part]
		switch {
		case ok:
			out[part] = v
		case part != "id":
			return nil, youtubeFault(http.StatusBadRequest, "unknownPart", "'"+part+"' is no part of this resource")
		}
	}
	return out, nil
}

// uploadsOf is the playlist of a channel's uploads: YouTube's own naming.
func uploadsOf(channel string) string { return "UU" + strings.TrimPrefix(channel, "UC") }
