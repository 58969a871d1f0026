package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rawJSON reports whether the client asked for texts that are not HTML-escaped.
func rawJSON(r *http.Request, form url.Values) bool {
	return r.URL.Query().Get("raw_json") == "1" || form.Get("raw_json") == "1"
}

// thing is a recorded post or comment as the API shows it.
func (p *redditPlatform) thing(a Act, raw bool) map[string]any {
	text := func(s string) string {
		if raw {
			return s
		}
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	}
	author := ""
	if i := slices.IndexFunc(p.people, func(i Identity) bool { return i.ID == a.Identity }); i >= 0 {
		author = p.people[i].Name
	}
	_, id, _ := strings.Cut(a.RemoteID, "_")
	data := map[string]any{
		"id": id, "name": a.RemoteID, "author": author, "author_fullname": a.Identity, "subreddit": a.Destination,
		"subreddit_name_prefixed": "r/" + a.Destination, "permalink": a.Raw["path"], "created": float64(a.At.Unix()),
		"created_utc": float64(a.At.Unix()), "edited": false, "score": 1, "ups": 1, "stickied": false, "locked": false, "saved": false,
	}
	if a.Kind == "comment" {
		data["body"], data["parent_id"], data["link_id"], data["replies"] = text(a.Text), a.Parent, a.Raw["link_id"], ""
		return map[string]any{"kind": "t1", "data": data}
	}
	self := a.Raw["kind"] == "self"
	link := a.Link
	if self {
		link = a.URL
	}
	data["title"], data["selftext"], data["url"], data["is_self"] = text(a.Title), text(a.Text), link, self
	data["over_18"], data["spoiler"] = a.Raw["nsfw"] == "true", a.Raw["spoiler"] == "true"
	data["num_comments"], data["removed_by_category"], data["is_video"] = len(p.below(a.RemoteID)), nil, false
	if flair := a.Raw["flair_id"]; flair != "" {
		data["link_flair_template_id"] = flair
		if s, ok := p.sub(a.Destination, Identity{}); ok {
			data["link_flair_text"] = s.Flairs[flair]
		}
	}
	if a.Raw["kind"] == "image" {
		data["post_hint"] = "image"
	}
	return map[string]any{"kind": "t3", "data": data}
}

// below lists the comments of a post that show already.
func (p *redditPlatform) below(post string) []Act {
	acts := p.s.listed("reddit", "")
	return slices.DeleteFunc(acts, func(a Act) bool { return a.Kind != "comment" || a.Raw["link_id"] != post })
}

func listing(children []any, after any) map[string]any {
	return map[string]any{"kind": "Listing", "data": map[string]any{
		"after": after, "before": nil, "dist": len(children), "modhash": "", "geo_filter": "", "children": children,
	}}
}

func (p *redditPlatform) submitted(w http.ResponseWriter, r *http.Request, _ Identity) {
	p.userListing(w, r, "post")
}

func (p *redditPlatform) commented(w http.ResponseWriter, r *http.Request, _ Identity) {
	p.userListing(w, r, "comment")
}

// userListing shows what a user made, newest first, 25 a page or up to 100.
func (p *redditPlatform) userListing(w http.ResponseWriter, r *http.Request, kind string) {
	i := slices.IndexFunc(p.people, func(i Identity) bool { return strings.EqualFold(i.Name, r.PathValue("name")) })
	if i < 0 {
		p.refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	q := r.URL.Query()
	limit := 25
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		limit = min(n, 100)
	}
	acts := p.s.listed("reddit", p.people[i].ID)
	slices.Reverse(acts)
	acts = slices.DeleteFunc(acts, func(a Act) bool { return a.Kind != kind })
	if after := q.Get("after"); after != "" {
		at := slices.IndexFunc(acts, func(a Act) bool { return a.RemoteID == after })
		acts = acts[at+1:] // an unknown id shows the first page again, as Reddit does
	}
	var next any
	if len(acts) > limit {
		acts = acts[:limit]
		next = acts[limit-1].RemoteID
	}
	writeJSON(w, http.StatusOK, listing(p.things(acts, rawJSON(r, nil)), next))
}

func (p *redditPlatform) things(acts []Act, raw bool) []any {
	out := make([]any, len(acts))
	for i, a := range acts {
		out[i] = p.thing(a, raw)
	}
	return out
}

// info is GET /api/info?id=t3_…,t1_…: it knows an act at once, however late listings are.
func (p *redditPlatform) info(w http.ResponseWriter, r *http.Request, _ Identity) {
	var acts []Act
	for _, id := range splitList(r.URL.Query().Get("id")) {
		if a, ok := p.s.find("reddit", id); ok && len(acts) < 100 {
			acts = append(acts, a)
		}
	}
	writeJSON(w, http.StatusOK, listing(p.things(acts, rawJSON(r, nil)), nil))
}

// thread is GET /comments/{id}: the post, and its comments.
func (p *redditPlatform) thread(w http.ResponseWriter, r *http.Request, _ Identity) {
	a, ok := p.s.find("reddit", "t3_"+strings.TrimPrefix(r.PathValue("id"), "t3_"))
	if !ok {
		p.refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	raw := rawJSON(r, nil)
	writeJSON(w, http.StatusOK, []any{
		listing(p.things([]Act{a}, raw), nil),
		listing(p.things(p.below(a.RemoteID), raw), nil),
	})
}

// page shows a post to a person who follows its permalink; that of a comment ends with the comment's id.
func (p *redditPlatform) page(w http.ResponseWriter, r *http.Request) {
	id := "t3_" + r.PathValue("id")
	if parts := strings.Split(r.PathValue("rest"), "/"); len(parts) > 1 && parts[1] != "" {
		id = "t1_" + parts[1]
	}
	a, ok := p.s.find("reddit", id)
	if !ok || !strings.EqualFold(a.Destination, r.PathValue("sub")) {
		http.NotFound(w, r)
		return
	}
	i := slices.IndexFunc(p.people, func(i Identity) bool { return i.ID == a.Identity })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	actPage(w, "u/"+p.people[i].Name+" in r/"+a.Destination, a)
}
