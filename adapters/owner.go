package adapters

import (
	"strings"
	"sync"

	"crier/internal/post"
	"crier/internal/secret"
)

// Owner remembers the one token that the platform has said to belong to the account. The scheduler asks for the
// identity at the start and after a refresh of its own; a token that comes in between, since the one before has ended
// or somebody has stored another, is asked about by the adapter before it commits with it. The zero value knows no
// token. It is safe for concurrent use.
type Owner struct {
	mu    sync.Mutex
	token secret.Text
	id    Identity
}

// Knows reports whether the platform has said of exactly this token that it belongs to the account.
func (o *Owner) Knows(token secret.Text) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !token.IsZero() && o.token.Equal(token)
}

// Ask makes sure that the token is the account's: whose asks the platform, unless the token is known. Its error is fate
// Absent, and never a word about the content that waits for the answer.
func (o *Owner) Ask(account post.Account, token secret.Text, whose func() (Identity, error)) *Error {
	if o.Knows(token) {
		return nil
	}
	id, err := whose()
	if err == nil {
		return o.Learn(account, token, id)
	}
	e := *AsError(err)
	e.Fate, e.Message = Absent, "the platform did not say whose the token is: "+e.Message
	switch e.Reason {
	case Protocol, Refused, Policy, Duplicate, Prepare:
		e.Reason = Server
	case Network, Server, RateLimit, Auth, Permission, Budget, Stopped:
	}
	return &e
}

// Learn takes the platform's word about a token. An identity that is not the account's, or whose number is another
// than that of the token before, is an error, and the token stays unknown: the scheduler then asks for itself, and
// holds the account.
func (o *Owner) Learn(account post.Account, token secret.Text, id Identity) *Error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id.ID == "" || !strings.EqualFold(id.ID, account.Identity) || o.id.Remote != "" && id.Remote != o.id.Remote {
		return &Error{Fate: Absent, Reason: Auth, Message: "the token belongs to another identity than the account names"}
	}
	o.token, o.id = token, id
	return nil
}
