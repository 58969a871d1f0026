package store

import (
	"context"
	"time"

	"crier/internal/post"
)

// Posts is what the API asks about posts and their deliveries.
type Posts interface {
	// CreatePost writes a post with its deliveries. The result of w.Once is PostView. Errors: *ExternalIDError,
	// *DuplicateError, *ReplayedError, ErrIdempotencyMismatch.
	CreatePost(ctx context.Context, w Write, n NewPost) (PostView, error)
	// Refusals lists all that CreatePost would refuse a post for at now: *ExternalIDError, *DuplicateError. It reads
	// only.
	Refusals(ctx context.Context, now time.Time, n NewPost) ([]error, error)
	// CreatePosts writes many posts in transactions of at most 1,000 and stops at the first error; it reports how
	// many are on disk. The result of w.Once is their number; its answer is stored with the last of them.
	CreatePosts(ctx context.Context, w Write, n []NewPost) (int, error)
	// PostByID gives one post with its deliveries.
	PostByID(ctx context.Context, id post.ID) (PostView, error)
	// ListPosts lists posts, newest first.
	ListPosts(ctx context.Context, f Filter) (PostPage, error)
	// EditPost replaces a post's content and changes the deliveries that can still be changed, if e.Version is still
	// PostView.Version, else ErrStale; 0 is any. Targets of deliveries that stay as they are keep their words, whatever
	// e says of them. The result of w.Once is Edited. Nothing changeable and nothing added: post.ErrTooLate. What comes
	// to say something else must not repeat what was written lately, nor an added target what the post itself has
	// sent: *DuplicateError. A draft without a target gets its kind and owner with its first: *ExternalIDError.
	EditPost(ctx context.Context, w Write, e Edit) (Edited, error)
	// CancelPost withdraws all that is not out, if version is 0 or still PostView.Version, else ErrStale. The result of
	// w.Once is Edited.
	CancelPost(ctx context.Context, w Write, id post.ID, version uint64) (Edited, error)
	// SubmitPost turns a post's drafts into scheduled deliveries, if s.Version is 0 or still PostView.Version, else
	// ErrStale. The result of w.Once is PostView. A draft counts as written when it is submitted: *DuplicateError.
	SubmitPost(ctx context.Context, w Write, s Submission) (PostView, error)
	// History lists the changes of a post, oldest first.
	History(ctx context.Context, id post.ID) ([]post.Change, error)

	// DeliveryByID gives one delivery with its content, holds and attempts.
	DeliveryByID(ctx context.Context, id post.ID) (DeliveryView, error)
	// ListDeliveries lists deliveries in order of due.
	ListDeliveries(ctx context.Context, f Filter) (DeliveryPage, error)
	// ChangeDelivery applies change to a delivery, if version is 0 or still the current one, else ErrStale. The
	// result of w.Once is DeliveryView. change is one of the methods of post.Delivery; it may be run again and
	// must have no effect but on the delivery. verb names the change in the history, such as delivery.retried; empty
	// lets the new state name it, and delivery.cancel_requested where it stays.
	ChangeDelivery(ctx context.Context, w Write, id post.ID, version uint64, verb string, change func(*post.Delivery) error) (DeliveryView, error)
	// FreeAt gives the first instant at or after due at which the spacing of an account lets a delivery go that is
	// written now: after the last that was sent and after those that go before it, of which the nearest 100 count.
	// Holds and stops do not count.
	FreeAt(ctx context.Context, now time.Time, account post.AccountKey, due time.Time) (time.Time, error)
}

// When is a due time with the civil time that was asked for.
type When struct {
	Due      time.Time
	LocalDue string
	TimeZone string
}

// NewPost is a post to write. Deliveries[i] belongs to Post.Targets[i]; ids, parts, digests and due times are set by
// the caller. Fingerprints[i] is the digest of what counts as the same content in the same place, empty to leave the
// target out of the duplicate check. Post.AllowDuplicate passes the check; the post counts for others all the same.
type NewPost struct {
	Post         post.Post
	Deliveries   []post.Delivery
	Fingerprints []string
}

// PostView is a post with its deliveries, in the order of its targets.
type PostView struct {
	Post       post.Post
	Deliveries []DeliveryView
	// Version changes with every change of the post or of one of its deliveries.
	Version uint64
}

// DeliveryView is a delivery with what surrounds it.
type DeliveryView struct {
	Delivery post.Delivery
	Holds    []post.Hold // of its lane, ended ones left out by the reader
	// Next is when it will really be tried, after spacing, holds and retries; zero when nobody knows. For a
	// delivery behind others in its lane, it is an estimate that counts the spacing of those before it, up to 100.
	// Of an unconfirmed one it is when Crier looks next; zero when a person has to.
	Next time.Time
	// Content and Attempts are filled by DeliveryByID alone.
	Content  post.Content
	Attempts []post.Attempt
}

// Edit replaces what a post says.
type Edit struct {
	Post    post.Post
	Version uint64 // as PostView.Version was
	// Changes is what becomes of each delivery, by id. A delivery that is absent here stays as it is.
	Changes map[post.ID]DeliveryEdit
	// Added are new targets' deliveries, each with its target in Post.Targets.
	Added []post.Delivery
	// Dropped are deliveries whose targets are gone: they are canceled.
	Dropped []post.ID
	// Fingerprints are as those of NewPost, by delivery, of what the targets say from now on; Before are those of what
	// the stored targets say.
	Fingerprints, Before map[post.ID]string
}

// Submission is what becomes of a post's drafts.
type Submission struct {
	Post    post.ID
	Version uint64 // as PostView.Version was when the drafts were checked
	// When gives the due times by delivery; a draft that is absent here stays one.
	When map[post.ID]When
	// Fingerprints are as those of NewPost, by delivery.
	Fingerprints map[post.ID]string
	// Warnings and Notes replace those of the draft.
	Warnings []post.Problem
	Notes    []string
}

// DeliveryEdit is the new shape of one delivery.
type DeliveryEdit struct {
	Digest       string
	Destination  string
	Roles        []post.Role
	NeedsPrepare bool
	// When moves it; nil keeps the due time.
	When *When
}

// Edited says what an edit did.
type Edited struct {
	View    PostView
	Changed []post.ID
	Kept    []Kept
}

// Kept says why a delivery was left as it is.
type Kept struct {
	Delivery post.ID
	Why      string
}

// Filter selects posts or deliveries. Zero fields select everything. Visible is asked for each account; a post is
// visible if all its accounts are, and one without a target if Unplaced says so. Neither must block.
type Filter struct {
	Visible    func(post.AccountKey) bool
	Unplaced   func(*post.Post) bool // with Visible alone; nil: none
	States     []post.State
	Summaries  []post.Summary // posts only
	Account    *post.AccountKey
	Kind       post.Kind
	Label      string
	Author     string
	ExternalID string
	Series     post.ID
	From, To   time.Time // due in [From, To)
	Now        time.Time // for summaries
	Limit      int
	Cursor     string // as given by the page before; a damaged one is ErrNotFound
}

// PostPage is one page of posts; Next is the cursor of the next page, empty at the end.
type PostPage struct {
	Items []PostView
	Next  string
}

// DeliveryPage is one page of deliveries.
type DeliveryPage struct {
	Items []DeliveryView
	Next  string
}
