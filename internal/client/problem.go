package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Problem is a refusal by the daemon, as in RFC 9457.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Code      string  `json:"code"` // stable, snake_case
	Hint      string  `json:"hint"`
	Post      string  `json:"post"` // an earlier post that stands in the way, or empty
	Errors    []Issue `json:"errors"`
	RequestID string  `json:"request_id"`
}

// Issue is one thing that is wrong with a request, or worth knowing. Limit and Used are counted in Unit.
type Issue struct {
	Location string `json:"location"` // such as targets[0].text
	Code     string `json:"code"`
	Severity string `json:"severity"` // error or warning
	Message  string `json:"message"`
	Limit    int64  `json:"limit"`
	Used     int64  `json:"used"`
	Unit     string `json:"unit"`
}

// problem reads a refusal. Whatever answered need not be Crier: a proxy's page gives no more than its status.
func problem(resp *http.Response, body []byte) *Problem {
	p := &Problem{}
	if !strings.Contains(resp.Header.Get("Content-Type"), "json") || json.Unmarshal(body, p) != nil {
		p = &Problem{}
	}
	p.Status = resp.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	if p.Detail == "" && resp.StatusCode/100 == 3 {
		p.Detail = "the address answers with a redirect, which is not followed: give the address that it leads to"
	}
	return p
}

// Error says in one line what was refused.
func (p *Problem) Error() string {
	what := p.Detail
	if what == "" {
		what = p.Title
	}
	if p.Code != "" {
		return fmt.Sprintf("%s (%d %s)", what, p.Status, p.Code)
	}
	return fmt.Sprintf("%s (%d)", what, p.Status)
}

// String says the issue in one line: its place, what is wrong, and by how much.
func (i Issue) String() string {
	var b strings.Builder
	if i.Location != "" {
		b.WriteString(i.Location + ": ")
	}
	switch {
	case i.Message != "":
		b.WriteString(i.Message)
	case i.Code != "":
		b.WriteString(i.Code)
	default:
		b.WriteString("refused")
	}
	if i.Limit != 0 || i.Used != 0 {
		fmt.Fprintf(&b, " (%d of %d", i.Used, i.Limit)
		if i.Unit != "" {
			b.WriteString(" " + i.Unit)
		}
		b.WriteString(")")
	}
	if i.Code != "" && i.Message != "" {
		b.WriteString(" [" + i.Code + "]")
	}
	return b.String()
}
