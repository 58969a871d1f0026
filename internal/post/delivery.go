package post

import "time"

// Post is one piece of content and where it goes. A draft may have no target yet: it is then its author's own, of the
// kind personal.
type Post struct {
	ID         ID        `json:"id"`
	Version    uint64    `json:"version"`
	ExternalID string    `json:"external_id,omitempty"`
	Author     string    `json:"author"`
	CreatedAt  time.Time `json:"created_at"`
	Kind       Kind      `json:"kind"`
	Owner      string    `json:"owner,omitempty"` // of a personal post: the person whose accounts it uses
	Content    Content   `json:"content"`         // what the targets override
	At         string    `json:"at,omitempty"`    // as asked for
	TimeZone   string    `json:"time_zone,omitempty"`
	Undo       string    `json:"undo,omitempty"` // as asked for: how long what goes at once waits first
	Labels     []string  `json:"labels,omitempty"`
	Targets    []Target  `json:"targets"`
	Series     ID        `json:"series,omitzero"`
	Draft      bool      `json:"draft,omitempty"`
	Warnings   []Problem `json:"warnings,omitempty"`
	Notes      []string  `json:"notes,omitempty"`
	// AllowDuplicate says that the author knows that the same content was sent lately.
	AllowDuplicate bool `json:"allow_duplicate,omitempty"`
}

// Unplaced reports whether the post is a draft that says nowhere yet where it goes.
func (p *Post) Unplaced() bool { return p.Draft && len(p.Targets) == 0 }

// Target is one place that a post goes to, with what it overrides. Its content is whole: base and overrides are
// merged when the post is written.
type Target struct {
	ID          ID         `json:"id"`
	Account     AccountKey `json:"account"`
	Platform    Platform   `json:"platform"`
	Destination string     `json:"destination,omitempty"` // such as a subreddit; empty when the account is the place
	Content     Content    `json:"content"`
	Override    RawTarget  `json:"override"`
	Delivery    ID         `json:"delivery"`
}

// RawTarget keeps what a target said itself, so that an edit of the base can be merged again. Nil means that the
// base counts; an empty value clears.
type RawTarget struct {
	Text         *string  `json:"text,omitempty"`
	Title        *string  `json:"title,omitempty"`
	Link         *string  `json:"link,omitempty"`
	Media        *[]Media `json:"media,omitempty"`
	Thread       *[]Reply `json:"thread,omitempty"`
	FirstComment *string  `json:"first_comment,omitempty"`
	Options      *Options `json:"options,omitempty"`
	At           *string  `json:"at,omitempty"`
}

// Severity says whether a problem refuses or warns.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with a content, or worth knowing. Message never repeats the value.
type Problem struct {
	Location string   `json:"location"` // such as targets[0].text; adapters give the field alone
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Limit    int64    `json:"limit,omitempty"`
	Used     int64    `json:"used,omitempty"`
	Unit     string   `json:"unit,omitempty"`
}

// Delivery is one post to one destination of one account: the unit of scheduling, retry and audit.
type Delivery struct {
	ID          ID
	Post        ID
	Target      ID
	Account     AccountKey
	Platform    Platform
	Destination string
	Version     uint64 // grows with every change; the ETag
	State       State
	// Due is what a person asked for; only a person, or a change of zone data, moves it.
	Due time.Time
	// NotBefore is set by retries: no attempt before it. Zero when none waits.
	NotBefore time.Time
	// LocalDue is the civil time that was asked for, in TimeZone.
	LocalDue string
	TimeZone string
	// Attempts counts the attempts that reached the platform or may have, over all parts.
	Attempts int
	// FirstAttempt is when the running series of attempts at the current part began; retries end two hours later.
	FirstAttempt time.Time
	// Fence grows with every claim; a result that names an older one is refused, unless it brings a receipt.
	Fence uint64
	Parts []Part
	// LateFrom is where lateness is counted from when a person waived what went before; zero means Due.
	LateFrom        time.Time
	Reason          *Reason
	CancelRequested bool
	Digest          string // of the content that will be sent
	// NeedsPrepare says that a part has to be prepared before its commit. Prepared is the digest of the content
	// that the handles hold, PreparedUntil when the first of them expires (zero: never).
	NeedsPrepare  bool
	Prepared      string
	PreparedUntil time.Time
	// Doubt is set while the delivery is unconfirmed.
	Doubt      *Doubt
	Series     ID
	Occurrence string // key of the occurrence, empty outside a series
	// LastChange is the number of its last change in the history, each of which names the one before it. The store's
	// own: zero for one that no store has seen.
	LastChange uint64 `json:",omitzero"`
	// LastAttempt is the last entry of its flight record, which the store keeps; nil before the first.
	LastAttempt *Attempt `json:",omitzero"`
}

// Part is one public act of a delivery.
type Part struct {
	Role    Role      `json:"role"`
	State   PartState `json:"state"`
	Receipt *Receipt  `json:"receipt,omitempty"`
	// Unknown says that an earlier attempt at this part ended in doubt; any later one looks first.
	Unknown bool `json:"unknown,omitempty"`
	// Resent says that this part was sent again after it was not seen; the second time a person decides.
	Resent bool `json:"resent,omitempty"`
	// Began is when the earliest attempt began whose fate was unknown: where looks begin. While it is set, any
	// further attempt looks before it sends.
	Began time.Time `json:"began,omitzero"`
	// Prepares counts how often preparing failed.
	Prepares int `json:"prepares,omitempty"`
}

// PartState is where one part stands.
type PartState string

// The states of a part.
const (
	PartWaiting   PartState = "waiting"
	PartSending   PartState = "sending"
	PartPublished PartState = "published"
	PartUnknown   PartState = "unconfirmed"
	PartFailed    PartState = "failed"
)

// Receipt is the platform's proof that a part is out. It is unique by platform and remote id.
type Receipt struct {
	RemoteID string    `json:"remote_id"`
	URL      string    `json:"url,omitempty"`
	At       time.Time `json:"at"`
}

// Reason says why a delivery stands where it stands. Message is for people and free of secrets.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// NextPart is the index of the first part without a receipt, or len(Parts) when all are out.
func (d *Delivery) NextPart() int {
	for i := range d.Parts {
		if d.Parts[i].Receipt == nil {
			return i
		}
	}
	return len(d.Parts)
}

// Begun reports whether any part is out: the content is then frozen, max_late and min_gap no longer apply, and an
// end before the last part is partial.
func (d *Delivery) Begun() bool { return len(d.Parts) > 0 && d.NextPart() > 0 }

// Changeable reports whether nothing of it is out or in flight and a person may still change content or time.
func (d *Delivery) Changeable() bool { return d.State.Editable() && !d.Begun() }

// InDoubt reports whether the next part may be out already.
func (d *Delivery) InDoubt() bool {
	i := d.NextPart()
	return i < len(d.Parts) && d.Parts[i].Unknown
}

// ReadyAt is the instant before which the delivery is not tried, apart from spacing and holds of its lane.
func (d *Delivery) ReadyAt() time.Time {
	if d.NotBefore.After(d.Due) {
		return d.NotBefore
	}
	return d.Due
}

// Ready reports whether the prepared work that the commit needs is there and holds at now.
func (d *Delivery) Ready(now time.Time) bool {
	return !d.NeedsPrepare || (d.Prepared == d.Digest && (d.PreparedUntil.IsZero() || now.Before(d.PreparedUntil)))
}

// Doubt is how far the looking for a part of unknown fate has come.
type Doubt struct {
	Since time.Time `json:"since"` // when the doubt began; blocks the lane for at most DoubtBlocks
	// Next is the next look; zero when a person has to decide.
	Next  time.Time `json:"next,omitzero"`
	Looks int       `json:"looks"` // clean looks so far
	// Reads counts the looks that failed, for their spacing.
	Reads int `json:"reads,omitempty"`
}

// Handle is repeatable work done ahead of a commit: an uploaded image, an opened upload. It is bound to the
// content that it was made from and expires.
type Handle struct {
	Part    int               `json:"part"`
	Name    string            `json:"name"`   // the adapter's own, such as media:0
	Digest  string            `json:"digest"` // of the content that it holds
	Values  map[string]string `json:"values"` // the platform's ids; may be a secret, never shown
	Expires time.Time         `json:"expires,omitzero"`
	// Done says that nothing is left to prepare for this handle.
	Done bool `json:"done"`
}

// Outcome says in the attempt log how an attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomePublished    Outcome = "published"
	OutcomeNotPublished Outcome = "not_published"
	OutcomeUnknown      Outcome = "unknown"
)

// Attempt is the record of one attempt or one look: what was asked, what came back, what was decided.
type Attempt struct {
	N         int       `json:"n"`
	Part      int       `json:"part"`
	Act       string    `json:"act"` // publish, prepare, look, resolve
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Outcome   Outcome   `json:"outcome"`
	Reason    string    `json:"reason,omitempty"`
	Status    int       `json:"status,omitempty"` // HTTP status of the last call; 0 when none came
	Code      string    `json:"code,omitempty"`   // the platform's own
	Message   string    `json:"message,omitempty"`
	Decision  string    `json:"decision"`
}

// Change is one entry of the history: who changed what, from which state to which.
type Change struct {
	Seq      uint64    `json:"seq"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"` // a person's handle, or "crier"
	Type     string    `json:"type"`  // such as delivery.published
	Post     ID        `json:"post,omitzero"`
	Delivery ID        `json:"delivery,omitzero"`
	Series   ID        `json:"series,omitzero"`
	Account  string    `json:"account,omitempty"` // kind|handle
	From     State     `json:"from,omitempty"`
	To       State     `json:"to,omitempty"`
	Detail   string    `json:"detail,omitempty"`
}
