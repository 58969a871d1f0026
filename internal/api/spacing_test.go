package api_test

import (
	"fmt"
	"testing"
	"time"

	"crier/internal/post"
	"crier/store"
)

func TestASpacingWarningCountsAllThatGoesBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	accounts := []post.Account{account("acme-x", post.Twitter, post.Brand, "acme"), account("acme-page", post.Facebook, post.Brand, "acme")}
	accounts[0].MinGap = time.Minute
	if err := h.store.SyncAccounts(t.Context(), store.Write{Now: h.deps.Now(), Actor: "crier"}, accounts); err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		o := h.deps.Outlets[a.Handle]
		o.Account = a
		h.deps.Outlets[a.Handle] = o
	}
	h.open()
	for i := range 10 {
		h.ask("jo", "POST", posts, fmt.Sprintf(`{"text":"n%d","targets":["acme-x"],"at":"2026-12-01T09:00"}`, i)).want(201)
	}
	body := func(text, at string) string {
		return fmt.Sprintf(`{"text":"%s","targets":["acme-x"],"at":"2026-12-01T%s"}`, text, at)
	}
	for at, want := range map[string]string{"08:59": "07:59:00", "09:00": "08:10:00", "09:05": "08:10:00", "09:09": "08:10:00", "09:10": "08:10:00", "09:11": "08:11:00"} {
		r := h.ask("jo", "POST", posts+"/validate", body("dry", at)).want(200)
		if got := r.text("targets", 0, "next_attempt_at"); got != "2026-12-01T"+want+".000Z" {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}
	r := h.ask("jo", "POST", posts, body("a", "09:05")).want(201)
	if r.text("warnings", 0, "code") != "spacing" || r.text("deliveries", 0, "next_attempt_at") != "2026-12-01T08:10:00.000Z" {
		t.Errorf("warnings %v, next %s", r.at("warnings"), r.text("deliveries", 0, "next_attempt_at"))
	}
	if r := h.ask("jo", "POST", posts, body("b", "08:30")).want(201); len(r.at("warnings").([]any)) != 0 {
		t.Errorf("with nothing before it: %v", r.at("warnings"))
	}
}
