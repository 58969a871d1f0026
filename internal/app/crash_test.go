package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"crier/internal/app"
	"crier/internal/sandbox"
	"crier/store/bolt"
)

const (
	roundsEnv = "CRIER_CRASH_ROUNDS"
	seedEnv   = "CRIER_CRASH_SEED"
)

// TestCrashLoop kills the daemon, and now and then the platforms, while posts are queued and go out: at every named
// point in turn, each followed by a kill at a random moment. Daemon and platforms are processes of their own, and the
// platforms misbehave. After each restart everything has to be settled soon, and the platforms' own record is held
// against what was accepted: each public act once, in the right name, none lost, none stuck.
//
// CRIER_CRASH_ROUNDS says how many kills; CRIER_CRASH_SEED makes the choices of an earlier run again.
//
//nolint:tparallel // one siege after the other
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	rounds, seed := 3, uint64(time.Now().UnixNano())
	if s := os.Getenv(roundsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	if s := os.Getenv(seedEnv); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("seed %d, %d rounds", seed, rounds)
	points, kills := namedPoints(), map[point]int{}
	for first := 0; first < rounds && !t.Failed(); first += siegeRounds {
		end := min(first+siegeRounds, rounds)
		t.Run(fmt.Sprintf("rounds %d to %d", first, end-1), func(t *testing.T) {
			for p, n := range besiege(t, seed, first, end) {
				kills[p] += n
			}
		})
	}
	for _, p := range points[:min((rounds+1)/2, len(points))] {
		if kills[p] == 0 {
			t.Errorf("nothing was killed %s", p)
		}
	}
}

// siegeRounds bounds the rounds on one store and one set of platforms: their record grows with each, and with it the time
// that the miniature platforms take to list it.
const siegeRounds = 100

// besiege plays rounds from one on and gives how often what was killed.
func besiege(t *testing.T, seed uint64, first, end int) map[point]int {
	t.Helper()
	s := newSiege(t, seed)
	points := namedPoints()
	for round := first; round < end; round++ {
		s.begin(round)
		if round%2 == 1 {
			s.anyMoment()
			continue
		}
		p := points[round/2%len(points)]
		switch p {
		case inMigration:
			s.migration()
		case askedBackup:
			s.backup()
		case sandboxKilled, bothKilled:
			s.platformsToo(p)
		default:
			s.trapped(p)
		}
		s.settle(false)
		s.compare()
	}
	s.finish()
	s.table(end - first)
	return s.kills
}

// siege is the world of the crash loop.
type siege struct {
	t      *testing.T
	seed   uint64
	round  int
	lot    *rand.Rand // of the round's choices
	dir    string
	config string
	data   string

	stage stage
	box   *process // the platforms
	base  string
	d     *process // the daemon, nil while none runs

	letters    []*letter
	byText     map[string]*letter
	unanswered []*letter
	picture    string
	film       string

	kills   map[point]int
	persons int           // how often a person had to decide
	hurried int           // how often one sent at once what waited after a failure
	longest time.Duration // that it took to settle after a restart, or after what a person did last
	crowded int           // how often a machine without time to spare made that say nothing
}

// crashLooks is the horizon of the crash loop: its platforms' listings are never late.
func crashLooks() []time.Duration {
	return []time.Duration{400 * time.Millisecond, 800 * time.Millisecond, 1200 * time.Millisecond}
}

func newSiege(t *testing.T, seed uint64) *siege {
	t.Helper()
	dir := t.TempDir()
	s := &siege{
		t: t, seed: seed, dir: dir, data: filepath.Join(dir, "data"), byText: map[string]*letter{}, kills: map[point]int{},
		stage: stage{Listen: "127.0.0.1:0", Journal: filepath.Join(dir, "platforms.jsonl")},
	}
	s.raise()
	s.config = writeConfig(t, dir, s.base, "")
	t.Cleanup(func() {
		s.fell()
		s.box.kill()
	})
	s.start(trap{})
	picture, film := picture(t, 77), app.DemoFilm(1<<20)
	for _, key := range []string{app.DemoKey, app.DemoKeyMia} {
		s.picture, s.film = s.as(key).upload("picture.png", picture, ""), s.as(key).upload("film.mp4", film, "")
	}
	return s
}

// begin makes the choices of a round its own: those of earlier rounds, which depend on time, do not change them.
func (s *siege) begin(round int) {
	s.round, s.lot = round, rand.New(rand.NewPCG(s.seed, uint64(round)))
}

// raise starts the platforms, with what they published in their earlier lives.
func (s *siege) raise() {
	s.t.Helper()
	s.box = spawn(s.t, sandboxEnv, s.stage)
	if s.box.url == "" {
		s.t.Fatalf("the platforms did not start:\n%s", s.box.log)
	}
	s.base = s.box.url
	s.stage.Listen = strings.TrimPrefix(s.base, "http://")
}

// start starts the daemon, which a trap may have killed before it was ready, and repeats what got no answer from the
// last one.
func (s *siege) start(tr trap) {
	s.t.Helper()
	o := orders{Config: s.config, Looks: crashLooks(), Grace: 2 * time.Second, Trap: tr}
	if s.d = spawn(s.t, daemonEnv, o); s.d.url == "" && !s.sprung(tr.Point) {
		s.t.Fatalf("round %d: the daemon did not start:\n%s", s.round, s.d.log)
	}
	if s.d.url == "" {
		return
	}
	again := s.unanswered
	s.unanswered = nil
	for _, l := range again {
		s.send(s.t.Context(), l)
	}
}

// fell kills the daemon from outside, if one runs.
func (s *siege) fell() {
	if s.d != nil {
		s.d.kill()
		s.d = nil
	}
}

// sprung reports whether the daemon killed itself at the point.
func (s *siege) sprung(p point) bool {
	return p != "" && !s.d.running() && slices.Contains(s.d.words(), sprung+string(p))
}

// count counts a kill.
func (s *siege) count(p point) { s.kills[p]++ }

// anyMoment sends letters and kills the daemon in the middle of whatever it does.
func (s *siege) anyMoment() {
	s.t.Helper()
	forget := s.misbehave(3)
	s.running()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(30+s.lot.IntN(600))*time.Millisecond)
	s.write(ctx, 1000, "")
	cancel()
	s.fell()
	if s.lot.IntN(6) > 0 { // else they go on into the next life: what was sent once more may be lost again
		forget()
	}
	s.count(randomMoment)
}

// running makes sure that a daemon without a trap runs.
func (s *siege) running() {
	s.t.Helper()
	if s.d == nil || !s.d.running() {
		s.start(trap{})
	}
}

// trapped starts the daemon with a trap and gives it what leads it there. When it does not come there in time, or is
// through too soon, it is killed from outside, at what is then a random moment, and tried again.
func (s *siege) trapped(p point) {
	s.t.Helper()
	tr := trap{Point: p, Wait: time.Duration(s.lot.IntN(700)) * time.Microsecond}
	switch p {
	case inClaim, inSettle, filmUpload, pictureUpload, betweenParts, nightlyBackup:
	default:
		tr.Skip = s.lot.IntN(4)
	}
	for range 4 {
		s.fell()
		if s.sends(tr) {
			break
		}
		tr.Skip, tr.Wait = 0, tr.Wait/3
	}
	s.fsck(filepath.Join(s.data, bolt.FileName))
	s.start(trap{})
}

// sends is one life of a daemon with a trap; it reports whether the trap killed it.
func (s *siege) sends(tr trap) bool {
	s.t.Helper()
	forget := s.misbehave(1)
	defer forget()
	s.start(tr)
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
	defer cancel()
	s.write(ctx, 12, tr.Point)
	select {
	case <-s.d.done:
	case <-ctx.Done():
	}
	switch {
	case s.d.running():
		s.fell()
		s.count(randomMoment)
		return false
	case s.sprung(tr.Point):
		s.count(tr.Point)
	default:
		s.t.Fatalf("round %d: the daemon ended by itself:\n%s", s.round, s.d.log)
	}
	return true
}

// fsck checks the files of a pattern that no process has open.
func (s *siege) fsck(pattern string) {
	s.t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		if problems, err := bolt.Fsck(f); err != nil || len(problems) > 0 {
			s.t.Fatalf("round %d: %s: %v %q", s.round, f, err, problems)
		}
	}
}

// platformsToo kills the platforms while requests are on their way to them, and with bothKilled the daemon as well.
// What they published before is in their journal; half an upload is not.
func (s *siege) platformsToo(p point) {
	s.t.Helper()
	s.running()
	s.settle(false) // so that the brand's queues do not wait after a failure
	if p == bothKilled || s.lot.IntN(2) == 0 {
		s.admin(http.MethodPost, "faults", m{"kind": sandbox.PublishThenHang}, nil) // out, and nobody hears of it
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(10+s.lot.IntN(120))*time.Millisecond)
	defer cancel()
	s.write(ctx, 100, p)
	if p == bothKilled && s.lot.IntN(2) == 0 {
		s.fell()
	}
	s.box.kill()
	if p == bothKilled {
		s.fell()
		s.fsck(filepath.Join(s.data, bolt.FileName))
	}
	away := time.Duration(s.lot.IntN(200)) * time.Millisecond
	if p == bothKilled && s.lot.IntN(4) > 0 {
		s.start(trap{})
		looks := crashLooks()
		away += looks[len(looks)-1] // no look of this time proves anything
	}
	_ = pause(s.t.Context(), away)
	s.raise()
	s.count(p)
	s.running()
}

// backup kills the daemon while it writes the copy that somebody asked for.
func (s *siege) backup() {
	s.t.Helper()
	s.running()
	s.write(s.t.Context(), 6, "")
	name := filepath.Join(s.dir, fmt.Sprintf("asked-%d.db", s.round))
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	asked := make(chan int, 1)
	go func() { asked <- s.askLocally(ctx, "/_local/backup", m{"path": name}) }()
	if err := whenThere(ctx, name+".tmp", nil, time.Duration(s.lot.IntN(2500))*time.Microsecond); err != nil {
		s.t.Fatalf("round %d: no backup began: %v", s.round, err)
	}
	s.fell()
	if status := <-asked; status == http.StatusNoContent {
		s.count(randomMoment) // it was finished already
		s.fsck(name)
	} else {
		s.count(askedBackup)
		s.fsck(filepath.Join(s.dir, "asked-*.db")) // what has its name is whole
	}
	s.fsck(filepath.Join(s.data, bolt.FileName))
	s.start(trap{})
}

// misbehave arms faults at the platforms' posting calls, each for a few of them.
func (s *siege) misbehave(most int) (forget func()) {
	s.t.Helper()
	kinds := []sandbox.FaultKind{
		sandbox.PublishThenCut, sandbox.PublishThenStatus, sandbox.PublishThenEmpty, sandbox.CutBefore, sandbox.HTML502,
		sandbox.PublishThenHang, sandbox.HangBefore, sandbox.PublishThenHalf,
	}
	for _, platform := range []string{"twitter", "facebook", "reddit", "youtube"} {
		if s.lot.IntN(2) == 0 {
			continue
		}
		s.admin(http.MethodPost, "faults", m{
			"platform": platform, "kind": kinds[s.lot.IntN(len(kinds))], "times": 1 + s.lot.IntN(most), "status": 500,
			"delay": "300ms", "after": s.lot.IntN(3),
		}, nil)
	}
	return func() { s.admin(http.MethodDelete, "faults", nil, nil) }
}

// finish lets everything end: what waited is settled, the files are whole, and the record is what was asked for.
func (s *siege) finish() {
	s.t.Helper()
	s.running()
	s.settle(true)
	s.compare()
	s.complete()
	s.d.stop(s.t)
	s.d = nil
	s.fsck(filepath.Join(s.data, bolt.FileName))
	s.fsck(filepath.Join(s.data, "backups", "crier-*.db"))
}

// table prints what was done.
func (s *siege) table(rounds int) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d rounds: %d posts accepted, %d acts on the platforms\n", s.seed, rounds, len(s.letters), len(s.record()))
	fmt.Fprintf(&b, "a person decided %d times, and %d times sent at once what waited after a failure\n", s.persons, s.hurried)
	fmt.Fprintf(&b, "the longest that a restart took to settle: %s of %s; not measured on a busy machine: %d times\n",
		s.longest.Round(10*time.Millisecond), soon(), s.crowded)
	for _, p := range append(namedPoints(), randomMoment) {
		fmt.Fprintf(&b, "%5d killed %s\n", s.kills[p], p)
	}
	s.t.Log(b.String())
}
