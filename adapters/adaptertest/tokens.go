package adaptertest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/sandbox"
	"crier/internal/secret"
)

// calls counts the requests that the sandbox has seen of a kind, as in [sandbox.Fault].
func (r *Rig) calls(match string) int {
	n := 0
	for _, q := range r.Sandbox.Requests() {
		if strings.Contains(q.Method+" "+q.Path, match) {
			n++
		}
	}
	return n
}

// rotating is the suite with refresh tokens that serve once.
func (s *Suite) rotating() *Suite {
	out := *s
	for i := range out.Accounts {
		c := maps.Clone(out.Accounts[i].Identity.Credentials)
		c["rotate"] = "true"
		out.Accounts[i].Identity.Credentials = c
	}
	return &out
}

// testTokens has access tokens that end, and a token endpoint that misbehaves.
func testTokens(t *testing.T, s *Suite) {
	content := s.Samples[0].Content
	row(t, s, "one serves all calls until its end", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		for n := range 3 {
			if err := r.Delivery(Vary(content, n)).All(a); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.calls(s.Tokens); n != 1 {
			t.Errorf("%d tokens fetched, want 1", n)
		}
		time.Sleep(30 * time.Hour)
		if err := r.Delivery(Vary(content, 3)).All(a); err != nil {
			t.Fatal(err)
		}
		if n := r.calls(s.Tokens); n != 2 {
			t.Errorf("%d tokens fetched, want 2", n)
		}
	})
	row(t, s.rotating(), "many at once fetch one", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		var work sync.WaitGroup
		for n := range 8 {
			work.Go(func() {
				if err := r.Delivery(Vary(content, n)).All(a); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if n := r.calls(s.Tokens); n != 1 {
			t.Errorf("%d tokens fetched, want 1", n)
		}
	})
	row(t, s.rotating(), "a new refresh token is stored before anything is done", func(t *testing.T, r *Rig) {
		t.Helper()
		disk := errors.New("disk is full")
		r.Stores[0].Refuse = func() error { return disk }
		a := r.Open(0)
		d := r.Delivery(content)
		err := d.All(a)
		if e := adapters.AsError(err); !errors.Is(err, disk) || e.Fate != adapters.Absent || e.Reason == adapters.Auth {
			t.Errorf("got %v, want the disk's error, absent and not auth", err)
		}
		if n := r.Commits(); n != 0 {
			t.Errorf("%d commits with a token that was not stored", n)
		}
		r.Stores[0].Refuse = nil
		if err := d.All(a); err != nil {
			t.Fatal(err)
		}
		if err := r.Delivery(Vary(content, 2)).All(r.Open(0)); err != nil {
			t.Errorf("with the token that was stored: %v", err)
		}
	})
	row(t, s.rotating(), "a crash between the answer and the store", func(t *testing.T, r *Rig) {
		t.Helper()
		r.Stores[0].Refuse = func() error { return errors.New("the machine went down") }
		d := r.Delivery(content)
		if err := d.All(r.Open(0)); err == nil {
			t.Fatal("success")
		}
		r.Stores[0].Refuse = nil
		// What the platform gave is lost with the process; the post is not, and the account has to be connected again.
		err := d.All(r.Open(0))
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth || r.Commits() != 0 {
			t.Errorf("got %v and %d commits, want absent, auth and none", err, r.Commits())
		}
	})
	row(t, s, "revoked, found out by a read", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		since := time.Now()
		if err := r.Delivery(content).All(a); err != nil {
			t.Fatal(err)
		}
		r.Sandbox.ExpireTokens()
		if look, err := r.Delivery(content).Find(a, since); err != nil || look.Sight != adapters.Found {
			t.Errorf("got %+v, %v; want it found", look, err)
		}
	})
	row(t, s, "revoked, found out by a commit", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		d := r.Delivery(content)
		if err := d.Prepare(a); err != nil {
			t.Fatal(err)
		}
		if v, ok := adapters.As[adapters.Verifier](a); ok {
			if _, err := v.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.Sandbox.ExpireTokens()
		_, err := d.Publish(a)
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth || r.Commits() != 1 {
			t.Errorf("got %v after %d commits, want absent and auth after one", err, r.Commits())
		}
		f, ok := adapters.As[adapters.Refresher](a)
		if !ok {
			t.Fatal("the adapter can not refresh")
		}
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.All(a); err != nil {
			t.Error(err)
		}
	})
	row(t, s, "the identity is asked for again", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		if err := r.Delivery(Vary(content, 1)).All(a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Hour)
		before := r.calls(s.Whose)
		d := r.Delivery(content)
		if err := d.All(a); err != nil {
			t.Fatal(err)
		}
		if n := r.calls(s.Whose) - before; n != 1 {
			t.Errorf("a token that was fetched for the commit was asked about %d times, want once", n)
		}
	})
	row(t, s, "refused", func(t *testing.T, r *Rig) {
		t.Helper()
		r.Sandbox.Misbehave(sandbox.Fault{Match: s.Tokens, Kind: sandbox.Refuse, Status: 400, Body: `{"error":"invalid_grant"}`})
		err := r.Delivery(content).All(r.Open(0))
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth {
			t.Errorf("got %v, want absent and auth", err)
		}
	})
	odd := map[string]sandbox.Fault{
		"gateway": {Kind: sandbox.HTML502}, "cut": {Kind: sandbox.CutBefore}, "nothing": {Kind: sandbox.PublishThenEmpty},
		"half": {Kind: sandbox.PublishThenHalf}, "rate limit": {Kind: sandbox.RateLimit}, "hang": {Kind: sandbox.HangBefore},
		"redirect": {Kind: sandbox.Redirect, Header: http.Header{"Location": {"http://evil.invalid/"}}},
	}
	for i, body := range []string{"{}", "null", "[]", "<html></html>", `{"access_token":7}`, `{"access_token":""}`} {
		odd[fmt.Sprintf("200 of kind %d", i)] = sandbox.Fault{Kind: sandbox.Refuse, Status: 200, Body: body}
	}
	for _, status := range []int{400, 401, 403, 404, 409, 413, 429, 500, 503} {
		odd[fmt.Sprintf("%d as a page", status)] = sandbox.Fault{Kind: sandbox.Refuse, Status: status, Body: "<html></html>"}
	}
	for name, fault := range odd {
		row(t, s, "answer: "+name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			fault.Match = s.Tokens
			remove := r.Sandbox.Misbehave(fault)
			d := r.Delivery(content)
			_, err := d.Publish(a)
			if p, ok := adapters.As[adapters.Preparer](a); ok && p.Prepares(d.Request()) {
				err = d.Prepare(a)
			}
			remove()
			e := adapters.AsError(err)
			// Nothing was said about the content, nor about the account.
			want := []adapters.Reason{adapters.Network, adapters.Server, adapters.RateLimit}
			if err == nil || e.Fate != adapters.Absent || !slices.Contains(want, e.Reason) {
				t.Errorf("got %v, want absent and one of %v", err, want)
			}
			if slices.Contains(r.Wire.Hosts(), "evil.invalid") {
				t.Error("the redirect was followed")
			}
			if err := d.All(a); err != nil {
				t.Errorf("when all is well again: %v", err)
			}
		})
	}
}

// testForeignTokens puts the other account's tokens into the store of the first while the adapter is at work. They
// never speak in the first one's place.
func testForeignTokens(t *testing.T, s *Suite) {
	for _, verified := range []bool{false, true} {
		row(t, s, fmt.Sprintf("another's tokens, verified before: %t", verified), func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			d := r.Delivery(s.Samples[0].Content)
			if verified {
				if v, ok := adapters.As[adapters.Verifier](a); ok {
					if _, err := v.Verify(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := d.Prepare(a); err != nil {
				t.Fatal(err)
			}
			foreign := make(map[string]secret.Text)
			for k, v := range s.Accounts[1].Tokens {
				foreign[k] = secret.New(v)
			}
			old, err := r.Stores[0].Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Stores[0].Replace(t.Context(), old, foreign); err != nil {
				t.Fatal(err)
			}
			_, err = d.Publish(a)
			if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth {
				t.Errorf("got %v, want absent and auth", err)
			}
			if n, acts := r.Commits(), len(r.Public()); n != 0 || acts != 0 {
				t.Errorf("%d commits and %d acts", n, acts)
			}
		})
	}
}
