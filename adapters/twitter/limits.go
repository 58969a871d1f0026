package twitter

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"crier/adapters"
	"crier/internal/post"
)

// X's limits. Weights: twitter-text configuration v3; long posts: X's changelog of August 2024. Media, polls and alt
// texts: https://docs.x.com/x-api. Cashtags: X allows one for each post since 2026.
const (
	shortWeight   = 280
	longWeight    = 25_000
	maxImages     = 4
	maxImageBytes = 5 << 20
	maxAlt        = 1000
	maxCashtags   = 1
	minPollItems  = 2
	maxPollItems  = 4
	maxPollItem   = 25
	minPollTime   = 5
	maxPollTime   = 10_080
)

// imageTypes are the media that Crier uploads to X; X takes animated GIFs and videos too.
func imageTypes() []string { return []string{"image/jpeg", "image/png", "image/webp"} }

func replySettings() []string {
	return []string{"following", "mentionedUsers", "subscribers", "verified"}
}

// The options of a post on X.
const (
	optReplySettings = "reply_settings"
	optPoll          = "poll"
	optCommunity     = "community"
	optMadeWithAI    = "made_with_ai"
	optQuote         = "quote"
)

// poll is both the option and what X takes.
type poll struct {
	Options []string `json:"options"`
	// Minutes is how long it is open.
	Minutes int `json:"duration_minutes"`
}

// options are the options of a content that are well formed.
type options struct {
	replySettings, community string
	poll                     *poll
	madeWithAI               bool
}

func optionsOf(o *post.Options) options {
	var out options
	out.replySettings, _ = o.String(optReplySettings)
	out.community, _ = o.String(optCommunity)
	out.madeWithAI, _ = o.Bool(optMadeWithAI)
	if p := (poll{}); o.Has(optPoll) && o.Decode(optPoll, &p) == nil {
		out.poll = &p
	}
	return out
}

// checker gathers problems.
type checker []post.Problem

func (c *checker) refuse(location, code, message string) {
	*c = append(*c, post.Problem{Location: location, Code: code, Severity: post.SeverityError, Message: message})
}

func (c *checker) over(location, code, message, unit string, limit, used int64) {
	*c = append(*c, post.Problem{
		Location: location, Code: code, Severity: post.SeverityError, Message: message, Limit: limit, Used: used, Unit: unit,
	})
}

// Check implements [adapters.Adapter].
func (a *adapter) Check(content post.Content) []post.Problem {
	var c checker
	if content.Title != "" {
		c.refuse("title", "not_supported", "X has no titles")
	}
	if content.Link != "" && !isLink(content.Link) {
		c.refuse("link", "link_not_allowed", "a link begins with http:// or https:// and a host")
	}
	a.checkText(&c, "text", withLink(content.Text, content.Link), len(content.Media))
	checkMedia(&c, "media", content.Media)
	for i, r := range content.Thread {
		a.checkText(&c, fmt.Sprintf("thread[%d].text", i), r.Text, len(r.Media))
		checkMedia(&c, fmt.Sprintf("thread[%d].media", i), r.Media)
	}
	if content.FirstComment != "" {
		a.checkText(&c, "first_comment", content.FirstComment, 0)
	}
	a.checkOptions(&c, content)
	return c
}

func isLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.ContainsAny(s, " \t\r\n")
}

func (a *adapter) checkText(c *checker, location, text string, media int) {
	if strings.TrimSpace(text) == "" && media == 0 {
		c.refuse(location, "empty", "there is nothing to post")
		return
	}
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\uFFFE\uFEFF\uFFFF") {
		c.refuse(location, "invalid_characters", "X refuses characters that are no text, such as U+FEFF")
	}
	if used := Weight(strings.TrimSpace(text)); used > a.config.maxWeight {
		c.over(location, "too_long", "the text is too long for X", "weighted", int64(a.config.maxWeight), int64(used))
	}
	if used := Cashtags(text); used > maxCashtags {
		c.over(location, "cashtags", "X allows one cashtag", "cashtags", maxCashtags, int64(used))
	}
}

// CountText implements [adapters.TextCounter].
func (a *adapter) CountText(c post.Content) adapters.TextLength {
	used := Weight(strings.TrimSpace(withLink(c.Text, c.Link)))
	return adapters.TextLength{Used: int64(used), Limit: int64(a.config.maxWeight), Unit: "weighted"}
}

func checkMedia(c *checker, location string, media []post.Media) {
	if len(media) > maxImages {
		c.over(location, "media_count", "X takes at most four images", "files", maxImages, int64(len(media)))
	}
	for i, m := range media {
		at := fmt.Sprintf("%s[%d]", location, i)
		if !slices.Contains(imageTypes(), m.Type) {
			c.refuse(at, "media_type", "Crier uploads JPEG, PNG and WebP images to X; GIFs and videos are not supported yet")
		}
		if m.Bytes > maxImageBytes {
			c.over(at, "media_size", "the image is too large for X", "bytes", maxImageBytes, m.Bytes)
		}
		if used := utf8.RuneCountInString(m.Alt); used > maxAlt {
			c.over(at+".alt", "too_long", "the description is too long for X", "characters", maxAlt, int64(used))
		}
		if m.Alt == "" {
			*c = append(*c, post.Problem{
				Location: at, Code: "alt_text_missing", Severity: post.SeverityWarning, Message: "who cannot see the image learns nothing of it",
			})
		}
	}
}

func (a *adapter) checkOptions(c *checker, content post.Content) {
	for _, name := range content.Options.Names() {
		at := adapters.OptionAt(name)
		known := slices.Contains([]string{optReplySettings, optPoll, optCommunity, optMadeWithAI, optQuote}, name)
		switch {
		case !known:
			c.refuse(at, "option_unknown", "X has no such option")
			continue
		case name == optQuote:
			c.refuse(at, "not_supported", "X lets no app of the self-serve plans quote posts since April 2026")
			continue
		case a.config.backend == apiV1:
			c.refuse(at, "not_supported", "API v1.1 does not have this option")
			continue
		}
		switch name {
		case optReplySettings:
			if v, ok := content.Options.String(name); !ok || !slices.Contains(replySettings(), v) {
				c.refuse(at, "option_invalid", "reply_settings is one of "+strings.Join(replySettings(), ", "))
			}
		case optCommunity:
			if v, ok := content.Options.String(name); !ok || !isNumber(v) {
				c.refuse(at, "option_invalid", "community is the community's number, as text")
			}
		case optMadeWithAI:
			if _, ok := content.Options.Bool(name); !ok {
				c.refuse(at, "option_invalid", "made_with_ai is true or false")
			}
		case optPoll:
			checkPoll(c, at, content)
		}
	}
}

func checkPoll(c *checker, at string, content post.Content) {
	var p poll
	ok := content.Options.Decode(optPoll, &p) == nil && len(p.Options) >= minPollItems && len(p.Options) <= maxPollItems &&
		p.Minutes >= minPollTime && p.Minutes <= maxPollTime
	for _, o := range p.Options {
		n := utf8.RuneCountInString(o)
		ok = ok && n >= 1 && n <= maxPollItem
	}
	if !ok {
		c.refuse(at, "option_invalid", "a poll has two to four options of 1 to 25 characters and duration_minutes from 5 to 10080")
	}
	if len(content.Media) > 0 {
		c.refuse(at, "mixed_media", "a post on X has either media or a poll")
	}
}

// isNumber reports whether s can be one of X's ids.
func isNumber(s string) bool {
	if s == "" || len(s) > 19 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// capabilities describes a post on X for an account without a longer limit of its own.
func capabilities(post.Account) adapters.Capabilities { return described(shortWeight) }

// Capabilities implements [adapters.Describer].
func (a *adapter) Capabilities() adapters.Capabilities { return described(a.config.maxWeight) }

func described(weight int) adapters.Capabilities {
	const optional = "optional"
	return adapters.Capabilities{
		Platform: post.Twitter,
		Fields: map[string]adapters.FieldLimit{
			"text":          {Support: optional, Max: weight, Unit: "weighted", Means: "the post"},
			"title":         {Support: "not_supported"},
			"link":          {Support: optional, Means: "appended to the text; counts 23, and X charges more for a post with a link"},
			"media":         {Support: optional, Max: maxImages, Unit: "files", Means: "images"},
			"thread":        {Support: optional, Max: weight, Unit: "weighted", Means: "replies, one after the other"},
			"first_comment": {Support: optional, Max: weight, Unit: "weighted", Means: "a reply to the post"},
		},
		Media: adapters.MediaLimits{Types: imageTypes(), MaxCount: maxImages, MaxBytes: maxImageBytes, AltText: true},
		Options: []adapters.OptionInfo{
			{Name: optReplySettings, Type: "string", Values: replySettings(), Means: "who may reply; everyone when absent"},
			{Name: optPoll, Type: "object", Means: "options: two to four texts; duration_minutes: 5 to 10080"},
			{Name: optCommunity, Type: "string", Means: "the number of the community that it goes to"},
			{Name: optMadeWithAI, Type: "boolean", Means: "label the post as made with AI"},
			{Name: optQuote, Type: "string", Means: "refused: X lets no self-serve app quote posts"},
		},
		Notes: []string{"X forbids the same text on several accounts.", "GIFs and videos are not supported yet."},
	}
}
