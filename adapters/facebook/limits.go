package facebook

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"crier/adapters"
	"crier/internal/post"
)

// What a Page post may hold.
const (
	// maxMessage is in characters. Two public code bases use it; no page of Meta's names it.
	maxMessage = 63_206
	// maxComment is in characters, from Meta's help pages for people; the API's reference names none.
	maxComment = 8_000
	// maxPhotos is what brightbean-studio#89 met; no page of Meta's names it.
	maxPhotos = 10
	// maxPhotoBytes is what developers.facebook.com/docs/graph-api/reference/page/photos recommends to stay below.
	maxPhotoBytes = 10 << 20
	// warnPhotoBytes is what the text of error 1366046 speaks of.
	warnPhotoBytes = 4 << 20
)

// photoTypes is from developers.facebook.com/docs/graph-api/reference/page/photos.
var photoTypes = []string{"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"}

func capabilities(post.Account) adapters.Capabilities {
	return adapters.Capabilities{
		Platform: post.Facebook,
		Fields: map[string]adapters.FieldLimit{
			"text":          {Support: "optional", Max: maxMessage, Unit: "characters", Means: "the message; needed without link and photos"},
			"title":         {Support: "not_supported"},
			"link":          {Support: "optional", Means: "shown as a preview; beside photos it stands under the text"},
			"media":         {Support: "optional", Max: maxPhotos, Unit: "photos"},
			"thread":        {Support: "not_supported"},
			"first_comment": {Support: "optional", Max: maxComment, Unit: "characters", Means: "a comment under the post"},
		},
		Media: adapters.MediaLimits{Types: slices.Clone(photoTypes), MaxCount: maxPhotos, MaxBytes: maxPhotoBytes, AltText: true},
		Options: []adapters.OptionInfo{
			{Name: "type", Type: "string", Values: []string{"post"}, Means: "what it becomes on the Page"},
		},
		Notes: []string{
			"Videos, Reels and stories are not published yet.",
			"The app must be in Live mode: in development mode only people with a role on the app see the posts.",
		},
	}
}

// Check implements [adapters.Adapter].
func (a *adapter) Check(c post.Content) []post.Problem {
	var found problems
	if c.Title != "" {
		found.refuse("title", "not_supported", "a Page post has no title")
	}
	if len(c.Thread) > 0 {
		found.refuse("thread", "not_supported", "a Page post cannot be continued as a thread")
	}
	text, _ := words(c)
	if strings.TrimSpace(text) == "" && c.Link == "" && len(c.Media) == 0 {
		found.refuse("text", "empty", "a Page post needs a text, a link or photos")
	}
	found.length("text", text, maxMessage)
	found.length("first_comment", c.FirstComment, maxComment)
	if c.FirstComment != "" && strings.TrimSpace(c.FirstComment) == "" {
		found.refuse("first_comment", "empty", "the first comment is blank")
	}
	found.link(c)
	found.media(c.Media)
	found.options(c.Options)
	return found
}

// CountText implements [adapters.TextCounter].
func (a *adapter) CountText(c post.Content) adapters.TextLength {
	text, _ := words(c)
	return adapters.TextLength{Used: int64(utf8.RuneCountInString(text)), Limit: maxMessage, Unit: "characters"}
}

// problems gathers what is wrong.
type problems []post.Problem

func (p *problems) refuse(location, code, message string) {
	*p = append(*p, post.Problem{Location: location, Code: code, Severity: post.SeverityError, Message: message})
}

func (p *problems) warn(location, code, message string) {
	*p = append(*p, post.Problem{Location: location, Code: code, Severity: post.SeverityWarning, Message: message})
}

func (p *problems) length(location, text string, limit int) {
	used := utf8.RuneCountInString(text)
	if used <= limit {
		return
	}
	*p = append(*p, post.Problem{
		Location: location, Code: "too_long", Severity: post.SeverityError,
		Message: fmt.Sprintf("%d characters are more than %d", used, limit),
		Limit:   int64(limit), Used: int64(used), Unit: "characters",
	})
}

func (p *problems) link(c post.Content) {
	if c.Link == "" {
		return
	}
	if u, err := url.Parse(c.Link); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		p.refuse("link", "link_not_allowed", "a link is a whole address that begins with https:// or http://")
		return
	}
	if len(c.Media) > 0 {
		p.warn("link", "link_not_allowed", "a Page post shows photos or the preview of a link: the link will stand under the text")
	}
}

func (p *problems) media(media []post.Media) {
	videos := 0
	for i, m := range media {
		at := fmt.Sprintf("media[%d]", i)
		switch {
		case strings.HasPrefix(m.Type, "video/"):
			videos++
			p.refuse(at, "media_type", "Crier does not publish videos to a Page yet")
			continue
		case !slices.Contains(photoTypes, m.Type):
			p.refuse(at, "media_type", "a Page takes photos as JPEG, PNG, GIF, BMP or TIFF")
			continue
		}
		switch {
		case m.Bytes > maxPhotoBytes:
			*p = append(*p, post.Problem{
				Location: at, Code: "media_size", Severity: post.SeverityError, Message: "the photo is larger than 10 MiB",
				Limit: maxPhotoBytes, Used: m.Bytes, Unit: "bytes",
			})
		case m.Bytes > warnPhotoBytes:
			p.warn(at, "media_size", "Facebook sometimes refuses photos above 4 MiB")
		}
		if m.Alt == "" {
			p.warn(at, "alt_text_missing", "people who cannot see the photo are told nothing")
		}
	}
	if videos > 0 && videos < len(media) {
		p.refuse("media", "mixed_media", "a Page post holds photos or a video, not both")
	}
	if len(media) > maxPhotos {
		*p = append(*p, post.Problem{
			Location: "media", Code: "media_count", Severity: post.SeverityError, Message: "a Page post takes at most 10 photos",
			Limit: maxPhotos, Used: int64(len(media)), Unit: "photos",
		})
	}
}

func (p *problems) options(o *post.Options) {
	for _, name := range o.Names() {
		if name != "type" {
			p.refuse(adapters.OptionAt(name), "option_unknown", "Facebook has no option of this name: want type")
			continue
		}
		switch kind, _ := o.String(name); kind {
		case "post":
		case "reel", "story":
			p.refuse("options.type", "option_invalid", "Crier does not publish Reels and stories yet: want post")
		default:
			p.refuse("options.type", "option_invalid", "want post")
		}
	}
}
