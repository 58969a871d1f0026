package api_test

import (
	"context"
	"testing"
	"time"

	"crier/store"
	"crier/store/bolt"
)

// mute is a store that ends after the effect of a request and before anything else is written, as a kill would.
type mute struct{ *bolt.Store }

func (mute) Record(context.Context, store.Write, any) error { return store.ErrClosed }

// An effect and its answer are on disk together: whoever repeats the request is told the same, whatever others have
// done since.
func TestAnAnswerIsOnDiskWithItsEffect(t *testing.T) {
	t.Parallel()
	const acme = "/api/v1/accounts/acme-x"
	for name, c := range map[string]struct {
		before, path, body string // before undoes or makes what the request is about
		undo, undoBody     string
	}{
		"stop":              {path: "/api/v1/pause", body: `{"brand":"acme","reason":"storm"}`, undo: "/api/v1/resume", undoBody: `{"brand":"acme"}`},
		"resume":            {before: "/api/v1/pause", path: "/api/v1/resume", body: `{"brand":"acme"}`, undo: "/api/v1/pause", undoBody: `{"brand":"acme"}`},
		"resume and miss":   {before: "/api/v1/pause", path: "/api/v1/resume", body: `{"brand":"acme","late":"miss"}`},
		"pause an account":  {path: acme + "/pause", body: `{"reason":"check"}`, undo: acme + "/resume"},
		"resume an account": {before: acme + "/pause", path: acme + "/resume", body: `{"late":"miss"}`, undo: acme + "/pause"},
		"leave out a run":   {path: "skip", body: `{"run":"2026-11-25T09:00"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.ask("mia", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).want(201)
			h.clock.Add(time.Second.Milliseconds())
			if c.path == "skip" {
				made := h.ask("mia", "POST", "/api/v1/series", `{"cron":"0 9 * * *","posts":[{"text":"s","targets":["acme-x"]}]}`).want(201)
				c.path = "/api/v1/series/" + made.text("id") + "/skip"
				c.body = `{"run":"` + made.text("next", 0, "run") + `"}`
			}
			body := ""
			if c.before == "/api/v1/pause" {
				body = `{"brand":"acme"}`
			}
			if c.before != "" {
				h.ask("mia", "POST", c.before, body).want(200)
			}
			h.deps.Store = mute{h.store}
			h.open()
			first := h.ask("mia", "POST", c.path, c.body, "Idempotency-Key", "k")
			h.deps.Store = h.store
			h.open()
			first.want(200)
			if c.undo != "" {
				h.ask("mia", "POST", c.undo, c.undoBody).want(200)
			}
			before := h.ask("mia", "GET", "/api/v1/status", "").want(200)
			again := h.ask("mia", "POST", c.path, c.body, "Idempotency-Key", "k").want(200)
			if again.header.Get("Idempotent-Replayed") != "true" || string(again.raw) != string(first.raw) ||
				again.header.Get("ETag") != first.header.Get("ETag") {
				t.Errorf("again: %s\nfirst: %s", again.raw, first.raw)
			}
			if after := h.ask("mia", "GET", "/api/v1/status", "").want(200); string(after.raw) != string(before.raw) {
				t.Errorf("the second request did something: %s\nbefore: %s", after.raw, before.raw)
			}
			h.ask("mia", "POST", c.path, `{}`, "Idempotency-Key", "k").code(422, "idempotency_mismatch")
		})
	}
}

// What is told to whoever sends a key is what is told without one.
func TestAnAnswerIsTheSameWithAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	tell := func(keyed bool) (all []string) {
		h := newHouse(t)
		h.ask("mia", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).want(201)
		h.ask("mia", "POST", posts, `{"text":"y","targets":["acme-page"],"at":"2026-12-01T09:00"}`).want(201)
		h.clock.Add(time.Second.Milliseconds())
		for i, path := range []string{
			"/api/v1/pause", "/api/v1/accounts/acme-x/pause", "/api/v1/accounts/acme-x/resume", "/api/v1/resume",
		} {
			body := `{"brand":"acme"}`
			if i == 1 || i == 2 {
				body = ""
			}
			var headers []string
			if keyed {
				headers = []string{"Idempotency-Key", path}
			}
			r := h.ask("mia", "POST", path, body, headers...).want(200)
			all = append(all, r.header.Get("ETag")+" "+string(r.raw))
		}
		return all
	}
	plain, keyed := tell(false), tell(true)
	for i := range plain {
		if plain[i] != keyed[i] {
			t.Errorf("with a key: %s\nwithout: %s", keyed[i], plain[i])
		}
	}
}
