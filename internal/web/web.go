// Package web serves Crier's pages.
package web

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"crier/internal/post"
	"crier/scheduler"
	"crier/store"
)

//go:embed home.html
var homeSource string

//go:embed app.css
var style []byte

// policy lets a page load our own style and pictures, and nothing else; no page has a script yet.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; " +
	"frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Store is what the pages read.
type Store interface {
	Counts(ctx context.Context) (store.Counts, error)
	ListDeliveries(ctx context.Context, f store.Filter) (store.DeliveryPage, error)
	Stops(ctx context.Context) ([]store.Stop, error)
}

// Deps is what the pages are made from.
type Deps struct {
	Store Store
	// Status says how the scheduler is doing for some accounts.
	Status func(of func(post.AccountKey) bool) scheduler.Status
	Now    func() time.Time
	Log    *slog.Logger
	// Version is the program's.
	Version string
}

type pages struct {
	Deps
	home *template.Template
	// What was shown last to those who sit at the machine, and to all others.
	here, elsewhere shown
}

// shown is a page as it was made last, or why it could not be. Whoever asks again within shownFor, without a key, makes
// nobody read the store.
type shown struct {
	mu   sync.Mutex
	at   time.Time
	page []byte
	err  error
}

const (
	shownFor = time.Second
	// maxRead bounds the reading of what a page shows, which goes on for the others when who asked for it leaves.
	maxRead = 10 * time.Second
)

// New makes the handler of the pages: GET / and its style. There is no login yet, so the page tells everybody how
// Crier is doing, tells of brands' deliveries only those who sit at the machine itself, and of people's nobody.
func New(d Deps) (http.Handler, error) {
	if d.Store == nil || d.Status == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("the pages lack one of their parts")
	}
	home, err := template.New("home").Parse(homeSource)
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	p := &pages{Deps: d, home: home}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.front)
	mux.HandleFunc("GET /app.css", p.css)
	return guard(mux), nil
}

// guard sets what keeps a browser from being led astray.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		next.ServeHTTP(w, r)
	})
}

func (p *pages) css(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(style) // a client that left is nobody's trouble
}

// state is one state with its number of deliveries.
type state struct {
	Name  post.State
	Count int
}

// row is one delivery on the page.
type row struct {
	At, Account, Platform string
	State                 post.State
	URL                   string
}

// view is what the page shows.
type view struct {
	Version, Time, Lag, Halted string
	NextDue                    string
	InFlight                   int
	Stops                      []string
	States                     []state
	Local                      bool
	Next, Last                 []row
}

const (
	rows     = 10
	timeForm = "2006-01-02 15:04:05 MST"
	// lastDays is how far back the page looks for what went out.
	lastDays = 7
)

func (p *pages) front(w http.ResponseWriter, r *http.Request) {
	local := fromHere(r)
	last := &p.elsewhere
	if local {
		last = &p.here
	}
	page, err := p.show(context.WithoutCancel(r.Context()), last, local)
	if err != nil {
		http.Error(w, "The page cannot be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(page) // a client that left is nobody's trouble
}

// show gives the page, made anew by one asker at a time.
func (p *pages) show(ctx context.Context, last *shown, local bool) ([]byte, error) {
	last.mu.Lock()
	defer last.mu.Unlock()
	if age := p.Now().Sub(last.at); !last.at.IsZero() && age >= 0 && age < shownFor {
		return last.page, last.err
	}
	last.page, last.err = p.render(ctx, local)
	last.at = p.Now()
	if last.err != nil {
		p.Log.ErrorContext(ctx, "the page cannot be made", "error", last.err)
	}
	return last.page, last.err
}

func (p *pages) render(ctx context.Context, local bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maxRead)
	defer cancel()
	v, err := p.read(ctx, local)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := p.home.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("filling in the page: %w", err)
	}
	return b.Bytes(), nil
}

func (p *pages) read(ctx context.Context, local bool) (*view, error) {
	now := post.Instant(p.Now())
	st := p.Status(brandOnly)
	counts, err := p.Store.Counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	stops, err := p.Store.Stops(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the stops: %w", err)
	}
	v := &view{
		Version: p.Version, Time: now.Format(timeForm), Lag: st.Lag.Round(time.Millisecond).String(), Halted: st.Halted,
		InFlight: st.InFlight, Local: local,
	}
	for _, s := range post.States() {
		if n := counts.ByState[post.Brand][s]; n > 0 {
			v.States = append(v.States, state{Name: s, Count: n})
		}
	}
	for _, s := range stops {
		if s.Hold.Open(now) {
			continue
		}
		switch {
		case s.Brand != "" && !local:
			v.Stops = append(v.Stops, "a brand")
		case s.Brand != "":
			v.Stops = append(v.Stops, "brand "+s.Brand)
		case s.Kind != "":
			v.Stops = append(v.Stops, "all accounts of kind "+string(s.Kind))
		default:
			v.Stops = append(v.Stops, "everything")
		}
	}
	if local {
		err = p.deliveries(ctx, now, v)
	}
	return v, err
}

// deliveries adds what brands will send next and what they sent last.
func (p *pages) deliveries(ctx context.Context, now time.Time, v *view) error {
	next, err := p.Store.ListDeliveries(ctx, store.Filter{
		Visible: brandOnly, Kind: post.Brand, States: []post.State{post.Scheduled, post.Sending}, Now: now, Limit: rows,
	})
	if err != nil {
		return fmt.Errorf("listing what is next: %w", err)
	}
	for i := range next.Items {
		v.Next = append(v.Next, rowOf(&next.Items[i]))
	}
	if len(next.Items) > 0 {
		v.NextDue = next.Items[0].Delivery.Due.UTC().Format(timeForm)
	}
	f := store.Filter{
		Visible: brandOnly, Kind: post.Brand, Now: now, Limit: 500, From: now.AddDate(0, 0, -lastDays), To: now,
		States: []post.State{post.Published, post.Partial, post.Failed, post.Unconfirmed, post.Missed},
	}
	for range 20 { // the list begins with the oldest: the last page is what is shown
		page, err := p.Store.ListDeliveries(ctx, f)
		if err != nil {
			return fmt.Errorf("listing what was sent: %w", err)
		}
		for i := range page.Items {
			v.Last = append(v.Last, rowOf(&page.Items[i]))
		}
		v.Last = v.Last[max(0, len(v.Last)-rows):]
		if f.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	slices.Reverse(v.Last)
	return nil
}

func brandOnly(k post.AccountKey) bool { return k.Kind == post.Brand }

func rowOf(v *store.DeliveryView) row {
	d := &v.Delivery
	out := row{
		At: d.Due.UTC().Format(timeForm), Account: d.Account.Handle, Platform: string(d.Platform), State: d.State,
	}
	if len(d.Parts) > 0 && d.Parts[0].Receipt != nil {
		out.URL = d.Parts[0].Receipt.URL
	}
	return out
}

// fromHere reports whether the request comes from this machine and through no proxy, by an address and not a name, so
// that no page of another site gets there by a name that resolves to us.
func fromHere(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
