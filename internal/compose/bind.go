package compose

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"crier/internal/post"
)

// shorthand is a struct that may also be written as one string.
type shorthand interface{ fromText(string) }

// Bind puts the value into what into points to, by the json tags of its structs. It is strict: a field that the
// struct does not have, or a value of another type, is a problem that names the field. Null is the same as absent.
// Its errors are of type *[BodyError] and hold up to 100 problems.
func (n *Node) Bind(into any) error {
	var b binder
	b.bind(n, reflect.ValueOf(into).Elem(), "")
	if len(b.problems) > 0 {
		return &BodyError{Problems: b.problems}
	}
	return nil
}

type binder struct {
	problems []post.Problem
	fields   map[reflect.Type]map[string][]int // where a struct keeps a field, by JSON name
}

func (b *binder) add(at, code, message string) {
	if len(b.problems) < maxListed {
		b.problems = append(b.problems, post.Problem{Location: at, Code: code, Severity: post.SeverityError, Message: message})
	}
}

func (b *binder) want(n *Node, kind nodeKind, at, what string) bool {
	if n.kind == kind {
		return true
	}
	if at == "" {
		at = "body"
	}
	b.add(at, CodeType, "wanted: "+what)
	return false
}

func (b *binder) bind(n *Node, v reflect.Value, at string) {
	if n.kind == nullNode && v.Type() != reflect.TypeFor[json.RawMessage]() {
		return
	}
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes(n.JSON())
		return
	}
	if s, ok := reflect.TypeAssert[shorthand](v.Addr()); ok && n.kind == stringNode {
		s.fromText(n.text)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		b.bind(n, v.Elem(), at)
	case reflect.Struct:
		b.object(n, v, at)
	case reflect.Slice:
		if !b.want(n, arrayNode, at, "a list") {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
		for i, item := range n.items {
			b.bind(item, v.Index(i), fmt.Sprintf("%s[%d]", at, i))
		}
	case reflect.Map:
		if !b.want(n, objectNode, at, "an object") {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for _, f := range n.fields {
			value := reflect.New(v.Type().Elem()).Elem()
			b.bind(f.value, value, join(at, shown(f.name)))
			v.SetMapIndex(reflect.ValueOf(f.name).Convert(v.Type().Key()), value)
		}
	default:
		b.scalar(n, v, at)
	}
}

func (b *binder) scalar(n *Node, v reflect.Value, at string) {
	switch v.Kind() {
	case reflect.String:
		if b.want(n, stringNode, at, "a text") {
			v.SetString(n.text)
		}
	case reflect.Bool:
		if b.want(n, boolNode, at, "true or false") {
			v.SetBool(n.text == "true")
		}
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.text, 10, 64)
		if n.kind != numberNode || err != nil {
			b.add(at, CodeType, "wanted: a whole number")
			return
		}
		v.SetInt(i)
	default:
		b.add(at, CodeUnknown, "the field cannot be set")
	}
}

func (b *binder) object(n *Node, v reflect.Value, at string) {
	if !b.want(n, objectNode, at, "an object") {
		return
	}
	for _, f := range n.fields {
		field, ok := b.fieldOf(v, f.name)
		if !ok {
			b.add(join(at, shown(f.name)), CodeUnknown, "there is no such field")
			continue
		}
		b.bind(f.value, field, join(at, f.name))
	}
}

// fieldOf finds a field by its JSON name, in embedded structs too.
func (b *binder) fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	fields, known := b.fields[v.Type()]
	if !known {
		fields = map[string][]int{}
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.Anonymous || !f.IsExported() {
				continue
			}
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if _, twice := fields[tag]; tag != "" && tag != "-" && !twice {
				fields[tag] = f.Index
			}
		}
		if b.fields == nil {
			b.fields = map[reflect.Type]map[string][]int{}
		}
		b.fields[v.Type()] = fields
	}
	index, ok := fields[name]
	if !ok {
		return reflect.Value{}, false
	}
	return v.FieldByIndex(index), true
}
