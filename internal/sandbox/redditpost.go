package sandbox

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	redditMaxTitle     = 300
	redditMaxText      = 40_000
	redditMaxComment   = 10_000
	redditMaxFlairText = 64
	redditMaxImage     = 20 << 20
)

// redditError is one entry of json.errors, which Reddit sends with HTTP 200.
type redditError struct{ label, text, field string }

func (e *redditError) Error() string { return e.label + ": " + e.text }

// jsonErrors answers as Reddit refuses content.
func jsonErrors(w http.ResponseWriter, e *redditError, wait time.Duration) {
	var field any
	if e.field != "" {
		field = e.field
	}
	body := map[string]any{"errors": []any{[]any{e.label, e.text, field}}}
	if wait > 0 {
		body["ratelimit"] = wait.Seconds()
	}
	writeJSON(w, http.StatusOK, map[string]any{"json": body})
}

// validation is how Reddit refuses what a subreddit's post requirements forbid.
func validation(w http.ResponseWriter, reason, field, explanation string) {
	writeJSON(w, http.StatusBadRequest, map[string]any{
		"fields": []string{field}, "explanation": explanation, "message": "Bad Request", "error_type": "SUBMIT_VALIDATION_ERROR",
		"reason": "SUBMIT_VALIDATION_" + reason,
	})
}

// checkSubmission returns what Reddit itself, apart from the subreddit's wishes, says against a submission.
func (p *redditPlatform) checkSubmission(form url.Values, sub Subreddit, known bool) *redditError {
	title, text, link := strings.TrimSpace(form.Get("title")), form.Get("text"), form.Get("url")
	switch {
	case form.Get("sr") == "":
		return &redditError{"SUBREDDIT_REQUIRED", "you must specify a subreddit", "sr"}
	case !known:
		return &redditError{"SUBREDDIT_NOEXIST", "that subreddit doesn't exist", "sr"}
	case sub.Bans:
		return &redditError{"SUBREDDIT_NOTALLOWED", "you aren't allowed to post there.", "sr"}
	case title == "":
		return &redditError{"NO_TEXT", "we need something here", "title"}
	case utf8.RuneCountInString(title) > redditMaxTitle:
		return &redditError{"TOO_LONG", "this is too long (max: 300)", "title"}
	case utf8.RuneCountInString(text) > redditMaxText:
		return &redditError{"TOO_LONG", "this is too long (max: 40000)", "text"}
	case utf8.RuneCountInString(form.Get("flair_text")) > redditMaxFlairText:
		return &redditError{"TOO_LONG", "this is too long (max: 64)", "flair_text"}
	}
	switch form.Get("kind") {
	case "self":
		if sub.NoSelf {
			return &redditError{"NO_SELFS", "that subreddit doesn't allow text posts", "sr"}
		}
		if link != "" {
			return &redditError{"INVALID_SELFPOST", "a text post has no url", "url"}
		}
	case "link", "image":
		if link == "" {
			return &redditError{"NO_URL", "a url is required", "url"}
		}
		u, err := url.Parse(link)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return &redditError{"BAD_URL", "you should check that url", "url"}
		}
		if form.Get("kind") == "link" && sub.NoLinks {
			return &redditError{"NO_LINKS", "that subreddit only allows text posts", "sr"}
		}
		if form.Get("kind") == "image" && sub.NoImages {
			return &redditError{"NO_IMAGES", "that subreddit doesn't allow images", "sr"}
		}
	default:
		return &redditError{"INVALID_OPTION", "that option is not valid", "kind"}
	}
	return nil
}

// checkWishes answers with what the subreddit demands and the submission lacks.
func checkWishes(w http.ResponseWriter, form url.Values, sub Subreddit) bool {
	title := strings.ToLower(form.Get("title"))
	flair := form.Get("flair_id")
	_, offered := sub.Flairs[flair]
	switch {
	case utf8.RuneCountInString(title) < sub.TitleMin:
		validation(w, "TITLE_MIN_LENGTH", "title", fmt.Sprintf("The title must be at least %d characters.", sub.TitleMin))
	case slices.ContainsFunc(sub.Blacklist, func(word string) bool { return strings.Contains(title, strings.ToLower(word)) }):
		validation(w, "TITLE_BLACKLISTED_STRING", "title", "The title contains a word that this community does not allow.")
	case sub.FlairRequired && flair == "":
		validation(w, "FLAIR_REQUIRED", "flair", "Your post must contain post flair.")
	case flair != "" && !offered:
		validation(w, "FLAIR_INVALID", "flair", "That flair does not exist here.")
	default:
		return true
	}
	return false
}

// submit is POST /api/submit.
func (p *redditPlatform) submit(w http.ResponseWriter, r *http.Request, who Identity) {
	form, ok := formOf(r)
	if !ok {
		p.refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	sub, known := p.sub(form.Get("sr"), who)
	if e := p.checkSubmission(form, sub, known); e != nil {
		jsonErrors(w, e, 0)
		return
	}
	if !checkWishes(w, form, sub) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.tooSoon(who); wait > 0 {
		jsonErrors(w, &redditError{
			"RATELIMIT", fmt.Sprintf("Looks like you've been doing that a lot. Take a break for %d seconds before trying again.", seconds(wait)), "ratelimit",
		}, wait)
		return
	}
	kind := form.Get("kind")
	var media []string
	if kind == "image" {
		m := p.leases[form.Get("url")[strings.LastIndex(form.Get("url"), "/")+1:]]
		if m == nil || m.owner != who.ID || m.sum == "" || form.Get("url") != p.uploadAddress()+"/"+m.key {
			jsonErrors(w, &redditError{"BAD_URL", "you should check that url", "url"}, 0)
			return
		}
		media = []string{m.sum}
	}
	if kind == "link" && strings.EqualFold(form.Get("resubmit"), "false") && p.linked(sub.Name, form.Get("url")) {
		jsonErrors(w, &redditError{"ALREADY_SUB", "that link has already been submitted", "url"}, 0)
		return
	}
	id := p.nextID()
	title := strings.TrimSpace(form.Get("title"))
	path := fmt.Sprintf("r/%s/comments/%s/%s/", sub.Name, id, slug(title))
	a := Act{
		Platform: "reddit", Identity: who.ID, RemoteID: "t3_" + id, URL: p.s.permalink("reddit", path), Kind: "post",
		Text: form.Get("text"), Title: title, Link: form.Get("url"), Destination: sub.Name, Media: media, Public: true,
		Raw: map[string]string{"kind": kind, "path": "/" + path},
	}
	for _, k := range []string{"flair_id", "flair_text", "nsfw", "spoiler", "sendreplies"} {
		if v := form.Get(k); v != "" {
			a.Raw[k] = strings.ToLower(v)
		}
	}
	a, err := p.s.publish(r.Context(), a)
	if err != nil {
		p.failed(w, err)
		return
	}
	switch {
	case form.Get("api_type") != "json":
		writeJSON(w, http.StatusOK, map[string]any{"jquery": []any{[]any{0, 10, "call", []string{a.URL}}}, "success": true})
	case kind == "image":
		// The post of an image appears later in real life: its id is not in the answer.
		writeJSON(w, http.StatusOK, map[string]any{"json": map[string]any{"errors": []any{}, "data": map[string]any{
			"user_submitted_page": p.s.permalink("reddit", "user/"+who.Name+"/submitted/"), "websocket_url": "wss://ws.invalid/" + id,
		}}})
	default:
		writeJSON(w, http.StatusOK, map[string]any{"json": map[string]any{"errors": []any{}, "data": map[string]any{
			"url": a.URL, "drafts_count": 0, "id": id, "name": a.RemoteID,
		}}})
	}
}

// tooSoon says how long the identity must wait before it may submit. The caller holds p.mu.
func (p *redditPlatform) tooSoon(who Identity) time.Duration {
	every, err := time.ParseDuration(who.Credentials["submit_every"])
	if err != nil {
		return 0
	}
	var last time.Time
	for _, a := range p.mine(who.ID, "post") {
		last = a.At
	}
	return last.Add(every).Sub(p.s.now())
}

func (p *redditPlatform) mine(identity, kind string) []Act {
	return p.s.record.list(func(a Act, _ time.Time) bool {
		return a.Platform == "reddit" && a.Kind == kind && a.Identity == identity && !a.Deleted
	})
}

func (p *redditPlatform) linked(sub, link string) bool {
	return len(p.s.record.list(func(a Act, _ time.Time) bool {
		return a.Platform == "reddit" && a.Kind == "post" && a.Destination == sub && a.Link == link && !a.Deleted
	})) > 0
}

// nextID makes a base-36 id that never repeats. The caller holds p.mu.
func (p *redditPlatform) nextID() string {
	p.lastID++
	return strconv.FormatInt(p.lastID, 36)
}

// slug is the part of a permalink that is for people.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
		if b.Len() >= 50 {
			break
		}
	}
	if s := strings.Trim(b.String(), "_"); s != "" {
		return s
	}
	return "_"
}

// comment is POST /api/comment.
func (p *redditPlatform) comment(w http.ResponseWriter, r *http.Request, who Identity) {
	form, ok := formOf(r)
	if !ok {
		p.refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	text := form.Get("text")
	id := form.Get("thing_id")
	if id == "" {
		id = form.Get("parent") // the parameter's older name, which clients still send
	}
	parent, exists := p.s.find("reddit", id)
	switch {
	case strings.TrimSpace(text) == "":
		jsonErrors(w, &redditError{"NO_TEXT", "we need something here", "text"}, 0)
		return
	case utf8.RuneCountInString(text) > redditMaxComment:
		jsonErrors(w, &redditError{"TOO_LONG", "this is too long (max: 10000)", "text"}, 0)
		return
	case !exists:
		jsonErrors(w, &redditError{"DELETED_COMMENT", "that comment has been deleted", "parent"}, 0)
		return
	}
	root := parent.RemoteID
	path := parent.Raw["path"]
	if parent.Kind == "comment" {
		root = parent.Raw["link_id"]
		if post, ok := p.s.find("reddit", root); ok {
			path = post.Raw["path"]
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id = p.nextID()
	path += id + "/"
	a, err := p.s.publish(r.Context(), Act{
		Platform: "reddit", Identity: who.ID, RemoteID: "t1_" + id, URL: p.s.permalink("reddit", path), Kind: "comment", Parent: parent.RemoteID,
		Text: text, Destination: parent.Destination, Public: true, Raw: map[string]string{"link_id": root, "path": path},
	})
	if err != nil {
		p.failed(w, err)
		return
	}
	data := p.thing(a, rawJSON(r, form))
	if strings.EqualFold(form.Get("return_rtjson"), "true") {
		writeJSON(w, http.StatusOK, data["data"])
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"json": map[string]any{"errors": []any{}, "data": map[string]any{"things": []any{data}}}})
}

// own returns an act of this identity by its full id, or answers with the refusal.
func (p *redditPlatform) own(w http.ResponseWriter, who Identity, id string) (Act, bool) {
	a, ok := p.s.find("reddit", id)
	if !ok || a.Identity != who.ID {
		p.refuse(w, http.StatusForbidden, "Forbidden")
		return a, false
	}
	return a, true
}

// edit is POST /api/editusertext: text posts and comments only.
func (p *redditPlatform) edit(w http.ResponseWriter, r *http.Request, who Identity) {
	form, ok := formOf(r)
	if !ok {
		p.refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	a, ok := p.own(w, who, form.Get("thing_id"))
	if !ok {
		return
	}
	limit := redditMaxText
	if a.Kind == "comment" {
		limit = redditMaxComment
	}
	switch {
	case a.Kind == "post" && a.Raw["kind"] != "self":
		p.refuse(w, http.StatusForbidden, "Forbidden")
		return
	case utf8.RuneCountInString(form.Get("text")) > limit:
		jsonErrors(w, &redditError{"TOO_LONG", fmt.Sprintf("this is too long (max: %d)", limit), "text"}, 0)
		return
	}
	a, _, err := p.s.amend("reddit", a.RemoteID, func(a *Act) { a.Text = form.Get("text") })
	if err != nil {
		p.failed(w, err)
		return
	}
	data := p.thing(a, rawJSON(r, form))
	if strings.EqualFold(form.Get("return_rtjson"), "true") {
		writeJSON(w, http.StatusOK, data["data"])
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"json": map[string]any{"errors": []any{}, "data": map[string]any{"things": []any{data}}}})
}

// remove is POST /api/del, which never says that there was nothing to delete.
func (p *redditPlatform) remove(w http.ResponseWriter, r *http.Request, who Identity) {
	form, ok := formOf(r)
	if !ok {
		p.refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	if a, ok := p.s.find("reddit", form.Get("id")); ok && a.Identity == who.ID {
		if _, _, err := p.s.amend("reddit", a.RemoteID, func(a *Act) { a.Deleted = true }); err != nil {
			p.failed(w, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{})
}

// redditLease is the permission to upload one file, and the file's sum once it is there.
type redditLease struct{ key, owner, kind, sum string }

// uploadAddress is the upload host's address. Reddit's own begins with // and means https; a sandbox on plain http
// states its scheme.
func (p *redditPlatform) uploadAddress() string { return p.s.permalink("reddit", "media-upload") }

// lease is POST /api/media/asset.json.
func (p *redditPlatform) lease(w http.ResponseWriter, r *http.Request, who Identity) {
	form, ok := formOf(r)
	kind := form.Get("mimetype")
	if !ok || form.Get("filepath") == "" || !slices.Contains([]string{"image/png", "image/jpeg", "image/gif"}, kind) {
		p.refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	key := strings.ToLower(rand.Text())
	p.mu.Lock()
	p.leases[key] = &redditLease{key: key, owner: who.ID, kind: kind}
	p.mu.Unlock()
	type field struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"args": map[string]any{
			"action": strings.TrimPrefix(p.uploadAddress(), "https:"),
			"fields": []field{{"acl", "private"}, {"key", key}, {"Content-Type", kind}, {"success_action_status", "201"}},
		},
		"asset": map[string]any{"asset_id": key, "processing_state": "incomplete", "websocket_url": "wss://ws.invalid/" + key},
	})
}

// upload is the upload host: all fields of the lease in order, then the file.
func (p *redditPlatform) upload(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>"+code+"</Code><Message>upload refused</Message></Error>")
	}
	raw, cut := bodyOf(r)
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if cut != nil || err != nil || kind != "multipart/form-data" {
		refuse("MalformedPOSTRequest")
		return
	}
	fields := make(map[string]string)
	var file []byte
	for form := multipart.NewReader(bytes.NewReader(raw), params["boundary"]); file == nil; {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			refuse("MalformedPOSTRequest")
			return
		}
		b, err := io.ReadAll(part)
		if err != nil {
			refuse("MalformedPOSTRequest")
			return
		}
		if part.FormName() == "file" {
			file = b
			continue
		}
		fields[part.FormName()] = string(b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.leases[fields["key"]]
	switch {
	case m == nil || fields["acl"] != "private" || fields["Content-Type"] != m.kind:
		refuse("AccessDenied")
		return
	case len(file) == 0 || http.DetectContentType(file) != m.kind:
		refuse("InvalidArgument")
		return
	case len(file) > redditMaxImage:
		refuse("EntityTooLarge")
		return
	}
	sum := sha256.Sum256(file)
	if err := p.s.remember("reddit", m.owner, "lease "+m.key, map[string]string{"kind": m.kind, "sum": hex.EncodeToString(sum[:])}); err != nil {
		p.failed(w, err)
		return
	}
	m.sum = hex.EncodeToString(sum[:])
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>"+
		html.EscapeString(p.uploadAddress()+"/"+m.key)+"</Location><Key>"+m.key+"</Key></PostResponse>")
}
