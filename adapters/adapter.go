// Package adapters says what Crier asks of a platform: the [Adapter], its optional capabilities, the error that
// tells a post's fate, and the flight-recording transport that every adapter speaks through.
//
// Every publication is prepare and commit. Preparing may be repeated without harm and is seen by nobody; the
// commit is the one request that the world sees.
package adapters

import (
	"context"
	"io"
	"time"

	"crier/internal/post"
)

// Adapter publishes to one account on one platform. It is safe for concurrent use, keeps nothing that must survive
// a restart, and never retries, waits or limits by itself: that belongs to the scheduler.
type Adapter interface {
	Platform() post.Platform
	// Check lists what the platform would refuse, without touching network or disk. The same content gives the
	// same problems. A Problem's Location is the field alone, such as text or options.flair.
	Check(c post.Content) []post.Problem
	// Publish performs exactly one public act and returns its receipt; RemoteID is then never empty.
	// Every other end is an *Error whose Fate says whether the act may have happened.
	Publish(ctx context.Context, r Request) (post.Receipt, error)
	// Find looks once on the platform for the act, at or after since by the platform's own clock, as nearly as that is
	// known. A read that failed is an error, not a Look; it proves nothing.
	Find(ctx context.Context, r Request, since time.Time) (Look, error)
}

// Request is one public act to perform, prepare or look for: a part of a delivery.
type Request struct {
	Delivery post.ID
	// Part is the index of the part, Role what it is.
	Part int
	Role post.Role
	// Content is the whole content of the delivery. A reply says Content.Thread[Reply].
	Content post.Content
	Reply   int
	// Destination is the place inside the account, such as a subreddit.
	Destination string
	// Root and Parent are the receipts of the delivery's first part and of the part before this one; zero for the
	// first part.
	Root, Parent post.Receipt
	// Handles is the prepared work of this part that still holds: right digest, not expired.
	Handles []post.Handle
	// Media opens stored files.
	Media MediaSource
	// Taken reports whether another part already holds the receipt, so that two equal texts never share one.
	// Find skips what is taken. Nil means that nothing is.
	Taken func(remoteID string) bool
}

// MediaSource opens stored media by id. The reader can seek.
type MediaSource interface {
	Open(id string) (io.ReadSeekCloser, error)
}

// Handle gives the prepared work of that name.
func (r *Request) Handle(name string) (post.Handle, bool) {
	for _, h := range r.Handles {
		if h.Name == name {
			return h, true
		}
	}
	return post.Handle{}, false
}

// Text is what the part says: the post's text, the reply's, or the first comment.
func (r *Request) Text() string {
	switch r.Role {
	case post.RolePost:
		return r.Content.Text
	case post.RoleReply:
		if r.Reply >= 0 && r.Reply < len(r.Content.Thread) {
			return r.Content.Thread[r.Reply].Text
		}
	case post.RoleComment:
		return r.Content.FirstComment
	case post.RoleFollowUp:
	}
	return ""
}

// Attachments is the media that the part itself carries.
func (r *Request) Attachments() []post.Media {
	switch r.Role {
	case post.RolePost:
		return r.Content.Media
	case post.RoleReply:
		if r.Reply >= 0 && r.Reply < len(r.Content.Thread) {
			return r.Content.Thread[r.Reply].Media
		}
	case post.RoleComment, post.RoleFollowUp:
	}
	return nil
}

// Sight is what one look showed. The zero value is NotSeen, which proves nothing by itself.
type Sight int

// The sights.
const (
	// NotSeen: the listing was read without error back past since, and the act is not there. Only the platform's
	// whole horizon of such looks counts as absence.
	NotSeen Sight = iota
	// Found: the act is out, and the look carries its receipt.
	Found
	// Never: a handle proves that the act did not and cannot happen.
	Never
	// Ambiguous: several acts match, so that a person has to say which one is ours.
	Ambiguous
)

// Look is the result of one Find.
type Look struct {
	Sight   Sight
	Receipt post.Receipt // with Found
	// Detail says in plain words what was seen.
	Detail string
}

// Identity is who the platform says a token belongs to.
type Identity struct {
	// ID is what the configuration names: X and Reddit user name, Page id, YouTube channel id.
	ID string
	// Remote is the platform's own unchanging number, where ID is a name that can change hands.
	Remote string
	// Name is for people.
	Name string
	// TokenExpires is when the token ends by itself; zero when it does not or nobody knows.
	TokenExpires time.Time
}

// Verifier says whose token the adapter holds. Its errors are *Error like those of Publish.
type Verifier interface {
	Verify(ctx context.Context) (Identity, error)
}

// Progress names the value of a handle that says how far a long preparation came, a decimal number such as an offset.
const Progress = "progress"

// TextCounter says how long a post's own text is as its platform counts: with what is counted to it, such as a link that
// is appended. It touches neither network nor disk.
type TextCounter interface {
	CountText(c post.Content) TextLength
}

// TextLength is how long a text is, and how long it may be.
type TextLength struct {
	Used, Limit int64
	Unit        string // such as characters, bytes, weighted
}

// Preparer does repeatable work ahead of the commit. It calls save with every handle as soon as the platform has
// given it, and goes on only once save has returned nil, so that a restart resumes where it stopped. It returns
// when the part can be committed with one request; its last save then left a handle with Done set. Errors are
// *Error with Fate Absent: nothing of a preparation is public. An error of save is one of reason server: it says
// nothing about the post.
//
// A preparation that takes long saves how far it came under the value [Progress] of a handle, now and then and when it
// ends early, so that one which moves is not taken for one that fails.
type Preparer interface {
	// Prepares reports whether the part needs preparing at all.
	Prepares(r Request) bool
	Prepare(ctx context.Context, r Request, save func(context.Context, post.Handle) error) error
}

// Refresher gets a new access token from the platform, once, and stores what must survive before it is used.
type Refresher interface {
	Refresh(ctx context.Context) error
}

// Describer says what the platform takes from this very account, where that depends on its settings; else
// Driver.Capabilities does.
type Describer interface {
	Capabilities() Capabilities
}

// Unwrapper is implemented by adapters that wrap another.
type Unwrapper interface {
	Unwrap() Adapter
}

// As finds a capability in an adapter or in one that it wraps.
func As[T any](a Adapter) (T, bool) {
	for a != nil {
		if t, ok := a.(T); ok {
			return t, true
		}
		u, ok := a.(Unwrapper)
		if !ok {
			break
		}
		a = u.Unwrap()
	}
	var zero T
	return zero, false
}
