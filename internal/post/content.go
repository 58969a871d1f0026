package post

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Content is what one delivery says, after the overrides of its target: text, title, link, media, thread, first
// comment and the platform's own options.
type Content struct {
	Text         string   `json:"text,omitempty"`
	Title        string   `json:"title,omitempty"`
	Link         string   `json:"link,omitempty"`
	Media        []Media  `json:"media,omitempty"`
	Thread       []Reply  `json:"thread,omitempty"`
	FirstComment string   `json:"first_comment,omitempty"`
	Options      *Options `json:"options,omitempty"`
}

// Reply is one further post of a thread.
type Reply struct {
	Text  string  `json:"text"`
	Media []Media `json:"media,omitempty"`
}

// Media refers to a stored file by the SHA-256 of its content. The measures are copied from the store of media at
// creation, so that checking a content touches no disk.
type Media struct {
	ID       string        `json:"id"`
	Alt      string        `json:"alt,omitempty"`
	Type     string        `json:"type"` // MIME type, sniffed
	Bytes    int64         `json:"bytes"`
	Width    int           `json:"width,omitempty"`
	Height   int           `json:"height,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
}

// Options holds a platform's own options by name, each value as the JSON that came in. Names and values are
// checked by the platform's adapter.
type Options map[string]json.RawMessage

// String gives an option that is a JSON string; ok is false when it is absent or of another type.
func (o *Options) String(name string) (value string, ok bool) {
	ok = o.decode(name, &value)
	return value, ok
}

// Bool gives an option that is a JSON boolean; ok is false when it is absent or of another type.
func (o *Options) Bool(name string) (value, ok bool) {
	ok = o.decode(name, &value)
	return value, ok
}

// Has reports whether the option is present.
func (o *Options) Has(name string) bool {
	if o == nil {
		return false
	}
	_, ok := (*o)[name]
	return ok
}

// Names lists the options that are present, sorted.
func (o *Options) Names() []string {
	if o == nil {
		return nil
	}
	names := make([]string, 0, len(*o))
	for n := range *o {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Decode reads an option into v. An absent option leaves v as it is.
func (o *Options) Decode(name string, v any) error {
	if !o.Has(name) {
		return nil
	}
	if err := json.Unmarshal((*o)[name], v); err != nil {
		return fmt.Errorf("option %s is of another type", name)
	}
	return nil
}

func (o *Options) decode(name string, v any) bool {
	return o.Has(name) && string(bytes.TrimSpace((*o)[name])) != "null" && json.Unmarshal((*o)[name], v) == nil
}

// Digest is the SHA-256 of the content in its canonical form, in hexadecimal. Equal contents have equal digests.
func (c Content) Digest() string {
	// Content holds only strings, numbers, booleans and valid raw JSON, in a fixed order of fields and sorted
	// keys, so that encoding cannot fail; if a caller smuggles in an invalid raw value, the digest is of nothing
	// and matches no prepared work.
	b, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Role says what a part is to its delivery.
type Role string

// The roles.
const (
	RolePost     Role = "post"      // the post itself
	RoleReply    Role = "reply"     // a further post of a thread
	RoleComment  Role = "comment"   // the first comment
	RoleFollowUp Role = "follow_up" // what is set on the published post afterwards, such as a thumbnail
)

// Roles lists the parts that publishing c on a platform takes, in order. Whether the platform can do them at all
// is for its adapter's check to say.
func (c Content) Roles(p Platform) []Role {
	roles := []Role{RolePost}
	for range c.Thread {
		roles = append(roles, RoleReply)
	}
	if p == YouTube && c.Options.Has("thumbnail") {
		roles = append(roles, RoleFollowUp)
	}
	if c.FirstComment != "" {
		roles = append(roles, RoleComment)
	}
	return roles
}
