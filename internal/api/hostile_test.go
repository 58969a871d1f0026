package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEveryListHasPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 3 {
		h.ask("mia", "POST", "/api/v1/keys", fmt.Sprintf(`{"name":"k%d","scopes":["posts:read"]}`, i)).want(201)
		h.ask("mia", "POST", "/api/v1/series", fmt.Sprintf(`{"cron":"0 9 * * *","posts":[{"text":"s%d","targets":["acme-x"]}]}`, i)).want(201)
	}
	post := h.ask("mia", "POST", posts, `{"text":"h","targets":["acme-x","acme-page"],"at":"2026-12-01T09:00"}`).want(201)
	for list, want := range map[string]int{
		"/api/v1/accounts": 6, "/api/v1/keys": 4, "/api/v1/series": 3, posts + "/" + post.text("id") + "/history": 3,
	} {
		n := 0
		for next := list + "?limit=1"; next != ""; {
			r := h.ask("mia", "GET", next, "").want(200)
			if n += len(r.at("items").([]any)); n > want {
				break
			}
			link := r.header.Get("Link")
			if (link == "") != (r.at("next_cursor") == nil) {
				t.Errorf("%s: Link %q with next_cursor %v", list, link, r.at("next_cursor"))
			}
			next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
		if n != want {
			t.Errorf("%s: %d items over all pages, want %d", list, n, want)
		}
		for _, bad := range []string{"limit=0", "limit=501", "cursor=!", "cursor=bm9wZQ"} {
			h.ask("mia", "GET", list+"?"+bad, "").code(422, "invalid_parameter")
		}
	}
}

// Who deletes what a page lists goes on with the next page.
func TestAPageFollowsWhatHasGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 5 {
		h.ask("mia", "POST", keys, fmt.Sprintf(`{"name":"k%d","scopes":["posts:read"]}`, i)).want(201)
	}
	deleted := 0
	for next := keys + "?limit=2"; next != ""; {
		r := h.ask("mia", "GET", next, "").want(200)
		for i := range r.at("items").([]any) {
			if r.text("items", i, "managed") == "api" {
				h.ask("mia", "DELETE", keys+"/"+r.text("items", i, "id"), "").want(204)
				deleted++
			}
		}
		next = strings.TrimSuffix(strings.TrimPrefix(r.header.Get("Link"), "<"), `>; rel="next"`)
	}
	if deleted != 5 {
		t.Errorf("%d of 5 keys were listed", deleted)
	}
}

func TestPathsThatAreNotCleanAreNotThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{"//api/v1/posts", "/api/v1//posts", "/api/v1/../../etc/passwd", "/api/v1/posts/./x"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.URL.Path = path
		h.do(r).code(404, "not_found")
	}
}

func TestFilesThatCannotBeFetchedAreNamedByTheirPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const far = `{"url":"http://169.254.169.254/"}`
	for body, want := range map[string]string{
		`{"text":"a","targets":["acme-x"],"at":"now","media":[` + far + `]}`:                                     "media[0].url",
		`{"text":"a","targets":["acme-x",{"account":"acme-page","media":[` + far + `]}],"at":"now"}`:             "targets[1].media[0].url",
		`{"text":"a","targets":["acme-x"],"at":"now","thread":["b",{"text":"c","media":[` + far + `]}]}`:         "thread[1].media[0].url",
		`{"text":"a","targets":["acme-x"],"at":"now","media":[{"id":"x","url":"http://a.example/"}]}`:            "media[0]",
		`{"text":"a","targets":[{"account":"acme-x","thread":[{"text":"c","media":[` + far + `]}]}],"at":"now"}`: "targets[0].thread[0].media[0].url",
	} {
		if r := h.ask("jo", "POST", posts, body).want(422); r.text("errors", 0, "location") != want {
			t.Errorf("%s: at %s, want %s", body, r.text("errors", 0, "location"), want)
		}
	}
	if r := h.ask("jo", "POST", "/api/v1/media", far).code(422, "fetch_refused"); r.text("errors", 0, "location") != "url" {
		t.Errorf("media: %s", r.raw)
	}
	series := `{"cron":"0 9 * * *","posts":[{"text":"a","targets":["acme-x"],"media":[` + far + `]}]}`
	if r := h.ask("jo", "POST", "/api/v1/series", series).code(422, "fetch_refused"); r.text("errors", 0, "location") != "posts[0].media[0].url" {
		t.Errorf("series: %s", r.raw)
	}
}

func TestASeriesForAnAccountThatIsNotThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, account := range []string{"nobody-x", "mia-x"} {
		r := h.ask("jo", "POST", "/api/v1/series", `{"cron":"0 9 * * *","posts":[{"text":"a","targets":["`+account+`"]}]}`)
		if r.code(404, "account_not_found"); r.text("errors", 0, "location") != "posts[0].targets[0].account" {
			t.Errorf("%s: %s", account, r.raw)
		}
	}
	h.ask("jo", "POST", "/api/v1/series", `{"cron":"0 9 * * *","posts":[{"text":"a"}]}`).code(422, "targets_required")
}

func TestAKeyForSomeAccountsDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.ask("boss", "POST", "/api/v1/keys", `{"name":"page","scopes":["admin"],"accounts":["acme-page"]}`).want(201).text("key")
	h.ask(key, "POST", "/api/v1/pause", `{}`).code(403, "forbidden")
	h.ask(key, "POST", "/api/v1/pause", `{"brand":"acme"}`).code(403, "forbidden")
	h.ask("boss", "POST", "/api/v1/pause", `{}`).want(200)
	h.ask(key, "POST", "/api/v1/resume", `{}`).code(403, "forbidden")
	h.ask(key, "POST", "/api/v1/accounts/acme-page/pause", `{}`).want(200)
}

func TestRefusalsOfAFileAreProblems(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("jo", "POST", "/api/v1/media", `{"url":"https://a.example/a.png"}`).want(201).text("id")
	content := "/api/v1/media/" + id + "/content"
	h.ask("jo", "GET", content, "", "Range", "bytes=9999999-").code(416, "range_invalid")
	h.ask("jo", "GET", content, "", "If-Match", `"x"`).code(412, "stale")
	h.ask("jo", "GET", content, "", "Range", "bytes=0-3").want(206)
	form := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + string(picture(t)) + "\r\n--x--\r\n"
	h.ask("jo", "POST", "/api/v1/media", form, "Content-Type", `Multipart/Form-Data; boundary=x`).want(201)
}

func TestAnIdempotencyKeyThatIsNoneIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, key := range []string{strings.Repeat("a", 256), "", "a\tb", "\u00e9"} {
		r := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"now"}`, "Idempotency-Key", key)
		if r.code(400, "idempotency_key_invalid"); r.text("errors", 0, "location") != "header.Idempotency-Key" {
			t.Errorf("%s", r.raw)
		}
	}
}

func TestAnIdempotencyKeyMayHoldBlanks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 2 {
		h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"now"}`, "Idempotency-Key", "a b").want(201)
	}
}

// Who asks for a version that is no longer there is told so, whatever the method.
func TestAReadIsAnsweredOnlyIfItMatches(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	post := h.ask("mia", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	series := h.ask("mia", "POST", "/api/v1/series", `{"cron":"0 9 * * *","posts":[{"text":"s","targets":["acme-x"]}]}`).want(201)
	file := h.ask("mia", "POST", "/api/v1/media", `{"url":"https://a.example/a.png"}`).want(201)
	for _, path := range []string{
		posts + "/" + post.text("id"), deliveries + "/" + post.text("deliveries", 0, "id"), "/api/v1/accounts/acme-x",
		"/api/v1/series/" + series.text("id"), "/api/v1/media/" + file.text("id"), "/api/v1/media/" + file.text("id") + "/content",
	} {
		tag := h.ask("mia", "GET", path, "").want(200).header.Get("ETag")
		for _, method := range []string{"GET", "HEAD"} {
			h.ask("mia", method, path, "", "If-Match", tag).want(200)
			h.ask("mia", method, path, "", "If-Match", "*").want(200)
			if r := h.ask("mia", method, path, "", "If-Match", `"x"`).want(412); r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %v", method, path, r.header)
			}
			h.ask("mia", method, path, "", "If-None-Match", tag).want(304)
		}
	}
	h.ask("mia", "POST", "/api/v1/accounts/acme-x/verify", "", "If-Match", `"a99"`).code(412, "stale")
	h.ask("mia", "POST", "/api/v1/accounts/acme-x/verify", "", "If-Match", h.ask("mia", "GET", "/api/v1/accounts/acme-x", "").header.Get("ETag")).want(200)
}

// A list that is empty is there.
func TestEmptyListsAreLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	post := h.ask("jo", "POST", posts, `{"text":"a","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	r := h.ask("jo", "GET", deliveries+"/"+post.text("deliveries", 0, "id"), "").want(200)
	if list, ok := r.at("attempts_log").([]any); !ok || len(list) != 0 {
		t.Errorf("a delivery without attempts: %s", r.raw)
	}
	if r := h.ask("jo", "GET", deliveries, "").want(200); strings.Contains(string(r.raw), "attempts_log") {
		t.Errorf("a list tells of attempts: %s", r.raw)
	}
	r = h.ask("jo", "GET", posts+"/none", "").want(404)
	if list, ok := r.at("errors").([]any); !ok || len(list) != 0 {
		t.Errorf("a problem without fields: %s", r.raw)
	}
}

// What a picture shows is taken as it was sent, or not at all.
func TestAWordThatIsNoTextIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, alt := range []string{"a\x00b", "a\xffb"} {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.WriteField("alt", alt)
		part, err := w.CreateFormFile("file", "x.png")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(picture(t))
		_ = w.Close()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/media", &b)
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+keyOf("mia"))
		if got := h.do(r).code(422, "invalid_text"); got.errorsAt() != "alt invalid_text" {
			t.Errorf("%q: %s", alt, got.raw)
		}
	}
}

func TestAPlanStaysInsideTheCalendar(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("jo", "GET", "/api/v1/plan?from=9999-12-31T00:00:00Z", "").code(422, "invalid_parameter")
	if r := h.ask("jo", "GET", "/api/v1/plan?from=0001-01-01T00:00:00Z", "").want(200); r.text("from") != "0001-01-01T00:00:00.000Z" {
		t.Errorf("from %s", r.text("from"))
	}
}

// over serves the house over a connection.
func (h *house) over(tb testing.TB) net.Conn {
	tb.Helper()
	server := httptest.NewServer(h.handler)
	tb.Cleanup(server.Close)
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAClientThatSendsTooMuchIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	conn := h.over(t)
	body := bytes.Repeat([]byte("a"), 10<<20)
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", posts, keyOf("jo"), len(body)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(body); err != nil {
		t.Fatalf("the connection ended while the body was sent: %v", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge || !bytes.Contains(b, []byte("too_large")) {
		t.Errorf("%d %s %v", answer.StatusCode, b, err)
	}
}

func TestDeletingAFileThatAnotherPersonUploadedTooLeavesItToThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	upload := func(person string) string {
		return h.ask(person, "POST", "/api/v1/media", `{"url":"https://a.example/a.png"}`).want(201).text("id")
	}
	file := "/api/v1/media/" + upload("mia")
	upload("jo")
	h.ask("mia", "POST", posts, `{"text":"mine","targets":["mia-x"],"at":"2026-12-01T09:00","media":["`+strings.TrimPrefix(file, "/api/v1/media/")+`"]}`).want(201)
	h.ask("jo", "DELETE", file, "").want(204)
	h.ask("jo", "GET", file, "").want(404)
	h.ask("mia", "GET", file+"/content", "").want(200)
	h.ask("mia", "DELETE", file, "").code(409, "in_use")
}

// Who deletes the last upload of a file is not told that somebody whom they do not see still needs it.
func TestDeletingAFileTellsOfNoUseThatIsHidden(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	upload := func(person string) string {
		return h.ask(person, "POST", "/api/v1/media", `{"url":"https://a.example/a.png"}`).want(201).text("id")
	}
	id := upload("mia")
	file := "/api/v1/media/" + id
	upload("jo")
	h.ask("mia", "POST", posts, `{"text":"mine","targets":["mia-x"],"at":"2026-12-01T09:00","media":["`+id+`"]}`).want(201)
	key := h.ask("mia", "POST", keys, `{"name":"brand","scopes":["admin"],"accounts":["acme-x"]}`).want(201).text("key")
	h.ask(key, "DELETE", file, "").want(204) // hers, through a key that does not see her own account
	h.ask("jo", "DELETE", file, "").want(204)
	h.ask("jo", "GET", file, "").want(404)
	h.ask("mia", "GET", file+"/content", "").want(200)
	h.ask("jo", "POST", posts, `{"text":"x","media":["`+upload("jo")+`"],"targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	h.ask("jo", "DELETE", file, "").code(409, "in_use")
}

// slow is a body that never comes, over a connection whose deadline is seen.
type slow struct {
	http.ResponseWriter
	deadlines chan time.Time
}

func (s slow) SetReadDeadline(at time.Time) error {
	s.deadlines <- at
	return nil
}

func TestABodyHasToKeepComing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, key := range map[string]string{"with a key": keyOf("jo"), "a stranger": "crier_no_0123456789abcdefghij"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := slow{ResponseWriter: httptest.NewRecorder(), deadlines: make(chan time.Time, 10)}
			r := httptest.NewRequestWithContext(t.Context(), "POST", posts, strings.NewReader(`{"text":`))
			r.Header.Set("Authorization", "Bearer "+key)
			h.handler.ServeHTTP(w, r)
			close(w.deadlines)
			if at, ok := <-w.deadlines; !ok || at.IsZero() || time.Until(at) > time.Minute {
				t.Errorf("the first deadline is %v", at)
			}
			var last time.Time
			for at := range w.deadlines {
				last = at
			}
			if read := key == keyOf("jo"); read && !last.IsZero() {
				t.Errorf("after the body's end the deadline is %v, which would end a waiting answer", last)
			}
		})
	}
}
