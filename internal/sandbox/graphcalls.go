package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	graphMaxMessage    = 63_206   // characters; named by peers, not by a page of Meta's
	graphMaxComment    = 8_000    // characters; named by peers as well
	graphMaxPhotosPost = 10       // photos of one post
	graphMaxPhoto      = 10 << 20 // bytes
	graphPageSize      = 25
	graphMaxSize       = 100
)

type graphHandler func(r *http.Request, c *graphCall, node graphNode) (any, *graphError)

// handler returns what serves a call such as "POST Page/feed", and the kind of object whose fields it returns.
func (g *graphPlatform) handler(call string) (graphHandler, string) {
	switch call {
	case "GET Page/":
		return g.showPage, "Page"
	case "POST Page/feed":
		return g.feed, "PagePost"
	case "POST Page/photos":
		return g.upload, "Photo"
	case "GET Page/published_posts":
		return g.publishedPosts, "PagePost"
	case "GET Page/scheduled_posts":
		return g.scheduledPosts, "PagePost"
	case "GET PagePost/", "GET Comment/", "GET Photo/":
		return g.show, strings.TrimSuffix(strings.TrimPrefix(call, "GET "), "/")
	case "POST PagePost/":
		return g.update, "PagePost"
	case "DELETE PagePost/", "DELETE Comment/", "DELETE Photo/":
		return g.remove, strings.TrimSuffix(strings.TrimPrefix(call, "DELETE "), "/")
	case "POST PagePost/comments", "POST Comment/comments":
		return g.comment, "Comment"
	case "GET PagePost/comments":
		return g.listComments, "Comment"
	}
	return nil, ""
}

func (g *graphPlatform) showPage(_ *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	page := g.pages[node.id]
	all := map[string]any{
		"id": page.ID, "name": page.Name, "link": g.s.permalink("graph", page.ID), "is_published": true,
		"category": "Community", "fan_count": 0, "followers_count": 0,
	}
	if page.ID == c.page.ID {
		all["access_token"] = page.Credentials["page_token"]
		all["tasks"] = []string{"CREATE_CONTENT", "MODERATE", "ANALYZE"}
	}
	if len(c.fields) == 0 {
		return map[string]any{"id": page.ID, "name": page.Name}, nil
	}
	return project(all, c.fields), nil
}

// feed makes a post of a message, a link or photos.
func (g *graphPlatform) feed(r *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	photos, fault := g.attached(c)
	if fault != nil {
		return nil, fault
	}
	message, link := c.values["message"], c.values["link"]
	switch {
	case c.values["scheduled_publish_time"] != "":
		return nil, graphInvalid("(#100) scheduled_publish_time is not served by this sandbox")
	case strings.TrimSpace(message) == "" && link == "" && len(photos) == 0:
		return nil, graphInvalid("(#100) One of message, link or attached_media is required")
	case utf8.RuneCountInString(message) > graphMaxMessage:
		return nil, graphInvalid("(#100) Param message is too long")
	case len(photos) > graphMaxPhotosPost:
		return nil, graphInvalid("(#100) Param attached_media has too many photos")
	case link != "" && len(photos) > 0:
		return nil, graphInvalid("(#100) Param link cannot be used with attached_media")
	case link != "" && !webAddress(link):
		return nil, &graphError{status: http.StatusBadRequest, code: 100, subcode: 1609005, message: "(#100) The link cannot be scraped"}
	}
	a, fault := g.post(r, Act{Identity: node.id, Text: message, Link: link, Public: !isFalse(c.values["published"])}, photos)
	if fault != nil {
		return nil, fault
	}
	return g.created(a, c.fields), nil
}

// created is the answer for a new post: its id, and with ?fields= what was asked for (read after write).
func (g *graphPlatform) created(a Act, fields []graphField) map[string]any {
	if len(fields) == 0 {
		return map[string]any{"id": a.RemoteID}
	}
	return project(g.viewPost(a), fields)
}

// post records a new post, public or held back.
func (g *graphPlatform) post(r *http.Request, a Act, photos []graphPhoto) (Act, *graphError) {
	for _, p := range photos {
		a.Media = append(a.Media, p.SHA256)
	}
	if a.Public && g.repeats(a) {
		return Act{}, &graphError{status: http.StatusBadRequest, code: 506, message: "(#506) Duplicate status message"}
	}
	text, err := encodePhotos(photos)
	if err != nil {
		return Act{}, g.graphBroken(err)
	}
	a.Platform, a.Kind, a.RemoteID = "facebook", "post", a.Identity+"_"+g.nextID()
	a.URL = g.s.permalink("graph", a.RemoteID)
	a.Raw = map[string]string{rawPhotos: text}
	if a.Public {
		a.Raw[rawMadePublic] = "1"
	}
	a, err = g.s.publish(r.Context(), a)
	if err == nil && a.Public {
		err = g.use(photos)
	}
	if err != nil {
		return Act{}, g.graphBroken(err)
	}
	return a, nil
}

// repeats reports whether the Page said the same a moment ago.
func (g *graphPlatform) repeats(a Act) bool {
	since := g.s.now().Add(-graphDuplicateWindow)
	same := g.s.record.list(func(old Act, _ time.Time) bool {
		return old.Platform == "facebook" && old.Identity == a.Identity && old.Kind == "post" && old.Public && !old.Deleted &&
			old.At.After(since) && old.Text == a.Text && old.Link == a.Link && slices.Equal(old.Media, a.Media)
	})
	return len(same) > 0
}

// use marks photos as part of a public post: they cannot go out again.
func (g *graphPlatform) use(photos []graphPhoto) error {
	for _, p := range photos {
		if known := g.photo(p.ID); known != nil {
			known.Used = true
			if err := g.keepPhoto(*known); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *graphPlatform) keepPhoto(p graphPhoto) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return g.s.remember("facebook", p.Page, p.ID, map[string]string{rawPhotos: string(text)})
}

// attached reads attached_media, as indexed keys or as one JSON list.
func (g *graphPlatform) attached(c *graphCall) ([]graphPhoto, *graphError) {
	var texts []string
	indexed := make(map[int]string)
	for name, v := range c.values {
		if base, ok := cutIndex(name); ok && base == "attached_media" {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, base+"["), "]"))
			indexed[n] = v
		}
	}
	for _, n := range slices.Sorted(maps.Keys(indexed)) {
		texts = append(texts, indexed[n])
	}
	if list := c.values["attached_media"]; list != "" {
		var raw []json.RawMessage
		if json.Unmarshal([]byte(list), &raw) != nil {
			return nil, graphInvalid("(#100) Param attached_media must be list<Object>")
		}
		for _, item := range raw {
			texts = append(texts, string(item))
		}
	}
	var photos []graphPhoto
	for _, text := range texts {
		var media struct {
			ID string `json:"media_fbid"`
		}
		if json.Unmarshal([]byte(text), &media) != nil || media.ID == "" {
			return nil, graphInvalid("(#100) Param attached_media must name a media_fbid")
		}
		p := g.photo(media.ID)
		switch {
		case p == nil || p.Page != c.page.ID:
			return nil, graphGone(media.ID)
		case p.Used:
			return nil, &graphError{status: http.StatusBadRequest, code: 100, subcode: 1366051, message: "(#100) These photos were already posted"}
		}
		photos = append(photos, *p)
	}
	return photos, nil
}

func webAddress(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// upload takes a photo, and posts it at once unless published=false.
func (g *graphPlatform) upload(r *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	file, ok := c.files["source"]
	switch {
	case !ok:
		return nil, graphInvalid("(#100) The parameter source is required: this sandbox fetches no url")
	case c.values["scheduled_publish_time"] != "":
		return nil, graphInvalid("(#100) scheduled_publish_time is not served by this sandbox")
	case len(file.data) > graphMaxPhoto:
		return nil, &graphError{status: http.StatusBadRequest, code: 100, subcode: 1366046, message: "(#100) Your photos couldn't be uploaded. Photos should be smaller than 10 MB and saved as JPG, PNG, GIF, TIFF or BMP files."}
	case !isPhoto(file.data):
		return nil, &graphError{status: http.StatusBadRequest, code: 324, message: "(#324) Missing or invalid image file"}
	}
	digest := sha256.Sum256(file.data)
	p := graphPhoto{
		ID: g.nextID(), Page: node.id, Caption: c.values["caption"], Alt: c.values["alt_text_custom"],
		SHA256: hex.EncodeToString(digest[:]), Created: g.s.now().UTC(),
	}
	if err := g.keepPhoto(p); err != nil {
		return nil, g.graphBroken(err)
	}
	g.photos = append(g.photos, p)
	if len(g.photos) > graphMaxPhotos {
		g.photos = slices.Delete(g.photos, 0, len(g.photos)-graphMaxPhotos)
	}
	answer := map[string]any{"id": p.ID}
	if len(c.fields) > 0 {
		answer = project(g.viewPhoto(p), c.fields)
	}
	if isFalse(c.values["published"]) {
		return answer, nil
	}
	a, fault := g.post(r, Act{Identity: node.id, Text: p.Caption, Public: true}, []graphPhoto{p})
	if fault != nil {
		return nil, fault
	}
	answer["post_id"] = a.RemoteID
	return answer, nil
}

func isPhoto(data []byte) bool {
	if bytes.HasPrefix(data, []byte("II*\x00")) || bytes.HasPrefix(data, []byte("MM\x00*")) {
		return true
	}
	switch http.DetectContentType(data) {
	case "image/jpeg", "image/png", "image/gif", "image/bmp":
		return true
	}
	return false
}

// publishedPosts lists public posts, newest first. Like the real edge as far as it is known, it knows no since and
// until: they are accepted and change nothing.
func (g *graphPlatform) publishedPosts(r *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	posts := slices.DeleteFunc(g.s.listed("facebook", node.id), func(a Act) bool { return a.Kind != "post" || !a.Public })
	slices.Reverse(posts)
	slices.SortStableFunc(posts, func(a, b Act) int { return b.At.Compare(a.At) })
	return g.pageOf(r, c, posts, g.viewPost, "id", "created_time", "message")
}

func (g *graphPlatform) scheduledPosts(r *http.Request, c *graphCall, _ graphNode) (any, *graphError) {
	return g.pageOf(r, c, nil, g.viewPost, "id")
}

func (g *graphPlatform) listComments(r *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	list := g.comments(node.id)
	if c.values["order"] == "reverse_chronological" {
		slices.Reverse(list)
	}
	return g.pageOf(r, c, list, g.viewComment, "id", "created_time", "from", "message")
}

// comments returns the listed comments below a post, oldest first.
func (g *graphPlatform) comments(post string) []Act {
	return slices.DeleteFunc(g.s.listed("facebook", ""), func(a Act) bool { return a.Kind != "comment" || a.Raw[rawPost] != post })
}

// pageOf answers with one page of a list; usual names the fields shown when none are asked for.
func (g *graphPlatform) pageOf(r *http.Request, c *graphCall, list []Act, view func(Act) map[string]any, usual ...string) (any, *graphError) {
	size := graphPageSize
	if text := c.values["limit"]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, graphInvalid("(#100) Param limit must be a positive number")
		}
		size = min(n, graphMaxSize)
	}
	if after := c.values["after"]; after != "" {
		id, err := base64.RawURLEncoding.DecodeString(after)
		i := slices.IndexFunc(list, func(a Act) bool { return a.RemoteID == string(id) })
		if err != nil || i < 0 {
			return nil, graphInvalid("(#100) Param after is no cursor of this list")
		}
		list = list[i+1:]
	}
	fields := c.fields
	if len(fields) == 0 {
		for _, name := range usual {
			fields = append(fields, graphField{name: name})
		}
	}
	data := make([]map[string]any, 0, min(size, len(list)))
	for _, a := range list[:min(size, len(list))] {
		data = append(data, project(view(a), fields))
	}
	if len(data) == 0 {
		return map[string]any{"data": data}, nil
	}
	cursor := func(i int) string { return base64.RawURLEncoding.EncodeToString([]byte(list[i].RemoteID)) }
	paging := map[string]any{"cursors": map[string]any{"before": cursor(0), "after": cursor(len(data) - 1)}}
	if len(list) > size {
		query := url.Values{}
		for name, v := range c.values {
			if name != "access_token" && name != "appsecret_proof" {
				query.Set(name, v)
			}
		}
		query.Set("after", cursor(len(data)-1))
		paging["next"] = clientURL(r) + "?" + query.Encode()
	}
	return map[string]any{"data": data, "paging": paging}, nil
}

func (g *graphPlatform) show(_ *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	usual := []graphField{{name: "created_time"}, {name: "message"}, {name: "name"}}
	if len(c.fields) > 0 {
		usual = c.fields
	}
	switch node.kind {
	case "Photo":
		return project(g.viewPhoto(*node.photo), usual), nil
	case "Comment":
		return project(g.viewComment(node.act), usual), nil
	}
	return project(g.viewPost(node.act), usual), nil
}

// update changes a post. Publishing one that is public already changes nothing and succeeds: it may be repeated.
func (g *graphPlatform) update(_ *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	for name := range c.values {
		if !g.table.generic[name] && name != "is_published" && name != "message" {
			return nil, graphInvalid("(#100) " + name + " of a post is not served by this sandbox")
		}
	}
	show := isTrue(c.values["is_published"]) && !node.act.Public
	message, edited := c.values["message"]
	switch {
	case isFalse(c.values["is_published"]) && node.act.Public:
		return nil, graphInvalid("(#100) A published post cannot be unpublished")
	case utf8.RuneCountInString(message) > graphMaxMessage:
		return nil, graphInvalid("(#100) Param message is too long")
	}
	if !show && !edited {
		return map[string]any{"success": true}, nil
	}
	_, _, err := g.s.amend("facebook", node.id, func(a *Act) {
		if edited {
			a.Text = message
		}
		if show {
			a.Public, a.At = true, g.s.now().UTC()
			a.Raw[rawMadePublic] = madePublic(a.Raw)
		}
	})
	if err == nil && show {
		err = g.use(photosOf(node.act))
	}
	if err != nil {
		return nil, g.graphBroken(err)
	}
	return map[string]any{"success": true}, nil
}

func (g *graphPlatform) remove(_ *http.Request, _ *graphCall, node graphNode) (any, *graphError) {
	if node.kind == "Photo" {
		g.photos = slices.DeleteFunc(g.photos, func(p graphPhoto) bool { return p.ID == node.id })
		return map[string]any{"success": true}, nil
	}
	if _, _, err := g.s.amend("facebook", node.id, func(a *Act) { a.Deleted = true }); err != nil {
		return nil, g.graphBroken(err)
	}
	return map[string]any{"success": true}, nil
}

// comment writes below a post, or answers another comment.
func (g *graphPlatform) comment(r *http.Request, c *graphCall, node graphNode) (any, *graphError) {
	message := c.values["message"]
	if strings.TrimSpace(message) == "" {
		return nil, graphInvalid("(#100) One of message, attachment_id, attachment_url is required")
	}
	if utf8.RuneCountInString(message) > graphMaxComment {
		return nil, graphInvalid("(#100) Param message is too long")
	}
	post := node.id
	if node.kind == "Comment" {
		post = node.act.Raw[rawPost]
	}
	_, local, _ := strings.Cut(post, "_")
	a := Act{
		Platform: "facebook", Identity: c.page.ID, Kind: "comment", Parent: node.id, Text: message, Public: node.act.Public,
		RemoteID: local + "_" + g.nextID(), Raw: map[string]string{rawPost: post},
	}
	a.URL = g.s.permalink("graph", a.RemoteID)
	a, err := g.s.publish(r.Context(), a)
	if err != nil {
		return nil, g.graphBroken(err)
	}
	if len(c.fields) > 0 {
		return project(g.viewComment(a), c.fields), nil
	}
	return map[string]any{"id": a.RemoteID}, nil
}

// debugToken describes a token to its app, or to itself.
func (g *graphPlatform) debugToken(c *graphCall) (any, *graphError) {
	for name := range c.values {
		if name != "input_token" && !g.table.generic[name] {
			return nil, graphInvalid("(#100) Unknown parameter " + name)
		}
	}
	app, secret, isApp := strings.Cut(c.token, "|")
	known := false
	for _, page := range g.pages {
		known = known || isApp && secret != "" && page.Credentials["app_id"] == app && page.Credentials["app_secret"] == secret
	}
	if known {
		if fault := checkProof(c, secret); fault != nil {
			return nil, fault
		}
	} else if fault := g.authorize(c); fault != nil {
		return nil, fault
	}
	page, ok := g.owner(c.values["input_token"])
	if !ok || known && page.Credentials["app_id"] != app {
		return map[string]any{"data": map[string]any{
			"is_valid": false, "scopes": []string{},
			"error": map[string]any{"code": 190, "message": "The access token could not be decrypted", "subcode": 467},
		}}, nil
	}
	return map[string]any{"data": map[string]any{
		"app_id": page.Credentials["app_id"], "type": "PAGE", "application": graphAppName, "is_valid": true,
		"expires_at": 0, "data_access_expires_at": g.s.now().Add(90 * 24 * time.Hour).Unix(), "profile_id": page.ID,
		"user_id": "1", "scopes": []string{"pages_show_list", "pages_read_engagement", "pages_manage_posts", "pages_manage_engagement"},
	}}, nil
}
