package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPostSendsWhatWasAsked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "post.json")
	if err := os.WriteFile(file, []byte(`{"text":"From a file","at":"next-slot","targets":["acme-x"],"thread":[{"text":"2"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		in   string
		want string
	}{
		"now unless told otherwise": {
			[]string{"post", "Hello", "--to", "acme-x"},
			"",
			`{"at":"now","targets":[{"account":"acme-x"}],"text":"Hello"}`,
		},
		"text from the standard input": {
			[]string{"post", "-", "--to", "a", "--to", "b", "--at", "2026-12-01T09:00", "--time-zone", "UTC"},
			"Line one\nLine two\n",
			`{"at":"2026-12-01T09:00","targets":[{"account":"a"},{"account":"b"}],"text":"Line one\nLine two","time_zone":"UTC"}`,
		},
		"everything": {
			[]string{
				"post", "--to", "r", "--title", "T", "--link", "https://a.example", "--draft", "--external-id", "e1", "--label", "l",
				"--option", "reddit.subreddit=golang", "--option", "nsfw=false", "--option", `poll:={"options":["a","b"]}`, "--allow-duplicate",
			},
			"",
			`{"allow_duplicate":true,"draft":true,"external_id":"e1","labels":["l"],"link":"https://a.example",` +
				`"options":{"nsfw":false,"poll":{"options":["a","b"]},"reddit":{"subreddit":"golang"}},"targets":[{"account":"r"}],"title":"T"}`,
		},
		"a file": {
			[]string{"post", "-f", file},
			"",
			`{"at":"next-slot","targets":["acme-x"],"text":"From a file","thread":[{"text":"2"}]}`,
		},
		"a file and flags": {
			[]string{"post", "-f", file, "--at", "now", "Other words"},
			"",
			`{"at":"now","targets":["acme-x"],"text":"Other words","thread":[{"text":"2"}]}`,
		},
		"stored media and media elsewhere": {
			[]string{
				"post", "--to", "a", "--media", strings.Repeat("a1", 32), "--alt", "A", "--media", "https://a.example/b.png",
			},
			"",
			`{"at":"now","media":[{"id":"` + strings.Repeat("a1", 32) + `","alt":"A"},{"url":"https://a.example/b.png"}],"targets":[{"account":"a"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, s := remote(t, map[string]answer{"POST /api/v1/posts": {status: 201, body: postJSON}})
			s.in = test.in
			if got := s.run(t.Context(), test.args...); got.status != 0 {
				t.Fatalf("status %d: %s", got.status, got.err)
			}
			req := d.last("POST /api/v1/posts")
			if diff := cmp.Diff(test.want, req.Body); diff != "" {
				t.Error(diff)
			}
			if got := req.Header.Get("Authorization"); got != "Bearer crier_1_topsecret" {
				t.Errorf("Authorization is %q", got)
			}
			if req.Header.Get("Idempotency-Key") == "" {
				t.Error("there is no idempotency key")
			}
		})
	}
}

func TestPostUploadsFirst(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0f", 32)
	d, s := remote(t, map[string]answer{
		"POST /api/v1/posts": {status: 201, body: postJSON},
		"POST /api/v1/media": {status: 201, body: `{"id":"` + id + `"}`},
	})
	file := filepath.Join(t.TempDir(), "a.png")
	if err := os.WriteFile(file, []byte("the picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t.Context(), "post", "Hi", "--to", "a", "--media", file, "--alt", "A calendar"); got.status != 0 {
		t.Fatal(got.err)
	}
	up := d.last("POST /api/v1/media")
	r := &http.Request{Method: http.MethodPost, Header: up.Header, Body: io.NopCloser(strings.NewReader(up.Body))}
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		t.Fatal(err)
	}
	f, head, err := r.FormFile("file")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil || string(b) != "the picture" || head.Filename != "a.png" || r.FormValue("alt") != "A calendar" {
		t.Errorf("uploaded %q as %q with alt %q, %v", b, head.Filename, r.FormValue("alt"), err)
	}
	want := `{"at":"now","media":[{"id":"` + id + `","alt":"A calendar"}],"targets":[{"account":"a"}],"text":"Hi"}`
	if diff := cmp.Diff(want, d.last("POST /api/v1/posts").Body); diff != "" {
		t.Error(diff)
	}
}

func TestPostWaitTellsWhetherItIsOut(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]int{"published": 0, "in_review": 0, "failed": 1, "partial": 1, "missed": 1} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			d, s := remote(t, map[string]answer{
				"POST /api/v1/posts": {status: 201, body: strings.ReplaceAll(postJSON, `"state":"scheduled","due"`, `"state":"`+state+`","due"`)},
			})
			got := s.run(t.Context(), "post", "Hi", "--to", "a", "--wait")
			if got.status != want {
				t.Errorf("status %d, want %d: %s", got.status, want, got.err)
			}
			if p := d.last("POST /api/v1/posts").Header.Get("Prefer"); p != "wait=30" {
				t.Errorf("Prefer is %q", p)
			}
			if !strings.Contains(got.out, postID) {
				t.Error("the post is not shown")
			}
		})
	}
}

func TestPostWaitEnds(t *testing.T) {
	t.Parallel()
	_, s := remote(t, map[string]answer{"POST /api/v1/posts": {status: 201, body: postJSON}})
	got := s.run(t.Context(), "post", "Hi", "--to", "a", "--wait=50ms")
	if got.status != 1 || !strings.Contains(got.err, "not settled within 50ms") {
		t.Errorf("status %d: %s", got.status, got.err)
	}
}
