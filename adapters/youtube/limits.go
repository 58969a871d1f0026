package youtube

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	yt "google.golang.org/api/youtube/v3"

	"crier/adapters"
	"crier/internal/post"
)

// What a video may have with it.
const (
	// maxTitle is in characters, maxDescription in bytes: developers.google.com/youtube/v3/docs/videos.
	maxTitle       = 100
	maxDescription = 5_000
	// maxTags counts characters with a comma between tags, and two quotes around a tag with a space: same page.
	maxTags = 500
	// maxComment is in characters; the API names no number, its clients use this one.
	maxComment = 10_000
	// maxVideo and maxThumbnail are from the API's discovery document, revision 20261019.
	maxVideo     = 256 << 30
	maxThumbnail = 50 << 20
	// defaultCategory is People & Blogs, which YouTube Studio takes for what has none.
	defaultCategory = "22"
)

// videoTypes are those that Crier recognises; YouTube takes video/*.
var videoTypes = []string{"video/mp4", "video/quicktime"}

// privacies are the values of privacyStatus.
var privacies = []string{"public", "unlisted", "private"}

func capabilities(post.Account) adapters.Capabilities {
	return adapters.Capabilities{
		Platform: post.YouTube,
		Fields: map[string]adapters.FieldLimit{
			"text":          {Support: "optional", Max: maxDescription, Unit: "bytes", Means: "the description"},
			"title":         {Support: "required", Max: maxTitle, Unit: "characters"},
			"link":          {Support: "optional", Means: "appended to the description"},
			"media":         {Support: "required", Max: 1, Unit: "videos"},
			"thread":        {Support: "not_supported"},
			"first_comment": {Support: "optional", Max: maxComment, Unit: "characters", Means: "a comment under the video"},
		},
		Media: adapters.MediaLimits{Types: slices.Clone(videoTypes), MaxCount: 1, MaxBytes: maxVideo},
		Options: []adapters.OptionInfo{
			{Name: "made_for_kids", Type: "boolean", Required: true, Means: "whether the video is made for children, as the law makes you say"},
			{Name: "privacy", Type: "string", Values: slices.Clone(privacies), Means: "who may see it at the due time; public when absent"},
			{Name: "tags", Type: "array", Means: "tags, up to 500 characters in all"},
			{Name: "category", Type: "string", Means: "the number of a category; 22 (People & Blogs) when absent"},
			{Name: "thumbnail", Type: "string", Means: "the id of a stored JPEG or PNG"},
			{Name: "contains_synthetic_media", Type: "boolean", Means: "whether it shows altered or made-up things that look real"},
			{Name: "notify", Type: "boolean", Means: "whether subscribers are told; true when absent"},
		},
		Notes: []string{
			"The video is uploaded as private ahead of time and shown at the due time.",
			"Until Google has audited the API project, every upload stays private.",
			"The daily quota of the Google project is shared by all its channels.",
		},
	}
}

// options is what a post may say of a video beyond text and media.
type options struct {
	Privacy     string
	MadeForKids bool
	Tags        []string
	Category    string
	Thumbnail   string
	Synthetic   bool
	Notify      bool
}

// readOptions gives the options with their defaults. What is of another type counts as absent: Check refuses it.
func readOptions(o *post.Options) options {
	got := options{Privacy: "public", Category: defaultCategory, Notify: true}
	if s, ok := o.String("privacy"); ok && slices.Contains(privacies, s) {
		got.Privacy = s
	}
	if s, ok := o.String("category"); ok && s != "" {
		got.Category = s
	}
	if b, ok := o.Bool("notify"); ok {
		got.Notify = b
	}
	got.MadeForKids, _ = o.Bool("made_for_kids")
	got.Synthetic, _ = o.Bool("contains_synthetic_media")
	got.Thumbnail, _ = o.String("thumbnail")
	if err := o.Decode("tags", &got.Tags); err != nil {
		got.Tags = nil
	}
	return got
}

// description gives the text with the link below it.
func description(c post.Content) string {
	switch {
	case c.Link == "":
		return c.Text
	case c.Text == "":
		return c.Link
	}
	return c.Text + "\n\n" + c.Link
}

// video is the whole of what Crier says of a video. Upload and update send the same but for the privacy, since an
// update deletes what it leaves out.
func video(c post.Content, privacy string) *yt.Video {
	o := readOptions(c.Options)
	return &yt.Video{
		Snippet: &yt.VideoSnippet{
			Title: c.Title, Description: description(c), Tags: o.Tags, CategoryId: o.Category,
			ForceSendFields: []string{"Description"},
		},
		Status: &yt.VideoStatus{
			PrivacyStatus: privacy, SelfDeclaredMadeForKids: o.MadeForKids, ContainsSyntheticMedia: o.Synthetic,
			Embeddable: true, PublicStatsViewable: true, License: "youtube",
			// False is the library's zero value, which it leaves out unless told.
			ForceSendFields: []string{"SelfDeclaredMadeForKids", "ContainsSyntheticMedia"},
		},
	}
}

// Check implements [adapters.Adapter].
func (a *adapter) Check(c post.Content) []post.Problem {
	var found problems
	found.words(c)
	found.media(c.Media)
	found.options(c)
	if len(c.Thread) > 0 {
		found.refuse("thread", "not_supported", "a video cannot be continued as a thread")
	}
	if c.FirstComment == "" {
		return found
	}
	o := readOptions(c.Options)
	switch {
	case strings.TrimSpace(c.FirstComment) == "":
		found.refuse("first_comment", "empty", "the first comment is blank")
	case o.MadeForKids:
		found.refuse("first_comment", "not_supported", "a video made for kids takes no comments")
	case o.Privacy == "private":
		found.refuse("first_comment", "not_supported", "a private video takes no comments")
	}
	found.length("first_comment", "too_long", "characters", utf8.RuneCountInString(c.FirstComment), maxComment)
	return found
}

// CountText implements [adapters.TextCounter].
func (a *adapter) CountText(c post.Content) adapters.TextLength {
	return adapters.TextLength{Used: int64(len(description(c))), Limit: maxDescription, Unit: "bytes"}
}

// problems gathers what is wrong.
type problems []post.Problem

func (p *problems) refuse(location, code, message string) {
	*p = append(*p, post.Problem{Location: location, Code: code, Severity: post.SeverityError, Message: message})
}

func (p *problems) length(location, code, unit string, used, limit int) {
	if used <= limit {
		return
	}
	*p = append(*p, post.Problem{
		Location: location, Code: code, Severity: post.SeverityError,
		Message: fmt.Sprintf("%d %s are more than %d", used, unit, limit),
		Limit:   int64(limit), Used: int64(used), Unit: unit,
	})
}

func (p *problems) words(c post.Content) {
	if strings.TrimSpace(c.Title) == "" {
		p.refuse("title", "title_required", "a video needs a title")
	}
	p.length("title", "title_too_long", "characters", utf8.RuneCountInString(c.Title), maxTitle)
	p.length("text", "too_long", "bytes", len(description(c)), maxDescription)
	const brackets = "YouTube takes no < and > here"
	if strings.ContainsAny(c.Title, "<>") {
		p.refuse("title", "not_supported", brackets)
	}
	if strings.ContainsAny(c.Text, "<>") {
		p.refuse("text", "not_supported", brackets)
	}
	if c.Link == "" {
		return
	}
	if u, err := url.Parse(c.Link); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(c.Link, "<>") {
		p.refuse("link", "link_not_allowed", "a link is a whole address that begins with https:// or http://")
	}
}

func (p *problems) media(media []post.Media) {
	if len(media) == 0 {
		p.refuse("media", "media_required", "YouTube publishes videos only: attach one")
		return
	}
	if len(media) > 1 {
		*p = append(*p, post.Problem{
			Location: "media", Code: "media_count", Severity: post.SeverityError, Message: "YouTube takes exactly one video",
			Limit: 1, Used: int64(len(media)), Unit: "videos",
		})
	}
	for i, m := range media {
		at := fmt.Sprintf("media[%d]", i)
		switch {
		case !slices.Contains(videoTypes, m.Type):
			p.refuse(at, "media_type", "want a video as MP4 or QuickTime")
		case m.Bytes > maxVideo:
			*p = append(*p, post.Problem{
				Location: at, Code: "media_size", Severity: post.SeverityError, Message: "the video is larger than 256 GiB",
				Limit: maxVideo, Used: m.Bytes, Unit: "bytes",
			})
		case m.Bytes <= 0:
			p.refuse(at, "media_size", "the video is empty")
		}
	}
}

func (p *problems) options(c post.Content) {
	o := c.Options
	if !o.Has("made_for_kids") {
		p.refuse("options.made_for_kids", "option_required", "say whether the video is made for kids: true or false")
	}
	for _, name := range o.Names() {
		at := adapters.OptionAt(name)
		switch name {
		case "privacy":
			if s, _ := o.String(name); !slices.Contains(privacies, s) {
				p.refuse(at, "option_invalid", "want public, unlisted or private")
			}
		case "made_for_kids", "contains_synthetic_media", "notify":
			if _, ok := o.Bool(name); !ok {
				p.refuse(at, "option_invalid", "want true or false")
			}
		case "category":
			if s, ok := o.String(name); !ok || s == "" || len(s) > 4 || strings.Trim(s, "0123456789") != "" {
				p.refuse(at, "option_invalid", `want the number of a category as text, such as "22"`)
			}
		case "thumbnail":
			if s, ok := o.String(name); !ok || s == "" {
				p.refuse(at, "option_invalid", "want the id of a stored JPEG or PNG")
			}
		case "tags":
			p.tags(o)
		case "playlist":
			p.refuse(at, "not_supported", "Crier cannot put a video into a playlist yet")
		default:
			p.refuse(at, "option_unknown", "YouTube has no option of this name here")
		}
	}
}

func (p *problems) tags(o *post.Options) {
	var tags []string
	if err := o.Decode("tags", &tags); err != nil {
		p.refuse("options.tags", "option_invalid", "want a list of texts")
		return
	}
	used := max(0, len(tags)-1)
	for _, tag := range tags {
		if strings.TrimSpace(tag) == "" || strings.ContainsAny(tag, "<>,\"") {
			p.refuse("options.tags", "option_invalid", `a tag is not blank and has no <, >, comma or "`)
			return
		}
		used += utf8.RuneCountInString(tag)
		if strings.Contains(tag, " ") {
			used += 2
		}
	}
	p.length("options.tags", "option_invalid", "characters", used, maxTags)
}
