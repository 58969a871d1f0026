package discovery_test

import (
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/internal/sandbox/discovery"
)

func youtube(t *testing.T) *discovery.Document {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatalf("find the module google.golang.org/api: %v", err)
	}
	doc, err := discovery.Load(filepath.Join(strings.TrimSpace(string(dir)), "youtube", "v3", "youtube-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestCheckFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	doc := youtube(t)
	const upload = "/upload/youtube/v3/videos"
	tests := []struct {
		name, method, path, query, body string
		want                            []string
	}{
		{name: "good insert", method: http.MethodPost, path: upload, query: "uploadType=resumable&part=snippet,status&notifySubscribers=false", body: `{"snippet":{"title":"a","tags":["b"]},"status":{"privacyStatus":"private","publishAt":"2026-11-22T12:00:00Z"}}`},
		{name: "good update", method: http.MethodPut, path: "youtube/v3/videos", query: "part=status", body: `{"id":"x","status":{"privacyStatus":"public"}}`},
		{name: "good repeated parameter", method: http.MethodGet, path: "/youtube/v3/videos", query: "part=id&part=snippet&id=x&maxResults=50"},
		{name: "good thumbnail", method: http.MethodPost, path: "/upload/youtube/v3/thumbnails/set", query: "videoId=x&uploadType=media", body: "\xff\xd8"},
		{name: "good chunk", method: http.MethodPut, path: upload, query: "uploadType=resumable&upload_id=x", body: "bytes"},
		{name: "missing part", method: http.MethodGet, path: "/youtube/v3/videos", query: "id=x", want: []string{"youtube.videos.list: parameter part is required"}},
		{name: "tags as string", method: http.MethodPost, path: upload, query: "uploadType=resumable&part=snippet", body: `{"snippet":{"tags":"a,b"}}`, want: []string{"youtube.videos.insert: body.snippet.tags: is no array"}},
		{name: "snake case field", method: http.MethodPost, path: upload, query: "uploadType=resumable&part=snippet", body: `{"snippet":{"category_id":"22"}}`, want: []string{"youtube.videos.insert: body.snippet.category_id: is unknown"}},
		{name: "bad publishAt", method: http.MethodPost, path: upload, query: "uploadType=resumable&part=status", body: `{"status":{"publishAt":"tomorrow"}}`, want: []string{`youtube.videos.insert: body.status.publishAt: "tomorrow" is no date-time`}},
		{name: "wrong enum case", method: http.MethodPost, path: upload, query: "uploadType=resumable&part=status", body: `{"status":{"privacyStatus":"Public"}}`, want: []string{`youtube.videos.insert: body.status.privacyStatus: "Public" is not one of public, unlisted, private`}},
		{name: "unknown parameter", method: http.MethodGet, path: "/youtube/v3/channels", query: "part=id&me=true", want: []string{"youtube.channels.list: parameter me is unknown"}},
		{name: "boolean parameter", method: http.MethodGet, path: "/youtube/v3/channels", query: "part=id&mine=yes", want: []string{`youtube.channels.list: parameter mine: "yes" is not true or false`}},
		{name: "too many results", method: http.MethodGet, path: "/youtube/v3/playlistItems", query: "part=id&maxResults=51", want: []string{"youtube.playlistItems.list: parameter maxResults: 51 is above 50"}},
		{name: "single parameter twice", method: http.MethodDelete, path: "/youtube/v3/videos", query: "id=a&id=b", want: []string{"youtube.videos.delete: parameter id is given twice"}},
		{name: "missing resourceId", method: http.MethodPost, path: "/youtube/v3/playlistItems", query: "part=snippet", body: `{"snippet":{"playlistId":"x"}}`, want: []string{"youtube.playlistItems.insert: body.snippet.resourceId: is required"}},
		{name: "wrong path", method: http.MethodGet, path: "/youtube/v3/video", want: []string{`no method has path "youtube/v3/video"`}},
		{name: "wrong method", method: http.MethodPatch, path: "/youtube/v3/videos", want: []string{`PATCH is no method of path "youtube/v3/videos"`}},
		{name: "update without id", method: http.MethodPut, path: "/youtube/v3/videos", query: "part=status", body: `{"status":{}}`, want: []string{"youtube.videos.update: body.id: is required"}},
		{name: "body not JSON", method: http.MethodPut, path: "/youtube/v3/videos", query: "part=status", body: `id=x`, want: []string{"youtube.videos.update: body is not JSON"}},
		{name: "upload without type", method: http.MethodPost, path: upload, query: "part=snippet", want: []string{"youtube.videos.insert: an upload names uploadType media, multipart or resumable"}},
		{name: "body on a read", method: http.MethodGet, path: "/youtube/v3/videos", query: "part=id&id=x", body: `{}`, want: []string{"youtube.videos.list: takes no body"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			got := doc.Check(tt.method, tt.path, query, []byte(tt.body))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefusesWhatIsNoDocument(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `{}`, `{"resources":{"a":{"methods":1}}}`} {
		if _, err := discovery.Parse([]byte(text)); err == nil {
			t.Errorf("Parse(%q) found a document", text)
		}
	}
	if _, err := discovery.Load(filepath.Join(t.TempDir(), "missing.json")); err == nil {
		t.Error("Load of a missing file succeeded")
	}
}
