package youtube

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"crier/adapters"
)

// fault says what an answer of the API means that is not a success. Only a commit leaves a fate open. The platform's
// own words are left out: they may repeat what was sent, and the reason says it all.
func (a *adapter) fault(c adapters.Call, commit bool) *adapters.Error {
	reason, shaped := readReason(c.Body)
	// YouTube refuses with pages of its own, too, under these two.
	shaped = shaped || c.Status == http.StatusForbidden || c.Status == http.StatusTooManyRequests
	e := adapters.ByStatus(c, shaped)
	uncertain := e.Fate == adapters.Unknown
	e.Code = reason
	now := a.now()
	if v, ok := byReason[reason]; ok {
		e.Fate, e.Reason, e.Scope, e.Message = adapters.Absent, v.reason, v.scope, v.means
		if uncertain {
			// A status that leaves the fate open weighs more than any reason.
			e.Fate = adapters.Unknown
			if v.reason != adapters.RateLimit && v.reason != adapters.Budget {
				e.Reason = adapters.Server
			}
		}
	}
	switch {
	case e.Reason == adapters.Budget && reason != "":
		e.Until = nextMidnight(now, a.pacific)
	case reason == "uploadLimitExceeded", reason == "uploadRateLimitExceeded":
		e.Until = now.Add(24 * time.Hour).UTC()
	case e.Reason == adapters.RateLimit:
		e.Until = adapters.RetryAfter(c.Header, now)
	}
	if !commit {
		return e.Harmless()
	}
	return e
}

// verdict is what a reason of the API means.
type verdict struct {
	reason adapters.Reason
	scope  adapters.Scope
	means  string
}

var (
	quota     = verdict{adapters.Budget, adapters.ScopeApp, "the quota of the Google project is used up until midnight in California"}
	uploads   = verdict{adapters.RateLimit, adapters.ScopeAccount, "the channel has uploaded too many videos today"}
	slower    = verdict{adapters.RateLimit, adapters.ScopeAccount, "YouTube asks to wait"}
	token     = verdict{adapters.Auth, adapters.ScopeAccount, "YouTube does not accept the token"}
	forbidden = verdict{adapters.Permission, adapters.ScopeAccount, "the account may not do this: look at its channel and at the scopes of its token"}
	refused   = verdict{adapters.Refused, adapters.ScopeAccount, "YouTube refused the content"}
	comments  = verdict{adapters.Refused, adapters.ScopeAccount, "the video takes no comment"}
	server    = verdict{adapters.Server, adapters.ScopeAccount, "YouTube failed"}
)

// byReason is from developers.google.com/youtube/v3/docs/errors and .../docs/videos/update, read in 2026.
var byReason = map[string]verdict{
	"quotaExceeded": quota, "dailyLimitExceeded": quota,
	"uploadLimitExceeded": uploads, "uploadRateLimitExceeded": uploads,
	"rateLimitExceeded": slower, "userRateLimitExceeded": slower,
	"authError": token, "required": token, "expired": token,
	"youtubeSignupRequired": forbidden, "forbidden": forbidden, "insufficientPermissions": forbidden,
	"authenticatedUserAccountSuspended": forbidden, "authenticatedUserAccountClosed": forbidden,
	"accountClosed": forbidden, "accountSuspended": forbidden, "channelClosed": forbidden, "channelSuspended": forbidden,
	"invalidTitle": refused, "invalidDescription": refused, "invalidTags": refused, "invalidCategoryId": refused,
	"invalidPublishAt": refused, "invalidFilename": refused, "invalidVideoMetadata": refused,
	"invalidRecordingDetails": refused, "defaultLanguageNotSet": refused, "mediaBodyRequired": refused,
	"forbiddenPrivacySetting": refused, "forbiddenLicenseSetting": refused, "invalidImage": refused,
	"commentsDisabled": comments, "commentTextTooLong": comments, "invalidCommentMetadata": comments,
	"commentTextRequired": comments, "ineligibleAccount": forbidden,
	"backendError": server, "internalError": server,
}

// readReason finds the reason in a body of the API's error form, and reports whether it has that form.
func readReason(body []byte) (reason string, shaped bool) {
	var outer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &outer) != nil {
		return "", false
	}
	var inner struct {
		Errors []struct {
			Reason string `json:"reason"`
		} `json:"errors"`
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(outer.Error, &members) != nil || len(members) == 0 {
		return "", false
	}
	if json.Unmarshal(outer.Error, &inner) == nil && len(inner.Errors) > 0 {
		reason = cut(inner.Errors[0].Reason)
	}
	return reason, true
}

// ofPart judges a refusal of a thumbnail or a comment. It is no reason to stop the channel: a channel whose phone
// number is not verified may publish and may not set thumbnails.
func ofPart(e *adapters.Error) *adapters.Error {
	if e.Code == "forbidden" && e.Reason == adapters.Permission && e.Status == http.StatusForbidden {
		e.Reason, e.Message = adapters.Refused, "YouTube does not allow this on the channel or the video"
	}
	return e
}

// cut makes a code of the platform fit for a log: short, and of letters, digits, - and _.
func cut(s string) string {
	const limit = 64
	s = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), limit)]
}

// pacific is the zone in which the quota's day ends. Without zone data it is Pacific standard time, which is an hour
// late in summer.
func pacific() *time.Location {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		return time.FixedZone("PST", -8*60*60)
	}
	return zone
}

func nextMidnight(now time.Time, zone *time.Location) time.Time {
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone).UTC()
}
