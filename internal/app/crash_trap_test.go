package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"crier/adapters"
	"crier/internal/app"
	"crier/scheduler"
	"crier/store"
)

// point is a moment in the life of the daemon at which it is killed.
type point string

// The points at which the daemon kills itself: what it did before has happened, and nothing after.
const (
	beforeClaim    point = "right before a claim"
	inClaim        point = "while a claim is committed"
	afterClaim     point = "after a claim, its intent on disk"
	betweenParts   point = "between two parts of a thread"
	halfWritten    point = "a commit's request half written"
	requestWritten point = "a commit's request written"
	answered       point = "a commit's answer received"
	beforeSettle   point = "right before a result is stored"
	inSettle       point = "while a result is committed"
	afterSettle    point = "after a result is stored"
	filmUpload     point = "a film half uploaded"
	pictureUpload  point = "a picture uploaded, its handle not stored"
	refreshAsked   point = "a token refresh asked for"
	refreshGiven   point = "a token refresh answered, nothing stored"
	nightlyBackup  point = "in the nightly backup"
)

// The points at which the test kills from outside.
const (
	randomMoment  point = "at a random moment"
	askedBackup   point = "in a backup that was asked for"
	inMigration   point = "in a migration"
	sandboxKilled point = "the platforms killed, the daemon alive"
	bothKilled    point = "the platforms and the daemon killed"
)

// namedPoints are taken in turn.
func namedPoints() []point {
	return []point{
		afterClaim, requestWritten, beforeSettle, afterSettle, betweenParts, filmUpload, refreshAsked, inMigration,
		beforeClaim, inClaim, halfWritten, answered, sandboxKilled, inSettle, pictureUpload, refreshGiven, nightlyBackup,
		askedBackup, bothKilled,
	}
}

// self reports whether the daemon itself knows the point.
func (p point) self() bool {
	switch p {
	case randomMoment, askedBackup, inMigration, sandboxKilled, bothKilled:
		return false
	}
	return p != ""
}

// sprung begins the line that a daemon prints right before it kills itself.
const sprung = "killed: "

// trap kills the process that it is laid in, once, at its point. It stands in the seams that the daemon has for its
// platforms' connections and for the scheduler's writes: no code of the daemon knows of it.
type trap struct {
	Point point
	// Skip is how often the point is passed first.
	Skip int
	// Wait is, for points within something, how long after its beginning.
	Wait time.Duration
	// File is, for inMigration, the one whose making begins the wait.
	File string
}

// lay puts the trap between the daemon and what it talks to.
func (t trap) lay(ctx context.Context, o *app.Options) {
	set := &armedTrap{trap: t}
	if t.Point == inMigration {
		go func() {
			if whenThere(ctx, t.File, nil, t.Wait) == nil {
				set.reach(inMigration)
			}
		}()
	}
	if !t.Point.self() {
		return
	}
	o.Queue = func(s scheduler.Store) scheduler.Store { return &trappedQueue{Store: s, trap: set} }
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	o.Transport = &trappedTransport{trap: set, next: &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &trappedConn{Conn: c, trap: set}, nil
		},
	}}
}

// spring is for the point that the daemon does not come to by itself.
func (t trap) spring(ctx context.Context, a *app.App, dir string) {
	if t.Point != nightlyBackup {
		return
	}
	set := &armedTrap{trap: trap{Point: t.Point}}
	unfinished := filepath.Join(dir, "backups", "crier-*.db.tmp")
	left, err := filepath.Glob(unfinished) // by an earlier life
	if err == nil {
		go func() {
			if whenThere(ctx, unfinished, left, t.Wait) == nil {
				set.reach(t.Point)
			}
		}()
		err = a.Nightly(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "nightly:", err)
	}
}

// whenThere returns nil once a file of the pattern is there that was not left by others, and the wait after that is over.
func whenThere(ctx context.Context, pattern string, left []string, wait time.Duration) error {
	look := time.NewTicker(100 * time.Microsecond)
	defer look.Stop()
	for {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(found, func(name string) bool { return !slices.Contains(left, name) }) {
			return pause(ctx, wait)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// armedTrap is a trap that counts.
type armedTrap struct {
	trap

	passed atomic.Int64
}

// at reports whether this is the passage of the point that kills.
func (t *armedTrap) at(p point) bool { return p == t.Point && int(t.passed.Add(1)) > t.Skip }

// reach kills the process if the trap is for this point and this passage.
func (t *armedTrap) reach(p point) {
	if t.at(p) {
		t.kill()
	}
}

// kill ends the process as SIGKILL does: nothing is flushed, no deferred call is run.
func (t *armedTrap) kill() {
	_, _ = fmt.Fprintln(os.Stdout, sprung+string(t.Point))
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}

// trappedQueue is the store as the scheduler sees it.
type trappedQueue struct {
	scheduler.Store

	trap *armedTrap
}

// Turn implements the scheduler's store.
func (q *trappedQueue) Turn(ctx context.Context, t store.Turn) (store.Turned, error) {
	if len(t.Results) > 0 {
		q.trap.reach(beforeSettle)
	} else {
		q.trap.reach(beforeClaim)
	}
	during := make(chan struct{})
	if p := q.trap.Point; p == inSettle && len(t.Results) > 0 || p == inClaim && len(t.Results) == 0 {
		// It kills while the turn is under way, and not at all when the turn was over sooner.
		go func() {
			wait := time.NewTimer(q.trap.Wait)
			defer wait.Stop()
			select {
			case <-wait.C:
				q.trap.reach(p)
			case <-during:
			}
		}()
	}
	out, err := q.Store.Turn(ctx, t)
	close(during)
	if err != nil {
		return out, err
	}
	if len(t.Results) > 0 {
		q.trap.reach(afterSettle)
	}
	if len(out.Claims) > 0 {
		q.trap.reach(afterClaim)
	}
	for _, w := range out.Claims {
		if w.Part > 0 {
			q.trap.reach(betweenParts)
		}
	}
	return out, nil
}

// trappedTransport is the pool of connections below all adapters.
type trappedTransport struct {
	trap *armedTrap
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *trappedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var written, given point
	var half bool
	path := r.URL.Path
	switch {
	case adapters.IsCommit(r.Context()):
		written, given = requestWritten, answered
		half = t.trap.Point == halfWritten && t.trap.at(halfWritten)
	case strings.HasSuffix(path, "/access_token"), strings.HasSuffix(path, "/youtube/token"):
		written, given = refreshAsked, refreshGiven
	case strings.HasSuffix(path, "/media/upload"):
		given = pictureUpload
	case strings.Contains(path, "/upload/youtube/") && r.Method == http.MethodPut && r.ContentLength > 1<<16:
		if t.trap.Point == filmUpload && t.trap.at(filmUpload) {
			r = r.Clone(r.Context())
			r.Body = &halfBody{ReadCloser: r.Body, left: r.ContentLength / 2, end: t.trap.kill}
		}
	}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if c, ok := i.Conn.(*trappedConn); ok && half {
				c.half.Store(true)
			}
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil && written != "" {
				t.trap.reach(written)
			}
		},
	}))
	resp, err := t.next.RoundTrip(r)
	if err != nil || given == "" {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	t.trap.reach(given)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// halfBody is a request's body whose reader is killed in the middle of it.
type halfBody struct {
	io.ReadCloser

	left int64
	end  func()
}

// Read implements [io.Reader].
func (h *halfBody) Read(p []byte) (int, error) {
	if h.left <= 0 {
		h.end()
	}
	n, err := h.ReadCloser.Read(p[:min(int64(len(p)), max(h.left, 1))])
	h.left -= int64(n)
	return n, err
}

// trappedConn is one connection to a platform.
type trappedConn struct {
	net.Conn

	trap *armedTrap
	half atomic.Bool
}

// Write implements [net.Conn].
func (c *trappedConn) Write(p []byte) (int, error) {
	if c.half.Load() {
		_, _ = c.Conn.Write(p[:len(p)/2])
		c.trap.kill()
	}
	return c.Conn.Write(p)
}
