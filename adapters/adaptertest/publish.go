package adaptertest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/adapters"
	"crier/internal/post"
)

// testPublish sends every sample: the receipts name what the sandbox recorded, once, by the right identity.
func testPublish(t *testing.T, s *Suite) {
	for _, sample := range s.Samples {
		row(t, s, sample.Name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			d := r.Delivery(sample.Content)
			if err := d.All(a); err != nil {
				t.Fatal(err)
			}
			r.compare(t, sample, d)
			if got := r.Commits(); got != len(sample.Acts) {
				t.Errorf("%d commits for %d parts", got, len(sample.Acts))
			}
			if bad := r.Wire.Repeatable(); len(bad) > 0 {
				t.Errorf("net/http would repeat %v", bad)
			}
		})
	}
}

// testReopen opens the adapter anew before each call: nothing is kept that a restart would lose.
func testReopen(t *testing.T, s *Suite) {
	for _, sample := range s.Samples {
		row(t, s, sample.Name, func(t *testing.T, r *Rig) {
			t.Helper()
			d := r.Delivery(sample.Content)
			for d.Left() > 0 {
				if err := d.Prepare(r.Open(0)); err != nil {
					t.Fatal(err)
				}
				if _, err := d.Publish(r.Open(0)); err != nil {
					t.Fatal(err)
				}
			}
			r.compare(t, sample, d)
		})
	}
}

// compare holds what the sandbox recorded against the sample and the receipts.
func (r *Rig) compare(t *testing.T, sample Sample, d *Delivery) {
	t.Helper()
	acts := r.Public()
	got, want := make([]Act, len(acts)), slices.Clone(sample.Acts)
	for i, a := range acts {
		got[i] = Act{Kind: a.Kind, Text: a.Text, Title: a.Title, Link: a.Link, Destination: a.Destination, Media: a.Media}
		for n, receipt := range d.Receipts[:min(i, len(d.Receipts))] {
			if receipt.RemoteID == a.Parent {
				got[i].Parent = n + 1
			}
		}
		if a.Parent != "" && got[i].Parent == 0 {
			t.Errorf("act %d answers %s, which is none of ours", i, a.Parent)
		}
		if a.Identity != r.Suite.Accounts[0].Identity.ID {
			t.Errorf("act %d is by %s", i, a.Identity)
		}
		if i < len(d.Receipts) {
			receipt := d.Receipts[i]
			if receipt.RemoteID != a.RemoteID {
				t.Errorf("part %d: receipt %q, the sandbox knows it as %q", i, receipt.RemoteID, a.RemoteID)
			}
			if receipt.At.IsZero() || receipt.URL == "" {
				t.Errorf("part %d: receipt without time or address: %+v", i, receipt)
			}
		}
		if i < len(want) {
			for k, v := range want[i].Raw {
				if a.Raw[k] != v {
					t.Errorf("act %d: %s is %q, want %q", i, k, a.Raw[k], v)
				}
			}
		}
	}
	for i := range want {
		want[i].Raw = nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
}

// testLimits sends what is at a limit and holds back what is over it.
func testLimits(t *testing.T, s *Suite) {
	for _, l := range s.Limits {
		row(t, s, l.Name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			if p := refusing(a.Check(l.At)); len(p) > 0 {
				t.Errorf("at the limit: %+v", p)
			}
			over := refusing(a.Check(l.Over))
			if !slices.ContainsFunc(over, func(p post.Problem) bool { return p.Code == l.Code }) {
				t.Errorf("over the limit: %+v, want code %s", over, l.Code)
			}
			counts(t, a, l.At, nil)
			counts(t, a, l.Over, over)
			if l.CheckOnly {
				return
			}
			if err := r.Delivery(l.At).All(a); err != nil {
				t.Errorf("at the limit, the platform says: %v", err)
			}
			before := len(r.Public())
			d := r.Delivery(l.Over)
			if err := d.All(a); err == nil {
				t.Error("over the limit, the platform took it")
			} else if e := adapters.AsError(err); e.Fate != adapters.Absent || e.Reason != adapters.Refused && e.Reason != adapters.Prepare {
				t.Errorf("over the limit: %v, want absent and content or prepare", e)
			}
			// A part may be out whose comment is over a limit.
			if n := len(r.Public()) - before; n != len(d.Receipts) {
				t.Errorf("%d acts over the limit and %d receipts", n, len(d.Receipts))
			}
		})
	}
}

// counts holds that a text is counted as it is checked.
func counts(t *testing.T, a adapters.Adapter, c post.Content, problems []post.Problem) {
	t.Helper()
	counter, ok := adapters.As[adapters.TextCounter](a)
	if !ok {
		return
	}
	got := counter.CountText(c)
	i := slices.IndexFunc(problems, func(p post.Problem) bool { return p.Location == "text" && p.Limit > 0 && p.Code == "too_long" })
	switch {
	case got.Limit <= 0 || got.Unit == "" || got.Used < 0:
		t.Errorf("the text is counted as %+v", got)
	case i < 0 && got.Used > got.Limit:
		t.Errorf("the text is counted as %+v, and not refused", got)
	case i < 0:
	default:
		p := problems[i]
		if want := (adapters.TextLength{Used: p.Used, Limit: p.Limit, Unit: p.Unit}); got != want {
			t.Errorf("the text is counted as %+v, and refused as %+v", got, want)
		}
	}
}

// refusing are the problems that refuse a post.
func refusing(list []post.Problem) []post.Problem {
	return slices.DeleteFunc(slices.Clone(list), func(p post.Problem) bool { return p.Severity != post.SeverityError })
}

// testCheck holds that checking touches nothing, gives the same for the same, and survives any content.
func testCheck(t *testing.T, s *Suite) {
	Bubble(t, s, func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		contents := hostile()
		for _, sample := range s.Samples {
			contents = append(contents, sample.Content)
			if p := refusing(a.Check(sample.Content)); len(p) > 0 {
				t.Errorf("%s: %+v", sample.Name, p)
			}
		}
		for _, l := range s.Limits {
			contents = append(contents, l.At, l.Over)
		}
		for _, c := range contents {
			before := c.Digest()
			first, second := a.Check(c), a.Check(c)
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("two checks differ (-first +second):\n%s", diff)
			}
			if c.Digest() != before {
				t.Error("checking changed the content")
			}
			for _, p := range first {
				if p.Location == "" || p.Code == "" || p.Message == "" || p.Severity != post.SeverityError && p.Severity != post.SeverityWarning {
					t.Errorf("problem %+v is not whole", p)
				}
			}
		}
		if len(refusing(a.Check(post.Content{}))) == 0 {
			t.Error("an empty content passes")
		}
		if p := a.Check(post.Content{Text: "x", Options: options("no_such_option", `1`)}); !slices.ContainsFunc(p, func(p post.Problem) bool {
			return p.Code == "option_unknown" && p.Location == "options.no_such_option" && p.Severity == post.SeverityError
		}) {
			t.Errorf("an unknown option gives %+v", p)
		}
		// The name of an option that is none may be a secret in the wrong place.
		for _, name := range []string{"my secret phrase", string(bytes.Repeat([]byte("a"), 90<<10))} {
			for _, p := range a.Check(post.Content{Text: "x", Options: options(name, `1`)}) {
				if strings.Contains(p.Location+p.Message, name) {
					t.Errorf("an option's name of %d bytes is told again whole: %.80q, %.80q", len(name), p.Location, p.Message)
				}
			}
		}
		if n := len(r.Wire.Hosts()); n != 0 {
			t.Errorf("checking made %d requests", n)
		}
	})
}

func options(name, value string) *post.Options {
	return &post.Options{name: []byte(value)}
}

// hostile are contents that nobody means.
func hostile() []post.Content {
	long := string(bytes.Repeat([]byte("a"), 1<<20))
	var out []post.Content
	for _, text := range []string{"", " ", "\x00", "\xff\xfe", "\ufeff", "\u202e", "$A $B", "http://", "https://[::1", long} {
		out = append(out,
			post.Content{Text: text},
			post.Content{Text: "x", Title: text, Link: text, FirstComment: text, Thread: []post.Reply{{Text: text}, {}}},
			post.Content{Text: text, Media: []post.Media{{}, {ID: text, Type: text, Bytes: -1}}},
		)
	}
	values := []string{`null`, `0`, `-1`, `""`, `"x"`, `[]`, `{}`, `true`, `{"options":[null],"duration_minutes":1e99}`, `[[[`, ``}
	names := []string{
		"subreddit", "flair", "flair_id", "type", "nsfw", "spoiler", "send_replies", "poll", "community", "quote", "reply_settings",
		"made_with_ai", "privacy", "made_for_kids", "tags", "category", "thumbnail", "collaborators",
	}
	for _, name := range names {
		for _, v := range values {
			out = append(out, post.Content{Text: "x", Title: "x", Options: options(name, v)})
		}
	}
	return out
}

// testDuplicate sends the same content twice at once.
func testDuplicate(t *testing.T, s *Suite) {
	Bubble(t, s, func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		if err := r.Delivery(s.Samples[0].Content).All(a); err != nil {
			t.Fatal(err)
		}
		err := r.Delivery(s.Samples[0].Content).All(a)
		if e := adapters.AsError(err); err == nil || e.Reason != adapters.Duplicate || e.Fate == adapters.Unknown {
			t.Errorf("got %v, want reason duplicate and a fate", err)
		}
		if n := len(r.Public()); n != 1 {
			t.Errorf("%d acts, want 1", n)
		}
	})
}

// testWall has two accounts publish at once: what each said is by its own identity alone.
func testWall(t *testing.T, s *Suite) {
	testForeignTokens(t, s)
	const workers = 16
	row(t, s, "both at once", func(t *testing.T, r *Rig) {
		t.Helper()
		who := make(map[string]string) // remote id to identity
		var mu sync.Mutex
		var work sync.WaitGroup
		for account := range s.Accounts {
			a := r.Open(account)
			for n := range workers {
				work.Go(func() {
					d := r.Delivery(Vary(s.Samples[0].Content, account*workers+n))
					if err := d.All(a); err != nil {
						t.Errorf("account %d: %v", account, err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					who[d.Receipts[0].RemoteID] = s.Accounts[account].Identity.ID
				})
			}
		}
		work.Wait()
		got := make(map[string]string)
		for _, act := range r.Public() {
			got[act.RemoteID] = act.Identity
		}
		if diff := cmp.Diff(who, got); diff != "" || len(got) != len(s.Accounts)*workers {
			t.Errorf("%d acts; receipts and record differ (-receipts +record):\n%s", len(got), diff)
		}
		counts := make(map[string]int)
		for id := range maps.Values(got) {
			counts[id]++
		}
		for _, account := range s.Accounts {
			if counts[account.Identity.ID] != workers {
				t.Errorf("%d acts by %s, want %d", counts[account.Identity.ID], account.Identity.ID, workers)
			}
		}
	})
}
