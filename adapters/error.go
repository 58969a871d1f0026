package adapters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Fate says whether an act may have happened. The zero value is Unknown, so that a forgotten field errs on the
// side of not posting twice.
type Fate int

// The fates.
const (
	Unknown Fate = iota // it may have happened
	Absent              // it certainly did not happen
	Exists              // the platform says that it happened before
)

// String names the fate as in the documentation.
func (f Fate) String() string {
	switch f {
	case Unknown:
		return "unknown"
	case Absent:
		return "absent"
	case Exists:
		return "exists"
	}
	return "unknown"
}

// Reason is the closed set of why an act did not end with a receipt. It is also the label of metrics.
type Reason string

// The reasons.
const (
	Network    Reason = "network"    // no connection, or it broke
	Server     Reason = "server"     // the platform failed
	RateLimit  Reason = "rate_limit" // too much; Until says when it may be tried again
	Auth       Reason = "auth"       // the token is not accepted
	Permission Reason = "permission" // the account may not do this
	Refused    Reason = "content"    // this content is refused
	Policy     Reason = "policy"     // blocked, looks automated: a person must look
	Duplicate  Reason = "duplicate"  // the platform says that it has this already
	Budget     Reason = "budget"     // money or quota is used up; Until says when it frees, if known
	Prepare    Reason = "prepare"    // prepared work is gone or was refused: prepare again
	Protocol   Reason = "protocol"   // an answer that the adapter does not understand: our bug
	Stopped    Reason = "stopped"    // our own gate stopped the request before its first byte
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		Network, Server, RateLimit, Auth, Permission, Refused, Policy, Duplicate, Budget, Prepare, Protocol, Stopped,
	}
}

// Scope says whose requests a limit or a refusal stops.
type Scope int

// The scopes.
const (
	ScopeAccount Scope = iota // the lane of this account
	ScopeApp                  // every account of the same developer app
)

// Error is every end of an act that is not a receipt.
type Error struct {
	Fate   Fate
	Reason Reason
	// Until is when the platform says that it may be tried again; zero when it does not say.
	Until time.Time
	Scope Scope
	// Status is the HTTP status, 0 when no answer came. Code is the platform's own, such as 453 or RATELIMIT.
	Status int
	Code   string
	// Message is for people: what the platform said or what happened, without secrets and without the content.
	Message string
	// Err is the cause, for the log.
	Err error
}

// Error gives the message with its fate and reason.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s (%s, %s", e.Message, e.Reason, e.Fate)
	if e.Status != 0 {
		s += fmt.Sprintf(", status %d", e.Status)
	}
	if e.Code != "" {
		s += ", code " + e.Code
	}
	return s + ")"
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hide takes out of the platform's words what nobody is to be told again: the post's own words and the tokens. Words of
// one to three bytes stay, since they are in everything.
func Hide(said string, hidden ...string) string {
	for _, h := range hidden {
		if len(h) > 3 {
			said = strings.ReplaceAll(said, h, "…")
		}
	}
	return said
}

// Harmless turns what an answer would mean for a commit into what it means for a call that publishes nothing, such as an
// upload or a read: nothing is out, and an answer that proves nothing is no bug of ours but asked for again. It changes
// and gives e.
func (e *Error) Harmless() *Error {
	if e.Fate == Unknown && e.Reason == Protocol {
		e.Reason = Server
	}
	e.Fate = Absent
	return e
}

// AsError gives the *Error inside err. An error of any other kind has an unknown fate: nobody stated it.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	reason, message := Protocol, "the adapter gave no fate"
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		reason, message = Network, "the request did not end in time"
	}
	return &Error{Fate: Unknown, Reason: reason, Message: message, Err: err}
}
