package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// testAuth has tokens that are not accepted.
func testAuth(t *testing.T, s *Suite) {
	row(t, s, "refused at the commit", func(t *testing.T, r *Rig) {
		t.Helper()
		a := r.Open(0)
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: 401, Body: s.ErrorBody(401)})
		if e := r.attempt(t, a); e == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth {
			t.Errorf("got %v, want absent and auth", e)
		}
		if n := r.Commits(); n != 1 {
			t.Errorf("%d commits: a commit is never replayed", n)
		}
	})
	row(t, s, "nobody's", func(t *testing.T, r *Rig) {
		t.Helper()
		wrong := make(map[string]string)
		for k := range s.Accounts[0].Tokens {
			wrong[k] = "canary-nobodys-" + k
		}
		r.Stores[0] = NewTokens(wrong)
		a := r.Open(0)
		ctx, flight, cancel := r.Context()
		defer cancel()
		_, err := r.Delivery(s.Samples[0].Content).PublishIn(ctx, flight, a)
		if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth {
			t.Errorf("publish: %v, want absent and auth", err)
		}
		if v, ok := adapters.As[adapters.Verifier](a); ok {
			_, err := v.Verify(t.Context())
			r.say(err)
			if e := adapters.AsError(err); err == nil || e.Reason != adapters.Auth {
				t.Errorf("verify: %v, want auth", err)
			}
		}
		for _, said := range r.said {
			if strings.Contains(said, "canary-nobodys") {
				t.Errorf("the token is in %q", said)
			}
		}
		if n := len(r.Public()); n != 0 {
			t.Errorf("%d acts", n)
		}
	})
}

// testVerify asks whose tokens they are.
func testVerify(t *testing.T, s *Suite) {
	row(t, s, "both accounts", func(t *testing.T, r *Rig) {
		t.Helper()
		for i, account := range s.Accounts {
			v, ok := adapters.As[adapters.Verifier](r.Open(i))
			if !ok {
				t.Fatal("the adapter can not verify")
			}
			who, err := v.Verify(t.Context())
			if err != nil || !strings.EqualFold(who.ID, account.Account.Identity) || who.Name == "" {
				t.Errorf("account %d: %+v, %v; want %s", i, who, err, account.Account.Identity)
			}
		}
		if n := r.Commits(); n != 0 {
			t.Errorf("%d commits", n)
		}
	})
	faults := map[string]sandbox.Fault{
		"cut":         {Kind: sandbox.CutBefore},
		"half":        {Kind: sandbox.PublishThenHalf},
		"empty":       {Kind: sandbox.PublishThenEmpty},
		"gateway":     {Kind: sandbox.HTML502},
		"wrong types": {Kind: sandbox.Refuse, Status: 200, Body: `{"data":7,"id":{},"name":[],"items":"x"}`},
		"nobody":      {Kind: sandbox.Refuse, Status: 200, Body: `{}`},
		"refused":     {Kind: sandbox.Refuse, Status: 403, Body: s.ErrorBody(403)},
	}
	for name, fault := range faults {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			v, ok := adapters.As[adapters.Verifier](r.Open(0))
			if !ok {
				t.Fatal("the adapter can not verify")
			}
			fault.Match = "/"
			r.Sandbox.Misbehave(fault)
			ctx, _, cancel := r.Context()
			defer cancel()
			who, err := v.Verify(ctx)
			r.say(err)
			e, typed := errors.AsType[*adapters.Error](err)
			if !typed || e.Fate == adapters.Unknown || who != (adapters.Identity{}) {
				t.Errorf("got %+v, %v; want an error with fate absent", who, err)
			}
		})
	}
}

// testPrepare prepares samples without anything becoming public, resuming after every stop.
func testPrepare(t *testing.T, s *Suite) {
	row(t, s, "something to prepare", func(t *testing.T, r *Rig) {
		t.Helper()
		p, ok := adapters.As[adapters.Preparer](r.Open(0))
		if !ok || !slices.ContainsFunc(s.Samples, func(x Sample) bool { return p.Prepares(r.Delivery(x.Content).Request()) }) {
			t.Error("no sample needs preparing")
		}
	})
	for _, sample := range s.Samples {
		row(t, s, sample.Name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			p, ok := adapters.As[adapters.Preparer](a)
			if !ok {
				t.Fatal("the adapter can not prepare")
			}
			d := r.Delivery(sample.Content)
			if !p.Prepares(d.Request()) {
				return
			}
			_, err := d.Publish(a)
			if e := adapters.AsError(err); err == nil || e.Fate != adapters.Absent || e.Reason != adapters.Prepare {
				t.Errorf("unprepared: %v, want absent and prepare", err)
			}
			// Every save is followed by a stop until the work is done.
			stop := errors.New("stopped")
			for n := 0; ; n++ {
				if n > 50 {
					t.Fatal("preparing gets nowhere")
				}
				saved := false
				err := p.Prepare(t.Context(), d.Request(), func(ctx context.Context, h post.Handle) error {
					if saved {
						return stop
					}
					saved = true
					return d.save(ctx, h)
				})
				r.say(err)
				if err == nil {
					break
				}
				if !errors.Is(err, stop) {
					t.Fatal(err)
				}
				if e, typed := errors.AsType[*adapters.Error](err); !typed || e.Fate != adapters.Absent || e.Reason != adapters.Server {
					t.Fatalf("what cannot be saved gives %v of type %T, want absent and server", err, err)
				}
			}
			if len(d.handles) == 0 || !d.handles[len(d.handles)-1].Done {
				t.Errorf("no handle is done: %d handles", len(d.handles))
			}
			before := len(r.Sandbox.Requests())
			if err := d.Prepare(r.Open(0)); err != nil {
				t.Error(err)
			}
			if n := len(r.Sandbox.Requests()) - before; n != 0 {
				t.Errorf("preparing again made %d requests", n)
			}
			if n, acts := r.Commits(), len(r.Public()); n != 0 || acts != 0 {
				t.Errorf("preparing made %d commits and %d acts", n, acts)
			}
			if err := d.All(a); err != nil {
				t.Fatal(err)
			}
			r.compare(t, sample, d)
		})
	}
}

// testPrepareFaults breaks preparing: whatever happens, nothing is public, and what is no refusal is tried again.
func testPrepareFaults(t *testing.T, s *Suite) {
	repeatable := []adapters.Reason{adapters.Network, adapters.Server, adapters.Prepare, adapters.RateLimit, adapters.Auth}
	faults := map[string]sandbox.Fault{
		"cut": {Kind: sandbox.CutBefore}, "half": {Kind: sandbox.PublishThenHalf}, "empty": {Kind: sandbox.PublishThenEmpty},
		"gateway": {Kind: sandbox.HTML502}, "hang": {Kind: sandbox.HangBefore}, "rate limit": {Kind: sandbox.RateLimit},
		"wrong types": {Kind: sandbox.Refuse, Status: 200, Body: `{"data":7,"id":{}}`},
		"nothing":     {Kind: sandbox.Refuse, Status: 200, Body: `{}`},
		"null":        {Kind: sandbox.Refuse, Status: 200, Body: `null`},
		"a page":      {Kind: sandbox.Refuse, Status: 200, Body: `<html></html>`},
		"a proxy":     {Kind: sandbox.Refuse, Status: 413, Body: `<html></html>`},
	}
	refused := map[string]bool{"302": true, "400": true, "403": true, "404": true, "413": true}
	for _, status := range []int{302, 400, 401, 403, 404, 413, 429, 500, 503} {
		faults[fmt.Sprint(status)] = sandbox.Fault{Kind: sandbox.Refuse, Status: status, Body: s.ErrorBody(status)}
	}
	for name, fault := range faults {
		row(t, s, name, func(t *testing.T, r *Rig) {
			t.Helper()
			a := r.Open(0)
			p, ok := adapters.As[adapters.Preparer](a)
			if !ok {
				t.Fatal("the adapter can not prepare")
			}
			fault.Match = s.Uploads
			tried := 0
			for _, sample := range s.Samples {
				d := r.Delivery(sample.Content)
				if !p.Prepares(d.Request()) {
					continue
				}
				tried++
				remove := r.Sandbox.Misbehave(fault)
				err := d.Prepare(a)
				remove()
				e, typed := errors.AsType[*adapters.Error](err)
				if !typed || e.Fate != adapters.Absent {
					t.Errorf("%s: %v, want fate absent", sample.Name, err)
				} else if !refused[name] && !slices.Contains(repeatable, e.Reason) {
					t.Errorf("%s: %v, want one of %v: nobody has refused the post", sample.Name, err, repeatable)
				}
				if err := d.Prepare(a); err != nil {
					t.Errorf("%s, when all is well again: %v", sample.Name, err)
				}
			}
			if tried == 0 {
				t.Error("no sample needs preparing")
			}
			if n := r.Commits(); n != 0 {
				t.Errorf("%d commits", n)
			}
		})
	}
}

// testSettings opens the adapter with settings that can not work.
func testSettings(t *testing.T, s *Suite) {
	Bubble(t, s, func(t *testing.T, r *Rig) {
		t.Helper()
		rows := map[string]func(*adapters.Env){
			"unknown key": func(e *adapters.Env) { e.Settings = decoder(s.Settings(Base) + "\nno_such_key: 1\n") },
			"unknown key of the account": func(e *adapters.Env) {
				e.Extra = decoder(s.Accounts[0].Extra + "\nno_such_key: 1\n")
			},
			"no credentials": func(e *adapters.Env) { e.Credentials = NewTokens(nil) },
		}
		if !s.SettingsOptional {
			rows["no settings"] = func(e *adapters.Env) { e.Settings = decoder("") }
		}
		for name, change := range rows {
			env := r.Env(0)
			change(&env)
			a, err := s.Driver.Open(env)
			r.say(err)
			if err == nil && name == "no credentials" {
				// Tokens may be loaded late; then the first use says so.
				_, err = r.Delivery(s.Samples[0].Content).Publish(a)
				if e := adapters.AsError(err); err != nil && (e.Fate != adapters.Absent || e.Reason != adapters.Auth) {
					t.Errorf("%s: %v, want absent and auth", name, err)
				}
			}
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if n := len(r.Public()); n != 0 {
			t.Errorf("%d acts", n)
		}
		if s.Driver.Platform != r.Open(0).Platform() {
			t.Errorf("driver of %s opens an adapter of %s", s.Driver.Platform, r.Open(0).Platform())
		}
		if len(s.Driver.Looks) == 0 || s.Driver.CommitTimeout <= 0 || s.Driver.Capabilities == nil {
			t.Error("driver without looks, commit timeout or capabilities")
		}
	})
}
