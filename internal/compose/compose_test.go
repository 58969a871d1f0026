package compose_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"crier/adapters"
	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/store"
)

func accounts() map[string]compose.Outlet {
	return map[string]compose.Outlet{
		"x":      outlet("x", post.Twitter, "Europe/Berlin"),
		"x2":     outlet("x2", post.Twitter, "America/New_York"),
		"page":   outlet("page", post.Facebook, "Asia/Tokyo"),
		"page2":  outlet("page2", post.Facebook, "UTC"),
		"reddit": outlet("reddit", post.Reddit, "UTC"),
		"mine":   {Account: post.Account{Handle: "mine", Platform: post.YouTube, Kind: post.Personal, Owner: "mia", TimeZone: "UTC"}},
	}
}

func outlet(handle string, p post.Platform, zone string) compose.Outlet {
	o := compose.Outlet{Account: post.Account{
		Handle: handle, Platform: p, Kind: post.Brand, Owner: "acme", TimeZone: zone, MinGap: time.Minute,
	}}
	if p == post.Reddit {
		o.Destination = func(c post.Content) string { s, _ := c.Options.String("subreddit"); return s }
	}
	if p == post.Facebook {
		o.Prepares = func(r adapters.Request) bool { return len(r.Attachments()) > 0 }
	}
	return o
}

// picture is the id of the one stored file.
const picture = "abababababababababababababababababababababababababababababababab"

func env() compose.Env {
	var n byte
	return compose.Env{
		Now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), Author: "jo",
		NewID: func() post.ID { n++; return post.ID{15: n} },
		Outlet: func(h string) (compose.Outlet, bool) {
			o, ok := accounts()[h]
			return o, ok
		},
		Media: func(id string) (post.Media, bool) {
			return post.Media{Type: "image/png", Bytes: 5}, id == picture
		},
	}
}

func decode(t *testing.T, body string) compose.Request {
	t.Helper()
	var r compose.Request
	if err := compose.Decode([]byte(body), &r); err != nil {
		t.Fatalf("decoding %s: %v", body, err)
	}
	return r
}

// codes lists place and code of the problems, warnings with a question mark.
func codes(all []post.Problem) []string {
	var out []string
	for _, p := range all {
		s := p.Location + " " + p.Code
		if p.Severity == post.SeverityWarning {
			s += "?"
		}
		out = append(out, s)
	}
	return out
}

func TestOverridesReplaceAndEmptyValuesClear(t *testing.T) {
	t.Parallel()
	c := compose.Compose(env(), decode(t, `{"text":"base","title":"T","link":"https://a.example","first_comment":"c","media":["`+picture+`"],
		"options":{"reply_settings":"all","reddit":{"subreddit":"go","nsfw":false},"x":{"made_with_ai":true}},"at":"now",
		"targets":["x",{"account":"reddit","text":"","title":null,"media":[],"link":"","first_comment":"","options":{"nsfw":null,"spoiler":true}},
		{"account":"page","text":"own","options":{}}]}`))
	if c.Refused() {
		t.Fatalf("refused: %v", codes(c.Problems))
	}
	opts := func(pairs ...string) *post.Options {
		o := post.Options{}
		for i := 0; i < len(pairs); i += 2 {
			o[pairs[i]] = json.RawMessage(pairs[i+1])
		}
		return &o
	}
	media := []post.Media{{ID: picture, Type: "image/png", Bytes: 5}}
	want := []post.Content{
		{Text: "base", Title: "T", Link: "https://a.example", FirstComment: "c", Media: media, Options: opts("reply_settings", `"all"`, "made_with_ai", "true")},
		{Title: "T", Options: opts("reply_settings", `"all"`, "subreddit", `"go"`, "spoiler", "true")},
		{Text: "own", Title: "T", Link: "https://a.example", FirstComment: "c", Media: media},
	}
	var got []post.Content
	for _, target := range c.New.Post.Targets {
		got = append(got, target.Content)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
	d := c.New.Deliveries
	if d[1].Destination != "go" || d[0].Digest != want[0].Digest() || len(d[0].Parts) != 2 || d[0].Parts[1].Role != post.RoleComment {
		t.Errorf("deliveries: %+v", d)
	}
	if d[0].NeedsPrepare || !d[2].NeedsPrepare {
		t.Errorf("needs preparing: x %v, page %v", d[0].NeedsPrepare, d[2].NeedsPrepare)
	}
}

func TestMomentsAreLocalToEachAccount(t *testing.T) {
	t.Parallel()
	type moment struct{ Due, Local, Zone string }
	tests := []struct {
		name, body string
		want       []moment
	}{
		{"each account's own zone", `{"text":"a","at":"2026-12-01T09:00","targets":["x","page"]}`, []moment{
			{"2026-12-01T08:00:00Z", "2026-12-01T09:00", "Europe/Berlin"}, {"2026-12-01T00:00:00Z", "2026-12-01T09:00", "Asia/Tokyo"},
		}},
		{"one zone for all", `{"text":"a","at":"2026-12-01T09:00","time_zone":"UTC","targets":["x","page"]}`, []moment{
			{"2026-12-01T09:00:00Z", "2026-12-01T09:00", "UTC"}, {"2026-12-01T09:00:00Z", "2026-12-01T09:00", "UTC"},
		}},
		{"an instant, and a target's own", `{"text":"a","at":"2026-12-01T09:00:00+02:00","targets":["x",{"account":"page","at":"now"}]}`, []moment{
			{"2026-12-01T07:00:00Z", "2026-12-01T08:00", "Europe/Berlin"}, {"2026-11-24T09:00:00Z", "2026-11-24T18:00", "Asia/Tokyo"},
		}},
		{"time to undo", `{"text":"a","at":"now","undo":"30s","targets":["page2"]}`, []moment{{"2026-11-24T09:00:30Z", "2026-11-24T09:00:30", "UTC"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := compose.Compose(env(), decode(t, tt.body))
			var got []moment
			for _, d := range c.New.Deliveries {
				got = append(got, moment{d.Due.Format(time.RFC3339), d.LocalDue, d.TimeZone})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || c.Refused() {
				t.Errorf("%v (-want +got):\n%s", codes(c.Problems), diff)
			}
		})
	}
	fold := compose.Compose(env(), decode(t, `{"text":"a","at":"2027-10-31T02:30","targets":["x"]}`))
	if len(fold.New.Post.Notes) != 1 || fold.Refused() {
		t.Errorf("notes of an hour that happens twice: %v", fold.New.Post.Notes)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string
	}{
		{"no time", `{"text":"a","targets":["x","page"]}`, []string{"targets[0].at at_required", "targets[1].at at_required"}},
		{"kinds mixed, in a draft too", `{"text":"a","at":"now","draft":true,"targets":["page",{"account":"mine","text":"b"}]}`, []string{"targets[1].account mixed_kinds"}},
		{"an account that is not there", `{"text":"a","at":"now","targets":["nobody"]}`, []string{"targets[0].account account_not_found"}},
		{"one text on two accounts of X", `{"text":"a","at":"now","targets":["x",{"account":"x2","text":" A "}]}`, []string{"targets[1].text same_text_on_platform"}},
		{"one text on two Pages", `{"text":"a","at":"now","targets":["page","page2"]}`, []string{"targets[1].text same_text_on_platform?"}},
		{"the same for the same place", `{"text":"a","at":"now","targets":["page","page"]}`, []string{"targets[1].at spacing?", "targets[1] duplicate_content"}},
		{"two places of one account", `{"text":"a","at":"now","targets":[{"account":"reddit","options":{"subreddit":"a"}},{"account":"reddit","options":{"subreddit":"b"}}]}`, []string{"targets[1].at spacing?"}},
		{"a picture without words", `{"text":"a","at":"now","media":["` + picture + `"],"targets":["page"]}`, []string{"targets[0].media[0].alt alt_text_missing?"}},
		{"a file that is not there", `{"text":"a","at":"now","media":["` + strings.Repeat("cd", 32) + `"],"targets":["page"]}`, []string{"media[0] media_not_found"}},
		{"undo of what is not at once", `{"text":"a","at":"2026-12-01T09:00","undo":"30s","targets":["page"]}`, []string{"undo undo_invalid"}},
		{"a zone that is none", `{"text":"a","at":"now","time_zone":"Mars/Base","targets":["page"]}`, []string{"time_zone time_zone_invalid"}},
		{"a draft's errors are warnings", `{"text":"a","draft":true,"link":"x:y","targets":["page"]}`, []string{"link link_invalid?", "targets[0].at at_required?"}},
		{"a link that is none", `{"text":"a","at":"now","link":"/relative","targets":["page"]}`, []string{"link link_invalid"}},
		{"no slots", `{"text":"a","at":"next-slot","targets":["page"]}`, []string{"targets[0].at no_slots"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := compose.Compose(env(), decode(t, tt.body))
			if diff := cmp.Diff(tt.want, codes(c.Problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAHeldAccountIsAWarning(t *testing.T) {
	t.Parallel()
	e := env()
	e.Outlet = func(h string) (compose.Outlet, bool) {
		o := accounts()[h]
		o.Holds = []post.Hold{{Reason: post.HoldNeedsReconnect, Since: e.Now}}
		return o, true
	}
	e.Free = func(_ post.Account, due time.Time) time.Time { return due.Add(30 * time.Second) }
	c := compose.Compose(e, decode(t, `{"text":"a","at":"now","targets":["page"]}`))
	want := []string{"targets[0].account account_held?", "targets[0].at spacing?"}
	if diff := cmp.Diff(want, codes(c.New.Post.Warnings)); diff != "" || c.Refused() {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestAnEditKeepsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	e := env()
	made := compose.Compose(e, decode(t, `{"text":"a","at":"now","targets":["x",{"account":"page","text":"b"}]}`))
	view := store.PostView{Post: made.New.Post, Version: 7}
	for _, d := range made.New.Deliveries {
		view.Deliveries = append(view.Deliveries, store.DeliveryView{Delivery: d})
	}
	e.Now, e.Earlier = e.Now.Add(time.Hour), &view
	r, err := compose.MergePost(&view, []byte(`{"text":"new","targets":["x",{"account":"reddit","text":"c","at":"2026-12-01T09:00"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c := compose.Compose(e, r)
	if c.Refused() {
		t.Fatalf("refused: %v", codes(c.Problems))
	}
	edit := compose.EditOf(&c, &view)
	x, page := view.Deliveries[0].Delivery, view.Deliveries[1].Delivery
	change := edit.Changes[x.ID]
	if len(edit.Changes) != 1 || change.When != nil || change.Digest == x.Digest {
		t.Errorf("changes: %+v", edit.Changes)
	}
	if diff := cmp.Diff([]post.ID{page.ID}, edit.Dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if len(edit.Added) != 1 || edit.Added[0].Account.Handle != "reddit" || edit.Added[0].Post != view.Post.ID || edit.Version != 7 {
		t.Errorf("added: %+v", edit.Added)
	}
	r, err = compose.MergePost(&view, []byte(`{"at":"2026-12-02T09:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	c = compose.Compose(e, r)
	edit = compose.EditOf(&c, &view)
	if w := edit.Changes[page.ID].When; w == nil || !w.Due.Equal(time.Date(2026, 12, 2, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("moved: %+v", edit.Changes)
	}
}

func TestOccurrence(t *testing.T) {
	t.Parallel()
	rule, err := recurrence.Parse(recurrence.Spec{Cron: "0 9 * * *", Zone: "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	e := env()
	run, _ := rule.Next(e.Now.Add(-48 * time.Hour)) // one to catch up with
	s := store.Series{ID: post.ID{1}, Author: "mia"}
	n, err := compose.Occurrence(e, s, json.RawMessage(`{"text":"daily","targets":["page"]}`), run)
	if err != nil {
		t.Fatal(err)
	}
	d := n.Post.Deliveries[0]
	if !d.Due.Equal(run.At) || d.Series != s.ID || d.Occurrence != run.Key || d.TimeZone != "Europe/Berlin" || n.Post.Post.Author != "mia" ||
		n.Post.Fingerprints[0] != "" || len(n.Refused) != 0 || n.Key != run.Key || !n.At.Equal(run.At) {
		t.Errorf("occurrence: %+v", n)
	}
	_, err = compose.Occurrence(e, s, json.RawMessage(`{"text":"daily","targets":["nobody"]}`), run)
	if refusal, ok := errors.AsType[*compose.RefusedError](err); !ok || refusal.Problem.Code != compose.CodeAccountNotFound {
		t.Errorf("an account that is gone: %v", err)
	}
	inner := e.Outlet
	e.Outlet = func(h string) (compose.Outlet, bool) {
		o, ok := inner(h)
		if h == "x" {
			o.Check = func(post.Content) []post.Problem {
				return []post.Problem{{Location: "text", Code: "too_long", Severity: post.SeverityError, Message: "it is too long"}}
			}
		}
		return o, ok
	}
	n, err = compose.Occurrence(e, s, json.RawMessage(`{"text":"daily","targets":["page","x"]}`), run)
	if err != nil {
		t.Fatal(err)
	}
	want := map[post.ID]string{n.Post.Deliveries[1].ID: "targets[1].text: it is too long (too_long)"}
	if diff := cmp.Diff(want, n.Refused); diff != "" {
		t.Errorf("refused of a target (-want +got):\n%s", diff)
	}
	n, err = compose.Occurrence(e, s, json.RawMessage(`{"text":"daily","media":["`+strings.Repeat("c", 64)+`"],"targets":["page","x2"]}`), run)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Refused) != 2 || !strings.HasSuffix(n.Refused[n.Post.Deliveries[0].ID], "(media_not_found)") {
		t.Errorf("refused of what all targets share: %v", n.Refused)
	}
	if _, err := compose.Pooled(json.RawMessage(`{"text":"x","at":"now","targets":["page"]}`)); err == nil {
		t.Error("a post of a pool said when")
	}
}

// FuzzDecode reads whatever comes: no panic, and what is read says the same when it is written and read again.
func FuzzDecode(f *testing.F) {
	f.Add(`{"text":"a","targets":["x",{"account":"y","media":[]}],"options":{"a":{"b":[1,null]}}}`)
	f.Add(`{"thread":["a",{"text":"b","media":["c"]}],"media":[{"url":"u","alt":""}]}`)
	f.Add(`[[[[`)
	f.Fuzz(func(t *testing.T, body string) {
		var r compose.Request
		if compose.Decode([]byte(body), &r) != nil {
			return
		}
		c := compose.Compose(env(), r)
		_ = c.Refused()
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("writing again: %v", err)
		}
		var again compose.Request
		if err := compose.Decode(raw, &again); err != nil {
			t.Fatalf("reading again %s: %v", raw, err)
		}
	})
}
