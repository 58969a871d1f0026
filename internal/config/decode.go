package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"crier/internal/post"
	"crier/internal/secret"
)

// decoder fills in Go values from a YAML tree, goes on after each problem, and remembers where things stand. It does
// what the YAML library's own decoder does not: it tells all problems, and none of its messages holds a value.
type decoder struct {
	file     file
	problems Problems
	places   places
	// faults says where values did not decode: in part, or as a whole.
	faults map[string]fault
}

// fault says how much of a value did not decode.
type fault int

const (
	faultless fault = iota
	inPart
	asWhole
)

func newDecoder(f file) *decoder {
	return &decoder{file: f, places: places{}, faults: map[string]fault{}}
}

// failed reports whether the value at path was told to be bad, or what should hold it.
func (d *decoder) failed(path string) bool {
	return d.faults[path] != faultless || d.faults[parent(path)] == asWhole
}

func (d *decoder) report(at Position, message string) {
	d.problems = append(d.problems, Problem{at, message})
}

func (d *decoder) at(node ast.Node) Position { return position(d.file.name, start(node)) }

// value decodes node into a settable value. Null is the same as not being there.
func (d *decoder) value(node ast.Node, into reflect.Value, path string) {
	d.places[path] = d.at(node)
	before := len(d.problems)
	d.decode(node, into, path)
	if len(d.problems) > before {
		d.faults[path] = max(d.faults[path], inPart)
	}
}

// bad reports that a value cannot be decoded at all.
func (d *decoder) bad(node ast.Node, path, message string) {
	d.report(d.at(node), message)
	d.faults[path] = asWhole
}

func (d *decoder) decode(node ast.Node, into reflect.Value, path string) {
	if message := d.special(node, into); message != "" {
		if message != done {
			d.bad(node, path, message)
		}
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		v := reflect.New(into.Type().Elem())
		d.value(node, v.Elem(), path)
		into.Set(v)
	case reflect.Struct:
		d.structure(node, into, path)
	case reflect.Map:
		d.mapping(node, into, path)
	case reflect.Slice:
		d.list(node, into, path)
	default:
		if message := scalar(node, into); message != "" {
			d.bad(node, path, message)
		}
	}
}

// done is what special says when nothing is left to do.
const done = "done"

// special decodes what has a form of its own. It gives done, what is wrong, or nothing when the kind of the value
// decides.
func (d *decoder) special(node ast.Node, into reflect.Value) string {
	if target, ok := reflect.TypeAssert[*Node](into.Addr()); ok {
		if node.Type() != ast.NullType {
			*target = Node{node: node, file: d.file}
		}
		return done
	}
	switch node.(type) {
	case *ast.NullNode:
		return done
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "anchors, aliases and tags are not supported"
	}
	switch target := into.Addr().Interface().(type) {
	case *secret.Source:
		return d.secret(node, target)
	case *time.Duration:
		return parsed(node, target, time.ParseDuration, "want a duration such as 30s, 15m or 2h")
	case *netip.Prefix:
		return parsed(node, target, parsePrefix, "want an IP address or a network such as 10.0.0.0/8")
	case *post.Platform:
		return parsed(node, target, post.ParsePlatform, post.ErrUnknownPlatform.Error())
	case *post.Kind:
		return oneOf(node, target, post.Kinds()...)
	case *post.Mode:
		return oneOf(node, target, post.ModeAPI, post.ModeAssist)
	case *post.WhenNotSeen:
		return oneOf(node, target, post.Resend, post.Ask)
	default:
		return ""
	}
}

func (d *decoder) secret(node ast.Node, into *secret.Source) string {
	var s secret.Source
	err := s.UnmarshalYAML(node)
	if bad, ok := errors.AsType[*secret.SourceError](err); ok {
		d.report(Position{d.file.name, bad.Line, bad.Column}, bad.Message)
		return done
	}
	*into = s.Located(d.at(node).String(), d.file.dir)
	return done
}

// parsed decodes a text by a parser whose error may quote it and is therefore not shown.
func parsed[T any](node ast.Node, into *T, parse func(string) (T, error), want string) string {
	s, ok := text(node)
	if !ok {
		return want
	}
	v, err := parse(s)
	if err != nil {
		return want
	}
	*into = v
	return done
}

func oneOf[T ~string](node ast.Node, into *T, allowed ...T) string {
	if s, ok := text(node); ok && slices.Contains(allowed, T(s)) {
		*into = T(s)
		return done
	}
	return "want " + choice(allowed)
}

// choice joins words as in "a, b or c".
func choice[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.Unmap().Prefix(addr.Unmap().BitLen())
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return prefix.Masked(), nil
}

// text gives a scalar as text. Numbers count as they are written, so that an id of digits need not be quoted.
func text(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// scalar decodes a text, truth or number; it gives what is wrong, or nothing.
func scalar(node ast.Node, into reflect.Value) string {
	s, isText := text(node)
	switch into.Kind() {
	case reflect.String:
		if !isText {
			return "want a text; put it in quotes"
		}
		into.SetString(s)
	case reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			return "want true or false"
		}
		into.SetBool(b.Value)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, into.Type().Bits())
		if err != nil {
			return "want a whole number"
		}
		into.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(s, 10, into.Type().Bits())
		if err != nil {
			return "want a whole number, 0 or more"
		}
		into.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(s, into.Type().Bits())
		if err != nil {
			return "want a number"
		}
		into.SetFloat(n)
	default:
		return "cannot be read into " + into.Type().String()
	}
	return ""
}

func (d *decoder) list(node ast.Node, into reflect.Value, path string) {
	n, ok := node.(*ast.SequenceNode)
	if !ok {
		d.bad(node, path, "want a list")
		return
	}
	list := reflect.MakeSlice(into.Type(), len(n.Values), len(n.Values))
	for i, v := range n.Values {
		d.value(v, list.Index(i), item(path, i))
	}
	into.Set(list)
}

// entry is one key of a mapping, with its value.
type entry struct {
	key  string
	node *ast.MappingValueNode
}

// entries gives the entries of a mapping whose keys are texts, each key once.
func (d *decoder) entries(node ast.Node, path string) []entry {
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.bad(node, path, "want a mapping of keys to values")
		return nil
	}
	first := make(map[string]Position, len(values))
	list := make([]entry, 0, len(values))
	for _, v := range values {
		key, ok := text(v.Key)
		at := d.at(v)
		switch before, again := first[key]; {
		case !ok:
			d.report(at, "want a plain key")
		case again:
			d.report(at, fmt.Sprintf("this key stands twice: first at line %d, column %d", before.Line, before.Column))
		default:
			first[key] = at
			list = append(list, entry{key, v})
		}
	}
	return list
}

func (d *decoder) mapping(node ast.Node, into reflect.Value, path string) {
	m := reflect.MakeMap(into.Type())
	for _, e := range d.entries(node, path) {
		key := reflect.New(into.Type().Key()).Elem()
		if message := d.special(e.node.Key, key); message != "" && message != done {
			d.report(d.at(e.node), message)
			continue
		} else if message == "" {
			if message := scalar(e.node.Key, key); message != "" {
				d.report(d.at(e.node), message)
				continue
			}
		}
		if m.MapIndex(key).IsValid() {
			d.report(d.at(e.node), "another name of a key that stands here already")
			continue
		}
		p := child(path, key.String())
		d.places[p+keyMark] = d.at(e.node)
		v := reflect.New(into.Type().Elem()).Elem()
		d.value(e.node.Value, v, p)
		m.SetMapIndex(key, v)
	}
	into.Set(m)
}

func (d *decoder) structure(node ast.Node, into reflect.Value, path string) {
	fields, extra := fieldsOf(into)
	var rest []*ast.MappingValueNode
	for _, e := range d.entries(node, path) {
		field, known := fields[e.key]
		switch {
		case known:
			d.value(e.node.Value, field, child(path, e.key))
		case extra != nil && nearest(e.key, fields) == "":
			rest = append(rest, e.node)
		default:
			d.report(d.at(e.node), unknown(e.key, fields))
		}
	}
	if len(rest) > 0 {
		*extra = Node{node: ast.Mapping(rest[0].GetToken(), false, rest...), file: d.file}
	}
}

// fieldsOf gives the fields of a struct by their keys, and the one that takes what is left.
func fieldsOf(v reflect.Value) (fields map[string]reflect.Value, extra *Node) {
	fields = map[string]reflect.Value{}
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case option == "extra":
			extra, _ = reflect.TypeAssert[*Node](v.Field(i).Addr())
		case name != "" && name != "-":
			fields[name] = v.Field(i)
		}
	}
	return fields, extra
}

// unknown says that a key is unknown, and what may have been meant. The key itself is shown only if it cannot be a
// secret that lost its colon.
func unknown(key string, fields map[string]reflect.Value) string {
	message := "unknown key"
	if harmless(key) {
		message += ` "` + key + `"`
	}
	if near := nearest(key, fields); near != "" {
		return message + `; did you mean "` + near + `"?`
	}
	if len(fields) == 0 {
		return message + "; none is known here"
	}
	return message + "; known here: " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// harmless reports whether a text is a short word of letters and underscores.
func harmless(key string) bool {
	return len(key) <= 24 && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// nearest gives the known key that is a slip of the finger or two away, if there is one.
func nearest(key string, fields map[string]reflect.Value) string {
	best, least := "", 3
	if len(key) < 4 {
		least = 2
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if n := distance(key, name); n < least && n < len(name)-1 {
			best, least = name, n
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace to make b of a; any large number for long texts.
func distance(a, b string) int {
	if len(a) > 32 || len(b) > 32 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
