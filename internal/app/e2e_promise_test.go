package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/sandbox"
)

// TestIdempotency repeats a request in every way: it is never two posts.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	d := begin(t)
	body := m{"text": "Say it once", "targets": []any{"acme-x"}, "at": "now", "external_id": "release-1"}
	first := d.sam.ask(http.MethodPost, "/posts", body, "Idempotency-Key", "k1")
	if first.status != http.StatusCreated || first.header.Get("Idempotent-Replayed") != "" {
		t.Fatalf("status %d, replayed %q: %s", first.status, first.header.Get("Idempotent-Replayed"), first.body)
	}
	made := read[postView](t, first)
	if loc := first.header.Get("Location"); loc != "/api/v1/posts/"+made.ID {
		t.Errorf("Location is %q", loc)
	}
	again := d.sam.ask(http.MethodPost, "/posts", body, "Idempotency-Key", "k1")
	if again.status != http.StatusCreated || again.header.Get("Idempotent-Replayed") != "true" || string(again.body) != string(first.body) {
		t.Errorf("repeated: status %d, replayed %q: %s", again.status, again.header.Get("Idempotent-Replayed"), again.body)
	}
	d.sam.refused(http.StatusUnprocessableEntity, "idempotency_mismatch", http.MethodPost, "/posts",
		m{"text": "Say another", "targets": []any{"acme-x"}, "at": "now"}, "Idempotency-Key", "k1")
	if p := d.sam.refused(http.StatusConflict, "external_id_exists", http.MethodPost, "/posts", body); p.Post != made.ID {
		t.Errorf("the earlier post is %s, told is %s", made.ID, p.Post)
	}
	delete(body, "external_id")
	if p := d.sam.refused(http.StatusUnprocessableEntity, "duplicate_content", http.MethodPost, "/posts", body); p.Post != made.ID {
		t.Errorf("the earlier post is %s, told is %s", made.ID, p.Post)
	}
	if a := d.mia.ask(http.MethodPost, "/posts", m{"text": "Mine", "targets": []any{"mia-x"}, "at": "now"}, "Idempotency-Key", "k1"); a.status != http.StatusCreated {
		t.Errorf("another person's key is met by the same words: %d %s", a.status, a.body)
	}
	d.sam.await(made.Deliveries[0].ID, "published")
	if n := len(d.town.acts("twitter", "1001")); n != 1 {
		t.Errorf("it is out %d times", n)
	}
}

// TestIdempotencyInParallel sends the same request many times at once.
func TestIdempotencyInParallel(t *testing.T) {
	t.Parallel()
	d := begin(t)
	var wg sync.WaitGroup
	answers := make([]answer, 16)
	for i := range answers {
		wg.Go(func() {
			a, err := d.sam.try(t.Context(), http.MethodPost, "/posts", m{"text": "Say it once", "targets": []any{"acme-x"}, "at": "now"}, "Idempotency-Key", "k")
			if err != nil {
				t.Error(err)
			}
			answers[i] = a
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, a := range answers {
		switch a.status {
		case http.StatusCreated:
			ids[read[postView](t, a).ID] = true
		case http.StatusConflict: // the first is still running
		default:
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d posts were made", len(ids))
	}
	until(t, "it is out", func() bool { return len(d.town.acts("twitter", "1001")) > 0 })
	quiet(t, 300*time.Millisecond)
	if n := len(d.town.acts("twitter", "1001")); n != 1 {
		t.Errorf("it is out %d times", n)
	}
}

// TestWrongIdentity gives an account the token of somebody else. It is held, says so, and posts nothing in either name.
func TestWrongIdentity(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		edits    []string
		account  string
		target   any
		platform string
	}{
		"X":               {[]string{"access_token: demo-x-acme, access_secret: demo-x-acme-secret", "access_token: demo-x-mia, access_secret: demo-x-mia-secret"}, "acme-x", "acme-x", "twitter"},
		"a Page":          {[]string{"page_token: demo-fb-acme", "page_token: demo-fb-mia"}, "acme-page", "acme-page", "facebook"},
		"Reddit":          {[]string{"refresh_token: demo-reddit-acme", "refresh_token: demo-reddit-mia"}, "acme-reddit", m{"account": "acme-reddit", "title": "Hi", "options": m{"subreddit": "test"}}, "reddit"},
		"a misspelt name": {[]string{"identity: acmeinc", "identity: acme_lnc"}, "acme-x", "acme-x", "twitter"},
		"another channel": {[]string{"refresh_token: demo-tube-acme", "refresh_token: demo-tube-mia"}, "acme-tube", nil, "youtube"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t, c.edits...)
			until(t, "the account is held", func() bool {
				return want[account](d.sam, http.StatusOK, http.MethodGet, "/accounts/"+c.account, nil).Status == "wrong_identity"
			})
			if c.target == nil {
				return
			}
			p := d.sam.post(m{"text": "Hi", "targets": []any{c.target}, "at": "now"})
			if !slices.ContainsFunc(p.Warnings, func(w issue) bool { return w.Code == "account_held" }) {
				t.Errorf("nothing warns of the hold: %+v", p.Warnings)
			}
			quiet(t, 700*time.Millisecond)
			if x := d.sam.delivery(p.Deliveries[0].ID); x.State != "scheduled" || !slices.Contains(x.Holds, hold{"wrong_identity"}) {
				t.Errorf("the delivery is %s with the holds %v", x.State, x.Holds)
			}
			if out := d.town.texts(c.platform); len(out) != 0 {
				t.Errorf("out is %q", out)
			}
			// A person cannot wave it through.
			want[account](d.sam, http.StatusOK, http.MethodPost, "/accounts/"+c.account+"/resume", m{})
			quiet(t, 300*time.Millisecond)
			if out := d.town.texts(c.platform); len(out) != 0 {
				t.Errorf("after resuming, out is %q", out)
			}
		})
	}
}

// TestOddAnswerAboutTheIdentity has the platform answer the question for the identity with nonsense. That says nothing of
// the content: the delivery waits and does not fail.
func TestOddAnswerAboutTheIdentity(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusNotFound, http.StatusBadRequest, http.StatusInternalServerError} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			w.box.Misbehave(sandbox.Fault{
				Platform: "youtube", Match: "v3/channels", Kind: sandbox.Refuse, Status: status,
				Body: fmt.Sprintf(`{"error":{"code":%d,"message":"No","errors":[{"reason":"notFound","message":"No"}]}}`, status),
			})
			d := w.start(t)
			film := d.sam.upload("film.mp4", app.DemoFilm(1<<16), "")
			x := d.sam.post(m{"text": "Who am I", "at": "now", "targets": []any{
				m{"account": "acme-tube", "title": "Who am I", "media": []any{film}, "options": m{"privacy": "public", "made_for_kids": false}},
			}}).Deliveries[0]
			got := d.sam.awaits(x.ID, "was tried", func(x delivery) bool { return len(x.AttemptsLog) > 0 })
			if got.State != "scheduled" || got.reason() == "content" || len(w.texts("youtube")) != 0 {
				t.Errorf("it is %s, reason %+v", got.State, got.Reason)
			}
		})
	}
}

// TestRestart stops the daemon as a signal does while requests are under way, some of which the platform then carries
// out, and starts it again on the same folder: everything is out once.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, fault := range []sandbox.FaultKind{sandbox.PublishThenHang, sandbox.HangBefore, sandbox.PublishThenCut} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			d := w.start(t)
			remove := d.misbehave(sandbox.Fault{Kind: fault, Delay: time.Second})
			ids := []string{}
			for i := range 3 {
				text := fmt.Sprintf("Through the restart %d", i)
				reddit, _ := targetOf("reddit", text)
				p := d.sam.post(m{"text": text, "targets": []any{"acme-x", "acme-page", reddit}, "at": "now"})
				for _, x := range p.Deliveries {
					ids = append(ids, x.ID)
				}
			}
			w.underWay(t, 3)
			if err := d.stop(); err != nil {
				t.Fatalf("stopping: %v", err)
			}
			if _, err := d.sam.try(t.Context(), http.MethodGet, "/status", nil); err == nil {
				t.Error("stopped, it still answers")
			}
			remove()
			d = w.start(t)
			for _, id := range ids {
				d.sam.await(id, "published")
			}
			for _, platform := range []string{"twitter", "facebook", "reddit"} {
				out := w.texts(platform)
				slices.Sort(out)
				if got := strings.Join(out, "|"); got != "Through the restart 0|Through the restart 1|Through the restart 2" {
					t.Errorf("%s has %s", platform, got)
				}
			}
		})
	}
}

// TestAcceptedBeforeTheStopIsKept stops the daemon while clients create posts: each that was answered with 201 is there
// afterwards, and goes out once.
func TestAcceptedBeforeTheStopIsKept(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	d := w.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	accepted := map[string]string{}
	asked := map[string]bool{}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; i < 40 && ctx.Err() == nil; i++ {
				text := fmt.Sprintf("Clerk %d, letter %d", g, i)
				mu.Lock()
				asked[text] = true
				mu.Unlock()
				a, err := d.sam.try(ctx, http.MethodPost, "/posts", m{"text": text, "targets": []any{"acme-page"}, "at": "now"})
				if err != nil || a.status != http.StatusCreated {
					return // it goes down
				}
				p := read[postView](t, a)
				mu.Lock()
				accepted[text] = p.Deliveries[0].ID
				mu.Unlock()
			}
		})
	}
	until(t, "some are accepted", func() bool { mu.Lock(); defer mu.Unlock(); return len(accepted) > 10 })
	if err := d.stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	cancel()
	wg.Wait()
	d = w.start(t)
	for _, id := range accepted {
		d.sam.await(id, "published")
	}
	until(t, "nothing is left", func() bool {
		open := want[list[delivery]](d.sam, http.StatusOK, http.MethodGet, "/deliveries?state=scheduled,sending,unconfirmed", nil)
		return len(open.Items) == 0
	})
	count := map[string]int{}
	for _, text := range w.texts("facebook") {
		if count[text]++; count[text] > 1 || !asked[text] {
			t.Errorf("%q is out %d times, asked for: %t", text, count[text], asked[text])
		}
	}
	for text := range accepted {
		if count[text] != 1 {
			t.Errorf("%q was accepted and is out %d times", text, count[text])
		}
	}
}
