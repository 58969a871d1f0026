package app_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestWall holds that nothing of a person's accounts is there for anybody else, not even for the owner of the
// installation, in any list, under any address, and that a post never mixes the two.
func TestWall(t *testing.T) { //nolint:tparallel // its parts come in order: the last look at what the first tried
	t.Parallel()
	d := begin(t)
	secret := d.mia.upload("diary.png", picture(t, 7), "")
	hers := d.mia.post(m{
		"text": "My own words", "at": in(3600e9), "labels": []string{"diary"},
		"targets": []any{"mia-x", m{"account": "mia-page", "media": []any{secret}}},
	})
	series := want[struct{ ID string }](d.mia, http.StatusCreated, http.MethodPost, "/series", m{
		"cron": "0 9 * * *", "posts": []any{m{"text": "My own morning", "targets": []any{"mia-x"}}},
	})
	x := hers.Deliveries[0]
	before := d.mia.delivery(x.ID)

	t.Run("not there by its address", func(t *testing.T) {
		sam := *d.sam
		sam.t = t
		for _, path := range []string{
			"/accounts/mia-x", "/accounts/mia-x/capabilities", "/posts/" + hers.ID, "/posts/" + hers.ID + "/history", "/deliveries/" + x.ID,
			"/series/" + series.ID, "/series/" + series.ID + "/preview", "/media/" + secret, "/media/" + secret + "/content",
			"/posts?account=mia-x", "/deliveries?account=mia-x",
		} {
			sam.refused(http.StatusNotFound, "not_found", http.MethodGet, path, nil)
		}
		for path, body := range map[string]any{
			"/accounts/mia-x/pause": m{}, "/accounts/mia-x/resume": m{}, "/accounts/mia-x/verify": nil,
			"/deliveries/" + x.ID + "/cancel": nil, "/deliveries/" + x.ID + "/reschedule": m{"at": "now"},
			"/deliveries/" + x.ID + "/retry": m{}, "/deliveries/" + x.ID + "/accept": nil,
			"/deliveries/" + x.ID + "/resolve": m{"verdict": "not_published", "then": "cancel"},
			"/series/" + series.ID + "/skip":   m{"run": "x"}, "/posts/" + hers.ID + "/submit": nil,
		} {
			sam.refused(http.StatusNotFound, "not_found", http.MethodPost, path, body, "If-Match", "*")
		}
		for _, path := range []string{"/posts/" + hers.ID, "/series/" + series.ID, "/media/" + secret} {
			sam.refused(http.StatusNotFound, "not_found", http.MethodDelete, path, nil)
		}
		sam.refused(http.StatusNotFound, "not_found", http.MethodPatch, "/posts/"+hers.ID, m{"text": "Mine now"}, "If-Match", "*")
		sam.refused(http.StatusNotFound, "account_not_found", http.MethodPost, "/posts", m{"text": "In her name", "targets": []any{"mia-x"}, "at": "now"})
		sam.refused(http.StatusNotFound, "account_not_found", http.MethodPost, "/posts", m{"text": "In her name", "targets": []any{"acme-x", "mia-page"}, "at": "now"})
		sam.refused(http.StatusUnprocessableEntity, "media_not_found", http.MethodPost, "/posts", m{"text": "Her picture", "media": []any{secret}, "targets": []any{"acme-x"}, "at": "now"})
	})
	t.Run("absent in every list", func(t *testing.T) {
		traces := []string{"mia-x", "mia-page", "My own", hers.ID, x.ID, series.ID, secret, "diary", `"personal":{"`}
		for _, path := range []string{
			"/accounts", "/posts", "/posts?label=diary", "/posts?author=mia", "/posts?kind=personal", "/deliveries", "/deliveries?kind=personal",
			"/deliveries?series=" + series.ID, "/series", "/media", "/plan", "/status", "/keys", "/me",
		} {
			a := d.sam.ask(http.MethodGet, path, nil)
			if a.status != http.StatusOK {
				t.Errorf("%s: status %d: %s", path, a.status, a.body)
			}
			for _, trace := range traces {
				if bytes.Contains(a.body, []byte(trace)) {
					t.Errorf("%s shows %q: %s", path, trace, a.body)
				}
			}
		}
	})
	t.Run("there for her", func(t *testing.T) {
		all := want[list[account]](d.mia, http.StatusOK, http.MethodGet, "/accounts", nil)
		if !slices.ContainsFunc(all.Items, func(a account) bool { return a.Handle == "mia-x" && a.Kind == "personal" }) {
			t.Errorf("she does not see her own account: %+v", all)
		}
		if after := d.mia.delivery(x.ID); after.State != "scheduled" || after.etag != before.etag {
			t.Errorf("somebody has touched her delivery: %+v", after)
		}
	})
	t.Run("never mixed", func(t *testing.T) {
		p := d.mia.refused(http.StatusUnprocessableEntity, "mixed_kinds", http.MethodPost, "/posts", m{"text": "For both", "targets": []any{"acme-page", "mia-page"}, "at": "now"})
		if len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, "targets") {
			t.Errorf("the refusal names no target: %+v", p)
		}
	})
	if all := d.town.box.Record(); len(all) != 0 {
		t.Errorf("something went out: %+v", all)
	}
}

// TestOwnerStopsHerKindWithoutSeeingIt lets the owner stop everything, personal accounts included, and learn nothing by
// it.
func TestOwnerStopsHerKindWithoutSeeingIt(t *testing.T) {
	t.Parallel()
	d := begin(t)
	want[m](d.sam, http.StatusOK, http.MethodPost, "/pause", m{"kind": "personal", "reason": "a storm"})
	hers := d.mia.post(m{"text": "Held", "targets": []any{"mia-x"}, "at": "now"}).Deliveries[0]
	theirs := d.sam.post(m{"text": "Not held", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
	d.sam.await(theirs.ID, "published")
	if x := d.mia.delivery(hers.ID); x.State != "scheduled" || !slices.Contains(x.Holds, hold{"paused"}) {
		t.Errorf("her delivery is %s, holds %v", x.State, x.Holds)
	}
	d.sam.refused(http.StatusNotFound, "not_found", http.MethodGet, "/deliveries/"+hers.ID, nil)
	d.mia.refused(http.StatusForbidden, "forbidden", http.MethodPost, "/resume", m{"kind": "personal"})
	want[m](d.sam, http.StatusOK, http.MethodPost, "/resume", m{"kind": "personal"})
	d.mia.await(hers.ID, "published")
	if n := len(d.town.acts("twitter", "1002")); n != 1 {
		t.Errorf("her post is out %d times", n)
	}
}
