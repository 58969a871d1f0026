package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

func replace(s, old, with string) string { return strings.ReplaceAll(s, old, with) }

func (h *house) fail() {
	h.t.Helper()
	h.send(func(*post.Delivery) post.Settled {
		return post.Settled{To: post.Failed, Counted: true, Absent: true, Reason: &post.Reason{Code: "content", Message: "no"}}
	})
}

func TestATimeThatIsNamedAnewCounts(t *testing.T) {
	t.Parallel()
	t.Run("what failed goes out", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		path := posts + "/" + h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"now"}`).want(201).text("id")
		h.fail()
		h.clock.Add(time.Minute.Milliseconds())
		r := h.ask("jo", "PATCH", path, `{"text":"b"}`, "If-Match", "*").want(200)
		if got := r.text("post", "deliveries", 0, "state"); got != "failed" {
			t.Errorf("new words alone made it %s", got)
		}
		r = h.ask("jo", "PATCH", path, `{"at":"now"}`, "If-Match", "*").want(200)
		if d := r.text("post", "deliveries", 0, "state") + " " + r.text("post", "deliveries", 0, "due"); d != "scheduled 2026-11-24T09:01:00.000Z" {
			t.Errorf("with a time it is %s", d)
		}
	})
	for name, tt := range map[string]struct{ create, patch string }{
		"of the post":    {`{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00"}`, `{"at":"2026-12-01T09:00"}`},
		"of the target":  {`{"text":"a","targets":[{"account":"acme-x","at":"2026-12-01T09:00"}]}`, `{"targets":[{"id":"ID","at":"2026-12-01T09:00"}]}`},
		"the zone":       {`{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00","time_zone":"Europe/Berlin"}`, `{"time_zone":"Europe/Berlin"}`},
		"falls back":     {`{"text":"a","targets":[{"account":"acme-x","at":"2026-12-01T08:30"}],"at":"2026-12-01T09:00"}`, `{"targets":[{"id":"ID","at":null}]}`},
		"by its account": {`{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00"}`, `{"targets":[{"account":"acme-x","at":"2026-12-01T09:00"}]}`},
	} {
		t.Run("what was moved moves back, "+name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			made := h.ask("jo", "POST", posts, tt.create).want(201)
			h.ask("jo", "POST", deliveries+"/"+made.text("deliveries", 0, "id")+"/reschedule", `{"at":"2026-12-01T10:00"}`).want(200)
			path := posts + "/" + made.text("id")
			r := h.ask("jo", "PATCH", path, `{"labels":["a"],"targets":["acme-x"]}`, "If-Match", "*").want(200)
			if got := r.text("post", "deliveries", 0, "due"); got != "2026-12-01T09:00:00.000Z" {
				t.Errorf("an edit without a time moved it to %s", got)
			}
			r = h.ask("jo", "PATCH", path, replace(tt.patch, "ID", made.text("targets", 0, "id")), "If-Match", "*").want(200)
			if got := r.text("post", "deliveries", 0, "due"); got != "2026-12-01T08:00:00.000Z" {
				t.Errorf("due %s: %s", got, r.raw)
			}
		})
	}
	t.Run("a draft loses the time that it had", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		path := posts + "/" + h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00","draft":true}`).want(201).text("id")
		r := h.ask("jo", "PATCH", path, `{"at":"now"}`, "If-Match", "*").want(200)
		if due := r.at("post", "deliveries", 0, "due"); due != nil {
			t.Errorf("a draft for now is due at %v", due)
		}
		if r := h.ask("jo", "POST", path+"/submit", "").want(200); r.text("deliveries", 0, "due") != "2026-11-24T09:00:00.000Z" {
			t.Errorf("submitted: %s", r.raw)
		}
	})
}

func TestAPatchIsJudgedByWhatItChanges(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x",{"account":"acme-page","at":"2026-11-24T10:01"}],"at":"now"}`).want(201)
	path := posts + "/" + made.text("id")
	first := h.send(func(*post.Delivery) post.Settled {
		return post.Settled{Counted: true, Receipt: &post.Receipt{RemoteID: "1"}}
	})
	h.clock.Add(time.Minute.Milliseconds())
	h.fail()
	long := strings.Repeat("b", 281)
	// Too long for both: told of the one that can be changed alone.
	r := h.ask("jo", "PATCH", path, `{"text":"`+long+`"}`, "If-Match", "*").code(422, "too_long")
	if want := "targets[1].text too_long"; r.errorsAt() != want {
		t.Errorf("errors %q, want %q", r.errorsAt(), want)
	}
	r = h.ask("jo", "PATCH", path, `{"text":"`+long+`","targets":["acme-x",{"account":"acme-page","text":"short","at":"now"}]}`, "If-Match", "*").want(200)
	if len(r.at("changed").([]any)) != 1 || r.text("kept", 0, "delivery") != first.ID.String() {
		t.Errorf("changed and kept: %s", r.raw)
	}
	out := h.ask("jo", "GET", deliveries+"/"+first.ID.String(), "").want(200)
	if out.text("content", "text") != "a" {
		t.Errorf("what is out says %q", out.text("content", "text"))
	}
}

func TestATargetIsNamedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	path, id := posts+"/"+made.text("id"), made.text("targets", 0, "id")
	h.ask("jo", "PATCH", path, `{"targets":[{"id":"`+id+`"},{"id":"`+id+`","account":"acme-x","text":"b"}]}`, "If-Match", "*").code(422, "target_not_found")
	h.ask("jo", "POST", deliveries+"/"+made.text("deliveries", 0, "id")+"/cancel", "").want(200)
	h.ask("jo", "PATCH", path, `{"targets":[{"id":"`+id+`"},{"id":"`+id+`","account":"acme-x","text":"b"}]}`, "If-Match", "*").code(422, "target_not_found")
}

func TestAPostWithAnAccountThatIsNotConfiguredAnyMoreCanBeEdited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x","acme-page"],"at":"2026-12-01T09:00"}`).want(201)
	path := posts + "/" + made.text("id")
	delete(h.deps.Outlets, "acme-x")
	h.open()
	h.ask("jo", "PATCH", path, `{"labels":["a"]}`, "If-Match", "*").want(200)
	h.ask("jo", "PATCH", path, `{"text":"b"}`, "If-Match", "*").code(404, "account_not_found")
	h.ask("jo", "POST", deliveries+"/"+made.text("deliveries", 0, "id")+"/cancel", "").want(200)
	r := h.ask("jo", "PATCH", path, `{"text":"b"}`, "If-Match", "*").want(200)
	if len(r.at("changed").([]any)) != 1 || len(r.at("kept").([]any)) != 1 {
		t.Errorf("changed and kept: %s", r.raw)
	}
}

func TestSubmittingTellsWhatIsTrueThen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"","targets":["acme-x"],"at":"2027-10-31T02:30","draft":true}`).want(201)
	path := posts + "/" + made.text("id")
	if made.text("warnings", 0, "code") != "empty" {
		t.Fatalf("draft: %s", made.raw)
	}
	h.ask("boss", "POST", "/api/v1/pause", `{"brand":"acme"}`).want(200)
	edited := h.ask("jo", "PATCH", path, `{"text":"now there are words"}`, "If-Match", "*").want(200)
	if len(edited.at("post", "notes").([]any)) != 1 {
		t.Errorf("an edit of the words lost the note about the time: %s", edited.raw)
	}
	h.ask("boss", "POST", "/api/v1/resume", `{"brand":"acme"}`).want(200)
	h.ask("mia", "POST", "/api/v1/accounts/acme-x/pause", "").want(200)
	r := h.ask("jo", "POST", path+"/submit", "").want(200)
	if w := r.at("warnings").([]any); len(w) != 1 || r.text("warnings", 0, "code") != "account_held" {
		t.Errorf("warnings after submit: %v", w)
	}
	h.ask("mia", "POST", "/api/v1/accounts/acme-x/resume", "").want(200)
	second := h.ask("jo", "POST", posts, `{"text":"b","targets":["acme-x"],"at":"2027-10-31T02:30","draft":true}`).want(201)
	h.ask("mia", "POST", "/api/v1/accounts/acme-x/pause", "").want(200)
	r = h.ask("jo", "POST", posts+"/"+second.text("id")+"/submit", "").want(200)
	if w := r.at("warnings").([]any); len(w) != 1 || r.text("warnings", 0, "code") != "account_held" || len(r.at("notes").([]any)) != 1 {
		t.Errorf("warnings and notes after submit: %s", r.raw)
	}
}

// meddling does something right before a post is submitted or canceled.
type meddling struct {
	store.Store
	first func()
}

func (m meddling) SubmitPost(ctx context.Context, w store.Write, s store.Submission) (store.PostView, error) {
	m.first()
	return m.Store.SubmitPost(ctx, w, s) //nolint:wrapcheck // a double
}

func (m meddling) CancelPost(ctx context.Context, w store.Write, id post.ID, version uint64) (store.Edited, error) {
	m.first()
	return m.Store.CancelPost(ctx, w, id, version) //nolint:wrapcheck // a double
}

func TestWhatIsSubmittedOrCanceledIsWhatWasRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"draft":true,"at":"now"}`).want(201)
	path := posts + "/" + made.text("id")
	plain := h.handler
	h.deps.Store = meddling{Store: h.store, first: func() {
		meddled := h.handler
		h.handler = plain
		h.ask("jo", "PATCH", path, `{"text":""}`, "If-Match", "*").want(200)
		h.handler = meddled
	}}
	h.open()
	h.ask("jo", "POST", path+"/submit", "").code(412, "stale")
	if r := h.ask("jo", "GET", path, "").want(200); r.text("state") != "draft" {
		t.Errorf("unchecked words are %s", r.text("state"))
	}
	r := h.ask("jo", "GET", path, "").want(200)
	h.deps.Store = meddling{Store: h.store, first: func() {
		meddled := h.handler
		h.handler = plain
		h.ask("jo", "PATCH", path, `{"text":"other words"}`, "If-Match", "*").want(200)
		h.handler = meddled
	}}
	h.open()
	h.ask("jo", "DELETE", path, "", "If-Match", r.header.Get("ETag")).code(412, "stale")
	h.ask("jo", "DELETE", path, "").want(200)
}

func TestADraftKeepsItsTimeToUndo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"now","undo":"30s","draft":true}`).want(201)
	path := posts + "/" + made.text("id")
	if made.text("undo") != "30s" {
		t.Errorf("draft: %s", made.raw)
	}
	h.ask("jo", "PATCH", path, `{"text":"b"}`, "If-Match", "*").want(200)
	if r := h.ask("jo", "POST", path+"/submit", "").want(200); r.text("deliveries", 0, "due") != "2026-11-24T09:00:30.000Z" {
		t.Errorf("submitted: %s", r.raw)
	}
	// With a time of its own there is nothing to undo.
	r := h.ask("jo", "PATCH", path, `{"at":"2026-12-01T09:00"}`, "If-Match", "*").want(200)
	if r.text("post", "deliveries", 0, "due") != "2026-12-01T08:00:00.000Z" || r.at("post", "undo") != nil {
		t.Errorf("moved: %s", r.raw)
	}
	for _, undo := range []string{"soon", "-1s", "2h"} {
		h.ask("jo", "POST", posts, `{"text":"c","targets":["acme-x"],"undo":"`+undo+`","draft":true}`).code(422, "undo_invalid")
	}
}

func TestADraftWithoutATargetIsItsAuthorsAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"external_id":"idea","text":"an idea","draft":true}`).want(201)
	path := posts + "/" + made.text("id")
	if made.text("state") != "draft" || made.text("warnings", 0, "code") != "targets_required" {
		t.Errorf("draft: %s", made.raw)
	}
	limited := h.ask("jo", "POST", "/api/v1/keys", `{"name":"l","scopes":["admin"],"accounts":["acme-x"]}`).want(201).text("key")
	byBoss := h.ask("boss", "POST", "/api/v1/keys", `{"person":"jo","name":"b","scopes":["admin"]}`).want(201).text("key")
	for _, who := range []string{"boss", "mia", "zoe", limited, byBoss} {
		h.ask(who, "GET", path, "").code(404, "not_found")
		h.ask(who, "PATCH", path, `{"text":"x"}`, "If-Match", "*").code(404, "not_found")
		h.ask(who, "DELETE", path, "").code(404, "not_found")
		h.ask(who, "POST", path+"/submit", "").code(404, "not_found")
		h.ask(who, "GET", path+"/history", "").code(404, "not_found")
		for _, query := range []string{"", "?state=draft", "?external_id=idea", "?author=jo"} {
			if r := h.ask(who, "GET", posts+query, "").want(200); len(r.at("items").([]any)) != 0 {
				t.Errorf("%s lists %s: %s", who, query, r.raw)
			}
		}
	}
	// Another's own name of the same word is no matter.
	h.ask("mia", "POST", posts, `{"external_id":"idea","text":"hers","draft":true}`).want(201)
	h.ask("jo", "POST", posts, `{"external_id":"idea","text":"again","draft":true}`).code(409, "external_id_exists")
	for _, query := range []string{"", "?state=draft", "?external_id=idea"} {
		if r := h.ask("jo", "GET", posts+query, "").want(200); len(r.at("items").([]any)) != 1 {
			t.Errorf("jo lists %s: %s", query, r.raw)
		}
	}
	h.ask("jo", "POST", path+"/submit", "").code(422, "targets_required")
	h.ask("jo", "PATCH", path, `{"text":"a better idea"}`, "If-Match", "*").want(200)
	h.ask("jo", "PATCH", path, `{"targets":["mia-x"]}`, "If-Match", "*").code(404, "account_not_found")
	r := h.ask("jo", "PATCH", path, `{"targets":["acme-x"]}`, "If-Match", "*").want(200)
	if r.text("post", "kind") != "brand" || r.text("post", "deliveries", 0, "state") != "draft" {
		t.Errorf("with a target: %s", r.raw)
	}
	h.ask("mia", "GET", path, "").want(200)
	h.ask("mia", "POST", posts, `{"external_id":"idea","text":"for the brand","targets":["acme-page"],"draft":true}`).code(409, "external_id_exists")
	h.ask("jo", "POST", posts, `{"external_id":"idea","text":"the name is free again","draft":true}`).want(201)
	h.ask("jo", "PATCH", path, `{"targets":[]}`, "If-Match", "*").code(422, "targets_required")
	if r := h.ask("jo", "POST", path+"/submit", "").code(422, "at_required"); r.errorsAt() != "targets[0].at at_required" {
		t.Errorf("submitted without a time: %s", r.raw)
	}

	gone := h.ask("jo", "POST", posts, `{"text":"a bad idea","draft":true}`).want(201)
	path = posts + "/" + gone.text("id")
	h.ask("jo", "DELETE", path, "").want(200)
	if r := h.ask("jo", "GET", path, "").want(200); r.text("state") != "canceled" {
		t.Errorf("withdrawn: %s", r.raw)
	}
	h.ask("jo", "PATCH", path, `{"text":"x"}`, "If-Match", "*").code(422, "targets_required")
	h.ask("jo", "POST", path+"/submit", "").code(409, "wrong_state")
	h.ask("jo", "POST", posts, `{"external_id":"taken","text":"b","targets":["acme-x"],"at":"now"}`).want(201)
	clash := h.ask("jo", "POST", posts, `{"external_id":"taken","text":"c","draft":true}`).want(201)
	h.ask("jo", "PATCH", posts+"/"+clash.text("id"), `{"targets":["acme-x"]}`, "If-Match", "*").code(409, "external_id_exists")
}
