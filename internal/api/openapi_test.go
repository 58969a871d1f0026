package api_test

import (
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/internal/api"
)

var update = flag.Bool("update", false, "write openapi.yaml anew")

func newAPI(h *house) (http.Handler, error) { return api.New(h.deps) }

func TestTheCommittedDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.ask("", "GET", "/openapi.yaml", "").want(200)
	if *update {
		if err := os.WriteFile("openapi.yaml", r.raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, "openapi.yaml")), string(r.raw)); diff != "" {
		t.Errorf("openapi.yaml is old: run go test ./internal/api -run Document -update (-committed +current):\n%s", diff)
	}
	doc := h.ask("", "GET", "/api/v1/openapi.json", "").want(200)
	if doc.text("openapi") != "3.1.0" {
		t.Errorf("version %q", doc.text("openapi"))
	}
	paths, _ := doc.at("paths").(map[string]any)
	for path, item := range paths {
		methods, _ := item.(map[string]any)
		for method := range methods {
			// Every path of the document is there, and asks for a key.
			at := strings.NewReplacer("{id}", "x", "{handle}", "x").Replace("/api/v1" + path)
			h.ask("", strings.ToUpper(method), at, "").code(401, "unauthorized")
		}
	}
}
