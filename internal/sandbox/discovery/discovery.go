// Package discovery judges HTTP requests by a Google API discovery document,
// the platform's own machine-readable description of its methods. It is test
// support: an adapter's requests, and the sandbox's idea of them, are held
// against a referee that neither of them wrote.
//
// It knows methods, paths, query parameters, field names, types, enumerations
// and required fields. It does not know lengths, forbidden characters, quotas
// or rules that span fields.
package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Document is a parsed discovery document. It is immutable and safe for
// concurrent use.
type Document struct {
	params  map[string]param
	methods []method
	schemas map[string]schema
}

type method struct {
	ID         string           `json:"id"`
	HTTPMethod string           `json:"httpMethod"`
	Path       string           `json:"path"`
	Parameters map[string]param `json:"parameters"`
	Request    *struct {
		Ref string `json:"$ref"`
	} `json:"request"`
	MediaUpload *struct {
		Protocols map[string]struct {
			Path string `json:"path"`
		} `json:"protocols"`
	} `json:"mediaUpload"`
}

type param struct {
	Type     string   `json:"type"`
	Location string   `json:"location"`
	Required bool     `json:"required"`
	Repeated bool     `json:"repeated"`
	Enum     []string `json:"enum"`
	Minimum  string   `json:"minimum"`
	Maximum  string   `json:"maximum"`
}

type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 string            `json:"type"`
	Format               string            `json:"format"`
	Enum                 []string          `json:"enum"`
	ReadOnly             bool              `json:"readOnly"`
	Items                *schema           `json:"items"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties *schema           `json:"additionalProperties"`
	Annotations          struct {
		Required []string `json:"required"`
	} `json:"annotations"`
}

type resource struct {
	Methods   map[string]method   `json:"methods"`
	Resources map[string]resource `json:"resources"`
}

// Load reads the discovery document at path. For YouTube it lies in the module
// google.golang.org/api under youtube/v3/youtube-api.json.
func Load(path string) (*Document, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the test that asks says which file
	if err != nil {
		return nil, fmt.Errorf("read discovery document: %w", err)
	}
	return Parse(raw)
}

// Parse reads a discovery document from its JSON text.
func Parse(raw []byte) (*Document, error) {
	var in struct {
		Parameters map[string]param    `json:"parameters"`
		Resources  map[string]resource `json:"resources"`
		Schemas    map[string]schema   `json:"schemas"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("parse discovery document: %w", err)
	}
	d := &Document{params: in.Parameters, schemas: in.Schemas}
	d.collect(in.Resources)
	if len(d.methods) == 0 {
		return nil, errors.New("parse discovery document: it names no methods")
	}
	return d, nil
}

func (d *Document) collect(resources map[string]resource) {
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		r := resources[name]
		for _, m := range slices.Sorted(maps.Keys(r.Methods)) {
			d.methods = append(d.methods, r.Methods[m])
		}
		d.collect(r.Resources)
	}
}

// Check lists what the document says is wrong with a request, nil when it
// finds nothing. path is the URL's path below the API's root, with or without
// a leading slash; a body that is media is not looked at. A request with
// upload_id in its query moves the bytes of a resumable upload that an earlier,
// judged request opened, and is not judged again.
func (d *Document) Check(httpMethod, path string, query url.Values, body []byte) []string {
	if query.Has("upload_id") {
		return nil
	}
	m, upload, fault := d.find(httpMethod, path)
	if fault != "" {
		return []string{fault}
	}
	faults := d.checkQuery(m, query)
	if upload {
		switch query.Get("uploadType") {
		case "resumable":
		case "media", "multipart":
			return faults
		default:
			return append(faults, m.ID+": an upload names uploadType media, multipart or resumable")
		}
	}
	return append(faults, d.checkBody(m, body)...)
}

// find names the method that serves the request and whether it came by an
// upload path.
func (d *Document) find(httpMethod, path string) (m method, upload bool, fault string) {
	path = strings.Trim(path, "/")
	known := false
	for _, m := range d.methods {
		paths := []string{m.Path}
		if m.MediaUpload != nil {
			for _, p := range m.MediaUpload.Protocols {
				paths = append(paths, p.Path)
			}
		}
		for i, p := range paths {
			if strings.Trim(p, "/") != path {
				continue
			}
			known = true
			if m.HTTPMethod == httpMethod {
				return m, i > 0, ""
			}
		}
	}
	if known {
		return method{}, false, fmt.Sprintf("%s is no method of path %q", httpMethod, path)
	}
	return method{}, false, fmt.Sprintf("no method has path %q", path)
}

func (d *Document) checkQuery(m method, query url.Values) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(m.Parameters)) {
		if m.Parameters[name].Required && query.Get(name) == "" {
			faults = append(faults, fmt.Sprintf("%s: parameter %s is required", m.ID, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		p, ok := m.Parameters[name]
		if !ok {
			p, ok = d.params[name]
		}
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: parameter %s is unknown", m.ID, name))
			continue
		}
		if len(query[name]) > 1 && !p.Repeated {
			faults = append(faults, fmt.Sprintf("%s: parameter %s is given twice", m.ID, name))
		}
		for _, v := range query[name] {
			if fault := p.check(v); fault != "" {
				faults = append(faults, fmt.Sprintf("%s: parameter %s: %s", m.ID, name, fault))
			}
		}
	}
	return faults
}

func (p param) check(v string) string {
	switch p.Type {
	case "boolean":
		if v != "true" && v != "false" {
			return fmt.Sprintf("%q is not true or false", v)
		}
	case "integer":
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Sprintf("%q is not an integer", v)
		}
		if low, err := strconv.ParseInt(p.Minimum, 10, 64); err == nil && n < low {
			return fmt.Sprintf("%d is below %d", n, low)
		}
		if high, err := strconv.ParseInt(p.Maximum, 10, 64); err == nil && n > high {
			return fmt.Sprintf("%d is above %d", n, high)
		}
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, v) {
		return fmt.Sprintf("%q is not one of %s", v, strings.Join(p.Enum, ", "))
	}
	return ""
}

func (d *Document) checkBody(m method, body []byte) []string {
	if m.Request == nil {
		if len(body) > 0 && m.MediaUpload == nil {
			return []string{m.ID + ": takes no body"}
		}
		return nil
	}
	if m.HTTPMethod == http.MethodGet {
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{m.ID + ": body is not JSON"}
	}
	w := walker{doc: d, method: m.ID}
	w.walk("body", schema{Ref: m.Request.Ref}, v)
	return w.faults
}
