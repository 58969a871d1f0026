package sandbox

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	redditTokenLife = 24 * time.Hour
	redditWindow    = 10 * time.Minute
	redditQueries   = 1000 // in each window and client
)

// Subreddit is one place on Reddit and what it demands.
type Subreddit struct {
	Name          string
	Bans          bool // every submission is refused
	NoSelf        bool // links only
	NoLinks       bool // text only
	NoImages      bool
	FlairRequired bool
	Flairs        map[string]string // template id to text
	TitleMin      int
	Blacklist     []string // words that titles must not contain
}

// defaultSubreddits is the world of a sandbox that is told of none.
func defaultSubreddits() []Subreddit {
	return []Subreddit{
		{Name: "test"},
		{Name: "crier"},
		{Name: "golang"},
		{Name: "selfhosted", Blacklist: []string{"giveaway"}, TitleMin: 5},
		{Name: "linksonly", NoSelf: true, NoImages: true},
		{Name: "textonly", NoLinks: true, NoImages: true},
		{Name: "flaired", FlairRequired: true, Flairs: map[string]string{
			"11111111-1111-1111-1111-111111111111": "News", "22222222-2222-2222-2222-222222222222": "Discussion",
		}},
		{Name: "membersonly", Bans: true},
	}
}

// redditPlatform is Reddit: token endpoint, API, upload host and pages.
//
// An identity's credential "submit_every", a duration, makes a second submission within it fail with RATELIMIT.
type redditPlatform struct {
	s      *Sandbox
	people []Identity
	subs   []Subreddit
	limit  *limiter
	mux    *http.ServeMux

	mu      sync.Mutex // guards what follows, and makes the checks of a submission and the act one step
	tokens  map[string]redditToken
	refresh map[string]string // current refresh token by identity ID
	leases  map[string]*redditLease
	lastID  int64
}

type redditToken struct {
	owner   Identity
	expires time.Time
}

func newReddit(s *Sandbox) *redditPlatform {
	p := &redditPlatform{
		s: s, people: s.identities("reddit"), subs: s.subs, limit: newLimiter(redditWindow), mux: http.NewServeMux(),
		tokens: make(map[string]redditToken), refresh: make(map[string]string), leases: make(map[string]*redditLease),
		lastID: 1_000_000_000,
	}
	for _, i := range p.people {
		p.refresh[i.ID] = i.Credentials["refresh_token"]
	}
	for _, n := range s.notes("reddit") {
		switch kind, key, _ := strings.Cut(n.key, " "); kind {
		case "refresh":
			p.refresh[n.identity] = n.raw["token"]
		case "lease":
			p.leases[key] = &redditLease{key: key, owner: n.identity, kind: n.raw["kind"], sum: n.raw["sum"]}
		}
	}
	for _, a := range s.record.list(func(a Act, _ time.Time) bool { return a.Platform == "reddit" && a.Kind != noteKind }) {
		if _, short, ok := strings.Cut(a.RemoteID, "_"); ok {
			if id, err := strconv.ParseInt(short, 36, 64); err == nil {
				p.lastID = max(p.lastID, id)
			}
		}
	}
	p.mux.HandleFunc("POST /api/v1/access_token", p.token)
	p.mux.HandleFunc("POST /media-upload", p.upload)
	p.route("GET /api/v1/me", p.me)
	p.route("POST /api/submit", p.submit)
	p.route("POST /api/comment", p.comment)
	p.route("POST /api/editusertext", p.edit)
	p.route("POST /api/del", p.remove)
	p.route("POST /api/media/asset", p.lease)
	p.route("GET /api/info", p.info)
	p.route("GET /api/v1/{sub}/post_requirements", p.requirements)
	p.route("GET /r/{sub}/about", p.about)
	p.route("GET /r/{sub}/about/rules", p.rules)
	p.route("GET /r/{sub}/api/link_flair_v2", p.flairs)
	p.route("GET /user/{name}/submitted", p.submitted)
	p.route("GET /user/{name}/comments", p.commented)
	p.route("GET /comments/{id}", p.thread)
	p.mux.HandleFunc("GET /r/{sub}/comments/{id}/{rest...}", p.page)
	return p
}

func (p *redditPlatform) name() string { return "reddit" }

// ServeHTTP drops what Reddit's paths may carry at their end: a slash, .json.
func (p *redditPlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = redditPath(r)
	if browser := r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/comments/") && r.Header.Get("Authorization") == ""; !browser &&
		robot(r.UserAgent()) {
		p.refuse(w, http.StatusTooManyRequests, "Too Many Requests")
		return
	}
	p.mux.ServeHTTP(w, r)
}

func redditPath(r *http.Request) string {
	return strings.TrimSuffix(strings.TrimRight(r.URL.Path, "/"), ".json")
}

// robot reports whether a user agent is the default of some library, which Reddit throttles.
func robot(agent string) bool {
	agent = strings.ToLower(agent)
	return agent == "" || slices.ContainsFunc([]string{"go-http-client", "python-requests", "python-urllib", "curl/", "java/", "okhttp"},
		func(s string) bool { return strings.HasPrefix(agent, s) })
}

func (p *redditPlatform) commits(r *http.Request) bool {
	path := redditPath(r)
	return r.Method == http.MethodPost && (path == "/api/submit" || path == "/api/comment")
}

func (p *redditPlatform) identify(r *http.Request) string {
	if who, ok := p.bearer(r); ok {
		return who.ID
	}
	if redditPath(r) != "/api/v1/access_token" {
		return ""
	}
	raw, err := bodyOf(r)
	if err != nil {
		return ""
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, token := range p.refresh {
		if token == form.Get("refresh_token") {
			return id
		}
	}
	return ""
}

func (p *redditPlatform) throttled(w http.ResponseWriter, reset time.Time) {
	p.rateHeaders(w.Header(), 0, reset)
	w.Header().Set("Retry-After", strconv.Itoa(seconds(reset.Sub(p.s.now()))))
	p.refuse(w, http.StatusTooManyRequests, "Too Many Requests")
}

// exhausted uses the integer form of old answers, on which one client library trips.
func (p *redditPlatform) exhausted(h http.Header, reset time.Time) {
	h.Set("X-Ratelimit-Used", strconv.Itoa(redditQueries))
	h.Set("X-Ratelimit-Remaining", "0")
	h.Set("X-Ratelimit-Reset", strconv.Itoa(seconds(reset.Sub(p.s.now()))))
}

func (p *redditPlatform) rateHeaders(h http.Header, remaining int, reset time.Time) {
	remaining = max(remaining, 0)
	h.Set("X-Ratelimit-Used", strconv.Itoa(redditQueries-remaining))
	h.Set("X-Ratelimit-Remaining", fmt.Sprintf("%.1f", float64(remaining)))
	h.Set("X-Ratelimit-Reset", strconv.Itoa(seconds(reset.Sub(p.s.now()))))
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((max(d, 0) + time.Second - 1) / time.Second) }

func (p *redditPlatform) refuse(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"message": message, "error": status})
}

func (p *redditPlatform) failed(w http.ResponseWriter, err error) {
	p.s.log.Error("sandbox failed", "platform", "reddit", "error", err)
	p.refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
}

// bearer returns whose access token the request bears, if it is still good.
func (p *redditPlatform) bearer(r *http.Request) (Identity, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.tokens[token]
	return t.owner, ok && strings.EqualFold(scheme, "bearer") && p.s.now().Before(t.expires)
}

// route adds an API call: token and rate limit come first.
func (p *redditPlatform) route(pattern string, handle func(http.ResponseWriter, *http.Request, Identity)) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, ok := p.bearer(r)
		if !ok {
			p.refuse(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		remaining, reset := p.limit.take(who.Credentials["client_id"], "", redditQueries, p.s.now())
		if remaining < 0 && !p.s.unlimited {
			p.throttled(w, reset)
			return
		}
		p.rateHeaders(w.Header(), remaining, reset)
		handle(w, r, who)
	})
}

// token is POST /api/v1/access_token with a refresh token.
func (p *redditPlatform) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	ok = ok && slices.ContainsFunc(p.people, func(i Identity) bool {
		return i.Credentials["client_id"] == id && i.Credentials["client_secret"] == secret
	})
	if !ok {
		p.refuse(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	form, ok := formOf(r)
	if !ok || form.Get("grant_type") != "refresh_token" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.people, func(i Identity) bool {
		return form.Get("refresh_token") != "" && p.refresh[i.ID] == form.Get("refresh_token") && i.Credentials["client_id"] == id
	})
	if i < 0 {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	who := p.people[i]
	now := p.s.now()
	for t, old := range p.tokens {
		if !now.Before(old.expires) {
			delete(p.tokens, t)
		}
	}
	out := map[string]any{
		"access_token": "sandbox-" + rand.Text(), "token_type": "bearer", "expires_in": int(redditTokenLife.Seconds()),
		"scope": "identity read submit edit history flair",
	}
	if who.Credentials["rotate"] == "true" {
		next := "refresh-" + rand.Text()
		if err := p.s.remember("reddit", who.ID, "refresh "+who.ID, map[string]string{"token": next}); err != nil {
			p.failed(w, err)
			return
		}
		p.refresh[who.ID] = next
		out["refresh_token"] = next
	}
	token, _ := out["access_token"].(string)
	p.tokens[token] = redditToken{who, now.Add(redditTokenLife)}
	writeJSON(w, http.StatusOK, out)
}

// ExpireTokens makes Reddit and YouTube forget every access token, as when an operator of the platform revokes them in
// mid-life.
func (s *Sandbox) ExpireTokens() {
	s.mu.Lock()
	reddit, isReddit := s.platforms["reddit"].(*redditPlatform)
	youtube, isYouTube := s.platforms["youtube"].(*youtubePlatform)
	s.mu.Unlock()
	if isReddit {
		reddit.mu.Lock()
		clear(reddit.tokens)
		reddit.mu.Unlock()
	}
	if isYouTube {
		youtube.mu.Lock()
		clear(youtube.tokens)
		youtube.mu.Unlock()
	}
}

// formOf reads a form body; query parameters come after it.
func formOf(r *http.Request) (url.Values, bool) {
	raw, err := bodyOf(r)
	if err != nil || !isForm(r) {
		return nil, false
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, false
	}
	for k, v := range r.URL.Query() {
		form[k] = append(form[k], v...)
	}
	return form, true
}

func (p *redditPlatform) me(w http.ResponseWriter, _ *http.Request, who Identity) {
	writeJSON(w, http.StatusOK, map[string]any{
		"id": strings.TrimPrefix(who.ID, "t2_"), "name": who.Name, "is_suspended": false, "verified": true, "has_verified_email": true,
	})
}

// sub returns the subreddit of a name, with or without r/; u_NAME is a user's own profile.
func (p *redditPlatform) sub(name string, who Identity) (Subreddit, bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "/"), "r/")
	if strings.EqualFold(name, "u_"+who.Name) {
		return Subreddit{Name: "u_" + who.Name}, true
	}
	i := slices.IndexFunc(p.subs, func(s Subreddit) bool { return strings.EqualFold(s.Name, name) })
	if i < 0 {
		return Subreddit{}, false
	}
	return p.subs[i], true
}

// named returns the subreddit of the path, or answers 404.
func (p *redditPlatform) named(w http.ResponseWriter, r *http.Request, who Identity) (Subreddit, bool) {
	s, ok := p.sub(r.PathValue("sub"), who)
	if !ok {
		p.refuse(w, http.StatusNotFound, "Not Found")
	}
	return s, ok
}

func (p *redditPlatform) about(w http.ResponseWriter, r *http.Request, who Identity) {
	s, ok := p.named(w, r, who)
	if !ok {
		return
	}
	kind := "any"
	switch {
	case s.NoSelf:
		kind = "link"
	case s.NoLinks:
		kind = "self"
	}
	writeJSON(w, http.StatusOK, map[string]any{"kind": "t5", "data": map[string]any{
		"id": strings.ToLower(s.Name), "name": "t5_" + strings.ToLower(s.Name), "display_name": s.Name, "display_name_prefixed": "r/" + s.Name,
		"title": s.Name, "submission_type": kind, "subreddit_type": "public", "allow_images": !s.NoImages, "over18": false,
		"link_flair_enabled": len(s.Flairs) > 0, "user_is_banned": s.Bans, "subscribers": 1,
	}})
}

func (p *redditPlatform) rules(w http.ResponseWriter, r *http.Request, who Identity) {
	if _, ok := p.named(w, r, who); ok {
		writeJSON(w, http.StatusOK, map[string]any{"rules": []any{}, "site_rules": []string{"Spam"}})
	}
}

func (p *redditPlatform) requirements(w http.ResponseWriter, r *http.Request, who Identity) {
	s, ok := p.named(w, r, who)
	if !ok {
		return
	}
	body, link := "none", "none"
	if s.NoLinks {
		link = "blocked"
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"title_text_min_length": zeroNull(s.TitleMin), "title_text_max_length": nil, "title_blacklisted_strings": nonNil(s.Blacklist),
		"title_required_strings": []string{}, "title_regexes": []string{}, "body_text_min_length": nil, "body_text_max_length": nil,
		"body_restriction_policy": body, "body_blacklisted_strings": []string{}, "body_required_strings": []string{}, "body_regexes": []string{},
		"domain_blacklist": []string{}, "domain_whitelist": []string{}, "link_restriction_policy": link, "link_repost_age": nil,
		"is_flair_required": s.FlairRequired,
	})
}

func zeroNull(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

func (p *redditPlatform) flairs(w http.ResponseWriter, r *http.Request, who Identity) {
	s, ok := p.named(w, r, who)
	if !ok {
		return
	}
	out := []any{}
	for id, text := range s.Flairs {
		out = append(out, map[string]any{
			"id": id, "text": text, "type": "text", "text_editable": false, "mod_only": false, "css_class": "", "text_color": "dark",
			"background_color": "", "allowable_content": "all", "max_emojis": 10, "richtext": []any{},
		})
	}
	writeJSON(w, http.StatusOK, out)
}
