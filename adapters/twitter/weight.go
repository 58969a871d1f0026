package twitter

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// X counts text by weight, not by characters (configuration v3 of its published rules): the text is normalised to NFC,
// a URL counts 23 whatever its length, an emoji sequence counts 2, a code point of the Latin, Greek, Cyrillic, Semitic
// and neighbouring scripts and of common punctuation counts 1, and every other one counts 2.
const (
	urlWeight   = 23
	emojiWeight = 2
	wideWeight  = 2
)

const (
	maxURL   = 4096 // code points; what is longer is no URL to X
	maxLabel = 63   // bytes of a label of a domain, once encoded
	// maxEmoji is more code points than any emoji sequence that exists has (10), and keeps an endless chain of joiners
	// from counting 2.
	maxEmoji = 16
	// maxWeighed is far more than the longest post that X takes (25,000 code points). What lies behind is not looked
	// at and counts as wide.
	maxWeighed = 256 << 10
)

// Weight returns the length of text as X counts it. It never is negative, and takes time linear in len(text).
//
// It differs from X's own rules in three points: X knows the full list of top-level domains, where a bare domain
// counts as a URL here only if its ending is a country code or common, and one with http:// or https:// always does; a
// skin tone behind an emoji that has none counts as part of it; and of more than 30 combining marks in a row each 30
// add 1, because normalisation separates them.
func Weight(text string) int {
	text, excess := bounded(text)
	total := wideWeight * utf8.RuneCountInString(excess)
	done := 0
	for _, u := range findURLs(text) {
		total += weighPlain(text[done:u.start]) + urlWeight
		done = u.end
	}
	return total + weighPlain(text[done:])
}

// HasURL reports whether X would turn a part of text into a link. The deviations of [Weight] hold here too.
func HasURL(text string) bool {
	text, _ = bounded(text)
	return len(findURLs(text)) > 0
}

// Cashtags returns how many cashtags such as $ACME X sees in text.
func Cashtags(text string) int {
	text, _ = bounded(text)
	count := 0
	for i := range len(text) {
		if text[i] != '$' {
			continue
		}
		if before, size := utf8.DecodeLastRuneInString(text[:i]); size > 0 && !isSpace(before) {
			continue
		}
		tag := text[i+1:]
		letters := 0
		for letters < len(tag) && isLetter(tag[letters]) {
			letters++
		}
		const longest = 6
		if letters < 1 || letters > longest {
			continue
		}
		if after, size := utf8.DecodeRuneInString(tag[letters:]); size == 0 || isSpace(after) || isPunct(after) {
			count++
		}
	}
	return count
}

// bounded returns the normalised text to look at, and what is too far behind to be.
func bounded(text string) (head, excess string) {
	cut := len(text)
	if cut > maxWeighed {
		for cut = maxWeighed; cut > maxWeighed-utf8.UTFMax && !utf8.RuneStart(text[cut]); {
			cut--
		}
	}
	return norm.NFC.String(text[:cut]), text[cut:]
}

// weighPlain weighs text without URLs.
func weighPlain(text string) int {
	total := 0
	state := -1
	for text != "" {
		var cluster string
		cluster, text, _, state = uniseg.FirstGraphemeClusterInString(text, state)
		if n := emojiPrefix(cluster); n > 0 {
			total += emojiWeight
			cluster = cluster[n:]
		}
		for _, r := range cluster {
			total += runeWeight(r)
		}
	}
	return total
}

func runeWeight(r rune) int {
	switch {
	case r <= 0x10FF, 0x2000 <= r && r <= 0x200D, 0x2010 <= r && r <= 0x201F, 0x2032 <= r && r <= 0x2037:
		return 1
	default:
		return wideWeight
	}
}

// The code points that join or vary emoji.
const (
	zeroWidthJoiner = 0x200D
	emojiVariation  = 0xFE0F
	keycap          = 0x20E3
)

// emojiPrefix returns the length in bytes of the emoji sequence at the start of a grapheme cluster, 0 if there is none.
func emojiPrefix(cluster string) int {
	first, size := utf8.DecodeRuneInString(cluster)
	if !isPictograph(first) && !turnsEmoji(first, cluster[size:]) {
		return 0
	}
	n := 1
	for i, r := range cluster[size:] {
		if n == maxEmoji || !isEmojiPart(r) {
			return size + i
		}
		n++
	}
	return len(cluster)
}

// turnsEmoji reports whether what follows makes an emoji of a code point that is none by itself.
func turnsEmoji(first rune, rest string) bool {
	next, size := utf8.DecodeRuneInString(rest)
	switch {
	case first == '#', first == '*', '0' <= first && first <= '9':
		if next == emojiVariation {
			next, _ = utf8.DecodeRuneInString(rest[size:])
		}
		return next == keycap
	case first != '©' && first != '®' && (first < 0x203C || unicode.IsLetter(first)):
		return false
	default:
		return next == emojiVariation || next == zeroWidthJoiner || isSkinTone(next)
	}
}

func isPictograph(r rune) bool { return 0x1F000 <= r && r <= 0x1FAFF }

func isSkinTone(r rune) bool { return 0x1F3FB <= r && r <= 0x1F3FF }

func isEmojiPart(r rune) bool {
	switch {
	case r == zeroWidthJoiner, r == emojiVariation, r == keycap, isPictograph(r):
		return true
	case 0xE0020 <= r && r <= 0xE007F: // tags: the flags of England, Scotland and Wales
		return true
	default:
		return 0x2190 <= r && r <= 0x2BFF // symbols behind a joiner, such as a heart
	}
}

// span is a part of a text, in bytes.
type span struct{ start, end int }

// findURLs returns the URLs in NFC text, in order. It looks at each byte a bounded number of times.
func findURLs(text string) []span {
	if !strings.Contains(text, ".") {
		return nil
	}
	var found []span
	for pos := 0; pos < len(text); {
		r, size := utf8.DecodeRuneInString(text[pos:])
		if !isDomainRune(r) {
			pos += size
			continue
		}
		end := pos + size
		for end < len(text) {
			r, size = utf8.DecodeRuneInString(text[end:])
			if !isDomainRune(r) && !isDomainJoint(r) {
				break
			}
			end += size
		}
		urls, next := urlsInRun(text, pos, end)
		found = append(found, urls...)
		pos = next
	}
	return found
}

// urlsInRun returns the URLs whose domain lies in text[start:end], a whole run of what domains are made of, and where
// to go on.
func urlsInRun(text string, start, end int) (urls []span, next int) {
	scheme := schemeBefore(text[:start])
	before, _ := utf8.DecodeLastRuneInString(text[:start-scheme])
	if start > scheme && glues(before) {
		return nil, end
	}
	var domains []span
	switch {
	case scheme > 0:
		if d, ok := fullDomain(text, start, end); ok {
			domains = []span{d}
		}
	case start == 0 || !strings.ContainsRune("-_./", before):
		domains = bareDomains(text, start, end)
	}
	if len(domains) == 0 {
		return nil, end
	}
	last := &domains[len(domains)-1]
	last.start -= scheme
	last.end = pathEnd(text, last.end)
	next = max(end, last.end)
	for _, d := range domains {
		if utf8.RuneCountInString(text[d.start:d.end]) <= maxURL {
			urls = append(urls, d)
		}
	}
	return urls, next
}

// schemeBefore returns the length of the http:// or https:// at the end of text, 0 if there is none.
func schemeBefore(text string) int {
	for _, scheme := range []string{"https://", "http://"} {
		if n := len(scheme); len(text) >= n && strings.EqualFold(text[len(text)-n:], scheme) {
			return n
		}
	}
	return 0
}

// glues reports whether a URL cannot begin behind r.
func glues(r rune) bool {
	return isPlain(r) || strings.ContainsRune("@＠$#＃", r) || isInvalid(r)
}

// fullDomain returns the longest domain at the start of a run behind a scheme. Its ending may be any word.
func fullDomain(text string, start, end int) (span, bool) {
	var found span
	ok := false
	previous := ""
	for pos := start; pos <= end; {
		label, _, more := strings.Cut(text[pos:end], ".")
		if pos > start && !strings.Contains(previous, "_") {
			if n := wordEnding(label); n > 0 && !sticks(text[pos+n:]) {
				found, ok = span{start, pos + n}, true
			}
		}
		if !validLabel(label) || !more {
			break
		}
		previous = label
		pos += len(label) + 1
	}
	return found, ok
}

// bareDomains returns the domains without scheme in a run: X takes those made of Latin letters, wherever they begin,
// and with a known ending.
func bareDomains(text string, start, end int) []span {
	var found []span
	var best span
	chain := -1 // where the domain that is being read begins; -1: nowhere
	flush := func() {
		if best.end > 0 {
			found = append(found, best)
		}
		best = span{}
	}
	for pos := start; pos <= end; {
		label, _, more := strings.Cut(text[pos:end], ".")
		if n := asciiPrefix(label); chain >= 0 && knownEnding(label[:n]) && !sticks(text[pos+n:]) {
			best = span{chain, pos + n}
		}
		// A label goes on with the domain if all of it is Latin, and begins another with what is Latin at its end.
		latin := latinSuffix(label)
		switch {
		case !validLabel(label[len(label)-latin:]), strings.HasSuffix(label[:len(label)-latin], "_"):
			flush()
			chain = -1
		case latin < len(label):
			flush()
			chain = pos + len(label) - latin
		case chain < 0:
			chain = pos
		}
		if !more {
			break
		}
		pos += len(label) + 1
	}
	flush()
	return found
}

// wordEnding returns the length of a word at the start of a label that may be a top-level domain: Latin letters with
// another script behind them, a whole label of letters, or an encoded one; 0 if there is none.
func wordEnding(label string) int {
	n := asciiPrefix(label)
	switch {
	case n == 0:
		for _, r := range label {
			if !unicode.IsLetter(r) && !unicode.IsMark(r) {
				return 0
			}
		}
		if utf8.RuneCountInString(label) < 2 || !validLabel(label) {
			return 0
		}
		return len(label)
	case n < 2, !validLabel(label[:n]):
		return 0
	case strings.HasPrefix(strings.ToLower(label[:n]), "xn--"):
		return n
	}
	for i := range n {
		if !isLetter(label[i]) {
			return 0
		}
	}
	return n
}

// sticks reports whether what follows a word shows that it is no top-level domain, as in the front part of an address
// of mail.
func sticks(rest string) bool {
	return rest != "" && (isLetter(rest[0]) || isDigit(rest[0]) || strings.IndexByte("@+-", rest[0]) >= 0)
}

// validLabel reports whether a label is neither empty nor too long and begins and ends well.
func validLabel(label string) bool {
	if label == "" || strings.Trim(label, "-_") != label {
		return false
	}
	if len(label) <= maxLabel && asciiPrefix(label) == len(label) {
		return true
	}
	// Encoding takes quadratic time, and a byte at least for each code point.
	if utf8.RuneCountInString(label) > maxLabel {
		return false
	}
	encoded, err := idna.Punycode.ToASCII(label)
	return err == nil && len(encoded) <= maxLabel
}

// asciiPrefix returns the length of the Latin letters, digits and hyphens without accents at the start of a label.
func asciiPrefix(label string) int {
	n := 0
	for n < len(label) && (isLetter(label[n]) || isDigit(label[n]) || label[n] == '-') {
		n++
	}
	return n
}

// latinSuffix returns the length in bytes of the Latin letters, digits and hyphens at the end of a label.
func latinSuffix(label string) int {
	n := 0
	for n < len(label) {
		r, size := utf8.DecodeLastRuneInString(label[:len(label)-n])
		if !isPlain(r) && r != '-' && !isAccented(r) {
			break
		}
		n += size
	}
	return n
}

// pathEnd returns where the URL whose domain ends at pos ends: behind port, path and query.
func pathEnd(text string, pos int) int {
	if pos < len(text) && text[pos] == ':' {
		port := pos + 1
		for port < len(text) && isDigit(text[port]) {
			port++
		}
		if port > pos+1 {
			pos = port
		}
	}
	end := pos
	if pos < len(text) && text[pos] == '/' {
		end = pos + 1
		for pos = end; pos < len(text); {
			r, size := utf8.DecodeRuneInString(text[pos:])
			switch {
			case r == '(':
				if size = parentheses(text[pos:], 2); size > 0 {
					end = pos + size
				}
			case !isPathRune(r):
				size = 0
			case !strings.ContainsRune("!*';:,.$%[]–~@|&", r):
				end = pos + size
			}
			if size == 0 {
				break
			}
			pos += size
		}
	}
	return queryEnd(text, end)
}

// queryEnd returns where the query that begins at pos ends, pos if there is none.
func queryEnd(text string, pos int) int {
	if pos >= len(text) || text[pos] != '?' {
		return pos
	}
	end := pos
	for i := pos + 1; i < len(text); i++ {
		switch b := text[i]; {
		case isLetter(b), isDigit(b), strings.IndexByte("-_&=#/", b) >= 0:
			end = i + 1
		case strings.IndexByte("!?*'@();:+$%[].,~|", b) < 0:
			return end
		}
	}
	return end
}

// parentheses returns the length of a part of a path in parentheses, with at most depth of them inside each other, and
// 0 if text begins with none.
func parentheses(text string, depth int) int {
	if depth == 0 {
		return 0
	}
	pos := 1
	for pos < len(text) {
		r, size := utf8.DecodeRuneInString(text[pos:])
		switch {
		case r == ')' && pos > 1:
			return pos + size
		case r == '(':
			if size = parentheses(text[pos:], depth-1); size == 0 {
				return 0
			}
		case !isPathRune(r):
			return 0
		}
		pos += size
	}
	return 0
}

func isPathRune(r rune) bool {
	return isPlain(r) || strings.ContainsRune("!*';:=+,.$/%#[]-–_~@|&", r) || 0x400 <= r && r <= 0x4FF || isAccented(r)
}

// isDomainRune reports whether a label may begin with r.
func isDomainRune(r rune) bool {
	return r != utf8.RuneError && !isPunct(r) && !isSpace(r) && !isInvalid(r) && !isDirection(r)
}

func isDomainJoint(r rune) bool { return r == '.' || r == '-' || r == '_' }

func isLetter[C byte | rune](c C) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit[C byte | rune](c C) bool { return '0' <= c && c <= '9' }

// isPlain reports whether r is a Latin letter without accent or a digit.
func isPlain(r rune) bool { return isLetter(r) || isDigit(r) }

// isAccented reports whether r is a Latin letter beyond ASCII or an accent.
func isAccented(r rune) bool {
	return 0xC0 <= r && r <= 0x1EFF && (unicode.Is(unicode.Latin, r) || 0x300 <= r && r <= 0x36F)
}

func isPunct(r rune) bool { return strings.ContainsRune(`!'#%&()*+,\-./:;<=>?@[]^_{|}~$`, r) }

func isSpace(r rune) bool { return unicode.IsSpace(r) || r == 0x180E }

func isInvalid(r rune) bool { return r == 0xFFFE || r == 0xFEFF || r == 0xFFFF }

// isDirection reports whether r steers the direction of writing.
func isDirection(r rune) bool {
	return r == 0x061C || r == 0x200E || r == 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}

// knownEnding reports whether a bare domain with this ending counts as a URL.
func knownEnding(label string) bool {
	if len(label) < 2 || len(label) > len(" international ") {
		return false
	}
	return strings.Contains(endings, " "+strings.ToLower(label)+" ")
}

// endings are the country codes and the generic top-level domains that people write without a scheme. X knows some
// 1,500, but each that is missing here costs no more than a refusal of a post that is too long by a few characters.
const endings = " ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz " +
	"ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr " +
	"ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp " +
	"ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu " +
	"mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa " +
	"sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug " +
	"uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw " +
	"com net org edu gov mil int info biz name pro mobi asia cat coop jobs museum post tel travel aero arpa xxx " +
	"academy africa agency amsterdam app art audio band bank bar bayern beauty beer berlin bike blog business cafe capital " +
	"care center charity chat city click clothing cloud club coach codes coffee community company computer consulting " +
	"cool dance data date deals dev digital directory earth education email energy engineering events exchange expert " +
	"express farm fashion film finance fit fitness foo food football foundation fun fund games gallery gift global gmbh " +
	"golf google graphics green group guide guru hamburg health help holiday host hotel house icu inc ink international " +
	"investments koeln kitchen land law lgbt life link live llc lol london ltd market marketing media money mov movie " +
	"music network new news nyc one online page paris partners party photo photos pizza plus press productions pub radio " +
	"recipes red report restaurant rocks run sale school science services shoes shop show site soccer social software " +
	"solutions space store stream studio style support surf systems team tech technology tickets tips today tokyo tools " +
	"top tours town training university ventures video vip vision wiki win wine work works world wtf xyz yoga zip zone "
