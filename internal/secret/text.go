// Package secret keeps secrets from being seen where they should not be: [Text] redacts itself wherever it is printed,
// [Source] says where a secret comes from without holding it, and [Sealer] encrypts what must lie on disk.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands in place of every secret that is printed.
const redacted = "[redacted]"

// Text is a secret text. Every way of printing or encoding it gives "[redacted]", or nothing when it is empty; only
// [Text.Reveal] gives the text itself. The zero value is the absent secret. Values are compared with [Text.Equal],
// since == tells only whether they are copies of one another.
//
// The text stands behind a pointer because fmt prints unexported fields of other structs by reflection, without
// asking their methods: so it shows an address there and not the secret.
type Text struct{ text *string }

// New makes a secret of s; an empty s is the absent secret.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{text: &s}
}

// Reveal gives the secret itself. What it returns belongs in a request or in a sealed record and nowhere else.
func (t Text) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero reports whether there is no secret.
func (t Text) IsZero() bool { return t.text == nil }

// Equal reports whether both secrets are the same, in a time that depends on their lengths only.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String gives "[redacted]", or nothing for an absent secret.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return redacted
}

// Format implements [fmt.Formatter]: no verb and no flag shows the secret.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText implements [encoding.TextMarshaler], and by it JSON and YAML. There is no way back on purpose: what is
// printed is not to be read again.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue implements [slog.LogValuer].
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }
