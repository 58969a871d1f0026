package store

import (
	"context"
	"time"

	"crier/internal/post"
)

// Accounts is what Crier remembers of accounts, their lanes and their tokens.
type Accounts interface {
	// SyncAccounts makes the accounts managed by the configuration equal to those given: new and changed ones are
	// written, one that disappeared is held account_removed, one that came back is released from that hold. An
	// account whose kind, platform or owner changed is an error that names it.
	SyncAccounts(ctx context.Context, w Write, accounts []post.Account) error
	// AccountByHandle gives one account; removed ones too.
	AccountByHandle(ctx context.Context, handle string) (AccountView, error)
	// ListAccounts gives all accounts by handle.
	ListAccounts(ctx context.Context) ([]AccountView, error)
	// PinIdentity remembers the platform's unchanging number of an account. If another is remembered already, or
	// another account of the platform has this one, it is ErrIdentityTaken, which names neither.
	PinIdentity(ctx context.Context, w Write, account post.AccountKey, remote string) error
	// Token gives an account's sealed tokens and the fingerprint of the seed they came from; ErrNotFound when none
	// are stored.
	Token(ctx context.Context, account post.AccountKey) (sealed []byte, seed string, err error)
	// SwapToken stores sealed tokens if what is stored still equals old (nil: nothing stored); else ErrStale.
	SwapToken(ctx context.Context, account post.AccountKey, old, sealed []byte, seed string) error
}

// AccountView is an account with what its lane remembers.
type AccountView struct {
	Account post.Account
	Holds   []post.Hold
	Pinned  string // the platform's unchanging number, once verified
	Version uint64
	// LastSent is when the lane's last commit was settled.
	LastSent time.Time
}

// Stop is a stop of everything (both fields empty), one kind or one brand.
type Stop struct {
	Kind  post.Kind `json:"kind,omitempty"`
	Brand string    `json:"brand,omitempty"`
	Hold  post.Hold `json:"hold"`
}

// Matches reports whether the stop stops the account at now.
func (s Stop) Matches(a post.Account, now time.Time) bool {
	if s.Hold.Open(now) || (s.Kind != "" && s.Kind != a.Kind) {
		return false
	}
	return s.Brand == "" || (a.Kind == post.Brand && a.Owner == s.Brand)
}

// Key is an API key. Its secret is kept as a hash.
type Key struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	Name      string    `json:"name"`
	Hash      []byte    `json:"hash"` // SHA-256 of the secret
	Scopes    []string  `json:"scopes"`
	Accounts  []string  `json:"accounts,omitempty"` // allow-list; empty is all that the person may use
	Expires   time.Time `json:"expires,omitzero"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	// Full says that the key was made by its own person, or on the machine itself: only such a key reaches the
	// person's personal accounts.
	Full bool `json:"full"`
}

// Desk is the rest: stops, keys, media, counts and upkeep.
type Desk interface {
	// StopAll sets a stop, replacing one of the same scope. From its return on, no turn claims what it matches. There
	// is no result for w.Once.
	StopAll(ctx context.Context, w Write, s Stop) error
	// ResumeAll ends the stop of that scope; late says what becomes of what is overdue. ErrNotFound when there is
	// none. The result of w.Once is as AccountCounts gives it.
	ResumeAll(ctx context.Context, w Write, kind post.Kind, brand string, late Late) error
	// Stops lists the stops.
	Stops(ctx context.Context) ([]Stop, error)

	PutKey(ctx context.Context, w Write, k Key) error
	KeyByID(ctx context.Context, id string) (Key, error)
	ListKeys(ctx context.Context) ([]Key, error)
	DeleteKey(ctx context.Context, w Write, id string) error

	// PutMedia writes a file and its uploads. A file that is there already keeps the uploads that it has; an uploader
	// who brings it again changes the Alt of their own.
	PutMedia(ctx context.Context, w Write, m Media) (Media, error)
	MediaByID(ctx context.Context, id string) (Media, error)
	// ListMedia lists media, newest first, that visible reports true for.
	ListMedia(ctx context.Context, visible func(Media) bool, limit int, cursor string) (items []Media, next string, err error)
	// DeleteMedia forgets a file that no delivery still to be sent and no recurring post uses; else ErrInUse. A
	// delivery that failed, was missed or is partial does not count.
	DeleteMedia(ctx context.Context, w Write, id string) error
	// WithdrawMedia takes back the uploads of a file that mine reports true for. While somebody else has uploaded the
	// same file, or it is still needed on an account that sees does not report true for, it stays, for them; else it is
	// forgotten as by DeleteMedia, and gone is true.
	WithdrawMedia(ctx context.Context, w Write, id string, mine func(uploader string) bool, sees func(post.AccountKey) bool) (gone bool, err error)

	// Replay gives the stored answer for a client's key: ErrNotFound, ErrIdempotencyMismatch, or the answer.
	Replay(ctx context.Context, now time.Time, o Once) ([]byte, error)
	// Record is an effect of its own: it stores nothing but the answer of w.Once.
	Record(ctx context.Context, w Write, result any) error

	// Counts gives the number of deliveries by kind and state, and how many are in flight.
	Counts(ctx context.Context) (Counts, error)
	// AccountCounts gives the same for each account that has or had deliveries.
	AccountCounts(ctx context.Context) (map[post.AccountKey]AccountCounts, error)
	// Changes lists changes after seq, oldest first.
	Changes(ctx context.Context, after uint64, limit int) ([]post.Change, error)
	// Prune drops expired answers, duplicate marks and changes older than the instants given, in short
	// transactions.
	Prune(ctx context.Context, now, changesBefore time.Time) error
	// Backup writes a consistent copy while others read and write.
	Backup(ctx context.Context, path string) error
	// Check reads every record and index and lists what does not agree.
	Check(ctx context.Context) ([]string, error)
	// Writable reports nil if a write transaction can be made durable now.
	Writable(ctx context.Context) error
	// Info says what the store is.
	Info(ctx context.Context) (Info, error)
}

// Media is a stored file as the API knows it. Its Alt is empty: what a picture shows is said by each upload and by each
// post for itself, since people who may not see each other may have uploaded the same file.
type Media struct {
	post.Media

	CreatedAt time.Time `json:"created_at"` // of the first upload; for upkeep, since it tells of others
	// Uploads are in order of their first time, one for each uploader.
	Uploads []Upload `json:"uploads"`
	// Uses are the accounts whose posts use it.
	Uses []MediaUse `json:"-"`
}

// Upload is a file as one person brought it.
type Upload struct {
	By  string    `json:"by"` // as the caller names its askers
	At  time.Time `json:"at"`
	Alt string    `json:"alt,omitempty"`
}

// MediaUse is an account's use of a file, by its first post with it.
type MediaUse struct {
	Account post.AccountKey
	Since   time.Time // when that post was written
	Alt     string    // what that post says of it
}

// Counts is the number of deliveries by kind and state.
type Counts struct {
	ByState  map[post.Kind]map[post.State]int
	InFlight int
	// NextDue is the due time of the first scheduled delivery that is not stopped or held; zero when there is none.
	NextDue time.Time
}

// AccountCounts is the number of an account's deliveries by state.
type AccountCounts struct {
	ByState map[post.State]int
	// NextDue is the due time of its first waiting delivery, held or not; zero when there is none.
	NextDue time.Time
}

// Info says what a store is.
type Info struct {
	Epoch    string // changes with every restore
	Sequence uint64 // of the last change
	Schema   int
	Bytes    int64
}
