package api_test

import (
	"strings"
	"testing"
	"time"

	"crier/internal/post"
)

// Two people who bring the same bytes learn nothing of each other: neither words nor times.
func TestWhatAFileShowsStaysWithWhoSaidIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	upload := func(who, alt string) reply {
		return h.ask(who, "POST", "/api/v1/media", `{"url":"https://a.example/a.png","alt":"`+alt+`"}`).want(201)
	}
	first := upload("mia", "mine and private")
	id, path := first.text("id"), "/api/v1/media/"+first.text("id")
	h.clock.Add(time.Hour.Milliseconds())
	second := upload("jo", "of the brand")
	if second.text("alt") != "of the brand" || second.text("created_at") == first.text("created_at") {
		t.Errorf("the second uploader is told: %s", second.raw)
	}
	for who, want := range map[string]string{"mia": "mine and private", "jo": "of the brand"} {
		if r := h.ask(who, "GET", path, "").want(200); r.text("alt") != want {
			t.Errorf("%s reads %q, want %q", who, r.text("alt"), want)
		}
		if r := h.ask(who, "GET", "/api/v1/media", "").want(200); r.text("items", 0, "alt") != want {
			t.Errorf("%s lists %q, want %q", who, r.text("items", 0, "alt"), want)
		}
	}
	body := `{"text":"x","media":["` + id + `"],"targets":["acme-x"],"at":"2026-12-01T09:00"}`
	if r := h.ask("jo", "POST", posts, body).want(201); r.text("media", 0, "alt") != "of the brand" {
		t.Errorf("jo's post says %q", r.text("media", 0, "alt"))
	}
	// Who sees the file by its use sees what the post says of it, since when.
	if r := h.ask("vic", "GET", path, "").want(200); r.text("alt") != "of the brand" || r.text("created_at") != second.text("created_at") {
		t.Errorf("vic is told: %s", r.raw)
	}
	if at := h.ask("vic", "GET", path+"/content", "").want(200).header.Get("Last-Modified"); !strings.Contains(at, "10:00:00") {
		t.Errorf("the content was last modified at %s, want the time of its use", at)
	}
	if r := upload("mia", "in other words"); r.text("alt") != "in other words" || r.text("created_at") != first.text("created_at") {
		t.Errorf("the first uploader brings it again: %s", r.raw)
	}
	if r := h.ask("jo", "GET", path, "").want(200); r.text("alt") != "of the brand" {
		t.Errorf("after that jo reads %q", r.text("alt"))
	}
}

func TestStatusCountsWhatTheAskerSeesAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("jo", "POST", posts, `{"text":"one","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	h.ask("jo", "POST", posts, `{"text":"two","targets":["acme-page"],"at":"2026-12-02T09:00"}`).want(201)
	page := h.ask("boss", "POST", "/api/v1/keys", `{"name":"page","scopes":["admin"],"accounts":["acme-page"]}`).want(201)
	for key, want := range map[string]struct {
		scheduled float64
		next      string
	}{
		keyOf("jo"):      {2, "2026-12-01T08:00:00.000Z"},
		page.text("key"): {1, "2026-12-02T08:00:00.000Z"},
	} {
		r := h.ask(key, "GET", "/api/v1/status", "").want(200)
		if r.at("counts", "brand", "scheduled") != want.scheduled || r.text("next_due") != want.next {
			t.Errorf("status: %s, want %v", r.raw, want)
		}
	}
}

// What is under way for others, and how late it was, is no word of the status that one asks for.
func TestStatusTellsOfNoOthersSending(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	acme, mia := post.AccountKey{Kind: post.Brand, Handle: "acme-x"}, post.AccountKey{Kind: post.Personal, Handle: "mia-x"}
	h.sched.flying = map[post.AccountKey]time.Duration{acme: 20 * time.Millisecond, mia: 3 * time.Second}
	h.sched.now = func() time.Time { return h.deps.Now().Add(-817 * time.Millisecond) }
	for who, want := range map[string]struct{ flying, lag float64 }{
		"zoe": {0, 0}, "jo": {1, 20}, "mia": {2, 3000}, "boss": {1, 20},
	} {
		r := h.ask(who, "GET", "/api/v1/status", "").want(200)
		if r.at("in_flight") != want.flying || r.at("lag_ms") != want.lag || !strings.HasSuffix(r.text("last_tick"), ".000Z") {
			t.Errorf("%s is told: %s", who, r.raw)
		}
	}
	if r := h.ask("boss", "POST", "/api/v1/pause", "").want(200); r.at("in_flight") != 1.0 {
		t.Errorf("who stops everything is told: %s", r.raw)
	}
	if r := h.ask("mia", "POST", "/api/v1/pause", `{"brand":"acme"}`).want(200); r.at("in_flight") != 1.0 {
		t.Errorf("who stops the brand is told: %s", r.raw)
	}
}

// A key for some accounts neither lists nor ends the keys that reach further.
func TestAKeyForSomeAccountsKeepsToThemAmongKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	make := func(body string) (id, key string) {
		r := h.ask("boss", "POST", "/api/v1/keys", body).want(201)
		return r.text("id"), r.text("key")
	}
	wide, _ := make(`{"name":"wide","scopes":["admin"]}`)
	other, _ := make(`{"name":"other","scopes":["admin"],"accounts":["acme-x"]}`)
	same, _ := make(`{"name":"same","scopes":["admin"],"accounts":["acme-page"]}`)
	own, key := make(`{"name":"own","scopes":["admin"],"accounts":["acme-page"]}`)
	r := h.ask(key, "GET", "/api/v1/keys", "").want(200)
	for id, want := range map[string]bool{wide: false, other: false, same: true, own: true} {
		if got := strings.Contains(string(r.raw), id); got != want {
			t.Errorf("key %s is listed: %t, want %t", id, got, want)
		}
	}
	h.ask(key, "DELETE", "/api/v1/keys/"+wide, "").code(404, "not_found")
	h.ask(key, "DELETE", "/api/v1/keys/"+other, "").code(404, "not_found")
	h.ask(key, "DELETE", "/api/v1/keys/"+same, "").want(204)
}
