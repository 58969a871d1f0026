package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"crier/internal/compose"
	"crier/internal/media"
	"crier/internal/post"
	"crier/store"
)

// codeInterrupted is that of a request that did not end in time, or whose client did not wait for its end.
const codeInterrupted = "interrupted"

// Problem is what every refusal looks like (RFC 9457).
type Problem struct {
	Type   string `json:"type" doc:"A name of the kind of problem that does not change."`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code" doc:"Stable, snake_case."`
	Hint   string `json:"hint,omitempty" doc:"What to do about it."`
	// Post names an earlier post that stands in the way.
	Post      string  `json:"post,omitempty"`
	Errors    []Issue `json:"errors" doc:"What is wrong where; empty when it is the request as a whole."`
	RequestID string  `json:"request_id,omitempty"`

	retryAfter time.Duration
	cause      error
}

// Error gives status and code.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Code) }

// Unwrap gives what was underneath, for the log.
func (p *Problem) Unwrap() error { return p.cause }

// Issue is one thing that is wrong, and where.
type Issue struct {
	Location string `json:"location" doc:"Such as targets[0].text."`
	Code     string `json:"code"`
	Severity string `json:"severity" enum:"error,warning"`
	Message  string `json:"message"`
	Limit    int64  `json:"limit,omitempty"`
	Used     int64  `json:"used,omitempty"`
	Unit     string `json:"unit,omitempty"`
}

func issues(all []post.Problem) []Issue {
	out := make([]Issue, 0, len(all))
	for _, p := range all {
		out = append(out, Issue{
			Location: p.Location, Code: p.Code, Severity: string(p.Severity), Message: p.Message,
			Limit: p.Limit, Used: p.Used, Unit: p.Unit,
		})
	}
	return out
}

func problem(status int, code, detail string) *Problem {
	return &Problem{Type: "urn:crier:problem:" + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// refused is a 422 with everything that is wrong.
func refused(all []post.Problem) *Problem {
	code, detail := "validation_failed", "the request has problems"
	same := len(all) > 0
	first := ""
	for _, p := range all {
		if p.Severity != post.SeverityError {
			continue
		}
		if first == "" {
			first = p.Code
		}
		same = same && p.Code == first
	}
	if same && first != "" {
		code = first
	}
	if len(all) == 1 {
		detail = (&compose.BodyError{Problems: all}).Error()
	}
	p := problem(http.StatusUnprocessableEntity, code, detail)
	p.Errors = issues(all)
	return p
}

// invalid is a 422 for one field.
func invalid(location, code, message string) *Problem {
	return refused([]post.Problem{{Location: location, Code: code, Severity: post.SeverityError, Message: message}})
}

// fileAt names the place of a file in a refusal that knows only that there is one.
func fileAt(location string, err error) error {
	if _, ok := errors.AsType[*media.Error](err); !ok {
		return err
	}
	p := problemOf(err)
	for i := range p.Errors {
		p.Errors[i].Location = location
		p.Detail = location + ": " + p.Errors[i].Message
	}
	return p
}

func notFound(what string) *Problem {
	return problem(http.StatusNotFound, "not_found", "there is no such "+what)
}

func forbidden(why string) *Problem { return problem(http.StatusForbidden, "forbidden", why) }

// problemOf gives the problem that an error is to a client. What it does not know is a 500 without a word of it.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*compose.BodyError](err); ok {
		return refused(e.Problems)
	}
	if e, ok := errors.AsType[*store.ExternalIDError](err); ok {
		p := problem(http.StatusConflict, "external_id_exists", "the external id belongs to post "+e.Post.String())
		p.Post = e.Post.String()
		return p
	}
	if e, ok := errors.AsType[*store.DuplicateError](err); ok {
		p := invalid(fmt.Sprintf("targets[%d]", e.Target), compose.CodeDuplicateContent,
			"the same was written for the same place within 24 hours, by post "+e.Earlier.String())
		p.Post, p.Hint = e.Earlier.String(), `"allow_duplicate": true sends it all the same`
		return p
	}
	if e, ok := errors.AsType[*media.Error](err); ok {
		return refused([]post.Problem{{
			Location: "file", Code: e.Code, Severity: post.SeverityError, Message: e.Message, Limit: e.Limit, Used: e.Used, Unit: e.Unit,
		}})
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "too_large", "the body is larger than Crier takes here")
	}
	return sentinel(err)
}

func sentinel(err error) *Problem {
	known := []struct {
		err          error
		status       int
		code, detail string
	}{
		{store.ErrNotFound, http.StatusNotFound, "not_found", "there is no such thing"},
		{store.ErrStale, http.StatusPreconditionFailed, "stale", "it has changed since it was read: read it again"},
		{store.ErrUnknownCommit, http.StatusServiceUnavailable, "commit_unknown", "the write may or may not be on disk: read again before deciding"},
		{store.ErrClosed, http.StatusServiceUnavailable, "closing", "Crier is shutting down"},
		{store.ErrIdempotencyMismatch, http.StatusUnprocessableEntity, "idempotency_mismatch", "the idempotency key was used for another request"},
		{store.ErrInUse, http.StatusConflict, "in_use", "something that is still to be sent uses it"},
		{store.ErrReceiptTaken, http.StatusConflict, "receipt_taken", "another delivery holds that address already"},
		{store.ErrIdentityTaken, http.StatusConflict, "identity_taken", "the identity belongs to another account or has changed"},
		{post.ErrResolveFirst, http.StatusConflict, "resolve_first", "it may be out: say first whether it is"},
		{post.ErrTooLate, http.StatusConflict, "too_late", "it is out or on its way"},
		{post.ErrTransition, http.StatusConflict, "wrong_state", "that cannot be done in its state"},
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			p := problem(k.status, k.code, k.detail)
			p.cause = err
			return p
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		p := problem(http.StatusServiceUnavailable, codeInterrupted, "the request did not end in time")
		p.cause = err
		return p
	}
	p := problem(http.StatusInternalServerError, "internal", "something broke here: the log knows more under the request id")
	p.cause = err
	return p
}

// writeProblem answers with a problem.
func writeProblem(w http.ResponseWriter, requestID string, p *Problem) {
	out := *p
	out.RequestID, out.Errors = requestID, listOf(p.Errors)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if out.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int(out.retryAfter.Round(time.Second).Seconds()))))
	}
	if out.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="crier"`)
	}
	body, err := json.Marshal(&out)
	if err != nil { // texts and numbers always have a JSON form
		body = []byte(`{"code":"internal","status":500}`)
	}
	w.WriteHeader(out.Status)
	_, _ = w.Write(append(body, '\n')) // a client that left is nobody's trouble
}
