package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"crier/internal/post"
)

// The bounds of a JSON text.
const (
	maxDepth  = 32
	maxValues = 100_000
	// maxListed bounds the problems that one body is answered with.
	maxListed = 100
)

// The codes of a body that cannot be read.
const (
	CodeJSON      = "invalid_json"
	CodeText      = "invalid_text"
	CodeUnknown   = "unknown_field"
	CodeDuplicate = "duplicate_field"
	CodeType      = "invalid_type"
	CodeTooDeep   = "too_deep"
	CodeTooMany   = "too_many_values"
)

// BodyError says why a JSON text was refused. It names fields and never repeats a value.
type BodyError struct{ Problems []post.Problem }

// Error gives the first problem.
func (e *BodyError) Error() string {
	if len(e.Problems) == 0 {
		return "the body cannot be read"
	}
	p := e.Problems[0]
	if p.Location == "" {
		return p.Message
	}
	return p.Location + ": " + p.Message
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	arrayNode
	objectNode
)

// Node is one value of a JSON text that was found well-formed: valid UTF-8, no field twice, no NUL, bounded in depth
// and number of values.
type Node struct {
	kind   nodeKind
	text   string // of a string, a number or a boolean
	fields []member
	items  []*Node
}

type member struct {
	name  string
	value *Node
}

// Parse reads one JSON value. Its errors are of type *[BodyError].
func Parse(raw []byte) (*Node, error) {
	if !utf8.Valid(raw) {
		return nil, bodyError("body", CodeText, "the body is not valid UTF-8")
	}
	if !json.Valid(raw) {
		return nil, bodyError("body", CodeJSON, "the body is not valid JSON")
	}
	if loneSurrogate(raw) {
		return nil, bodyError("body", CodeText, "the body holds half of a surrogate pair, which is no character")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	r := reader{dec: dec}
	n, err := r.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bodyError("body", CodeJSON, "the body holds more than one JSON value")
	}
	return n, nil
}

// loneSurrogate reports whether valid JSON has an escape such as \ud83d without its other half: encoding/json would make
// another character of it, and what is published would not be what was asked for.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' { // valid JSON does not end in a backslash, and \u has four digits
			continue
		}
		unit := escaped(raw[i+1:])
		i += 4
		switch {
		case unit >= 0xdc00 && unit <= 0xdfff:
			return true
		case unit >= 0xd800 && unit <= 0xdbff:
			low := raw[i+1:]
			if len(low) < 6 || low[0] != '\\' || low[1] != 'u' {
				return true
			}
			if second := escaped(low[2:]); second < 0xdc00 || second > 0xdfff {
				return true
			}
			i += 6
		}
	}
	return false
}

// escaped reads the four hexadecimal digits of an escape.
func escaped(b []byte) uint64 {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32) // valid JSON has four of them
	return n
}

// Decode reads a JSON text into a struct, strictly: see [Node.Bind]. An empty text is an empty object.
func Decode(raw []byte, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	n, err := Parse(raw)
	if err != nil {
		return err
	}
	return n.Bind(into)
}

func bodyError(at, code, message string) *BodyError {
	return &BodyError{Problems: []post.Problem{{
		Location: at, Code: code, Severity: post.SeverityError, Message: message,
	}}}
}

type reader struct {
	dec    *json.Decoder
	values int
}

func (r *reader) value(at string, depth int) (*Node, error) {
	if r.values++; r.values > maxValues {
		return nil, bodyError("body", CodeTooMany, "the body holds too many values")
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, bodyError(at, CodeJSON, "the body is not valid JSON")
	}
	switch t := token.(type) {
	case nil:
		return &Node{kind: nullNode}, nil
	case bool:
		return &Node{kind: boolNode, text: strconv.FormatBool(t)}, nil
	case json.Number:
		return &Node{kind: numberNode, text: t.String()}, nil
	case string:
		if strings.ContainsRune(t, 0) {
			return nil, bodyError(at, CodeText, "the text holds a NUL character")
		}
		return &Node{kind: stringNode, text: t}, nil
	case json.Delim:
		if depth >= maxDepth {
			return nil, bodyError(at, CodeTooDeep, "the body is nested too deeply")
		}
		if t == '[' {
			return r.array(at, depth)
		}
		return r.object(at, depth)
	}
	return nil, bodyError(at, CodeJSON, "the body is not valid JSON")
}

func (r *reader) array(at string, depth int) (*Node, error) {
	n := &Node{kind: arrayNode}
	for r.dec.More() {
		item, err := r.value(fmt.Sprintf("%s[%d]", at, len(n.items)), depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err := r.dec.Token()
	if err != nil {
		return nil, bodyError(at, CodeJSON, "the body is not valid JSON")
	}
	return n, nil
}

func (r *reader) object(at string, depth int) (*Node, error) {
	n := &Node{kind: objectNode}
	seen := map[string]bool{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return nil, bodyError(at, CodeJSON, "the body is not valid JSON")
		}
		name, _ := token.(string)
		inner := join(at, shown(name))
		if strings.ContainsRune(name, 0) {
			return nil, bodyError(at, CodeText, "the name of a field holds a NUL character")
		}
		if seen[name] {
			return nil, bodyError(inner, CodeDuplicate, "the field is there twice")
		}
		seen[name] = true
		value, err := r.value(inner, depth+1)
		if err != nil {
			return nil, err
		}
		n.fields = append(n.fields, member{name: name, value: value})
	}
	_, err := r.dec.Token()
	if err != nil {
		return nil, bodyError(at, CodeJSON, "the body is not valid JSON")
	}
	return n, nil
}

// shown is a field's name as it may stand in an answer: a name that no client of ours would use is cut, since it may
// be a value in the wrong place.
func shown(name string) string {
	const most = 64
	plain := func(r rune) bool {
		return r == '_' || r == '-' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
	}
	for _, r := range name {
		if !plain(r) {
			return "(unprintable)"
		}
	}
	if len(name) > most {
		return name[:most] + "…"
	}
	if name == "" {
		return "(empty)"
	}
	return name
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// field gives the value of a field; nil when it is not there.
func (n *Node) field(name string) *Node {
	for _, f := range n.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// set replaces or adds a field; nil removes it.
func (n *Node) set(name string, value *Node) {
	for i := range n.fields {
		if n.fields[i].name != name {
			continue
		}
		if value == nil {
			n.fields = append(n.fields[:i], n.fields[i+1:]...)
			return
		}
		n.fields[i].value = value
		return
	}
	if value != nil {
		n.fields = append(n.fields, member{name: name, value: value})
	}
}

// JSON writes the value without insignificant space, its fields in the order in which they came.
func (n *Node) JSON() []byte { return n.append(nil) }

func (n *Node) append(b []byte) []byte {
	switch n.kind {
	case nullNode:
		return append(b, "null"...)
	case boolNode, numberNode:
		return append(b, n.text...)
	case stringNode:
		return appendText(b, n.text)
	case arrayNode:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.append(b)
		}
		return append(b, ']')
	case objectNode:
		b = append(b, '{')
		for i, f := range n.fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, f.name), ':')
			b = f.value.append(b)
		}
		return append(b, '}')
	}
	return b
}

func appendText(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

// Merge applies a JSON merge patch (RFC 7396): objects are merged field by field, null removes, all else replaces.
// Neither argument is changed.
func Merge(target, patch *Node) *Node {
	if patch.kind != objectNode {
		return patch
	}
	out := &Node{kind: objectNode}
	if target != nil && target.kind == objectNode {
		out.fields = append(out.fields, target.fields...)
	}
	for _, f := range patch.fields {
		if f.value.kind == nullNode {
			out.set(f.name, nil)
			continue
		}
		out.set(f.name, Merge(out.field(f.name), f.value))
	}
	return out
}
