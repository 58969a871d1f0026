package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/api"
	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/scheduler"
	"crier/store"
)

// send claims what is due and settles it, as the scheduler would, and gives the first of it.
func (h *house) send(settled func(d *post.Delivery) post.Settled) post.Delivery {
	h.t.Helper()
	now := h.deps.Now()
	turn := store.Turn{
		Now: now, Owner: "test", Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 10, post.Personal: 10},
	}
	out, err := h.store.Turn(h.t.Context(), turn)
	if err != nil || len(out.Claims) == 0 {
		h.t.Fatalf("claims %d: %v", len(out.Claims), err)
	}
	turn.Room = nil
	for i := range out.Claims {
		d := &out.Claims[i].Delivery
		s := settled(d)
		s.Part, s.Fence = out.Claims[i].Part, d.Fence
		turn.Results = append(turn.Results, store.Result{Delivery: d.ID, Settled: s, Attempts: []post.Attempt{{
			N: 1, Act: "publish", StartedAt: now, EndedAt: now, Outcome: post.OutcomeUnknown, Decision: "test",
		}}})
	}
	if _, err := h.store.Turn(h.t.Context(), turn); err != nil {
		h.t.Fatalf("settling: %v", err)
	}
	return out.Claims[0].Delivery
}

const deliveries = "/api/v1/deliveries"

func TestRetryResolveAndAccept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"one","thread":["two"],"targets":["acme-x"],"at":"now"}`).want(201)
	path := deliveries + "/" + made.text("deliveries", 0, "id")
	h.ask("jo", "POST", path+"/retry", "").code(428, "precondition_required")
	h.send(func(*post.Delivery) post.Settled {
		return post.Settled{To: post.Failed, Reason: &post.Reason{Code: "content", Message: "no"}, Counted: true}
	})
	failed := h.ask("jo", "GET", path, "").want(200)
	if failed.text("state") != "failed" || failed.text("content", "text") != "one" || failed.text("attempts_log", 0, "decision") != "test" {
		t.Errorf("failed: %s", failed.raw)
	}
	h.ask("jo", "POST", path+"/accept", "").code(409, "wrong_state")
	h.ask("jo", "POST", path+"/resolve", `{"verdict":"not_published","then":"retry"}`, "If-Match", "*").code(409, "wrong_state")
	h.ask("jo", "POST", path+"/retry", "", "If-Match", failed.header.Get("ETag")).want(200)
	h.ask("jo", "POST", path+"/retry", "", "If-Match", failed.header.Get("ETag")).code(412, "stale")

	h.clock.Add(time.Minute.Milliseconds())
	h.send(func(*post.Delivery) post.Settled {
		return post.Settled{To: post.Unconfirmed, Counted: true, Began: h.deps.Now()}
	})
	h.ask("jo", "POST", path+"/retry", "", "If-Match", "*").code(409, "resolve_first")
	if r := h.ask("jo", "GET", posts+"/"+made.text("id"), "").want(200); r.text("state") != "attention" {
		t.Errorf("the post of an unconfirmed delivery is %s", r.text("state"))
	}
	for body, want := range map[string]string{
		`{}`: "verdict_required", `{"verdict":"published"}`: "url_invalid", `{"verdict":"not_published"}`: "then_required",
		`{"verdict":"published","url":"https://evil.example/status/1"}`:        "url_invalid",
		`{"verdict":"published","url":"https://x.com/acme/status/1","part":1}`: "part_invalid",
	} {
		h.ask("jo", "POST", path+"/resolve", body, "If-Match", "*").code(422, want)
	}
	r := h.ask("jo", "POST", path+"/resolve", `{"verdict":"published","url":"https://x.com/acme/status/123?s=20"}`, "If-Match", "*").want(200)
	if r.text("receipt", "remote_id") != "123" || r.text("state") != "scheduled" {
		t.Errorf("resolved: %s", r.raw)
	}
	h.clock.Add(time.Minute.Milliseconds())
	h.send(func(*post.Delivery) post.Settled { return post.Settled{To: post.Failed, Counted: true} })
	if r := h.ask("jo", "POST", path+"/accept", "").want(200); r.text("state") != "published" {
		t.Errorf("accepted: %s", r.raw)
	}
	if r := h.ask("jo", "POST", path+"/cancel", ""); r.status != 409 {
		t.Errorf("cancelling what is out: %s", r.raw)
	}
}

func TestRescheduleAndCancel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("jo", "POST", posts, `{"text":"one","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	path := deliveries + "/" + made.text("deliveries", 0, "id")
	r := h.ask("jo", "POST", path+"/reschedule", `{"at":"2026-12-05T07:30","time_zone":"Asia/Tokyo"}`).want(200)
	if r.text("due") != "2026-12-04T22:30:00.000Z" || r.text("local_due") != "2026-12-05T07:30" || r.text("time_zone") != "Asia/Tokyo" {
		t.Errorf("rescheduled: %s", r.raw)
	}
	h.ask("jo", "POST", path+"/reschedule", `{}`).code(422, "at_required")
	h.ask("jo", "POST", path+"/reschedule", `{"at":"now"}`, "If-Match", made.header.Get("ETag")).code(412, "stale")
	h.ask("vic", "POST", path+"/cancel", "").code(403, "forbidden")
	if r := h.ask("jo", "POST", path+"/cancel", "").want(200); r.text("state") != "canceled" {
		t.Errorf("canceled: %s", r.raw)
	}
}

// The history says that a withdrawal was asked for where it was not done.
func TestTheHistorySaysWhatACancelDid(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	last := func(id string) string {
		items := h.ask("jo", "GET", posts+"/"+id+"/history", "").want(200).at("items").([]any)
		x := items[len(items)-1].(map[string]any)
		return fmt.Sprint(x["type"], " from ", x["from"], " to ", x["to"], " by ", x["actor"])
	}
	flying := h.ask("jo", "POST", posts, `{"text":"one","targets":["acme-x"],"at":"now"}`).want(201)
	turn := store.Turn{Now: h.deps.Now(), Owner: "test", Lease: time.Minute, Room: map[post.Kind]int{post.Brand: 1}}
	if out, err := h.store.Turn(t.Context(), turn); err != nil || len(out.Claims) != 1 {
		t.Fatalf("claiming: %v", err)
	}
	r := h.ask("jo", "POST", deliveries+"/"+flying.text("deliveries", 0, "id")+"/cancel", "").want(200)
	if got := last(flying.text("id")); r.text("state") != "sending" || r.at("cancel_requested") != true ||
		got != "delivery.cancel_requested from sending to sending by jo" {
		t.Errorf("%s, and the history says %s", r.text("state"), got)
	}
	waiting := h.ask("jo", "POST", posts, `{"text":"two","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	h.ask("jo", "POST", deliveries+"/"+waiting.text("deliveries", 0, "id")+"/cancel", "").want(200)
	if got := last(waiting.text("id")); got != "delivery.canceled from scheduled to canceled by jo" {
		t.Errorf("the history says %s", got)
	}
}

func TestListsHavePages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 5 {
		h.ask("jo", "POST", posts, fmt.Sprintf(`{"text":"n%d","targets":["acme-x"],"at":"2026-12-01T09:0%d","labels":["l%d"]}`, i, i, i%2)).want(201)
	}
	for _, list := range []string{posts, deliveries} {
		seen := map[string]bool{}
		next := list + "?limit=2"
		for pages := 0; next != ""; pages++ {
			if pages > 3 {
				t.Fatalf("%s does not end", list)
			}
			r := h.ask("jo", "GET", next, "").want(200)
			for i := range r.at("items").([]any) {
				seen[r.text("items", i, "id")] = true
			}
			next = ""
			if link := r.header.Get("Link"); link != "" {
				next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			}
			if (next == "") != (r.at("next_cursor") == nil) {
				t.Errorf("Link %q with next_cursor %v", r.header.Get("Link"), r.at("next_cursor"))
			}
		}
		if len(seen) != 5 {
			t.Errorf("%s: %d items, want 5", list, len(seen))
		}
	}
	for query, want := range map[string]int{
		"label=l1": 2, "author=jo": 5, "author=mia": 0, "state=scheduled": 5, "state=published,canceled": 0, "account=acme-page": 0,
		"kind=brand": 5, "kind=personal": 0, "from=2026-12-01T08:03:00Z": 2, "to=2026-12-01T08:03:00Z": 3,
	} {
		if n := h.ask("jo", "GET", posts+"?"+query, "").want(200).at("items").([]any); len(n) != want {
			t.Errorf("?%s: %d, want %d", query, len(n), want)
		}
	}
}

func TestMedia(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	upload := func(who string, file []byte, alt string) reply {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile("file", "x.exe")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(file)
		_ = w.WriteField("alt", alt)
		_ = w.Close()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/media", &b)
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+keyOf(who))
		r.Header.Set("Idempotency-Key", "upload")
		return h.do(r)
	}
	up := upload("mia", picture(t), "a dot").want(201)
	id := up.text("id")
	if up.text("type") != "image/png" || up.text("alt") != "a dot" || up.at("width") != 8.0 {
		t.Errorf("uploaded: %s", up.raw)
	}
	if again := upload("mia", picture(t), "a dot").want(201); again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same upload again: %v", again.header)
	}
	upload("mia", picture(t), "other words").code(422, "idempotency_mismatch")
	upload("jo", []byte("<svg/>"), "").code(422, "media_type")

	path := "/api/v1/media/" + id
	h.ask("jo", "GET", path, "").code(404, "not_found")
	h.ask("jo", "POST", posts, `{"text":"x","media":["`+id+`"],"targets":["acme-x"],"at":"now"}`).code(422, "media_not_found")
	h.ask("jo", "POST", posts, `{"text":"x","targets":[{"account":"acme-x","options":{"thumbnail":"`+id+`"}}],"at":"now"}`).code(422, "media_not_found")
	h.ask("mia", "POST", posts, `{"text":"x","media":[{"id":"`+id+`","alt":""}],"targets":["mia-x"],"at":"2026-12-01T09:00"}`).want(201)
	h.ask("jo", "GET", path, "").code(404, "not_found")
	h.ask("mia", "DELETE", path, "").code(409, "in_use")
	made := h.ask("mia", "POST", posts, `{"text":"x","media":["`+id+`"],"targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	if made.text("media", 0, "alt") != "a dot" {
		t.Errorf("media of the post: %s", made.raw)
	}
	if r := h.ask("jo", "GET", path, "").want(200); len(r.at("used_by").([]any)) != 1 {
		t.Errorf("others see who else uses it: %s", r.raw)
	}
	h.ask("jo", "POST", posts, `{"text":"y","draft":true,"targets":[{"account":"acme-page","options":{"thumbnail":"`+id+`"}}]}`).want(201)
	h.ask("vic", "DELETE", path, "").code(403, "forbidden")

	r := h.ask("jo", "GET", path+"/content", "").want(200)
	for name, want := range map[string]string{
		"Content-Type": "image/png", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
		"Content-Disposition": `attachment; filename="` + id[:16] + `.png"`,
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	got := h.ask("jo", "POST", "/api/v1/media", `{"url":"https://a.example/a.png","alt":"fetched"}`).want(201)
	if got.text("id") != id {
		t.Errorf("the fetched file is %s", got.text("id"))
	}
	h.ask("jo", "POST", "/api/v1/media", `{"url":"http://169.254.169.254/"}`).code(422, "fetch_refused")
	h.ask("jo", "POST", "/api/v1/media", `{}`).code(422, "url_required")
	byURL := h.ask("jo", "POST", posts, `{"text":"by url","media":[{"url":"https://a.example/a.png","alt":"z"}],"targets":["acme-x"],"at":"now"}`).want(201)
	if byURL.text("media", 0, "id") != id || byURL.text("media", 0, "alt") != "z" {
		t.Errorf("media by address: %s", byURL.raw)
	}
	if r := h.ask("jo", "POST", posts+"/validate", `{"text":"v","media":[{"url":"https://a.example/a.png"}],"targets":["acme-x"],"at":"now"}`).want(200); r.at("ok") != true {
		t.Errorf("a dry run with an address: %s", r.raw)
	}
}

func TestValidateStoresNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.ask("jo", "POST", posts+"/validate", `{"text":"hello","targets":["acme-x",{"account":"acme-page","text":"`+strings.Repeat("a", 300)+`"}],"at":"2026-12-01T09:00"}`).want(200)
	if r.at("ok") != false || r.text("targets", 0, "due") != "2026-12-01T08:00:00.000Z" || r.text("targets", 1, "problems", 0, "code") != "too_long" ||
		r.at("targets", 1, "length", "used") != 300.0 || r.text("targets", 0, "preview", "text") != "hello" {
		t.Errorf("validation: %s", r.raw)
	}
	if n := h.ask("jo", "GET", posts, "").at("items").([]any); len(n) != 0 {
		t.Error("a dry run stored a post")
	}
}

func TestSeries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const series = "/api/v1/series"
	made := h.ask("jo", "POST", series, `{"name":"weekly","cron":"0 9 * * MON-FRI","time_zone":"Europe/Berlin","posts":[{"text":"a","targets":["acme-x"]},{"text":"b","targets":["acme-x"]}],"order":"cycle"}`).want(201)
	if n := made.at("next").([]any); len(n) != 5 || made.text("next", 0, "at") != "2026-11-25T08:00:00.000Z" || made.text("next", 0, "local") != "2026-11-25T09:00" {
		t.Errorf("next: %s", made.raw)
	}
	path := series + "/" + made.text("id")
	run := made.text("next", 1, "run")
	r := h.ask("jo", "POST", path+"/skip", `{"run":"`+run+`"}`).want(200)
	if r.text("next", 1, "run") == run {
		t.Errorf("the run is not left out: %s", r.raw)
	}
	if p := h.ask("jo", "GET", path+"/preview?n=2", "").want(200); p.at("items", 1, "skipped") != true {
		t.Errorf("preview: %s", p.raw)
	}
	h.ask("jo", "POST", path+"/skip", `{"run":"2001-01-01T09:00"}`).code(422, "run_unknown")
	plan := h.ask("jo", "GET", "/api/v1/plan?from=2026-11-24T00:00:00Z&to=2026-12-01T00:00:00Z", "").want(200)
	if n := plan.at("items").([]any); len(n) != 3 || plan.text("items", 0, "series") != made.text("id") {
		t.Errorf("plan: %s", plan.raw)
	}
	h.ask("jo", "PATCH", path, `{"every":"2w","start":"2026-12-04T17:00"}`, "If-Match", `"s99"`).code(412, "stale")
	r = h.ask("jo", "PATCH", path, `{"every":"2w","start":"2026-12-04T17:00"}`, "If-Match", r.header.Get("ETag")).want(200)
	if r.at("cron") != nil || r.text("next", 0, "at") != "2026-12-04T16:00:00.000Z" {
		t.Errorf("patched: %s", r.raw)
	}
	h.ask("jo", "PATCH", path, `{"posts":[{"text":"x","at":"now","targets":["acme-x"]}]}`).code(422, "unknown_field")
	for body, want := range map[string]string{
		`{"cron":"0 9 * * *"}`:                                                        "posts_required",
		`{"posts":[{"text":"x","targets":["acme-x"]}]}`:                               "recurrence_required",
		`{"cron":"61 * * * *","posts":[{"text":"x","targets":["acme-x"]}]}`:           "cron_invalid",
		`{"cron":"0 9 * * *","order":"x","posts":[{"text":"","targets":["acme-x"]}]}`: "invalid_type",
		`{"cron":"0 9 * * *","posts":[{"text":"","targets":["acme-x"]}]}`:             "empty",
		`{"cron":"0 9 * * *","posts":[{"text":"x","targets":["acme-x"],"y":1}]}`:      "unknown_field",
	} {
		h.ask("jo", "POST", series, body).code(422, want)
	}
	h.ask("vic", "DELETE", path, "").code(403, "forbidden")
	h.ask("jo", "DELETE", path, "").want(204)
	h.ask("jo", "GET", path, "").code(404, "not_found")
}

// A series is its brand's: who did not upload its pictures changes it all the same, and gains no other file by it.
func TestAColleagueChangesASeriesWithAPicture(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	file := h.ask("mia", "POST", "/api/v1/media", `{"url":"https://a.example/a.png","alt":"a dot"}`).want(201).text("id")
	body := `{"text":"x","media":[{"id":"` + file + `","alt":"of the series"}],"targets":["acme-x"]}`
	h.clock.Add(time.Minute.Milliseconds())
	made := h.ask("mia", "POST", "/api/v1/series", `{"every":"1w","start":"2026-12-04T17:00","posts":[`+body+`]}`).want(201)
	path := "/api/v1/series/" + made.text("id")
	at := "/api/v1/media/" + file
	if r := h.ask("vic", "GET", at, "").want(200); r.text("alt") != "of the series" || r.text("used_by", 0) != "acme-x" || r.text("created_at") != made.text("created_at") {
		t.Errorf("who sees the series is told of its file: %s", r.raw)
	}
	h.ask("vic", "GET", at+"/content", "").want(200)
	h.ask("zoe", "GET", at, "").code(404, "not_found")
	h.ask("jo", "DELETE", at, "").code(409, "in_use")
	if r := h.ask("jo", "PATCH", path, `{"name":"weekly"}`).want(200); r.text("name") != "weekly" {
		t.Errorf("renamed: %s", r.raw)
	}
	h.ask("jo", "PATCH", path, `{"posts":[{"text":"y","targets":["acme-x"]},`+body+`]}`).want(200)
	h.ask("jo", "PATCH", path, `{"posts":[{"text":"y","targets":["acme-x"]}]}`).want(200)
	r := h.ask("jo", "PATCH", path, `{"posts":[`+body+`]}`).code(422, "media_not_found")
	if r.errorsAt() != "posts[0].media[0] media_not_found" {
		t.Errorf("a file that the series no longer has: %s", r.raw)
	}
}

func TestPausesAndStatus(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("jo", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`).want(201)
	h.ask("jo", "POST", "/api/v1/pause", "").code(403, "forbidden")
	h.ask("jo", "POST", "/api/v1/pause", `{"brand":"acme"}`).code(403, "forbidden")
	h.ask("zoe", "POST", "/api/v1/pause", `{"brand":"acme"}`).code(404, "not_found")
	h.ask("mia", "POST", "/api/v1/pause", `{"brand":"acme","reason":"storm"}`).want(200)
	h.clock.Add(time.Second.Milliseconds())
	r := h.ask("jo", "GET", "/api/v1/status", "").want(200)
	if r.text("stops", 0, "reason") != "storm" || r.at("counts", "brand", "scheduled") != 1.0 || r.at("next_due") != nil {
		t.Errorf("status: %s", r.raw)
	}
	if p := h.ask("jo", "GET", posts+"?state=attention", "").want(200); p.text("items", 0, "deliveries", 0, "holds", 0, "reason") != "paused" ||
		p.text("items", 0, "state") != "attention" {
		t.Errorf("a stopped post: %s", p.raw)
	}
	h.ask("mia", "POST", "/api/v1/resume", `{"brand":"acme","late":"next-slot"}`).code(422, "no_slots")
	h.ask("mia", "POST", "/api/v1/resume", `{"brand":"acme","late":"send"}`).want(200)
	h.ask("mia", "POST", "/api/v1/resume", `{"brand":"acme"}`).code(409, "not_paused")

	before := h.ask("jo", "GET", "/api/v1/accounts/acme-x", "").want(200).header.Get("ETag")
	a := h.ask("jo", "POST", "/api/v1/accounts/acme-x/pause", `{"reason":"check"}`, "If-Match", before).want(200)
	if a.text("status") != "paused" || a.text("holds", 0, "by") != "jo" {
		t.Errorf("paused: %s", a.raw)
	}
	w := h.ask("jo", "POST", posts, `{"text":"y","targets":["acme-x"],"at":"2026-12-01T09:00"}`).want(201)
	if w.text("warnings", 0, "code") != "account_held" {
		t.Errorf("warnings: %s", w.raw)
	}
	h.ask("vic", "POST", "/api/v1/accounts/acme-x/resume", "").code(403, "forbidden")
	h.ask("jo", "POST", "/api/v1/accounts/acme-x/resume", "", "If-Match", before).code(412, "stale")
	if a := h.ask("jo", "POST", "/api/v1/accounts/acme-x/resume", "").want(200); a.text("status") != "ok" {
		t.Errorf("resumed: %s", a.raw)
	}
	h.ask("jo", "POST", "/api/v1/accounts/acme-x/verify", "").code(403, "forbidden")
	h.sched.verify = &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: "the token is refused"}
	if v := h.ask("mia", "POST", "/api/v1/accounts/acme-x/verify", "").want(200); v.at("ok") != false || v.text("reason", "code") != "auth" {
		t.Errorf("verified: %s", v.raw)
	}
	h.ask("", "GET", "/healthz", "").want(200)
	h.ask("", "GET", "/readyz", "").want(200)
	h.sched.now = func() time.Time { return h.deps.Now().Add(-2 * time.Minute) }
	h.ask("", "GET", "/readyz", "").code(503, "not_ready")
}

func TestPreferWaitAnswersOnceEverythingHasSettled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	done := make(chan reply, 1)
	go func() {
		done <- h.ask("jo", "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`, "Prefer", "wait=30")
	}()
	h.publish(h.stored())
	select {
	case r := <-done:
		r.want(201)
		if r.text("state") != "published" || r.header.Get("Preference-Applied") != "wait=30" {
			t.Errorf("after waiting: %s", r.raw)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the request waits on")
	}
}

// stored waits for the one post that is being made.
func (h *house) stored() post.ID {
	h.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		page, err := h.store.ListPosts(h.t.Context(), store.Filter{Now: h.deps.Now()})
		if err != nil || time.Now().After(deadline) {
			h.t.Fatalf("the post was not stored: %v", err)
		}
		if len(page.Items) > 0 {
			return page.Items[0].Post.ID
		}
	}
}

// publish has everything of a post go out that is due, and tells of it.
func (h *house) publish(id post.ID) {
	h.t.Helper()
	h.send(func(d *post.Delivery) post.Settled {
		remote := "77 on " + d.Account.Handle
		return post.Settled{Counted: true, Receipt: &post.Receipt{RemoteID: remote, URL: "https://x.com/a/status/77", At: h.deps.Now()}}
	})
	h.hub.Notify(id)
}

func TestWhoWaitsIsNotToldOfATargetThatIsHidden(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.ask("mia", "POST", "/api/v1/keys", `{"name":"one","scopes":["posts:write"],"accounts":["acme-x"]}`).want(201).text("key")
	done := make(chan reply, 1)
	go func() {
		done <- h.ask(key, "POST", posts, `{"text":"x","targets":["acme-x"],"at":"now"}`, "Prefer", "wait=30")
	}()
	id := h.stored()
	h.ask("mia", "PATCH", posts+"/"+id.String(), `{"targets":["acme-x","acme-page"]}`, "If-Match", "*").want(200)
	h.publish(id)
	select {
	case r := <-done:
		if r.want(201); strings.Contains(string(r.raw), "acme-page") {
			t.Errorf("a key for one account was told of another: %s", r.raw)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the request waits on")
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deps.RequestsPerMinute = 3
	h.open()
	for range 3 {
		h.ask("jo", "GET", "/api/v1/me", "").want(200)
	}
	r := h.ask("jo", "GET", "/api/v1/me", "").code(429, "too_many_requests")
	if r.header.Get("Retry-After") != "20" || r.header.Get("RateLimit-Policy") != `"default";q=3;w=60` || r.header.Get("RateLimit") != `"default";r=0;t=60` {
		t.Errorf("header: %v", r.header)
	}
	h.ask("mia", "GET", "/api/v1/me", "").want(200)
	h.clock.Add(20_000)
	h.ask("jo", "GET", "/api/v1/me", "").want(200)
}

func TestNewRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deps.ConfiguredKeys = append(h.deps.ConfiguredKeys, h.deps.ConfiguredKeys[0])
	if _, err := newAPI(h); err == nil {
		t.Error("two keys with one id were taken")
	}
	h.deps.Store = nil
	if _, err := newAPI(h); err == nil {
		t.Error("an API without a store was made")
	}
}

func TestHiddenErrorsStayHidden(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.sched.verify = errors.New("canary of a cause")
	if r := h.ask("mia", "POST", "/api/v1/accounts/acme-x/verify", "").want(http.StatusOK); bytes.Contains(r.raw, []byte("canary")) {
		t.Errorf("tells the cause: %s", r.raw)
	}
}

// TestAClosedHubLetsNobodyWait closes the hub under one who waits, and then asks again.
func TestAClosedHubLetsNobodyWait(t *testing.T) {
	t.Parallel()
	h := &api.Hub{}
	id := post.ID{1}
	news, stop := h.Watch(id)
	h.Notify(id)
	h.Close()
	h.Notify(id)
	if _, open := <-news; !open {
		t.Error("what was told before the end is lost")
	}
	if _, open := <-news; open {
		t.Error("who waits is kept waiting")
	}
	stop()
	later, stop := h.Watch(id)
	defer stop()
	if _, open := <-later; open {
		t.Error("who comes later is kept waiting")
	}
}

// materialize makes the next run of a series, as the planner would.
func (h *house) materialize(id string) {
	h.t.Helper()
	parsed, err := post.ParseID(id)
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := h.store.SeriesByID(h.t.Context(), parsed)
	if err != nil {
		h.t.Fatal(err)
	}
	rule, err := recurrence.Parse(scheduler.Spec(s))
	if err != nil {
		h.t.Fatal(err)
	}
	run, _ := rule.Next(h.deps.Now())
	env := compose.Env{
		Now: h.deps.Now(), NewID: h.deps.NewID,
		Outlet: func(handle string) (compose.Outlet, bool) {
			o, ok := h.deps.Outlets[handle]
			return compose.Outlet{Account: o.Account, Check: o.Check}, ok
		},
		Media: func(string) (post.Media, bool) { return post.Media{}, false },
	}
	o, err := compose.Occurrence(env, s, s.Posts[0], run)
	if err != nil {
		h.t.Fatal(err)
	}
	w := store.Write{Now: h.deps.Now(), Actor: "crier"}
	if n, err := h.store.Materialize(h.t.Context(), w, s.ID, s.Revision, run.At, 1, []store.Occurrence{o}); err != nil || n != 1 {
		h.t.Fatalf("made %d: %v", n, err)
	}
}

// hasty is a store in which somebody else pauses an account right before whatever is asked of it.
type hasty struct{ store.Store }

func (h hasty) first(ctx context.Context, key post.AccountKey) {
	_ = h.Store.HoldLane(ctx, store.Write{Now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), Actor: "mia"}, store.HoldOn{
		Account: key, Hold: post.Hold{Reason: post.HoldPaused, Detail: "storm"},
	})
}

func (h hasty) HoldLane(ctx context.Context, w store.Write, on store.HoldOn) error {
	h.first(ctx, on.Account)
	return h.Store.HoldLane(ctx, w, on)
}

func (h hasty) ReleaseLane(ctx context.Context, w store.Write, r store.Release) error {
	h.first(ctx, r.Account)
	return h.Store.ReleaseLane(ctx, w, r)
}

func TestAPauseThatSomebodyElseWasFasterWithIsNotOverwritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deps.Store = hasty{h.store}
	h.open()
	const account = "/api/v1/accounts/acme-x"
	for _, x := range [][2]string{{"/pause", `{"reason":"lunch"}`}, {"/resume", `{}`}, {"/resume", `{"late":"miss"}`}} {
		read := h.ask("jo", "GET", account, "").want(200).header.Get("ETag")
		h.ask("jo", "POST", account+x[0], x[1], "If-Match", read).code(412, "stale")
		if a := h.ask("jo", "GET", account, "").want(200); a.text("status") != "paused" || a.text("holds", 0, "detail") != "storm" {
			t.Errorf("after %s%s: %s", x[0], x[1], a.raw)
		}
	}
	h.ask("jo", "POST", account+"/resume", "", "If-Match", "*").want(200)
}
