package adapters_test

import (
	"errors"
	"testing"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/secret"
)

func TestATokenIsKnownOnceThePlatformHasSaidWhoseItIs(t *testing.T) {
	t.Parallel()
	account := post.Account{Identity: "Acme"}
	first, second := secret.New("first"), secret.New("second")
	var o adapters.Owner
	if o.Knows(secret.Text{}) || o.Knows(first) {
		t.Error("a token is known before anybody said anything")
	}
	for _, id := range []adapters.Identity{{}, {ID: "mia", Remote: "1"}} {
		if e := o.Learn(account, first, id); e == nil || e.Fate != adapters.Absent || e.Reason != adapters.Auth || o.Knows(first) {
			t.Errorf("%+v: %v, want absent and auth, and the token unknown", id, e)
		}
	}
	if e := o.Learn(account, first, adapters.Identity{ID: "acme", Remote: "1"}); e != nil || !o.Knows(first) || o.Knows(second) {
		t.Errorf("got %v, want the first token known alone", e)
	}
	// A name may change hands; the number does not.
	if e := o.Learn(account, second, adapters.Identity{ID: "acme", Remote: "2"}); e == nil || o.Knows(second) || !o.Knows(first) {
		t.Errorf("got %v, want the second token unknown", e)
	}
	if e := o.Learn(account, second, adapters.Identity{ID: "acme", Remote: "1"}); e != nil || !o.Knows(second) || o.Knows(first) {
		t.Errorf("got %v, want the second token known alone", e)
	}
}

func TestAskingWhoseATokenIsSaysNothingOfTheContent(t *testing.T) {
	t.Parallel()
	account, token := post.Account{Identity: "acme"}, secret.New("token")
	var o adapters.Owner
	asked := 0
	ask := func(id adapters.Identity, err error) *adapters.Error {
		return o.Ask(account, token, func() (adapters.Identity, error) {
			asked++
			return id, err
		})
	}
	for _, reason := range adapters.Reasons() {
		e := ask(adapters.Identity{}, &adapters.Error{Fate: adapters.Unknown, Reason: reason})
		if e == nil || e.Fate != adapters.Absent || e.Reason == adapters.Refused || e.Reason == adapters.Protocol || e.Reason == adapters.Policy {
			t.Errorf("%s: %v", reason, e)
		}
	}
	if e := ask(adapters.Identity{}, errors.New("odd")); e == nil || e.Fate != adapters.Absent || e.Reason != adapters.Server {
		t.Errorf("an odd error gives %v", e)
	}
	before := asked
	for range 2 {
		if e := ask(adapters.Identity{ID: "acme"}, nil); e != nil {
			t.Error(e)
		}
	}
	if asked != before+1 {
		t.Errorf("asked %d times about one token", asked-before)
	}
}
