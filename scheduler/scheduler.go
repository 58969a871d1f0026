package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/store"
)

// Store is what the scheduler needs of a store.
type Store interface {
	store.Queue
	PinIdentity(ctx context.Context, w store.Write, account post.AccountKey, remote string) error
	AccountByHandle(ctx context.Context, handle string) (store.AccountView, error)
}

// Outlet is one account with the adapter that speaks for it, and for nobody else.
type Outlet struct {
	Account post.Account
	// Adapter is nil in mode assist.
	Adapter adapters.Adapter
	// CommitTimeout bounds one attempt.
	CommitTimeout time.Duration
}

// Config is what a scheduler is made from.
type Config struct {
	Store   Store
	Outlets []Outlet
	Media   adapters.MediaSource
	// MaxInFlight bounds the commits in flight. Each kind has a half of it to itself, so that brands cannot keep a
	// person's post waiting.
	MaxInFlight int
	// PrepareAhead is how long before its due time a delivery is prepared.
	PrepareAhead time.Duration
	// Grace is how long a shutdown waits for requests in flight.
	Grace time.Duration
	Now   func() time.Time
	// Boot is the time since boot, suspended time included: what the wall clock is compared with. Nil leaves steps
	// of the wall clock unnoticed.
	Boot func() time.Duration
	// Lot draws from [0,1); nil takes a random source.
	Lot func() float64
	// Owner names this process in intents; empty takes 128 random bits.
	Owner string
	// Observe is called after a result is on disk, from the scheduler's own goroutine: it must not block.
	Observe func(Event)
	Log     *slog.Logger
}

// Event tells of a result that is on disk.
type Event struct {
	Delivery post.Delivery // as it was claimed
	Account  post.Account
	Part     int
	// Receipt is set when the part is out.
	Receipt *post.Receipt
	// To is where the delivery was sent otherwise, with the reason.
	To     post.State
	Reason *post.Reason
	At     time.Time
}

// Status is how the scheduler is doing.
type Status struct {
	// InFlight is the number of commits under way, Lag how late the last claim was against the moment from which it
	// could be sent: of the accounts that were asked about.
	InFlight int
	Lag      time.Duration
	// Preparing is the number of preparations under way.
	Preparing int
	// LastTurn is when the clock's goroutine last came round.
	LastTurn time.Time
	// Halted says why nothing is claimed: a step of the clock, or a store that cannot be written.
	Halted string
}

// Scheduler sends what is due. Make it with New, run it once with Run.
type Scheduler struct {
	cfg     Config
	outlets map[post.AccountKey]*lane

	results chan outcome
	nudge   chan struct{}

	pending []outcome // owned by the goroutine of Run

	workers  sync.WaitGroup
	prepare  *preparing
	suspect  atomic.Pointer[suspicion]
	dates    dates
	lastTurn atomic.Int64
	flights  *flights
	halted   atomic.Pointer[string]
}

// The bounds of the scheduler's own work.
const (
	// lease is how long a claim holds. It is longer than any commit may take plus the margin.
	lease = 5 * time.Minute
	// leaseMargin is left of a lease when the last byte of a commit may go out.
	leaseMargin = 30 * time.Second
	// maxWait bounds how long the clock sleeps; the heartbeat wakes it sooner.
	maxWait = 30 * time.Second
	// busyWait is the pause while something due waits for room: short against the 50 ms that a due post may take,
	// and a turn that changes nothing syncs nothing.
	busyWait = 20 * time.Millisecond
	// enough results make a commit of their own: more of them would share its sync, and wait for each other.
	enough = 256
	// gatherFor bounds the wait for more results, maxYields the wait for the next one where nothing else could run, some
	// 0.3 µs each; the fewer have come, the fewer: a platform that takes its time is not waited for.
	gatherFor     = time.Millisecond
	yieldsForEach = 16
	maxYields     = 512
	// startAtOnce workers are started within the turn that claims; more of them, beside the next.
	startAtOnce = 128
	// settleRetry is the pause after a write that failed.
	settleRetry = time.Second
	// defaultTimeout is the time a commit gets if the outlet names none.
	defaultTimeout = 30 * time.Second
)

// New makes a scheduler. It starts nothing.
func New(cfg Config) (*Scheduler, error) {
	if cfg.Owner == "" {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("drawing an owner: %w", err)
		}
		cfg.Owner = hex.EncodeToString(b[:])
	}
	if cfg.Lot == nil {
		cfg.Lot = mathrand.Float64
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Event) {}
	}
	cfg.MaxInFlight = max(cfg.MaxInFlight, 2)
	s := &Scheduler{
		cfg:     cfg,
		outlets: make(map[post.AccountKey]*lane, len(cfg.Outlets)),
		results: make(chan outcome, cfg.MaxInFlight+maxLooking),
		nudge:   make(chan struct{}, 1),
		flights: newFlights(),
	}
	lanes := make([]*lane, 0, len(cfg.Outlets))
	for _, o := range cfg.Outlets {
		key := o.Account.Key()
		if s.outlets[key] != nil {
			return nil, fmt.Errorf("two outlets for account %s", o.Account.Handle)
		}
		s.outlets[key] = newLane(o)
		lanes = append(lanes, s.outlets[key])
	}
	findRivals(lanes)
	s.prepare = newPreparing()
	return s, nil
}

// Nudge wakes the clock, which then reads the wall time again. It never blocks.
func (s *Scheduler) Nudge() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// Status says how the scheduler is doing, for the accounts that of reports true for; nil stands for all. Even a number
// tells of another's account. It may be called at any time.
func (s *Scheduler) Status(of func(post.AccountKey) bool) Status {
	st := Status{Preparing: s.prepare.count(), LastTurn: time.UnixMilli(s.lastTurn.Load()).UTC()}
	st.InFlight, st.Lag = s.flights.seen(of)
	if h := s.halted.Load(); h != nil {
		st.Halted = *h
	}
	return st
}

// Run sends what is due until ctx ends, then claims nothing more, waits up to the grace for what is in flight, settles
// it and returns. What has not answered by then becomes unconfirmed. It returns an error if the store cannot be
// recovered at the start.
func (s *Scheduler) Run(ctx context.Context) error {
	recovered, err := s.cfg.Store.Recover(ctx, post.Instant(s.cfg.Now()), s.cfg.Owner)
	if err != nil {
		return fmt.Errorf("recovering what was in flight: %w", err)
	}
	if recovered > 0 {
		s.cfg.Log.WarnContext(ctx, "deliveries were in flight when Crier ended: looking for them", "count", recovered)
	}
	// Workers outlive ctx by the grace; work ends them.
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var verifying sync.WaitGroup
	verifying.Go(func() { s.verifyAll(ctx) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		turned := post.Instant(s.cfg.Now())
		next := s.turn(ctx, work, turned)
		s.prepareSoon(ctx)
		timer.Reset(s.until(next, turned))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.nudge:
		case <-s.cfg.Store.Wake():
		case o := <-s.results:
			s.pending = append(s.pending, o)
		}
	}
	s.prepare.stop()
	s.drain(work, end, &verifying)
	return nil
}

// until is how long to sleep after the turn of that instant: wall time is compared anew at every wake, and the
// heartbeat bounds the effect of a step.
func (s *Scheduler) until(next, turned time.Time) time.Duration {
	switch {
	case next.IsZero():
		return maxWait
	case !next.After(turned):
		// It was due in that turn already and could not be done: no room, a look under way, a clock that is not
		// trusted. What ends that wakes us, and this pause finds what comes due meanwhile behind it.
		return busyWait
	}
	return min(max(next.Sub(s.cfg.Now()), 0), maxWait)
}

// turn settles what came back, claims what is ready and starts the workers. It gives the instant of the next one.
func (s *Scheduler) turn(ctx, work context.Context, now time.Time) time.Time {
	s.gather()
	taken := s.taken()
	t := store.Turn{
		Now: now, Began: s.platformTimes(now), Owner: s.cfg.Owner, Lease: lease,
		Results: results(s.pending),
		Room:    s.room(taken),
		Full:    s.full(taken),
	}
	suspended := s.suspended()
	if suspended {
		t.Room = nil
	}
	out, err := s.cfg.Store.Turn(ctx, t)
	s.lastTurn.Store(now.UnixMilli())
	if err != nil {
		if ctx.Err() == nil {
			s.halt("the queue cannot be written")
			s.cfg.Log.ErrorContext(ctx, "the queue cannot be written: nothing is sent until it can", "error", err)
		}
		// The results stay pending: they are settled again, and a result that is on disk already is refused
		// harmlessly then.
		if errors.Is(err, store.ErrUnknownCommit) {
			for i := range s.pending {
				s.pending[i].unsure = true
			}
		}
		return now.Add(settleRetry)
	}
	if !suspended {
		s.resume()
	}
	s.settled(ctx, out)
	s.send(work, out.Claims)
	s.lookAtDoubtful(ctx, work, now)
	return out.Next
}

// gather takes what the workers have left. While more of them are under way, those that could run at once get the
// processor first, for a moment that is short next to a commit: results that share a commit share its sync.
func (s *Scheduler) gather() {
	sending := s.flights.commits()
	began := time.Now()
	for yields := 0; ; yields++ {
		if s.collect() {
			yields = 0
		}
		n := len(s.pending)
		// Each yield lets everybody else run once, which takes long where much computes: one is enough then.
		if n >= min(sending, enough) || yields >= min(n*yieldsForEach, maxYields) || time.Since(began) > gatherFor {
			return
		}
		runtime.Gosched()
	}
}

// collect takes the results that are there and reports whether there was any.
func (s *Scheduler) collect() (some bool) {
	for {
		select {
		case o := <-s.results:
			s.pending = append(s.pending, o)
			some = true
		default:
			return some
		}
	}
}

// settled forgets the workers whose results are on disk and tells of them.
func (s *Scheduler) settled(ctx context.Context, out store.Turned) {
	for i := range s.pending {
		o := &s.pending[i]
		s.flights.end(o.delivery, o.look)
		err := out.Refused[i]
		fenced := errors.Is(err, post.ErrFenced)
		if err != nil && !fenced {
			s.cfg.Log.ErrorContext(ctx, "a result was refused", "delivery", o.result.Delivery, "error", err)
		}
		if err != nil && !(fenced && o.unsure) {
			continue
		}
		s.cfg.Observe(o.event())
	}
	clear(s.pending) // what was claimed is nobody's any more
	s.pending = s.pending[:0]
	for _, id := range out.Alerts {
		s.cfg.Log.ErrorContext(ctx, "a receipt came after a newer attempt had begun: the post may be out twice", "delivery", id)
	}
	if out.Missed > 0 {
		s.cfg.Log.WarnContext(ctx, "deliveries were missed: their time passed while nothing could send them", "count", out.Missed)
	}
}

// taken counts the berths of the commits in flight. What has come back gives its own to the claims of the same turn.
func (s *Scheduler) taken() map[berth]int {
	taken := s.flights.berths(false)
	for i := range s.pending {
		if o := &s.pending[i]; !o.look {
			taken[berthOf(o.delivery, false)]--
		}
	}
	return taken
}

// room is how many more claims each kind may get.
func (s *Scheduler) room(taken map[berth]int) map[post.Kind]int {
	room := make(map[post.Kind]int, 2)
	for _, k := range post.Kinds() {
		room[k] = s.cfg.MaxInFlight / 2
	}
	for at, n := range taken {
		room[at.kind] -= n
	}
	return room
}

// full lists the platforms that have three quarters of all commits in flight, so that one which hangs leaves room for
// the others.
func (s *Scheduler) full(taken map[berth]int) map[post.Platform]bool {
	count := make(map[post.Platform]int)
	for at, n := range taken {
		if n > 0 {
			count[at.platform] += n
		}
	}
	full := make(map[post.Platform]bool)
	for p, n := range count {
		if limit := s.cfg.MaxInFlight * 3 / 4; len(count) > 1 && n >= limit {
			full[p] = true
		}
	}
	return full
}

// drain waits for what is in flight and settles it. When the grace is over the workers' requests are cut, which makes
// them unknown; when even that does not end them, the next start finds their intents. Preparations and verifications
// have been told to end already, and what does not listen is left behind like a worker: nothing of it is public.
func (s *Scheduler) drain(work context.Context, end context.CancelFunc, verifying *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		s.prepare.workers.Wait()
		verifying.Wait()
		s.workers.Wait()
		close(done)
	}()
	grace := time.NewTimer(s.cfg.Grace)
	defer grace.Stop()
	last := time.NewTimer(s.cfg.Grace + 5*time.Second)
	defer last.Stop()
	for waiting := true; waiting; {
		select {
		case o := <-s.results:
			s.pending = append(s.pending, o)
		case <-grace.C:
			end()
		case <-last.C:
			s.cfg.Log.ErrorContext(work, "not all that was under way ended in time: the next start looks for what was sent")
			waiting = false
		case <-done:
			waiting = false
		}
	}
	s.gather()
	s.settleLast(work)
}

// settleLast writes the last results, and tries for a while if the store refuses.
func (s *Scheduler) settleLast(work context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), 10*time.Second)
	defer cancel()
	for len(s.pending) > 0 {
		out, err := s.cfg.Store.Turn(ctx, store.Turn{
			Now: post.Instant(s.cfg.Now()), Owner: s.cfg.Owner, Lease: lease, Results: results(s.pending),
		})
		if err == nil {
			s.settled(ctx, out)
			return
		}
		s.cfg.Log.ErrorContext(ctx, "the last results cannot be written", "count", len(s.pending), "error", err)
		wait := time.NewTimer(settleRetry)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// Expire turns intents whose lease is over and whose worker is not running here into unconfirmed.
func (s *Scheduler) Expire(ctx context.Context) (int, error) {
	n, err := s.cfg.Store.Expire(ctx, post.Instant(s.cfg.Now()), s.flights.has)
	if err != nil {
		return n, fmt.Errorf("expiring leases: %w", err)
	}
	return n, nil
}

func (s *Scheduler) halt(why string) { s.halted.Store(&why) }

func (s *Scheduler) resume() { s.halted.Store(nil) }
