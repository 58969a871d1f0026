package reddit

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"crier/adapters"
	"crier/internal/post"
)

// Reddit's limits, in characters: https://www.reddit.com/dev/api#POST_api_submit, and TOO_LONG's text.
const (
	maxTitle     = 300
	maxText      = 40_000
	maxComment   = 10_000
	maxFlair     = 64
	maxFlairID   = 36
	kindSelf     = "self"
	kindLink     = "link"
	notSupported = "not_supported"
)

// The options of a post on Reddit.
const (
	optSubreddit   = "subreddit"
	optFlair       = "flair"
	optFlairID     = "flair_id"
	optType        = "type"
	optNSFW        = "nsfw"
	optSpoiler     = "spoiler"
	optSendReplies = "send_replies"
	optCrosspost   = "crosspost_of"
)

// subredditName is a subreddit, or u_ and a user's name for the own profile.
var subredditName = regexp.MustCompile(`^(?:[A-Za-z0-9][A-Za-z0-9_]{1,20}|u_[A-Za-z0-9_-]{3,20})$`)

// destination is the subreddit that a content goes to, in lower case without r/.
func destination(c post.Content) string {
	name, _ := c.Options.String(optSubreddit)
	name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(name), "/"), "r/")
	return strings.ToLower(strings.TrimSuffix(name, "/"))
}

// checker gathers problems.
type checker []post.Problem

func (c *checker) refuse(location, code, message string) {
	*c = append(*c, post.Problem{Location: location, Code: code, Severity: post.SeverityError, Message: message})
}

func (c *checker) length(location, code, s string, limit int) {
	if used := utf8.RuneCountInString(s); used > limit {
		*c = append(*c, post.Problem{
			Location: location, Code: code, Severity: post.SeverityError, Message: "this is too long for Reddit",
			Limit: int64(limit), Used: int64(used), Unit: "characters",
		})
	}
}

// Check implements [adapters.Adapter].
func (*adapter) Check(content post.Content) []post.Problem {
	var c checker
	if strings.TrimSpace(content.Title) == "" {
		c.refuse("title", "title_required", "a post on Reddit has a title")
	}
	c.length("title", "title_too_long", strings.TrimSpace(content.Title), maxTitle)
	c.length("text", "too_long", content.Text, maxText)
	c.length("first_comment", "too_long", content.FirstComment, maxComment)
	if content.FirstComment != "" && strings.TrimSpace(content.FirstComment) == "" {
		c.refuse("first_comment", "empty", "the comment says nothing")
	}
	if content.Link != "" && !isLink(content.Link) {
		c.refuse("link", "link_not_allowed", "a link begins with http:// or https:// and a host")
	}
	if len(content.Media) > 0 {
		c.refuse("media", notSupported, "Crier cannot post media to Reddit yet: give a link to them instead")
	}
	if len(content.Thread) > 0 {
		c.refuse("thread", notSupported, "Reddit has no threads of one's own posts")
	}
	checkOptions(&c, content)
	return c
}

// CountText implements [adapters.TextCounter].
func (*adapter) CountText(c post.Content) adapters.TextLength {
	return adapters.TextLength{Used: int64(utf8.RuneCountInString(c.Text)), Limit: maxText, Unit: "characters"}
}

func isLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.ContainsAny(s, " \t\r\n")
}

func checkOptions(c *checker, content post.Content) {
	if !content.Options.Has(optSubreddit) {
		c.refuse("options."+optSubreddit, "subreddit_required", "say which subreddit it goes to")
	}
	for _, name := range content.Options.Names() {
		at := adapters.OptionAt(name)
		switch name {
		case optSubreddit:
			if !subredditName.MatchString(destination(content)) {
				c.refuse(at, "option_invalid", "a subreddit is a name such as golang or r/golang")
			}
		case optFlair, optFlairID:
			v, ok := content.Options.String(name)
			if !ok {
				c.refuse(at, "option_invalid", name+" is a text")
			}
			limit := maxFlair
			if name == optFlairID {
				limit = maxFlairID
			}
			c.length(at, "option_invalid", v, limit)
		case optType:
			if v, ok := content.Options.String(name); !ok || !slices.Contains([]string{kindSelf, kindLink}, v) || v != kind(content) {
				c.refuse(at, "option_invalid", "type is link for a post with a link, else self; other types are not supported yet")
			}
		case optNSFW, optSpoiler, optSendReplies:
			if _, ok := content.Options.Bool(name); !ok {
				c.refuse(at, "option_invalid", name+" is true or false")
			}
		case optCrosspost:
			c.refuse(at, notSupported, "Crier cannot crosspost yet")
		default:
			c.refuse(at, "option_unknown", "Reddit has no such option")
		}
	}
}

// kind is Reddit's kind of the post.
func kind(c post.Content) string {
	if c.Link != "" {
		return kindLink
	}
	return kindSelf
}

// capabilities describes a post on Reddit.
func capabilities(post.Account) adapters.Capabilities {
	const optional, required = "optional", "required"
	return adapters.Capabilities{
		Platform: post.Reddit,
		Fields: map[string]adapters.FieldLimit{
			"text":          {Support: optional, Max: maxText, Unit: "characters", Means: "the body; with a link, where the subreddit allows both"},
			"title":         {Support: required, Max: maxTitle, Unit: "characters"},
			"link":          {Support: optional, Means: "makes it a link post"},
			"media":         {Support: notSupported},
			"thread":        {Support: notSupported},
			"first_comment": {Support: optional, Max: maxComment, Unit: "characters", Means: "a comment on the post"},
		},
		Media: adapters.MediaLimits{Types: []string{}},
		Options: []adapters.OptionInfo{
			{Name: optSubreddit, Type: "string", Required: true, Means: "where it goes"},
			{Name: optFlair, Type: "string", Means: fmt.Sprintf("the flair's text, where its template lets one set it; at most %d characters", maxFlair)},
			{Name: optFlairID, Type: "string", Means: "the flair's template"},
			{Name: optType, Type: "string", Values: []string{kindSelf, kindLink}, Means: "follows from the link; stated, it is checked"},
			{Name: optNSFW, Type: "boolean", Means: "not safe for work"},
			{Name: optSpoiler, Type: "boolean", Means: "hide what it shows"},
			{Name: optSendReplies, Type: "boolean", Means: "replies go to the account's inbox; true when absent"},
			{Name: optCrosspost, Type: "string", Means: "not supported yet"},
		},
		Notes: []string{"Media are not supported yet.", "One target for each subreddit."},
	}
}
