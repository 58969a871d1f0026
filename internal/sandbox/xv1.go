package sandbox

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// updateV1 is POST /1.1/statuses/update.json. Unlike v2 it ignores parameters that it does not know.
func (x *xPlatform) updateV1(w http.ResponseWriter, r *http.Request, who Identity) {
	raw, err := bodyOf(r)
	if err != nil || !isForm(r) {
		xCode(w, http.StatusForbidden, 170, "Missing required parameter: status.")
		return
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		xCode(w, http.StatusBadRequest, 214, "Bad request.")
		return
	}
	for k, v := range r.URL.Query() {
		form[k] = append(form[k], v...)
	}
	d := xDraft{text: form.Get("status"), parent: form.Get("in_reply_to_status_id"), media: splitList(form.Get("media_ids"))}
	if len(d.media) > 4 {
		xCode(w, http.StatusForbidden, 324, "Too many media ids.")
		return
	}
	if form.Get("attachment_url") != "" {
		xCode(w, http.StatusForbidden, 386, "The Tweet exceeds the number of allowed attachment types.")
		return
	}
	a, err := x.post(r.Context(), who, d)
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, x.readV1(a, who, form.Get("tweet_mode") == "extended"))
	case errors.Is(err, errXDuplicate):
		xCode(w, http.StatusForbidden, 187, "Status is a duplicate.")
	case errors.Is(err, errXLength):
		xCode(w, http.StatusForbidden, 186, "Tweet needs to be a bit shorter.")
	case errors.Is(err, errXParent):
		xCode(w, http.StatusForbidden, 385, "You attempted to reply to a Tweet that is deleted or not visible to you.")
	case errors.Is(err, errXStranger):
		xCode(w, http.StatusForbidden, 433, "The original Tweet author restricted who can reply to this Tweet.")
	case errors.Is(err, errXMedia):
		xCode(w, http.StatusBadRequest, 324, "The validation of media ids failed.")
	case errors.Is(err, errXEmpty):
		xCode(w, http.StatusForbidden, 170, "Missing required parameter: status.")
	case errors.Is(err, errXCashtags), errors.Is(err, errXCharacter):
		xCode(w, http.StatusForbidden, 214, "Bad request.")
	default:
		x.s.log.ErrorContext(r.Context(), "sandbox failed", "platform", "twitter", "error", err)
		xCode(w, http.StatusServiceUnavailable, 131, "Internal error")
	}
}

// readV1 is a recorded post as API v1.1 shows it.
func (x *xPlatform) readV1(a Act, who Identity, extended bool) map[string]any {
	text, links := x.shown(a)
	urls, media := []any{}, []any{}
	for _, l := range links {
		e := map[string]any{"url": l.URL, "expanded_url": l.ExpandedURL, "display_url": l.DisplayURL, "indices": []int{l.Start, l.End}}
		if l.MediaKey == "" {
			urls = append(urls, e)
			continue
		}
		// All media stand behind one link.
		for _, id := range splitList(a.Raw["media_ids"]) {
			m := maps.Clone(e)
			m["id"], m["id_str"], m["type"] = number(id), id, "photo"
			m["media_url"], m["media_url_https"] = "http://pbs.invalid/"+id+".png", "https://pbs.invalid/"+id+".png"
			media = append(media, m)
		}
	}
	name := "text"
	if extended {
		name = "full_text"
	}
	out := map[string]any{
		"id": number(a.RemoteID), "id_str": a.RemoteID, name: text, "created_at": a.At.Format(time.RubyDate), "truncated": false,
		"entities": map[string]any{"urls": urls, "hashtags": []any{}, "symbols": []any{}, "user_mentions": []any{}},
		"user":     userV1(who), "in_reply_to_status_id": nil, "in_reply_to_status_id_str": nil,
	}
	if len(media) > 0 {
		// entities holds the first alone, as ever.
		if entities, ok := out["entities"].(map[string]any); ok {
			entities["media"] = media[:1]
		}
		out["extended_entities"] = map[string]any{"media": media}
	}
	if a.Parent != "" {
		out["in_reply_to_status_id"], out["in_reply_to_status_id_str"] = number(a.Parent), a.Parent
	}
	return out
}

func number(id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func userV1(who Identity) map[string]any {
	return map[string]any{"id": number(who.ID), "id_str": who.ID, "name": who.Name, "screen_name": who.Name}
}

// verifyV1 is GET /1.1/account/verify_credentials.json.
func (x *xPlatform) verifyV1(w http.ResponseWriter, _ *http.Request, who Identity) {
	writeJSON(w, http.StatusOK, userV1(who))
}

// timelineV1 is GET /1.1/statuses/user_timeline.json, newest first.
func (x *xPlatform) timelineV1(w http.ResponseWriter, r *http.Request, who Identity) {
	q := r.URL.Query()
	if id := q.Get("user_id"); id != "" {
		other, ok := x.person(id)
		if !ok {
			xCode(w, http.StatusNotFound, 34, "Sorry, that page does not exist.")
			return
		}
		who = other
	}
	if name := q.Get("screen_name"); name != "" {
		i := slices.IndexFunc(x.auth.people, func(i Identity) bool { return strings.EqualFold(i.Name, name) })
		if i < 0 {
			xCode(w, http.StatusNotFound, 34, "Sorry, that page does not exist.")
			return
		}
		who = x.auth.people[i]
	}
	count := 20
	if n, err := strconv.Atoi(q.Get("count")); err == nil && n > 0 {
		count = min(n, 200)
	}
	acts := x.s.listed("twitter", who.ID)
	slices.Reverse(acts)
	out := []any{}
	for _, a := range acts {
		switch {
		case len(out) == count,
			q.Get("since_id") != "" && !newerID(a.RemoteID, q.Get("since_id")),
			q.Get("max_id") != "" && newerID(a.RemoteID, q.Get("max_id")),
			q.Get("exclude_replies") == "true" && a.Kind == "reply":
			continue
		}
		out = append(out, x.readV1(a, who, q.Get("tweet_mode") == "extended"))
	}
	writeJSON(w, http.StatusOK, out)
}

// showV1 is GET /1.1/statuses/show.json?id=….
func (x *xPlatform) showV1(w http.ResponseWriter, r *http.Request, _ Identity) {
	a, ok := x.s.find("twitter", r.URL.Query().Get("id"))
	author, known := x.person(a.Identity)
	if !ok || !known {
		xCode(w, http.StatusNotFound, 144, "No status found with that ID.")
		return
	}
	writeJSON(w, http.StatusOK, x.readV1(a, author, r.URL.Query().Get("tweet_mode") == "extended"))
}

// destroyV1 is POST /1.1/statuses/destroy/{id}.json.
func (x *xPlatform) destroyV1(w http.ResponseWriter, r *http.Request, who Identity) {
	id, ok := strings.CutSuffix(r.PathValue("file"), ".json")
	a, found := x.s.find("twitter", id)
	switch {
	case !ok || !found:
		xCode(w, http.StatusNotFound, 144, "No status found with that ID.")
		return
	case a.Identity != who.ID:
		xCode(w, http.StatusForbidden, 183, "You may not delete another user's status.")
		return
	}
	if _, _, err := x.s.amend("twitter", id, func(a *Act) { a.Deleted = true }); err != nil {
		x.s.log.ErrorContext(r.Context(), "sandbox failed", "platform", "twitter", "error", err)
		xCode(w, http.StatusServiceUnavailable, 131, "Internal error")
		return
	}
	writeJSON(w, http.StatusOK, x.readV1(a, who, false))
}
