package app_test

import (
	"bytes"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/internal/app"
	"crier/internal/sandbox"
)

const examplePath = "../../config.example.yaml"

// exampleSecrets stands in for the environment of the example: each variable is set to its own name, keys of the API
// have their form.
func exampleSecrets(name string) (string, bool) {
	if !strings.HasPrefix(name, "CRIER_") {
		return "", false
	}
	if strings.Contains(name, "KEY") && !strings.Contains(name, "CONSUMER") {
		return "crier_" + strings.ToLower(strings.ReplaceAll(name, "_", "")) + "_0123456789abcdefghijklmnopqrstuvwxyz", true
	}
	return name, true
}

// TestExampleLoads holds that the example is good as it stands, adapters' own settings included.
func TestExampleLoads(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := app.Check(t.Context(), examplePath, exampleSecrets, &out); err != nil {
		t.Fatalf("the example is refused: %v", err)
	}
	if !strings.Contains(out.String(), "good") || strings.Contains(out.String(), "warning") {
		t.Errorf("checking the example printed %q", &out)
	}
}

// places notes where requests go and leads them all to a sandbox.
type places struct {
	next http.RoundTripper

	mu   sync.Mutex
	seen map[string]bool
}

func (p *places) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.seen[r.Method+" "+r.URL.Scheme+"://"+r.URL.Host+ids.ReplaceAllString(r.URL.Path, "N")] = true
	p.mu.Unlock()
	return p.next.RoundTrip(r)
}

// ids are parts of a path that differ from run to run.
var ids = regexp.MustCompile(`[0-9]{10,}`)

// exampleIdentities are the example's accounts, on platforms that know the example's apps and tokens.
func exampleIdentities() []sandbox.Identity {
	x := func(id, name, who string) sandbox.Identity {
		return sandbox.Identity{Platform: "twitter", ID: id, Name: name, Credentials: map[string]string{
			"consumer_key": "CRIER_X_CONSUMER_KEY", "consumer_secret": "CRIER_X_CONSUMER_SECRET",
			"access_token": "CRIER_" + who + "_X_TOKEN", "access_secret": "CRIER_" + who + "_X_SECRET", "v1.1": "true",
		}}
	}
	return []sandbox.Identity{
		x("1001", "acmeinc", "ACME"), x("1002", "mia_makes", "MIA"),
		{Platform: "facebook", ID: "1029384756", Name: "Acme Inc.", Credentials: map[string]string{
			"page_token": "CRIER_ACME_PAGE_TOKEN", "app_id": "1234567890", "app_secret": "CRIER_FACEBOOK_APP_SECRET",
		}},
		{Platform: "reddit", ID: "t2_acme", Name: "acme_inc", Credentials: map[string]string{
			"client_id": "abcdefghijklmn", "client_secret": "CRIER_REDDIT_CLIENT_SECRET", "refresh_token": "CRIER_ACME_REDDIT_TOKEN",
		}},
		{Platform: "youtube", ID: "UCabcdefghijklmnopqrstuv", Name: "Acme Inc.", Credentials: map[string]string{
			"client_id": "1234567890-abc.apps.googleusercontent.com", "client_secret": "CRIER_YOUTUBE_CLIENT_SECRET",
			"refresh_token": "CRIER_ACME_TUBE_TOKEN",
		}},
	}
}

// exampleRun publishes to every platform with the example, changed by edit, and gives where its requests went.
func exampleRun(t *testing.T, edit func(string) string) []string {
	t.Helper()
	text, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.New(sandbox.Config{Identities: exampleIdentities(), Unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	wire := box.InMemory()
	t.Cleanup(func() { _ = wire.Close(); _ = box.Close() })
	yaml := strings.NewReplacer(
		"listen: 127.0.0.1:8080", "listen: 127.0.0.1:0", "data_dir: ./data", "data_dir: "+t.TempDir(), "min_gap: 5m", "min_gap: 0s",
		"approvals: 1 ", "approvals: 0 ",
	).Replace(edit(string(text)))
	p := &places{next: wire.Transport(), seen: map[string]bool{}}
	w := &town{box: box, yaml: yaml, transport: p, env: exampleSecrets}
	t.Cleanup(func() { w.trace(t) })
	d := w.start(t)
	key, _ := exampleSecrets("CRIER_KEY_MIA")
	mia := &client{t: t, base: d.url, key: key}
	poster, film := mia.upload("poster.png", picture(t, 9), ""), mia.upload("film.mp4", app.DemoFilm(1<<20), "")
	for _, targets := range [][]any{
		{
			m{"account": "acme-x", "media": []any{poster}},
			m{"account": "acme-page", "media": []any{poster}},
			m{"account": "acme-reddit", "title": "Hi", "options": m{"subreddit": "test"}},
			m{"account": "acme-tube", "title": "Hi", "media": []any{film}, "options": m{"privacy": "public", "made_for_kids": false}},
		},
		{m{"account": "mia-x", "text": "Hi from me", "media": []any{poster}}},
	} {
		for _, x := range mia.post(m{"text": "Hi", "targets": targets, "at": "now"}).Deliveries {
			mia.await(x.ID, "published")
		}
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for place := range p.seen {
		out = append(out, place)
	}
	slices.Sort(out)
	return out
}

// TestExampleShowsTheDefaults publishes with the example as it stands, and again without its addresses of platforms: the
// requests go to the same places, so that the defaults are those that the example tells.
func TestExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	shown := exampleRun(t, func(s string) string { return s })
	var gone []string
	line := regexp.MustCompile(`(?m)^    (\w+_url|version): .*\n`)
	omitted := exampleRun(t, func(s string) string {
		gone = line.FindAllString(s, -1)
		return line.ReplaceAllString(s, "")
	})
	if len(gone) < 10 {
		t.Fatalf("the example shows only %q", gone)
	}
	if diff := cmp.Diff(shown, omitted); diff != "" {
		t.Errorf("the example's addresses are not the defaults (-example +defaults):\n%s", diff)
	}
	for _, host := range []string{"api.x.com", "graph.facebook.com", "oauth.reddit.com", "www.reddit.com", "oauth2.googleapis.com", "youtube.googleapis.com"} {
		if !slices.ContainsFunc(shown, func(s string) bool { return strings.Contains(s, "https://"+host+"/") }) {
			t.Errorf("nothing was asked of %s: %q", host, shown)
		}
	}
}
