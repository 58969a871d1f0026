// Package api is Crier's REST API: who asks, what they may, what they said, and the answer.
//
// Every route stands in one table, from which both the handlers and the OpenAPI document come. A request passes, in
// this order: its key, its rate, its query, its body, a place among those at work, its stored answer if it was made
// before, and its handler.
// What goes wrong anywhere becomes a problem document (RFC 9457) that names fields and never repeats a value.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"crier/adapters"
	"crier/internal/civil"
	"crier/internal/compose"
	"crier/internal/media"
	"crier/internal/post"
	"crier/internal/recurrence"
	"crier/internal/secret"
	"crier/internal/team"
	"crier/scheduler"
	"crier/store"
)

// Base is where the API lives.
const Base = "/api/v1"

// Scheduler is what the API asks of the scheduler.
type Scheduler interface {
	// Status says how it is doing, for the accounts that of reports true for; nil stands for all.
	Status(of func(post.AccountKey) bool) scheduler.Status
	// Verify asks the platform whose token the account holds; store.ErrNotFound when nothing here speaks for it.
	Verify(ctx context.Context, key post.AccountKey) error
}

// Fetcher gets a file from an address that a person gave, through the guard against private addresses.
type Fetcher interface {
	Fetch(ctx context.Context, address string, sink func(io.Reader) error) error
}

// Outlet is one configured account with what its adapter says without network.
type Outlet struct {
	Account post.Account
	// Check, Prepares and Destination are as in compose.Outlet; each may be nil, as in mode assist.
	Check       func(post.Content) []post.Problem
	Prepares    func(adapters.Request) bool
	Destination func(post.Content) string
	// CountText says how long a text is on the platform; nil when the adapter does not know.
	CountText func(post.Content) adapters.TextLength
	// Capabilities says what the platform takes; nil when no driver knows.
	Capabilities func() adapters.Capabilities
}

// Deps is what the API is made from. All of it is needed but for what says otherwise.
type Deps struct {
	Store     store.Store
	Scheduler Scheduler
	Files     *media.Files
	// Limits bounds uploads, as those of Files do.
	Limits    media.Limits
	Fetcher   Fetcher
	Directory team.Directory
	// Outlets are the configured accounts by handle.
	Outlets map[string]Outlet
	// ConfiguredKeys are the keys that the configuration gives; see ParseConfiguredKey.
	ConfiguredKeys []store.Key
	// Sealer seals stored answers that hold a secret.
	Sealer *secret.Sealer
	// Hub tells those who wait for a post; the scheduler's Observe calls its Notify. Nil makes one.
	Hub *Hub
	// GoingDown says that nothing new is begun any more: whoever asks whether Crier is ready hears no. Nil never does.
	GoingDown func() bool
	NewID     func() post.ID
	Now       func() time.Time
	Log       *slog.Logger
	// Version is the program's, for GET /status.
	Version string
	// RequestsPerMinute bounds each key; 0 stands for 6000.
	RequestsPerMinute int
	// MaxAtWork bounds the requests that are worked on at a time, once their bodies are there; 0 stands for 1024. Beyond
	// it a request is refused with 503. A half of them may wait for their posts to settle; the others are answered at once.
	MaxAtWork int
	// Stall is how long a body or an answer may come to a stop; 0 stands for 30 s. A body also has to keep up a rate.
	Stall time.Duration
	// PlanSeries makes the occurrences of a series that was created or changed; nil leaves it to the planner's turn.
	PlanSeries func(ctx context.Context, id post.ID) error
	// Refusals lists what would keep a run of a series with this post of its pool from going out; nil finds nothing.
	Refusals func(ctx context.Context, s store.Series, raw json.RawMessage, run recurrence.Occurrence) ([]post.Problem, error)
}

type api struct {
	Deps
	keys   map[string]store.Key // configured, by id
	routes []route

	// work holds a token of each request at work, waiters one of each that waits for its post to settle.
	work, waiters chan struct{}
	// asking, reading and writing hold a token of each request that does so now: see atHand.
	asking, reading, writing chan struct{}

	mu    sync.Mutex
	users map[string]*user // by key
	// sweepAt is how many users there are when those that rest are forgotten.
	sweepAt int
	running map[string]bool // idempotency keys whose first request has not ended

	proving sync.Mutex
	proof   proof // under proving

	zones civil.Zones
}

// New makes the handler of the API: everything below Base, and the health and OpenAPI paths.
func New(d Deps) (http.Handler, error) {
	if d.Store == nil || d.Scheduler == nil || d.Files == nil || d.Fetcher == nil || d.Sealer == nil ||
		d.NewID == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("the API lacks one of its parts")
	}
	if d.Hub == nil {
		d.Hub = &Hub{}
	}
	if d.GoingDown == nil {
		d.GoingDown = func() bool { return false }
	}
	if d.RequestsPerMinute <= 0 {
		d.RequestsPerMinute = 6000
	}
	if d.MaxAtWork <= 0 {
		d.MaxAtWork = 1024
	}
	if d.Stall <= 0 {
		d.Stall = 30 * time.Second
	}
	a := &api{
		Deps: d, keys: make(map[string]store.Key), users: make(map[string]*user), running: make(map[string]bool),
		work: make(chan struct{}, d.MaxAtWork), waiters: make(chan struct{}, max(d.MaxAtWork/2, 1)),
		asking: make(chan struct{}, maxAsking()), reading: make(chan struct{}, maxReading()), writing: make(chan struct{}, maxWriting), sweepAt: minUsers,
	}
	for _, k := range d.ConfiguredKeys {
		if _, twice := a.keys[k.ID]; twice {
			return nil, fmt.Errorf("two configured keys have the id %s", k.ID)
		}
		a.keys[k.ID] = k
	}
	a.routes = a.table()
	return a.wrap(a.mux()), nil
}

func (a *api) mux() *http.ServeMux {
	described := sync.OnceValues(func() (documents, error) { return document(a.routes) }) // a daemon need not wait for it
	mux := http.NewServeMux()
	inner := humago.NewAdapter(mux, Base)
	for i := range a.routes {
		r := &a.routes[i]
		inner.Handle(r.operation(), a.serve(r))
	}
	for _, at := range []string{"", Base} {
		mux.HandleFunc("GET "+at+"/openapi.json", a.document(described, "application/vnd.oai.openapi+json", documents.asJSON))
		mux.HandleFunc("GET "+at+"/openapi.yaml", a.document(described, "application/vnd.oai.openapi", documents.asYAML))
		mux.HandleFunc("GET "+at+"/healthz", a.healthz)
		mux.HandleFunc("GET "+at+"/readyz", a.readyz)
	}
	return mux
}

func (a *api) document(described func() (documents, error), kind string, form func(documents) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all, err := described()
		if err != nil {
			id := w.Header().Get("X-Request-Id")
			a.Log.ErrorContext(r.Context(), "the API cannot be described", "request", id, "error", err)
			writeProblem(w, id, problemOf(err))
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(form(all)) // a client that left is nobody's trouble
	}
}

// now is the instant of a request, to the millisecond.
func (a *api) now() time.Time { return post.Instant(a.Now()) }

// compose gives what composing asks of a configured account.
func (o Outlet) compose(holds []post.Hold) compose.Outlet {
	return compose.Outlet{
		Account: o.Account, Holds: holds, Check: o.Check, Prepares: o.Prepares, Destination: o.Destination,
	}
}
