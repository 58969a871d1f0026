package api_test

import (
	"bytes"
	"testing"
)

// FuzzBodies sends whatever comes: the answer is never a server's error, and never repeats a value.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"text":"canary1","targets":["acme-x"],"at":"now"}`,
		`{"text":"canary1","targets":[{"account":"acme-x","options":{"a":null},"media":[]}],"at":"2026-12-01T09:00","draft":true}`,
		`{"cron":"0 9 * * *","posts":[{"text":"canary1","targets":["acme-x"]}]}`,
		`{"name":"canary1","scopes":["admin"]}`, `{"kind":"brand"}`, `{"at":"now"}`, `{"url":"https://canary1.example"}`,
		`[`, `{"a":{"a":{"a":1e999}}}`, `{"targets":[null,{"account":null}],"options":{"reddit":{"x":[1,2]}}}`,
	} {
		f.Add(seed)
	}
	h := newHouse(f)
	h.deps.RequestsPerMinute = 1e9
	h.open()
	f.Fuzz(func(t *testing.T, body string) {
		h.t = t
		for _, path := range []string{posts, posts + "/validate", "/api/v1/series", "/api/v1/keys", "/api/v1/pause", "/api/v1/media"} {
			r := h.ask("jo", "POST", path, body)
			if r.status >= 500 {
				t.Errorf("%s: %d %s", path, r.status, r.raw)
			}
			if r.status >= 400 && bytes.Contains(r.raw, []byte("canary1")) {
				t.Errorf("%s repeats what was sent: %s", path, r.raw)
			}
		}
	})
}
