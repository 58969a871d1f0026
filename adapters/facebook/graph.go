package facebook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	fb "github.com/huandu/facebook/v2"

	"crier/adapters"
	"crier/internal/secret"
)

// graph makes calls with the Page's token of this moment. It serves one act and then is thrown away.
type graph struct {
	a     *adapter
	token secret.Text
	// hidden is what no message may repeat: secrets, and the words of the post.
	hidden []string
}

// graph loads the token.
func (a *adapter) graph(ctx context.Context) (*graph, error) {
	tokens, err := a.credentials.Load(ctx)
	if err != nil {
		// Our own failure, or a context that is over: the token may be as good as ever.
		return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "the page token could not be loaded", Err: err}
	}
	token := tokens["page_token"]
	if token.IsZero() {
		return nil, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Auth, Message: "page_token is missing: connect the Page"}
	}
	return &graph{a: a, token: token, hidden: []string{token.Reveal(), a.appSecret.Reveal()}}, nil
}

// answer is what Graph said to one call: the record of the wire and what its body holds.
type answer struct {
	adapters.Call

	object object
	said   fault
}

// succeeded reports whether the answer is one of success. An id in it is then proof.
func (a answer) succeeded() bool {
	return a.Status >= 200 && a.Status < 300 && !a.said.present
}

// call makes one request. Its error is an *adapters.Error and says that no answer came; what an answer means is for
// the caller to ask. The library's own results are not looked at: it takes failed calls for successful ones.
//
// A session, and its parameters, serve one call: the library writes into both.
func (g *graph) call(ctx context.Context, method fb.Method, path string, params fb.Params) (answer, error) {
	s := fb.New(g.a.settings.AppID, g.a.appSecret.Reveal()).Session(g.token.Reveal())
	s.UseAuthorizationHeader()
	s.HttpClient, s.Version, s.BaseURL = g.a.client, g.a.settings.Version, g.a.settings.APIURL+"/"
	if !g.a.appSecret.IsZero() {
		if err := s.EnableAppsecretProof(true); err != nil {
			return answer{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the proof of the app secret cannot be made", Err: err}
		}
		g.hidden = append(g.hidden, s.AppsecretProof())
	}
	ctx, flight := adapters.FlightFrom(ctx)
	before := len(flight.Calls())
	_, err := s.WithContext(ctx).Api(path, method, params)
	err = withoutURL(err)
	calls := flight.Calls()[before:]
	if len(calls) == 0 {
		return answer{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Network, Message: "no request was made", Err: err}
	}
	if e := flight.NotSent(err, adapters.IsCommit(ctx)); e != nil {
		return answer{}, e
	}
	last := calls[len(calls)-1]
	o := decodeObject(last.Body)
	return answer{Call: last, object: o, said: readFault(o)}, nil
}

// withoutURL drops the address from a transport's error: the query of a read carries the proof of the app secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// object is a JSON object from outside. Asking it for what it does not hold, or holds in another type, gives nothing.
type object map[string]any

// decodeObject reads the first JSON value of a body; what is no object gives nil. Graph now and then appends markup.
func decodeObject(body []byte) object {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		return nil
	}
	return o
}

// text gives a string, or a number as it was written.
func (o object) text(name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// int gives a whole number, also one that was written as a string.
func (o object) int(name string) int {
	n, err := json.Number(o.text(name)).Int64()
	if err != nil {
		return 0
	}
	return int(n)
}

// float gives a number, also one that was written as a string.
func (o object) float(name string) float64 {
	if f, ok := o[name].(float64); ok {
		return f
	}
	f, err := json.Number(o.text(name)).Float64()
	if err != nil {
		return 0
	}
	return f
}

// truth gives a boolean in any of the ways in which Graph has written one.
func (o object) truth(name string) bool {
	b, ok := o[name].(bool)
	return b || !ok && (o.text(name) == "true" || o.text(name) == "1")
}

func (o object) object(name string) object {
	m, _ := o[name].(map[string]any)
	return m
}

// list gives the objects of an array.
func (o object) list(name string) []object { return objects(o[name]) }

func objects(v any) []object {
	items, _ := v.([]any)
	var out []object
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// graphID reports whether s may name an object of Graph: digits, with underscores between the parts.
func graphID(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "0123456789_") == ""
}

// graphTime reads an instant such as 2026-11-22T12:00:00+0000.
func graphTime(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}
