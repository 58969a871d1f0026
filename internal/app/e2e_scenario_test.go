package app_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/app"
	"crier/internal/sandbox"
)

// The named scenarios that need the API, the configuration or the real adapters; the others are in the scheduler's
// own tests. The record of the platforms in miniature is the truth.

func TestResolveSentTwiceBecauseItsAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, keyed := range map[string]bool{"with an idempotency key": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, x := undecided(t, sandbox.CutBefore)
			verdict := m{"verdict": "not_published", "then": "retry"}
			headers := []string{"If-Match", x.etag}
			if keyed {
				headers = append(headers, "Idempotency-Key", "resolve-1")
			}
			path := "/deliveries/" + x.ID + "/resolve"
			first := d.sam.ask(http.MethodPost, path, verdict, headers...) // whose answer the client never saw
			if first.status != http.StatusOK {
				t.Fatalf("resolving: %d %s", first.status, first.body)
			}
			d.misbehave(sandbox.Fault{Platform: "twitter", Kind: sandbox.LateListing, Delay: time.Hour})
			for range 3 {
				again := d.sam.ask(http.MethodPost, path, verdict, headers...)
				switch {
				case keyed && (again.status != http.StatusOK || again.header.Get("Idempotent-Replayed") != "true" || string(again.body) != string(first.body)):
					t.Errorf("sent again: %d %s", again.status, again.body)
				case !keyed && again.status != http.StatusPreconditionFailed:
					t.Errorf("sent again: %d %s", again.status, again.body)
				}
			}
			d.sam.await(x.ID, "published")
			// Also once it is out, when no listing shows it yet, the same verdict sends nothing.
			if again := d.sam.ask(http.MethodPost, path, verdict, headers...); !keyed && again.status != http.StatusPreconditionFailed {
				t.Errorf("sent again after it was out: %d %s", again.status, again.body)
			}
			quiet(t, 300*time.Millisecond)
			if n := len(d.town.acts("twitter", "1001")); n != 1 {
				t.Errorf("it is out %d times", n)
			}
		})
	}
}

func TestTwoTokensSwappedInTheConfiguration(t *testing.T) {
	t.Parallel()
	plain := func(handle, _ string) any { return handle }
	for name, c := range map[string]struct {
		ours, hers      string // as the configuration gives them
		platform        string
		brand, personal string
		us, her         string // identities
		target          func(handle, text string) any
	}{
		"X": {
			"access_token: demo-x-acme, access_secret: demo-x-acme-secret", "access_token: demo-x-mia, access_secret: demo-x-mia-secret",
			"twitter", "acme-x", "mia-x", "1001", "1002", plain,
		},
		"Pages": {"page_token: demo-fb-acme", "page_token: demo-fb-mia", "facebook", "acme-page", "mia-page", "1029384756", "5647382910", plain},
		"Reddit": {
			"refresh_token: demo-reddit-acme", "refresh_token: demo-reddit-mia", "reddit", "acme-reddit", "mia-reddit", "t2_acme", "t2_mia",
			func(handle, text string) any {
				return m{"account": handle, "title": text, "options": m{"subreddit": "test"}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			right := w.yaml
			d := w.start(t)
			write := func(who *client, handle, text, at string) string {
				return who.post(m{"text": text, "targets": []any{c.target(handle, text)}, "at": at}).Deliveries[0].ID
			}
			said := func(identity string) (all []string) {
				for _, a := range w.acts(c.platform, identity) {
					all = append(all, a.Title+a.Text)
				}
				return all
			}
			d.sam.await(write(d.sam, c.brand, "From us", "now"), "published")
			d.mia.await(write(d.mia, c.personal, "From me", "now"), "published")
			waiting := write(d.sam, c.brand, "From us later", in(2*time.Second))
			if err := d.stop(); err != nil {
				t.Fatal(err)
			}

			w.yaml = strings.NewReplacer(c.ours, c.hers, c.hers, c.ours).Replace(right)
			d = w.start(t)
			status := func(who *client, handle string) string {
				return want[account](who, http.StatusOK, http.MethodGet, "/accounts/"+handle, nil).Status
			}
			until(t, "both are held", func() bool {
				return status(d.sam, c.brand) == "wrong_identity" && status(d.mia, c.personal) == "wrong_identity"
			})
			mine := write(d.mia, c.personal, "From me later", "now")
			quiet(t, 2500*time.Millisecond)
			for _, x := range []struct {
				who *client
				id  string
			}{{d.sam, waiting}, {d.mia, mine}} {
				if x := x.who.delivery(x.id); x.State != "scheduled" || !slices.Contains(x.Holds, hold{"wrong_identity"}) {
					t.Errorf("with a swapped token the delivery is %s, held %v", x.State, x.Holds)
				}
			}
			if a, b := said(c.us), said(c.her); len(a) != 1 || len(b) != 1 {
				t.Errorf("with swapped tokens %q and %q are out", a, b)
			}
			if err := d.stop(); err != nil {
				t.Fatal(err)
			}

			w.yaml = right
			d = w.start(t)
			d.sam.await(waiting, "published")
			d.mia.await(mine, "published")
			for identity, texts := range map[string][]string{c.us: {"From us", "From us later"}, c.her: {"From me", "From me later"}} {
				got := said(identity)
				if len(got) != len(texts) {
					t.Errorf("%s has said %q, want %q", identity, got, texts)
					continue
				}
				for i := range texts {
					if !strings.Contains(got[i], texts[i]) {
						t.Errorf("%s has said %q, want %q", identity, got, texts)
					}
				}
			}
		})
	}
}

func TestALaneBannedFromOneSubreddit(t *testing.T) {
	t.Parallel()
	d := begin(t)
	var ids []string
	for _, place := range []string{"test", "membersonly", "crier"} {
		title := "For r/" + place
		p := d.sam.post(m{"text": title, "at": in(500 * time.Millisecond), "targets": []any{
			m{"account": "acme-reddit", "title": title, "options": m{"subreddit": place}},
		}})
		ids = append(ids, p.Deliveries[0].ID)
	}
	d.sam.await(ids[0], "published")
	if x := d.sam.await(ids[1], "failed"); x.reason() != "content" {
		t.Errorf("banned from one place the delivery failed as %s", x.reason())
	}
	d.sam.await(ids[2], "published")
	if a := want[account](d.sam, http.StatusOK, http.MethodGet, "/accounts/acme-reddit", nil); a.Status != "ok" {
		t.Errorf("banned from one place the account is %s", a.Status)
	}
	var places []string
	for _, a := range d.town.acts("reddit", "t2_acme") {
		places = append(places, a.Destination)
	}
	if diff := cmp.Diff([]string{"test", "crier"}, places); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
}

// TestARealDuplicateRefusalForSomethingPostedByHand has somebody post the same words with another tool first: X and
// Facebook refuse them then.
func TestARealDuplicateRefusalForSomethingPostedByHand(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"twitter", "facebook"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			d := w.start(t)
			target, identity := targetOf(platform, "")
			tool := &town{box: w.box, base: w.base, yaml: strings.Replace(w.yaml, dataDir(t, w.yaml), filepath.Join(t.TempDir(), "tool"), 1)}
			hand := tool.start(t)
			hand.sam.await(hand.sam.post(m{"text": "By hand", "targets": []any{target}, "at": "now"}).Deliveries[0].ID, "published")
			x := d.sam.post(m{"text": "By hand", "targets": []any{target}, "at": "now"}).Deliveries[0]
			got := d.sam.await(x.ID, "failed")
			if got.reason() != "platform_duplicate" || got.Receipt != nil {
				t.Errorf("it failed as %s with the receipt %+v", got.reason(), got.Receipt)
			}
			next := d.sam.post(m{"text": "By Crier", "targets": []any{target}, "at": "now"}).Deliveries[0]
			d.sam.await(next.ID, "published")
			if n := len(w.acts(platform, identity)); n != 2 {
				t.Errorf("%d are out, want 2", n)
			}
		})
	}
}

// TestOneRealIdentityBehindTwoAccounts gives a person's account the token of the brand's, under a name that is spelt
// differently and over the other API of X. The platform's own number of the identity tells: one of the two speaks, the
// other never does.
func TestOneRealIdentityBehindTwoAccounts(t *testing.T) {
	t.Parallel()
	d := begin(t, "identity: mia_makes, api: v1.1", "identity: AcmeInc, api: v1.1",
		"access_token: demo-x-mia, access_secret: demo-x-mia-secret", "access_token: demo-x-acme, access_secret: demo-x-acme-secret")
	status := func(who *client, handle string) string {
		return want[account](who, http.StatusOK, http.MethodGet, "/accounts/"+handle, nil).Status
	}
	until(t, "one of them is held", func() bool {
		a, b := status(d.sam, "acme-x"), status(d.mia, "mia-x")
		return a != b && (a == "wrong_identity" || b == "wrong_identity")
	})
	ours := d.sam.post(m{"text": "As the brand", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0].ID
	hers := d.mia.post(m{"text": "As a person", "targets": []any{"mia-x"}, "at": "now"}).Deliveries[0].ID
	speaks, silent, who, id := d.sam, d.mia, ours, hers
	text := "As the brand"
	if status(d.sam, "acme-x") == "wrong_identity" {
		speaks, silent, who, id, text = d.mia, d.sam, hers, ours, "As a person"
	}
	speaks.await(who, "published")
	quiet(t, time.Second)
	if x := silent.delivery(id); x.State != "scheduled" || !slices.Contains(x.Holds, hold{"wrong_identity"}) {
		t.Errorf("the other's delivery is %s, held %v", x.State, x.Holds)
	}
	if diff := cmp.Diff([]string{text}, d.town.texts("twitter")); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
}

// TestAnEditAfterAContainerWasPrepared uploads a film as private ahead of its time, and changes the words, the film or
// the time after that. What becomes public is what was edited, once.
func TestAnEditAfterAContainerWasPrepared(t *testing.T) {
	t.Parallel()
	first, second := app.DemoFilm(1<<20), app.DemoFilm(2<<20)
	for name, film := range map[string][]byte{"other words": first, "another film": second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			ids := map[bool]string{}
			for _, f := range [][]byte{first, second} {
				ids[len(f) == len(first)] = d.sam.upload("film.mp4", f, "")
			}
			target := func(title, film string) m {
				return m{"account": "acme-tube", "title": title, "media": []any{film}, "options": m{"privacy": "public", "made_for_kids": false}}
			}
			p := d.sam.post(m{"text": "Words", "targets": []any{target("Before", ids[true])}, "at": in(5 * time.Minute)})
			uploads := func() int {
				n := 0
				for _, a := range d.town.box.Record() {
					if a.Platform == "youtube" && a.Kind == "video" {
						n++
					}
				}
				return n
			}
			until(t, "the film is uploaded ahead of its time", func() bool { return uploads() == 1 })
			edited := target("After", ids[len(film) == len(first)])
			until(t, "the edit is taken", func() bool { // Crier may write down the upload between the reading and the edit
				a := d.sam.ask(http.MethodGet, "/posts/"+p.ID, nil)
				edited["id"] = read[struct{ Targets []struct{ ID string } }](t, a).Targets[0].ID
				got := d.sam.ask(http.MethodPatch, "/posts/"+p.ID, m{"targets": []any{edited}}, "If-Match", a.header.Get("ETag"))
				if got.status != http.StatusOK && got.status != http.StatusPreconditionFailed {
					t.Fatalf("the edit is answered %d %s", got.status, got.body)
				}
				return got.status == http.StatusOK
			})
			until(t, "it is uploaded again", func() bool { return uploads() == 2 })
			d.sam.act(d.sam.delivery(p.Deliveries[0].ID), "reschedule", m{"at": "now"})
			d.sam.await(p.Deliveries[0].ID, "published")
			acts := d.town.acts("youtube", "UCacme0000000000000000")
			if len(acts) != 1 || acts[0].Title != "After" || !slices.Equal(acts[0].Media, []string{digest(film)}) {
				t.Errorf("public is %+v", acts)
			}
		})
	}
}

// TestAnEditAfterPicturesWerePrepared uploads a picture ahead of its time, and takes another one after that.
func TestAnEditAfterPicturesWerePrepared(t *testing.T) {
	t.Parallel()
	first, second := picture(t, 60), picture(t, 61)
	for name, c := range map[string]struct{ handle, platform, identity, upload string }{
		"X":      {"acme-x", "twitter", "1001", "/media/upload"},
		"a Page": {"acme-page", "facebook", "1029384756", "/photos"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			one, other := d.sam.upload("one.png", first, ""), d.sam.upload("other.png", second, "")
			p := d.sam.post(m{"text": "Look", "targets": []any{c.handle}, "media": []any{one}, "at": in(5 * time.Minute)})
			uploads := func() int {
				return len(slices.DeleteFunc(d.town.box.Requests(), func(r sandbox.Request) bool { return !strings.HasSuffix(r.Path, c.upload) }))
			}
			until(t, "the picture is uploaded ahead of its time", func() bool { return uploads() == 1 })
			until(t, "the edit is taken", func() bool { // Crier may write down the upload between the reading and the edit
				a := d.sam.ask(http.MethodGet, "/posts/"+p.ID, nil)
				got := d.sam.ask(http.MethodPatch, "/posts/"+p.ID, m{"media": []any{other}}, "If-Match", a.header.Get("ETag"))
				if got.status != http.StatusOK && got.status != http.StatusPreconditionFailed {
					t.Fatalf("the edit is answered %d %s", got.status, got.body)
				}
				return got.status == http.StatusOK
			})
			until(t, "it is uploaded again", func() bool { return uploads() == 2 })
			d.sam.act(d.sam.delivery(p.Deliveries[0].ID), "reschedule", m{"at": "now"})
			d.sam.await(p.Deliveries[0].ID, "published")
			acts := d.town.acts(c.platform, c.identity)
			if len(acts) != 1 || !slices.Equal(acts[0].Media, []string{digest(second)}) {
				t.Errorf("public is %+v", acts)
			}
		})
	}
}

// zoneEnv makes the test binary answer TestTheZoneOfTheMachineChangesNothing's question on standard output.
const zoneEnv = "CRIER_TEST_ZONE"

// TestTheZoneOfTheMachineChangesNothing runs the daemon on machines that are set to other zones: local times, series
// and plans mean the same instants everywhere.
func TestTheZoneOfTheMachineChangesNothing(t *testing.T) {
	t.Parallel()
	if os.Getenv(zoneEnv) != "" {
		fmt.Println("answer:" + zoneAnswer(t))
		return
	}
	answers := map[string]string{}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Nowhere/Unknown"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheZoneOfTheMachineChangesNothing$", "-test.v")
		cmd.Env = append(os.Environ(), zoneEnv+"=1", "TZ="+zone)
		out, err := cmd.CombinedOutput()
		_, after, found := strings.Cut(string(out), "answer:")
		if err != nil || !found {
			t.Fatalf("on a machine in %s: %v\n%s", zone, err, out)
		}
		answers[zone], _, _ = strings.Cut(after, "\n")
	}
	for zone, answer := range answers {
		if diff := cmp.Diff(answers["UTC"], answer); diff != "" {
			t.Errorf("on a machine in %s (-UTC +%s):\n%s", zone, zone, diff)
		}
	}
}

// zoneAnswer is what a daemon makes of local times, at a fixed day of the next year.
func zoneAnswer(t *testing.T) string {
	t.Helper()
	d := begin(t)
	year := time.Now().UTC().Year() + 1
	var all []string
	for _, at := range []string{"-03-29T09:00", "-07-01T02:30", "-12-31T23:59"} {
		for _, zone := range []string{"", "America/New_York"} {
			body := m{"text": fmt.Sprint("At ", at, zone), "targets": []any{"acme-x"}, "at": fmt.Sprint(year) + at}
			if zone != "" {
				body["time_zone"] = zone
			}
			x := d.sam.post(body).Deliveries[0]
			all = append(all, x.Due.UTC().Format(time.RFC3339))
		}
	}
	s := want[seriesView](d.sam, http.StatusCreated, http.MethodPost, "/series", m{
		"every": "1d", "start": fmt.Sprint(year) + "-03-27T02:30", "time_zone": "Europe/Berlin",
		"posts": []any{m{"text": "Daily", "targets": []any{"acme-x"}}}, "order": "cycle",
	})
	for _, n := range s.Next {
		all = append(all, n.Run+"="+n.At.UTC().Format(time.RFC3339))
	}
	return strings.Join(all, " ")
}
