package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultKind is one way in which a platform misbehaves.
type FaultKind string

// The ways to misbehave. "Cut" means that the connection is closed without a (whole) answer.
const (
	Refuse             FaultKind = "refuse"                // nothing happens; Status and Body are the answer
	PublishThenStatus  FaultKind = "publish_then_status"   // the act happens; Status and Body are the answer
	PublishThenCut     FaultKind = "publish_then_cut"      // the act happens; cut
	PublishThenHalf    FaultKind = "publish_then_half"     // the act happens; half of the true answer, then cut
	PublishThenEmpty   FaultKind = "publish_then_empty"    // the act happens; 200 without a body
	PublishThenHang    FaultKind = "publish_then_hang"     // the act happens; silence for Delay (0: until the client goes), then cut
	PublishThenHTML502 FaultKind = "publish_then_html_502" // the act happens; 502 with a gateway's page
	HTML502            FaultKind = "html_502"              // nothing happens; 502 with a gateway's page
	CutBefore          FaultKind = "cut_before"            // nothing happens; cut once the request was read
	HangBefore         FaultKind = "hang_before"           // nothing happens; silence for Delay (0: until the client goes), then cut
	RateLimit          FaultKind = "rate_limit"            // nothing happens; the platform's own refusal, free again after Delay (0: 15 minutes)
	Redirect           FaultKind = "redirect"              // nothing happens; Status (0: 302) with the Location of Header
	LatePublish        FaultKind = "late_publish"          // answered at once with Status (0: cut); the act happens Delay later
	RateHeadersZero    FaultKind = "rate_headers_zero"     // all as usual, but the rate headers say that nothing is left
	LateListing        FaultKind = "late_listing"          // all as usual, but the act shows in listings Delay later
	Slow               FaultKind = "slow"                  // all as usual, but Delay later; a client that leaves meanwhile is acted for
	ResetBefore        FaultKind = "reset_before"          // nothing happens; the connection is reset rather than closed
	PublishThenReset   FaultKind = "publish_then_reset"    // the act happens; reset
	PublishThenStall   FaultKind = "publish_then_stall"    // the act happens; half of the true answer, then silence as with PublishThenHang
	HalfArrives        FaultKind = "half_arrives"          // the first half of the body is all that arrives; the answer is that to it
	HalfArrivesCut     FaultKind = "half_arrives_cut"      // the first half of the body is all that arrives; cut
)

// Fault is one misbehaviour and when it strikes.
type Fault struct {
	// Platform limits the fault to one platform: twitter, facebook, reddit, youtube. Empty: any.
	Platform string `json:"platform,omitempty"`
	// Match is a part of "METHOD /path", the path as the client sent it, such as "POST /x/2/tweets". Empty: only
	// the calls that publish.
	Match string `json:"match,omitempty"`
	// Identity limits the fault to requests with the credentials of this identity's ID. Empty: any.
	Identity string    `json:"identity,omitempty"`
	Kind     FaultKind `json:"kind"`
	// After lets so many matching requests through first.
	After int `json:"after,omitempty"`
	// Times is how often the fault strikes; 0 means for ever.
	Times int `json:"times,omitempty"`
	// Status is the answer's status; 0 means 500 unless the kind says otherwise.
	Status int           `json:"status,omitempty"`
	Body   string        `json:"body,omitempty"`
	Header http.Header   `json:"header,omitempty"`
	Delay  time.Duration `json:"delay,omitempty"` // in JSON nanoseconds
}

// modifies reports whether the fault leaves the answer to others: such faults add up, of all the rest the oldest
// that matches strikes alone.
func (k FaultKind) modifies() bool { return k == RateHeadersZero || k == LateListing || k == Slow }

func (k FaultKind) valid() bool {
	return slices.Contains([]FaultKind{
		Refuse, PublishThenStatus, PublishThenCut, PublishThenHalf, PublishThenEmpty, PublishThenHang, PublishThenHTML502,
		HTML502, CutBefore, HangBefore, RateLimit, Redirect, LatePublish, RateHeadersZero, LateListing, Slow,
		ResetBefore, PublishThenReset, PublishThenStall, HalfArrives, HalfArrivesCut,
	}, k)
}

// armed is a fault with its counts, guarded by Sandbox.mu.
type armed struct {
	Fault

	skip, left int // left < 0: for ever
}

// Misbehave arms a fault and returns how to disarm it. An unknown kind never strikes.
func (s *Sandbox) Misbehave(f Fault) (remove func()) {
	a := &armed{Fault: f, skip: f.After, left: f.Times}
	a.Header = f.Header.Clone()
	if f.Times <= 0 {
		a.left = -1
	}
	s.mu.Lock()
	s.faults = append(s.faults, a)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(b *armed) bool { return a == b })
	}
}

// Behave disarms every fault.
func (s *Sandbox) Behave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// struck is what hits one request: at most one fault that decides the answer, and those that modify.
type struck struct {
	decide  *Fault
	late    time.Duration
	slow    time.Duration
	zero    bool
	zeroFor time.Duration
}

func (s *Sandbox) match(platform, line, identity string, commit bool) struck {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out struck
	for _, a := range s.faults {
		switch {
		case a.Platform != "" && a.Platform != platform,
			a.Identity != "" && a.Identity != identity,
			a.Match == "" && !commit,
			!strings.Contains(line, a.Match),
			a.left == 0,
			!a.Kind.valid(),
			!a.Kind.modifies() && out.decide != nil:
			continue
		case a.skip > 0:
			a.skip--
			continue
		case a.left > 0:
			a.left--
		}
		switch {
		case a.Kind == LateListing:
			out.late = max(out.late, a.Delay)
		case a.Kind == Slow:
			out.slow = max(out.slow, a.Delay)
		case a.Kind == RateHeadersZero:
			out.zero, out.zeroFor = true, a.Delay
		default:
			f := a.Fault
			out.decide = &f
		}
	}
	s.faults = slices.DeleteFunc(s.faults, func(a *armed) bool { return a.left == 0 })
	return out
}

// lateKey carries the delay of a LateListing fault to Sandbox.publish.
type lateKey struct{}

func listingDelay(ctx context.Context) time.Duration {
	d, _ := ctx.Value(lateKey{}).(time.Duration)
	return d
}

const gatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

// answer lets the platform act as far as the fault allows, and puts on the wire what the fault leaves of its answer.
// It returns the status that was sent, 0 when none was.
func (s *Sandbox) answer(w http.ResponseWriter, r *http.Request, p platform, hit struck) int {
	if hit.late > 0 {
		r = r.WithContext(context.WithValue(r.Context(), lateKey{}, hit.late))
	}
	if hit.slow > 0 {
		hang(r, hit.slow)
	}
	f := hit.decide
	if f == nil {
		res := run(p, r)
		if hit.zero {
			p.exhausted(res.header, s.now().Add(orQuarter(hit.zeroFor)))
		}
		return send(w, res)
	}
	status := f.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	switch f.Kind {
	case Refuse:
		return send(w, f.response(status))
	case PublishThenStatus:
		run(p, r)
		return send(w, f.response(status))
	case PublishThenCut:
		run(p, r)
		return cut(w, nil)
	case PublishThenHalf:
		res := run(p, r)
		return cut(w, res.half())
	case PublishThenEmpty:
		run(p, r)
		return send(w, &response{status: http.StatusOK, header: http.Header{}})
	case PublishThenHang:
		run(p, r)
		hang(r, f.Delay)
		return cut(w, nil)
	case PublishThenHTML502:
		run(p, r)
		return send(w, gateway())
	case HTML502:
		return send(w, gateway())
	case CutBefore:
		return cut(w, nil)
	case HangBefore:
		hang(r, f.Delay)
		return cut(w, nil)
	case RateLimit:
		res := &response{header: f.Header.Clone()}
		if res.header == nil {
			res.header = http.Header{}
		}
		p.throttled(res, s.now().Add(orQuarter(f.Delay)))
		return send(w, res)
	case Redirect:
		if f.Status == 0 {
			status = http.StatusFound
		}
		return send(w, f.response(status))
	case LatePublish:
		s.later(f.Delay, p, r)
		if f.Status == 0 {
			return cut(w, nil)
		}
		return send(w, f.response(status))
	case ResetBefore:
		return reset(w)
	case PublishThenReset:
		run(p, r)
		return reset(w)
	case PublishThenStall:
		res := run(p, r)
		return stall(w, r, res.half(), f.Delay)
	case HalfArrives:
		return send(w, run(p, halved(r)))
	case HalfArrivesCut:
		run(p, halved(r))
		return cut(w, nil)
	case RateHeadersZero, LateListing, Slow:
	}
	return send(w, run(p, r))
}

// halved is the request of which half a body has arrived when its connection broke.
func halved(r *http.Request) *http.Request {
	raw, err := bodyOf(r)
	if err != nil {
		return r
	}
	r = r.Clone(r.Context())
	body := &bufferedBody{raw: raw[:len(raw)/2], cut: io.ErrUnexpectedEOF}
	body.rewind()
	r.Body = body
	return r
}

func orQuarter(d time.Duration) time.Duration {
	if d <= 0 {
		return 15 * time.Minute
	}
	return d
}

// response is the answer that a fault spells out. A body that looks like JSON is called JSON unless Header says
// otherwise.
func (f *Fault) response(status int) *response {
	res := &response{status: status, header: f.Header.Clone()}
	if res.header == nil {
		res.header = http.Header{}
	}
	if res.header.Get("Content-Type") == "" && strings.HasPrefix(f.Body, "{") {
		res.header.Set("Content-Type", "application/json; charset=utf-8")
	}
	res.body.WriteString(f.Body)
	return res
}

func gateway() *response {
	res := &response{status: http.StatusBadGateway, header: http.Header{"Content-Type": {"text/html"}}}
	res.body.WriteString(gatewayPage)
	return res
}

// later makes the request happen after d, unless the sandbox is closed or reset before.
func (s *Sandbox) later(d time.Duration, p platform, r *http.Request) {
	in := r.Clone(context.WithoutCancel(r.Context()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.late.Add(1)
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		defer s.late.Done()
		s.mu.Lock() // also waits until t is in the set
		_, due := s.timers[t]
		delete(s.timers, t)
		s.mu.Unlock()
		if due {
			run(p, in)
		}
	})
	s.timers[t] = struct{}{}
}

// hang waits until the client is gone, at most d when d is positive.
func hang(r *http.Request, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-r.Context().Done():
	case <-after:
	}
}

func send(w http.ResponseWriter, res *response) int {
	h := w.Header()
	maps.Copy(h, res.header)
	if bodyAllowed(res.status) {
		h.Set("Content-Length", strconv.Itoa(res.body.Len()))
	}
	w.WriteHeader(res.status)
	if bodyAllowed(res.status) {
		// A client that is gone is no concern of ours.
		_, _ = w.Write(res.body.Bytes())
	}
	return res.status
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// half is the answer as HTTP/1.1 bytes up to the middle of its body, the length stated in full.
func (r *response) half() []byte {
	h := r.header.Clone()
	h.Set("Content-Length", strconv.Itoa(max(r.body.Len(), 2)))
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	if err := h.Write(&b); err != nil {
		return nil
	}
	b.WriteString("\r\n")
	b.Write(r.body.Bytes()[:r.body.Len()/2])
	return []byte(b.String())
}

// cut closes the connection after the given bytes. It returns the status that the client could read: 0.
func cut(w http.ResponseWriter, last []byte) int {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// Not HTTP/1.1, or a recorder in a test: net/http then aborts the response by itself.
		panic(http.ErrAbortHandler)
	}
	closeAfter(conn, buf.Writer, last)
	return 0
}

// reset ends the connection as a machine does that has forgotten it. It returns the status that the client could read: 0.
func reset(w http.ResponseWriter) int {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // as in cut
	}
	switch c := conn.(type) {
	case interface{ Reset() }: // of a pipe
		c.Reset()
	case *net.TCPConn:
		_ = c.SetLinger(0) // without it the client reads an orderly end
	}
	_ = conn.Close()
	return 0
}

// stall writes a part of an answer and says no more. It returns the status that the client could read: 0.
func stall(w http.ResponseWriter, r *http.Request, part []byte, d time.Duration) int {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // as in cut
	}
	// Errors say that the client was faster in leaving.
	_, _ = buf.Write(part)
	_ = buf.Flush()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn) // ends when the client closes
	}()
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-gone:
	case <-after:
	case <-r.Context().Done():
	}
	_ = conn.Close()
	<-gone
	return 0
}

func closeAfter(conn net.Conn, w *bufio.Writer, last []byte) {
	if len(last) > 0 {
		// Errors say that the client was faster in leaving.
		_, _ = w.Write(last)
		_ = w.Flush()
	}
	_ = conn.Close()
}
