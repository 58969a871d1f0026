package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxRedirects = 3

// FetchConfig says where a Fetcher may go and how much it takes.
type FetchConfig struct {
	// Allow lists "host:port" that may be fetched although private: see NewGuard.
	Allow []string
	// Limits bounds the size of what is fetched: the larger of its two sizes, since the type is not known before.
	Limits Limits
	// Timeout bounds a whole fetch; default 10 minutes.
	Timeout time.Duration
	// Idle bounds the time in which not one byte comes; default 30 seconds.
	Idle time.Duration
	// UserAgent is sent with each request; default "Crier".
	UserAgent string
	// Resolver answers for names; nil is the system's.
	Resolver *net.Resolver
}

// Fetcher gets files from addresses that people give, through a Guard. It sends no credentials, keeps no cookies and
// never tries twice. It is safe for concurrent use.
type Fetcher struct {
	guard  *Guard
	client *http.Client
	config FetchConfig
	bytes  int64
}

// NewFetcher returns a Fetcher; it fails when an entry of Allow is no "host:port".
func NewFetcher(c FetchConfig) (*Fetcher, error) {
	guard, err := NewGuard(c.Allow, c.Resolver)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.Idle <= 0 {
		c.Idle = 30 * time.Second
	}
	if c.UserAgent == "" {
		c.UserAgent = "Crier"
	}
	l := c.Limits.withDefaults()
	f := &Fetcher{guard: guard, config: c, bytes: max(l.ImageBytes, l.VideoBytes)}
	f.client = &http.Client{Transport: guard.Transport(), CheckRedirect: f.redirect}
	return f, nil
}

func (f *Fetcher) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &Error{Code: CodeFetchFailed, Message: "the address redirects too often"}
	}
	// The address before may hold a signature, which is nobody else's business.
	req.Header.Del("Referer")
	if req.URL.Scheme == "http" && via[len(via)-1].URL.Scheme == "https" {
		return &Error{Code: CodeFetchFailed, Message: "the address redirects from https to http"}
	}
	return f.guard.CheckURL(req.URL)
}

// Fetch gets address and hands the body to sink, once, while it comes. An address that may not be fetched is an *Error
// with CodeFetchRefused, one that does not deliver has CodeFetchFailed, and more bytes than allowed have CodeSize. An
// error of sink is returned as it is, unless the body failed first; that of a context that ended is wrapped.
func (f *Fetcher) Fetch(ctx context.Context, address string, sink func(io.Reader) error) error {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL {
		return refused(err)
	}
	if err := f.guard.CheckURL(u); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(call, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return refused(err)
	}
	req.Header.Set("User-Agent", f.config.UserAgent)
	req.Header.Set("Accept", strings.Join([]string{TypeJPEG, TypePNG, TypeGIF, TypeWebP, TypeMP4, TypeMOV}, ", "))
	res, err := f.client.Do(req)
	if err != nil {
		return failed(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode != http.StatusOK {
		return &Error{Code: CodeFetchFailed, Message: fmt.Sprintf("the address answered with status %d", res.StatusCode)}
	}

	idle := time.AfterFunc(f.config.Idle, cancel)
	defer idle.Stop()
	body := &source{r: &patience{r: res.Body, timer: idle, limit: f.config.Idle}, max: f.bytes, stop: call.Err}
	if res.ContentLength > f.bytes {
		return over(CodeSize, "the file is too large", f.bytes, res.ContentLength, "bytes")
	}
	err = sink(body)
	if body.err != nil {
		return failed(ctx, body.err)
	}
	return err
}

// patience ends a call in which one read takes too long. Time that the reader of the body takes does not count.
type patience struct {
	r     io.Reader
	timer *time.Timer
	limit time.Duration
}

func (p *patience) Read(b []byte) (int, error) {
	p.timer.Reset(p.limit)
	defer p.timer.Stop()
	return p.r.Read(b)
}

// failed is what the person who gave the address may know of an error.
func failed(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if ctx.Err() != nil {
		return fmt.Errorf("fetch media: %w", context.Cause(ctx))
	}
	return &Error{Code: CodeFetchFailed, Message: "the address did not deliver a file", cause: err}
}
