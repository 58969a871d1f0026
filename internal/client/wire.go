package client

import (
	"encoding/json"
	"time"
)

// Account is one login on one platform.
type Account struct {
	Handle        string    `json:"handle"`
	Platform      string    `json:"platform"`
	Kind          string    `json:"kind"`  // brand or personal
	Owner         string    `json:"owner"` // a brand's handle or a person's
	Mode          string    `json:"mode"`
	Identity      string    `json:"identity"`
	Name          string    `json:"name"`
	Status        string    `json:"status"`
	Holds         []Hold    `json:"holds"`
	TimeZone      string    `json:"time_zone"`
	MinGap        string    `json:"min_gap"`
	MaxLate       string    `json:"max_late"`
	Approvals     int       `json:"approvals"`
	ProposalsFrom []string  `json:"proposals_from"`
	TokenExpires  time.Time `json:"token_expires_at"`
	Managed       string    `json:"managed"` // file or api
}

// Hold keeps an account's queue from being sent. Until is zero when somebody has to end it.
type Hold struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Detail string    `json:"detail"`
	By     string    `json:"by"` // the person who set it; empty when Crier did
}

// Post is one piece of content and where it goes.
type Post struct {
	ID         string     `json:"id"`
	Version    uint64     `json:"version"`
	ExternalID string     `json:"external_id"`
	State      string     `json:"state"`
	Author     string     `json:"author"`
	CreatedAt  time.Time  `json:"created_at"`
	Text       string     `json:"text"`
	Title      string     `json:"title"`
	Link       string     `json:"link"`
	Labels     []string   `json:"labels"`
	Series     string     `json:"series"`
	Deliveries []Delivery `json:"deliveries"`
	Warnings   []Issue    `json:"warnings"`
	Notes      []string   `json:"notes"`
}

// Delivery is one post to one destination of one account.
type Delivery struct {
	ID              string    `json:"id"`
	Version         uint64    `json:"version"`
	Post            string    `json:"post"`
	Target          string    `json:"target"`
	Account         string    `json:"account"`
	Platform        string    `json:"platform"`
	Kind            string    `json:"kind"`
	Destination     string    `json:"destination"`
	State           string    `json:"state"`
	Due             time.Time `json:"due"`             // zero while it has none
	NextAttemptAt   time.Time `json:"next_attempt_at"` // zero when nobody knows
	LocalDue        string    `json:"local_due"`
	TimeZone        string    `json:"time_zone"`
	Attempts        int       `json:"attempts"`
	Holds           []Hold    `json:"holds"`
	Reason          *Reason   `json:"reason"`
	Approval        Approval  `json:"approval"`
	Receipt         *Receipt  `json:"receipt"`
	Parts           []Part    `json:"parts"`
	CancelRequested bool      `json:"cancel_requested"`
	// Content and AttemptsLog come with a single delivery alone.
	Content     json.RawMessage `json:"content"`
	AttemptsLog []Attempt       `json:"attempts_log"`
}

// Reason says why a delivery stands where it stands.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Approval says who has to agree and who has.
type Approval struct {
	Required int     `json:"required"`
	Given    []Given `json:"given"`
}

// Given is one person's approval.
type Given struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Receipt is the platform's proof.
type Receipt struct {
	RemoteID string    `json:"remote_id"`
	URL      string    `json:"url"`
	At       time.Time `json:"at"`
}

// Part is one public act of a delivery.
type Part struct {
	Index   int      `json:"index"`
	Role    string   `json:"role"` // post, reply, comment or follow_up
	State   string   `json:"state"`
	Receipt *Receipt `json:"receipt"`
}

// Attempt is the record of one attempt or one look.
type Attempt struct {
	N         int       `json:"n"`
	Part      int       `json:"part"`
	Act       string    `json:"act"` // publish, prepare, look or resolve
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Outcome   string    `json:"outcome"` // published, not_published or unknown
	Reason    string    `json:"reason"`
	Status    int       `json:"status"` // HTTP status; 0 when no answer came
	Code      string    `json:"code"`   // the platform's own
	Message   string    `json:"message"`
	Decision  string    `json:"decision"`
}

// NewPost is a post to create. Its fields are those of the API; empty ones are left out.
type NewPost struct {
	ExternalID string         `json:"external_id,omitempty"`
	Text       string         `json:"text,omitempty"`
	Title      string         `json:"title,omitempty"`
	Link       string         `json:"link,omitempty"`
	Media      []NewMedia     `json:"media,omitempty"`
	Targets    []NewTarget    `json:"targets,omitempty"`
	Options    map[string]any `json:"options,omitempty"`
	At         string         `json:"at,omitempty"`
	Undo       string         `json:"undo,omitempty"`
	TimeZone   string         `json:"time_zone,omitempty"`
	Labels     []string       `json:"labels,omitempty"`
	Draft      bool           `json:"draft,omitempty"`
	// AllowDuplicate says that the same content for the same place is meant.
	AllowDuplicate bool `json:"allow_duplicate,omitempty"`
}

// NewTarget is one place of a new post.
type NewTarget struct {
	Account string         `json:"account"`
	Text    string         `json:"text,omitempty"`
	Title   string         `json:"title,omitempty"`
	Options map[string]any `json:"options,omitempty"`
	At      string         `json:"at,omitempty"`
}

// NewMedia names a stored file by its id, or one to be fetched by its URL.
type NewMedia struct {
	ID  string `json:"id,omitempty"`
	URL string `json:"url,omitempty"`
	Alt string `json:"alt,omitempty"`
}

// Media is a stored file.
type Media struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Bytes      int64  `json:"bytes"`
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	DurationMS int64  `json:"duration_ms"`
	Alt        string `json:"alt"`
}

// Verdict is what a person found out about a delivery of unknown fate, or did by hand.
type Verdict struct {
	Part    *int   `json:"part,omitempty"`
	Verdict string `json:"verdict"`        // published or not_published
	URL     string `json:"url,omitempty"`  // with published
	Then    string `json:"then,omitempty"` // with not_published: retry or cancel
}

// Stop says what to pause: everything, or the part that Kind or Brand names.
type Stop struct {
	Kind   string     `json:"kind,omitempty"`
	Brand  string     `json:"brand,omitempty"`
	Reason string     `json:"reason"`
	Until  *time.Time `json:"until,omitempty"`
}

// Go says what to resume, and what becomes of what is overdue: apply, send, miss or next-slot.
type Go struct {
	Kind  string `json:"kind,omitempty"`
	Brand string `json:"brand,omitempty"`
	Late  string `json:"late,omitempty"`
}

// NewKey is a key to make.
type NewKey struct {
	Person    string     `json:"person,omitempty"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	Accounts  []string   `json:"accounts,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Key is an API key. Key itself is set in the answer that makes it, and never again.
type Key struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"`
	Person    string    `json:"person"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	Accounts  []string  `json:"accounts"`
	Full      bool      `json:"full"` // it reaches the person's own personal accounts
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// NewSeries is a recurring post to make. Posts are as for [NewPost], without a time.
type NewSeries struct {
	Name     string    `json:"name,omitempty"`
	Cron     string    `json:"cron,omitempty"`
	Every    string    `json:"every,omitempty"`
	Start    string    `json:"start,omitempty"`
	TimeZone string    `json:"time_zone,omitempty"`
	Until    string    `json:"until,omitempty"`
	Order    string    `json:"order,omitempty"` // once or cycle
	Posts    []NewPost `json:"posts"`
}

// Series is a recurring post.
type Series struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Author   string            `json:"author"`
	Accounts []string          `json:"accounts"`
	Cron     string            `json:"cron"`
	Every    string            `json:"every"`
	Start    string            `json:"start"`
	TimeZone string            `json:"time_zone"`
	Until    time.Time         `json:"until"`
	Order    string            `json:"order"`
	Posts    []json.RawMessage `json:"posts"`
	Used     int               `json:"used"` // how many posts of the pool have been taken
	Next     []Run             `json:"next"`
}

// Run is one run of a series. Run names it for [Client.SkipRun].
type Run struct {
	Run      string    `json:"run"`
	At       time.Time `json:"at"`
	Local    string    `json:"local"`
	TimeZone string    `json:"time_zone"`
	Note     string    `json:"note"`
	Skipped  bool      `json:"skipped"`
}

// Status is how Crier is doing, as far as one may see.
type Status struct {
	Version  string                    `json:"version"`
	NextDue  time.Time                 `json:"next_due"`
	InFlight int                       `json:"in_flight"`
	LagMS    int64                     `json:"lag_ms"`
	LastTick time.Time                 `json:"last_tick"`
	Halted   string                    `json:"halted"` // why nothing is sent; empty when all is well
	Counts   map[string]map[string]int `json:"counts"` // deliveries by kind and state
	Stops    []Stopped                 `json:"stops"`
	Holds    []AccountHolds            `json:"holds"`
}

// Stopped is a pause of everything, one kind or one brand.
type Stopped struct {
	Kind   string    `json:"kind"`
	Brand  string    `json:"brand"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// AccountHolds are the holds of one account.
type AccountHolds struct {
	Account string `json:"account"`
	Holds   []Hold `json:"holds"`
}

// Plan is every firing in a window. Truncated says that there are more than one answer holds.
type Plan struct {
	Items     []Firing `json:"items"`
	Truncated bool     `json:"truncated"`
}

// Firing is one thing that will happen. CostUSD is nil when nobody knows.
type Firing struct {
	At          time.Time `json:"at"`
	TimeZone    string    `json:"time_zone"`
	Note        string    `json:"note"`
	Account     string    `json:"account"`
	Destination string    `json:"destination"`
	State       string    `json:"state"`
	Post        string    `json:"post"`
	Series      string    `json:"series"`
	Spaced      bool      `json:"spaced"`
	Conflicts   []string  `json:"conflicts"`
	CostUSD     *float64  `json:"cost_usd"`
}

// Verified answers the question whose token an account holds. Reason is set unless OK.
type Verified struct {
	OK     bool    `json:"ok"`
	Reason *Reason `json:"reason"`
}

// Paused answers a stop: how many requests were under way, and which deliveries a platform holds by its own schedule.
type Paused struct {
	InFlight   int      `json:"in_flight"`
	NotStopped []string `json:"not_stopped"`
}
