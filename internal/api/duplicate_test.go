package api_test

import (
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

// out settles the delivery that is due as published.
func (h *house) out(remote string) {
	h.t.Helper()
	h.send(func(*post.Delivery) post.Settled {
		return post.Settled{Counted: true, Receipt: &post.Receipt{RemoteID: remote, URL: "https://x.com/acme-x/status/" + remote}}
	})
}

// count is how many deliveries the brand has that may go out, or are out.
func (h *house) count() int {
	h.t.Helper()
	r := h.ask("jo", "GET", deliveries+"?state=scheduled,sending,published,unconfirmed", "").want(200)
	return len(r.at("items").([]any))
}

func TestAPatchSendsNothingASecondTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, targets string
		status        int
		code          string
	}{
		{"the account alone", `["acme-x"]`, 409, "too_late"},
		{"an object without an id", `[{"account":"acme-x"}]`, 409, "too_late"},
		{"the target, and the account once more", `[{"id":"ID"},{"account":"acme-x"}]`, 422, "duplicate_content"},
		{"the account once more, and the target", `[{"account":"acme-x"},{"id":"ID"}]`, 422, "duplicate_content"},
		{"the account twice", `["acme-x","acme-x"]`, 422, "duplicate_content"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for state, settle := range map[string]func(h *house){
				"published": func(h *house) { h.out("1") },
				"unconfirmed": func(h *house) {
					h.send(func(*post.Delivery) post.Settled {
						return post.Settled{To: post.Unconfirmed, Counted: true, Began: h.deps.Now()}
					})
				},
				"published days ago": func(h *house) {
					h.out("1")
					h.clock.Add((72 * time.Hour).Milliseconds())
				},
			} {
				h := newHouse(t)
				made := h.ask("jo", "POST", posts, `{"text":"Hello","targets":["acme-x"],"at":"now"}`).want(201)
				settle(h)
				body := `{"targets":` + replace(tt.targets, "ID", made.text("targets", 0, "id")) + `}`
				r := h.ask("jo", "PATCH", posts+"/"+made.text("id"), body, "If-Match", "*")
				if r.status != tt.status || r.text("code") != tt.code {
					t.Errorf("%s: %d %s, want %d %s", state, r.status, r.raw, tt.status, tt.code)
				}
				if n := h.count(); n != 1 {
					t.Errorf("%s: %d deliveries, want 1", state, n)
				}
			}
		})
	}
}

func TestWhatAPatchAddsOrChangesIsNoDuplicate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.ask("jo", "POST", posts, `{"text":"Hello","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	second := h.ask("jo", "POST", posts, `{"text":"Good morning","targets":["acme-x"],"at":"2026-12-01T10:00"}`).want(201)
	page := h.ask("jo", "POST", posts, `{"text":"Hello","targets":["acme-page"],"at":"2026-12-01T09:00"}`).want(201)
	for _, x := range []struct{ id, body, at string }{
		{second.text("id"), `{"text":" Hello "}`, "targets[0] duplicate_content"},
		{page.text("id"), `{"targets":["acme-page","acme-x"]}`, "targets[1] duplicate_content"},
	} {
		r := h.ask("jo", "PATCH", posts+"/"+x.id, x.body, "If-Match", "*").code(422, "duplicate_content")
		if r.errorsAt() != x.at || r.text("post") != first.text("id") {
			t.Errorf("%s: %s", x.body, r.raw)
		}
	}
	h.ask("jo", "PATCH", posts+"/"+second.text("id"), `{"text":"Hello","allow_duplicate":true}`, "If-Match", "*").want(200)
	h.ask("jo", "PATCH", posts+"/"+first.text("id"), `{"labels":["a"]}`, "If-Match", "*").want(200)
}

func TestATargetIsFoundByItsAccountAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"Hello","targets":["acme-x","acme-page"],"at":"2026-12-01T09:00"}`).want(201)
	path := posts + "/" + made.text("id")
	r := h.ask("jo", "PATCH", path, `{"targets":[{"account":"acme-x","text":"Hi"},"acme-page"]}`, "If-Match", "*").want(200)
	if r.text("post", "deliveries", 0, "id") != made.text("deliveries", 0, "id") || r.text("post", "targets", 0, "text") != "Hi" {
		t.Errorf("patched by account: %s", r.raw)
	}
	// What was withdrawn stays so; a target beside it is a new one.
	h.ask("jo", "POST", deliveries+"/"+made.text("deliveries", 0, "id")+"/cancel", "").want(200)
	r = h.ask("jo", "PATCH", path, `{"targets":[{"account":"acme-x"},"acme-page"]}`, "If-Match", "*").want(200)
	states := map[string]int{}
	for i := range r.at("post", "deliveries").([]any) {
		states[r.text("post", "deliveries", i, "account")+" "+r.text("post", "deliveries", i, "state")]++
	}
	if len(states) != 3 || states["acme-x scheduled"] != 1 || states["acme-x canceled"] != 1 {
		t.Errorf("after the withdrawn one was named anew: %v", states)
	}
}

func TestASubmittedDraftIsNoDuplicate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	draft := func() string {
		return posts + "/" + h.ask("jo", "POST", posts, `{"text":"Hello","targets":["acme-page","acme-x"],"at":"now","draft":true}`).want(201).text("id")
	}
	one, two := draft(), draft()
	h.ask("jo", "POST", one+"/submit", "").want(200)
	r := h.ask("jo", "POST", two+"/submit", "").code(422, "duplicate_content")
	if r.errorsAt() != "targets[0] duplicate_content" || posts+"/"+r.text("post") != one {
		t.Errorf("the second draft: %s", r.raw)
	}
	h.ask("jo", "POST", posts, `{"text":"Hello","targets":["acme-x"],"at":"now"}`).code(422, "duplicate_content")
	h.ask("jo", "PATCH", two, `{"allow_duplicate":true}`, "If-Match", "*").want(200)
	h.ask("jo", "POST", two+"/submit", "").want(200)
}

func TestAMarkFollowsWhatAPostSays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	say := func(text string) reply {
		return h.ask("jo", "POST", posts, `{"text":"`+text+`","targets":["acme-x"],"at":"2026-12-01T09:00"}`)
	}
	first := say("x").want(201)
	h.ask("jo", "PATCH", posts+"/"+first.text("id"), `{"text":"y"}`, "If-Match", "*").want(200)
	if r := say("y").code(422, "duplicate_content"); r.text("post") != first.text("id") {
		t.Errorf("names %s", r.raw)
	}
	second := say("x").want(201)
	// Of two that say the same by permission, one is enough to stand in the way.
	twin := h.ask("jo", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now","allow_duplicate":true}`).want(201)
	h.ask("jo", "DELETE", posts+"/"+twin.text("id"), "").want(200)
	if r := say("x").code(422, "duplicate_content"); r.text("post") != second.text("id") {
		t.Errorf("names %s", r.raw)
	}
	h.ask("jo", "POST", posts, `{"text":"z","targets":["acme-x"],"at":"now","allow_duplicate":true}`).want(201)
	say("z").code(422, "duplicate_content")
	// A draft stands in nobody's way before it is submitted.
	h.ask("jo", "POST", posts, `{"text":"w","targets":["acme-x"],"draft":true}`).want(201)
	say("w").want(201)
}

func TestADryRunTellsWhatIsThereAlready(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.ask("jo", "POST", posts, `{"external_id":"r1","text":"Hello","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	validate := func(body string) reply { return h.ask("jo", "POST", posts+"/validate", body).want(200) }
	r := validate(`{"external_id":"r1","text":"Hello","targets":["acme-page","acme-x"],"at":"2026-12-01T09:00"}`)
	if r.at("ok") != false || r.errorsAt() != "external_id external_id_exists" || len(r.at("targets", 0, "problems").([]any)) != 0 {
		t.Errorf("dry run: %s", r.raw)
	}
	if p := r.text("targets", 1, "problems", 0, "location") + " " + r.text("targets", 1, "problems", 0, "code"); p != "targets[1] duplicate_content" {
		t.Errorf("problem %q: %s", p, r.raw)
	}
	if !strings.Contains(r.text("targets", 1, "problems", 0, "message"), first.text("id")) {
		t.Errorf("the earlier post is not named: %s", r.raw)
	}
	for _, body := range []string{
		`{"text":"Hello","targets":["acme-x"],"at":"2026-12-01T09:00","allow_duplicate":true}`,
		`{"text":"Hello","targets":["acme-x"],"at":"2026-12-01T09:00","draft":true}`,
		`{"text":"Hello","media":[{"url":"https://a.example/a.png","alt":"a"}],"targets":["acme-x"],"at":"2026-12-01T09:00"}`,
		`{"text":"Hello","targets":["acme-page"],"at":"2026-12-01T09:00"}`,
	} {
		if r := validate(body); r.at("ok") != true {
			t.Errorf("%s: %s", body, r.raw)
		}
	}
}

func TestADryRunCountsTheTextAsItsPlatformDoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	o := h.deps.Outlets["acme-x"]
	o.CountText = func(c post.Content) adapters.TextLength {
		return adapters.TextLength{Used: int64(2 * len(c.Text)), Limit: 560, Unit: "weighted"}
	}
	h.deps.Outlets["acme-x"] = o
	h.open()
	r := h.ask("jo", "POST", posts+"/validate", `{"text":"Hello","targets":["acme-x"],"at":"now"}`).want(200)
	if r.at("targets", 0, "length", "used") != 10.0 || r.at("targets", 0, "length", "limit") != 560.0 || r.text("targets", 0, "length", "unit") != "weighted" {
		t.Errorf("length: %s", r.raw)
	}
}
