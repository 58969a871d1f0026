package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/app"
	"crier/internal/sandbox"
)

// upload sends a file over the API and gives its id.
func (c *client) upload(name string, file []byte, alt string) string {
	c.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	if alt != "" {
		if err := form.WriteField("alt", alt); err != nil {
			c.t.Fatal(err)
		}
	}
	w, err := form.CreateFormFile("file", name)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := w.Write(file); err != nil {
		c.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		c.t.Fatal(err)
	}
	made := want[struct {
		ID, Type string
		Bytes    int
	}](c, http.StatusCreated, http.MethodPost, "/media", &b, "Content-Type", form.FormDataContentType())
	if made.ID != digest(file) || made.Bytes != len(file) {
		c.t.Fatalf("%s was stored as %s of %d bytes", name, made.ID, made.Bytes)
	}
	return made.ID
}

func digest(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:])
}

func picture(t *testing.T, hue uint8) []byte {
	t.Helper()
	p, err := app.DemoPicture(hue)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// public is what of an act matters to those who see it.
type public struct {
	Identity, Text, Title, Link, Destination string
	Media                                    []string
}

func seen(acts []sandbox.Act) []public {
	var out []public
	for _, a := range acts {
		out = append(out, public{a.Identity, a.Text, a.Title, a.Link, a.Destination, a.Media})
	}
	return out
}

// TestEverywhereOnce is the job itself: the brand's and a person's accounts on all platforms, each post out exactly
// once, by the right identity, with what was asked for and with the platform's own proof.
func TestEverywhereOnce(t *testing.T) {
	t.Parallel()
	poster, photo, film := picture(t, 200), picture(t, 40), app.DemoFilm(1<<20)
	cases := map[string]struct {
		who        func(*crier) *client
		prefix     string
		identities map[string]string
	}{
		"brand": {
			func(d *crier) *client { return d.sam }, "acme",
			map[string]string{"twitter": "1001", "facebook": "1029384756", "reddit": "t2_acme", "youtube": "UCacme0000000000000000"},
		},
		"personal": {
			func(d *crier) *client { return d.mia }, "mia",
			map[string]string{"twitter": "1002", "facebook": "5647382910", "reddit": "t2_mia", "youtube": "UCmia00000000000000000"},
		},
	}
	for kind, c := range cases {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			who := c.who(d)
			posterID, photoID := who.upload("poster.png", poster, "A poster"), who.upload("photo.png", photo, "")
			filmID := who.upload("film.mp4", film, "")

			first := want[postView](who, http.StatusCreated, http.MethodPost, "/posts", m{
				"text": "Crier is out", "at": "now",
				"targets": []any{
					m{"account": c.prefix + "-x", "media": []any{posterID}},
					m{"account": c.prefix + "-page", "link": "https://acme.example/launch"},
					m{"account": c.prefix + "-reddit", "title": "Crier", "options": m{"subreddit": "test"}},
					m{"account": c.prefix + "-tube", "title": "Crier, the film", "media": []any{filmID}, "options": m{"privacy": "public", "made_for_kids": false}},
				},
			}, "Prefer", "wait=20")
			if first.State != "published" || first.Kind != kind {
				t.Fatalf("after waiting, the %s post is %s: %+v", first.Kind, first.State, first.Deliveries)
			}
			second := who.post(m{
				"text": "And once more", "at": "now",
				"targets": []any{
					m{"account": c.prefix + "-page", "media": []any{m{"id": posterID, "alt": "A poster"}, m{"id": photoID, "alt": "A photo"}}},
					m{"account": c.prefix + "-reddit", "text": "", "title": "The page", "link": "https://acme.example/launch", "options": m{"subreddit": "crier"}},
				},
			})
			for _, x := range second.Deliveries {
				who.await(x.ID, "published")
			}

			wanted := map[string][]public{
				"twitter": {{Text: "Crier is out", Media: []string{posterID}}},
				"facebook": {
					{Text: "Crier is out", Link: "https://acme.example/launch"},
					{Text: "And once more", Media: []string{posterID, photoID}},
				},
				"reddit": {
					{Title: "Crier", Text: "Crier is out", Destination: "test"},
					{Title: "The page", Link: "https://acme.example/launch", Destination: "crier"},
				},
				"youtube": {{Title: "Crier, the film", Text: "Crier is out", Media: []string{filmID}}},
			}
			outs := map[string][]sandbox.Act{}
			for platform, identity := range c.identities {
				for i := range wanted[platform] {
					wanted[platform][i].Identity = identity
				}
				outs[platform] = d.town.acts(platform, identity)
				if diff := cmp.Diff(wanted[platform], seen(outs[platform])); diff != "" {
					t.Errorf("%s (-want +got):\n%s", platform, diff)
				}
				if all := d.town.texts(platform); len(all) != len(wanted[platform]) {
					t.Errorf("%s has more than was asked for: %q", platform, all)
				}
			}
			if t.Failed() {
				return
			}
			for n, p := range []postView{first, second} {
				p = want[postView](who, http.StatusOK, http.MethodGet, "/posts/"+p.ID, nil)
				for _, x := range p.Deliveries {
					d.town.same(t, x.Receipt, outs[x.Platform][n])
				}
			}
		})
	}
}

// TestScheduledGoesOnTime holds the daemon to the second that was asked for: the media are prepared before it.
func TestScheduledGoesOnTime(t *testing.T) {
	t.Parallel()
	d := begin(t)
	film := d.sam.upload("film.mp4", app.DemoFilm(1<<20), "")
	at := time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	p := d.sam.post(m{
		"text": "On the second", "at": at.Format(time.RFC3339Nano),
		"targets": []any{
			"acme-x",
			m{"account": "acme-tube", "title": "On the second", "media": []any{film}, "options": m{"privacy": "public", "made_for_kids": false}},
		},
	})
	for _, x := range p.Deliveries {
		got := d.sam.await(x.ID, "published")
		if !got.Due.Equal(at) {
			t.Errorf("%s is due at %s, asked for %s", x.Account, got.Due, at)
		}
	}
	for _, a := range append(d.town.acts("twitter", "1001"), d.town.acts("youtube", "UCacme0000000000000000")...) {
		if late := a.At.Sub(at); late < 0 || late > 750*time.Millisecond {
			t.Errorf("%s was out %s after its time", a.Platform, late)
		}
	}
}
