package facebook

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"crier/adapters"
)

// fault is the error object of an answer, in whichever of its shapes it came.
type fault struct {
	present       bool
	shaped        bool // in a form that Graph uses
	code, subcode int
	transient     bool
	message       string // in English, for developers
	forPeople     string // in the language of the account
}

// readFault finds the error of an answer: usually an object "error", sometimes a bare text; "debug_info" of uploads,
// and "error_type" of logins.
func readFault(o object) fault {
	if o["error"] != nil {
		e := o.object("error")
		f := fault{
			present: true, code: e.int("code"), subcode: e.int("error_subcode"), transient: e.truth("is_transient"),
			message: e.text("message"), forPeople: e.text("error_user_msg"),
		}
		f.shaped = e != nil
		if e == nil {
			f.message = o.text("error")
			f.shaped = f.message != ""
		}
		return f
	}
	if d := o.object("debug_info"); d != nil {
		return fault{present: true, shaped: true, transient: d.truth("retriable"), message: d.text("message")}
	}
	if o["error_type"] != nil {
		return fault{present: true, shaped: true, code: o.int("code"), message: o.text("error_message")}
	}
	return fault{}
}

// verdict is what one code means. The fate counts for commits only; whatever fails without being one is absent.
type verdict struct {
	fate   adapters.Fate
	reason adapters.Reason
	scope  adapters.Scope
	wait   time.Duration // how long to keep away when the answer does not say
	means  string
}

// codeGone is the code of an object that is not there.
const codeGone = "100/33"

// How long to keep away, in our judgement: a throttled scope without a stated end, and after a block for spam, where
// a retry loop has ended in a disabled account (postiz-app#832).
const (
	throttleFloor = 5 * time.Minute
	throttleCap   = 24 * time.Hour
	blockWait     = 24 * time.Hour
)

var (
	throttled = verdict{reason: adapters.RateLimit, wait: throttleFloor, means: "Facebook asks to wait"}
	// "Transient" is the most dangerous word of this API: codes 1 and 2 have come with the post live, one of them
	// seven times over (arsduo/koala#699, php-graph-sdk#1141).
	outage     = verdict{reason: adapters.Server, means: "Facebook failed"}
	blocked    = verdict{reason: adapters.Policy, wait: blockWait, means: "Facebook blocked the action as too fast or as spam"}
	policy     = verdict{fate: adapters.Absent, reason: adapters.Policy, means: "Facebook blocked the action for its policies"}
	tokenDead  = verdict{fate: adapters.Absent, reason: adapters.Auth, means: "Facebook no longer accepts the token: connect the Page again"}
	checkpoint = verdict{fate: adapters.Absent, reason: adapters.Auth, means: "Facebook wants the person behind the token to confirm on facebook.com"}
	noRole     = verdict{fate: adapters.Absent, reason: adapters.Auth, means: "the person behind the token has no role on the Page any more"}
	forbidden  = verdict{fate: adapters.Absent, reason: adapters.Permission, means: "a permission or a task on the Page is missing"}
	restricted = verdict{fate: adapters.Absent, reason: adapters.Permission, means: "Facebook restricted the account: a person must look on facebook.com"}
	duplicate  = verdict{fate: adapters.Exists, reason: adapters.Duplicate, means: "Facebook says that this was posted already"}
	ourApp     = verdict{fate: adapters.Absent, reason: adapters.Auth, means: "app_id or app_secret do not fit the token"}
	content    = verdict{fate: adapters.Absent, reason: adapters.Refused, means: "Facebook refused the content"}
)

// byNumber is what the codes and subcodes mean. Those of seven digits come as either. Sources: Meta's guides to error
// handling and Instagram's error codes, read in 2026, and the issues named in the sheet of the platform.
var byNumber = map[int]verdict{
	1: outage, 2: outage, 1363047: outage, 1609010: outage,
	4:  {reason: adapters.RateLimit, scope: adapters.ScopeApp, wait: throttleFloor, means: "Facebook asks the whole app to wait"},
	17: throttled, 32: throttled, 341: throttled, 613: throttled, 80001: throttled, 80002: throttled,
	1390008: blocked, 2207051: blocked,
	102: tokenDead, 190: tokenDead,
	459: checkpoint, 464: checkpoint,
	492: noRole,
	3:   forbidden, 10: forbidden, 1404078: forbidden, 4854002: forbidden,
	25: restricted, 1404006: restricted, 1404112: restricted, 2207050: restricted,
	368: policy, 1346003: policy, 1404102: policy,
	506: duplicate, 1366051: duplicate,
	101: ourApp,
	100: content, 324: content, 352: content, 1349125: content, 1366046: content, 1609005: content, 1609008: content,
	2061006: content, 2069019: content,
}

// leastSubcode is the smallest subcode that has a meaning of its own: those below only colour their code, and look like
// codes.
const leastSubcode = 400

// judge finds the verdict for what Graph said: by the subcode, else by the code.
func (f fault) judge() (verdict, bool) {
	v, known := byNumber[f.subcode]
	if known = known && f.subcode >= leastSubcode; !known {
		v, known = f.judgeCode()
	}
	if v == policy && f.says("already posted") {
		return duplicate, true // koala#422
	}
	return v, known
}

func (f fault) judgeCode() (verdict, bool) {
	switch {
	case f.code >= 200 && f.code <= 299:
		return forbidden, true
	case f.code == 100 && strings.Contains(f.message, "appsecret_proof"):
		return ourApp, true // Graph has no code of its own for it
	}
	if v, ok := byNumber[f.code]; ok {
		return v, true
	}
	if f.transient {
		return outage, true
	}
	return verdict{}, false
}

// says reports whether the words of the error contain these, in any case.
func (f fault) says(words string) bool {
	return strings.Contains(strings.ToLower(f.message+"\n"+f.forPeople), words)
}

// fault says what an answer means that is not a success.
func (g *graph) fault(a answer, commit bool) *adapters.Error {
	e := adapters.ByStatus(a.Call, a.said.shaped)
	uncertain := e.Fate == adapters.Unknown
	v, known := a.said.judge()
	switch a.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusTooManyRequests:
		known = known && v.reason != adapters.Refused // such a status says more than the code for anything
	default:
		known = known && a.Status/100 != 3 // only a wrong address redirects
	}
	switch {
	case known:
		e.Fate, e.Reason, e.Scope, e.Message = v.fate, v.reason, v.scope, v.means
		// A status that leaves the fate open weighs more than any code. So does a success with an error in it.
		if uncertain {
			e.Fate = adapters.Unknown
			if v.reason != adapters.RateLimit && v.reason != adapters.Policy {
				e.Reason = adapters.Server
			}
		}
	case a.Status == http.StatusForbidden && a.said.shaped:
		e.Reason, e.Message = adapters.Refused, content.means // a number that nobody knows says nothing of the account
	case a.Status == http.StatusTooManyRequests:
		// Graph has refused for too many calls with the post live: look before sending again.
		v, e.Fate = throttled, adapters.Unknown
	}
	if a.said.code != 0 || a.said.subcode != 0 {
		e.Code = strconv.Itoa(a.said.code)
		if a.said.subcode != 0 {
			e.Code += "/" + strconv.Itoa(a.said.subcode)
		}
	}
	// What Graph says of a bad token repeats the token.
	if e.Reason != adapters.Auth {
		if said := g.quote(a.said); said != "" {
			e.Message += ": " + said
		}
	}
	if e.Reason == adapters.RateLimit {
		e.Until = until(a.Call, g.a.now(), v.wait)
	} else if v.wait > 0 {
		e.Until = g.a.now().Add(v.wait).UTC()
	}
	if !commit {
		e = e.Harmless()
		if e.Reason == adapters.Duplicate {
			e.Reason = adapters.Refused
		}
	}
	return e
}

// quote gives the platform's own words, short, on one line, and without what is hidden.
func (g *graph) quote(f fault) string {
	said := f.forPeople
	if said == "" {
		said = f.message
	}
	said = adapters.Hide(said, g.hidden...)
	said = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, said)
	const limit = 300
	if runes := []rune(said); len(runes) > limit {
		said = string(runes[:limit]) + "…"
	}
	return strings.TrimSpace(said)
}

// until reads when a throttled scope frees: minutes in X-Business-Use-Case-Usage, else Retry-After, else floor from
// now. Its headers come only after enough calls; their absence says nothing.
func until(c adapters.Call, now time.Time, floor time.Duration) time.Time {
	var wait time.Duration
	var usage map[string]any
	if json.Unmarshal([]byte(c.Header.Get("X-Business-Use-Case-Usage")), &usage) == nil {
		for _, v := range usage {
			for _, o := range objects(v) {
				minutes := o.float("estimated_time_to_regain_access")
				if minutes > 0 && minutes <= throttleCap.Minutes() {
					wait = max(wait, time.Duration(minutes*float64(time.Minute)))
				} else if minutes > 0 {
					wait = throttleCap
				}
			}
		}
	}
	if at := adapters.RetryAfter(c.Header, now); wait == 0 && at.After(now) {
		wait = min(at.Sub(now), throttleCap)
	}
	if wait == 0 {
		wait = max(floor, throttleFloor)
	}
	return now.Add(wait).UTC()
}
