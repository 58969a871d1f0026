package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"

	"crier/internal/api"
	"crier/internal/media"
	"crier/internal/post"
	"crier/internal/secret"
	"crier/internal/team"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// fakeScheduler stands where the scheduler is: no test of the API publishes.
type fakeScheduler struct {
	now    func() time.Time
	verify error
	// flying are the accounts with a request under way, each as late as its number says.
	flying map[post.AccountKey]time.Duration
}

func (f *fakeScheduler) Status(of func(post.AccountKey) bool) scheduler.Status {
	out := scheduler.Status{LastTurn: f.now()}
	for k, lag := range f.flying {
		if of == nil || of(k) {
			out.InFlight++
			out.Lag = max(out.Lag, lag)
		}
	}
	return out
}

func (f *fakeScheduler) Verify(context.Context, post.AccountKey) error {
	return f.verify
}

// fetched serves one file to every address.
type fetched struct{ body []byte }

func (f fetched) Fetch(_ context.Context, address string, sink func(io.Reader) error) error {
	if strings.Contains(address, "169.254") {
		return &media.Error{Code: media.CodeFetchRefused, Message: "this address may not be fetched"}
	}
	return sink(bytes.NewReader(f.body))
}

type house struct {
	t       testing.TB
	handler http.Handler
	store   *bolt.Store
	sched   *fakeScheduler
	hub     *api.Hub
	clock   *atomic.Int64 // Unix milliseconds
	logs    *bytes.Buffer
	deps    api.Deps
}

func keyOf(person string) string { return "crier_" + person + "_0123456789abcdefghij" }

func account(handle string, p post.Platform, kind post.Kind, owner string) post.Account {
	return post.Account{
		Handle: handle, Platform: p, Kind: kind, Owner: owner, Mode: post.ModeAPI, Identity: handle, Name: handle,
		TimeZone: "Europe/Berlin", MaxLate: 15 * time.Minute, WhenNotSeen: post.Resend, Managed: "file",
	}
}

// newHouse opens a store with the accounts of a brand and of two people, and keys for everybody.
func newHouse(tb testing.TB) *house {
	tb.Helper()
	h := &house{t: tb, clock: &atomic.Int64{}, logs: &bytes.Buffer{}, hub: &api.Hub{}}
	h.clock.Store(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(h.clock.Load()).UTC() }
	h.sched = &fakeScheduler{now: now}
	dir := tb.TempDir()
	var err error
	if h.store, err = bolt.Open(tb.Context(), bolt.Options{Dir: dir, Create: true, Now: now()}); err != nil {
		tb.Fatalf("opening the store: %v", err)
	}
	tb.Cleanup(func() {
		if err := h.store.Close(); err != nil {
			tb.Errorf("closing the store: %v", err)
		}
	})
	accounts := []post.Account{
		account("acme-x", post.Twitter, post.Brand, "acme"), account("acme-x2", post.Twitter, post.Brand, "acme"),
		account("acme-page", post.Facebook, post.Brand, "acme"), account("acme-reddit", post.Reddit, post.Brand, "acme"),
		account("mia-x", post.Twitter, post.Personal, "mia"), account("jo-x", post.Twitter, post.Personal, "jo"),
		account("acme-tube", post.YouTube, post.Brand, "acme"),
	}
	accounts[len(accounts)-1].Approvals = 1
	if err := h.store.SyncAccounts(tb.Context(), store.Write{Now: now(), Actor: "crier"}, accounts); err != nil {
		tb.Fatalf("syncing accounts: %v", err)
	}
	outlets := map[string]api.Outlet{}
	for _, a := range accounts {
		o := api.Outlet{Account: a, Check: check}
		if a.Platform == post.Reddit {
			o.Destination = func(c post.Content) string { s, _ := c.Options.String("subreddit"); return s }
		}
		outlets[a.Handle] = o
	}
	files, err := media.Open(dir+"/media", media.Limits{})
	if err != nil {
		tb.Fatalf("opening the files: %v", err)
	}
	sealer, err := secret.NewSealer([secret.KeySize]byte{1})
	if err != nil {
		tb.Fatalf("making a sealer: %v", err)
	}
	h.deps = api.Deps{
		Store: h.store, Scheduler: h.sched, Files: files, Fetcher: fetched{body: picture(tb)}, Sealer: sealer, Hub: h.hub,
		Directory: team.Directory{
			Brands: map[string]team.Brand{"acme": {Handle: "acme"}},
			People: map[string]team.Person{
				"boss": {Handle: "boss"},
				"mia":  {Handle: "mia", Roles: map[string]team.Role{"acme": team.Manager}},
				"jo":   {Handle: "jo", Roles: map[string]team.Role{"acme": team.Author}},
				"vic":  {Handle: "vic", Roles: map[string]team.Role{"acme": team.Viewer}},
				"zoe":  {Handle: "zoe"},
			},
			Owner: "boss",
		},
		Outlets: outlets, NewID: func() post.ID { return post.ID(uuid.Must(uuid.NewV7())) }, Now: now,
		Log: slog.New(slog.NewTextHandler(h.logs, nil)), Version: "test",
	}
	for _, person := range []string{"boss", "mia", "jo", "vic", "zoe"} {
		k, err := api.ParseConfiguredKey(secret.New(keyOf(person)), person)
		if err != nil {
			tb.Fatalf("configured key: %v", err)
		}
		h.deps.ConfiguredKeys = append(h.deps.ConfiguredKeys, k)
	}
	h.open()
	return h
}

// open makes the handler anew, after a change of what it is made from.
func (h *house) open() {
	h.t.Helper()
	var err error
	if h.handler, err = api.New(h.deps); err != nil {
		h.t.Fatalf("making the API: %v", err)
	}
}

// check is an adapter's word: a text is needed, and 280 signs are the most.
func check(c post.Content) []post.Problem {
	switch n := len([]rune(c.Text)); {
	case n == 0 && len(c.Media) == 0 && c.Title == "":
		return []post.Problem{{Location: "text", Code: "empty", Severity: post.SeverityError, Message: "nothing to say"}}
	case n > 280:
		return []post.Problem{{
			Location: "text", Code: "too_long", Severity: post.SeverityError, Message: "too long",
			Limit: 280, Used: int64(n), Unit: "characters",
		}}
	}
	return nil
}

type reply struct {
	t      testing.TB
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// ask makes a request; headers are pairs of name and value.
func (h *house) ask(person, method, path, body string, headers ...string) reply {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	if person != "" {
		text := person
		if !strings.HasPrefix(person, "crier_") {
			text = keyOf(person)
		}
		r.Header.Set("Authorization", "Bearer "+text)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.do(r)
}

func (h *house) do(r *http.Request) reply {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	out := reply{t: h.t, status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	if kind := w.Header().Get("Content-Type"); strings.Contains(kind, "json") && len(out.raw) > 0 {
		if err := json.Unmarshal(out.raw, &out.body); err != nil {
			h.t.Fatalf("%s %s: the answer is no JSON object: %s", r.Method, r.URL.Path, out.raw)
		}
	}
	return out
}

// want ends the test unless the status is this one.
func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.raw)
	}
	return r
}

// code makes sure of a problem's code.
func (r reply) code(status int, code string) reply {
	r.t.Helper()
	r.want(status)
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		r.t.Errorf("content type %q of a problem", kind)
	}
	if got := r.text("code"); got != code {
		r.t.Fatalf("code %q, want %q: %s", got, code, r.raw)
	}
	return r
}

// at follows fields and indices, such as deliveries, 0, id.
func (r reply) at(path ...any) any {
	r.t.Helper()
	var v any = r.body
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				r.t.Fatalf("no item %d at %v: %s", p, path, r.raw)
			}
			v = l[p]
		}
	}
	return v
}

func (r reply) text(path ...any) string {
	r.t.Helper()
	s, _ := r.at(path...).(string)
	return s
}

// errorsAt lists location and code of each problem.
func (r reply) errorsAt() string {
	list, _ := r.at("errors").([]any)
	var out []string
	for _, e := range list {
		m, _ := e.(map[string]any)
		if m["severity"] == "error" {
			out = append(out, m["location"].(string)+" "+m["code"].(string))
		}
	}
	return strings.Join(out, ", ")
}

const posts = "/api/v1/posts"

func TestTheSimplestCaseIsPlainCurl(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.ask("jo", "POST", posts, `{"text": "Hello", "targets": ["acme-x"], "at": "now"}`,
		"Content-Type", "application/x-www-form-urlencoded").want(http.StatusCreated)
	id := r.text("id")
	if got, want := r.header.Get("Location"), posts+"/"+id; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if r.text("state") != "scheduled" || r.text("deliveries", 0, "account") != "acme-x" || r.text("author") != "jo" {
		t.Errorf("post: %s", r.raw)
	}
	if got := r.text("deliveries", 0, "due"); got != "2026-11-24T09:00:00.000Z" {
		t.Errorf("due %q", got)
	}
	read := h.ask("jo", "GET", posts+"/"+id, "").want(http.StatusOK)
	if read.header.Get("ETag") != r.header.Get("ETag") || read.header.Get("ETag") == "" {
		t.Errorf("ETag %q after %q", read.header.Get("ETag"), r.header.Get("ETag"))
	}
	h.ask("jo", "GET", posts+"/"+id, "", "If-None-Match", read.header.Get("ETag")).want(http.StatusNotModified)
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const canary = "canary-7f3a"
	tests := []struct {
		name, method, path, body string
		status                   int
		code, errors             string
	}{
		{"an unknown field", "POST", posts, `{"text":"` + canary + `","targets":["acme-x"],"at":"now","txet":"` + canary + `"}`, 422, "unknown_field", "txet unknown_field"},
		{"an unknown field of a target", "POST", posts, `{"targets":[{"account":"acme-x","txet":"` + canary + `"}]}`, 422, "unknown_field", "targets[0].txet unknown_field"},
		{"a field of another type", "POST", posts, `{"text":{"a":"` + canary + `"},"targets":["acme-x"]}`, 422, "invalid_type", "text invalid_type"},
		{"a list where an object is wanted", "POST", posts, `["` + canary + `"]`, 422, "invalid_type", "body invalid_type"},
		{"a field twice", "POST", posts, `{"text":"` + canary + `","text":"b"}`, 422, "duplicate_field", "text duplicate_field"},
		{"a NUL", "POST", posts, `{"text":"` + canary + `\u0000"}`, 422, "invalid_text", "text invalid_text"},
		{"no UTF-8", "POST", posts, "{\"text\":\"\xff" + canary + "\"}", 422, "invalid_text", "body invalid_text"},
		{"no JSON", "POST", posts, `{"text": ` + canary, 422, "invalid_json", "body invalid_json"},
		{"too deep", "POST", posts, `{"options":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 422, "too_deep", "options[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0] too_deep"},
		{"no target", "POST", posts, `{"text":"` + canary + `","at":"now"}`, 422, "targets_required", "targets targets_required"},
		{"no time", "POST", posts, `{"text":"` + canary + `","targets":["acme-x"]}`, 422, "at_required", "targets[0].at at_required"},
		{"a time that is none", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"` + canary + `"}`, 422, "time_invalid", "targets[0].at time_invalid"},
		{"the past", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"2026-11-24T08:00:00Z"}`, 422, "in_past", "targets[0].at in_past"},
		{"a slot", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"next-slot"}`, 422, "no_slots", "targets[0].at no_slots"},
		{"a local time in a gap", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"2027-03-28T02:30"}`, 422, "local_time_missing", "targets[0].at local_time_missing"},
		{"an unknown query parameter", "GET", posts + "?" + canary + "=1", "", 422, "unknown_parameter", "query." + canary + " unknown_parameter"},
		{"a limit out of range", "GET", posts + "?limit=501", "", 422, "invalid_parameter", "query.limit invalid_parameter"},
		{"a cursor of nowhere", "GET", posts + "?cursor=" + canary, "", 422, "invalid_parameter", "query.cursor invalid_parameter"},
		{"an unknown path", "GET", "/api/v1/" + canary, "", 404, "not_found", ""},
		{"a method that the path does not take", "PUT", posts, "", 405, "method_not_allowed", ""},
		{"an id that is none", "GET", posts + "/" + canary, "", 404, "not_found", ""},
		{"a body too large", "POST", posts, `{"text":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "too_large", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := h.ask("jo", tt.method, tt.path, tt.body).code(tt.status, tt.code)
			if got := r.errorsAt(); got != tt.errors {
				t.Errorf("errors %q, want %q", got, tt.errors)
			}
			if bytes.Contains(r.raw, []byte(canary)) && !strings.Contains(tt.path, "?"+canary) {
				t.Errorf("the answer repeats what was sent: %s", r.raw)
			}
			if r.text("request_id") == "" || r.text("request_id") != r.header.Get("X-Request-Id") {
				t.Errorf("request id %q, header %q", r.text("request_id"), r.header.Get("X-Request-Id"))
			}
			if tt.status == 405 && r.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	t.Cleanup(func() {
		if strings.Contains(h.logs.String(), canary) {
			t.Errorf("the log repeats what was sent: %s", h.logs)
		}
	})
	h.ask("jo", "POST", posts, `<a/>`, "Content-Type", "text/xml").code(415, "unsupported_media_type")
}

func TestEveryProblemOfEveryTargetIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.ask("jo", "POST", posts, `{"text":"same","link":"ftp://x","at":"now","targets":["acme-x","acme-x2",{"account":"acme-page","text":"`+
		strings.Repeat("a", 281)+`"}]}`).code(422, "validation_failed")
	want := "link link_invalid, targets[1].text same_text_on_platform, targets[2].text too_long"
	if got := r.errorsAt(); got != want {
		t.Errorf("errors %q, want %q", got, want)
	}
	if n := h.ask("jo", "GET", posts, "").want(200).at("items").([]any); len(n) != 0 {
		t.Errorf("something was stored: %v", n)
	}
	draft := h.ask("jo", "POST", posts, `{"text":"same","targets":["acme-x","acme-x2"],"draft":true}`).want(201)
	if draft.text("state") != "draft" || len(draft.at("warnings").([]any)) != 3 {
		t.Errorf("draft: %s", draft.raw)
	}
	h.ask("jo", "POST", posts+"/"+draft.text("id")+"/submit", "").code(422, "validation_failed")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("", "GET", "/api/v1/me", "").code(401, "unauthorized")
	h.ask("crier_mia_wrongwrongwrongwrong", "GET", "/api/v1/me", "").code(401, "unauthorized")
	h.ask("crier_nobody_0123456789abcdefghij", "GET", "/api/v1/me", "").code(401, "unauthorized")

	own := h.ask("mia", "POST", "/api/v1/keys", `{"name":"own","scopes":["posts:write"]}`).want(201)
	other := h.ask("boss", "POST", "/api/v1/keys", `{"person":"mia","name":"by boss","scopes":["admin"]}`).want(201)
	if own.at("full") != true || other.at("full") != false {
		t.Errorf("full: own %v, by another %v", own.at("full"), other.at("full"))
	}
	post := `{"text":"hi","targets":["mia-x"],"at":"now"}`
	h.ask(own.text("key"), "POST", posts, post).want(201)
	h.ask(other.text("key"), "POST", posts, post).code(404, "account_not_found")
	h.ask("jo", "POST", "/api/v1/keys", `{"person":"mia","name":"x","scopes":["posts:read"]}`).code(403, "forbidden")
	h.ask("mia", "POST", "/api/v1/keys", `{"name":"x","scopes":["posts:eat"]}`).code(422, "scope_unknown")

	h.ask(own.text("key"), "GET", "/api/v1/accounts", "").code(403, "forbidden")
	limited := h.ask("mia", "POST", "/api/v1/keys", `{"name":"l","scopes":["posts:write","accounts:read"],"accounts":["acme-x"],"expires_at":"2026-11-24T10:00:00Z"}`).want(201)
	seen := h.ask(limited.text("key"), "GET", "/api/v1/accounts", "").want(200)
	if n := seen.at("items").([]any); len(n) != 1 || seen.text("items", 0, "handle") != "acme-x" {
		t.Errorf("the limited key sees %s", seen.raw)
	}
	h.clock.Add(time.Hour.Milliseconds())
	h.ask(limited.text("key"), "GET", "/api/v1/accounts", "").code(401, "unauthorized")

	h.ask(other.text("key"), "DELETE", "/api/v1/keys/"+own.text("id"), "").code(404, "not_found")
	h.ask("mia", "DELETE", "/api/v1/keys/"+own.text("id"), "").want(204)
	h.ask(own.text("key"), "GET", "/api/v1/me", "").code(401, "unauthorized")
}

func TestAPersonalAccountIsNotThereForOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("mia", "POST", posts, `{"text":"private words","targets":["mia-x"],"at":"2026-12-01T09:00"}`).want(201)
	limited := h.ask("boss", "POST", "/api/v1/keys", `{"person":"mia","name":"by boss","scopes":["admin"]}`).want(201).text("key")
	id, delivery := made.text("id"), made.text("deliveries", 0, "id")
	series := h.ask("mia", "POST", "/api/v1/series", `{"cron":"0 9 * * *","posts":[{"text":"daily","targets":["mia-x"]}]}`).want(201).text("id")
	for _, who := range []string{"boss", "jo", "vic", "zoe", limited} {
		for _, x := range []struct{ method, path, body string }{
			{"GET", posts + "/" + id, ""},
			{"DELETE", posts + "/" + id, ""},
			{"PATCH", posts + "/" + id, `{"text":"x"}`},
			{"GET", posts + "/" + id + "/history", ""},
			{"POST", posts + "/" + id + "/submit", ""},
			{"GET", "/api/v1/deliveries/" + delivery, ""},
			{"POST", "/api/v1/deliveries/" + delivery + "/cancel", ""},
			{"POST", "/api/v1/deliveries/" + delivery + "/retry", ""},
			{"POST", "/api/v1/deliveries/" + delivery + "/reschedule", `{"at":"now"}`},
			{"GET", "/api/v1/accounts/mia-x", ""},
			{"GET", "/api/v1/accounts/mia-x/capabilities", ""},
			{"POST", "/api/v1/accounts/mia-x/pause", ""},
			{"POST", "/api/v1/accounts/mia-x/resume", ""},
			{"POST", "/api/v1/accounts/mia-x/verify", ""},
			{"GET", posts + "?account=mia-x", ""},
			{"GET", "/api/v1/series/" + series, ""},
			{"DELETE", "/api/v1/series/" + series, ""},
			{"POST", posts, `{"text":"x","targets":["mia-x"],"at":"now"}`},
			{"POST", posts + "/validate", `{"text":"x","targets":["mia-x"],"at":"now"}`},
			{"POST", "/api/v1/series", `{"cron":"0 9 * * *","time_zone":"UTC","posts":[{"text":"daily","targets":["mia-x"]}]}`},
		} {
			if r := h.ask(who, x.method, x.path, x.body); r.status != 404 {
				t.Errorf("%s %s by %s: %d %s", x.method, x.path, who, r.status, r.raw)
			}
		}
		for _, list := range []string{"/posts", "/deliveries", "/accounts", "/series", "/plan?to=2026-12-24T00:00:00Z", "/media", "/status"} {
			if r := h.ask(who, "GET", "/api/v1"+list, ""); bytes.Contains(r.raw, []byte("mia-x")) || bytes.Contains(r.raw, []byte("private")) {
				t.Errorf("GET %s by %s tells of it: %s", list, who, r.raw)
			}
		}
	}
	status := h.ask("boss", "GET", "/api/v1/status", "").want(200)
	if n := status.at("counts", "personal").(map[string]any); len(n) != 0 {
		t.Errorf("the owner counts other people's: %v", n)
	}
	if status.at("next_due") != nil {
		t.Errorf("the owner sees when others post: %v", status.at("next_due"))
	}
	if r := h.ask("mia", "GET", "/api/v1/status", "").want(200); r.at("counts", "personal", "scheduled") != 1.0 || r.text("next_due") != "2026-12-01T08:00:00.000Z" {
		t.Errorf("the person's own status: %s", r.raw)
	}
	h.ask("mia", "GET", posts+"/"+id, "").want(200)
	h.ask("mia", "POST", posts, `{"text":"x","targets":["mia-x","acme-page"],"at":"now"}`).code(422, "mixed_kinds")
	h.ask("vic", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).code(403, "forbidden")
	h.ask("zoe", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).code(404, "account_not_found")
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := `{"text":"once","targets":["acme-x"],"at":"now"}`
	first := h.ask("jo", "POST", posts, body, "Idempotency-Key", "k1").want(201)
	again := h.ask("jo", "POST", posts, body, "Idempotency-Key", "k1").want(201)
	if !bytes.Equal(first.raw, again.raw) || again.header.Get("Idempotent-Replayed") != "true" ||
		first.header.Get("ETag") != again.header.Get("ETag") || again.header.Get("Location") == "" {
		t.Errorf("replay: %v %s, first %v %s", again.header, again.raw, first.header, first.raw)
	}
	h.ask("jo", "POST", posts, `{"text":"other","targets":["acme-x"],"at":"now"}`, "Idempotency-Key", "k1").code(422, "idempotency_mismatch")
	h.ask("jo", "POST", posts, `{"text":"no time","targets":["acme-x"]}`, "Idempotency-Key", "k2").code(422, "at_required")
	h.ask("jo", "POST", posts, `{"text":"now a time","targets":["acme-x"],"at":"now"}`, "Idempotency-Key", "k2").want(201)
	h.ask("mia", "POST", posts, `{"text":"another client","targets":["acme-x"],"at":"now"}`, "Idempotency-Key", "k1").want(201)
	h.ask("jo", "POST", posts, body, "Idempotency-Key", strings.Repeat("k", 256)).code(400, "idempotency_key_invalid")
	if n := h.ask("jo", "GET", posts, "").at("items").([]any); len(n) != 3 {
		t.Errorf("%d posts, want 3", len(n))
	}
	// Those without a transaction of their own, and those whose answer holds a secret.
	p1 := h.ask("boss", "POST", "/api/v1/pause", `{"brand":"acme"}`, "Idempotency-Key", "p").want(200)
	h.ask("boss", "POST", "/api/v1/resume", `{"brand":"acme"}`).want(200)
	p2 := h.ask("boss", "POST", "/api/v1/pause", `{"brand":"acme"}`, "Idempotency-Key", "p").want(200)
	if !bytes.Equal(p1.raw, p2.raw) {
		t.Errorf("pause %s, replayed %s", p1.raw, p2.raw)
	}
	if n := h.ask("boss", "GET", "/api/v1/status", "").at("stops").([]any); len(n) != 0 {
		t.Errorf("the replay stopped again: %v", n)
	}
	k1 := h.ask("mia", "POST", "/api/v1/keys", `{"name":"n","scopes":["posts:read"]}`, "Idempotency-Key", "key").want(201)
	k2 := h.ask("mia", "POST", "/api/v1/keys", `{"name":"n","scopes":["posts:read"]}`, "Idempotency-Key", "key").want(201)
	if k1.text("key") == "" || k1.text("key") != k2.text("key") {
		t.Errorf("key %s, replayed %s", k1.raw, k2.raw)
	}
	path := t.TempDir() + "/copy"
	if err := h.store.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	_, drawn, _ := strings.Cut(strings.TrimPrefix(k1.text("key"), "crier_"), "_")
	if bytes.Contains(read(t, path), []byte(drawn)) {
		t.Error("the store holds a key in the clear")
	}
}

func TestExternalIDAndDuplicates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.ask("jo", "POST", posts, `{"external_id":"r1","text":"Hello  world","targets":["acme-x"],"at":"now"}`).want(201)
	r := h.ask("jo", "POST", posts, `{"external_id":"r1","text":"other","targets":["acme-x"],"at":"now"}`).code(409, "external_id_exists")
	if r.text("post") != first.text("id") {
		t.Errorf("names post %q", r.text("post"))
	}
	d := h.ask("jo", "POST", posts, `{"text":"Hello world","targets":["acme-x"],"at":"now"}`).code(422, "duplicate_content")
	if d.text("post") != first.text("id") || d.errorsAt() != "targets[0] duplicate_content" {
		t.Errorf("duplicate: %s", d.raw)
	}
	h.ask("jo", "POST", posts, `{"text":"Hello world","targets":["acme-x"],"at":"now","allow_duplicate":true}`).want(201)
	h.ask("jo", "POST", posts, `{"text":"twice","targets":["acme-reddit","acme-reddit"],"at":"now"}`).code(422, "duplicate_content")
	h.ask("jo", "POST", posts, `{"text":"t","at":"now","targets":[{"account":"acme-reddit","options":{"subreddit":"a"}},{"account":"acme-reddit","options":{"subreddit":"b"}}]}`).want(201)
	list := h.ask("jo", "GET", posts+"?external_id=r1", "").want(200)
	if n := list.at("items").([]any); len(n) != 1 {
		t.Errorf("by external id: %s", list.raw)
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"base","at":"2026-12-01T09:00","targets":["acme-x",{"account":"acme-page","text":"longer","at":"2026-12-01T09:05"}],"labels":["a"]}`).want(201)
	path, tag := posts+"/"+made.text("id"), made.header.Get("ETag")
	h.ask("jo", "PATCH", path, `{"text":"x"}`).code(428, "precondition_required")
	h.ask("jo", "PATCH", path, `{"text":"x"}`, "If-Match", `"p999.aa"`).code(412, "stale")
	r := h.ask("jo", "PATCH", path, `{"text":"new base","labels":null}`, "If-Match", tag).want(200)
	if got := r.text("post", "text"); got != "new base" || len(r.at("changed").([]any)) != 1 || len(r.at("post", "labels").([]any)) != 0 {
		t.Errorf("after a patch of the base: %s", r.raw)
	}
	if got := r.text("post", "deliveries", 0, "due"); got != "2026-12-01T08:00:00.000Z" {
		t.Errorf("the patch moved it to %s", got)
	}
	h.ask("jo", "PATCH", path, `{"text":"x"}`, "If-Match", tag).code(412, "stale")

	second := made.text("targets", 1, "id")
	r = h.ask("jo", "PATCH", path, `{"targets":["acme-x",{"id":"`+second+`","text":null,"at":"2026-12-02T10:00"}]}`, "If-Match", r.header.Get("ETag")).want(200)
	if got := r.text("post", "deliveries", 1, "local_due"); got != "2026-12-02T10:00" {
		t.Errorf("moved to %s: %s", got, r.raw)
	}
	r = h.ask("jo", "PATCH", path, `{"targets":[{"id":"`+second+`"},{"account":"acme-reddit","text":"added"}]}`, "If-Match", r.header.Get("ETag")).want(200)
	states := map[string]string{}
	for i := range r.at("post", "deliveries").([]any) {
		states[r.text("post", "deliveries", i, "account")] = r.text("post", "deliveries", i, "state")
	}
	if states["acme-page"] != "scheduled" || states["acme-reddit"] != "scheduled" || states["acme-x"] == "scheduled" {
		t.Errorf("after targets were added and left out: %v", states)
	}
	tag = r.header.Get("ETag")
	h.ask("jo", "PATCH", path, `{"draft":true}`, "If-Match", tag).code(422, "not_changeable")
	h.ask("jo", "PATCH", path, `{"txet":"x"}`, "If-Match", tag).code(422, "unknown_field")
	h.ask("jo", "PATCH", path, `{"targets":[{"id":"00000000-0000-0000-0000-000000000000","account":"acme-x"}]}`, "If-Match", tag).code(422, "target_not_found")
	h.ask("vic", "PATCH", path, `{"text":"x"}`, "If-Match", tag).code(403, "forbidden")

	gone := h.ask("jo", "DELETE", path, "").want(200)
	if gone.text("post", "state") != "canceled" {
		t.Errorf("after DELETE: %s", gone.raw)
	}
	after := h.ask("jo", "GET", path, "").want(200)
	h.ask("jo", "PATCH", path, `{"text":"x"}`, "If-Match", after.header.Get("ETag")).code(409, "too_late")
	history := h.ask("jo", "GET", path+"/history", "").want(200)
	if n := history.at("items").([]any); len(n) < 4 || history.text("items", 0, "actor") != "jo" {
		t.Errorf("history: %s", history.raw)
	}
}

func TestDrafts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	writer := h.ask("jo", "POST", "/api/v1/keys", `{"name":"drafts","scopes":["posts:draft"]}`).want(201).text("key")
	h.ask(writer, "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).code(403, "forbidden")
	made := h.ask(writer, "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now","draft":true}`).want(201)
	if made.at("deliveries", 0, "due") != nil {
		t.Errorf("a draft for now is due at %v", made.at("deliveries", 0, "due"))
	}
	path := posts + "/" + made.text("id")
	h.ask(writer, "POST", path+"/submit", "").code(403, "forbidden")
	h.clock.Add(time.Hour.Milliseconds())
	r := h.ask("jo", "POST", path+"/submit", "").want(200)
	if r.text("state") != "scheduled" || r.text("deliveries", 0, "due") != "2026-11-24T10:00:00.000Z" {
		t.Errorf("submitted: %s", r.raw)
	}
	h.ask("jo", "POST", path+"/submit", "").code(409, "wrong_state")
	h.ask(writer, "DELETE", path, "").code(403, "forbidden")
}

func TestAnAccountWithApprovalsSendsNothingUnapproved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.ask("mia", "POST", posts, `{"text":"x","targets":["acme-tube"],"at":"now"}`).want(201)
	if r.text("state") != "in_review" || r.at("deliveries", 0, "approval", "required") != 1.0 {
		t.Errorf("post: %s", r.raw)
	}
	draft := h.ask("mia", "POST", posts, `{"text":"y","targets":["acme-tube"],"at":"now","draft":true}`).want(201)
	h.ask("mia", "POST", posts+"/"+draft.text("id")+"/submit", "").code(409, "approval_needed")
}

func TestErrorsOfTheStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{store.ErrUnknownCommit, 503, "commit_unknown"},
		{store.ErrClosed, 503, "closing"},
		{errors.New("canary-detail"), 500, "internal"},
	}
	for _, tt := range tests {
		h.deps.Store = failing{Store: h.store, err: tt.err}
		h.open()
		r := h.ask("jo", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).code(tt.status, tt.code)
		if bytes.Contains(r.raw, []byte("canary")) {
			t.Errorf("the answer tells what broke: %s", r.raw)
		}
	}
	h.deps.Store = failing{Store: h.store}
	h.open()
	h.ask("jo", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).code(500, "internal")
	if !strings.Contains(h.logs.String(), "broke down") {
		t.Error("the log knows nothing of the panic")
	}
}

// failing breaks every creation: with an error, or with a panic when there is none.
type failing struct {
	store.Store
	err error
}

func (f failing) CreatePost(context.Context, store.Write, store.NewPost) (store.PostView, error) {
	if f.err == nil {
		panic("canary-panic")
	}
	return store.PostView{}, f.err
}
