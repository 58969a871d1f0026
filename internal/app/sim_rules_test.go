package app_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"crier/internal/sandbox"
)

// simRule is a promise, and how to ask whether it was kept: what broke it comes back in words.
type simRule struct {
	name string
	ask  func(*simWorld) []string
}

func simRules() []simRule {
	return []simRule{
		{"each act was asked for, is public once, by the right identity, and one delivery holds its proof", ruleOnce},
		{"what is said to be published is public", rulePublished},
		{"every accepted post ends, and says why when it is not out", ruleEnds},
		{"nothing goes out before its time", ruleNotEarly},
		{"one account's posts go out in order", ruleOrder},
		{"there is room between one account's posts", ruleRoom},
		{"the history of a post has no gap", ruleHistory},
	}
}

// fullDelivery is a delivery with its effective content.
type fullDelivery struct {
	delivery

	Content struct {
		Text   string
		Thread []struct{ Text string }
	}
}

func (f fullDelivery) text(part int) string {
	if part == 0 || part > len(f.Content.Thread) {
		return f.Content.Text
	}
	return f.Content.Thread[part-1].Text
}

func (w *simWorld) full(person, id string) fullDelivery {
	var full fullDelivery
	if status := w.call(person, http.MethodGet, "/deliveries/"+id, nil, &full); status != http.StatusOK {
		w.t.Errorf("reading the delivery %s: %d", id, status)
	}
	return full
}

// deliveries are all that a person sees.
func (w *simWorld) deliveries(person string) (all []delivery) {
	for cursor := ""; ; {
		var page struct {
			Items      []delivery
			NextCursor *string `json:"next_cursor"`
		}
		if w.call(person, http.MethodGet, "/deliveries?limit=500"+cursor, nil, &page) != http.StatusOK {
			return all
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(*page.NextCursor)
	}
}

// everything is all deliveries of the team, with their content, each once.
func (w *simWorld) everything() []fullDelivery {
	if w.ended != nil {
		return w.ended
	}
	seen := map[string]bool{}
	for _, person := range w.people {
		for _, d := range w.deliveries(person) {
			if !seen[d.ID] {
				seen[d.ID] = true
				w.ended = append(w.ended, w.full(person, d.ID))
				w.did["ended "+d.State]++
			}
		}
	}
	return w.ended
}

// public is what the world sees on the platforms, in the order in which it came.
func (w *simWorld) public() []sandbox.Act {
	all := slices.DeleteFunc(w.box.Record(), func(a sandbox.Act) bool { return !a.Public || a.Kind == "thumbnail" })
	slices.SortStableFunc(all, func(a, b sandbox.Act) int { return a.At.Compare(b.At) })
	return all
}

// same reports whether a part's receipt is the proof of an act. Of what a person found on a Page, the address is it.
func (w *simWorld) same(d delivery, p part, act sandbox.Act) bool {
	return d.Platform == act.Platform && w.account(d.Account).identity == act.Identity && strings.TrimPrefix(p.Receipt.RemoteID, onPages) == act.RemoteID
}

func ruleOnce(w *simWorld) (broken []string) {
	for _, act := range w.public() {
		var holders []string
		for _, d := range w.everything() {
			for i, p := range d.Parts {
				if p.Receipt == nil || !w.same(d.delivery, p, act) {
					continue
				}
				holders = append(holders, d.ID)
				if d.text(i) != act.Text {
					broken = append(broken, fmt.Sprintf("%s holds the receipt of %q and is about %q", d.ID, act.Text, d.text(i)))
				}
			}
		}
		if len(holders) != 1 {
			var claim []string
			for _, d := range w.everything() {
				if d.Content.Text == act.Text {
					claim = append(claim, fmt.Sprintf("%s %s %s %+v", d.ID, d.State, d.reason(), d.AttemptsLog))
				}
			}
			broken = append(broken, fmt.Sprintf("%q of %s by %s at %s is held by %v, of %v", act.Text, act.Platform, act.Identity, act.At.Format(time.TimeOnly), holders, claim))
		}
	}
	return broken
}

func rulePublished(w *simWorld) (broken []string) {
	acts := w.public()
	for _, d := range w.everything() {
		for _, p := range d.Parts {
			there := p.Receipt != nil && slices.ContainsFunc(acts, func(a sandbox.Act) bool { return w.same(d.delivery, p, a) })
			if (d.State == "published" || p.State == "published" || p.Receipt != nil) && !there {
				broken = append(broken, fmt.Sprintf("%s is %s with the receipt %+v", d.ID, d.State, p.Receipt))
			}
		}
	}
	return broken
}

func ruleEnds(w *simWorld) (broken []string) {
	for _, p := range w.posts {
		var got postView
		if status := w.call(p.person, http.MethodGet, "/posts/"+p.id, nil, &got); status != http.StatusOK || len(got.Deliveries) != len(p.deliveries) {
			broken = append(broken, fmt.Sprintf("%q is gone: %d, %d deliveries", p.text, status, len(got.Deliveries)))
		}
	}
	for _, d := range w.everything() {
		switch d.State {
		case "published", "canceled":
		case "scheduled":
			// A hold is on the account, and names what a person has to do.
			if !slices.ContainsFunc(d.Holds, func(h hold) bool { return h.Reason == "needs_reconnect" }) {
				broken = append(broken, fmt.Sprintf("%s on %s still waits, %s, holds %v, next %v", d.ID, d.Account, d.reason(), d.Holds, d.NextAttemptAt))
			}
		case "failed", "missed", "partial":
			if d.reason() == "" {
				broken = append(broken, d.ID+" is "+d.State+" without a reason")
			}
		default:
			broken = append(broken, fmt.Sprintf("%s on %s is still %s, %s, holds %v, next %v", d.ID, d.Account, d.State, d.reason(), d.Holds, d.NextAttemptAt))
		}
	}
	return broken
}

// ruleNotEarly goes by the clock as the machine showed it: the latest that it showed in the minutes before the act, for
// an act may be carried out late.
func ruleNotEarly(w *simWorld) (broken []string) {
	for _, o := range w.outs() {
		if shown := o.act.At.Add(w.most(o.act.At.Add(-15*time.Minute), o.act.At)); shown.Before(o.of.Due.Add(-time.Millisecond)) && !w.wasMoved(o.of.Post) {
			broken = append(broken, fmt.Sprintf("%q went out at %v, and was due at %v", o.act.Text, shown, o.of.Due))
		}
	}
	return broken
}

// most is how much too late the clock showed at most in a span of true time.
func (w *simWorld) most(from, to time.Time) time.Duration {
	var before, most time.Duration
	for _, s := range w.steps {
		switch {
		case !s.at.After(from):
			before = s.skew
		case !s.at.After(to):
			most = max(most, s.skew)
		default:
		}
	}
	return max(most, before)
}

func (w *simWorld) wasMoved(id string) bool {
	return slices.ContainsFunc(w.posts, func(p *simPost) bool { return p.id == id && p.moved })
}

// out is a delivery's first act.
type out struct {
	of  fullDelivery
	act sandbox.Act
}

// outs are the first acts of all deliveries in the order in which they became public.
func (w *simWorld) outs() (all []out) {
	acts := w.public()
	for _, d := range w.everything() {
		if len(d.Parts) == 0 || d.Parts[0].Receipt == nil {
			continue
		}
		for _, a := range acts {
			if w.same(d.delivery, d.Parts[0], a) {
				all = append(all, out{d, a})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b out) int { return a.act.At.Compare(b.act.At) })
	return all
}

// straight keeps those whose first part went out by its only attempt, of posts that nobody moved.
func (w *simWorld) straight() map[string][]out {
	lanes := map[string][]out{}
	for _, o := range w.outs() {
		if !w.wasMoved(o.of.Post) && len(o.of.AttemptsLog) > 0 && o.of.AttemptsLog[0].Outcome == "published" {
			lanes[o.of.Account] = append(lanes[o.of.Account], o)
		}
	}
	return lanes
}

func ruleOrder(w *simWorld) (broken []string) {
	born := map[string]time.Time{}
	for _, p := range w.posts {
		born[p.id] = p.created
	}
	for account, lane := range w.straight() {
		for i, later := range lane {
			made, known := born[later.of.Post]
			if !known {
				continue
			}
			for _, earlier := range lane[:i] {
				if earlier.of.Due.After(later.of.Due) && made.Before(earlier.act.At.Add(-time.Minute)) && !later.of.wasEdited() {
					broken = append(broken, fmt.Sprintf("on %s %q (due %v) overtook %q (due %v)", account, earlier.act.Text, earlier.of.Due, later.act.Text, later.of.Due))
				}
			}
		}
	}
	return broken
}

// wasEdited reports whether the text was changed: what had failed before is sent by that, after others.
func (f fullDelivery) wasEdited() bool { return strings.HasSuffix(f.Content.Text, ", edited") }

// ruleRoom leaves out the minutes around a step of the clock, which the machine cannot know the length of.
func ruleRoom(w *simWorld) (broken []string) {
	const slow = 25 * time.Second // what a slow platform may take
	for account, lane := range w.straight() {
		gap := w.account(account).minGap
		for i := 1; i < len(lane); i++ {
			a, b := lane[i-1], lane[i]
			apart := b.act.At.Sub(a.act.At)
			stepped := slices.ContainsFunc(w.steps, func(s simStep) bool {
				return s.at.After(a.act.At.Add(-15*time.Minute)) && s.at.Before(b.act.At)
			})
			if apart < gap-slow && !stepped {
				broken = append(broken, fmt.Sprintf("on %s %q went out %v after %q, and the gap is %v", account, b.act.Text, apart, a.act.Text, gap))
			}
		}
	}
	return broken
}

func ruleHistory(w *simWorld) (broken []string) {
	type change struct {
		Seq      uint64
		Type     string
		Delivery *string
		From, To *string
	}
	states := map[string]string{}
	for _, d := range w.everything() {
		states[d.ID] = d.State
	}
	for _, p := range w.posts {
		var page list[change]
		if w.call(p.person, http.MethodGet, "/posts/"+p.id+"/history?limit=500", nil, &page) != http.StatusOK {
			broken = append(broken, p.id+" has no history")
			continue
		}
		if !slices.IsSortedFunc(page.Items, func(a, b change) int { return cmp.Compare(a.Seq, b.Seq) }) {
			broken = append(broken, p.id+" has a history out of order")
		}
		now := map[string]string{}
		for _, c := range page.Items {
			if c.Delivery == nil || c.To == nil {
				continue
			}
			if from := deref(c.From); now[*c.Delivery] != from {
				broken = append(broken, fmt.Sprintf("%s went from %q to %q, and was %q", *c.Delivery, from, *c.To, now[*c.Delivery]))
			}
			now[*c.Delivery] = *c.To
		}
		for _, id := range p.deliveries {
			if now[id] != states[id] {
				broken = append(broken, fmt.Sprintf("%s is %q, and its history ends with %q", id, states[id], now[id]))
			}
		}
	}
	return broken
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
