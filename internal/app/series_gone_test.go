package app_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seriesGone is a series of the brand's first account on X and of its Page, made by a person, with what sam sees of it.
type seriesGone struct {
	*simWorld

	id string
}

// inSeries begins a series whose first run lies just behind what is planned ahead, so that its runs are made by what the
// configuration says later.
func inSeries(t *testing.T, author string, play func(s *seriesGone)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)))
		w := newSimWorld(t, rand.New(rand.NewPCG(1, 7)), 1)
		defer w.close()
		for _, a := range w.accounts {
			a.minGap = 0
		}
		w.begin()
		var made struct{ ID string }
		status := w.call(author, http.MethodPost, "/series", m{
			"every": "1h", "start": "2026-11-04T08:30", "time_zone": "UTC",
			"posts": []any{m{"text": "Good day", "title": "A day", "targets": []any{
				m{"account": "twitter-1", "title": ""},
				m{"account": "facebook-3", "title": ""},
				m{"account": "reddit-5", "options": m{"subreddit": "test"}},
			}}},
		}, &made)
		if status != http.StatusCreated {
			t.Fatalf("the series: status %d, %s", status, strings.Join(w.story, "\n"))
		}
		s := &seriesGone{simWorld: w, id: made.ID}
		if early := s.runs(); len(early) != 0 {
			t.Fatalf("made already: %v", early)
		}
		play(s)
	})
}

// restart ends the daemon and starts it with what the configuration says then.
func (s *seriesGone) restart(change func()) {
	s.end()
	change()
	s.begin()
}

// runs tells of each run by time, account, destination and state, with the reason or the holds behind it.
func (s *seriesGone) runs() []string {
	s.t.Helper()
	var all list[struct {
		Account, Destination, State string
		Due                         time.Time
		Reason                      *struct{ Code string }
		Holds                       []struct{ Reason string }
	}]
	if status := s.call("sam", http.MethodGet, "/deliveries?limit=500", nil, &all); status != http.StatusOK {
		s.t.Fatalf("listing the runs: %d", status)
	}
	out := []string{}
	for _, d := range all.Items {
		words := []string{d.Due.UTC().Format("15:04"), d.Account, d.Destination, d.State}
		if d.Reason != nil {
			words = append(words, d.Reason.Code)
		}
		for _, h := range d.Holds {
			words = append(words, h.Reason)
		}
		out = append(out, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
	}
	slices.Sort(out)
	return out
}

// problems are what the series says of its next run.
func (s *seriesGone) problems() []string {
	s.t.Helper()
	var view struct {
		Problems []struct{ Location, Code string }
	}
	if status := s.call("sam", http.MethodGet, "/series/"+s.id, nil, &view); status != http.StatusOK {
		s.t.Fatalf("reading the series: %d", status)
	}
	out := []string{}
	for _, p := range view.Problems {
		out = append(out, p.Location+" "+p.Code)
	}
	return out
}

// An account that is gone from the file keeps its queue, the runs of its series among it; the series goes on elsewhere.
func TestASeriesGoesOnWhereAnAccountIsGone(t *testing.T) {
	inSeries(t, "sam", func(s *seriesGone) {
		s.restart(func() { s.account("twitter-1").out, s.account("reddit-5").out = true, true })
		s.pass(2 * time.Hour)
		want := []string{
			"08:30 facebook-3 scheduled", "08:30 reddit-5 test scheduled account_removed", "08:30 twitter-1 scheduled account_removed",
			"09:30 facebook-3 scheduled", "09:30 reddit-5 test scheduled account_removed", "09:30 twitter-1 scheduled account_removed",
		}
		if diff := cmp.Diff(want, s.runs()); diff != "" {
			s.t.Errorf("without two accounts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{}, s.problems()); diff != "" {
			s.t.Errorf("the series says (-want +got):\n%s", diff)
		}
		s.restart(func() { s.account("twitter-1").out = false })
		if got := s.runs(); !slices.Contains(got, "08:30 twitter-1 scheduled") {
			s.t.Errorf("once the account is back: %v", got)
		}
	})
}

// Runs of a person who may no longer post are missed, and say why; so does the series.
func TestASeriesOfAPersonWhoMayNoLongerPostSaysSo(t *testing.T) {
	inSeries(t, "p1", func(s *seriesGone) {
		s.restart(func() {
			s.people = slices.DeleteFunc(s.people, func(p string) bool { return p == "p1" })
			for _, a := range s.accounts {
				a.out = a.owner == "p1"
			}
		})
		s.pass(time.Hour)
		want := []string{
			"08:30 facebook-3 missed run_refused", "08:30 reddit-5 test missed run_refused",
			"08:30 twitter-1 missed run_refused",
		}
		if diff := cmp.Diff(want, s.runs()); diff != "" {
			s.t.Errorf("runs (-want +got):\n%s", diff)
		}
		want = []string{"targets[0].account author_not_allowed", "targets[1].account author_not_allowed", "targets[2].account author_not_allowed"}
		if diff := cmp.Diff(want, s.problems()); diff != "" {
			s.t.Errorf("the series says (-want +got):\n%s", diff)
		}
	})
}
