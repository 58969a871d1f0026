package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var xNumericID = regexp.MustCompile(`^[0-9]{1,19}$`)

// xCreate is the body of POST /2/tweets; the fields that change nothing here are checked for their type alone.
type xCreate struct {
	Text                  *string         `json:"text"`
	Media                 json.RawMessage `json:"media"`
	Poll                  json.RawMessage `json:"poll"`
	Reply                 json.RawMessage `json:"reply"`
	ReplySettings         string          `json:"reply_settings"`
	QuoteTweetID          string          `json:"quote_tweet_id"`
	CommunityID           string          `json:"community_id"`
	ShareWithFollowers    bool            `json:"share_with_followers"`
	MadeWithAI            bool            `json:"made_with_ai"`
	PaidPartnership       bool            `json:"paid_partnership"`
	EditOptions           json.RawMessage `json:"edit_options"`
	Nullcast              bool            `json:"nullcast"`
	CardURI               string          `json:"card_uri"`
	Geo                   json.RawMessage `json:"geo"`
	ForSuperFollowersOnly bool            `json:"for_super_followers_only"`
	DirectMessageDeepLink string          `json:"direct_message_deep_link"`
}

type xCreateMedia struct {
	MediaIDs       []string        `json:"media_ids"`
	TaggedUserIDs  []string        `json:"tagged_user_ids"`
	Title          string          `json:"title"`
	Description    string          `json:"description"`
	PreviewMediaID string          `json:"preview_media_id"`
	Embeddable     bool            `json:"embeddable"`
	CallToActions  json.RawMessage `json:"call_to_actions"`
}

type xCreatePoll struct {
	Options         []string `json:"options"`
	DurationMinutes int      `json:"duration_minutes"`
	ReplySettings   string   `json:"reply_settings"`
}

type xCreateReply struct {
	InReplyToTweetID          string   `json:"in_reply_to_tweet_id"`
	ExcludeReplyUserIDs       []string `json:"exclude_reply_user_ids"`
	AutoPopulateReplyMetadata bool     `json:"auto_populate_reply_metadata"`
}

// xFieldError names what is wrong with a field of a request.
type xFieldError struct{ field, message string }

func (e *xFieldError) Error() string { return e.message }

func decodeCreate(raw []byte) (xDraft, error) {
	var in xCreate
	unknown, err := strictObject(raw, &in, "text", "media", "poll", "reply", "reply_settings", "quote_tweet_id", "community_id",
		"share_with_followers", "made_with_ai", "paid_partnership", "edit_options", "nullcast", "card_uri", "geo",
		"for_super_followers_only", "direct_message_deep_link")
	switch {
	case err != nil:
		return xDraft{}, &xFieldError{"", "The request body is not valid: " + err.Error()}
	case unknown != "":
		return xDraft{}, &xFieldError{unknown, fmt.Sprintf("$.%s: is not defined in the schema and the schema does not allow additional properties", unknown)}
	case in.Text == nil:
		return xDraft{}, &xFieldError{"text", "$.text: is missing but it is required"}
	case in.ReplySettings != "" && !slices.Contains([]string{"following", "mentionedUsers", "subscribers", "verified"}, in.ReplySettings):
		return xDraft{}, &xFieldError{"reply_settings", "$.reply_settings: does not have a value in the enumeration"}
	}
	d := xDraft{text: *in.Text, raw: make(map[string]string)}
	if d.parent, err = decodeReply(in.Reply); err != nil {
		return d, err
	}
	if d.media, err = decodeMedia(in.Media); err != nil {
		return d, err
	}
	poll, err := decodePoll(in.Poll)
	if err != nil {
		return d, err
	}
	exclusive := 0
	for _, set := range []bool{poll != "", len(d.media) > 0, in.QuoteTweetID != "", in.CardURI != "", in.DirectMessageDeepLink != ""} {
		if set {
			exclusive++
		}
	}
	if exclusive > 1 {
		return d, &xFieldError{"", "poll, media, quote_tweet_id, card_uri and direct_message_deep_link are mutually exclusive"}
	}
	for k, v := range map[string]string{"poll": poll, "reply_settings": in.ReplySettings, "quote": in.QuoteTweetID, "community_id": in.CommunityID} {
		if v != "" {
			d.raw[k] = v
		}
	}
	for k, v := range map[string]bool{"made_with_ai": in.MadeWithAI, "paid_partnership": in.PaidPartnership} {
		if v {
			d.raw[k] = "true"
		}
	}
	return d, nil
}

func decodeReply(raw json.RawMessage) (parent string, err error) {
	if raw == nil {
		return "", nil
	}
	var reply xCreateReply
	unknown, err := strictObject(raw, &reply, "in_reply_to_tweet_id", "exclude_reply_user_ids", "auto_populate_reply_metadata")
	if err != nil || unknown != "" || !xNumericID.MatchString(reply.InReplyToTweetID) {
		return "", &xFieldError{"reply.in_reply_to_tweet_id", "$.reply.in_reply_to_tweet_id: does not match the regex pattern ^[0-9]{1,19}$"}
	}
	return reply.InReplyToTweetID, nil
}

func decodeMedia(raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var media xCreateMedia
	unknown, err := strictObject(raw, &media, "media_ids", "tagged_user_ids", "title", "description", "preview_media_id", "embeddable", "call_to_actions")
	if err != nil || unknown != "" || len(media.MediaIDs) < 1 || len(media.MediaIDs) > 4 || len(media.TaggedUserIDs) > 10 {
		return nil, &xFieldError{"media.media_ids", "$.media.media_ids: must have between 1 and 4 items"}
	}
	for _, id := range media.MediaIDs {
		if !xNumericID.MatchString(id) {
			return nil, &xFieldError{"media.media_ids", "$.media.media_ids[0]: does not match the regex pattern ^[0-9]{1,19}$"}
		}
	}
	return media.MediaIDs, nil
}

func decodePoll(raw json.RawMessage) (options string, err error) {
	if raw == nil {
		return "", nil
	}
	var poll xCreatePoll
	unknown, err := strictObject(raw, &poll, "options", "duration_minutes", "reply_settings")
	ok := err == nil && unknown == "" && len(poll.Options) >= 2 && len(poll.Options) <= 4 && poll.DurationMinutes >= 5 && poll.DurationMinutes <= 10080
	for _, o := range poll.Options {
		n := utf8.RuneCountInString(o)
		ok = ok && n >= 1 && n <= 25
	}
	if !ok {
		return "", &xFieldError{"poll", "$.poll: needs 2 to 4 options of 1 to 25 characters and a duration of 5 to 10080 minutes"}
	}
	return strings.Join(poll.Options, "\n"), nil
}

func xIsJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// createV2 is POST /2/tweets.
func (x *xPlatform) createV2(w http.ResponseWriter, r *http.Request, who Identity) {
	raw, err := bodyOf(r)
	if err != nil || !xIsJSON(r) || len(r.URL.RawQuery) > 0 {
		xInvalidRequest(w, "A JSON body is needed and query parameters are not allowed", "", "")
		return
	}
	draft, err := decodeCreate(raw)
	if bad := (*xFieldError)(nil); errors.As(err, &bad) {
		xInvalidRequest(w, bad.message, bad.field, "")
		return
	}
	if draft.raw["quote"] != "" {
		xForbidden(w, "Quoting posts is not permitted on this access tier.")
		return
	}
	a, err := x.post(r.Context(), who, draft)
	switch {
	case err == nil:
	case errors.Is(err, errXDuplicate):
		xForbidden(w, "You are not allowed to create a Tweet with duplicate content.")
		return
	case errors.Is(err, errXCashtags):
		xForbidden(w, "Posts may contain at most one cashtag.")
		return
	case errors.Is(err, errXParent):
		xForbidden(w, "You attempted to reply to a Tweet that is deleted or not visible to you.")
		return
	case errors.Is(err, errXStranger):
		xForbidden(w, "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author of the post you are replying to.")
		return
	case errors.Is(err, errXLength):
		xForbidden(w, "You are not permitted to perform this action.")
		return
	case errors.Is(err, errXMedia):
		xInvalidRequest(w, "Your media IDs are invalid.", "media.media_ids", strings.Join(draft.media, ","))
		return
	case errors.Is(err, errXEmpty), errors.Is(err, errXCharacter):
		xInvalidRequest(w, "One or more parameters to your request was invalid.", "text", "")
		return
	default:
		x.xServerError(w, err)
		return
	}
	text, _ := x.shown(a)
	writeJSON(w, http.StatusCreated, map[string]any{"data": map[string]any{
		"id": a.RemoteID, "text": text, "edit_history_post_ids": []string{a.RemoteID},
	}})
}

// deleteV2 is DELETE /2/tweets/{id}.
func (x *xPlatform) deleteV2(w http.ResponseWriter, r *http.Request, who Identity) {
	id := r.PathValue("id")
	a, ok := x.s.find("twitter", id)
	if ok && a.Identity != who.ID {
		xForbidden(w, "You are not allowed to delete this Tweet.")
		return
	}
	if ok {
		if _, _, err := x.s.amend("twitter", id, func(a *Act) { a.Deleted = true }); err != nil {
			x.xServerError(w, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]bool{"deleted": true}})
}

// dialect is the set of names of one of X's two field dialects.
type dialect struct {
	fields, history, note, referenced string
	known                             []string
}

func (x *xPlatform) dialect() dialect {
	common := []string{
		"article", "attachments", "author_id", "community_id", "context_annotations", "conversation_id", "created_at", "edit_controls",
		"entities", "geo", "id", "in_reply_to_user_id", "lang", "possibly_sensitive", "public_metrics", "reply_settings", "source", "text", "withheld",
	}
	if x.s.postDial {
		return dialect{"post.fields", "edit_history_post_ids", "note_post", "referenced_posts", append(common, "note_post", "edit_history_post_ids")}
	}
	return dialect{
		"tweet.fields", "edit_history_tweet_ids", "note_tweet", "referenced_tweets",
		append(common, "note_tweet", "referenced_tweets", "edit_history_tweet_ids"),
	}
}

// xQuery checks the names of query parameters, and answers with the refusal of an unknown one.
func xQuery(w http.ResponseWriter, r *http.Request, allowed ...string) (url.Values, bool) {
	q := r.URL.Query()
	for k, v := range q {
		if !slices.Contains(allowed, k) {
			xInvalidRequest(w, fmt.Sprintf("The query parameter [%s] is not one of [%s]", k, strings.Join(allowed, ",")), k, v[0])
			return nil, false
		}
	}
	return q, true
}

// fieldsOf returns the fields that a read asks for. The older dialect refuses an unknown field; the newer one leaves
// it out in silence and hands out references as an expansion.
func (x *xPlatform) fieldsOf(w http.ResponseWriter, q url.Values) (map[string]bool, bool) {
	d := x.dialect()
	want := make(map[string]bool)
	for _, f := range splitList(q.Get(d.fields)) {
		if slices.Contains(d.known, f) {
			want[f] = true
			continue
		}
		if !x.s.postDial {
			xInvalidRequest(w, fmt.Sprintf("The `%s` query parameter value [%s] is not one of [%s]", d.fields, f, strings.Join(d.known, ",")), d.fields, f)
			return nil, false
		}
	}
	if x.s.postDial {
		for _, e := range splitList(q.Get("expansions")) {
			if e == d.referenced || e == d.referenced+".id" {
				want[d.referenced] = true
			}
		}
	}
	return want, true
}

// read is a recorded post as API v2 shows it.
func (x *xPlatform) read(a Act, want map[string]bool) map[string]any {
	d := x.dialect()
	text, links := x.shown(a)
	out := map[string]any{"id": a.RemoteID, "text": text, d.history: []string{a.RemoteID}}
	if xWeight(a.Text) > xMaxWeight {
		runes := []rune(text)
		out["text"] = string(runes[:min(len(runes), xMaxWeight-1)]) + "…"
		if want[d.note] {
			out[d.note] = map[string]any{"text": text, "entities": map[string]any{"urls": links}}
		}
	}
	set := func(field string, v any) {
		if want[field] {
			out[field] = v
		}
	}
	set("created_at", a.At.Format("2006-01-02T15:04:05.000Z"))
	set("author_id", a.Identity)
	set("conversation_id", a.Raw["conversation_id"])
	if len(links) > 0 {
		set("entities", map[string]any{"urls": links})
	}
	if keys := splitList(a.Raw["media_keys"]); keys != nil {
		set("attachments", map[string]any{"media_keys": keys})
	}
	if a.Parent != "" {
		if x.s.strays {
			delete(want, d.referenced)
		}
		set(d.referenced, []any{map[string]string{"type": "replied_to", "id": a.Parent}})
		if parent, ok := x.s.find("twitter", a.Parent); ok {
			set("in_reply_to_user_id", parent.Identity)
		}
	}
	return out
}

// showV2 is GET /2/tweets/{id}.
func (x *xPlatform) showV2(w http.ResponseWriter, r *http.Request, _ Identity) {
	q, ok := xQuery(w, r, x.dialect().fields, "expansions", "media.fields", "user.fields", "poll.fields", "place.fields")
	if !ok {
		return
	}
	want, ok := x.fieldsOf(w, q)
	if !ok {
		return
	}
	a, ok := x.s.find("twitter", r.PathValue("id"))
	if !ok {
		xNotFound(w, "tweet", "id", r.PathValue("id"))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": x.read(a, want)})
}

// xNotFound is API v2's answer for a resource that does not exist: HTTP 200 with errors and no data.
func xNotFound(w http.ResponseWriter, kind, field, value string) {
	writeJSON(w, http.StatusOK, map[string]any{"errors": []any{map[string]string{
		"value": value, "resource_id": value, "parameter": field, "resource_type": kind, "title": "Not Found Error",
		"detail": fmt.Sprintf("Could not find %s with %s: [%s].", kind, field, value), "type": "https://api.x.com/2/problems/resource-not-found",
	}}})
}

// me is GET /2/users/me.
func (x *xPlatform) me(w http.ResponseWriter, r *http.Request, who Identity) {
	d := x.dialect()
	q, ok := xQuery(w, r, "user.fields", "expansions", d.fields)
	if !ok {
		return
	}
	data := map[string]string{"id": who.ID, "name": who.Name, "username": who.Name}
	for _, f := range splitList(q.Get("user.fields")) {
		switch f {
		case "subscription_type":
			data[f] = "None"
			if n, err := strconv.Atoi(who.Credentials["max_weight"]); err == nil && n > xMaxWeight {
				data[f] = "Premium"
			}
		case "verified_type":
			data[f] = "none"
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data})
}

// timelineV2 is GET /2/users/{id}/tweets, newest first.
func (x *xPlatform) timelineV2(w http.ResponseWriter, r *http.Request, _ Identity) {
	q, ok := xQuery(w, r, "max_results", "start_time", "end_time", "since_id", "until_id", "pagination_token", "exclude",
		x.dialect().fields, "expansions", "media.fields", "user.fields", "poll.fields", "place.fields")
	if !ok {
		return
	}
	want, ok := x.fieldsOf(w, q)
	if !ok {
		return
	}
	count := 10
	if v := q.Get("max_results"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 5 || n > 100 {
			xInvalidRequest(w, fmt.Sprintf("The `max_results` query parameter value [%s] is not between 5 and 100", v), "max_results", v)
			return
		}
		count = n
	}
	var bounds [2]time.Time
	for i, name := range []string{"start_time", "end_time"} {
		if v := q.Get(name); v != "" {
			t, err := time.Parse(time.RFC3339, v)
			if err != nil || t.After(x.s.now().Add(oauthSkew)) {
				xInvalidRequest(w, fmt.Sprintf("Invalid '%s':'%s'. '%s' must be a valid RFC3339 time in the past", name, v, name), name, v)
				return
			}
			bounds[i] = t
		}
	}
	if _, known := x.person(r.PathValue("id")); !known {
		xNotFound(w, "user", "id", r.PathValue("id"))
		return
	}
	acts := x.s.listed("twitter", r.PathValue("id"))
	slices.Reverse(acts)
	acts = slices.DeleteFunc(acts, func(a Act) bool {
		// X's times have whole seconds in queries.
		return !bounds[0].IsZero() && a.At.Before(bounds[0].Truncate(time.Second)) || !bounds[1].IsZero() && a.At.After(bounds[1]) ||
			q.Get("since_id") != "" && !newerID(a.RemoteID, q.Get("since_id")) ||
			q.Get("until_id") != "" && !newerID(q.Get("until_id"), a.RemoteID) ||
			q.Get("pagination_token") != "" && !newerID(q.Get("pagination_token"), a.RemoteID) ||
			slices.Contains(splitList(q.Get("exclude")), "replies") && a.Kind == "reply"
	})
	meta := map[string]any{"result_count": min(len(acts), count)}
	out := map[string]any{"meta": meta}
	if len(acts) > count {
		acts = acts[:count]
		meta["next_token"] = acts[count-1].RemoteID
	}
	if len(acts) > 0 {
		data := make([]any, len(acts))
		for i, a := range acts {
			data[i] = x.read(a, want)
		}
		out["data"] = data
		meta["newest_id"], meta["oldest_id"] = acts[0].RemoteID, acts[len(acts)-1].RemoteID
	}
	writeJSON(w, http.StatusOK, out)
}

// newerID compares numeric ids.
func newerID(a, b string) bool {
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}
