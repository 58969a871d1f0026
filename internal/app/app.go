// Package app is the composition root: it makes the whole daemon from a configuration and runs it. Nothing else knows
// all the parts.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"crier/adapters"
	"crier/internal/api"
	"crier/internal/compose"
	"crier/internal/config"
	"crier/internal/media"
	"crier/internal/post"
	"crier/internal/secret"
	"crier/internal/team"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// SocketName is the local socket in the data folder. Who may open it may act as anybody here.
const SocketName = "crier.sock"

// Options is what a daemon is made from beside its configuration. The zero value of every field but Config has a
// meaning of its own.
type Options struct {
	Config *config.Config
	// Drivers are the platforms; nil means all that are built in.
	Drivers []adapters.Driver
	// Env looks up environment variables; nil means the process's own.
	Env func(string) (string, bool)
	// Now and Boot are the clocks; nil means the machine's.
	Now  func() time.Time
	Boot func() time.Duration
	// Transport replaces the pool of connections to the platforms.
	Transport http.RoundTripper
	// Looks replaces the platforms' horizons: for the sandbox, whose listings are never late.
	Looks []time.Duration
	// Observe hears of every result that is on disk. It must not block.
	Observe func(scheduler.Event)
	// Queue stands between the scheduler and the store, for who has to see each write or to be in its way. Nil puts
	// nothing there.
	Queue func(scheduler.Store) scheduler.Store
	// Listen opens the address of the API and the local socket; nil means the machine's.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
	// Ready is called once the daemon serves, with its address.
	Ready func(net.Addr)
	// HTTP bounds what clients can hold on to.
	HTTP    HTTPLimits
	Log     *slog.Logger
	Version string
	// Grace is how long a shutdown waits for requests in flight; 0 means 30 s.
	Grace time.Duration
}

// App is a daemon. Make it with New and run it once.
type App struct {
	opts    Options
	cfg     *config.Config
	drivers map[post.Platform]adapters.Driver
	store   *bolt.Store
	sealer  *secret.Sealer
	files   *media.Files
	people  team.Directory
	sched   *scheduler.Scheduler
	planner *scheduler.Planner
	hub     *api.Hub
	handler http.Handler
	// goingDown is set before anything is ended.
	goingDown atomic.Bool
	local     map[string]string // the local socket's key of each person
	all       []post.Account
	// byHandle is what composing asks of each account.
	byHandle map[string]compose.Outlet
}

// New opens the data folder and makes every part. It starts nothing; Close ends what it opened if Run is not called.
func New(ctx context.Context, o Options) (a *App, err error) {
	o = withDefaults(o)
	a = &App{opts: o, cfg: o.Config, drivers: map[post.Platform]adapters.Driver{}, hub: &api.Hub{}}
	for _, d := range o.Drivers {
		a.drivers[d.Platform] = d
	}
	secrets, err := o.Config.Secrets(o.Env)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	if a.people, err = directory(o.Config); err != nil {
		return nil, err
	}
	if err := settings(o.Config, a.drivers); err != nil {
		return nil, err
	}
	if a.all, err = accounts(o.Config, a.drivers, o.Looks); err != nil {
		return nil, err
	}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if err := a.compose(ctx, secrets); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func withDefaults(o Options) Options {
	if o.Drivers == nil {
		o.Drivers = builtIn()
	}
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Now == nil {
		o.Now = time.Now
		if o.Boot == nil {
			o.Boot = sinceBoot
		}
	}
	if o.Grace <= 0 {
		o.Grace = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(scheduler.Event) {}
	}
	if o.Queue == nil {
		o.Queue = func(s scheduler.Store) scheduler.Store { return s }
	}
	if o.Listen == nil {
		o.Listen = new(net.ListenConfig).Listen
	}
	if o.Ready == nil {
		o.Ready = func(net.Addr) {}
	}
	return o
}

// open opens store, key and media of the data folder. A key is made for a new store alone: one that is gone from
// beside an old store is not replaced, since what it sealed would be lost in silence.
func (a *App) open(ctx context.Context) error {
	dir := a.cfg.DataDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	var err error
	a.store, err = bolt.Open(ctx, bolt.Options{Dir: dir, Create: true, Now: a.opts.Now(), Log: a.opts.Log})
	if err != nil {
		return err
	}
	info, err := a.store.Info(ctx)
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	key, created, err := secret.LoadOrCreateKey(dir, info.Sequence == 0)
	if err != nil {
		return fmt.Errorf("the master key: %w", err)
	}
	if created {
		a.opts.Log.InfoContext(ctx, "a master key was made: keep a copy of it apart from the backups", "file", filepath.Join(dir, "master.key"))
	}
	if a.sealer, err = secret.NewSealer(key); err != nil {
		return fmt.Errorf("the master key: %w", err)
	}
	if a.files, err = media.Open(filepath.Join(dir, "media"), media.Limits{}); err != nil {
		return fmt.Errorf("opening the media: %w", err)
	}
	return nil
}

// compose makes the parts that work on what is open.
func (a *App) compose(ctx context.Context, secrets config.Secrets) error {
	w := store.Write{Now: post.Instant(a.opts.Now()), Actor: "crier"}
	if err := a.store.SyncAccounts(ctx, w, a.all); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	outlets, err := a.outlets(a.all, secrets)
	if err != nil {
		return err
	}
	if err := a.checkTokens(ctx, outlets); err != nil {
		return err
	}
	a.sched, err = scheduler.New(scheduler.Config{
		Store: a.opts.Queue(a.store), Outlets: outlets, Media: mediaSource{a.files},
		MaxInFlight: a.cfg.Scheduler.MaxInFlight, PrepareAhead: a.cfg.Scheduler.PrepareAhead, Grace: a.opts.Grace,
		Now: a.opts.Now, Boot: a.opts.Boot, Log: a.opts.Log, Observe: a.observe,
	})
	if err != nil {
		return fmt.Errorf("the scheduler: %w", err)
	}
	return a.serveAPI(outlets, secrets) //nolint:contextcheck // each request brings a context of its own
}

// checkTokens opens every stored token, so that a wrong master key fails now and not at three in the morning.
func (a *App) checkTokens(ctx context.Context, outlets []scheduler.Outlet) error {
	for _, o := range outlets {
		c := credentials{account: o.Account, sealer: a.sealer, store: a.store}
		sealed, _, err := a.store.Token(ctx, o.Account.Key())
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil {
			_, err = a.sealer.Open(sealed, c.place())
		}
		if err != nil {
			return fmt.Errorf("the stored tokens of account %s do not open, is this the right master key: %w", o.Account.Handle, err)
		}
	}
	return nil
}

func (a *App) observe(e scheduler.Event) {
	a.hub.Notify(e.Delivery.Post)
	level := slog.LevelInfo
	if e.Receipt == nil && e.To != post.Scheduled {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("delivery", e.Delivery.ID.String()), slog.String("account", e.Account.Handle),
		slog.String("platform", string(e.Account.Platform)), slog.Int("part", e.Part),
	}
	if e.Receipt != nil {
		attrs = append(attrs, slog.String("url", e.Receipt.URL))
	} else {
		attrs = append(attrs, slog.String("to", string(e.To)))
	}
	if e.Reason != nil {
		attrs = append(attrs, slog.String("reason", e.Reason.Code))
	}
	a.opts.Log.LogAttrs(context.Background(), level, "a delivery was settled", attrs...)
	a.opts.Observe(e)
}

// Close ends what New opened. Run does it by itself.
func (a *App) Close() error {
	if a.store == nil {
		return nil
	}
	return a.store.Close()
}

// mediaSource gives adapters the stored files.
type mediaSource struct{ files *media.Files }

// Open implements adapters.MediaSource.
func (m mediaSource) Open(id string) (io.ReadSeekCloser, error) { return m.files.Open(id) }

// newID makes ids whose order is that of their making.
func newID() post.ID {
	id, err := uuid.NewV7()
	if err != nil {
		// The system's randomness failed; an id from the time alone would not be unique, a random one of the
		// library's fallback panics. A zero id is refused by the store.
		return post.ID{}
	}
	return post.ID(id)
}
