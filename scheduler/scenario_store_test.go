package scheduler_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crier/internal/post"
	"crier/scheduler"
	"crier/store"
	"crier/store/bolt"
)

// The scenarios of the store and of what it is told: an old file, a copied one, a full disk, other accounts, an edited
// series.

// once fails the test if a text is out more than once.
func (w *world) once() {
	w.t.Helper()
	count := map[string]int{}
	for _, s := range w.p.out() {
		if count[s.Text]++; count[s.Text] == 2 {
			w.t.Errorf("%q is out twice", s.Text)
		}
	}
}

// live starts the scheduler as the daemon does: what is overdue is sorted out before the first turn.
func (w *world) live() {
	w.t.Helper()
	w.ok(w.planner().CatchUp(w.t.Context()))
	w.start()
}

// days lets a long time go by in which the planners come round every ten minutes: an upkeep by the second would take
// the test itself too long.
func days(d time.Duration, worlds ...*world) {
	for ; d > 0; d -= 10 * time.Minute {
		for _, w := range worlds {
			w.ok(w.planner().Plan(w.t.Context()))
			w.s.Nudge()
		}
		worlds[0].pass(min(d, 10*time.Minute))
	}
}

func TestAStoreRestoredFromYesterday(t *testing.T) {
	t.Parallel()
	for name, restore := range map[string]func(w *world, backup string) error{
		"by the command": func(w *world, backup string) error {
			return bolt.Restore(w.t.Context(), w.dir, backup, w.now())
		},
		"by copying the file back": func(w *world, backup string) error {
			return os.Rename(backup, filepath.Join(w.dir, bolt.FileName))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := account("acme", post.Brand)
			a.MaxLate = 2 * time.Hour
			inWorld(t, func(w *world) {
				s := w.series("6h", "once", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10")
				w.live()
				w.spread("acme", 30, 90, 25*60, 26*60)
				w.send("acme", "soon after", 26*time.Hour+150*time.Minute)
				w.p.set(func() { w.p.script["acme"] = []behaviour{accept, accept, blackHole} })
				w.pass(90*time.Minute + 10*time.Second) // the third request is in flight
				backup := filepath.Join(w.t.TempDir(), "yesterday")
				w.ok(w.store.Backup(w.t.Context(), backup))
				days(24*time.Hour+50*time.Minute, w)
				out := w.p.out()
				w.once()
				w.end()
				w.ok(w.store.Close())
				w.ok(restore(w, backup))
				w.open()
				w.live()
				w.pass(90 * time.Minute)
				if now := w.p.out(); len(now) != len(out) {
					t.Errorf("before a person has looked, a restored store sent %v", now[len(out):])
				}
				if got := w.status("acme"); got != post.StatusRestored {
					t.Errorf("the account is %s", got)
				}
				// A person has looked: what yesterday's store believes to be due and is out since is missed.
				w.ok(w.store.ReleaseLane(w.t.Context(), w.by(), store.Release{Account: w.key("acme"), Late: store.LateMiss, Reasons: []post.HoldReason{post.HoldRestored}}))
				days(48*time.Hour, w)
				w.once()
				if last := w.p.texts("acme-id"); !slices.Contains(last, "soon after") || !slices.Contains(last, "s10") {
					t.Errorf("what lay ahead did not go out: %q", last)
				}
				if len(w.runs(s.ID)) != 10 {
					t.Errorf("the series has %q", w.runs(s.ID))
				}
			}, a)
		})
	}
}

func TestAStoreCopiedToAnotherMachine(t *testing.T) {
	t.Parallel()
	for name, into := range map[string]func(w *world, dir string){
		"its file alone": func(w *world, dir string) {
			backup := filepath.Join(w.t.TempDir(), "copy")
			w.ok(w.store.Backup(w.t.Context(), backup))
			w.ok(copyTo(filepath.Join(dir, bolt.FileName), backup))
		},
		"its whole folder": func(w *world, dir string) {
			w.end()
			w.ok(w.store.Close())
			w.ok(os.CopyFS(dir, os.DirFS(w.dir)))
			w.open()
			w.live()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if name == "its whole folder" && !w.tellsCopies() {
					t.Skip("this file system does not say when a file was made")
				}
				w.series("6h", "once", "s1", "s2", "s3", "s4")
				w.live()
				ids := w.spread("acme", 30, 90, 150)
				w.pass(40 * time.Minute)
				other := &world{
					t: w.t, p: w.p, dir: w.t.TempDir(), began: w.began, accounts: w.accounts, grace: w.grace, max: w.max,
					ids: 1 << 32, events: make(chan scheduler.Event, 4096),
				}
				into(w, other.dir)
				other.open()
				defer other.close()
				other.live()
				days(24*time.Hour, w, other)
				w.once()
				if n := len(w.p.out()); n != 7 {
					t.Errorf("%d are out, want 7", n)
				}
				for m, id := range ids {
					w.is(id, post.Published)
					if d := other.get(id); m > 40 && d.State != post.Scheduled {
						t.Errorf("on the other machine the delivery is %s", d.State)
					}
				}
				if got := other.status("acme"); got != post.StatusRestored {
					t.Errorf("on the other machine the account is %s", got)
				}
			})
		})
	}
}

// A folder that was put back as a whole, note and all, is as old as one whose file alone was.
func TestAFolderRolledBackAsAWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		if !w.tellsCopies() {
			t.Skip("this file system does not say when a file was made")
		}
		w.live()
		w.spread("acme", 30, 90, 180)
		w.pass(40 * time.Minute)
		w.end()
		w.ok(w.store.Close())
		yesterday := filepath.Join(t.TempDir(), "yesterday")
		w.ok(os.CopyFS(yesterday, os.DirFS(w.dir)))
		w.open()
		w.live()
		w.pass(time.Hour)
		out := len(w.p.out())
		w.end()
		w.ok(w.store.Close())
		w.ok(os.RemoveAll(w.dir))
		w.ok(os.CopyFS(w.dir, os.DirFS(yesterday)))
		w.open()
		w.live()
		w.pass(3 * time.Hour)
		w.once()
		if got := w.status("acme"); got != post.StatusRestored || len(w.p.out()) != out {
			t.Errorf("the account is %s, and %d are out after %d", got, len(w.p.out()), out)
		}
	})
}

// A folder that moves, or whose file system does, is the same one.
func TestAFolderThatWasMovedIsNoCopy(t *testing.T) {
	inWorld(t, func(w *world) {
		w.live()
		id := w.send("acme", "one", time.Hour)
		for _, name := range []string{"moved", "moved again"} {
			w.pass(time.Minute)
			w.end()
			w.ok(w.store.Close())
			dir := filepath.Join(filepath.Dir(w.dir), name)
			w.ok(os.Rename(w.dir, dir))
			w.dir = dir
			w.open()
			w.live()
		}
		w.pass(2 * time.Hour)
		w.is(id, post.Published)
	})
}

func copyTo(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}

func TestAResultThatCannotBeWrittenBecauseTheDiskIsFull(t *testing.T) {
	t.Parallel()
	one, two := account("one", post.Brand), account("two", post.Brand)
	t.Run("and has room again", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["one"] = []behaviour{slow}
			w.start()
			first := w.send("one", "first", time.Second)
			second := w.send("two", "second", 2*time.Second)
			w.pass(1500 * time.Millisecond)
			w.store.failing.Store(true)
			w.pass(time.Minute)
			w.is(first, post.Sending)
			w.is(second, post.Scheduled)
			w.said("two-id")
			if w.s.Status(nil).Halted == "" {
				t.Error("the status does not say that nothing is claimed")
			}
			if n := w.store.turns.Load(); n > 200 {
				t.Errorf("%d turns in a minute in which none could succeed", n)
			}
			w.store.failing.Store(false)
			w.pass(3 * time.Second)
			w.is(first, post.Published)
			w.is(second, post.Published)
			w.said("one-id", "first")
			if h := w.s.Status(nil).Halted; h != "" {
				t.Errorf("it still says %q", h)
			}
		}, one, two)
	})
	t.Run("until the program ends", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.p.script["one"] = []behaviour{slow}
			w.start()
			id := w.send("one", "first", time.Second)
			w.pass(1500 * time.Millisecond)
			w.store.failing.Store(true)
			w.pass(time.Minute)
			w.end()
			w.is(id, post.Sending)
			w.ok(w.store.Close())
			w.open()
			w.start()
			w.pass(10 * time.Minute)
			w.is(id, post.Published)
			w.said("one-id", "first")
		}, one, two)
	})
}

func TestAnAccountThatVanishesFromTheConfiguration(t *testing.T) {
	stays, goes := account("stays", post.Brand), account("goes", post.Brand)
	inWorld(t, func(w *world) {
		w.p.script["goes"] = []behaviour{cutAfter}
		w.p.hidden = true
		w.start()
		doubtful := w.send("goes", "one", time.Second)
		overdue := w.send("goes", "two", 10*time.Minute)
		ahead := w.send("goes", "three", 3*time.Hour)
		w.send("stays", "here", 20*time.Minute)
		w.pass(5 * time.Second)
		w.is(doubtful, post.Unconfirmed)
		w.end()
		w.ok(w.store.Close())
		w.accounts = []post.Account{stays}
		w.open()
		w.startWithChores(nil)
		w.pass(time.Hour)
		w.said("stays-id", "here")
		w.said("goes-id", "one")
		if got := w.status("goes"); got != post.StatusRemoved {
			t.Errorf("the account is %s", got)
		}
		w.is(doubtful, post.Unconfirmed, "look_failed")
		w.is(overdue, post.Scheduled)
		w.is(ahead, post.Scheduled)
		w.end()
		w.ok(w.store.Close())
		w.accounts = []post.Account{stays, goes}
		w.p.set(func() { w.p.hidden = false })
		w.open()
		w.startWithChores(nil)
		w.pass(4 * time.Hour)
		w.is(doubtful, post.Published)
		w.is(overdue, post.Missed, "too_late")
		w.is(ahead, post.Published)
		w.said("goes-id", "one", "three")
	}, stays, goes)
}

func TestOneIdentityBehindTwoAccounts(t *testing.T) {
	first, second := account("first", post.Brand), account("second", post.Personal)
	second.Identity = first.Identity
	inWorld(t, func(w *world) {
		w.start()
		w.pass(time.Second)
		statuses := map[post.AccountStatus]string{w.status("first"): "first"}
		statuses[w.status("second")] = "second"
		winner := statuses[post.StatusOK]
		if len(statuses) != 2 || winner == "" || statuses[post.StatusWrongIdentity] == "" {
			t.Fatalf("the accounts are %v, want one ok and one of a wrong identity", statuses)
		}
		w.send("first", "as first", time.Second)
		w.send("second", "as second", time.Second)
		w.pass(time.Minute)
		w.said("first-id", "as "+winner)
		// Who was first stays so, whatever the order at the next start.
		for range 3 {
			w.end()
			slices.Reverse(w.accounts)
			w.startWithChores(nil)
			w.pass(10 * time.Minute)
			if got := w.status(winner); got != post.StatusOK {
				t.Errorf("after a restart the first account is %s", got)
			}
			w.said("first-id", "as "+winner)
		}
	}, first, second)
}

func TestASeriesEditedWhileItsOccurrencesWait(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.series("1h", "cycle", "old")
		w.p.script["acme"] = []behaviour{accept, cutBefore}
		w.live()
		days(2*time.Hour, w)
		w.pass(30 * time.Second) // the first run is out, the second in doubt, the others wait
		s, err := w.store.SeriesByID(w.t.Context(), s.ID)
		w.ok(err)
		s.Posts, s.Used, s.Planned = []json.RawMessage{json.RawMessage(`"new"`)}, 0, w.now()
		s, err = w.store.EditSeries(w.t.Context(), w.by(), s, s.Version)
		w.ok(err)
		days(4*time.Hour, w)
		w.said("acme-id", "old", "old", "new", "new", "new", "new")
		for i, at := range w.times("acme-id") {
			if at.Truncate(time.Hour) != time.Duration(i+1)*time.Hour {
				t.Errorf("run %d went out after %s", i+1, at)
			}
		}
		w.ok(w.store.DeleteSeries(w.t.Context(), w.by(), s.ID, s.Version))
		days(6*time.Hour, w)
		w.said("acme-id", "old", "old", "new", "new", "new", "new")
		for _, line := range w.runs(s.ID) {
			if strings.HasSuffix(line, " scheduled") {
				t.Errorf("a run of a series that is gone waits: %s", line)
			}
		}
	})
}

// tellsCopies reports whether a file can be told from its copy here: by when it was made, which Linux says of most file
// systems.
func (w *world) tellsCopies() bool {
	w.t.Helper()
	note, err := os.ReadFile(filepath.Join(w.dir, bolt.FileName+".marker"))
	w.ok(err)
	return strings.Contains(string(note), `"born"`)
}
