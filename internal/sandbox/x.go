package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// xPlatform is X: API v2, and API v1.1 for identities whose contract includes it. All calls are signed with
// OAuth 1.0a.
type xPlatform struct {
	s     *Sandbox
	auth  *oauthVerifier
	limit *limiter
	mux   *http.ServeMux
	pages *http.ServeMux // for people, without credentials

	mu      sync.Mutex // guards what follows, and makes the duplicate check and the act one step
	lastID  int64
	uploads map[string]*xMedia
}

// xWindow is the length of X's rate windows.
const xWindow = 15 * time.Minute

func newX(s *Sandbox) *xPlatform {
	x := &xPlatform{s: s, limit: newLimiter(xWindow), mux: http.NewServeMux(), pages: http.NewServeMux(), uploads: make(map[string]*xMedia)}
	x.auth = &oauthVerifier{
		people: s.identities("twitter"), nonces: make(map[string]time.Time),
		bases: func(r *http.Request) []string { return x.addresses(r) },
	}
	for _, a := range s.record.list(func(a Act, _ time.Time) bool { return a.Platform == "twitter" && a.Kind != noteKind }) {
		if id, err := strconv.ParseInt(a.RemoteID, 10, 64); err == nil {
			x.lastID = max(x.lastID, id)
		}
	}
	x.recallMedia()

	// Limits for each user in 15 minutes, from X's rate limit page.
	x.route("POST /2/tweets", 100, x.createV2)
	x.route("GET /2/tweets/{id}", 900, x.showV2)
	x.route("DELETE /2/tweets/{id}", 50, x.deleteV2)
	x.route("GET /2/users/me", 75, x.me)
	x.route("GET /2/users/{id}/tweets", 900, x.timelineV2)
	x.route("POST /2/media/upload", 500, x.uploadOnce)
	x.route("GET /2/media/upload", 1000, x.uploadStatus)
	x.route("POST /2/media/upload/initialize", 1875, x.uploadInitialize)
	x.route("POST /2/media/upload/{id}/append", 1875, x.uploadAppend)
	x.route("POST /2/media/upload/{id}/finalize", 1875, x.uploadFinalize)
	x.route("POST /2/media/metadata", 500, x.metadata)

	x.routeV1("POST /1.1/statuses/update.json", 300, x.updateV1)
	x.routeV1("POST /1.1/statuses/destroy/{file}", 300, x.destroyV1)
	x.routeV1("GET /1.1/statuses/show.json", 900, x.showV1)
	x.routeV1("GET /1.1/statuses/user_timeline.json", 900, x.timelineV1)
	x.routeV1("GET /1.1/account/verify_credentials.json", 75, x.verifyV1)

	x.pages.HandleFunc("GET /{name}/status/{id}", x.page)
	x.mux.HandleFunc("/2/", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := x.signed(w, r, false); ok {
			xProblem(w, http.StatusNotFound, "Not Found", "Not Found")
		}
	})
	x.mux.HandleFunc("/1.1/", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := x.signed(w, r, true); ok {
			xCode(w, http.StatusNotFound, 34, "Sorry, that page does not exist.")
		}
	})
	return x
}

func (x *xPlatform) name() string { return "twitter" }

func (x *xPlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/2/") || strings.HasPrefix(r.URL.Path, "/1.1/") {
		x.mux.ServeHTTP(w, r)
		return
	}
	x.pages.ServeHTTP(w, r)
}

func (x *xPlatform) commits(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == "/2/tweets" || r.URL.Path == "/1.1/statuses/update.json")
}

func (x *xPlatform) identify(r *http.Request) string {
	auth, _ := parseOAuth(r.Header.Get("Authorization"))
	who, _ := x.auth.byToken(auth["oauth_token"])
	return who.ID
}

func (x *xPlatform) throttled(w http.ResponseWriter, reset time.Time) {
	xRateHeaders(w.Header(), 100, 0, reset)
	xProblem(w, http.StatusTooManyRequests, "Too Many Requests", "Too Many Requests")
}

func (x *xPlatform) exhausted(h http.Header, reset time.Time) {
	h.Set("X-Rate-Limit-Remaining", "0")
	h.Set("X-Rate-Limit-Reset", strconv.FormatInt(reset.Unix(), 10))
}

func xRateHeaders(h http.Header, limit, remaining int, reset time.Time) {
	h.Set("X-Rate-Limit-Limit", strconv.Itoa(limit))
	h.Set("X-Rate-Limit-Remaining", strconv.Itoa(max(remaining, 0)))
	h.Set("X-Rate-Limit-Reset", strconv.FormatInt(reset.Unix(), 10))
}

// addresses lists what a client may have signed: the address at which it asks, and the same below the sandbox's base,
// which another server may stand for. X's real hosts are reached by https alone, whatever leads here from there.
func (x *xPlatform) addresses(r *http.Request) []string {
	sent := originalOf(r)
	host := strings.ToLower(sent.host)
	if name, port, _ := strings.Cut(host, ":"); name == "api.x.com" || name == "api.twitter.com" {
		if port != "" && port != "443" {
			return nil
		}
		return []string{"https://" + name + sent.path}
	}
	asked := "http://" + strings.TrimSuffix(host, ":80") + sent.path
	if r.TLS != nil {
		asked = "https://" + strings.TrimSuffix(host, ":443") + sent.path
	}
	base, err := url.Parse(x.s.base)
	if err != nil {
		return []string{asked}
	}
	path := (&url.URL{Path: r.URL.Path}).EscapedPath()
	return []string{asked, strings.ToLower(base.Scheme+"://"+base.Host) + base.EscapedPath() + "/x" + path}
}

// signed returns who signed the request, or answers with the refusal.
func (x *xPlatform) signed(w http.ResponseWriter, r *http.Request, v1 bool) (Identity, bool) {
	who, flaw := x.auth.verify(r)
	if flaw == oauthFine {
		return who, true
	}
	if !v1 {
		xProblem(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
		return who, false
	}
	switch flaw {
	case oauthToken:
		xCode(w, http.StatusUnauthorized, 89, "Invalid or expired token.")
	case oauthClock:
		xCode(w, http.StatusUnauthorized, 135, "Timestamp out of bounds.")
	case oauthFine, oauthBad, oauthNoForm:
		xCode(w, http.StatusUnauthorized, 32, "Could not authenticate you.")
	}
	return who, false
}

// route adds a call of API v2: signature and rate limit come first.
func (x *xPlatform) route(pattern string, limit int, handle func(http.ResponseWriter, *http.Request, Identity)) {
	x.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, ok := x.signed(w, r, false)
		if !ok {
			return
		}
		remaining, reset := x.limit.take(who.ID, pattern, limit, x.s.now())
		if remaining < 0 && !x.s.unlimited {
			x.throttled(w, reset)
			return
		}
		xRateHeaders(w.Header(), limit, remaining, reset)
		handle(w, r, who)
	})
}

// routeV1 adds a call of API v1.1, which most contracts do not include.
func (x *xPlatform) routeV1(pattern string, limit int, handle func(http.ResponseWriter, *http.Request, Identity)) {
	x.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, ok := x.signed(w, r, true)
		if !ok {
			return
		}
		if who.Credentials["v1.1"] != "true" {
			xCode(w, http.StatusForbidden, 453, "You currently have access to a subset of X API V2 endpoints and limited v1.1 endpoints "+
				"(e.g. media post, oauth) only. If you need access to this endpoint, you may need a different access level.")
			return
		}
		remaining, reset := x.limit.take(who.ID, pattern, limit, x.s.now())
		xRateHeaders(w.Header(), limit, remaining, reset)
		if remaining < 0 && !x.s.unlimited {
			xCode(w, http.StatusTooManyRequests, 88, "Rate limit exceeded")
			return
		}
		handle(w, r, who)
	})
}

// nextID makes a numeric id that grows with time and never repeats. The caller holds x.mu.
func (x *xPlatform) nextID() string {
	const epoch = 1288834974657 // the first millisecond of X's ids
	x.lastID = max(x.lastID+1, (x.s.now().UnixMilli()-epoch)<<22)
	return strconv.FormatInt(x.lastID, 10)
}

// xProblem answers in the shape of RFC 7807 that API v2 uses.
func xProblem(w http.ResponseWriter, status int, title, detail string) {
	writeJSON(w, status, map[string]any{"title": title, "detail": detail, "type": "about:blank", "status": status})
}

// xInvalidRequest is API v2's refusal of a malformed request.
func xInvalidRequest(w http.ResponseWriter, message, field, value string) {
	e := map[string]any{"message": message}
	if field != "" {
		e["parameters"] = map[string][]string{field: {value}}
	}
	writeJSON(w, http.StatusBadRequest, map[string]any{
		"errors": []any{e}, "title": "Invalid Request", "detail": "One or more parameters to your request was invalid.",
		"type": "https://api.x.com/2/problems/invalid-request", "status": http.StatusBadRequest,
	})
}

// xForbidden is how API v2 refuses content.
func xForbidden(w http.ResponseWriter, detail string) {
	xProblem(w, http.StatusForbidden, "Forbidden", detail)
}

// xCode answers in the shape of API v1.1.
func xCode(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{"errors": []any{map[string]any{"code": code, "message": message}}})
}

// xServerError answers for a failure of the sandbox itself, such as a full disk.
func (x *xPlatform) xServerError(w http.ResponseWriter, err error) {
	x.s.log.Error("sandbox failed", "platform", "twitter", "error", err)
	xProblem(w, http.StatusServiceUnavailable, "Service Unavailable", "Service Unavailable")
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Name}}</title>
<body><article><h1>{{.Name}}</h1>{{with .Title}}<h2>{{.}}</h2>{{end}}<p style="white-space:pre-wrap">{{.Text}}</p>
{{with .Link}}<p><a href="{{.}}" rel="nofollow noreferrer">{{.}}</a></p>{{end}}{{with .Media}}<p>{{len .}} file(s) attached</p>{{end}}
<footer><time>{{.At}}</time> · a sandbox post, seen by nobody else</footer></article></body></html>
`))

// actPage shows one act to a person who follows its permalink.
func actPage(w http.ResponseWriter, name string, a Act) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("X-Content-Type-Options", "nosniff")
	data := struct {
		Act

		Name, At string
	}{Act: a, Name: name, At: a.At.Format(time.RFC1123)}
	if err := pageTemplate.Execute(w, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (x *xPlatform) page(w http.ResponseWriter, r *http.Request) {
	a, ok := x.s.find("twitter", r.PathValue("id"))
	who, known := x.person(a.Identity)
	if !ok || !known || !strings.EqualFold(who.Name, r.PathValue("name")) {
		http.NotFound(w, r)
		return
	}
	actPage(w, "@"+who.Name, a)
}

func (x *xPlatform) person(id string) (Identity, bool) {
	i := slices.IndexFunc(x.auth.people, func(i Identity) bool { return i.ID == id })
	if i < 0 {
		return Identity{}, false
	}
	return x.auth.people[i], true
}

func (x *xPlatform) permalink(who Identity, id string) string {
	return x.s.permalink("x", who.Name+"/status/"+id)
}

// xDraft is a post that is well formed and not yet judged.
type xDraft struct {
	text   string
	parent string
	media  []string // ids of uploads
	raw    map[string]string
}

// Refusals of a post that is well formed, by what both APIs say about them.
var (
	errXDuplicate = errors.New("duplicate")
	errXLength    = errors.New("too long")
	errXCashtags  = errors.New("more than one cashtag")
	errXParent    = errors.New("parent does not exist")
	errXStranger  = errors.New("reply to a stranger")
	errXMedia     = errors.New("media invalid")
	errXEmpty     = errors.New("no content")
	errXCharacter = errors.New("invalid character")
)

// xDuplicateWindow is how long X refuses the same post again; the true length is undocumented.
const xDuplicateWindow = 6 * time.Hour

// post judges a draft and makes it public.
func (x *xPlatform) post(ctx context.Context, who Identity, d xDraft) (Act, error) {
	d.text = strings.TrimSpace(d.text)
	limit := xMaxWeight
	if n, err := strconv.Atoi(who.Credentials["max_weight"]); err == nil {
		limit = n
	}
	switch {
	case d.text == "" && len(d.media) == 0:
		return Act{}, errXEmpty
	case xInvalid(d.text):
		return Act{}, errXCharacter
	case xWeight(d.text) > limit:
		return Act{}, errXLength
	case xCashtags(d.text) > 1:
		return Act{}, errXCashtags
	}
	kind := "post"
	root := ""
	if d.parent != "" {
		kind = "reply"
		parent, ok := x.s.find("twitter", d.parent)
		if !ok {
			return Act{}, errXParent
		}
		if parent.Identity != who.ID && !strings.Contains(strings.ToLower(parent.Text), "@"+strings.ToLower(who.Name)) {
			return Act{}, errXStranger
		}
		root = parent.Raw["conversation_id"]
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	media, err := x.attach(who, d.media)
	if err != nil {
		return Act{}, err
	}
	since := x.s.now().Add(-xDuplicateWindow)
	mediaIDs := strings.Join(d.media, ",")
	same := x.s.record.list(func(a Act, _ time.Time) bool {
		return a.Platform == "twitter" && a.Identity == who.ID && a.Kind != noteKind && !a.Deleted && a.At.After(since) &&
			a.Parent == d.parent && a.Raw["media_ids"] == mediaIDs && sameText(a.Text) == sameText(d.text)
	})
	if len(same) > 0 {
		return Act{}, errXDuplicate
	}
	id := x.nextID()
	if root == "" {
		root = id
	}
	raw := map[string]string{"conversation_id": root}
	a := Act{
		Platform: "twitter", Identity: who.ID, RemoteID: id, URL: x.permalink(who, id), Kind: kind, Parent: d.parent,
		Text: d.text, Public: true, Raw: raw,
	}
	var keys []string
	for i, m := range media {
		a.Media = append(a.Media, m.sum)
		keys = append(keys, m.key)
		if m.alt != "" {
			raw[fmt.Sprintf("alt_text_%d", i)] = m.alt
		}
	}
	if len(keys) > 0 {
		raw["media_ids"], raw["media_keys"] = mediaIDs, strings.Join(keys, ",")
	}
	maps.Copy(raw, d.raw)
	return x.s.publish(ctx, a)
}

// sameText is what two texts must have in common to be called duplicates.
func sameText(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// shown returns a recorded post's text and links as X shows them.
func (x *xPlatform) shown(a Act) (string, []xEntity) {
	return xShown(a.RemoteID, a.Text, a.URL, splitList(a.Raw["media_keys"]))
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// strictObject decodes a JSON object whose keys must be among those allowed, spelled exactly so, each once.
func strictObject(raw []byte, v any, allowed ...string) (unknown string, err error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return "", err
	}
	if keys == nil {
		return "", errors.New("not an object")
	}
	for k := range keys {
		if !slices.Contains(allowed, k) {
			return k, nil
		}
	}
	return "", json.Unmarshal(raw, v)
}
