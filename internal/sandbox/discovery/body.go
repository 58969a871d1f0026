package discovery

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// walker compares one decoded JSON body with its schema.
type walker struct {
	doc    *Document
	method string
	faults []string
}

func (w *walker) fault(at, format string, args ...any) {
	w.faults = append(w.faults, w.method+": "+at+": "+fmt.Sprintf(format, args...))
}

func (w *walker) walk(at string, s schema, v any) {
	if s.ReadOnly {
		w.fault(at, "is read-only")
		return
	}
	if s.Ref != "" {
		target, ok := w.doc.schemas[s.Ref]
		if !ok {
			w.fault(at, "schema %s is not in the document", s.Ref)
			return
		}
		s = target
	}
	switch s.Type {
	case "object":
		w.object(at, s, v)
	case "array":
		items, ok := v.([]any)
		if !ok {
			w.fault(at, "is no array")
			return
		}
		for i, item := range items {
			if s.Items != nil {
				w.walk(at+"["+strconv.Itoa(i)+"]", *s.Items, item)
			}
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			w.fault(at, "is no boolean")
		}
	case "integer", "number":
		n, ok := v.(float64)
		switch {
		case !ok:
			w.fault(at, "is no number")
		case s.Type == "integer" && n != math.Trunc(n):
			w.fault(at, "is no integer")
		case s.Format == "uint32" && n < 0:
			w.fault(at, "is negative")
		}
	case "string":
		text, ok := v.(string)
		if !ok {
			w.fault(at, "is no string")
			return
		}
		w.text(at, s, text)
	}
}

func (w *walker) object(at string, s schema, v any) {
	fields, ok := v.(map[string]any)
	if !ok {
		w.fault(at, "is no object")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		value, sent := fields[name]
		if slices.Contains(s.Properties[name].Annotations.Required, w.method) && (!sent || value == "" || value == nil) {
			w.fault(at+"."+name, "is required")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		property, known := s.Properties[name]
		switch {
		case known && fields[name] == nil:
			// JSON null stands for "not given" on these APIs.
		case known:
			w.walk(at+"."+name, property, fields[name])
		case s.AdditionalProperties != nil:
			w.walk(at+"."+name, *s.AdditionalProperties, fields[name])
		default:
			w.fault(at+"."+name, "is unknown")
		}
	}
}

func (w *walker) text(at string, s schema, text string) {
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		w.fault(at, "%q is not one of %s", text, strings.Join(s.Enum, ", "))
	}
	var err error
	switch s.Format {
	case "int64":
		_, err = strconv.ParseInt(text, 10, 64)
	case "uint64":
		_, err = strconv.ParseUint(text, 10, 64)
	case "date-time", "google-datetime":
		_, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		w.fault(at, "%q is no %s", text, s.Format)
	}
}
