package post

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Platform is a network that Crier can publish to.
type Platform string

// The platforms. Every switch over them is exhaustive.
const (
	Twitter   Platform = "twitter"
	Facebook  Platform = "facebook"
	Instagram Platform = "instagram"
	Reddit    Platform = "reddit"
	YouTube   Platform = "youtube"
)

// Platforms lists all platforms in the order in which people see them.
func Platforms() []Platform { return []Platform{Twitter, Facebook, Instagram, Reddit, YouTube} }

// ErrUnknownPlatform says that a text names no platform of Crier.
var ErrUnknownPlatform = errors.New("unknown platform: want twitter (or x), facebook, instagram, reddit or youtube")

// ParsePlatform reads a platform's name; x is another name of twitter.
func ParsePlatform(s string) (Platform, error) {
	if s == "x" {
		return Twitter, nil
	}
	if p := Platform(s); slices.Contains(Platforms(), p) {
		return p, nil
	}
	return "", ErrUnknownPlatform
}

// Kind parts the world of brands from that of persons. An account's kind never changes, and a post never holds
// accounts of both.
type Kind string

// The kinds.
const (
	Brand    Kind = "brand"
	Personal Kind = "personal"
)

// Kinds lists both kinds.
func Kinds() []Kind { return []Kind{Brand, Personal} }

// Valid reports whether the kind is one of the two.
func (k Kind) Valid() bool { return k == Brand || k == Personal }

// Mode says who performs the public act.
type Mode string

// The modes.
const (
	ModeAPI    Mode = "api"    // Crier publishes through the platform's API
	ModeAssist Mode = "assist" // a person posts by hand at the due time, with everything made ready
)

// WhenNotSeen says what follows when a part of unknown fate was not seen on the platform to the horizon.
type WhenNotSeen string

// The choices.
const (
	Resend WhenNotSeen = "resend" // send it again, once for each part
	Ask    WhenNotSeen = "ask"    // leave it to a person
)

// AccountKey names an account in the queue. The kind comes first, so that no range of keys of one kind can
// reach into the other.
type AccountKey struct {
	Kind   Kind
	Handle string
}

// String gives kind|handle.
func (k AccountKey) String() string { return string(k.Kind) + "|" + k.Handle }

// ParseAccountKey reads what String wrote.
func ParseAccountKey(s string) (AccountKey, bool) {
	kind, handle, ok := strings.Cut(s, "|")
	k := AccountKey{Kind: Kind(kind), Handle: handle}
	return k, ok && k.Kind.Valid() && ValidHandle(handle)
}

// ValidHandle reports whether s may name an account, a brand or a person: [a-z0-9-]{1,32}.
func ValidHandle(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Account is one login on one platform, as configured. It holds no secret. Its kind and owner never change.
type Account struct {
	Handle   string   `json:"handle"`
	Platform Platform `json:"platform"`
	Kind     Kind     `json:"kind"`
	Owner    string   `json:"owner"` // a brand's handle or a person's
	Mode     Mode     `json:"mode"`
	// Identity is who the platform must say that we are: X and Reddit user name, Page id, YouTube channel id.
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	// TimeZone is the IANA zone of local times without an offset.
	TimeZone string `json:"time_zone"`
	// MinGap is the least time between two deliveries of the account; 0 means none.
	MinGap time.Duration `json:"min_gap"`
	// MaxLate is how long a delivery may wait beyond its due time before it is missed.
	MaxLate     time.Duration `json:"max_late"`
	WhenNotSeen WhenNotSeen   `json:"when_not_seen"`
	Approvals   int           `json:"approvals,omitempty"`
	Managed     string        `json:"managed"` // file or api
	// App names the developer app whose limits and bills the account shares with others, for example
	// "twitter:abc"; empty when it shares with none.
	App string `json:"app,omitempty"`
	// Looks is the platform's horizon: when to look for a part of unknown fate, counted from the end of the
	// attempt. Not seen at the last of them counts as absence.
	Looks []time.Duration `json:"looks,omitempty"`
}

// Key names the account in the queue.
func (a Account) Key() AccountKey { return AccountKey{Kind: a.Kind, Handle: a.Handle} }

// HoldReason says why nothing of a lane is sent.
type HoldReason string

// The reasons for a hold.
const (
	HoldPaused         HoldReason = "paused"
	HoldRateLimited    HoldReason = "rate_limited"
	HoldOverBudget     HoldReason = "over_budget"
	HoldNeedsReconnect HoldReason = "needs_reconnect"
	HoldWrongIdentity  HoldReason = "wrong_identity"
	HoldBlackout       HoldReason = "blackout"
	HoldWaitingForLead HoldReason = "waiting_for_lead"
	HoldRestored       HoldReason = "restored"
	HoldRemoved        HoldReason = "account_removed"
)

// FromPlatform reports whether the wait is the platform's own limit, which does not count as lateness.
func (r HoldReason) FromPlatform() bool { return r == HoldRateLimited || r == HoldOverBudget }

// Hold keeps a lane from being sent. Held deliveries keep their state.
type Hold struct {
	Reason HoldReason `json:"reason"`
	Since  time.Time  `json:"since"`
	// Until is when the hold ends by itself; zero means that somebody or something must end it.
	Until time.Time `json:"until,omitzero"`
	// Detail says in plain words why, free of secrets.
	Detail string `json:"detail,omitempty"`
	// By names the person who set it, empty when Crier did.
	By string `json:"by,omitempty"`
}

// Open reports whether the hold no longer holds at now. A hold with an end that lies wholly in the future was set
// before the clock stepped back; it is open too, since the worst that follows is one more refusal by the platform,
// while keeping it would stretch it by the step.
func (h Hold) Open(now time.Time) bool {
	return !h.Until.IsZero() && (!now.Before(h.Until) || now.Add(clockSlack).Before(h.Since))
}

// clockSlack is how far two readings of the wall clock may differ without a step.
const clockSlack = 5 * time.Second

// AccountStatus says in one word how an account is.
type AccountStatus string

// The statuses.
const (
	StatusOK             AccountStatus = "ok"
	StatusPaused         AccountStatus = "paused"
	StatusNeedsReconnect AccountStatus = "needs_reconnect"
	StatusWrongIdentity  AccountStatus = "wrong_identity"
	StatusRateLimited    AccountStatus = "rate_limited"
	StatusOverBudget     AccountStatus = "over_budget"
	StatusRestored       AccountStatus = "restored"
	StatusRemoved        AccountStatus = "account_removed"
)

// Status is the account's one-word status under holds: what a person must act on comes first.
func Status(holds []Hold, now time.Time) AccountStatus {
	order := []struct {
		reason HoldReason
		status AccountStatus
	}{
		{HoldRemoved, StatusRemoved},
		{HoldRestored, StatusRestored},
		{HoldWrongIdentity, StatusWrongIdentity},
		{HoldNeedsReconnect, StatusNeedsReconnect},
		{HoldPaused, StatusPaused},
		{HoldOverBudget, StatusOverBudget},
		{HoldRateLimited, StatusRateLimited},
	}
	for _, o := range order {
		for _, h := range holds {
			if h.Reason == o.reason && !h.Open(now) {
				return o.status
			}
		}
	}
	return StatusOK
}
