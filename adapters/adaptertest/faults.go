package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/sandbox"
)

// attempt prepares and publishes the first sample and says how that ended.
func (r *Rig) attempt(t *testing.T, a adapters.Adapter) *adapters.Error {
	t.Helper()
	d := r.Delivery(r.Suite.Samples[0].Content)
	if err := d.Prepare(a); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	_, err := d.Publish(a)
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*adapters.Error](err)
	if !ok {
		t.Fatalf("error of type %T: %v", err, err)
	}
	if e.Message == "" || !slices.Contains(adapters.Reasons(), e.Reason) {
		t.Errorf("error without message or reason: %+v", e)
	}
	return e
}

// testStatuses answers a commit with every status and every kind of body.
func testStatuses(t *testing.T, s *Suite) {
	bodies := map[string]func(int) string{
		"empty": func(int) string { return "" },
		"{}":    func(int) string { return "{}" },
		"html":  func(int) string { return "<html><body><h1>Sorry</h1></body></html>" },
		"error": s.ErrorBody,
		"cut":   func(status int) string { b := s.ErrorBody(status); return b[:len(b)/2] },
		"types": func(int) string { return `{"error":[1],"errors":"x","json":7,"title":{},"code":[],"message":false}` },
	}
	for name, body := range bodies {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			for status := 300; status <= 599; status++ {
				text := body(status)
				remove := r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: status, Body: text})
				e := r.attempt(t, a)
				remove()
				if e == nil {
					t.Errorf("%d: success", status)
					continue
				}
				fate, reasons := s.expected(status, text, name == "error")
				if e.Fate != fate || !slices.Contains(reasons, e.Reason) || e.Status != status {
					t.Errorf("%d: %v; want %s and one of %v", status, e, fate, reasons)
				}
			}
			if n := len(r.Public()); n != 0 {
				t.Errorf("%d acts", n)
			}
		})
	}
}

// expected is what an answer to a commit must come to: as the suite says, else by the common table. shaped says that the
// body is an error in the platform's own form. A refusal in any other form is somebody else's, a proxy's say, and
// proves nothing.
func (s *Suite) expected(status int, body string, shaped bool) (adapters.Fate, []adapters.Reason) {
	if s.Statuses != nil {
		if fate, reasons, ok := s.Statuses(status, body); ok {
			return fate, reasons
		}
	}
	fate, reasons := common(status)
	if status >= 400 && !shaped {
		return adapters.Unknown, append(reasons, adapters.Protocol)
	}
	return fate, reasons
}

// common is the table of what a status on a commit means, in the platform's own form, when nothing else in the answer
// says more.
func common(status int) (adapters.Fate, []adapters.Reason) {
	switch {
	case status < 400:
		return adapters.Absent, []adapters.Reason{adapters.Protocol}
	case status >= 500:
		return adapters.Unknown, []adapters.Reason{adapters.Server}
	}
	switch status {
	case 408, 409, 425, 499:
		return adapters.Unknown, []adapters.Reason{adapters.Server}
	case 401:
		return adapters.Absent, []adapters.Reason{adapters.Auth}
	case 402:
		return adapters.Absent, []adapters.Reason{adapters.Budget}
	case 403:
		return adapters.Absent, []adapters.Reason{adapters.Permission, adapters.Refused, adapters.Policy}
	case 404:
		return adapters.Absent, []adapters.Reason{adapters.Refused, adapters.Protocol, adapters.Server}
	case 429:
		return adapters.Absent, []adapters.Reason{adapters.RateLimit}
	}
	return adapters.Absent, []adapters.Reason{adapters.Refused, adapters.Protocol}
}

// testProofless answers a commit with a success that names no post, while the post is out.
func testProofless(t *testing.T, s *Suite) {
	bodies := append([]string{
		"", "{}", "[]", "null", "true", "7", `""`, `{"data":null}`, `{"data":{"id":""}}`, `{"id":""}`, `{"id":null}`, "<html></html>", `{"data":{"id":"1`,
	}, s.Proofless...)
	for _, status := range []int{200, 201, 202, 204, 206} {
		row(t, s, fmt.Sprint(status), func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			for i, body := range bodies {
				if status == http.StatusNoContent && i > 0 {
					break
				}
				remove := r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenStatus, Status: status, Body: body})
				e := r.attempt(t, a)
				remove()
				if e == nil || e.Fate != adapters.Unknown {
					t.Errorf("body %q: %v; want fate unknown", body, e)
				}
				time.Sleep(s.Again + time.Second)
			}
		})
	}
}

// testRefusals answers a commit with the platform's own refusals.
func testRefusals(t *testing.T, s *Suite) {
	for _, f := range s.Refusals {
		row(t, s, f.Name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: f.Status, Body: f.Body, Header: f.Header})
			now := time.Now()
			e := r.attempt(t, a)
			if e == nil {
				t.Fatal("success")
			}
			if e.Fate != f.Fate || e.Reason != f.Reason || e.Scope != f.Scope || f.Code != "" && e.Code != f.Code {
				t.Errorf("got %v (scope %d), want %s, %s, scope %d, code %q", e, e.Scope, f.Fate, f.Reason, f.Scope, f.Code)
			}
			r.until(t, e, now, f.Until)
			if n := r.Commits(); n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
		})
	}
}

// until compares when an error says that it may be tried again.
func (r *Rig) until(t *testing.T, e *adapters.Error, now time.Time, want time.Duration) {
	t.Helper()
	if want == 0 {
		if !e.Until.IsZero() {
			t.Errorf("may be tried at %s, though nobody said so", e.Until)
		}
		return
	}
	if off := e.Until.Sub(now.Add(want)); off < -time.Second || off > time.Second {
		t.Errorf("may be tried at %s, want %s", e.Until, now.Add(want))
	}
	if e.Until.Location() != time.UTC {
		t.Errorf("time in %s, want UTC", e.Until.Location())
	}
}

// testWords has the platform repeat the post and its tokens in an error: what is told to people holds neither.
func testWords(t *testing.T, s *Suite) {
	for _, status := range []int{200, 400, 401, 403, 429} {
		row(t, s, fmt.Sprint(status), func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			c := Vary(s.Samples[0].Content, 7)
			d := r.Delivery(c)
			if err := d.Prepare(a); err != nil {
				t.Fatal(err)
			}
			hidden := slices.DeleteFunc([]string{c.Text, c.Title}, func(w string) bool { return w == "" })
			for _, token := range s.Accounts[0].Tokens {
				hidden = append(hidden, token)
			}
			said := strings.Join(hidden, " and ")
			body := fmt.Sprintf(
				`{"title":%[1]q,"detail":%[1]q,"message":%[1]q,"explanation":%[1]q,"reason":"X","errors":[{"code":1000,"message":%[1]q}],`+
					`"error":{"code":100,"message":%[1]q,"error_user_msg":%[1]q,"errors":[{"reason":"somethingElse","message":%[1]q}]},`+
					`"json":{"errors":[["NEW",%[1]q,null]]}}`, said)
			r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: status, Body: body})
			// Not through the rig: here the platform itself tells the token, so that the record of the answer holds it.
			_, err := a.Publish(t.Context(), d.Request())
			e := adapters.AsError(err)
			for _, word := range hidden {
				if err == nil || strings.Contains(e.Message, word) || strings.Contains(e.Code, word) {
					t.Errorf("got %v; want an error without %q", err, word)
				}
			}
		})
	}
}

// testRateLimit has the platform say too much in its own way, and in the common way.
func testRateLimit(t *testing.T, s *Suite) {
	faults := map[string]sandbox.Fault{
		"its own": {Kind: sandbox.RateLimit, Delay: 7 * time.Minute},
		"seconds": {Kind: sandbox.Refuse, Status: http.StatusTooManyRequests, Body: s.ErrorBody(429), Header: http.Header{"Retry-After": {"420"}}},
		"date": {Kind: sandbox.Refuse, Status: http.StatusTooManyRequests, Body: s.ErrorBody(429), Header: http.Header{
			"Retry-After": {"Mon, 23 Nov 2026 09:07:00 GMT"}, // the rig begins at nine
		}},
	}
	for name, fault := range faults {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			now := time.Now()
			r.Sandbox.Misbehave(fault)
			e := r.attempt(t, a)
			want := adapters.Absent
			if s.ThrottledUnknown {
				want = adapters.Unknown
			}
			if e == nil || e.Fate != want || e.Reason != adapters.RateLimit {
				t.Fatalf("got %v, want %s and rate_limit", e, want)
			}
			r.until(t, e, now, 7*time.Minute)
		})
	}
	row(t, s, "a post that used the last of it", func(t *testing.T, r *Rig) {
		t.Helper()
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.RateHeadersZero})
		a := r.Open(0)
		for n := range 3 {
			d := r.Delivery(Vary(s.Samples[0].Content, n))
			if err := d.All(a); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.Public()); n != 3 {
			t.Errorf("%d acts, want 3", n)
		}
	})
}

// testConnection breaks the connection at every point.
func testConnection(t *testing.T, s *Suite) {
	faults := map[string]struct {
		kind sandbox.FaultKind
		acts int
	}{
		"cut before":                 {sandbox.CutBefore, 0},
		"cut after":                  {sandbox.PublishThenCut, 1},
		"half an answer":             {sandbox.PublishThenHalf, 1},
		"nothing in the answer":      {sandbox.PublishThenEmpty, 1},
		"a gateway's page, posted":   {sandbox.PublishThenHTML502, 1},
		"a gateway's page, not":      {sandbox.HTML502, 0},
		"silence before":             {sandbox.HangBefore, 0},
		"silence after":              {sandbox.PublishThenHang, 1},
		"posted after the cut":       {sandbox.LatePublish, 0},
		"a server error, and posted": {sandbox.PublishThenStatus, 1},
		"reset before":               {sandbox.ResetBefore, 0},
		"reset after":                {sandbox.PublishThenReset, 1},
		"half an answer and silence": {sandbox.PublishThenStall, 1},
	}
	for name, f := range faults {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			// The fault shall hit a connection that is in use already: that is where net/http repeats.
			if err := r.Delivery(Vary(s.Samples[0].Content, 7)).All(a); err != nil {
				t.Fatal(err)
			}
			r.Sandbox.Misbehave(sandbox.Fault{Kind: f.kind, Delay: time.Hour})
			began := time.Now()
			e := r.attempt(t, a)
			if e == nil || e.Fate != adapters.Unknown {
				t.Errorf("got %v, want fate unknown", e)
			}
			if took := time.Since(began); took > s.Driver.CommitTimeout {
				t.Errorf("took %s", took)
			}
			if n := r.Commits(); n != 2 {
				t.Errorf("%d commits, want 2", n)
			}
			if n := len(r.Public()) - 1; n != f.acts {
				t.Errorf("%d acts, want %d", n, f.acts)
			}
		})
	}
	row(t, s, "closed right after it was accepted", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		if err := r.Delivery(Vary(s.Samples[0].Content, 7)).All(a); err != nil {
			t.Fatal(err)
		}
		d := r.Delivery(s.Samples[0].Content)
		if err := d.Prepare(a); err != nil {
			t.Fatal(err)
		}
		r.Wire.CloseIdleConnections()
		r.Memory.SlamNext(1)
		_, err := d.Publish(a)
		// Whether bytes have left is not for sure.
		if e := adapters.AsError(err); err == nil || e.Fate == adapters.Exists || e.Reason != adapters.Network {
			t.Errorf("got %v, want network", err)
		}
		if n := r.Commits(); n != 1 {
			t.Errorf("%d commits, want the first alone", n)
		}
	})
	row(t, s, "nobody there", func(t *testing.T, r *Rig) {
		t.Helper()
		env := r.Env(0)
		env.Base = refusingWire{}
		a, err := s.Driver.Open(env)
		if err != nil {
			t.Fatal(err)
		}
		ctx, flight, cancel := r.Context()
		defer cancel()
		_, err = r.Delivery(s.Samples[0].Content).PublishIn(ctx, flight, a)
		e := adapters.AsError(err)
		if err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Network && e.Reason != adapters.Prepare {
			t.Errorf("got %v, want absent and network", err)
		}
	})
}

type refusingWire struct{}

func (refusingWire) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.Body != nil {
		_ = q.Body.Close()
	}
	return nil, errors.New("dial: connection refused")
}

// testStopped holds commits back: by the gate, and by a context that has ended.
func testStopped(t *testing.T, s *Suite) {
	no := errors.New("paused")
	gates := map[string]func() func() error{
		"at once": func() func() error { return func() error { return no } },
		"while connecting": func() func() error {
			asked := false
			return func() error {
				if asked {
					return no
				}
				asked = true
				return nil
			}
		},
	}
	for name, gate := range gates {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			d := r.Delivery(s.Samples[0].Content)
			if err := d.Prepare(a); err != nil {
				t.Fatal(err)
			}
			ctx, flight, cancel := r.Context()
			defer cancel()
			flight.Gate = gate()
			_, err := d.PublishIn(ctx, flight, a)
			if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Stopped {
				t.Errorf("got %v, want absent and stopped", err)
			}
			// A request that breaks off in front of its body is none to any platform.
			if n := len(r.Public()); n != 0 {
				t.Errorf("%d acts", n)
			}
			if n := r.Commits(); name == "at once" && n != 0 {
				t.Errorf("%d commits reached the platform", n)
			}
		})
	}
	row(t, s, "ended before", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		d := r.Delivery(s.Samples[0].Content)
		if err := d.Prepare(a); err != nil {
			t.Fatal(err)
		}
		before := len(r.Sandbox.Requests())
		ctx, flight, cancel := r.Context()
		cancel()
		_, err := d.PublishIn(ctx, flight, a)
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent {
			t.Errorf("got %v, want absent", err)
		}
		if n := len(r.Sandbox.Requests()) - before; n != 0 {
			t.Errorf("%d requests", n)
		}
	})
	row(t, s, "ended meanwhile", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		d := r.Delivery(s.Samples[0].Content)
		if err := d.Prepare(a); err != nil {
			t.Fatal(err)
		}
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenHang})
		ctx, flight, cancel := r.Context()
		defer cancel()
		stop := time.AfterFunc(3*time.Second, cancel)
		defer stop.Stop()
		_, err := d.PublishIn(ctx, flight, a)
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Unknown || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want unknown because of the context", err)
		}
	})
}

// testRedirect leads a commit elsewhere.
func testRedirect(t *testing.T, s *Suite) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		row(t, s, fmt.Sprint(status), func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			d := r.Delivery(s.Samples[0].Content)
			if err := d.Prepare(a); err != nil {
				t.Fatal(err)
			}
			r.Sandbox.Misbehave(sandbox.Fault{
				Kind: sandbox.Redirect, Status: status, Header: http.Header{"Location": {"http://evil.invalid/2/tweets"}},
			})
			_, err := d.Publish(a)
			fate, reasons := s.expected(status, "", false)
			if e := adapters.AsError(err); err == nil || e.Fate != fate || !slices.Contains(reasons, e.Reason) {
				t.Errorf("got %v, want %s and one of %v", err, fate, reasons)
			}
			if slices.Contains(r.Wire.Hosts(), "evil.invalid") {
				t.Error("the redirect was followed")
			}
		})
	}
}

// testBodyCap answers with more than anybody should read.
func testBodyCap(t *testing.T, s *Suite) {
	for _, status := range []int{200, 400, 500} {
		row(t, s, fmt.Sprint(status), func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			r.Sandbox.Misbehave(sandbox.Fault{
				Kind: sandbox.PublishThenStatus, Status: status, Body: `{"x":"` + strings.Repeat("x", 2*adapters.BodyCap) + `"}`,
			})
			e := r.attempt(t, a)
			if e == nil || e.Fate != adapters.Unknown {
				t.Fatalf("got %.300v, want fate unknown", e)
			}
			if n := len(e.Error()); n > 4096 {
				t.Errorf("an error of %d bytes", n)
			}
		})
	}
}
