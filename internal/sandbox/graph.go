package sandbox

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// graphVersion is the one version that is served: a call to another, or to none, is refused.
	graphVersion = "v26.0"
	graphAppName = "Sandbox app"
	// graphMaxParams bounds the parameters of one call.
	graphMaxParams = 500
)

// graphPlatform is the part of the Graph API that publishes on Facebook Pages. It judges each call by Meta's own
// list of parameters; see graphTable.
type graphPlatform struct {
	s     *Sandbox
	table *graphTable
	pages map[string]Identity // by Page id; not changed after newGraph

	mu     sync.Mutex // guards what follows, and makes the duplicate check and the act one step
	lastID int64
	photos []graphPhoto // oldest first
}

func newGraph(s *Sandbox) *graphPlatform {
	g := &graphPlatform{s: s, table: loadGraphTable(), pages: make(map[string]Identity)}
	for _, page := range s.identities("facebook") {
		g.pages[page.ID] = page
	}
	for _, n := range s.notes("facebook") {
		var photo graphPhoto
		if json.Unmarshal([]byte(n.raw[rawPhotos]), &photo) == nil {
			g.photos = append(g.photos, photo)
		}
	}
	return g
}

func (g *graphPlatform) name() string { return "facebook" }

func (g *graphPlatform) identify(r *http.Request) string {
	c, fault := readGraphCall(r)
	if fault != nil {
		return ""
	}
	page, _ := g.owner(c.token)
	return page.ID
}

// commits reports whether the call shows something to the public: a post or photo that is not held back, a comment,
// or the step of an unpublished post to a public one.
func (g *graphPlatform) commits(r *http.Request) bool {
	c, fault := readGraphCall(r)
	if fault != nil || c.method != http.MethodPost {
		return false
	}
	switch {
	case len(c.path) == 2 && (c.path[1] == "feed" || c.path[1] == "photos"):
		return !isFalse(c.values["published"])
	case len(c.path) == 2:
		return c.path[1] == "comments"
	case len(c.path) == 1:
		return isTrue(c.values["is_published"])
	}
	return false
}

func isTrue(v string) bool  { return v == "true" || v == "1" }
func isFalse(v string) bool { return v == "false" || v == "0" }

func (g *graphPlatform) throttled(w http.ResponseWriter, reset time.Time) {
	g.exhausted(w.Header(), reset)
	(&graphError{
		status: http.StatusBadRequest, code: 80001,
		message: "There have been too many calls to this Page account. Wait a bit and try again.",
	}).write(w)
}

func (g *graphPlatform) exhausted(h http.Header, reset time.Time) {
	minutes := int(math.Ceil(reset.Sub(g.s.now()).Minutes()))
	usage := make(map[string]any, len(g.pages))
	for id := range g.pages {
		usage[id] = []map[string]any{{
			"type": "pages", "call_count": 100, "total_cputime": 25, "total_time": 25.5,
			"estimated_time_to_regain_access": minutes,
		}}
	}
	text, err := json.Marshal(usage)
	if err != nil {
		return // maps of strings and numbers always encode
	}
	h.Set("X-Business-Use-Case-Usage", string(text))
}

// graphCall is one request as Graph understands it.
type graphCall struct {
	version string
	method  string   // after the form value "method"
	path    []string // below the version
	values  map[string]string
	files   map[string]graphFile
	token   string

	page   Identity // whose token was shown; set by authorize
	fields []graphField
}

type graphFile struct{ data []byte }

// graphError is a refusal in Graph's shape.
type graphError struct {
	status, code, subcode int
	message               string
}

func (e *graphError) write(w http.ResponseWriter) {
	kind := "OAuthException"
	if e.code == 100 && e.subcode == 33 {
		kind = "GraphMethodException"
	}
	body := map[string]any{"message": e.message, "type": kind, "code": e.code, "fbtrace_id": "ASandboxTrace"}
	if e.subcode != 0 {
		body["error_subcode"] = e.subcode
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Fb-Trace-Id", "ASandboxTrace")
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `OAuth "Facebook Platform" "invalid_token"`)
	}
	writeJSON(w, e.status, map[string]any{"error": body})
}

func graphInvalid(message string) *graphError {
	return &graphError{status: http.StatusBadRequest, code: 100, message: message}
}

func graphGone(id string) *graphError {
	return &graphError{
		status: http.StatusBadRequest, code: 100, subcode: 33,
		message: "Unsupported request. Object with ID '" + id + "' does not exist, cannot be loaded due to missing permissions, or does not support this operation.",
	}
}

func graphDenied(message string) *graphError {
	return &graphError{status: http.StatusForbidden, code: 200, message: "(#200) " + message}
}

// graphBroken answers for a failure of the sandbox itself, such as a full disk.
func (g *graphPlatform) graphBroken(err error) *graphError {
	g.s.log.Error("sandbox failed", "platform", "facebook", "error", err)
	return &graphError{status: http.StatusInternalServerError, code: 2, message: "An unexpected error has occurred. Please retry your request later."}
}

// readGraphCall collects the parameters of a request from its query and its form. It may be called again and again.
func readGraphCall(r *http.Request) (*graphCall, *graphError) {
	c := &graphCall{method: r.Method, values: make(map[string]string), files: make(map[string]graphFile)}
	segments := strings.FieldsFunc(r.URL.Path, func(r rune) bool { return r == '/' })
	if len(segments) > 0 && strings.HasPrefix(segments[0], "v") {
		c.version, segments = segments[0], segments[1:]
	}
	c.path = segments
	c.take(r.URL.Query())
	if err := c.readBody(r); err != nil {
		return nil, graphInvalid("(#100) The request body cannot be read")
	}
	if len(c.values)+len(c.files) > graphMaxParams {
		return nil, graphInvalid("(#100) Too many parameters")
	}
	if over := strings.ToUpper(c.values["method"]); over != "" && r.Method == http.MethodPost {
		if over != http.MethodDelete && over != http.MethodGet && over != http.MethodPost {
			return nil, graphInvalid("(#100) Method " + over + " is not supported")
		}
		c.method = over
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "OAuth") {
		c.token = token
	}
	c.token = cmp.Or(c.token, c.values["access_token"])
	return c, nil
}

// take adds values; of a name that is given twice the last one counts.
func (c *graphCall) take(values url.Values) {
	for name, list := range values {
		c.values[name] = list[len(list)-1]
	}
}

func (c *graphCall) readBody(r *http.Request) error {
	raw, err := bodyOf(r)
	if err != nil || len(raw) == 0 {
		return err
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return err
		}
		c.take(form)
		return nil
	case "multipart/form-data":
		return c.readParts(multipart.NewReader(strings.NewReader(string(raw)), params["boundary"]))
	}
	return errors.New("content type " + kind + " is not served")
}

func (c *graphCall) readParts(parts *multipart.Reader) error {
	for range graphMaxParams {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		if part.FileName() != "" {
			c.files[part.FormName()] = graphFile{data: data}
		} else {
			c.values[part.FormName()] = string(data)
		}
	}
	return errors.New("too many parts")
}

// owner returns the Page whose token it is.
func (g *graphPlatform) owner(token string) (Identity, bool) {
	for _, page := range g.pages {
		if token != "" && hmac.Equal([]byte(token), []byte(page.Credentials["page_token"])) {
			return page, true
		}
	}
	return Identity{}, false
}

// authorize finds the Page behind the call's token and verifies the proof, when one is sent.
func (g *graphPlatform) authorize(c *graphCall) *graphError {
	if c.token == "" {
		return &graphError{status: http.StatusBadRequest, code: 2500, message: "An active access token must be used to query information about the current user."}
	}
	page, ok := g.owner(c.token)
	if !ok {
		return &graphError{status: http.StatusUnauthorized, code: 190, message: "Invalid OAuth access token - Cannot parse access token"}
	}
	if fault := checkProof(c, page.Credentials["app_secret"]); fault != nil {
		return fault
	}
	c.page = page
	return nil
}

// checkProof verifies appsecret_proof, the HMAC-SHA256 of the token under the app's secret.
func checkProof(c *graphCall, secret string) *graphError {
	proof, sent := c.values["appsecret_proof"]
	if !sent {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(c.token))
	if secret == "" || !hmac.Equal([]byte(proof), []byte(hex.EncodeToString(mac.Sum(nil)))) {
		return graphInvalid("Invalid appsecret_proof provided in the API argument")
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (g *graphPlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, fault := readGraphCall(r)
	if fault != nil {
		fault.write(w)
		return
	}
	if c.version == "" && r.Method == http.MethodGet && len(c.path) == 1 {
		g.permalinkPage(w, r, c.path[0])
		return
	}
	answer, fault := g.serve(r, c)
	if fault != nil {
		fault.write(w)
		return
	}
	w.Header().Set("Facebook-Api-Version", graphVersion)
	writeJSON(w, http.StatusOK, answer)
}

func (g *graphPlatform) serve(r *http.Request, c *graphCall) (any, *graphError) {
	if c.version != graphVersion {
		return nil, &graphError{status: http.StatusBadRequest, code: 2635, message: "(#2635) You are calling a version of the API that this sandbox does not serve. Please use " + graphVersion + "."}
	}
	if slices.Equal(c.path, []string{"debug_token"}) && c.method == http.MethodGet {
		return g.debugToken(c)
	}
	if fault := g.authorize(c); fault != nil {
		return nil, fault
	}
	if text, ok := c.values["fields"]; ok && text != "" {
		if c.fields, ok = parseGraphFields(text); !ok {
			return nil, graphInvalid("(#100) Syntax error in fields")
		}
	}
	if len(c.path) == 0 || len(c.path) > 2 {
		return nil, &graphError{status: http.StatusBadRequest, code: 2500, message: "Unknown path components"}
	}
	id := c.path[0]
	if id == "me" {
		id = c.page.ID
	}
	edge := ""
	if len(c.path) == 2 {
		edge = c.path[1]
	}
	return g.route(r, c, id, edge)
}

// route finds the kind of the node, judges the call by Meta's list and answers it.
func (g *graphPlatform) route(r *http.Request, c *graphCall, id, edge string) (any, *graphError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	node, owner := g.node(id)
	if node.kind == "" {
		return nil, graphGone(id)
	}
	call := c.method + " " + node.kind + "/" + edge
	if fault := g.table.check(call, c.values, c.files); fault != "" {
		return nil, graphInvalid(fault)
	}
	if owner != c.page.ID && (c.method != http.MethodGet || edge != "" || node.kind != "Page") {
		return nil, graphDenied("The token of Page " + c.page.ID + " has no permission for an object of another Page")
	}
	handle, returns := g.handler(call)
	if handle == nil {
		return nil, graphGone(id)
	}
	if fault := g.table.checkFields(returns, c.fields); fault != "" {
		return nil, graphInvalid(fault)
	}
	return handle(r, c, node)
}

// graphNode is what an id stands for.
type graphNode struct {
	kind  string // Page, PagePost, Comment or Photo, as Meta's list names them; "" for nothing
	id    string
	act   Act
	photo *graphPhoto
}

func (g *graphPlatform) node(id string) (node graphNode, owner string) {
	if _, ok := g.pages[id]; ok {
		return graphNode{kind: "Page", id: id}, id
	}
	if a, ok := g.s.find("facebook", id); ok {
		kind := "PagePost"
		if a.Kind == "comment" {
			kind = "Comment"
		}
		return graphNode{kind: kind, id: id, act: a}, a.Identity
	}
	if p := g.photo(id); p != nil {
		return graphNode{kind: "Photo", id: id, photo: p}, p.Page
	}
	return graphNode{}, ""
}

func (g *graphPlatform) photo(id string) *graphPhoto {
	i := slices.IndexFunc(g.photos, func(p graphPhoto) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &g.photos[i]
}

// nextID returns a number that no object has yet, also after a restart. It is called with g.mu held.
func (g *graphPlatform) nextID() string {
	g.lastID = max(g.lastID+1, g.s.now().UnixMicro())
	return strconv.FormatInt(g.lastID, 10)
}

func (g *graphPlatform) permalinkPage(w http.ResponseWriter, r *http.Request, id string) {
	a, ok := g.s.find("facebook", id)
	if !ok || !a.Public {
		http.NotFound(w, r)
		return
	}
	actPage(w, g.pages[a.Identity].Name, a)
}
