package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	xMaxWeight = 280
	// xURLWeight is what any address counts: the length of a t.co link.
	xURLWeight = 23
)

// xURL finds what X turns into a link: an address with a scheme, or a bare host under a well-known domain.
var xURL = regexp.MustCompile(`(?i)(?:https?://(?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]*[\p{L}\p{N}])?\.)+\p{L}{2,}(?::\d+)?` +
	`|(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\.)+(?:com|org|net|edu|gov|int|mil|info|biz|name|app|dev|blog|shop|news|social|online|site|tech|xyz|io|co|ai|me|tv|eu|us|uk|de|fr|nl|ch|at|it|es|pl|se|no|dk|fi|be|cz|jp|cn|kr|in|au|ca|br|ru))` +
	`(?:[/?#][^\s<>"'|\\^{}]*)?`)

// xCashtag finds stock symbols such as $ABC.
var xCashtag = regexp.MustCompile(`(?:^|[^\w$])\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?:$|[^\w])`)

// xLink is one address in a text, in byte offsets.
type xLink struct{ start, end int }

// xLinks lists the addresses in a text.
func xLinks(text string) []xLink {
	var out []xLink
	for _, m := range xURL.FindAllStringIndex(text, -1) {
		start, end := m[0], m[1]
		if before, _ := utf8.DecodeLastRuneInString(text[:start]); start > 0 &&
			(unicode.IsLetter(before) || unicode.IsDigit(before) || strings.ContainsRune("@$#_-./", before)) {
			continue
		}
		hasPath := strings.ContainsAny(strings.TrimPrefix(strings.TrimPrefix(text[start:end], "https://"), "http://"), "/?#")
		if next, _ := utf8.DecodeRuneInString(text[end:]); !hasPath && (unicode.IsLetter(next) && next < unicode.MaxLatin1 || unicode.IsDigit(next) || next == '@' || next == '_') {
			continue
		}
		for end > start && strings.IndexByte(".,:;!?'\"", text[end-1]) >= 0 {
			end--
		}
		for end > start && text[end-1] == ')' && strings.Count(text[start:end], ")") > strings.Count(text[start:end], "(") {
			end--
		}
		out = append(out, xLink{start, end})
	}
	return out
}

// xWeight is the length of a text as X counts it: 23 for an address, 2 for an emoji sequence, 1 for a character of
// most alphabets, 2 for any other.
func xWeight(text string) int {
	text = norm.NFC.String(text)
	weight, at := 0, 0
	for _, l := range xLinks(text) {
		weight += xPlainWeight(text[at:l.start]) + xURLWeight
		at = l.end
	}
	return weight + xPlainWeight(text[at:])
}

func xPlainWeight(s string) int {
	runes := []rune(s)
	weight := 0
	for i := 0; i < len(runes); {
		if n := emojiLen(runes[i:]); n > 0 {
			weight += 2
			i += n
			continue
		}
		r := runes[i]
		if r <= 0x10FF || r >= 0x2000 && r <= 0x200D || r >= 0x2010 && r <= 0x201F || r >= 0x2032 && r <= 0x2037 {
			weight++
		} else {
			weight += 2
		}
		i++
	}
	return weight
}

// emojiLen is how many runes the emoji sequence at the start has; 0 when there is none.
func emojiLen(r []rune) int {
	const (
		joiner, textStyle, emojiStyle, keycap = 0x200D, 0xFE0E, 0xFE0F, 0x20E3
	)
	flag := func(c rune) bool { return c >= 0x1F1E6 && c <= 0x1F1FF }
	skin := func(c rune) bool { return c >= 0x1F3FB && c <= 0x1F3FF }
	if r[0] < 0x80 && (unicode.IsDigit(r[0]) || r[0] == '#' || r[0] == '*') {
		switch {
		case len(r) > 1 && r[1] == keycap:
			return 2
		case len(r) > 2 && r[1] == emojiStyle && r[2] == keycap:
			return 3
		}
		return 0
	}
	if flag(r[0]) {
		if len(r) > 1 && flag(r[1]) {
			return 2
		}
		return 0
	}
	pictograph := func(i int) bool {
		if i >= len(r) {
			return false
		}
		c := r[i]
		return c >= 0x1F000 && c <= 0x1FAFF || c >= 0x2600 && c <= 0x27BF || c >= 0x2B05 && c <= 0x2B55 ||
			c >= 0x231A && c <= 0x23FF || c >= 0x203C && i+1 < len(r) && r[i+1] == emojiStyle
	}
	if !pictograph(0) || len(r) > 1 && r[1] == textStyle {
		return 0
	}
	n := 1
	for n < len(r) {
		switch {
		case r[n] == emojiStyle, skin(r[n]), r[n] == keycap, r[n] >= 0xE0020 && r[n] <= 0xE007F:
			n++
		case r[n] == joiner && (pictograph(n+1) || n+1 < len(r) && (r[n+1] == 0x2640 || r[n+1] == 0x2642)):
			n += 2
		default:
			return n
		}
	}
	return n
}

// xCashtags counts the stock symbols in a text.
func xCashtags(text string) int {
	count := 0
	for len(text) > 0 {
		m := xCashtag.FindStringIndex(text)
		if m == nil {
			return count
		}
		count++
		// The closing character may open the next symbol.
		next := max(m[1]-1, m[0]+1)
		for next > 0 && next < len(text) && !utf8.RuneStart(text[next]) {
			next--
		}
		text = text[next:]
	}
	return count
}

// xInvalid reports whether the text has a character that X refuses.
func xInvalid(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsAny(text, "\uFFFE\uFEFF\uFFFF")
}

// xEntity is one shortened link in a shown text; start and end count code points.
type xEntity struct {
	Start       int    `json:"start"`
	End         int    `json:"end"`
	URL         string `json:"url"`
	ExpandedURL string `json:"expanded_url"`
	DisplayURL  string `json:"display_url"`
	MediaKey    string `json:"media_key,omitempty"`
}

// xShown is a text as timelines show it: HTML-escaped, with every address replaced by a t.co link, and with one
// more such link when media hang on it.
func xShown(id, text, permalink string, mediaKeys []string) (string, []xEntity) {
	var b strings.Builder
	var entities []xEntity
	at := 0
	for _, l := range xLinks(text) {
		b.WriteString(xEscape(text[at:l.start]))
		long := text[l.start:l.end]
		bare := strings.TrimPrefix(strings.TrimPrefix(long, "https://"), "http://")
		if bare == long {
			long = "http://" + long
		}
		entities = append(entities, appendLink(&b, tco(id+text[l.start:l.end]), long, bare))
		at = l.end
	}
	b.WriteString(xEscape(text[at:]))
	if len(mediaKeys) > 0 {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		e := appendLink(&b, tco(id+" media"), permalink+"/photo/1", "pic.x.com")
		e.MediaKey = mediaKeys[0]
		entities = append(entities, e)
	}
	return b.String(), entities
}

func appendLink(b *strings.Builder, short, long, display string) xEntity {
	start := utf8.RuneCountInString(b.String())
	b.WriteString(short)
	return xEntity{Start: start, End: start + utf8.RuneCountInString(short), URL: short, ExpandedURL: long, DisplayURL: display}
}

func xEscape(s string) string {
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(html.EscapeString(s))
}

func tco(of string) string {
	sum := sha256.Sum256([]byte(of))
	return "https://t.co/" + strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(sum[:])[:10])
}
