package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"crier/internal/compose"
)

// documents is the OpenAPI description in both of its forms.
type documents struct{ json, yaml []byte }

func (d documents) asJSON() []byte { return d.json }
func (d documents) asYAML() []byte { return d.yaml }

// document describes the routes.
func document(routes []route) (documents, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[compose.Target](), reflect.TypeFor[targetForm]())
	registry.RegisterTypeAlias(reflect.TypeFor[compose.MediaRef](), reflect.TypeFor[mediaForm]())
	registry.RegisterTypeAlias(reflect.TypeFor[compose.Reply](), reflect.TypeFor[replyForm]())
	registry.RegisterTypeAlias(reflect.TypeFor[json.RawMessage](), reflect.TypeFor[anyForm]())
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Crier", Version: "v1",
			Description: "Schedules posts and publishes them, each once, on the accounts of brands and of people.",
		},
		Servers:  []*huma.Server{{URL: Base}},
		Security: []map[string][]string{{"key": {}}},
		Components: &huma.Components{
			Schemas: registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"key": {Type: "http", Scheme: "bearer", Description: "An API key: crier_<id>_<secret>."},
			},
		},
	}
	problems := map[string]*huma.MediaType{
		"application/problem+json": {Schema: registry.Schema(reflect.TypeFor[Problem](), true, "Problem")},
	}
	later := map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	doc.Components.Responses = map[string]*huma.Response{
		"Problem": {Description: "A problem (RFC 9457)", Content: problems},
		"TooMany": {Description: "The key has made too many requests: too_many_requests.", Content: problems, Headers: later},
		"NotNow": {
			Description: "Nothing was done, ask again: overloaded or closing. Nobody knows whether it was, read again: commit_unknown.",
			Content:     problems, Headers: later,
		},
	}
	for i := range routes {
		r := &routes[i]
		op := r.operation()
		op.RequestBody = r.takes(registry)
		status := r.status
		if status == 0 {
			status = http.StatusOK
		}
		ok := &huma.Response{Description: http.StatusText(status)}
		switch {
		case r.file:
			ok.Content = map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
		case r.answer != nil:
			ok.Content = map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(reflect.TypeOf(r.answer), true, r.id)}}
		default:
			status = http.StatusNoContent
			ok.Description = "Done"
		}
		op.Responses = map[string]*huma.Response{
			strconv.Itoa(status): ok,
			"429":                {Ref: "#/components/responses/TooMany"},
			"503":                {Ref: "#/components/responses/NotNow"},
			"default":            {Ref: "#/components/responses/Problem"},
		}
		doc.AddOperation(op)
	}
	for _, s := range registry.Map() {
		for _, p := range s.Properties {
			// A list is never null in an answer, and null is the same as absent in a request.
			p.Nullable = p.Nullable && p.Type != huma.TypeArray
		}
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return documents{}, fmt.Errorf("describing the API: %w", err)
	}
	asYAML, err := doc.YAML()
	if err != nil {
		return documents{}, fmt.Errorf("describing the API: %w", err)
	}
	return documents{json: asJSON, yaml: asYAML}, nil
}

// PostBody names a post as it is asked for, in the document.
type PostBody compose.Request

// takes describes the body.
func (r *route) takes(registry huma.Registry) *huma.RequestBody {
	if r.body == nil {
		return nil
	}
	body := &huma.RequestBody{Content: map[string]*huma.MediaType{
		"application/json": {Schema: registry.Schema(reflect.TypeOf(r.body), true, r.id)},
	}}
	if r.multipart {
		body.Content["multipart/form-data"] = &huma.MediaType{Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"file"},
			Properties: map[string]*huma.Schema{
				"file": {Type: huma.TypeString, Format: "binary"},
				"alt":  {Type: huma.TypeString},
			},
		}}
	}
	return body
}

// The forms of what may be written as one text or as an object, for the document alone.
type (
	targetForm struct{}
	mediaForm  struct{}
	replyForm  struct{}
	anyForm    struct{}
)

// targetObject and its like are described apart from the types that they copy, whose aliases lead to the forms.
type (
	targetObject compose.Target
	mediaObject  compose.MediaRef
	replyObject  compose.Reply
)

// Schema implements huma.SchemaProvider.
func (targetForm) Schema(r huma.Registry) *huma.Schema {
	return either[targetObject](r, "The handle of an account, or an object with what it overrides.")
}

// Schema implements huma.SchemaProvider.
func (mediaForm) Schema(r huma.Registry) *huma.Schema {
	return either[mediaObject](r, "The id of a stored file, or an object.")
}

// Schema implements huma.SchemaProvider.
func (replyForm) Schema(r huma.Registry) *huma.Schema {
	return either[replyObject](r, "A text, or an object.")
}

// Schema implements huma.SchemaProvider.
func (anyForm) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "Any JSON value."}
}

func either[T any](r huma.Registry, doc string) *huma.Schema {
	return &huma.Schema{
		Description: doc,
		OneOf:       []*huma.Schema{{Type: huma.TypeString}, r.Schema(reflect.TypeFor[T](), true, "")},
	}
}
