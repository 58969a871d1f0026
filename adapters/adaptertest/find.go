package adaptertest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// Vary gives the same content with other words.
func Vary(c post.Content, n int) post.Content {
	if c.Text != "" {
		c.Text = fmt.Sprintf("%s %d", c.Text, n)
	}
	if c.Title != "" {
		c.Title = fmt.Sprintf("%s %d", c.Title, n)
	}
	return c
}

// testFind looks for each part of each sample: absent, then cut off while it goes out, then there.
func testFind(t *testing.T, s *Suite) {
	for _, sample := range s.Samples {
		row(t, s, sample.Name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			// Another one of ours, and the same of somebody else's, are there already.
			if err := r.Delivery(Vary(s.Samples[0].Content, 99)).All(a); err != nil {
				t.Fatal(err)
			}
			d := r.Delivery(sample.Content)
			for part := 0; d.Left() > 0; part++ {
				since := time.Now()
				if err := d.Prepare(a); err != nil {
					t.Fatal(err)
				}
				if look, err := d.Find(a, since); err != nil || look.Sight != adapters.NotSeen && look.Sight != adapters.Never {
					t.Errorf("part %d before: %+v, %v; want not seen", part, look, err)
				}
				before := len(r.Public())
				remove := r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1})
				_, err := d.Publish(a)
				remove()
				if e := adapters.AsError(err); err == nil || e.Fate != adapters.Unknown {
					t.Errorf("part %d cut off: %v, want fate unknown", part, err)
				}
				acts := r.Public()
				if len(acts) != before+1 {
					t.Fatalf("part %d: %d acts, want one more than %d", part, len(acts), before)
				}
				time.Sleep(time.Second)
				look, err := d.Find(r.Open(0), since)
				want := acts[len(acts)-1].RemoteID
				if err != nil || look.Sight != adapters.Found || look.Receipt.RemoteID != want {
					t.Fatalf("part %d after: %+v, %v; want %s", part, look, err, want)
				}
				if look.Receipt.URL == "" || look.Receipt.At.IsZero() {
					t.Errorf("part %d: receipt without time or address: %+v", part, look.Receipt)
				}
				if look, err := d.Find(a, since, want); err != nil || look.Sight == adapters.Found {
					t.Errorf("part %d is another's: %+v, %v; want it not found", part, look, err)
				}
				d.Receipts = append(d.Receipts, look.Receipt)
			}
		})
	}
	row(t, s, "listed late", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.LateListing, Delay: 30 * time.Second})
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenStatus, Status: http.StatusInternalServerError, Times: 1})
		d := r.Delivery(s.Samples[0].Content)
		since := time.Now()
		if err := d.Prepare(a); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Publish(a); err == nil || adapters.AsError(err).Fate != adapters.Unknown {
			t.Fatalf("got %v, want fate unknown", err)
		}
		time.Sleep(10 * time.Second)
		early, err := d.Find(a, since)
		if err != nil || early.Sight == adapters.Never {
			t.Errorf("early: %+v, %v; want no claim that it never happened", early, err)
		}
		time.Sleep(time.Minute)
		if look, err := d.Find(a, since); err != nil || look.Sight != adapters.Found {
			t.Errorf("late: %+v, %v; want it found", look, err)
		}
	})
	row(t, s, "somebody else's", func(t *testing.T, r *Rig) {
		t.Helper()
		since := time.Now()
		if err := r.Delivery(s.Samples[0].Content).All(r.Open(1)); err != nil {
			t.Fatal(err)
		}
		if look, err := r.Delivery(s.Samples[0].Content).Find(r.Open(0), since); err != nil || look.Sight != adapters.NotSeen && look.Sight != adapters.Never {
			t.Errorf("got %+v, %v; want not seen", look, err)
		}
	})
	row(t, s, "before since", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		if err := r.Delivery(s.Samples[0].Content).All(a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if look, err := r.Delivery(s.Samples[0].Content).Find(a, time.Now()); err != nil || look.Sight != adapters.NotSeen && look.Sight != adapters.Never {
			t.Errorf("got %+v, %v; want not seen", look, err)
		}
	})
}

// testFindPage buries the act under later ones.
func testFindPage(t *testing.T, s *Suite) {
	Bubble(t, s, func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		first := r.Delivery(s.Samples[0].Content)
		since := time.Now()
		if err := first.All(a); err != nil {
			t.Fatal(err)
		}
		for n := range s.Page {
			if err := r.Delivery(Vary(s.Samples[0].Content, n)).All(a); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		look, err := r.Delivery(s.Samples[0].Content).Find(a, since)
		if err != nil || look.Sight != adapters.Found || look.Receipt.RemoteID != first.Receipts[0].RemoteID {
			t.Errorf("got %+v, %v; want %s", look, err, first.Receipts[0].RemoteID)
		}
	})
}

// testFindTwins has the same content out twice: a receipt is never borrowed and never guessed.
func testFindTwins(t *testing.T, s *Suite) {
	Bubble(t, s, func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		since := time.Now()
		var ids []string
		for range 2 {
			d := r.Delivery(s.Samples[0].Content)
			if err := d.All(a); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d.Receipts[0].RemoteID)
			time.Sleep(s.Again + time.Second)
		}
		third := r.Delivery(s.Samples[0].Content)
		if look, err := third.Find(a, since, ids...); err != nil || look.Sight == adapters.Found {
			t.Errorf("both taken: %+v, %v; want not found", look, err)
		}
		for i, id := range ids {
			look, err := third.Find(a, since, id)
			if err == nil && look.Sight == adapters.Found && look.Receipt.RemoteID != ids[1-i] {
				t.Errorf("%s taken: found %s", id, look.Receipt.RemoteID)
			}
			if err != nil || look.Sight != adapters.Found && len(third.handles) == 0 {
				t.Errorf("%s taken: %+v, %v; want the other", id, look, err)
			}
		}
		look, err := third.Find(a, since)
		if err != nil || look.Sight == adapters.Found || look.Sight == adapters.Never && len(third.handles) == 0 {
			t.Errorf("neither taken: %+v, %v; want no guess", look, err)
		}
	})
}

// testFindErrors holds that a read which failed is an error and not a look.
func testFindErrors(t *testing.T, s *Suite) {
	faults := map[string]sandbox.Fault{
		"cut":         {Kind: sandbox.CutBefore},
		"half":        {Kind: sandbox.PublishThenHalf},
		"empty":       {Kind: sandbox.PublishThenEmpty},
		"gateway":     {Kind: sandbox.HTML502},
		"rate limit":  {Kind: sandbox.RateLimit},
		"hang":        {Kind: sandbox.HangBefore},
		"redirect":    {Kind: sandbox.Redirect, Header: http.Header{"Location": {Base + "/elsewhere"}}},
		"html":        {Kind: sandbox.Refuse, Status: http.StatusOK, Body: "<html></html>"},
		"empty json":  {Kind: sandbox.Refuse, Status: http.StatusOK, Body: "{}"},
		"null":        {Kind: sandbox.Refuse, Status: http.StatusOK, Body: "null"},
		"wrong types": {Kind: sandbox.Refuse, Status: http.StatusOK, Body: `{"data":7,"kind":[],"items":"x"}`},
	}
	for _, status := range []int{400, 401, 402, 403, 404, 429, 500, 503} {
		faults[fmt.Sprint(status)] = sandbox.Fault{Kind: sandbox.Refuse, Status: status, Body: s.ErrorBody(status)}
	}
	for name, fault := range faults {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			since := time.Now()
			if err := r.Delivery(s.Samples[0].Content).All(a); err != nil {
				t.Fatal(err)
			}
			fault.Match = s.Listing
			r.Sandbox.Misbehave(fault)
			look, err := r.Delivery(s.Samples[0].Content).Find(a, since)
			if err == nil {
				t.Fatalf("got %+v, want an error", look)
			}
			if look != (adapters.Look{}) {
				t.Errorf("both a look and an error: %+v", look)
			}
			if n := r.Commits(); n != 1 {
				t.Errorf("%d commits, want the first alone", n)
			}
		})
	}
}
