package api

import (
	"encoding/json"
	"strings"
	"time"

	"crier/internal/compose"
	"crier/internal/post"
)

// The types of this file and of wireaccount.go are the outside contract; the domain has its own.

// stampForm is RFC 3339 in UTC with milliseconds.
const stampForm = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(stampForm) }

// stampOr gives nil for the zero time.
func stampOr(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

func textOr(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func idOr(id post.ID) *string {
	if id.IsZero() {
		return nil
	}
	s := id.String()
	return &s
}

// span is a duration as the configuration writes it: 1m30s, 15m, 2h.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// listOf is a list that is never null.
func listOf[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// MediaItem is a file as a post carries it.
type MediaItem struct {
	ID         string `json:"id"`
	Alt        string `json:"alt"`
	Type       string `json:"type"`
	Bytes      int64  `json:"bytes"`
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	DurationMS int64  `json:"duration_ms"`
}

func mediaItem(m post.Media) MediaItem {
	return MediaItem{
		ID: m.ID, Alt: m.Alt, Type: m.Type, Bytes: m.Bytes, Width: m.Width, Height: m.Height,
		DurationMS: m.Duration.Milliseconds(),
	}
}

func mediaItems(all []post.Media) []MediaItem {
	out := make([]MediaItem, 0, len(all))
	for _, m := range all {
		out = append(out, mediaItem(m))
	}
	return out
}

// ThreadItem is one further post of a thread.
type ThreadItem struct {
	Text  string      `json:"text"`
	Media []MediaItem `json:"media"`
}

// ContentView is what one delivery says, after the overrides of its target.
type ContentView struct {
	Text         string                     `json:"text"`
	Title        string                     `json:"title"`
	Link         string                     `json:"link"`
	Media        []MediaItem                `json:"media"`
	Thread       []ThreadItem               `json:"thread"`
	FirstComment string                     `json:"first_comment"`
	Options      map[string]json.RawMessage `json:"options"`
}

func contentView(c post.Content) ContentView {
	out := ContentView{
		Text: c.Text, Title: c.Title, Link: c.Link, Media: mediaItems(c.Media), FirstComment: c.FirstComment,
		Thread: make([]ThreadItem, 0, len(c.Thread)), Options: map[string]json.RawMessage{},
	}
	for _, r := range c.Thread {
		out.Thread = append(out.Thread, ThreadItem{Text: r.Text, Media: mediaItems(r.Media)})
	}
	if c.Options != nil {
		out.Options = *c.Options
	}
	return out
}

// Post is a post with its targets and deliveries.
type Post struct {
	ID         string  `json:"id"`
	Version    uint64  `json:"version"`
	ExternalID *string `json:"external_id"`
	State      string  `json:"state" enum:"publishing,attention,in_review,scheduled,draft,published,canceled"`
	Kind       string  `json:"kind" enum:"brand,personal"`
	Author     string  `json:"author"`
	CreatedAt  string  `json:"created_at" format:"date-time"`
	ContentView
	At         *string      `json:"at" doc:"As it was asked for."`
	TimeZone   *string      `json:"time_zone"`
	Undo       *string      `json:"undo" doc:"How long it waits first, if it goes at once."`
	Labels     []string     `json:"labels"`
	Targets    []TargetView `json:"targets"`
	Campaign   *string      `json:"campaign"`
	Series     *string      `json:"series"`
	Deliveries []Delivery   `json:"deliveries"`
	Warnings   []Issue      `json:"warnings"`
	Notes      []string     `json:"notes"`
}

// TargetView is a target with what it overrides, its place and its delivery.
type TargetView struct {
	compose.Target
	Destination *string `json:"destination"`
	Delivery    string  `json:"delivery"`
}

// HoldView is a reason why nothing of a lane is sent.
type HoldView struct {
	Reason string  `json:"reason"`
	Since  string  `json:"since" format:"date-time"`
	Until  *string `json:"until" format:"date-time"`
	Detail string  `json:"detail,omitempty"`
	By     string  `json:"by,omitempty"`
}

func holdViews(holds []post.Hold, now time.Time) []HoldView {
	out := make([]HoldView, 0, len(holds))
	for _, h := range holds {
		if h.Open(now) {
			continue
		}
		out = append(out, HoldView{Reason: string(h.Reason), Since: stamp(h.Since), Until: stampOr(h.Until), Detail: h.Detail, By: h.By})
	}
	return out
}

// ReasonView says why a delivery stands where it stands.
type ReasonView struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ReceiptView is the platform's proof.
type ReceiptView struct {
	RemoteID string `json:"remote_id"`
	URL      string `json:"url"`
	At       string `json:"at" format:"date-time"`
}

func receiptView(r *post.Receipt) *ReceiptView {
	if r == nil {
		return nil
	}
	return &ReceiptView{RemoteID: r.RemoteID, URL: r.URL, At: stamp(r.At)}
}

// PartView is one public act of a delivery.
type PartView struct {
	Index   int          `json:"index"`
	Role    string       `json:"role" enum:"post,reply,comment,follow_up"`
	State   string       `json:"state" enum:"waiting,sending,published,unconfirmed,failed"`
	Receipt *ReceiptView `json:"receipt"`
}

// Approval says who has to agree and who has.
type Approval struct {
	Required int             `json:"required"`
	Given    []ApprovalGiven `json:"given"`
}

// ApprovalGiven is one person's agreement.
type ApprovalGiven struct {
	By string `json:"by"`
	At string `json:"at" format:"date-time"`
}

// Delivery is one post to one destination of one account.
type Delivery struct {
	ID              string       `json:"id"`
	Version         uint64       `json:"version"`
	Post            string       `json:"post"`
	Target          string       `json:"target"`
	Account         string       `json:"account"`
	Platform        string       `json:"platform"`
	Kind            string       `json:"kind" enum:"brand,personal"`
	Destination     *string      `json:"destination"`
	State           string       `json:"state" enum:"draft,in_review,scheduled,sending,published,partial,failed,unconfirmed,missed,awaiting_person,canceled,removed"`
	Due             *string      `json:"due" format:"date-time"`
	NextAttemptAt   *string      `json:"next_attempt_at" format:"date-time"`
	LocalDue        *string      `json:"local_due"`
	TimeZone        *string      `json:"time_zone"`
	Attempts        int          `json:"attempts"`
	Holds           []HoldView   `json:"holds"`
	Reason          *ReasonView  `json:"reason"`
	Approval        Approval     `json:"approval"`
	Receipt         *ReceiptView `json:"receipt"`
	Parts           []PartView   `json:"parts"`
	CancelRequested bool         `json:"cancel_requested"`
	Series          *string      `json:"series"`
	// Content and AttemptsLog are told of a single delivery only.
	Content     *ContentView  `json:"content,omitempty"`
	AttemptsLog []AttemptView `json:"attempts_log,omitzero"`
}

// AttemptView is the record of one attempt or one look.
type AttemptView struct {
	N         int    `json:"n"`
	Part      int    `json:"part"`
	Act       string `json:"act"`
	StartedAt string `json:"started_at" format:"date-time"`
	EndedAt   string `json:"ended_at" format:"date-time"`
	Outcome   string `json:"outcome" enum:"published,not_published,unknown"`
	Reason    string `json:"reason"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	Decision  string `json:"decision"`
}

func attemptViews(all []post.Attempt) []AttemptView {
	out := make([]AttemptView, 0, len(all))
	for _, a := range all {
		out = append(out, AttemptView{
			N: a.N, Part: a.Part, Act: a.Act, StartedAt: stamp(a.StartedAt), EndedAt: stamp(a.EndedAt), Outcome: string(a.Outcome),
			Reason: a.Reason, Status: a.Status, Code: a.Code, Message: a.Message, Decision: a.Decision,
		})
	}
	return out
}

// Edited answers a patch.
type Edited struct {
	Post    Post       `json:"post"`
	Changed []string   `json:"changed" doc:"The deliveries that were changed."`
	Kept    []KeptView `json:"kept" doc:"The deliveries that could not be changed."`
}

// KeptView says why a delivery was left as it is.
type KeptView struct {
	Delivery string `json:"delivery"`
	Why      string `json:"why"`
}

// Change is one entry of the history.
type Change struct {
	Seq      uint64  `json:"seq"`
	At       string  `json:"at" format:"date-time"`
	Actor    string  `json:"actor"`
	Type     string  `json:"type"`
	Delivery *string `json:"delivery"`
	From     *string `json:"from"`
	To       *string `json:"to"`
	Detail   string  `json:"detail,omitempty"`
}

// Page is one page of a list.
type Page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}
