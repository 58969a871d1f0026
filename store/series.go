package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"crier/internal/post"
)

// ErrIdentityTaken says that a token belongs to somebody else than remembered, or that another account already
// speaks for the same identity.
var ErrIdentityTaken = errors.New("the identity belongs to another account or has changed")

// Series is a recurring post: a recurrence and a pool of posts that are used in order.
type Series struct {
	ID        post.ID   `json:"id"`
	Version   uint64    `json:"version"`
	Name      string    `json:"name,omitempty"`
	Author    string    `json:"author"`
	CreatedAt time.Time `json:"created_at"`
	Kind      post.Kind `json:"kind"`
	Owner     string    `json:"owner,omitempty"`
	Accounts  []post.AccountKey
	Cron      string    `json:"cron,omitempty"`
	Every     string    `json:"every,omitempty"`
	Start     string    `json:"start,omitempty"`
	TimeZone  string    `json:"time_zone"`
	Until     time.Time `json:"until,omitzero"`
	Order     string    `json:"order"` // once or cycle
	// Posts is the pool, each as it was sent to the API, without at.
	Posts []json.RawMessage `json:"posts"`
	// Revision grows with every edit, so that keys of old occurrences do not shadow new ones.
	Revision int `json:"revision"`
	// Used counts the posts taken from the pool; Planned is the instant up to which occurrences are made.
	Used    int       `json:"used"`
	Planned time.Time `json:"planned,omitzero"`
	Deleted bool      `json:"deleted,omitempty"`
	// Skipped are the keys of occurrences that a person left out.
	Skipped []string `json:"skipped,omitempty"`
}

// ReasonRefused is the reason of an occurrence's delivery that was made as missed, since it could not be sent as it
// stands. Until its time it is withdrawn with the series like one that waits.
const ReasonRefused = "run_refused"

// Occurrence is one firing to make: its key, when, and the post that it sends.
type Occurrence struct {
	Key  string
	At   time.Time
	Post NewPost
	// Refused says, by delivery, why some of the post cannot be sent: they are missed from the start, with
	// [ReasonRefused].
	Refused map[post.ID]string
}

// Recurring is what Crier remembers of recurring posts.
type Recurring interface {
	// CreateSeries writes a series. The result of w.Once is Series.
	CreateSeries(ctx context.Context, w Write, s Series) (Series, error)
	SeriesByID(ctx context.Context, id post.ID) (Series, error)
	// ListSeries lists the series that are not deleted, oldest first.
	ListSeries(ctx context.Context) ([]Series, error)
	// EditSeries replaces a series if version is the current one and cancels its occurrences that have not begun,
	// in the same transaction.
	EditSeries(ctx context.Context, w Write, s Series, version uint64) (Series, error)
	// DeleteSeries ends a series and cancels its occurrences that have not begun, in the same transaction.
	DeleteSeries(ctx context.Context, w Write, id post.ID, version uint64) error
	// SkipOccurrence leaves a tombstone under the key and cancels the occurrence if it is made and has not begun. The
	// result of w.Once is Series.
	SkipOccurrence(ctx context.Context, w Write, id post.ID, key string) error
	// Materialize makes occurrences of a series at that revision, each at most once by its key, and moves Used and
	// Planned. A key that is there already, made or left out, is passed over. ErrStale when the series has changed.
	Materialize(ctx context.Context, w Write, id post.ID, revision int, planned time.Time, used int, o []Occurrence) (made int, err error)
	// OccurrenceMade reports whether the key is taken, made or left out.
	OccurrenceMade(ctx context.Context, id post.ID, key string) (bool, error)
}
