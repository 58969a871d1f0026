package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

// seen is one post that is really out, whatever the adapter was told.
type seen struct {
	By, Text, ID string
	At           time.Duration // since the world began
	Upload       string        // the content's digest of the prepared work that went out with it
}

// behaviour is what the platform does with one commit.
type behaviour int

const (
	accept      behaviour = iota
	dialFails             // no connection: nothing is written
	cutAfter              // accepted, and the answer is lost
	cutBefore             // written, not accepted, and no answer
	busy                  // 503 to a commit: written, unknown
	limited               // 429 with Retry-After of ten minutes
	denied                // 401
	forbidden             // 403
	refusal               // 422
	blackHole             // written, accepted, and no answer for ever
	explode               // the adapter panics before it sends
	burst                 // the adapter panics after the platform accepted
	nameless              // 201 without an id
	slow                  // accepted after two seconds
	late                  // cut, and carried out only after the platform's delay
	slowLimited           // 429 after two seconds
	duplicate             // 409: it has the same text already
	expelled              // 410: banned from the place, not from the platform
)

// platform is a network in memory. It is the truth about what is out.
type platform struct {
	mu     sync.Mutex
	began  time.Time
	posts  []seen
	asked  []string // every call that reached it, as "handle what"
	script map[string][]behaviour
	// finds overrides looks by account, one entry a look; the zero entry answers from posts.
	finds map[string][]finding
	owner map[string]string // account handle → identity that its token belongs to
	// verify fails verifications of an account with this error.
	verify map[string]error
	// ponder is how long the answer to a verification, which is that of its beginning, takes to come.
	ponder time.Duration
	// hidden keeps posts out of sight of looks, listing for that long.
	hidden  bool
	listing time.Duration
	// delay is how much later the platform carries out what it was asked late.
	delay   time.Duration
	panics  map[string]bool // verifications that panic
	refresh func(handle string) error
	expiry  time.Duration
	prepare map[string][]error
	// uploads counts the preparations, made says which content each was made from, stuck are accounts whose
	// preparations hang, mute those whose verifications do.
	uploads int
	made    map[string]string
	stuck   map[string]bool
	mute    map[string]bool
}

type finding struct {
	look adapters.Look
	err  error
	set  bool
}

func (p *platform) next(handle string) behaviour {
	all := p.script[handle]
	if len(all) == 0 {
		return accept
	}
	p.script[handle] = all[1:]
	return all[0]
}

func (p *platform) out() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]seen(nil), p.posts...)
}

func (p *platform) texts(by string) []string {
	var all []string
	for _, s := range p.out() {
		if s.By == by {
			all = append(all, s.Text)
		}
	}
	return all
}

func (p *platform) count(call string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.asked {
		if c == call {
			n++
		}
	}
	return n
}

func (p *platform) uploaded() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.uploads
}

func (p *platform) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// byHand is a post that a person makes on the platform itself.
func (p *platform) byHand(handle, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(handle, text, "")
}

// add puts a post on the platform. The caller holds the lock.
func (p *platform) add(handle, text, upload string) string {
	id := fmt.Sprintf("r%d", len(p.posts)+1)
	p.posts = append(p.posts, seen{By: p.owner[handle], Text: text, ID: id, At: time.Since(p.began), Upload: p.made[upload]})
	return id
}

// wire carries one account's commits to the platform, as a connection pool would.
type wire struct {
	p      *platform
	handle string
}

var errCut = errors.New("connection reset by peer")

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	p := w.p
	if r.Method == http.MethodGet {
		h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
		return &http.Response{StatusCode: http.StatusOK, Header: h, Body: http.NoBody, Request: r}, nil
	}
	p.mu.Lock()
	what := p.next(w.handle)
	p.asked = append(p.asked, w.handle+" commit")
	p.mu.Unlock()
	if what == dialFails {
		return nil, errCut
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err // the gate refused the first byte
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	answer := func(status int, body string, header ...string) (*http.Response, error) {
		h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}} // the true time, whatever our clock says
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	publish := func() string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.add(w.handle, string(body), r.Header.Get("X-Upload"))
	}
	wait := func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	switch what {
	case accept:
		return answer(http.StatusCreated, publish())
	case slow:
		id := publish()
		if err := wait(2 * time.Second); err != nil {
			return nil, err
		}
		return answer(http.StatusCreated, id)
	case cutAfter:
		publish()
		return nil, errCut
	case cutBefore:
		return nil, errCut
	case busy:
		return answer(http.StatusServiceUnavailable, "")
	case limited:
		return answer(http.StatusTooManyRequests, "", "Retry-After", "600")
	case denied:
		return answer(http.StatusUnauthorized, "")
	case forbidden:
		return answer(http.StatusForbidden, "")
	case refusal:
		return answer(http.StatusUnprocessableEntity, "no")
	case blackHole:
		publish()
		return nil, wait(24 * time.Hour)
	case late:
		time.AfterFunc(p.delay, func() { publish() })
		return nil, errCut
	case slowLimited:
		if err := wait(2 * time.Second); err != nil {
			return nil, err
		}
		return answer(http.StatusTooManyRequests, "", "Retry-After", "600")
	case duplicate:
		return answer(http.StatusConflict, "")
	case nameless:
		publish()
		return answer(http.StatusCreated, "")
	case burst:
		publish()
		panic("the adapter broke down after the answer")
	case dialFails, explode:
	}
	panic("the adapter broke down")
}

// voice is an adapter of one account: small, but it speaks through the real recorder, so that the gate, the fates and
// the records are the real ones.
type voice struct {
	p      *platform
	handle string
	now    func() time.Time
	client *http.Client
}

func newVoice(p *platform, handle string, now func() time.Time) *voice {
	rt := &adapters.Recorder{Base: wire{p: p, handle: handle}, Now: now}
	return &voice{p: p, handle: handle, now: now, client: adapters.Client(rt)}
}

func (*voice) Platform() post.Platform           { return post.Twitter }
func (*voice) Check(post.Content) []post.Problem { return nil }

func (v *voice) say(r adapters.Request) string {
	if r.Role == post.RolePost {
		return r.Text()
	}
	return r.Text() + " < " + r.Parent.RemoteID + " < " + r.Root.RemoteID
}

func (v *voice) Publish(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	upload := ""
	if v.Prepares(r) {
		h, ok := r.Handle("upload")
		upload = h.Values["id"]
		if !ok {
			return post.Receipt{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "nothing is uploaded"}
		}
	}
	ctx, flight := adapters.FlightFrom(ctx)
	req, err := http.NewRequestWithContext(adapters.AsCommit(ctx), http.MethodPost, "http://platform/posts", strings.NewReader(v.say(r)))
	if err != nil {
		return post.Receipt{}, err
	}
	req.Header.Set("X-Upload", upload)
	resp, err := v.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
	}
	if e := flight.NotSent(err, true); e != nil {
		return post.Receipt{}, e
	}
	call, _ := flight.Last(true)
	if call.Status != http.StatusCreated {
		e := adapters.ByStatus(call, true) // this platform refuses by status alone
		e.Until = adapters.RetryAfter(call.Header, v.now())
		if call.Status == http.StatusConflict {
			e.Fate, e.Reason = adapters.Absent, adapters.Duplicate
		}
		return post.Receipt{}, e
	}
	return post.Receipt{RemoteID: string(call.Body), URL: "http://platform/" + string(call.Body), At: v.now()}, nil
}

func (v *voice) Find(_ context.Context, r adapters.Request, since time.Time) (adapters.Look, error) {
	p := v.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, v.handle+" find")
	if all := p.finds[v.handle]; len(all) > 0 {
		p.finds[v.handle] = all[1:]
		if all[0].set {
			return all[0].look, all[0].err
		}
	}
	if p.hidden {
		return adapters.Look{}, nil
	}
	for _, s := range p.posts {
		if time.Since(p.began.Add(s.At)) < p.listing || s.By != p.owner[v.handle] || s.Text != v.say(r) || p.began.Add(s.At).Before(since.Add(-2*time.Minute)) {
			continue
		}
		if r.Taken != nil && r.Taken(s.ID) {
			continue
		}
		return adapters.Look{Sight: adapters.Found, Receipt: post.Receipt{RemoteID: s.ID, At: p.began.Add(s.At)}}, nil
	}
	return adapters.Look{}, nil
}

func (v *voice) Verify(ctx context.Context) (adapters.Identity, error) {
	p := v.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute[v.handle] {
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		return adapters.Identity{}, ctx.Err()
	}
	p.asked = append(p.asked, v.handle+" verify")
	if p.panics[v.handle] {
		panic("the adapter cannot read the answer")
	}
	id, err := p.owner[v.handle], p.verify[v.handle]
	if took := p.ponder; took > 0 {
		p.mu.Unlock()
		time.Sleep(took)
		p.mu.Lock()
	}
	if err != nil {
		return adapters.Identity{}, err
	}
	return adapters.Identity{ID: id, Remote: "number of " + id}, nil
}

func (v *voice) Refresh(context.Context) error {
	p := v.p
	p.mu.Lock()
	p.asked = append(p.asked, v.handle+" refresh")
	refresh := p.refresh
	p.mu.Unlock()
	if refresh != nil {
		return refresh(v.handle)
	}
	return nil
}

func (v *voice) Prepares(r adapters.Request) bool { return len(r.Attachments()) > 0 }

func (v *voice) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	if h, ok := r.Handle("upload"); ok && h.Done {
		return nil
	}
	p := v.p
	p.mu.Lock()
	p.asked = append(p.asked, v.handle+" prepare")
	if p.stuck[v.handle] {
		p.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	}
	var err error
	if all := p.prepare[v.handle]; len(all) > 0 {
		err, p.prepare[v.handle] = all[0], all[1:]
	}
	if err == nil {
		p.uploads++
	}
	h := post.Handle{Name: "upload", Values: map[string]string{"id": fmt.Sprint(p.uploads)}, Done: true}
	p.made[h.Values["id"]] = r.Content.Digest()
	if p.expiry > 0 {
		h.Expires = v.now().Add(p.expiry)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return save(ctx, h)
}
