package app_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"crier/internal/sandbox"
)

const (
	// fairRounds is how often the daemon must have answered since the last delivery got settled before it counts as
	// stuck: where it gets no time to run, the clock proves nothing.
	fairRounds = 150
	// fairPace is how often it is asked at the least, and its disk made to sync, on the average, on a machine that has time
	// to spare.
	fairPace = 120 * time.Millisecond
)

// soon is how long after a restart, the looks included, everything has to be settled, or to wait for a person or a time
// with a reason. What a person does then begins it anew. On a busy machine it counts from the last delivery that got
// settled.
func soon() time.Duration {
	looks := crashLooks()
	return 10*time.Second + looks[len(looks)-1]
}

// settle waits until nothing is on its way any more, and plays the person where Crier asks for one. What waits until a
// stated time after a failure may wait on, unless this is the end.
func (s *siege) settle(end bool) {
	s.t.Helper()
	began := time.Now()
	patience := soon()
	if end {
		patience = 150 * time.Second // the pauses after failures are longer
	}
	last, least, rounds := began, -1, 0
	from, asked, acts := began, 0, s.persons+s.hurried
	for {
		rounds++
		asked++
		s.sync()
		open := s.open()
		busy := s.person(open)
		if n := s.persons + s.hurried; n != acts {
			from, asked, acts = time.Now(), 0, n
		}
		if len(open) == 0 || busy == 0 && !end {
			break
		}
		if busy = len(open); least < 0 || busy < least {
			last, least, rounds = time.Now(), busy, 0
		}
		if time.Since(last) > patience && rounds > fairRounds {
			s.autopsy()
			for _, d := range open {
				s.t.Logf("%s on %s is %s, reason %+v, holds %v, next %s, parts %+v", d.ID, d.Account, d.State, d.Reason, d.Holds, d.NextAttemptAt, d.Parts)
			}
			s.t.Fatalf("round %d: not settled in time\n%s", s.round, s.d.log)
		}
		if pause(s.t.Context(), 50*time.Millisecond) != nil {
			return
		}
	}
	switch took := time.Since(from); {
	case end:
	case took > fairPace*time.Duration(asked+1):
		s.crowded++
	case took > soon():
		s.t.Fatalf("round %d: it took %s to settle, want %s at most\n%s", s.round, took, soon(), s.d.log)
	default:
		s.longest = max(s.longest, took)
	}
}

// sync makes the disk do what a commit asks of it: where others keep it busy, that takes its time, and reading does not.
func (s *siege) sync() {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.dir, "pace"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	for range 2 {
		_, err = f.WriteAt([]byte(time.Now().String()), 0)
		if err = errors.Join(err, f.Sync()); err != nil {
			s.t.Fatal(errors.Join(err, f.Close()))
		}
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// autopsy logs what the platforms were asked last and what the daemon's goroutines do, and ends it.
func (s *siege) autopsy() {
	s.t.Helper()
	var asked []sandbox.Request
	s.admin(http.MethodGet, "requests", nil, &asked)
	for _, r := range asked[max(0, len(asked)-40):] {
		s.t.Logf("%s %s %s by %q: %d", r.Time.Format(time.StampMilli), r.Method, r.Path, r.Identity, r.Status)
	}
	if s.d.cmd.Process.Signal(syscall.SIGQUIT) == nil {
		<-s.d.done
	}
}

// person does what a person would who is asked: it looks at the platform and says what is there, and sends at once what
// waits after a failure. It gives how many deliveries wait neither for a person nor, with their queue, for a time.
func (s *siege) person(open []delivery) (busy int) {
	s.t.Helper()
	waiting := map[string]bool{} // queues whose first one waits
	for _, d := range open {
		switch {
		case d.State == "unconfirmed" && (d.reason() == "not_seen" || d.reason() == "ambiguous"):
			s.decide(d)
		case d.State == "scheduled" && len(d.Holds) > 0, d.reason() == "look_failed":
			waiting[d.Account] = true
		case d.State == "scheduled" && d.reason() != "" && time.Until(d.NextAttemptAt) > 5*time.Second:
			waiting[d.Account] = true
			// One of which a part is out keeps its time, and is refused.
			if a := s.as(d.by).ask(http.MethodPost, "/deliveries/"+d.ID+"/reschedule", m{"at": "now"}); a.status == http.StatusOK {
				s.hurried++
			} else if a.status != http.StatusConflict {
				s.t.Fatalf("round %d: rescheduling: %d %s", s.round, a.status, a.body)
			}
		}
	}
	for _, d := range open {
		if !waiting[d.Account] {
			busy++
		}
	}
	return busy
}

// decide looks at the platforms and says what became of a delivery that was in doubt to the end.
func (s *siege) decide(d delivery) {
	s.t.Helper()
	c := s.as(d.by)
	a := c.ask(http.MethodGet, "/deliveries/"+d.ID, nil)
	one := read[struct {
		Content struct {
			Text   string
			Thread []struct{ Text string }
		}
		Parts []part
	}](s.t, a)
	text := one.Content.Text
	for i, part := range one.Parts {
		if part.State == "unconfirmed" && i > 0 {
			text = one.Content.Thread[i-1].Text
		}
	}
	verdict := m{"verdict": "not_published", "then": "retry"}
	for _, act := range s.record() {
		if act.Platform == d.Platform && act.Text == text && act.Public {
			verdict = m{"verdict": "published", "url": publicOf(s.base, act.URL)}
		}
	}
	switch a := c.ask(http.MethodPost, "/deliveries/"+d.ID+"/resolve", verdict, "If-Match", a.header.Get("ETag")); a.status {
	case http.StatusOK:
		s.persons++
	case http.StatusPreconditionFailed, http.StatusConflict: // it has moved on since
	default:
		s.t.Fatalf("round %d: resolving: %d %s", s.round, a.status, a.body)
	}
}

// record is what is out.
func (s *siege) record() []sandbox.Act {
	s.t.Helper()
	var all []sandbox.Act
	s.admin(http.MethodGet, "record", nil, &all)
	return slices.DeleteFunc(all, func(a sandbox.Act) bool { return !a.Public || a.Deleted || a.Kind == "thumbnail" })
}

// compare holds the platforms' record against what was asked for: each act once, where it belongs, in the right name.
func (s *siege) compare() {
	s.t.Helper()
	type act struct{ platform, text string }
	acts := map[act]sandbox.Act{}
	byID := map[[2]string]sandbox.Act{}
	for _, a := range s.record() {
		if _, twice := acts[act{a.Platform, a.Text}]; twice {
			s.t.Errorf("round %d: %s has it twice: %q", s.round, a.Platform, a.Text)
		}
		acts[act{a.Platform, a.Text}], byID[[2]string{a.Platform, a.RemoteID}] = a, a
		text, _, reply := strings.Cut(a.Text, ", ")
		l := s.byText[text]
		if l == nil || reply && !slices.Contains(l.parts, a.Text) || !slices.Contains(l.out, place{a.Platform, a.Identity}) {
			s.t.Errorf("round %d: nobody asked for %q by %s on %s", s.round, a.Text, a.Identity, a.Platform)
		}
		if parent, ok := byID[[2]string{a.Platform, a.Parent}]; reply && (!ok || !strings.HasPrefix(parent.Text, text)) {
			s.t.Errorf("round %d: %q answers %q", s.round, a.Text, parent.Text)
		}
	}
	if s.t.Failed() {
		s.t.Fatalf("the daemon said:\n%s", s.d.log)
	}
}

// complete asks, at the end, that all that was accepted is out, that each delivery holds the platform's own proof, which
// no other holds, and that its post tells how it came to that.
func (s *siege) complete() {
	s.t.Helper()
	if len(s.unanswered) > 0 {
		s.t.Errorf("%d letters never got an answer", len(s.unanswered))
	}
	acts := map[[2]string]sandbox.Act{}
	out := map[[2]string]bool{}
	for _, a := range s.record() {
		acts[[2]string{a.Platform, a.RemoteID}] = a
		out[[2]string{a.Platform, a.Text}] = true
	}
	held := map[[2]string]string{}
	for i, l := range s.letters {
		for _, p := range l.out {
			for _, text := range append([]string{l.text}, l.parts...) {
				if !out[[2]string{p.platform, text}] {
					s.t.Errorf("it was accepted and is not on %s: %q", p.platform, text)
				}
			}
		}
		p := want[postView](s.as(l.key), http.StatusOK, http.MethodGet, "/posts/"+l.id, nil)
		if p.State != "published" || len(p.Deliveries) != len(l.out) {
			s.t.Errorf("%q is %s with %d deliveries, and is for %d", l.text, p.State, len(p.Deliveries), len(l.out))
		}
		for _, d := range p.Deliveries {
			for _, part := range d.Parts {
				if part.Receipt == nil {
					s.t.Errorf("%q has a part without a receipt: %+v", l.text, part)
					continue
				}
				// Of what a person found on a Page, the address is the proof.
				key := [2]string{d.Platform, strings.TrimPrefix(part.Receipt.RemoteID, onPages)}
				if a, ok := acts[key]; !ok || !strings.HasPrefix(a.Text, l.text) {
					s.t.Errorf("the receipt %s of %q on %s is for %q", part.Receipt.RemoteID, l.text, d.Platform, a.Text)
				}
				if other, taken := held[key]; taken {
					s.t.Errorf("%q and %q hold the same receipt", l.text, other)
				}
				held[key] = l.text
			}
		}
		if i%10 == 0 { // each costs a request
			if a := s.as(l.key).ask(http.MethodGet, "/posts/"+l.id+"/history?limit=500", nil); a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"published"`)) {
				s.t.Errorf("%q does not tell how it came out: %d %s", l.text, a.status, a.body)
			}
		}
	}
	if len(s.letters) != len(s.byText) {
		s.t.Errorf("%d letters were written and %d accepted", len(s.byText), len(s.letters))
	}
}

// roundTrip posts JSON over a transport and gives the status.
func roundTrip(ctx context.Context, over http.RoundTripper, url string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := over.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
