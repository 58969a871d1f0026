package sandbox

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graphParamsJSON is Meta's own list of parameters and fields, reduced to the
// edges that this package serves; its "source" says where it is from.
//
//go:embed graph-params.json
var graphParamsJSON []byte

// graphTable is what Meta's list says about each edge.
type graphTable struct {
	edges   map[string]map[string]graphParam // "METHOD Object/edge" to its parameters
	generic map[string]bool                  // accepted on every edge
	fields  map[string]map[string]bool       // object to the names that ?fields= may ask for
}

type graphParam struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Enum     []string `json:"enum"`
}

// loadGraphTable decodes the embedded list and adds what its "gaps" say that
// it lacks. A list that does not decode, which the tests rule out, gives a
// table that refuses everything.
func loadGraphTable() *graphTable {
	var in struct {
		Generic   []string `json:"generic_params"`
		WireOnly  []string `json:"wire_only_params"`
		Endpoints []struct {
			Object   string       `json:"object"`
			Method   string       `json:"method"`
			Endpoint string       `json:"endpoint"`
			Params   []graphParam `json:"params"`
		} `json:"endpoints"`
		Fields map[string][]graphParam `json:"fields"`
	}
	if json.Unmarshal(graphParamsJSON, &in) != nil {
		return &graphTable{}
	}
	t := &graphTable{
		edges:   make(map[string]map[string]graphParam, len(in.Endpoints)),
		generic: make(map[string]bool, len(in.Generic)+len(in.WireOnly)),
		fields:  make(map[string]map[string]bool, len(in.Fields)+1),
	}
	for _, name := range slices.Concat(in.Generic, in.WireOnly) {
		t.generic[name] = true
	}
	for _, e := range in.Endpoints {
		params := make(map[string]graphParam, len(e.Params))
		for _, p := range e.Params {
			params[p.Name] = p
		}
		t.edges[e.Method+" "+e.Object+"/"+e.Endpoint] = params
	}
	t.edges["POST Page/photos"]["source"] = graphParam{Name: "source", Type: "file"}
	for object, fields := range in.Fields {
		names := make(map[string]bool, len(fields))
		for _, f := range fields {
			names[f.Name] = true
		}
		t.fields[object] = names
	}
	// Edges that may be asked for as fields, and nodes that the list has no
	// fields for.
	t.fields["PagePost"]["attachments"] = true
	t.fields["PagePost"]["comments"] = true
	t.fields["Page"] = nameSet("id", "name", "username", "link", "about", "category", "access_token", "tasks", "is_published", "fan_count", "followers_count", "verification_status")
	t.fields["Comment"] = nameSet("id", "message", "created_time", "from", "permalink_url", "parent", "attachment", "comment_count", "like_count", "can_remove", "is_hidden")
	t.edges["GET Comment/"] = map[string]graphParam{}
	t.edges["DELETE Comment/"] = map[string]graphParam{}
	t.edges["POST Comment/comments"] = t.edges["POST PagePost/comments"]
	return t
}

func nameSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// check says what is wrong with the parameters of a call to an edge, "" when
// nothing is. Names of file parts stand in files, all others in values.
func (t *graphTable) check(edge string, values map[string]string, files map[string]graphFile) string {
	params, ok := t.edges[edge]
	if !ok {
		return "Unsupported request to " + edge
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		// v26.0 removed these; they were generic before.
		if name == "pretty" || name == "debug" || name == "date_format" {
			return fmt.Sprintf("(#100) The parameter %s is no longer supported", name)
		}
		base, indexed := cutIndex(name)
		p, ok := params[base]
		switch {
		case !ok && t.generic[name]:
			continue
		case !ok:
			return "(#100) Unknown parameter " + name
		case p.Type == "file":
			return fmt.Sprintf("(#100) Param %s must be a file", name)
		case indexed && !strings.HasPrefix(p.Type, "list"):
			return fmt.Sprintf("(#100) Param %s is no list", base)
		case indexed:
			p.Type = strings.TrimSuffix(strings.TrimPrefix(p.Type, "list<"), ">")
		}
		if want := p.mismatch(values[name]); want != "" {
			return fmt.Sprintf("(#100) Param %s must be %s", name, want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if p, ok := params[name]; !ok || p.Type != "file" {
			return fmt.Sprintf("(#100) Param %s takes no file", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		_, file := files[name]
		if params[name].Required && values[name] == "" && !file {
			return fmt.Sprintf("(#100) The parameter %s is required", name)
		}
	}
	return ""
}

// checkFields says which of the fields asked for the object does not have.
func (t *graphTable) checkFields(object string, fields []graphField) string {
	for _, f := range fields {
		if !t.fields[object][f.name] {
			return fmt.Sprintf("(#100) Tried accessing nonexisting field (%s) on node type (%s)", f.name, object)
		}
	}
	return ""
}

// cutIndex turns attached_media[0] into attached_media: the documented wire
// form of a list.
func cutIndex(name string) (base string, indexed bool) {
	base, rest, found := strings.Cut(name, "[")
	if !found || !strings.HasSuffix(rest, "]") {
		return name, false
	}
	if _, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 16); err != nil {
		return name, false
	}
	return base, true
}

// mismatch names the type that the value should have had, "" when it fits.
func (p graphParam) mismatch(v string) string {
	var ok bool
	switch p.Type {
	case "bool":
		ok = v == "true" || v == "false" || v == "1" || v == "0"
	case "int":
		_, err := strconv.ParseInt(v, 10, 64)
		ok = err == nil
	case "unsigned int":
		_, err := strconv.ParseUint(v, 10, 64)
		ok = err == nil
	case "float":
		_, err := strconv.ParseFloat(v, 64)
		ok = err == nil
	case "datetime":
		_, ok = parseGraphTime(v)
	case "enum":
		if !slices.Contains(p.Enum, v) {
			return "one of {" + strings.Join(p.Enum, ", ") + "}"
		}
		ok = true
	case "map":
		ok = isJSON[map[string]any](v)
	case "Object":
		// An id may stand for the object itself.
		ok = isJSON[map[string]any](v) || graphID(v)
	default:
		ok = !strings.HasPrefix(p.Type, "list") || isJSON[[]any](v)
	}
	if ok {
		return ""
	}
	return p.Type
}

func isJSON[T any](text string) bool {
	var v T
	return json.Unmarshal([]byte(text), &v) == nil
}

func graphID(s string) bool {
	return s != "" && strings.Trim(s, "0123456789_") == ""
}

// graphTime is how Graph writes an instant: "2026-11-22T12:00:00+0000".
const graphTime = "2006-01-02T15:04:05-0700"

func parseGraphTime(v string) (time.Time, bool) {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Unix(n, 0), true
	}
	for _, layout := range []string{graphTime, time.RFC3339} {
		if at, err := time.Parse(layout, v); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// graphField is one name of ?fields= with the names asked for within it.
type graphField struct {
	name string
	sub  []graphField
}

// graphFieldDepth bounds how deep ?fields= may nest.
const graphFieldDepth = 8

// parseGraphFields reads a field list such as
// "id,message,attachments.limit(2){media_type,target{id}}". It reports false
// for a list that is not well formed.
func parseGraphFields(text string) ([]graphField, bool) {
	fields, rest, ok := cutGraphFields(text, 0)
	return fields, ok && rest == ""
}

func cutGraphFields(text string, depth int) (fields []graphField, rest string, ok bool) {
	if depth > graphFieldDepth {
		return nil, text, false
	}
	for {
		end := strings.IndexFunc(text, func(r rune) bool {
			return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
		})
		if end < 0 {
			end = len(text)
		}
		if end == 0 {
			return nil, text, false
		}
		f := graphField{name: text[:end]}
		text = text[end:]
		for strings.HasPrefix(text, ".") { // a modifier, such as .limit(5)
			_, after, found := strings.Cut(text, ")")
			if !found {
				return nil, text, false
			}
			text = after
		}
		if strings.HasPrefix(text, "{") {
			f.sub, text, ok = cutGraphFields(text[1:], depth+1)
			if !ok || !strings.HasPrefix(text, "}") {
				return nil, text, false
			}
			text = text[1:]
		}
		fields = append(fields, f)
		if !strings.HasPrefix(text, ",") {
			return fields, text, true
		}
		text = text[1:]
	}
}

// project keeps what was asked for of an object; its id is always kept, as
// Graph does. Lists, plain or under "data", are projected element by element.
func project(object map[string]any, fields []graphField) map[string]any {
	out := make(map[string]any, len(fields)+1)
	if id, ok := object["id"]; ok {
		out["id"] = id
	}
	for _, f := range fields {
		v, ok := object[f.name]
		if !ok || v == nil {
			continue
		}
		out[f.name] = projectValue(v, f.sub)
	}
	return out
}

func projectValue(v any, sub []graphField) any {
	if len(sub) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v["data"].([]map[string]any); ok {
			return map[string]any{"data": projectValue(list, sub)}
		}
		return project(v, sub)
	case []map[string]any:
		out := make([]map[string]any, 0, len(v))
		for _, item := range v {
			out = append(out, project(item, sub))
		}
		return out
	}
	return v
}
