package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
	"crier/store"
)

// stopBody stops everything, one kind or one brand.
type stopBody struct {
	Kind   string `json:"kind,omitempty" enum:"brand,personal"`
	Brand  string `json:"brand,omitempty" doc:"The handle of a brand."`
	Reason string `json:"reason,omitempty"`
	Until  string `json:"until,omitempty" format:"date-time" doc:"When it ends by itself."`
}

// resumeBody ends a stop.
type resumeBody struct {
	Kind  string `json:"kind,omitempty" enum:"brand,personal"`
	Brand string `json:"brand,omitempty" doc:"The handle of a brand."`
	lateBody
}

// stopScope checks what a stop is about, and the right to it.
func (c *call) stopScope(kind, brand string) (post.Kind, error) {
	k := post.Kind(kind)
	if kind != "" && !k.Valid() {
		return "", invalid("kind", "invalid_type", "wanted: brand or personal")
	}
	if err := allow(c.Directory.Stop(c.who, k, brand), "brand"); err != nil {
		return "", err
	}
	if len(c.who.Accounts) > 0 {
		return "", forbidden("this key is limited to some accounts: it pauses and resumes them one by one")
	}
	return k, nil
}

func (c *call) pauseAll(ctx context.Context) (*answer, error) {
	var b stopBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	kind, err := c.stopScope(b.Kind, b.Brand)
	if err != nil {
		return nil, err
	}
	if len(b.Reason) > maxReason {
		return nil, invalid("reason", "too_long", "wanted: at most 500 bytes")
	}
	stop := store.Stop{Kind: kind, Brand: b.Brand, Hold: post.Hold{
		Reason: post.HoldPaused, Since: c.at, Detail: b.Reason, By: c.who.Person,
	}}
	if b.Until != "" {
		until, err := civil.ParseInstant(b.Until)
		if err != nil {
			return nil, invalid("until", civil.CodeTimeInvalid, "wanted: an RFC 3339 time with an offset")
		}
		if stop.Hold.Until = post.Instant(until); !stop.Hold.Until.After(c.at) {
			return nil, invalid("until", civil.CodeInPast, "the time lies in the past")
		}
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	stopped := func(any) *answer {
		flying := c.Scheduler.Status(func(k post.AccountKey) bool { return s.sees(k) && stop.Matches(s.accounts[k].Account, c.at) })
		return &answer{body: Paused{Stop: stopView(stop), InFlight: flying.InFlight, NotStopped: []string{}}}
	}
	if err := c.Store.StopAll(ctx, c.write(stopped), stop); err != nil {
		return nil, fmt.Errorf("stopping: %w", err)
	}
	c.Log.WarnContext(ctx, "stopped by a person", "person", c.who.Person, "kind", b.Kind, "brand", stop.Brand)
	return c.told(func() (*answer, error) { return stopped(nil), nil })
}

func (c *call) resumeAll(ctx context.Context) (*answer, error) {
	var b resumeBody
	if err := c.decode(&b); err != nil {
		return nil, err
	}
	kind, err := c.stopScope(b.Kind, b.Brand)
	if err != nil {
		return nil, err
	}
	late, err := b.late()
	if err != nil {
		return nil, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	s.stops = slices.DeleteFunc(s.stops, func(x store.Stop) bool { return x.Kind == kind && x.Brand == b.Brand })
	err = c.Store.ResumeAll(ctx, c.write(func(result any) *answer {
		counts, _ := result.(map[post.AccountKey]store.AccountCounts)
		return &answer{body: c.standing(s, counts)}
	}), kind, b.Brand, late)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem(http.StatusConflict, "not_paused", "there is no such stop: GET /status lists those that are")
	}
	if err != nil {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	c.Log.WarnContext(ctx, "resumed by a person", "person", c.who.Person, "kind", b.Kind, "brand", b.Brand)
	return c.told(func() (*answer, error) { return c.status(ctx) })
}

func (c *call) status(ctx context.Context) (*answer, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := c.Store.AccountCounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	return &answer{body: c.standing(s, counts)}, nil
}

// standing is how Crier is doing, as far as the asker may know.
func (c *call) standing(s *sight, counts map[post.AccountKey]store.AccountCounts) Status {
	st := c.Scheduler.Status(s.sees)
	out := Status{
		Version: c.Version, Time: stamp(c.at), InFlight: st.InFlight, LagMS: st.Lag.Milliseconds(), Halted: st.Halted,
		Counts: map[string]map[string]int{}, Stops: []StopView{}, Holds: []AccountHolds{},
	}
	if st.LastTurn.UnixMilli() > 0 {
		// To the second, in which the clock comes round anyway: the moment of a turn is that of somebody's post.
		out.LastTick = stampOr(st.LastTurn.Truncate(time.Second))
	}
	for _, x := range s.stops {
		if !x.Hold.Open(c.at) && (x.Brand == "" || c.Directory.Stop(c.who, x.Kind, x.Brand).Visible) {
			out.Stops = append(out.Stops, stopView(x))
		}
	}
	for _, k := range s.order {
		if holds := holdViews(s.holdsOf(k, s.accounts[k].Holds), c.at); len(holds) > 0 {
			out.Holds = append(out.Holds, AccountHolds{Account: k.Handle, Holds: holds})
		}
	}
	s.count(counts, &out)
	return out
}

// count tells how many deliveries there are, and when the next is due, of the accounts that the asker sees: even a
// number tells of another's.
func (s *sight) count(all map[post.AccountKey]store.AccountCounts, out *Status) {
	for _, kind := range post.Kinds() {
		out.Counts[string(kind)] = map[string]int{}
	}
	var next time.Time
	for _, k := range s.order {
		n := all[k]
		for st, many := range n.ByState {
			out.Counts[string(k.Kind)][string(st)] += many
		}
		if n.NextDue.IsZero() || len(s.holdsOf(k, s.accounts[k].Holds)) > 0 {
			continue
		}
		if next.IsZero() || n.NextDue.Before(next) {
			next = n.NextDue
		}
	}
	out.NextDue = stampOr(next)
}

func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, `{"status":"ok"}`)
}

// freshTick is how old the scheduler's last turn may be: it sleeps 30 s at most.
const freshTick = 65 * time.Second

// proof is what the last write that was made to find out whether one can be made has shown.
type proof struct {
	at  time.Time
	err error
}

// proofFor is how long a proof counts: whoever asks more often, without a key, makes no more syncs.
const proofFor = time.Second

// canWrite reports whether the store can be written.
func (a *api) canWrite(ctx context.Context) error {
	a.proving.Lock()
	defer a.proving.Unlock()
	now := a.Now()
	if p := a.proof; !p.at.IsZero() && !now.Before(p.at) && now.Sub(p.at) < proofFor {
		return p.err
	}
	err := a.Store.Writable(ctx)
	if ctx.Err() == nil {
		a.proof = proof{at: now, err: err}
	}
	return err //nolint:wrapcheck // readyz tells it to the log alone
}

func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	id := w.Header().Get("X-Request-Id")
	if a.GoingDown() {
		writeProblem(w, id, problem(http.StatusServiceUnavailable, "not_ready", "Crier is going down"))
		return
	}
	if err := a.canWrite(r.Context()); err != nil {
		a.Log.WarnContext(r.Context(), "not ready: the store cannot be written", "error", err)
		writeProblem(w, id, problem(http.StatusServiceUnavailable, "not_ready", "the store cannot be written"))
		return
	}
	if age := a.Now().Sub(a.Scheduler.Status(nil).LastTurn); age > freshTick {
		writeProblem(w, id, problem(http.StatusServiceUnavailable, "not_ready", "the scheduler has not come round lately"))
		return
	}
	plain(w, http.StatusOK, `{"status":"ready"}`)
}

func plain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body + "\n")) // a client that left is nobody's trouble
}
