package twitter

import (
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"crier/adapters"
)

// problem is what X says in any of its error shapes: problem JSON of v2 with or without errors[], errors[] of v1.1,
// or a bare code and message. Absent and mistyped members are empty.
type problem struct {
	title, detail, message string
	slug                   string // the last element of the type's path; the host has changed before
	params                 string // the names of the parameters that errors[] complains about
	codes                  []int
	hidden                 []string // what its words must not tell
}

// parseProblem reads whatever it can of an error body, whatever its Content-Type.
func parseProblem(body []byte) problem {
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil {
		return problem{}
	}
	p := problem{title: text(top["title"]), detail: text(top["detail"]), message: text(top["message"])}
	if kind := text(top["type"]); kind != "" && kind != "about:blank" {
		p.slug = path.Base(kind)
	}
	if n, ok := code(top["code"]); ok {
		p.codes = append(p.codes, n)
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(top["errors"], &list) != nil {
		return p
	}
	for _, e := range list {
		if n, ok := code(e["code"]); ok {
			p.codes = append(p.codes, n)
		}
		if p.message == "" {
			p.message = text(e["message"])
		}
		var params map[string]json.RawMessage
		if json.Unmarshal(e["parameters"], &params) == nil {
			for name := range params {
				p.params += " " + name
			}
		}
	}
	return p
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func code(raw json.RawMessage) (int, bool) {
	var n int
	if raw == nil || json.Unmarshal(raw, &n) != nil {
		return 0, false
	}
	return n, true
}

// shaped reports whether the body was one of X's errors at all.
func (p problem) shaped() bool {
	return p.title != "" || p.detail != "" || p.message != "" || len(p.codes) > 0
}

func (p problem) has(codes ...int) bool {
	return slices.ContainsFunc(p.codes, func(n int) bool { return slices.Contains(codes, n) })
}

// says reports whether the words of the error contain one of these, in any case.
func (p problem) says(words ...string) bool {
	all := strings.ToLower(p.title + "\n" + p.detail + "\n" + p.message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(all, w) })
}

// saying is the most telling sentence of the error, cut to what a person reads.
func (p problem) saying() string {
	for _, s := range []string{p.message, p.detail, p.title} {
		if s == "" || strings.HasPrefix(s, "One or more parameters") {
			continue
		}
		s = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7F {
				return ' '
			}
			return r
		}, adapters.Hide(s, p.hidden...))
		const longest = 200
		if runes := []rune(s); len(runes) > longest {
			s = string(runes[:longest]) + "…"
		}
		return s
	}
	return ""
}

// rule is one line of the table of X's refusals. All conditions that are set must hold.
type rule struct {
	status  int
	codes   []int
	slugs   []string
	words   []string
	fate    adapters.Fate
	reason  adapters.Reason
	scope   adapters.Scope
	message string
}

// rules are X's refusals that mean more than their status, the first that fits counts. Codes of v1.1 are from its
// list of response codes, slugs and words from the v2 documentation and from issues.
func rules() []rule {
	const absent = adapters.Absent
	return []rule{
		{codes: []int{130, 131}, fate: adapters.Unknown, reason: adapters.Server, message: "X has an internal error"},
		{codes: []int{187}, fate: adapters.Exists, reason: adapters.Duplicate, message: "X says that the account has posted this already"},
		{status: 403, words: []string{"duplicate content"}, fate: adapters.Exists, reason: adapters.Duplicate, message: "X says that the account has posted this already"},
		{status: 429, slugs: []string{"usage-capped"}, fate: absent, reason: adapters.Budget, scope: adapters.ScopeApp, message: "the app's usage on X is used up"},
		{status: 402, fate: absent, reason: adapters.Budget, scope: adapters.ScopeApp, message: "the app's credits on X are used up"},
		{codes: []int{88, overDay}, fate: absent, reason: adapters.RateLimit, message: "X asks to wait"},
		{status: 429, fate: absent, reason: adapters.RateLimit, message: "X asks to wait"},
		{codes: []int{135}, fate: absent, reason: adapters.Auth, message: "X refuses the signature's time: check this machine's clock"},
		{codes: []int{32, 89, 99}, fate: absent, reason: adapters.Auth, message: "X does not accept the token"},
		{codes: []int{226}, fate: absent, reason: adapters.Policy, message: "X takes this for automated and has blocked it"},
		{codes: []int{64, 326}, fate: absent, reason: adapters.Permission, message: "X has locked the account: its owner must log in there"},
		{codes: []int{261}, fate: absent, reason: adapters.Permission, message: "the app may only read: give it write permission and make the token anew"},
		{codes: []int{453}, fate: absent, reason: adapters.Permission, message: "X's contract does not include this call: leave `api: v1.1` out"},
		{
			slugs: []string{"client-forbidden", "client-not-enrolled"}, fate: absent, reason: adapters.Permission, scope: adapters.ScopeApp,
			message: "X does not allow this call to the app",
		},
		{slugs: []string{"unsupported-authentication", "oauth1-permissions"}, fate: absent, reason: adapters.Permission, message: "X does not allow this call with this token"},
		{codes: []int{324, 325}, fate: absent, reason: adapters.Prepare, message: "X does not accept the uploaded media"},
		{status: 400, words: []string{"media ids are invalid", "media id"}, fate: absent, reason: adapters.Prepare, message: "X does not accept the uploaded media"},
		{codes: []int{186}, fate: absent, reason: adapters.Refused, message: "the text is too long for X"},
		{codes: []int{385, 433, 386}, fate: absent, reason: adapters.Refused},
	}
}

func (r rule) fits(c adapters.Call, p problem) bool {
	return (r.status == 0 || r.status == c.Status) &&
		(r.codes == nil || p.has(r.codes...)) &&
		(r.slugs == nil || slices.Contains(r.slugs, p.slug)) &&
		(r.words == nil || p.says(r.words...))
}

// overDay is the code of an account that has posted as much as it may in a day. X breaks the day's number down into parts
// of half an hour and does not say when the next begins (developer.x.com, "Limits on posting").
const (
	overDay = 185
	dayPart = 30 * time.Minute
)

// classify says what an answer that is no proof means for a commit. It looks at the record alone, for both APIs, and
// never at an SDK's error: go-twitter reports nil for a refusal in v2's shape, for 500 and 503 without a body and for
// 200 and 201 without a post.
// What is hidden does not come back in its message.
func classify(c adapters.Call, now time.Time, hidden ...string) *adapters.Error {
	p := parseProblem(c.Body)
	p.hidden = hidden
	e := adapters.ByStatus(c, p.shaped())
	e.Code = p.name()
	if e.Reason == adapters.RateLimit {
		e.Until, e.Scope = resetAt(c.Header, now)
	}
	settled := c.Status >= 400 && c.Status < 500 && e.Fate == adapters.Absent
	if !settled {
		return e
	}
	for _, r := range rules() {
		if !r.fits(c, p) {
			continue
		}
		e.Fate, e.Reason, e.Scope, e.Until = r.fate, r.reason, r.scope, time.Time{}
		if r.message != "" {
			e.Message = r.message
		} else {
			e.Message = "X refuses this: " + p.saying()
		}
		if e.Reason == adapters.RateLimit {
			e.Until, e.Scope = resetAt(c.Header, now)
			if e.Until.IsZero() && p.has(overDay) {
				e.Until = now.Add(dayPart).UTC()
			}
		}
		return e
	}
	switch {
	case c.Status == http.StatusNotFound:
		// X has served 404 for hours on calls that exist.
		e.Reason, e.Message = adapters.Server, "X does not find what this call names"
	case c.Status == http.StatusForbidden:
		// "You are not permitted to perform this action" is what X says for too long a text, a reply that is not
		// allowed, a second cashtag and more.
		e.Reason, e.Message = adapters.Refused, "X refuses this: "+p.saying()
	case e.Reason == adapters.Refused:
		e.Message = "X refuses this: " + p.saying()
	}
	return e
}

// name is X's own code of the error: a number of v1.1 or a slug of v2.
func (p problem) name() string {
	if len(p.codes) > 0 {
		return strconv.Itoa(p.codes[0])
	}
	return p.slug
}

// resetAt says when X takes requests again: the latest end of the windows that are used up, of the call's own limit
// and of both day limits, else Retry-After; zero when it does not say.
func resetAt(h http.Header, now time.Time) (until time.Time, scope adapters.Scope) {
	for _, family := range []string{"X-Rate-Limit", "X-User-Limit-24hour", "X-App-Limit-24hour"} {
		if h.Get(family+"-Remaining") != "0" {
			continue
		}
		seconds, err := strconv.ParseInt(h.Get(family+"-Reset"), 10, 64)
		if err != nil {
			continue
		}
		at := time.Unix(seconds, 0).UTC()
		if at.After(until) && at.Before(now.AddDate(1, 0, 0)) {
			until = at
		}
		if family == "X-App-Limit-24hour" {
			scope = adapters.ScopeApp
		}
	}
	if until.IsZero() {
		until = adapters.RetryAfter(h, now)
	}
	return until, scope
}

// unanswered is the error of a call that is no commit and got no answer.
func (a *adapter) unanswered(err error) *adapters.Error {
	if e, ok := errors.AsType[*adapters.Error](err); ok {
		return e
	}
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "no answer from X", Err: err}
}

// refusedRead is the error of a call that is no commit, or nil when its answer is whole and its status 2xx.
func (a *adapter) refusedRead(c adapters.Call) error {
	switch {
	case c.Status >= 200 && c.Status < 300 && c.Whole:
		return nil
	case c.Status >= 200 && c.Status < 300:
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Status: c.Status, Message: "X's answer broke off", Err: c.Err}
	}
	return classify(c, a.env.Now()).Harmless()
}

// unreadable is the error of an answer, to a call that is no commit, which does not have what it must have.
func unreadable(c adapters.Call, what string) *adapters.Error {
	return &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Protocol, Status: c.Status, Message: "X answered without " + what,
	}
}
