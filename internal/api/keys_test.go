package api_test

import (
	"testing"
	"time"
)

const keys = "/api/v1/keys"

// A key for some accounts makes no key for others, whoever is to have it.
func TestAKeyForSomeAccountsMakesNoneForOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	limited := h.ask("boss", "POST", keys, `{"name":"l","scopes":["admin"],"accounts":["acme-page","acme-x2"]}`).want(201).text("key")
	for name, body := range map[string]string{
		"another account":              `{"person":"mia","name":"x","scopes":["admin"],"accounts":["acme-x"]}`,
		"one of its own and another":   `{"person":"mia","name":"x","scopes":["admin"],"accounts":["acme-page","acme-x"]}`,
		"a personal account":           `{"person":"mia","name":"x","scopes":["admin"],"accounts":["mia-x"]}`,
		"a handle that names nothing":  `{"person":"mia","name":"x","scopes":["admin"],"accounts":["nowhere"]}`,
		"its own person's other brand": `{"person":"boss","name":"x","scopes":["admin"],"accounts":["acme-x"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := h.ask(limited, "POST", keys, body); r.status != 403 && r.status != 422 {
				t.Errorf("status %d, want a refusal: %s", r.status, r.raw)
			}
		})
	}
	h.ask(limited, "POST", keys, `{"person":"mia","name":"x","scopes":["admin"],"accounts":["acme-x"]}`).code(403, "forbidden")
	one := h.ask(limited, "POST", keys, `{"person":"mia","name":"x","scopes":["posts:write"],"accounts":["acme-page"]}`).want(201)
	h.ask(one.text("key"), "POST", posts, `{"text":"hi","targets":["acme-page"],"at":"now"}`).want(201)
	h.ask(one.text("key"), "POST", posts, `{"text":"hi","targets":["acme-x2"],"at":"now"}`).code(404, "account_not_found")
	all := h.ask(limited, "POST", keys, `{"person":"mia","name":"x","scopes":["posts:write"]}`).want(201)
	h.ask(all.text("key"), "POST", posts, `{"text":"ho","targets":["acme-x"],"at":"now"}`).code(404, "account_not_found")
}

// A key that ends makes none that outlives it.
func TestAKeyThatEndsMakesNoneThatOutlivesIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	short := h.ask("mia", "POST", keys, `{"name":"s","scopes":["admin"],"expires_at":"2026-11-24T10:00:00Z"}`).want(201).text("key")
	h.ask(short, "POST", keys, `{"name":"x","scopes":["admin"],"expires_at":"2026-11-24T10:00:01Z"}`).code(403, "forbidden")
	h.ask(short, "POST", keys, `{"name":"x","scopes":["admin"],"expires_at":"2026-11-24T09:30:00Z"}`).want(201)
	made := h.ask(short, "POST", keys, `{"name":"x","scopes":["admin"]}`).want(201)
	if at := made.text("expires_at"); at != "2026-11-24T10:00:00.000Z" {
		t.Errorf("a key made without an end ends at %q, want with the one that made it", at)
	}
	h.clock.Add(time.Hour.Milliseconds())
	h.ask(made.text("key"), "GET", "/api/v1/me", "").code(401, "unauthorized")
}
