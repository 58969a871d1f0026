package api_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzBodies sends whatever comes: the answer is never a server's error, and never repeats a value. The name of an
// unknown field it does repeat, as it must.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"text":"canary1","targets":["acme-x"],"at":"now"}`,
		`{"text":"canary1","targets":[{"account":"acme-x","options":{"a":null},"media":[]}],"at":"2026-12-01T09:00","draft":true}`,
		`{"cron":"0 9 * * *","posts":[{"text":"canary1","targets":["acme-x"]}]}`,
		`{"name":"canary1","scopes":["admin"]}`, `{"kind":"brand"}`, `{"at":"now"}`, `{"xcanary1":"canary1"}`, `{"url":"https://canary1.example"}`,
		`[`, `{"a":{"a":{"a":1e999}}}`, `{"targets":[null,{"account":null}],"options":{"reddit":{"x":[1,2]}}}`,
	} {
		f.Add(seed)
	}
	h := newHouse(f)
	h.deps.RequestsPerMinute = 1e9
	h.open()
	f.Fuzz(func(t *testing.T, body string) {
		h.t = t
		var sent any
		_ = json.NewDecoder(strings.NewReader(body)).Decode(&sent) // what is no JSON has no names
		named := inNames(sent, "canary1")
		for _, path := range []string{posts, posts + "/validate", "/api/v1/series", "/api/v1/keys", "/api/v1/pause", "/api/v1/media"} {
			r := h.ask("jo", "POST", path, body)
			if r.status >= 500 {
				t.Errorf("%s: %d %s", path, r.status, r.raw)
			}
			if r.status >= 400 && !named && bytes.Contains(r.raw, []byte("canary1")) {
				t.Errorf("%s repeats what was sent: %s", path, r.raw)
			}
		}
	})
}

// inNames reports whether a text is part of the name of any field.
func inNames(v any, text string) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, of := range v {
			if strings.Contains(name, text) || inNames(of, text) {
				return true
			}
		}
	case []any:
		for _, of := range v {
			if inNames(of, text) {
				return true
			}
		}
	}
	return false
}
