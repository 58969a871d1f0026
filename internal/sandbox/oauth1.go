package sandbox

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is what OAuth 1.0a prescribes
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// oauthSkew is how far a signature's timestamp may be from the platform's clock.
const oauthSkew = 5 * time.Minute

// oauthFlaw says what is wrong with an OAuth 1.0a signature.
type oauthFlaw int

const (
	oauthFine   oauthFlaw = iota
	oauthBad              // no header, malformed, wrong signature, used nonce
	oauthToken            // the token is nobody's
	oauthClock            // timestamp out of bounds
	oauthNoForm           // the body can not be read as the form that it says it is
)

// oauthVerifier checks OAuth 1.0a HMAC-SHA1 signatures (RFC 5849 section 3.2) against the identities that exist.
type oauthVerifier struct {
	people []Identity
	// bases are the addresses, each with scheme and host, that clients may have signed apart from the one they used.
	bases func(r *http.Request) []string

	mu     sync.Mutex
	nonces map[string]time.Time // by token, timestamp and nonce
	swept  time.Time
}

// byToken returns the identity whose access token this is.
func (v *oauthVerifier) byToken(token string) (Identity, bool) {
	for _, i := range v.people {
		if token != "" && i.Credentials["access_token"] == token {
			return i, true
		}
	}
	return Identity{}, false
}

// verify returns whose signature the request bears.
func (v *oauthVerifier) verify(r *http.Request) (Identity, oauthFlaw) {
	auth, ok := parseOAuth(r.Header.Get("Authorization"))
	if !ok || auth["oauth_signature_method"] != "HMAC-SHA1" || auth["oauth_nonce"] == "" {
		return Identity{}, oauthBad
	}
	if version, stated := auth["oauth_version"]; stated && version != "1.0" {
		return Identity{}, oauthBad
	}
	who, ok := v.byToken(auth["oauth_token"])
	if !ok {
		return Identity{}, oauthToken
	}
	if who.Credentials["consumer_key"] != auth["oauth_consumer_key"] {
		return Identity{}, oauthBad
	}
	seconds, err := strconv.ParseInt(auth["oauth_timestamp"], 10, 64)
	if err != nil {
		return Identity{}, oauthBad
	}
	now := originalOf(r).at
	if d := now.Sub(time.Unix(seconds, 0)); d > oauthSkew || d < -oauthSkew {
		return Identity{}, oauthClock
	}
	params, ok := signedParams(r, auth)
	if !ok {
		return Identity{}, oauthNoForm
	}
	sent, err := base64.StdEncoding.DecodeString(auth["oauth_signature"])
	if err != nil {
		return Identity{}, oauthBad
	}
	key := percentEncode(who.Credentials["consumer_secret"]) + "&" + percentEncode(who.Credentials["access_secret"])
	if !slices.ContainsFunc(v.bases(r), func(address string) bool {
		return hmac.Equal(sent, oauthSignature(key, r.Method, address, params))
	}) {
		return Identity{}, oauthBad
	}
	if !v.fresh(auth["oauth_token"]+" "+auth["oauth_timestamp"]+" "+auth["oauth_nonce"], now) {
		return Identity{}, oauthBad
	}
	return who, oauthFine
}

// fresh remembers a nonce and reports whether it is new. Nonces whose timestamps would be refused anyway are dropped.
func (v *oauthVerifier) fresh(nonce string, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Sub(v.swept) > oauthSkew {
		for n, at := range v.nonces {
			if now.Sub(at) > 2*oauthSkew {
				delete(v.nonces, n)
			}
		}
		v.swept = now
	}
	if _, used := v.nonces[nonce]; used {
		return false
	}
	v.nonces[nonce] = now
	return true
}

// parseOAuth reads an Authorization header of the OAuth scheme. A parameter that occurs twice spoils it.
func parseOAuth(header string) (map[string]string, bool) {
	scheme, list, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "OAuth") {
		return nil, false
	}
	out := make(map[string]string)
	for pair := range strings.SplitSeq(list, ",") {
		k, quoted, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
			return nil, false
		}
		k, err := url.PathUnescape(k)
		if err != nil {
			return nil, false
		}
		value, err := url.PathUnescape(quoted[1 : len(quoted)-1])
		if err != nil {
			return nil, false
		}
		if _, twice := out[k]; twice {
			return nil, false
		}
		out[k] = value
	}
	return out, true
}

// signedParams gathers what RFC 5849 section 3.4.1.3.1 signs: query, single-part form body and the header's own.
func signedParams(r *http.Request, auth map[string]string) ([][2]string, bool) {
	var out [][2]string
	add := func(values url.Values) {
		for k, list := range values {
			for _, v := range list {
				out = append(out, [2]string{percentEncode(k), percentEncode(v)})
			}
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, false
	}
	add(query)
	if isForm(r) {
		raw, err := bodyOf(r)
		if err != nil {
			return nil, false
		}
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, false
		}
		add(form)
	}
	for k, v := range auth {
		if k != "oauth_signature" && k != "realm" {
			out = append(out, [2]string{percentEncode(k), percentEncode(v)})
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	return out, true
}

func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// oauthSignature is the HMAC-SHA1 of the base string over an address without query.
func oauthSignature(key, method, address string, params [][2]string) []byte {
	pairs := make([]string, len(params))
	for i, p := range params {
		pairs[i] = p[0] + "=" + p[1]
	}
	base := strings.ToUpper(method) + "&" + percentEncode(address) + "&" + percentEncode(strings.Join(pairs, "&"))
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(base))
	return mac.Sum(nil)
}

// percentEncode is the strict encoding of RFC 5849 section 3.6.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		}
	}
	return b.String()
}
