// Package store says what Crier asks of a store. Every method is one durable transaction and returns after the sync;
// no transaction, bucket, cursor or SQL type leaks out. A store owns no clock: instants come in as arguments.
// All methods are safe for concurrent use.
//
// The scheduler takes [Queue]; the API takes [Posts], [Accounts], [Recurring] and [Desk].
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"crier/internal/post"
)

// The errors of a store. Lifecycle errors (post.ErrTransition, post.ErrTooLate, post.ErrResolveFirst, post.ErrFenced)
// come through as they are.
var (
	ErrNotFound = errors.New("not found")
	// ErrStale says that the version given is not the current one.
	ErrStale = errors.New("it has changed since it was read")
	// ErrUnknownCommit says that a commit failed and may be on disk all the same: read again before deciding.
	ErrUnknownCommit = errors.New("the write may or may not be on disk")
	// ErrClosed says that the store is closed or closing.
	ErrClosed = errors.New("the store is closed")
	// ErrIdempotencyMismatch says that the key was used before with another request.
	ErrIdempotencyMismatch = errors.New("the idempotency key was used for another request")
	// ErrInUse says that something scheduled still needs what was to be deleted.
	ErrInUse = errors.New("something scheduled still uses it")
	// ErrReceiptTaken says that another part holds the receipt; the error names its delivery. A receipt that nobody
	// holds is never refused.
	ErrReceiptTaken = errors.New("the receipt is held by another part")
	// ErrCorrupt says that a record cannot be read; the error names its key.
	ErrCorrupt = errors.New("a record is damaged")
)

// ExternalIDError says that the external id belongs to an earlier post.
type ExternalIDError struct{ Post post.ID }

// Error names the earlier post.
func (e *ExternalIDError) Error() string { return "the external id belongs to post " + e.Post.String() }

// DuplicateError says that the same content was written lately for the same account and destination.
type DuplicateError struct {
	Target  int     // index of the target
	Earlier post.ID // the earlier post
}

// Error names the earlier post.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("target %d repeats post %s", e.Target, e.Earlier)
}

// ReplayedError carries the stored answer of a request that was made before with the same idempotency key. Nothing
// was written.
type ReplayedError struct{ Answer []byte }

// Error says that there is an answer.
func (*ReplayedError) Error() string { return "the request was answered before" }

// Write says who changes something and when.
type Write struct {
	Now   time.Time
	Actor string // a person's handle, or "crier"
	// Once makes the effect happen at most once for a client's key; nil when the client gave none.
	Once *Once
}

// Once is an idempotency key. Answer renders, from the method's own result, what the client is told; it is stored in
// the transaction of the effect and must be pure, since a batch may be run again.
type Once struct {
	Client, Key string
	Digest      [32]byte
	Answer      func(result any) []byte
}

// OnceFor is how long a stored answer is kept.
const OnceFor = 24 * time.Hour

// DuplicateWithin is how long the same content for the same place counts as a duplicate.
const DuplicateWithin = 24 * time.Hour

// Store is everything.
type Store interface {
	Queue
	Posts
	Accounts
	Recurring
	Desk
	io.Closer
}

// Queue is what the scheduler asks.
type Queue interface {
	// Turn settles what came back, moves late heads to missed and claims what is ready, in one transaction. The
	// settlements are applied first and in order. A claim's intent is on disk when Turn returns.
	Turn(ctx context.Context, t Turn) (Turned, error)
	// Next is the earliest instant at which a turn or a look could have something to do, stops and holds
	// considered. Zero when nothing lies ahead.
	Next(ctx context.Context) (time.Time, error)
	// Wake receives after a write that may have made something due earlier. It is a hint: it may be lost in a
	// full channel, or come for nothing.
	Wake() <-chan struct{}
	// Standing reports nil if the claim still stands: same fence, sending, no cancellation asked for, no stop and
	// no untimed hold on its lane. It reads only.
	Standing(ctx context.Context, delivery post.ID, fence uint64) error
	// Soon lists scheduled deliveries that need preparing for a due time at or before until and are not prepared
	// at now, in order of due; what is stopped, held or waits for a later attempt is left out.
	Soon(ctx context.Context, now, until time.Time, limit int) ([]Work, error)
	// Material reads what sending or preparing a delivery takes: its content as it is now, and its prepared work, all
	// parts.
	Material(ctx context.Context, d *post.Delivery) (post.Content, []post.Handle, error)
	// SavePrepared stores one handle of a delivery whose content still has the digest; else ErrStale. With done,
	// the whole delivery is prepared.
	SavePrepared(ctx context.Context, now time.Time, p Prepared) error
	// Renew moves the ends of leases of this owner's claims.
	Renew(ctx context.Context, owner string, deliveries []post.ID, until time.Time) error
	// Doubtful lists unconfirmed deliveries whose next look is due at now, the longest due first, at most limit of each
	// kind and platform.
	Doubtful(ctx context.Context, now time.Time, limit int) ([]Work, error)
	// Recover turns every intent of another owner into unconfirmed, with a first look at now. It is called once at
	// start, before the first turn.
	Recover(ctx context.Context, now time.Time, owner string) (int, error)
	// Expire turns intents whose lease ended before now into unconfirmed, apart from those of the deliveries
	// given, whose workers are still running here.
	Expire(ctx context.Context, now time.Time, running func(post.ID) bool) (int, error)
	// HoldLane holds one account's lane, or that of every account of an app, replacing a hold of the same reason. The
	// result of w.Once is the account's AccountView; nothing for an app.
	HoldLane(ctx context.Context, w Write, on HoldOn) error
	// ReleaseLane ends holds on an account's lane. Where none of them stands it does nothing. The result of w.Once is
	// AccountView.
	ReleaseLane(ctx context.Context, w Write, r Release) error
	// ReceiptTaken reports whether a part already holds the receipt.
	ReceiptTaken(ctx context.Context, p post.Platform, remoteID string) (bool, error)
}

// Turn is what a turn is asked to do.
type Turn struct {
	Now time.Time
	// Began is Now by the platforms' own clocks, as nearly as they are known: what the intents of claims say about
	// where to begin looking for a lost answer. A platform that is not in it counts as showing Now.
	Began map[post.Platform]time.Time
	// Owner names this process: random for each start.
	Owner   string
	Results []Result
	// Room is how many claims each kind may get; Full leaves out platforms that have no room.
	Room map[post.Kind]int
	Full map[post.Platform]bool
	// Lease is how long a claim holds.
	Lease time.Duration
}

// Result is what came back from one attempt or look.
type Result struct {
	Delivery post.ID
	Settled  post.Settled
	// Attempts are appended to the flight record.
	Attempts []post.Attempt
	// Holds are set in the same transaction.
	Holds []HoldOn
}

// HoldOn is a hold on one account, or on every account of App when that is set.
type HoldOn struct {
	Account post.AccountKey
	// Version is the account's as it was read, 0 for any: ErrStale when it is another by now.
	Version uint64
	App     string
	Hold    post.Hold
}

// Release ends holds on one account.
type Release struct {
	Account post.AccountKey
	Version uint64 // as in HoldOn
	Reasons []post.HoldReason
	// Late says what becomes of what is overdue.
	Late Late
}

// Turned is what a turn did.
type Turned struct {
	Claims []Work
	Missed int
	// Refused lists the results that were refused, by index into Results, with the error; all others are on disk.
	Refused map[int]error
	// Alerts lists the deliveries that may be out twice: a receipt came after a newer attempt had begun.
	Alerts []post.ID
	// Next is as Queue.Next, read in the same transaction.
	Next time.Time
}

// Work is one delivery to send, to prepare or to look for, with what that takes. Its values are the caller's own.
type Work struct {
	Delivery post.Delivery
	Part     int
	// Lease is, for a claim, when it ends; Began is when it began by the platform's clock, as Turn had it.
	Lease, Began time.Time
	// Ready is, for a claim, the instant from which it could be handed out: due, retry, spacing and the ends of holds
	// considered. What leaves no instant behind is not: stops, holds without an end, preparing, and the flight of the
	// delivery before it.
	Ready time.Time
}

// Prepared is one saved step of preparing.
type Prepared struct {
	Delivery post.ID
	Digest   string // of the content that is being prepared
	Handle   *post.Handle
	// Done says that every part is prepared; Until is when the first handle expires, zero for never.
	Done  bool
	Until time.Time
}

// Late says what becomes of overdue deliveries when a lane opens again.
type Late string

// The choices. LateApply leaves it to each account's max_late.
const (
	LateApply Late = "apply"
	LateSend  Late = "send" // send them all, spaced, however late
	LateMiss  Late = "miss" // mark all overdue ones missed
)
