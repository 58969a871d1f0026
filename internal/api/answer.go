package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"crier/internal/post"
	"crier/store"
)

// answer is what a client is told.
type answer struct {
	status   int    // 0 is 200
	body     any    // nil with 204
	text     []byte // body as it is sent: see encode
	etag     string
	location string
	next     string // cursor of the next page
	replayed bool
	applied  string // Preference-Applied
}

// stored is an answer as it lies in the store for an idempotency key.
type stored struct {
	Status   int             `json:"status"`
	Body     json.RawMessage `json:"body,omitempty"`
	ETag     string          `json:"etag,omitempty"`
	Location string          `json:"location,omitempty"`
	// Sealed holds the whole answer in place of all others, if it has a secret.
	Sealed []byte `json:"sealed,omitempty"`
}

// encode makes the answer's text.
func (out *answer) encode() (err error) {
	if out.body == nil {
		return nil
	}
	if out.text, err = json.Marshal(out.body); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// send writes an answer that has been encoded.
func (c *call) send(out *answer) error {
	if out == nil {
		return nil // the handler has written it
	}
	body := out.text
	reading := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	if reading && out.etag != "" {
		if err := c.precondition(out.etag, false); err != nil {
			return err
		}
	}
	h := c.w.Header()
	h.Set("Cache-Control", "no-store")
	if out.etag != "" {
		tag := tagOf(out.etag, body)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, no-cache")
		if reading && matches(c.r.Header.Get("If-None-Match"), tag) {
			c.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	if out.location != "" {
		h.Set("Location", out.location)
	}
	if out.replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	if out.applied != "" {
		h.Set("Preference-Applied", out.applied)
	}
	if out.next != "" {
		q := c.r.URL.Query()
		q.Set("cursor", out.next)
		h.Set("Link", "<"+c.r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	status := out.status
	if status == 0 {
		status = http.StatusOK
	}
	if body == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	h.Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append(body, '\n')) // a client that left is nobody's trouble
	return nil
}

// tagOf is the entity tag of an answer: the version, which If-Match compares, and a digest of what else is told, such
// as holds of the lane, which If-None-Match needs.
func tagOf(version string, body []byte) string { return `"` + version + "." + short(body) + `"` }

// matches reports whether a list of entity tags, as in If-None-Match, holds the tag.
func matches(list, tag string) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
		if item == tag || item == "*" {
			return true
		}
	}
	return false
}

// precondition compares If-Match with a version. Without the header, needed makes it a 428.
func (c *call) precondition(version string, needed bool) error {
	list := strings.Join(c.r.Header.Values("If-Match"), ",")
	if list == "" {
		if needed {
			p := problem(http.StatusPreconditionRequired, "precondition_required", "this change needs the entity tag of what it changes")
			p.Hint = "read it first and send its ETag as If-Match"
			return p
		}
		return nil
	}
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "*" {
			return nil
		}
		if inner, ok := strings.CutPrefix(item, `"`); ok {
			inner = strings.TrimSuffix(inner, `"`)
			if v, _, _ := strings.Cut(inner, "."); v == version {
				return nil
			}
		}
	}
	return store.ErrStale
}

// write is who changes what, with the answer that the store keeps for the client's idempotency key.
func (c *call) write(render func(result any) *answer) store.Write {
	w := store.Write{Now: c.at, Actor: c.who.Person}
	if c.once != nil {
		once := *c.once
		once.Answer = func(result any) []byte {
			c.rendered = render(result)
			return c.keep(c.rendered)
		}
		w.Once = &once
	}
	return w
}

// told gives what the store was given as the answer, so that a repeated request is told the same, and without an
// idempotency key what read finds now.
func (c *call) told(read func() (*answer, error)) (*answer, error) {
	if c.rendered != nil {
		return c.rendered, nil
	}
	return read()
}

// effect is a write without an idempotency key, or one whose answer runOnce stores afterwards.
func (c *call) effect() store.Write { return store.Write{Now: c.at, Actor: c.who.Person} }

// keep is an answer as it is stored.
func (c *call) keep(out *answer) []byte {
	s := stored{Status: out.status, ETag: out.etag, Location: out.location}
	var err error
	if out.body != nil {
		if s.Body, err = json.Marshal(out.body); err != nil {
			return nil
		}
	}
	b, err := json.Marshal(&s)
	if err != nil || !c.secret {
		return b
	}
	sealed, err := c.Sealer.Seal(b, c.sealedFor())
	if err != nil {
		return nil
	}
	if b, err = json.Marshal(&stored{Sealed: sealed}); err != nil {
		return nil
	}
	return b
}

func (c *call) sealedFor() string { return "answer|" + c.once.Client + "|" + c.once.Key }

// replay is a stored answer given again.
func (c *call) replay(b []byte) (*answer, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("reading a stored answer: %w", err)
	}
	if s.Sealed != nil {
		plain, err := c.Sealer.Open(s.Sealed, c.sealedFor())
		if err != nil {
			return nil, fmt.Errorf("opening a stored answer: %w", err)
		}
		if err := json.Unmarshal(plain, &s); err != nil {
			return nil, fmt.Errorf("reading a stored answer: %w", err)
		}
	}
	out := &answer{status: s.Status, etag: s.ETag, location: s.Location, replayed: true}
	if s.Body != nil {
		out.body = s.Body
	}
	return out, nil
}

// runOnce runs a route at most once for the client's idempotency key.
func (c *call) runOnce(ctx context.Context, rt *route) (*answer, error) {
	key := c.r.Header.Get("Idempotency-Key")
	if key == "" || len(key) > 255 || strings.TrimFunc(key, func(r rune) bool { return r >= ' ' && r < 0x7f }) != "" {
		p := problem(http.StatusBadRequest, "idempotency_key_invalid", "wanted: 1 to 255 printable ASCII characters")
		p.Errors = []Issue{{Location: "header.Idempotency-Key", Code: p.Code, Severity: string(post.SeverityError), Message: p.Detail}}
		return nil, p
	}
	c.once = &store.Once{
		Client: c.who.Key, Key: key,
		Digest: digestOf([]byte(c.r.Method), []byte(c.r.URL.Path), []byte(c.r.URL.RawQuery), c.raw),
	}
	running := c.who.Key + "\x00" + key
	if !c.begin(running) {
		return nil, problem(http.StatusConflict, "idempotency_running", "the first request with this idempotency key has not ended")
	}
	defer c.end(running)
	if !rt.multipart || !c.streamed() {
		b, err := c.Store.Replay(ctx, c.at, *c.once)
		if err == nil {
			return c.replay(b)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("looking for an earlier answer: %w", err)
		}
	}
	out, err := rt.handle(ctx, c)
	if replayed, ok := errors.AsType[*store.ReplayedError](err); ok {
		return c.replay(replayed.Answer)
	}
	if err != nil || c.rendered != nil {
		return out, err
	}
	// The effect went without a transaction that keeps answers: it may be repeated without harm, so that storing the
	// answer after it is enough.
	err = c.Store.Record(ctx, c.write(func(any) *answer { return out }), nil)
	if replayed, ok := errors.AsType[*store.ReplayedError](err); ok {
		return c.replay(replayed.Answer)
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the answer: %w", err)
	}
	return out, nil
}

// streamed reports whether the body is a form with a file, which is known by its content only once it has been read.
func (c *call) streamed() bool {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	return err == nil && kind == "multipart/form-data"
}

func (a *api) begin(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running[key] {
		return false
	}
	a.running[key] = true
	return true
}

func (a *api) end(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, key)
}

// The version part of the entity tags. The letter keeps the tag of one kind of thing from passing for another's.
func tagOfPost(version uint64) string     { return "p" + strconv.FormatUint(version, 10) }
func tagOfDelivery(version uint64) string { return "d" + strconv.FormatUint(version, 10) }
func tagOfAccount(version uint64) string  { return "a" + strconv.FormatUint(version, 10) }
func tagOfSeries(version uint64) string   { return "s" + strconv.FormatUint(version, 10) }
