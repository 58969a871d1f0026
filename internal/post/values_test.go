package post_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"crier/internal/post"
)

func TestIDsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var id post.ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		for _, s := range []string{id.String(), strings.ToUpper(id.String())} {
			if back, err := post.ParseID(s); err != nil || back != id {
				t.Fatalf("%s read as %s, %v", s, back, err)
			}
		}
		b, err := json.Marshal(map[string]post.ID{"id": id})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]post.ID
		if err := json.Unmarshal(b, &back); err != nil || back["id"] != id {
			t.Fatalf("%s read as %v, %v", b, back, err)
		}
	})
}

func TestWhatIsNoID(t *testing.T) {
	t.Parallel()
	const good = "01890c5e-7c3a-7000-8000-000000000000"
	if _, err := post.ParseID(good); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"", "x", good[1:], good + "0", strings.ReplaceAll(good, "-", ""), strings.Replace(good, "-", "_", 1),
		"g" + good[1:], "{" + good[1:35] + "}", "01890c5e7-c3a-7000-8000-000000000000", strings.Repeat("é", 18),
	} {
		if id, err := post.ParseID(s); !errors.Is(err, post.ErrBadID) || !id.IsZero() {
			t.Errorf("%q read as %s, %v", s, id, err)
		}
		if s == "" {
			continue // the text of the zero ID
		}
		var id post.ID
		if err := id.UnmarshalText([]byte(s)); !errors.Is(err, post.ErrBadID) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if b, err := (post.ID{}).MarshalText(); err != nil || len(b) != 0 {
		t.Errorf("the zero ID is written as %q, %v", b, err)
	}
}

func TestInstantsAreWholeMillisecondsInUTC(t *testing.T) {
	t.Parallel()
	in := time.Date(2026, 12, 1, 9, 0, 0, 1_999_999, time.FixedZone("x", 3600))
	if got, want := post.Instant(in), time.Date(2026, 12, 1, 8, 0, 0, 1_000_000, time.UTC); got != want {
		t.Errorf("got %s", got)
	}
	if !post.Instant(time.Time{}).IsZero() {
		t.Error("the zero time is not kept")
	}
}

func TestHandlesAndKeys(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"a": true, "acme-x": true, "0": true, "-": true, strings.Repeat("a", 32): true,
		"": false, strings.Repeat("a", 33): false, "Acme": false, "a b": false, "a|b": false, "ä": false, "a_b": false, "a\x00": false,
	} {
		if got := post.ValidHandle(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	for _, kind := range post.Kinds() {
		k := post.AccountKey{Kind: kind, Handle: "acme-x"}
		if back, ok := post.ParseAccountKey(k.String()); !ok || back != k {
			t.Errorf("%s read as %v, %v", k, back, ok)
		}
	}
	for _, s := range []string{"", "brand", "brand|", "|a", "other|a", "brand|A", "brand|a|b", "Brand|a"} {
		if _, ok := post.ParseAccountKey(s); ok {
			t.Errorf("%q is taken for a key", s)
		}
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]post.Platform{
		"x": post.Twitter, "twitter": post.Twitter, "facebook": post.Facebook, "instagram": post.Instagram,
		"reddit": post.Reddit, "youtube": post.YouTube,
	} {
		if got, err := post.ParsePlatform(s); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "X", "Twitter", "myspace"} {
		if got, err := post.ParsePlatform(s); !errors.Is(err, post.ErrUnknownPlatform) || got != "" {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
}

func TestTheAccountsStatusIsWhatAPersonMustActOn(t *testing.T) {
	t.Parallel()
	order := []post.AccountStatus{
		post.StatusRemoved, post.StatusRestored, post.StatusWrongIdentity, post.StatusNeedsReconnect, post.StatusPaused,
		post.StatusOverBudget, post.StatusRateLimited,
	}
	for i, a := range order {
		for j, b := range order {
			holds := []post.Hold{{Reason: post.HoldReason(a)}, {Reason: post.HoldReason(b)}, {Reason: post.HoldBlackout}}
			if got := post.Status(holds, noon); got != order[min(i, j)] {
				t.Errorf("%s and %s: %s", a, b, got)
			}
		}
	}
	ended := []post.Hold{{Reason: post.HoldRateLimited, Since: noon.Add(-time.Hour), Until: noon}}
	if got := post.Status(ended, noon); got != post.StatusOK {
		t.Errorf("an ended hold: %s", got)
	}
}

func options(raw string) *post.Options {
	var o post.Options
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		panic(err)
	}
	return &o
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o := options(`{"b":true,"s":"text","n":7,"null":null}`)
	if s, ok := o.String("s"); !ok || s != "text" {
		t.Errorf("s is %q, %v", s, ok)
	}
	if b, ok := o.Bool("b"); !ok || !b {
		t.Errorf("b is %v, %v", b, ok)
	}
	for _, name := range []string{"b", "n", "absent"} {
		if s, ok := o.String(name); ok {
			t.Errorf("%s is the text %q", name, s)
		}
	}
	if _, ok := o.Bool("s"); ok {
		t.Error("s is a boolean")
	}
	if got := o.Names(); !slices.Equal(got, []string{"b", "n", "null", "s"}) {
		t.Errorf("the names are %v", got)
	}
	n := 3
	if err := o.Decode("absent", &n); err != nil || n != 3 {
		t.Errorf("an absent option gave %d, %v", n, err)
	}
	if err := o.Decode("s", &n); err == nil || strings.Contains(err.Error(), "text") {
		t.Errorf("an option of another type: %v", err)
	}
	var none *post.Options
	if _, ok := none.String("s"); ok || none.Has("s") || none.Names() != nil || none.Decode("s", &n) != nil {
		t.Error("no options are not empty options")
	}
}

func TestAnOptionThatIsNullHasNoValue(t *testing.T) {
	t.Parallel()
	o := options(`{"x":null}`)
	if s, ok := o.String("x"); ok {
		t.Errorf("null is the text %q", s)
	}
	if b, ok := o.Bool("x"); ok {
		t.Errorf("null is the boolean %v", b)
	}
}

func TestTheDigestTellsContentsApart(t *testing.T) {
	t.Parallel()
	base := func() post.Content {
		return post.Content{
			Text: "t", Title: "h", Link: "l", FirstComment: "c", Media: []post.Media{{ID: "m"}},
			Thread: []post.Reply{{Text: "r"}}, Options: options(`{"a":1,"b":2}`),
		}
	}
	seen := map[string]string{base().Digest(): "base"}
	if len(base().Digest()) != 64 {
		t.Errorf("the digest is %q", base().Digest())
	}
	for name, change := range map[string]func(*post.Content){
		"text": func(c *post.Content) { c.Text = "u" }, "title": func(c *post.Content) { c.Title = "" },
		"link": func(c *post.Content) { c.Link = "t" }, "comment": func(c *post.Content) { c.FirstComment = "" },
		"media": func(c *post.Content) { c.Media[0].ID = "n" }, "alt": func(c *post.Content) { c.Media[0].Alt = "x" },
		"thread":  func(c *post.Content) { c.Thread = append(c.Thread, post.Reply{Text: "r"}) },
		"options": func(c *post.Content) { c.Options = options(`{"a":1}`) },
	} {
		c := base()
		change(&c)
		if earlier, same := seen[c.Digest()]; same {
			t.Errorf("%s has the digest of %s", name, earlier)
		}
		seen[c.Digest()] = name
	}
	same := base()
	same.Options = options(`{"b":2, "a": 1}`)
	if same.Digest() != base().Digest() {
		t.Error("the order and spacing of options changes the digest")
	}
	broken := base()
	(*broken.Options)["a"] = json.RawMessage("{")
	if broken.Digest() != "" {
		t.Error("an invalid option has a digest")
	}
}

func TestTheRolesOfAContent(t *testing.T) {
	t.Parallel()
	const p, r, f, c = post.RolePost, post.RoleReply, post.RoleFollowUp, post.RoleComment
	thumbnail := options(`{"thumbnail":"x"}`)
	for _, tc := range []struct {
		platform post.Platform
		content  post.Content
		want     []post.Role
	}{
		{post.Twitter, post.Content{}, []post.Role{p}},
		{post.Twitter, post.Content{Thread: make([]post.Reply, 2), FirstComment: "x"}, []post.Role{p, r, r, c}},
		{post.YouTube, post.Content{Options: thumbnail, FirstComment: "x"}, []post.Role{p, f, c}},
		{post.YouTube, post.Content{FirstComment: "x"}, []post.Role{p, c}},
		{post.Reddit, post.Content{Options: thumbnail}, []post.Role{p}},
	} {
		if diff := cmp.Diff(tc.want, tc.content.Roles(tc.platform)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.platform, diff)
		}
	}
}
