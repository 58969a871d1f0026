package app_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/sandbox"
)

func TestCancelWhileScheduled(t *testing.T) {
	t.Parallel()
	d := begin(t)
	x := d.sam.post(m{"text": "Never mind", "targets": []any{"acme-x"}, "at": in(700 * time.Millisecond)}).Deliveries[0]
	if got := d.sam.act(x, "cancel", nil); got.State != "canceled" {
		t.Fatalf("canceled, it is %s", got.State)
	}
	whole := d.sam.post(m{"text": "Never mind either", "targets": []any{"acme-page"}, "at": in(700 * time.Millisecond)})
	edited := want[struct {
		Post    postView
		Changed []string
	}](d.sam, http.StatusOK, http.MethodDelete, "/posts/"+whole.ID, nil)
	if edited.Post.State != "canceled" || !slices.Equal(edited.Changed, []string{whole.Deliveries[0].ID}) {
		t.Errorf("deleting the post answered %+v", edited)
	}
	quiet(t, 1200*time.Millisecond)
	if all := d.town.box.Record(); len(all) != 0 {
		t.Errorf("a canceled delivery is out: %+v", all)
	}
	d.sam.refused(http.StatusConflict, "too_late", http.MethodPost, "/deliveries/"+x.ID+"/reschedule", m{"at": "now"})
}

// TestUndo has a post wait that goes at once, and takes it back in that time.
func TestUndo(t *testing.T) {
	t.Parallel()
	d := begin(t)
	p := d.sam.post(m{"text": "Oh no", "targets": []any{"acme-x"}, "at": "now", "undo": "2s"})
	quiet(t, 300*time.Millisecond)
	if got := d.sam.act(p.Deliveries[0], "cancel", nil); got.State != "canceled" {
		t.Errorf("undone, it is %s", got.State)
	}
	if all := d.town.box.Record(); len(all) != 0 {
		t.Errorf("it is out all the same: %+v", all)
	}
}

// TestCancelWhileSending withdraws a delivery whose request is under way. What the platform then has decides: out is
// published, absent is canceled; nothing is sent a second time.
func TestCancelWhileSending(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault sandbox.FaultKind
		state string
		out   int
	}{
		"it went out":  {sandbox.PublishThenHang, "published", 1},
		"it was lost":  {sandbox.HangBefore, "canceled", 0},
		"it was cut":   {sandbox.CutBefore, "canceled", 0},
		"half answer":  {sandbox.PublishThenHalf, "published", 1},
		"gateway lies": {sandbox.PublishThenHTML502, "published", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			d.misbehave(sandbox.Fault{Platform: "twitter", Kind: c.fault, Times: 1, Delay: 700 * time.Millisecond})
			x := d.sam.post(m{"text": "Under way", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
			d.town.underWay(t, 1)
			if got := d.sam.act(x, "cancel", nil); !got.CancelRequested {
				t.Errorf("the wish to cancel is not kept: %+v", got)
			}
			d.sam.await(x.ID, c.state)
			quiet(t, 300*time.Millisecond)
			if n := len(d.town.acts("twitter", "1001")); n != c.out {
				t.Errorf("it is out %d times, want %d", n, c.out)
			}
		})
	}
}

func TestReschedule(t *testing.T) {
	t.Parallel()
	d := begin(t)
	x := d.sam.post(m{"text": "Later", "targets": []any{"acme-x"}, "at": in(500 * time.Millisecond)}).Deliveries[0]
	at := time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	if got := d.sam.act(x, "reschedule", m{"at": at.Format(time.RFC3339Nano)}); !got.Due.Equal(at) {
		t.Errorf("moved to %s it is due at %s", at, got.Due)
	}
	y := d.sam.post(m{"text": "Sooner", "targets": []any{"acme-page"}, "at": in(time.Hour)}).Deliveries[0]
	d.sam.act(y, "reschedule", m{"at": "now"})
	d.sam.await(y.ID, "published")
	quiet(t, time.Until(at.Add(-200*time.Millisecond)))
	if n := len(d.town.acts("twitter", "1001")); n != 0 {
		t.Errorf("it went out before its new time")
	}
	d.sam.await(x.ID, "published")
	d.sam.refused(http.StatusConflict, "too_late", http.MethodPost, "/deliveries/"+x.ID+"/reschedule", m{"at": "now"})
	d.sam.refused(http.StatusUnprocessableEntity, "in_past", http.MethodPost, "/deliveries/"+x.ID+"/reschedule", m{"at": in(-time.Hour)})
}

// TestPatch edits a post before its time: what is out then is what was edited.
func TestPatch(t *testing.T) {
	t.Parallel()
	d := begin(t)
	p := d.sam.post(m{"text": "The lunch", "targets": []any{"acme-x", "acme-page"}, "at": in(time.Hour)})
	d.sam.refused(http.StatusPreconditionRequired, "precondition_required", http.MethodPatch, "/posts/"+p.ID, m{"text": "The launch"})
	a := d.sam.ask(http.MethodGet, "/posts/"+p.ID, nil)
	tag := a.header.Get("ETag")
	want[m](d.sam, http.StatusOK, http.MethodPatch, "/posts/"+p.ID, m{"text": "The launch", "at": "now"}, "If-Match", tag)
	d.sam.refused(http.StatusPreconditionFailed, "stale", http.MethodPatch, "/posts/"+p.ID, m{"text": "Lost update"}, "If-Match", tag)
	for _, x := range p.Deliveries {
		d.sam.await(x.ID, "published")
	}
	for _, platform := range []string{"twitter", "facebook"} {
		if diff := cmp.Diff([]string{"The launch"}, d.town.texts(platform)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", platform, diff)
		}
	}
	tag = d.sam.ask(http.MethodGet, "/posts/"+p.ID, nil).header.Get("ETag")
	d.sam.refused(http.StatusConflict, "too_late", http.MethodPatch, "/posts/"+p.ID, m{"text": "Too late"}, "If-Match", tag)
}

// TestPauses holds one account, one kind, one brand and everything: what is held keeps its state, all else goes out, and
// the end of the pause lets it go.
func TestPauses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		pause, resume string
		body          m
		held, free    []string
	}{
		"one account": {"/accounts/acme-x/pause", "/accounts/acme-x/resume", m{}, []string{"acme-x"}, []string{"acme-page"}},
		"one kind":    {"/pause", "/resume", m{"kind": "brand"}, []string{"acme-x", "acme-page"}, nil},
		"one brand":   {"/pause", "/resume", m{"brand": "acme"}, []string{"acme-x", "acme-page"}, nil},
		"everything":  {"/pause", "/resume", m{}, []string{"acme-x", "acme-page"}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			want[m](d.sam, http.StatusOK, http.MethodPost, c.pause, c.body)
			hers := d.mia.post(m{"text": "From me", "targets": []any{"mia-x"}, "at": "now"}).Deliveries[0]
			p := d.sam.post(m{"text": "From us", "targets": []any{"acme-x", "acme-page"}, "at": "now"})
			ids := map[string]string{}
			for _, x := range p.Deliveries {
				ids[x.Account] = x.ID
			}
			for _, free := range c.free {
				d.sam.await(ids[free], "published")
			}
			if name == "everything" {
				quiet(t, 500*time.Millisecond)
				if x := d.mia.delivery(hers.ID); x.State != "scheduled" {
					t.Errorf("hers is %s", x.State)
				}
			} else {
				d.mia.await(hers.ID, "published")
			}
			for _, held := range c.held {
				if x := d.sam.delivery(ids[held]); x.State != "scheduled" || !slices.Contains(x.Holds, hold{"paused"}) {
					t.Errorf("%s is %s with the holds %v", held, x.State, x.Holds)
				}
			}
			if n := len(d.town.texts("twitter")); name == "everything" && n != 0 {
				t.Errorf("%d posts are out on X", n)
			}
			want[m](d.sam, http.StatusOK, http.MethodPost, c.resume, c.body)
			for _, x := range p.Deliveries {
				d.sam.await(x.ID, "published")
			}
			d.mia.await(hers.ID, "published")
			if n := len(d.town.texts("twitter")) + len(d.town.texts("facebook")); n != 3 {
				t.Errorf("%d posts are out, want 3", n)
			}
		})
	}
}

// TestLateAfterPause says what becomes of what a pause has made late.
func TestLateAfterPause(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		late, state string
	}{
		"as max_late says": {"apply", "missed"},
		"send all":         {"send", "published"},
		"miss all":         {"miss", "missed"},
	}
	for name, c := range cases {
		for _, scope := range []string{"", "/accounts/acme-x"} {
			t.Run(name+scope, func(t *testing.T) {
				t.Parallel()
				d := begin(t, "max_late: 15m", "max_late: 500ms")
				want[m](d.sam, http.StatusOK, http.MethodPost, scope+"/pause", m{})
				x := d.sam.post(m{"text": "Late", "targets": []any{"acme-x"}, "at": "now"}).Deliveries[0]
				ahead := d.sam.post(m{"text": "Not yet", "targets": []any{"acme-x"}, "at": in(time.Hour)}).Deliveries[0]
				quiet(t, 800*time.Millisecond)
				want[m](d.sam, http.StatusOK, http.MethodPost, scope+"/resume", m{"late": c.late})
				d.sam.await(x.ID, c.state)
				if x := d.sam.delivery(ahead.ID); x.State != "scheduled" {
					t.Errorf("what is not late is %s", x.State)
				}
				if n, out := len(d.town.acts("twitter", "1001")), c.state == "published"; (n == 1) != out {
					t.Errorf("it is out %d times", n)
				}
				if c.state != "missed" {
					return
				}
				x = d.sam.delivery(x.ID)
				d.sam.act(x, "retry", m{}, "If-Match", x.etag)
				d.sam.await(x.ID, "published")
			})
		}
	}
}

// TestCapabilitiesOfAnAccount tells the limits that an account has, those that it has bought among them.
func TestCapabilitiesOfAnAccount(t *testing.T) {
	t.Parallel()
	d := begin(t, "identity: acmeinc,", "identity: acmeinc, max_weight: 25000,")
	type capabilities struct {
		Fields map[string]struct {
			Support string
			Max     int
		}
		Options []struct{ Name string }
	}
	for handle, most := range map[string]int{"acme-x": 25000, "mia-x": 280} {
		c := want[capabilities](d.mia, http.StatusOK, http.MethodGet, "/accounts/"+handle+"/capabilities", nil)
		if c.Fields["text"].Max != most || c.Fields["thread"].Max != most || c.Fields["title"].Support != "not_supported" || len(c.Options) == 0 {
			t.Errorf("%s: %+v", handle, c)
		}
	}
}
