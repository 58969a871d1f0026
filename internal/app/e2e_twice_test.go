package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/sandbox"
)

// TestNoEditSendsASecondTime names, in every way, the account on which a post is out already: the platform has it once.
func TestNoEditSendsASecondTime(t *testing.T) {
	t.Parallel()
	d := begin(t)
	p := d.sam.post(m{"text": "Hello", "targets": []any{"acme-x"}, "at": "now"})
	d.sam.await(p.Deliveries[0].ID, "published")
	whole := want[struct{ Targets []struct{ ID string } }](d.sam, http.StatusOK, http.MethodGet, "/posts/"+p.ID, nil)
	id := m{"id": whole.Targets[0].ID}
	for _, targets := range [][]any{{"acme-x"}, {m{"account": "acme-x"}}, {id}} {
		d.sam.refused(http.StatusConflict, "too_late", http.MethodPatch, "/posts/"+p.ID, m{"targets": targets, "at": "now"}, "If-Match", "*")
	}
	for _, targets := range [][]any{{id, m{"account": "acme-x"}}, {m{"account": "acme-x"}, id}, {id, "acme-x"}} {
		d.sam.refused(http.StatusUnprocessableEntity, "duplicate_content", http.MethodPatch, "/posts/"+p.ID, m{"targets": targets, "at": "now"}, "If-Match", "*")
	}
	quiet(t, 500*time.Millisecond)
	if diff := cmp.Diff([]string{"Hello"}, d.town.texts("twitter")); diff != "" {
		t.Errorf("on the platform (-want +got):\n%s", diff)
	}
}

// TestOfTwoDraftsThatSayTheSameOneIsSent submits both.
func TestOfTwoDraftsThatSayTheSameOneIsSent(t *testing.T) {
	t.Parallel()
	d := begin(t)
	draft := m{"text": "Hello", "targets": []any{"acme-page"}, "at": "now", "draft": true}
	one, two := d.sam.post(draft), d.sam.post(draft)
	want[m](d.sam, http.StatusOK, http.MethodPost, "/posts/"+one.ID+"/submit", nil)
	d.sam.refused(http.StatusUnprocessableEntity, "duplicate_content", http.MethodPost, "/posts/"+two.ID+"/submit", nil)
	d.sam.await(one.Deliveries[0].ID, "published")
	d.sam.refused(http.StatusUnprocessableEntity, "duplicate_content", http.MethodPost, "/posts", m{"text": "Hello", "targets": []any{"acme-page"}, "at": "now"})
	quiet(t, 500*time.Millisecond)
	if diff := cmp.Diff([]string{"Hello"}, d.town.texts("facebook")); diff != "" {
		t.Errorf("on the platform (-want +got):\n%s", diff)
	}
}

// TestWhatFailedGoesOutWithATimeThatIsNamedAnew edits the words that were refused, with the same "now" as before.
func TestWhatFailedGoesOutWithATimeThatIsNamedAnew(t *testing.T) {
	t.Parallel()
	d := begin(t)
	d.misbehave(sandbox.Fault{
		Platform: "twitter", Kind: sandbox.Refuse, Times: 1, Status: http.StatusBadRequest, Body: `{"title":"Invalid Request","detail":"no","status":400}`,
	})
	p := d.sam.post(m{"text": "Bad words", "targets": []any{"acme-x"}, "at": "now"})
	d.sam.await(p.Deliveries[0].ID, "failed")
	want[m](d.sam, http.StatusOK, http.MethodPatch, "/posts/"+p.ID, m{"text": "Good words", "at": "now"}, "If-Match", "*")
	d.sam.await(p.Deliveries[0].ID, "published")
	if diff := cmp.Diff([]string{"Good words"}, d.town.texts("twitter")); diff != "" {
		t.Errorf("on the platform (-want +got):\n%s", diff)
	}
}

// TestADryRunCountsAsThePlatformDoes asks how long a text with a link is before it is written.
func TestADryRunCountsAsThePlatformDoes(t *testing.T) {
	t.Parallel()
	d := begin(t)
	type length struct {
		Used, Limit int
		Unit        string
	}
	body := m{"text": "Crier 1.0 is out", "link": "https://acme.example/a/long/address", "targets": []any{"acme-x"}, "at": "now"}
	got := want[struct {
		OK      bool
		Targets []struct{ Length *length }
	}](d.sam, http.StatusOK, http.MethodPost, "/posts/validate", body)
	if !got.OK || len(got.Targets) != 1 {
		t.Fatalf("dry run: %+v", got)
	}
	// X counts 16 characters, the two newlines between, and 23 for any link.
	if diff := cmp.Diff(&length{Used: 41, Limit: 280, Unit: "weighted"}, got.Targets[0].Length); diff != "" {
		t.Errorf("length (-want +got):\n%s", diff)
	}
}
