package app_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/internal/sandbox"
)

// targetOf is a target on one platform for a text that is the title too where there has to be one.
func targetOf(platform, text string) (target any, identity string) {
	switch platform {
	case "twitter":
		return "acme-x", "1001"
	case "facebook":
		return "acme-page", "1029384756"
	}
	return m{"account": "acme-reddit", "title": text, "options": m{"subreddit": "test"}}, "t2_acme"
}

// TestLostAnswer loses the answer of a commit in every way. What the platform has is found there and never sent again;
// what it has not is sent once more.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	faults := map[string]sandbox.Fault{
		"out, then cut":       {Kind: sandbox.PublishThenCut},
		"out, then a half":    {Kind: sandbox.PublishThenHalf},
		"out, then nothing":   {Kind: sandbox.PublishThenEmpty},
		"out, then an error":  {Kind: sandbox.PublishThenStatus, Status: http.StatusInternalServerError},
		"out, then a gateway": {Kind: sandbox.PublishThenHTML502},
		"lost, then silence":  {Kind: sandbox.HangBefore, Delay: 200 * time.Millisecond},
		"lost, then cut":      {Kind: sandbox.CutBefore},
		"lost at the gateway": {Kind: sandbox.HTML502},
	}
	for name, fault := range faults {
		for _, platform := range []string{"twitter", "facebook", "reddit"} {
			t.Run(platform+" "+name, func(t *testing.T) {
				t.Parallel()
				d := begin(t)
				here := fault
				here.Platform, here.Times = platform, 1
				d.misbehave(here)
				target, identity := targetOf(platform, "Did it go out")
				x := d.sam.post(m{"text": "Did it go out", "targets": []any{target}, "at": "now"}).Deliveries[0]
				got := d.sam.await(x.ID, "published")
				acts := d.town.acts(platform, identity)
				if len(acts) != 1 {
					t.Fatalf("it is out %d times", len(acts))
				}
				d.town.same(t, got.Receipt, acts[0])
				if !slices.ContainsFunc(got.AttemptsLog, func(a struct{ Outcome, Decision string }) bool { return a.Outcome == "unknown" }) {
					t.Errorf("the log tells of no doubt: %+v", got.AttemptsLog)
				}
			})
		}
	}
}

// TestLateListing has the platform show a post only after two looks did not see it.
func TestLateListing(t *testing.T) {
	t.Parallel()
	d := begin(t)
	d.misbehave(sandbox.Fault{Platform: "twitter", Kind: sandbox.LateListing, Times: 1, Delay: 600 * time.Millisecond})
	d.misbehave(sandbox.Fault{Platform: "twitter", Kind: sandbox.PublishThenCut, Times: 1})
	x := d.sam.post(m{"text": "Shown late", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
	d.sam.awaits(x.ID, "was looked for", func(x delivery) bool { return x.reason() == "not_seen_yet" })
	got := d.sam.await(x.ID, "published")
	acts := d.town.acts("twitter", "1001")
	if len(acts) != 1 {
		t.Fatalf("it is out %d times", len(acts))
	}
	d.town.same(t, got.Receipt, acts[0])
}

// TestLateRequest has the platform carry out a request only after the connection was cut, and after two looks that do not
// show it yet: the third one, within the horizon, finds it.
func TestLateRequest(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"twitter", "facebook", "reddit"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			w.looks = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, 4 * time.Second}
			d := w.start(t)
			d.misbehave(sandbox.Fault{Platform: platform, Kind: sandbox.LatePublish, Times: 1, Delay: 1500 * time.Millisecond})
			target, identity := targetOf(platform, "Carried out late")
			x := d.sam.post(m{"text": "Carried out late", "targets": []any{target}, "at": "now"}).Deliveries[0]
			d.sam.awaits(x.ID, "was looked for", func(x delivery) bool { return x.reason() == "not_seen_yet" })
			got := d.sam.await(x.ID, "published")
			quiet(t, time.Second)
			acts := w.acts(platform, identity)
			if len(acts) != 1 {
				t.Fatalf("it is out %d times", len(acts))
			}
			w.same(t, got.Receipt, acts[0])
		})
	}
}

// TestTwins loses the answer to the second of two posts that say the same. The first one's receipt is not borrowed for
// it, whether it went out or not.
func TestTwins(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.FaultKind{"the second is out": sandbox.PublishThenCut, "the second is lost": sandbox.CutBefore} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			target, identity := targetOf("reddit", "Good morning")
			body := m{"text": "Good morning", "targets": []any{target}, "at": "now"}
			first := d.sam.await(d.sam.post(body).Deliveries[0].ID, "published")
			d.misbehave(sandbox.Fault{Platform: "reddit", Kind: fault, Times: 1})
			body["allow_duplicate"] = true
			second := d.sam.await(d.sam.post(body).Deliveries[0].ID, "published")
			acts := d.town.acts("reddit", identity)
			if len(acts) != 2 {
				t.Fatalf("it is out %d times, want 2", len(acts))
			}
			d.town.same(t, first.Receipt, acts[0])
			d.town.same(t, second.Receipt, acts[1])
		})
	}
}

func TestRefusedContentFailsWithTheReason(t *testing.T) {
	t.Parallel()
	d := begin(t)
	x := d.sam.post(m{
		"text": "Let me in", "at": "now",
		"targets": []any{m{"account": "acme-reddit", "title": "Let me in", "options": m{"subreddit": "membersonly"}}},
	}).Deliveries[0]
	got := d.sam.await(x.ID, "failed")
	if got.Reason == nil || got.Reason.Code == "" || got.Reason.Message == "" {
		t.Errorf("it failed without a reason: %+v", got.Reason)
	}
	p := want[postView](d.sam, http.StatusOK, http.MethodGet, "/posts/"+got.Post, nil)
	if p.State != "attention" {
		t.Errorf("a post with a failed delivery is %s", p.State)
	}
	d.misbehave(sandbox.Fault{Platform: "twitter", Kind: sandbox.Refuse, Times: 1, Status: http.StatusBadRequest, Body: `{"title":"Invalid Request","detail":"no","status":400}`})
	y := d.sam.post(m{"text": "Refused once", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
	d.sam.await(y.ID, "failed")
	d.sam.refused(http.StatusPreconditionRequired, "precondition_required", http.MethodPost, "/deliveries/"+y.ID+"/retry", m{})
	d.sam.refused(http.StatusPreconditionFailed, "stale", http.MethodPost, "/deliveries/"+y.ID+"/retry", m{}, "If-Match", `"0"`)
	d.sam.act(y, "retry", m{}, "If-Match", d.sam.delivery(y.ID).etag)
	d.sam.await(y.ID, "published")
	if n := len(d.town.acts("twitter", "1001")); n != 1 {
		t.Errorf("after the retry it is out %d times", n)
	}
}

// TestRateLimitHoldsTheLane waits for the platform's own time, without a failure and without delaying another account.
func TestRateLimitHoldsTheLane(t *testing.T) {
	t.Parallel()
	d := begin(t)
	d.misbehave(sandbox.Fault{Platform: "reddit", Kind: sandbox.RateLimit, Times: 1, Delay: time.Second})
	target, identity := targetOf("reddit", "Patience")
	x := d.sam.post(m{"text": "Patience", "targets": []any{target}, "at": "now"}).Deliveries[0]
	held := d.sam.awaits(x.ID, "is held", func(x delivery) bool { return slices.Contains(x.Holds, hold{"rate_limited"}) })
	if held.State != "scheduled" || held.Attempts != 0 {
		t.Errorf("held by the platform it is %s after %d attempts", held.State, held.Attempts)
	}
	if a := want[account](d.sam, http.StatusOK, http.MethodGet, "/accounts/acme-reddit", nil); a.Status != "rate_limited" {
		t.Errorf("the account is %s", a.Status)
	}
	other := d.sam.post(m{"text": "No wait here", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
	d.sam.await(other.ID, "published")
	// The lot adds up to 5 s, so that lanes do not come back in step: what counts here is that a time is named.
	if wait := time.Until(held.NextAttemptAt); wait <= 0 || wait > 8*time.Second {
		t.Errorf("the next attempt is in %s", wait)
	}
	d.sam.await(x.ID, "published")
	if n := len(d.town.acts("reddit", identity)); n != 1 {
		t.Errorf("it is out %d times", n)
	}
}

// TestDeadToken holds the account whose token the platform refuses, and lets it go once a person has it verified.
func TestDeadToken(t *testing.T) {
	t.Parallel()
	d := begin(t)
	d.sam.await(d.sam.post(m{"text": "All is well", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0].ID, "published")
	alive := d.misbehave(sandbox.Fault{
		Platform: "twitter", Match: "/x/2/", Identity: "1001", Kind: sandbox.Refuse, Status: http.StatusUnauthorized,
		Body: `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`,
	})
	x := d.sam.post(m{"text": "With a dead token", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
	// The hold is there as soon as the platform has refused the token, a moment before the attempt has ended.
	held := d.sam.awaits(x.ID, "is held", func(x delivery) bool {
		return x.State != "sending" && slices.Contains(x.Holds, hold{"needs_reconnect"})
	})
	if held.State != "scheduled" {
		t.Errorf("held it is %s", held.State)
	}
	type verified struct {
		OK      bool
		Reason  *struct{ Code string }
		Account account
	}
	if v := want[verified](d.sam, http.StatusOK, http.MethodPost, "/accounts/acme-x/verify", nil); v.OK || v.Account.Status != "needs_reconnect" {
		t.Errorf("verifying a dead token answers %+v", v)
	}
	alive()
	if v := want[verified](d.sam, http.StatusOK, http.MethodPost, "/accounts/acme-x/verify", nil); !v.OK || v.Account.Status != "ok" {
		t.Errorf("verifying a token that works again answers %+v", v)
	}
	d.sam.await(x.ID, "published")
	if n := len(d.town.acts("twitter", "1001")); n != 2 {
		t.Errorf("X has %d posts, want 2", n)
	}
}

// TestExpiredToken is no reason to hold anything: a fresh one is fetched and the post goes out once.
func TestExpiredToken(t *testing.T) {
	t.Parallel()
	d := begin(t)
	for _, text := range []string{"With the first token", "With the next token"} {
		target, _ := targetOf("reddit", text)
		d.sam.await(d.sam.post(m{"text": text, "targets": []any{target}, "at": "now"}).Deliveries[0].ID, "published")
		d.town.box.ExpireTokens()
	}
	if n := len(d.town.acts("reddit", "t2_acme")); n != 2 {
		t.Errorf("Reddit has %d posts, want 2", n)
	}
}

// undecided is a delivery that only a person can settle: its account asks rather than sends again.
func undecided(t *testing.T, fault sandbox.FaultKind) (*crier, delivery) {
	t.Helper()
	d := begin(t, "prepare_ahead: 10m}", "prepare_ahead: 10m, when_not_seen: ask}")
	return d, d.doubt(t, fault)
}

// doubt makes a delivery of unknown fate that waits for a person.
func (d *crier) doubt(t *testing.T, fault sandbox.FaultKind) delivery {
	t.Helper()
	d.misbehave(sandbox.Fault{Platform: "twitter", Kind: sandbox.LateListing, Times: 1, Delay: time.Hour})
	d.misbehave(sandbox.Fault{Platform: "twitter", Kind: fault, Times: 1})
	x := d.sam.post(m{"text": "Who knows", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
	return d.sam.awaits(x.ID, "waits for a person", func(x delivery) bool { return x.State == "unconfirmed" && x.reason() == "not_seen" })
}

func TestPersonSaysItIsOut(t *testing.T) {
	t.Parallel()
	d, x := undecided(t, sandbox.PublishThenCut)
	path := "/deliveries/" + x.ID + "/resolve"
	act := d.town.acts("twitter", "1001")[0]
	yes := m{"verdict": "published", "url": d.town.public(act.URL)}
	d.sam.refused(http.StatusConflict, "resolve_first", http.MethodPost, "/deliveries/"+x.ID+"/retry", m{}, "If-Match", x.etag)
	d.sam.refused(http.StatusPreconditionRequired, "precondition_required", http.MethodPost, path, yes)
	d.sam.refused(http.StatusPreconditionFailed, "stale", http.MethodPost, path, yes, "If-Match", `"1"`)
	d.sam.refused(http.StatusUnprocessableEntity, "url_invalid", http.MethodPost, path, m{"verdict": "published", "url": "https://evil.example/1"}, "If-Match", x.etag)
	d.sam.refused(http.StatusUnprocessableEntity, "then_required", http.MethodPost, path, m{"verdict": "not_published"}, "If-Match", x.etag)
	got := d.sam.act(x, "resolve", yes, "If-Match", x.etag)
	if got.State != "published" {
		t.Fatalf("resolved it is %s", got.State)
	}
	d.town.same(t, got.Receipt, act)
	d.sam.refused(http.StatusPreconditionFailed, "stale", http.MethodPost, path, yes, "If-Match", x.etag)
	quiet(t, 300*time.Millisecond)
	if n := len(d.town.acts("twitter", "1001")); n != 1 {
		t.Errorf("it is out %d times", n)
	}
}

func TestPersonSaysItIsNotOut(t *testing.T) {
	t.Parallel()
	for then, out := range map[string]int{"retry": 1, "cancel": 0} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			d, x := undecided(t, sandbox.CutBefore)
			d.sam.act(x, "resolve", m{"verdict": "not_published", "then": then}, "If-Match", x.etag)
			d.sam.await(x.ID, map[string]string{"retry": "published", "cancel": "canceled"}[then])
			quiet(t, 300*time.Millisecond)
			if n := len(d.town.acts("twitter", "1001")); n != out {
				t.Errorf("it is out %d times, want %d", n, out)
			}
		})
	}
}

// TestReceiptIsOneDeliverysAlone refuses a person who gives the address of another delivery's post.
func TestReceiptIsOneDeliverysAlone(t *testing.T) {
	t.Parallel()
	d := begin(t, "prepare_ahead: 10m}", "prepare_ahead: 10m, when_not_seen: ask}")
	d.sam.await(d.sam.post(m{"text": "Another one", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0].ID, "published")
	x := d.doubt(t, sandbox.CutBefore)
	act := d.town.acts("twitter", "1001")[0]
	d.sam.refused(http.StatusConflict, "receipt_taken", http.MethodPost, "/deliveries/"+x.ID+"/resolve",
		m{"verdict": "published", "url": d.town.public(act.URL)}, "If-Match", d.sam.delivery(x.ID).etag)
	if got := d.sam.delivery(x.ID); got.State != "unconfirmed" {
		t.Errorf("refused, it is %s", got.State)
	}
}

// TestThreadStopsAndGoesOn has the platform refuse the second of three parts. The delivery says so, and goes on there
// when it is tried again; or a person is content with what is out.
func TestThreadStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	begun := func(t *testing.T) (*crier, delivery) {
		t.Helper()
		d := begin(t)
		d.misbehave(sandbox.Fault{
			Platform: "twitter", Kind: sandbox.Refuse, After: 1, Times: 1, Status: http.StatusBadRequest,
			Body: `{"title":"Invalid Request","detail":"no","status":400}`,
		})
		x := d.sam.post(m{"text": "One", "thread": []string{"Two", "Three"}, "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
		x = d.sam.await(x.ID, "partial")
		if got := strings.Join(d.town.texts("twitter"), ", "); got != "One" {
			t.Fatalf("out is %q", got)
		}
		if x.Parts[0].State != "published" || x.Parts[0].Receipt == nil || x.Parts[1].Receipt != nil || x.reason() == "" {
			t.Errorf("a partial delivery shows %+v, reason %+v", x.Parts, x.Reason)
		}
		return d, x
	}
	t.Run("retry", func(t *testing.T) {
		t.Parallel()
		d, x := begun(t)
		d.sam.act(x, "retry", m{}, "If-Match", x.etag)
		got := d.sam.await(x.ID, "published")
		acts := d.town.acts("twitter", "1001")
		if len(acts) != 3 {
			t.Fatalf("out is %q", d.town.texts("twitter"))
		}
		for i, a := range acts {
			d.town.same(t, got.Parts[i].Receipt, a)
			if i > 0 && a.Parent != acts[i-1].RemoteID {
				t.Errorf("part %d answers %q, not the one before", i, a.Parent)
			}
		}
	})
	t.Run("accept", func(t *testing.T) {
		t.Parallel()
		d, x := begun(t)
		if got := d.sam.act(x, "accept", nil); got.State != "published" {
			t.Errorf("accepted it is %s", got.State)
		}
		quiet(t, 300*time.Millisecond)
		if n := len(d.town.acts("twitter", "1001")); n != 1 {
			t.Errorf("after accepting, %d parts are out", n)
		}
	})
	t.Run("lost in the middle", func(t *testing.T) {
		t.Parallel()
		d := begin(t)
		d.misbehave(sandbox.Fault{Platform: "twitter", Kind: sandbox.PublishThenCut, After: 1, Times: 1})
		x := d.sam.post(m{"text": "One", "thread": []string{"Two", "Three"}, "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
		got := d.sam.await(x.ID, "published")
		if acts := d.town.acts("twitter", "1001"); len(acts) != 3 || acts[2].Parent != acts[1].RemoteID || acts[1].Parent != acts[0].RemoteID {
			t.Errorf("out is %q, parts %+v", d.town.texts("twitter"), got.Parts)
		}
	})
}

// TestFirstComment publishes a post and the comment below it, on each platform that has comments.
func TestFirstComment(t *testing.T) {
	t.Parallel()
	d := begin(t)
	for _, platform := range []string{"twitter", "facebook", "reddit"} {
		target, identity := targetOf(platform, "Ask below: "+platform)
		x := d.sam.post(m{"text": "Ask below: " + platform, "first_comment": "Here", "targets": []any{target}, "at": "now"}).Deliveries[0]
		d.sam.await(x.ID, "published")
		acts := d.town.acts(platform, identity)
		if len(acts) != 2 || acts[1].Text != "Here" || acts[1].Parent != acts[0].RemoteID {
			t.Errorf("%s has %+v", platform, acts)
		}
	}
}
