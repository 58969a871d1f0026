package sandbox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crier/internal/sandbox"
	"crier/internal/sandbox/discovery"
)

const granule = 256 << 10

// tube speaks as one channel. Every request is held against Google's own description of the API.
type tube struct {
	*caller

	doc   *discovery.Document
	token string
}

func channel(extra ...string) sandbox.Identity {
	credentials := map[string]string{"client_id": "app", "client_secret": "hush", "refresh_token": "refresh"}
	for i := 0; i+1 < len(extra); i += 2 {
		credentials[extra[i]] = extra[i+1]
	}
	return sandbox.Identity{Platform: "youtube", ID: "UCbrand", Name: "Brand TV", Credentials: credentials}
}

func newTube(t *testing.T, identities ...sandbox.Identity) *tube {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatalf("find the module google.golang.org/api: %v", err)
	}
	doc, err := discovery.Load(filepath.Join(strings.TrimSpace(string(dir)), "youtube", "v3", "youtube-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	y := &tube{caller: newCaller(t, "", identities...), doc: doc}
	y.token, _ = y.login(t, "refresh").body["access_token"].(string)
	return y
}

func (y *tube) login(t *testing.T, refresh string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"app"}, "client_secret": {"hush"}}
	return send(t, http.MethodPost, y.url+"/youtube/token", "application/x-www-form-urlencoded", form.Encode(), nil)
}

// call sends a request that is well formed by Google's description, even where the sandbox refuses it.
func (y *tube) call(t *testing.T, method, path, query, body string) answer {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range y.doc.Check(method, path, q, []byte(body)) {
		t.Errorf("discovery: %s", fault)
	}
	return y.raw(t, method, path, query, body)
}

func (y *tube) raw(t *testing.T, method, path, query, body string) answer {
	t.Helper()
	return send(t, method, y.url+"/youtube/"+path+"?"+query, "application/json", body, map[string]string{"Authorization": "Bearer " + y.token})
}

func (a answer) reason() string {
	e, _ := a.body["error"].(map[string]any)
	list, _ := e["errors"].([]any)
	if len(list) == 0 {
		return ""
	}
	reason, _ := list[0].(map[string]any)["reason"].(string)
	return reason
}

func (y *tube) open(t *testing.T, body string) answer {
	t.Helper()
	return y.call(t, http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet,status", body)
}

func (y *tube) put(t *testing.T, address, contentRange, body string) answer {
	t.Helper()
	return send(t, http.MethodPut, address, "video/mp4", body, map[string]string{"Authorization": "Bearer " + y.token, "Content-Range": contentRange})
}

func (y *tube) video(t *testing.T, privacy string) string {
	t.Helper()
	open := y.open(t, `{"snippet":{"title":"Film","description":"long","tags":["a"],"categoryId":"22"},"status":{"privacyStatus":"`+privacy+`","selfDeclaredMadeForKids":false}}`)
	done := y.put(t, open.header.Get("Location"), "bytes 0-4/5", "video")
	if done.id() == "" {
		t.Fatalf("upload: %s %s", open.raw, done.raw)
	}
	return done.id()
}

func TestYouTubeResumableUpload(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	data := strings.Repeat("a", granule) + strings.Repeat("b", granule) + "end"
	size := len(data)
	at := y.open(t, `{"snippet":{"title":"Film"},"status":{"privacyStatus":"private"}}`).header.Get("Location")
	if !strings.HasPrefix(at, y.url+"/youtube/upload/") {
		t.Fatalf("Location %q", at)
	}
	steps := []struct {
		name, span, body string
		status           int
		arrived          string
	}{
		{"nothing yet", fmt.Sprintf("bytes */%d", size), "", 308, ""},
		{"first chunk", fmt.Sprintf("bytes 0-%d/%d", granule-1, size), data[:granule], 308, fmt.Sprintf("bytes=0-%d", granule-1)},
		{"gap", fmt.Sprintf("bytes %d-%d/%d", 2*granule, size-1, size), data[2*granule:], 400, ""},
		{"odd chunk", fmt.Sprintf("bytes %d-%d/%d", granule, granule+9, size), data[granule : granule+10], 400, ""},
		{"other size", fmt.Sprintf("bytes %d-%d/%d", granule, size, size+1), data[granule:] + "x", 400, ""},
		{"question", fmt.Sprintf("bytes */%d", size), "", 308, fmt.Sprintf("bytes=0-%d", granule-1)},
		{"overlap and end", fmt.Sprintf("bytes 0-%d/%d", size-1, size), data, 200, ""},
		{"question afterwards", fmt.Sprintf("bytes */%d", size), "", 200, ""},
	}
	for _, step := range steps {
		got := y.put(t, at, step.span, step.body)
		if got.status != step.status || got.header.Get("Range") != step.arrived {
			t.Fatalf("%s: status %d, Range %q: %s", step.name, got.status, got.header.Get("Range"), got.raw)
		}
	}
	digest := sha256.Sum256([]byte(data))
	acts := y.Record()
	if len(acts) != 1 || acts[0].Public || acts[0].Media[0] != hex.EncodeToString(digest[:]) {
		t.Errorf("record: %+v", acts)
	}
	if got := y.put(t, at+"x", "bytes */5", ""); got.status != 404 {
		t.Errorf("unknown upload: %d", got.status)
	}
}

func TestYouTubeChunksByPost(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	at := y.open(t, `{"snippet":{"title":"Film"},"status":{"privacyStatus":"private"}}`).header.Get("Location")
	header := map[string]string{"Authorization": "Bearer " + y.token, "X-GUploader-No-308": "yes", "Content-Range": fmt.Sprintf("bytes 0-%d/*", granule-1)}
	got := send(t, http.MethodPost, at, "video/mp4", strings.Repeat("a", granule), header)
	if got.status != 200 || got.header.Get("X-Http-Status-Code-Override") != "308" {
		t.Fatalf("chunk: %d %v", got.status, got.header)
	}
	header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", granule, granule, granule+1)
	if got := send(t, http.MethodPost, at, "video/mp4", "z", header); got.id() == "" {
		t.Errorf("end: %d %s", got.status, got.raw)
	}
}

func TestYouTubeVideoBecomesPublicOnce(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	id := y.video(t, "private")
	if got := y.call(t, http.MethodPost, "youtube/v3/commentThreads", "part=snippet", `{"snippet":{"videoId":"`+id+`","topLevelComment":{"snippet":{"textOriginal":"hi"}}}}`); got.reason() != "commentsDisabled" {
		t.Errorf("comment on a private video: %s", got.raw)
	}
	y.now = y.now.Add(time.Hour)
	y.token, _ = y.login(t, "refresh").body["access_token"].(string)
	for range 2 {
		got := y.call(t, http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"`+id+`","status":{"privacyStatus":"public"}}`)
		if got.status != 200 || !strings.Contains(got.raw, `"title":"Film"`) {
			t.Fatalf("update: %s", got.raw)
		}
	}
	acts := publicActs(y.Sandbox)
	if len(acts) != 1 || acts[0].Raw["made_public"] != "1" || !acts[0].At.Equal(y.now) {
		t.Fatalf("record: %+v", acts)
	}
	if page := send(t, http.MethodGet, acts[0].URL, "", "", nil); page.status != 200 || !strings.Contains(page.raw, "Film") {
		t.Errorf("permalink: %d", page.status)
	}
	got := y.call(t, http.MethodPut, "youtube/v3/videos", "part=snippet", `{"id":"`+id+`","snippet":{"title":"New","categoryId":"22"}}`)
	if strings.Contains(got.raw, "long") || !strings.Contains(got.raw, `"privacyStatus":"public"`) {
		t.Errorf("an update keeps other parts and drops what it leaves out of its own: %s", got.raw)
	}
	y.call(t, http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"`+id+`","status":{"privacyStatus":"private"}}`)
	y.call(t, http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"`+id+`","status":{}}`)
	if a := y.Record()[0]; a.Raw["made_public"] != "2" || !a.Public {
		t.Errorf("an unset privacyStatus is public: %+v", a)
	}
}

func TestYouTubeRefusals(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	id := y.video(t, "public")
	tests := []struct{ name, method, path, query, body, reason string }{
		{"no part", http.MethodGet, "youtube/v3/videos", "id=x", "", "required"},
		{"unknown parameter", http.MethodGet, "youtube/v3/channels", "part=id&me=true", "", "badRequest"},
		{"unknown field", http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet", `{"snippet":{"titel":"a"}}`, "badRequest"},
		{"empty title", http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet", `{"snippet":{"title":" "}}`, "invalidTitle"},
		{"title of 101", http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet", `{"snippet":{"title":"` + strings.Repeat("ü", 101) + `"}}`, "invalidTitle"},
		{"angle bracket", http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet", `{"snippet":{"title":"a<b"}}`, "invalidTitle"},
		{"description of 5002 bytes", http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet", `{"snippet":{"title":"a","description":"` + strings.Repeat("ü", 2501) + `"}}`, "invalidDescription"},
		{"privacy", http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"` + id + `","status":{"privacyStatus":"Public"}}`, "invalidVideoMetadata"},
		{"scheduled and public", http.MethodPost, "upload/youtube/v3/videos", "uploadType=resumable&part=snippet,status", `{"snippet":{"title":"a"},"status":{"privacyStatus":"public","publishAt":"2030-01-01T00:00:00Z"}}`, "invalidPublishAt"},
		{"update without title", http.MethodPut, "youtube/v3/videos", "part=snippet", `{"id":"` + id + `","snippet":{"categoryId":"22"}}`, "invalidTitle"},
		{"update of nothing", http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"none","status":{}}`, "videoNotFound"},
		{"unknown playlist", http.MethodGet, "youtube/v3/playlistItems", "part=id&playlistId=UUother", "", "playlistNotFound"},
		{"no picture", http.MethodPost, "upload/youtube/v3/thumbnails/set", "uploadType=media&videoId=" + id, "text", "invalidImage"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := y.raw(t, tt.method, tt.path, tt.query, tt.body); got.reason() != tt.reason || got.status < 400 {
				t.Errorf("reason %q, want %q: %s", got.reason(), tt.reason, got.raw)
			}
		})
	}
}

func TestYouTubeTokens(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	if got := y.login(t, "revoked"); got.status != 400 || got.body["error"] != "invalid_grant" {
		t.Errorf("revoked: %s", got.raw)
	}
	if got := y.call(t, http.MethodGet, "youtube/v3/channels", "part=id,contentDetails&mine=true", ""); !strings.Contains(got.raw, "UUbrand") {
		t.Errorf("channel: %s", got.raw)
	}
	y.now = y.now.Add(3599 * time.Second)
	if got := y.call(t, http.MethodGet, "youtube/v3/channels", "part=id&mine=true", ""); got.status != 401 || got.reason() != "authError" {
		t.Errorf("expired: %s", got.raw)
	}
}

func TestYouTubeFollowUps(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	first, second := y.video(t, "private"), y.video(t, "public")
	comment := y.call(t, http.MethodPost, "youtube/v3/commentThreads", "part=snippet", `{"snippet":{"videoId":"`+second+`","topLevelComment":{"snippet":{"textOriginal":"hi"}}}}`)
	if comment.id() == "" {
		t.Errorf("comment: %s", comment.raw)
	}
	if got := y.call(t, http.MethodPost, "upload/youtube/v3/thumbnails/set", "uploadType=media&videoId="+second, string(png(1))); got.status != 200 {
		t.Errorf("thumbnail: %s", got.raw)
	}
	if got := y.call(t, http.MethodPost, "youtube/v3/playlistItems", "part=snippet", `{"snippet":{"playlistId":"PLx","resourceId":{"kind":"youtube#video","videoId":"`+second+`"}}}`); got.id() == "" {
		t.Errorf("playlist: %s", got.raw)
	}
	y.now = y.now.Add(time.Minute)
	if got := y.call(t, http.MethodGet, "youtube/v3/commentThreads", "part=snippet&videoId="+second, ""); !strings.Contains(got.raw, comment.id()) {
		t.Errorf("comments: %s", got.raw)
	}
	page := y.call(t, http.MethodGet, "youtube/v3/playlistItems", "part=contentDetails&maxResults=1&playlistId=UUbrand", "")
	next, _ := page.body["nextPageToken"].(string)
	if !strings.Contains(page.raw, second) || next == "" {
		t.Fatalf("newest upload: %s", page.raw)
	}
	if page = y.call(t, http.MethodGet, "youtube/v3/playlistItems", "part=contentDetails&maxResults=1&playlistId=UUbrand&pageToken="+next, ""); !strings.Contains(page.raw, first) {
		t.Errorf("older upload: %s", page.raw)
	}
	if got := y.call(t, http.MethodDelete, "youtube/v3/videos", "id="+first, ""); got.status != 204 {
		t.Errorf("delete: %s", got.raw)
	}
	if got := y.call(t, http.MethodGet, "youtube/v3/videos", "part=id,status,fileDetails&id="+first+","+second, ""); strings.Contains(got.raw, first) || !strings.Contains(got.raw, second) {
		t.Errorf("videos: %s", got.raw)
	}
}

func TestYouTubeSwitches(t *testing.T) {
	t.Parallel()
	open := `{"snippet":{"title":"a"},"status":{"privacyStatus":"public"}}`
	t.Run("unaudited", func(t *testing.T) {
		t.Parallel()
		y := newTube(t, channel("unaudited", "true"))
		id := y.video(t, "public")
		got := y.call(t, http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"`+id+`","status":{"privacyStatus":"public"}}`)
		if !strings.Contains(got.raw, `"privacyStatus":"private"`) || len(publicActs(y.Sandbox)) != 0 {
			t.Errorf("update: %s", got.raw)
		}
	})
	t.Run("quota of uploads", func(t *testing.T) {
		t.Parallel()
		y := newTube(t, channel("quota_inserts", "1"))
		y.video(t, "public")
		if got := y.open(t, open); got.reason() != "quotaExceeded" {
			t.Errorf("second upload: %s", got.raw)
		}
		y.now = y.now.Add(24 * time.Hour)
		y.token, _ = y.login(t, "refresh").body["access_token"].(string)
		y.video(t, "public")
	})
	t.Run("quota of units", func(t *testing.T) {
		t.Parallel()
		y := newTube(t, channel("quota_units", "1"))
		y.call(t, http.MethodGet, "youtube/v3/channels", "part=id&mine=true", "")
		if got := y.call(t, http.MethodGet, "youtube/v3/channels", "part=id&mine=true", ""); got.reason() != "quotaExceeded" {
			t.Errorf("second read: %s", got.raw)
		}
	})
	t.Run("upload limit", func(t *testing.T) {
		t.Parallel()
		y := newTube(t, channel("upload_limit", "1"))
		y.video(t, "public")
		if got := y.open(t, open); got.reason() != "uploadLimitExceeded" {
			t.Errorf("second upload: %s", got.raw)
		}
	})
	t.Run("scheduled", func(t *testing.T) {
		t.Parallel()
		y := newTube(t, channel())
		at := y.open(t, `{"snippet":{"title":"a"},"status":{"privacyStatus":"private","publishAt":"2026-11-22T12:30:00Z"}}`).header.Get("Location")
		y.put(t, at, "bytes 0-0/1", "v")
		y.now = y.now.Add(31 * time.Minute)
		y.call(t, http.MethodGet, "youtube/v3/channels", "part=id&mine=true", "")
		if acts := publicActs(y.Sandbox); len(acts) != 1 || acts[0].At.Minute() != 30 {
			t.Errorf("record: %+v", acts)
		}
	})
}

func TestYouTubeFaultStrikesTheUpdateNotThePrivateUpload(t *testing.T) {
	t.Parallel()
	y := newTube(t, channel())
	y.Misbehave(sandbox.Fault{Platform: "youtube", Identity: "UCbrand", Kind: sandbox.PublishThenStatus, Status: 503, Times: 1})
	id := y.video(t, "private")
	got := y.call(t, http.MethodPut, "youtube/v3/videos", "part=status", `{"id":"`+id+`","status":{"privacyStatus":"public"}}`)
	if got.status != 503 || len(publicActs(y.Sandbox)) != 1 {
		t.Errorf("update: %d, %d acts", got.status, len(publicActs(y.Sandbox)))
	}
}
