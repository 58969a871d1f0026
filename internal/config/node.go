package config

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Node is a part of the configuration that is decoded later, by the adapter that it belongs to. The zero Node stands
// for a part that is not there.
type Node struct {
	node ast.Node
	file file
}

// file is what every part of a configuration knows of it.
type file struct{ name, dir string }

// IsZero reports whether there is nothing to decode.
func (n Node) IsZero() bool { return n.node == nil }

// Decode fills in the struct that into points to; fields that the file does not set keep their values, so defaults
// are set before. It refuses unknown keys, keys that stand twice and values that do not fit; its error is [Problems].
//
// Keys are named by the tag yaml:"name"; fields without one are left alone. Fields may be texts, truths, numbers,
// [time.Duration], [secret.Source], [netip.Prefix], [Node], and pointers to, lists of, maps from text to and structs
// of these. A secret's source says in its own errors where it stands.
//
// If what into points to has a method Validate(report func(key, message string)), that is called once everything
// fits; what it reports becomes a problem at the place of that key, which may be a path such as "pages[2].id".
func (n Node) Decode(into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return &reflect.ValueError{Method: "config.Node.Decode", Kind: target.Kind()}
	}
	d := newDecoder(n.file)
	if n.node != nil {
		d.value(n.node, target.Elem(), "")
	}
	if v, ok := into.(interface {
		Validate(report func(key, message string))
	}); ok && len(d.problems) == 0 {
		v.Validate(func(key, message string) { d.report(d.places.find(key, n.file), message) })
	}
	return d.problems.Err()
}

// places says where values stand, by paths such as "accounts[2].owner". The key of a map's entry has the path of its
// value and keyMark.
type places map[string]Position

const keyMark = "!"

// find gives the place of path, or else of the nearest thing around it.
func (p places) find(path string, f file) Position {
	for {
		if at, ok := p[path]; ok {
			return at
		}
		if path == "" {
			return Position{File: f.name}
		}
		path = parent(path)
	}
}

func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
