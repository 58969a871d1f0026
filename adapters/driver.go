package adapters

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"crier/internal/post"
	"crier/internal/secret"
)

// Driver makes adapters of one platform. adapters/all lists the drivers; there is no registry.
type Driver struct {
	Platform post.Platform
	// Open makes the adapter of one account. It touches neither network nor disk; settings or credentials that
	// cannot work are an error that names the field and never its value.
	Open func(Env) (Adapter, error)
	// Settings decodes the platform's mapping of the configuration as Open does, and refuses what can work for no account.
	Settings func(decode func(into any) error) error
	// Credentials are the names that an account's tokens have in the configuration.
	Credentials []string
	// Capabilities describes what the platform takes, for GET /accounts/{h}/capabilities.
	Capabilities func(post.Account) Capabilities
	// Looks is the horizon: when to look for a part of unknown fate, counted from the end of the attempt. Not
	// seen at the last look counts as absence.
	Looks []time.Duration
	// CommitTimeout is how long one commit may take at most.
	CommitTimeout time.Duration
	// Destination gives the place inside the account that a content goes to, such as a subreddit; nil when the
	// account is the place.
	Destination func(post.Content) string
}

// Env is what an adapter is made from. Nothing in it may be shared between two accounts but Base.
type Env struct {
	Account post.Account
	// Settings decodes the platform's mapping of the configuration, strictly; Extra the account's own
	// adapter-specific keys. Both leave the target as it is when there is nothing to decode. A method
	// Validate(report func(key, message string)) of the target is called then, so that a bad value is told with its place.
	Settings, Extra func(into any) error
	// Secret resolves a secret of the settings.
	Secret func(secret.Source) (secret.Text, error)
	// Credentials is this account's own tokens.
	Credentials Credentials
	// Base is the connection pool without credentials; the only thing that accounts share.
	Base http.RoundTripper
	Now  func() time.Time
	Log  *slog.Logger
}

// Credentials holds one account's tokens by name, such as access_token or refresh_token. It is safe for concurrent
// use.
type Credentials interface {
	// Load gives the current tokens.
	Load(ctx context.Context) (map[string]secret.Text, error)
	// Replace stores new tokens durably, if the current ones are still old; else it is ErrTokensChanged.
	Replace(ctx context.Context, old, current map[string]secret.Text) error
}

// Capabilities says what a platform takes for one account, with limits. Text is counted in Unit.
type Capabilities struct {
	Platform post.Platform         `json:"platform"`
	Fields   map[string]FieldLimit `json:"fields"`
	Media    MediaLimits           `json:"media"`
	Options  []OptionInfo          `json:"options"`
	Notes    []string              `json:"notes,omitempty"`
}

// FieldLimit says what a platform does with one field of a post.
type FieldLimit struct {
	Support string `json:"support"` // required, optional or not_supported
	Max     int    `json:"max,omitempty"`
	Unit    string `json:"unit,omitempty"` // such as characters, bytes, weighted
	Means   string `json:"means,omitempty"`
}

// MediaLimits says which files a platform takes.
type MediaLimits struct {
	Types    []string `json:"types"`
	MaxCount int      `json:"max_count"`
	MaxBytes int64    `json:"max_bytes"`
	AltText  bool     `json:"alt_text"`
}

// OptionInfo describes one option of a platform.
type OptionInfo struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required,omitempty"`
	Values   []string `json:"values,omitempty"`
	Means    string   `json:"means"`
}
