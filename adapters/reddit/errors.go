package reddit

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"crier/adapters"
)

// refusal is what Reddit says in its error shapes: json.errors with HTTP 200, or reason and explanation. Absent and
// mistyped members are empty.
type refusal struct {
	label, text string
	wait        time.Duration // json.ratelimit
	shaped      bool
	listed      bool // from json.errors, in an answer that names nothing that was made
	hidden      []string
}

// parseRefusal reads whatever it can of a body. Texts are localised: only labels and reasons are for deciding.
func parseRefusal(body []byte) refusal {
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil {
		return refusal{}
	}
	if r, ok := parseErrors(top["json"]); ok {
		return r
	}
	r := refusal{label: text(top["reason"]), text: text(top["explanation"])}
	if r.text == "" {
		r.text = text(top["message"])
	}
	if code := text(top["error"]); code != "" && r.label == "" {
		r.label = code
	}
	r.shaped = r.label != "" || r.text != ""
	return r
}

// parseErrors reads json.errors, a list of triples of label, text and field.
func parseErrors(raw json.RawMessage) (refusal, bool) {
	var in map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(raw, &in) != nil || json.Unmarshal(in["errors"], &list) != nil || len(list) == 0 {
		return refusal{}, false
	}
	var data struct {
		Name string `json:"name"`
	}
	r := refusal{shaped: true, listed: json.Unmarshal(in["data"], &data) != nil || data.Name == ""}
	var seconds float64
	if json.Unmarshal(in["ratelimit"], &seconds) == nil && seconds > 0 && seconds < longest.Seconds() {
		r.wait = time.Duration(seconds * float64(time.Second))
	}
	for _, e := range list {
		var triple []json.RawMessage
		if json.Unmarshal(e, &triple) == nil && len(triple) > 1 && text(triple[0]) != "" {
			r.label, r.text = text(triple[0]), text(triple[1])
			break
		}
	}
	return r, true
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// saying is what Reddit said, without what is hidden, cut to what a person reads.
func (r refusal) saying() string {
	s := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7F {
			return ' '
		}
		return c
	}, adapters.Hide(r.text, r.hidden...))
	const longest = 200
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	if s == "" {
		s = r.label
	}
	if s == "" {
		s = "no reason given"
	}
	return "Reddit refuses this: " + s
}

// hour is how long a limit holds of which Reddit says no end.
const hour = time.Hour

// duration finds the wait in a text, the last resort: a number and a word that begins like its unit.
var duration = regexp.MustCompile(`(?i)(\d{1,5})\s*(milli|sec|sek|min|hour|h\b)`)

func waitIn(s string) time.Duration {
	m := duration.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	unit := time.Hour
	switch strings.ToLower(m[2]) {
	case "milli":
		unit = time.Millisecond
	case "sec", "sek":
		unit = time.Second
	case "min":
		unit = time.Minute
	}
	return min(time.Duration(n)*unit, longest)
}

// classify says what an answer that is no proof means for a commit. It looks at the record alone: go-reddit loses
// the reason of a 400, the ratelimit of a refusal and the status of much else.
// What is hidden does not come back in its message.
func classify(c adapters.Call, now time.Time, hidden ...string) *adapters.Error {
	r := parseRefusal(c.Body)
	r.hidden = hidden
	own := r.shaped || c.Status == http.StatusForbidden || c.Status == http.StatusTooManyRequests || plain(c)
	e := adapters.ByStatus(c, own)
	e.Code = r.label
	switch {
	case c.Status >= 300 && c.Status < 400: // whatever it says
		// A submission that went through has been answered so, too.
		e.Fate, e.Message = adapters.Unknown, "Reddit leads elsewhere: check api_url"
	case c.Status < 500 && r.listed && c.Whole:
		// The list of errors is what a 200 is refused by, unless the same answer names a post. It says more than a status.
		r.judge(e, now)
	case c.Status >= 200 && c.Status < 300:
	case c.Status == http.StatusTooManyRequests:
		e.Until = resetAt(c.Header, now)
	case c.Status == http.StatusForbidden && r.shaped:
		// What one subreddit does not allow is for the content, not for the account.
		e.Reason, e.Message = adapters.Refused, r.saying()
	case e.Fate == adapters.Absent && e.Reason == adapters.Refused:
		e.Message = r.saying()
	}
	return e
}

// plain reports whether the answer is one of those that Reddit's own front gives without JSON: "400 Bad request" as a
// page and as a text. It sends 403 and 429 as pages, too.
func plain(c adapters.Call) bool {
	return c.Status == http.StatusBadRequest && len(c.Body) < 4096 && bytes.Contains(bytes.ToLower(c.Body), []byte("bad request"))
}

// judge fills in what json.errors mean. Labels: r2/lib/errors.py of Reddit's published source.
func (r refusal) judge(e *adapters.Error, now time.Time) {
	e.Fate, e.Reason, e.Message = adapters.Absent, adapters.Refused, r.saying()
	wait := r.wait
	if wait == 0 {
		wait = waitIn(r.text)
	}
	switch r.label {
	case "SUBREDDIT_RATELIMIT", "QUOTA_FILLED":
		e.Reason, e.Until = adapters.RateLimit, now.Add(hour).UTC()
	case "ALREADY_SUB":
		e.Fate, e.Reason, e.Message = adapters.Exists, adapters.Duplicate, "Reddit says that the link was submitted there already"
	case "BAD_CAPTCHA", "VERIFIED_USER_REQUIRED":
		e.Reason = adapters.Permission
	case "USER_REQUIRED":
		e.Reason = adapters.Auth
	default:
		if !strings.Contains(r.label, "RATELIMIT") {
			return
		}
		e.Reason = adapters.RateLimit
		if wait > 0 {
			e.Until = now.Add(wait + time.Second).UTC() // Reddit counts from a second that has begun
		}
	}
}

// resetAt says when Reddit takes requests again; zero when it does not say.
func resetAt(h http.Header, now time.Time) time.Time {
	if at := adapters.RetryAfter(h, now); !at.IsZero() {
		return at
	}
	seconds, err := strconv.ParseFloat(h.Get("X-Ratelimit-Reset"), 64)
	if err != nil || !(seconds >= 0 && seconds < longest.Seconds()) {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds * float64(time.Second))).UTC()
}

// unreadable is the error of an answer, to a read, that does not have what it must have.
func unreadable(c adapters.Call, what string) *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Status: c.Status, Message: "Reddit answered without " + what}
}
