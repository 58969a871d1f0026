package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"crier/internal/compose"
	"crier/internal/post"
	"crier/internal/team"
	"crier/store"
)

// sight is what one asker can see at one moment: the wall between brands and people. Nothing reaches a client that did
// not pass here.
type sight struct {
	dir      *team.Directory
	who      team.Principal
	now      time.Time
	accounts map[post.AccountKey]store.AccountView
	order    []post.AccountKey
	stops    []store.Stop
}

// look reads what the asker can see.
func (c *call) look(ctx context.Context) (*sight, error) {
	all, err := c.Store.ListAccounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the accounts: %w", err)
	}
	return c.sightOf(ctx, all)
}

// readSingly is how many accounts are read one by one; where there are more, all are read at once.
const readSingly = 8

// lookFor reads what the asker can see of what a new post is about: the accounts that it names. Who sees a file hangs on
// other accounts as well, so that a post with files, in its options too, needs them all.
func (c *call) lookFor(ctx context.Context, r *compose.Request) (*sight, error) {
	if len(r.MediaRefs()) > 0 || len(r.MediaIDs()) > 0 || len(r.Targets) > readSingly {
		return c.look(ctx)
	}
	var named []store.AccountView
	for i := range r.Targets {
		handle := r.Targets[i].Account
		// A hidden account must cost no more than one that does not exist.
		if o, ok := c.Outlets[handle]; !ok || !c.Directory.See(c.who, o.Account).Visible {
			continue
		}
		if slices.ContainsFunc(named, func(v store.AccountView) bool { return v.Account.Handle == handle }) {
			continue
		}
		v, err := c.Store.AccountByHandle(ctx, handle)
		switch {
		case err == nil:
			named = append(named, v)
		case !errors.Is(err, store.ErrNotFound):
			return nil, fmt.Errorf("reading an account: %w", err)
		}
	}
	return c.sightOf(ctx, named)
}

func (c *call) sightOf(ctx context.Context, all []store.AccountView) (*sight, error) {
	stops, err := c.Store.Stops(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the stops: %w", err)
	}
	s := &sight{
		dir: &c.Directory, who: c.who, now: c.at, accounts: make(map[post.AccountKey]store.AccountView, len(all)), stops: stops,
	}
	for _, v := range all {
		if s.dir.See(s.who, v.Account).Visible {
			s.accounts[v.Account.Key()] = v
			s.order = append(s.order, v.Account.Key())
		}
	}
	return s, nil
}

// sees reports whether the account is there for the asker. It is a store.Filter's Visible.
func (s *sight) sees(k post.AccountKey) bool {
	_, ok := s.accounts[k]
	return ok
}

// byHandle finds an account that is there for the asker.
func (s *sight) byHandle(handle string) (store.AccountView, bool) {
	for _, k := range post.Kinds() {
		if v, ok := s.accounts[post.AccountKey{Kind: k, Handle: handle}]; ok {
			return v, true
		}
	}
	return store.AccountView{}, false
}

// unplaced reports whether a post without a target is there for the asker: its author's it is, through a key that
// reaches whatever its author may use.
func (s *sight) unplaced(p *post.Post) bool { return s.keepsDrafts() && p.Author == s.who.Person }

func (s *sight) keepsDrafts() bool {
	return s.who.Full && s.who.Person != "" && len(s.who.Accounts) == 0
}

// post refuses, as not there, a post of which an account is not there.
func (s *sight) post(p *post.Post) error {
	if (len(p.Targets) == 0 && !s.unplaced(p)) || slices.ContainsFunc(p.Targets, func(t post.Target) bool { return !s.sees(t.Account) }) {
		return notFound("post")
	}
	return nil
}

// may asks the directory about an account that is there.
func (s *sight) may(ask func(team.Principal, post.Account) team.Answer, key post.AccountKey) error {
	v, ok := s.accounts[key]
	if !ok {
		return notFound("account")
	}
	return allow(ask(s.who, v.Account), "account")
}

// allow turns an answer of the directory into a refusal, nil when it is a yes.
func allow(a team.Answer, what string) error {
	switch {
	case !a.Visible:
		return notFound(what)
	case !a.Allowed:
		return forbidden(a.Why)
	}
	return nil
}

// scheduleOn refuses unless the asker may schedule on every account of the post.
func (s *sight) scheduleOn(p *post.Post) error {
	if err := s.post(p); err != nil {
		return err
	}
	for i := range p.Targets {
		if err := s.may(s.dir.Schedule, p.Targets[i].Account); err != nil {
			return err
		}
	}
	return nil
}

// stop gives the stop that matches an account, as a hold.
func (s *sight) stop(key post.AccountKey) (post.Hold, bool) {
	a := s.accounts[key].Account
	for _, x := range s.stops {
		if x.Matches(a, s.now) {
			h := x.Hold
			h.Reason = post.HoldPaused
			return h, true
		}
	}
	return post.Hold{}, false
}

// holdsOf adds a stop to the holds of a lane.
func (s *sight) holdsOf(key post.AccountKey, holds []post.Hold) []post.Hold {
	out := slices.DeleteFunc(slices.Clone(holds), func(h post.Hold) bool { return h.Open(s.now) })
	if h, stopped := s.stop(key); stopped {
		out = append(out, h)
	}
	return out
}

func (s *sight) account(v store.AccountView) Account {
	a := v.Account
	holds := s.holdsOf(a.Key(), v.Holds)
	return Account{
		Handle: a.Handle, Platform: string(a.Platform), Kind: string(a.Kind), Owner: a.Owner, Mode: string(a.Mode),
		Identity: a.Identity, Name: a.Name, Status: string(post.Status(holds, s.now)), Holds: holdViews(holds, s.now),
		TimeZone: a.TimeZone, MinGap: span(a.MinGap), MaxLate: span(a.MaxLate), WhenNotSeen: string(a.WhenNotSeen),
		Approvals: a.Approvals, ProposalsFrom: []string{}, Verified: v.Pinned != "", Managed: a.Managed,
	}
}

func (s *sight) delivery(v *store.DeliveryView) Delivery {
	d := &v.Delivery
	out := Delivery{
		ID: d.ID.String(), Version: d.Version, Post: d.Post.String(), Target: d.Target.String(), Account: d.Account.Handle,
		Platform: string(d.Platform), Kind: string(d.Account.Kind), Destination: textOr(d.Destination), State: string(d.State),
		Due: stampOr(d.Due), NextAttemptAt: stampOr(v.Next), LocalDue: textOr(d.LocalDue), TimeZone: textOr(d.TimeZone),
		Attempts: d.Attempts, Holds: []HoldView{}, CancelRequested: d.CancelRequested, Series: idOr(d.Series),
		Approval: Approval{Required: s.accounts[d.Account].Account.Approvals, Given: []ApprovalGiven{}},
		Parts:    make([]PartView, 0, len(d.Parts)),
	}
	if !d.State.Final() {
		out.Holds = holdViews(s.holdsOf(d.Account, v.Holds), s.now)
	}
	if d.Reason != nil {
		out.Reason = &ReasonView{Code: d.Reason.Code, Message: d.Reason.Message}
	}
	for i := range d.Parts {
		p := &d.Parts[i]
		out.Parts = append(out.Parts, PartView{Index: i, Role: string(p.Role), State: string(p.State), Receipt: receiptView(p.Receipt)})
	}
	if len(d.Parts) > 0 {
		out.Receipt = receiptView(d.Parts[0].Receipt)
	}
	return out
}

// whole is a single delivery with its content and its flight record.
func (s *sight) whole(v *store.DeliveryView) Delivery {
	out := s.delivery(v)
	content := contentView(v.Content)
	out.Content, out.AttemptsLog = &content, attemptViews(v.Attempts)
	return out
}

func (s *sight) summary(v *store.PostView) post.Summary {
	if v.Post.Unplaced() {
		return post.SummaryDraft
	}
	all := make([]post.Standing, 0, len(v.Deliveries))
	for i := range v.Deliveries {
		x := &v.Deliveries[i]
		d := &x.Delivery
		waiting := d.State == post.InReview || (d.State == post.Scheduled && len(s.holdsOf(d.Account, x.Holds)) > 0)
		all = append(all, post.Standing{State: d.State, Overdue: waiting && d.Due.Before(s.now)})
	}
	return post.Summarize(all)
}

func (s *sight) view(v *store.PostView) Post {
	p := &v.Post
	out := Post{
		ID: p.ID.String(), Version: v.Version, ExternalID: textOr(p.ExternalID), State: string(s.summary(v)), Kind: string(p.Kind),
		Author: p.Author, CreatedAt: stamp(p.CreatedAt), ContentView: contentView(p.Content), At: textOr(p.At),
		TimeZone: textOr(p.TimeZone), Undo: textOr(p.Undo), Labels: listOf(p.Labels), Targets: make([]TargetView, 0, len(p.Targets)), Series: idOr(p.Series),
		Deliveries: make([]Delivery, 0, len(v.Deliveries)), Warnings: issues(p.Warnings), Notes: listOf(p.Notes),
	}
	for i := range p.Targets {
		t := &p.Targets[i]
		out.Targets = append(out.Targets, TargetView{
			Target: compose.TargetOf(t), Destination: textOr(t.Destination), Delivery: t.Delivery.String(),
		})
	}
	for i := range v.Deliveries {
		out.Deliveries = append(out.Deliveries, s.delivery(&v.Deliveries[i]))
	}
	return out
}

// answerPost is a single post as an answer.
func (s *sight) answerPost(status int, v *store.PostView) *answer {
	out := &answer{status: status, body: s.view(v), etag: tagOfPost(v.Version)}
	if status == http.StatusCreated {
		out.location = Base + "/posts/" + v.Post.ID.String()
	}
	return out
}

func (s *sight) answerDelivery(v *store.DeliveryView) *answer {
	return &answer{body: s.whole(v), etag: tagOfDelivery(v.Delivery.Version)}
}

func (s *sight) edited(e *store.Edited) Edited {
	out := Edited{Post: s.view(&e.View), Changed: []string{}, Kept: []KeptView{}}
	for _, id := range e.Changed {
		out.Changed = append(out.Changed, id.String())
	}
	for _, k := range e.Kept {
		out.Kept = append(out.Kept, KeptView{Delivery: k.Delivery.String(), Why: k.Why})
	}
	return out
}
