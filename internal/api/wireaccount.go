package api

import (
	"encoding/json"

	"crier/internal/post"
	"crier/store"
)

// Account is one login on one platform.
type Account struct {
	Handle         string     `json:"handle"`
	Platform       string     `json:"platform" enum:"twitter,facebook,instagram,reddit,youtube"`
	Kind           string     `json:"kind" enum:"brand,personal"`
	Owner          string     `json:"owner"`
	Mode           string     `json:"mode" enum:"api,assist"`
	Identity       string     `json:"identity"`
	Name           string     `json:"name"`
	Status         string     `json:"status" enum:"ok,paused,needs_reconnect,wrong_identity,rate_limited,over_budget,restored,account_removed"`
	Holds          []HoldView `json:"holds"`
	TimeZone       string     `json:"time_zone"`
	MinGap         string     `json:"min_gap" doc:"Such as 1m; 0s is none."`
	MaxLate        string     `json:"max_late"`
	WhenNotSeen    string     `json:"when_not_seen" enum:"resend,ask"`
	Approvals      int        `json:"approvals" minimum:"0" maximum:"2"`
	ProposalsFrom  []string   `json:"proposals_from"`
	TokenExpiresAt *string    `json:"token_expires_at" format:"date-time"`
	Verified       bool       `json:"verified" doc:"The platform has said whose token this is."`
	Managed        string     `json:"managed" enum:"file,api"`
}

// Key is an API key without its secret.
type Key struct {
	ID        string   `json:"id"`
	Person    string   `json:"person"`
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Accounts  []string `json:"accounts" doc:"Empty allows all that the person may use."`
	ExpiresAt *string  `json:"expires_at" format:"date-time"`
	CreatedBy string   `json:"created_by"`
	CreatedAt *string  `json:"created_at" format:"date-time"`
	Full      bool     `json:"full" doc:"It reaches the person's own personal accounts."`
	Managed   string   `json:"managed" enum:"file,api"`
}

// NewKeyView is a key with its secret, shown this once.
type NewKeyView struct {
	Key
	Text string `json:"key" doc:"The whole key; it is not shown again."`
}

func keyView(k store.Key, managed string) Key {
	return Key{
		ID: k.ID, Person: k.Person, Name: k.Name, Scopes: listOf(k.Scopes), Accounts: listOf(k.Accounts),
		ExpiresAt: stampOr(k.Expires), CreatedBy: k.CreatedBy, CreatedAt: stampOr(k.CreatedAt), Full: k.Full, Managed: managed,
	}
}

// Me is who asks.
type Me struct {
	Person   string            `json:"person"`
	Name     string            `json:"name"`
	Owner    bool              `json:"owner" doc:"Owns the installation."`
	Roles    map[string]string `json:"roles" doc:"By brand."`
	Key      string            `json:"key" doc:"The id of the key."`
	Scopes   []string          `json:"scopes"`
	Accounts []string          `json:"accounts" doc:"The handles of the accounts that this key sees."`
	Full     bool              `json:"full"`
}

// MediaView is a stored file.
type MediaView struct {
	MediaItem
	CreatedAt string   `json:"created_at" format:"date-time"`
	UsedBy    []string `json:"used_by" doc:"Accounts whose posts use it."`
	URL       string   `json:"url" doc:"Where its bytes are."`
}

// Series is a recurring post.
type Series struct {
	ID        string            `json:"id"`
	Version   uint64            `json:"version"`
	Name      string            `json:"name"`
	Author    string            `json:"author"`
	CreatedAt string            `json:"created_at" format:"date-time"`
	Kind      string            `json:"kind" enum:"brand,personal"`
	Accounts  []string          `json:"accounts"`
	Cron      *string           `json:"cron"`
	Every     *string           `json:"every"`
	Start     *string           `json:"start"`
	TimeZone  string            `json:"time_zone"`
	Until     *string           `json:"until" format:"date-time"`
	Order     string            `json:"order" enum:"once,cycle"`
	Posts     []json.RawMessage `json:"posts"`
	Used      int               `json:"used" doc:"How many posts of the pool have been taken."`
	Next      []Run             `json:"next" doc:"The next runs."`
	Problems  []Issue           `json:"problems" doc:"What would keep the next run, or a part of it, from going out."`
}

// Run is one run of a series.
type Run struct {
	Run      string `json:"run" doc:"The name of the run, for skip."`
	At       string `json:"at" format:"date-time"`
	Local    string `json:"local"`
	TimeZone string `json:"time_zone"`
	Note     string `json:"note,omitempty"`
	Skipped  bool   `json:"skipped"`
}

// StopView is a stop of everything, one kind or one brand.
type StopView struct {
	Kind   *string `json:"kind"`
	Brand  *string `json:"brand"`
	Reason string  `json:"reason"`
	By     string  `json:"by"`
	Since  string  `json:"since" format:"date-time"`
	Until  *string `json:"until" format:"date-time"`
}

func stopView(s store.Stop) StopView {
	return StopView{
		Kind: textOr(string(s.Kind)), Brand: textOr(s.Brand), Reason: s.Hold.Detail, By: s.Hold.By,
		Since: stamp(s.Hold.Since), Until: stampOr(s.Hold.Until),
	}
}

// Status is how Crier is doing, as far as the asker may see.
type Status struct {
	Version  string                    `json:"version"`
	Time     string                    `json:"time" format:"date-time"`
	NextDue  *string                   `json:"next_due" format:"date-time"`
	InFlight int                       `json:"in_flight"`
	LagMS    int64                     `json:"lag_ms" doc:"How late the last delivery was taken up."`
	LastTick *string                   `json:"last_tick" format:"date-time"`
	Halted   string                    `json:"halted" doc:"Why nothing is sent; empty when all is well."`
	Counts   map[string]map[string]int `json:"counts" doc:"Deliveries by kind and state."`
	Stops    []StopView                `json:"stops"`
	Holds    []AccountHolds            `json:"holds"`
}

// AccountHolds are the holds of one account's lane.
type AccountHolds struct {
	Account string     `json:"account"`
	Holds   []HoldView `json:"holds"`
}

// Firing is one thing that will happen.
type Firing struct {
	At            string   `json:"at" format:"date-time"`
	NextAttemptAt *string  `json:"next_attempt_at" format:"date-time"`
	Local         string   `json:"local"`
	TimeZone      string   `json:"time_zone"`
	Note          string   `json:"note,omitempty"`
	Account       string   `json:"account"`
	Platform      string   `json:"platform"`
	Kind          string   `json:"kind"`
	Destination   *string  `json:"destination"`
	State         string   `json:"state"`
	Post          *string  `json:"post"`
	Delivery      *string  `json:"delivery"`
	Series        *string  `json:"series"`
	Spaced        bool     `json:"spaced" doc:"It goes out later than asked for, since the account's posts are kept apart."`
	Conflicts     []string `json:"conflicts"`
	CostUSD       *float64 `json:"cost_usd" doc:"Null when nobody knows."`
}

// Plan is every firing in a window.
type Plan struct {
	From      string   `json:"from" format:"date-time"`
	To        string   `json:"to" format:"date-time"`
	Items     []Firing `json:"items"`
	Truncated bool     `json:"truncated" doc:"There is more than one answer holds: ask for a shorter window."`
}

// Validation answers a dry run.
type Validation struct {
	OK      bool               `json:"ok"`
	Errors  []Issue            `json:"errors" doc:"What belongs to no target."`
	Notes   []string           `json:"notes"`
	Targets []ValidationTarget `json:"targets"`
}

// ValidationTarget is what a dry run says of one target.
type ValidationTarget struct {
	Account       string      `json:"account"`
	Destination   *string     `json:"destination"`
	Due           *string     `json:"due" format:"date-time"`
	NextAttemptAt *string     `json:"next_attempt_at" format:"date-time"`
	Problems      []Issue     `json:"problems"`
	Length        *Length     `json:"length"`
	Preview       ContentView `json:"preview"`
	CostUSD       *float64    `json:"cost_usd" doc:"Null when nobody knows."`
}

// Length is how long a text is as the platform counts.
type Length struct {
	Used  int64  `json:"used"`
	Limit int64  `json:"limit"`
	Unit  string `json:"unit"`
}

// Verified answers the question whose token an account holds.
type Verified struct {
	OK      bool        `json:"ok"`
	Reason  *ReasonView `json:"reason"`
	Account Account     `json:"account"`
}

// Paused answers a stop.
type Paused struct {
	Stop       StopView `json:"stop"`
	InFlight   int      `json:"in_flight" doc:"Requests that were under way when the stop was set."`
	NotStopped []string `json:"not_stopped" doc:"Deliveries that a platform holds by its own schedule."`
}

func kindAccounts(keys []post.AccountKey) []string {
	out := make([]string, 0, len(keys))
	for _, k := range keys {
		out = append(out, k.Handle)
	}
	return out
}
