package app_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The environment of the simulation: how many seeds, or the one to play again.
const (
	simSeedsEnv = "CRIER_SIM_SEEDS"
	simSeedEnv  = "CRIER_SIM_SEED"
)

// TestSimulation plays days of Crier's life in fake time: the whole daemon with its real store, scheduler, adapters and
// API, the platforms in miniature behind connections in memory, people who write, change their minds and decide, and all
// that goes wrong: faults of the platforms, kills, restarts, steps of the clock. Then it asks the rules of simRules.
//
// What joins is one entry: something that people do in simActs, a platform in simPlatforms, a promise in simRules. What
// happens is drawn from the seed by one goroutine, so that a seed tells the same story again up to the order in which
// goroutines of the daemon run at one instant.
func TestSimulation(t *testing.T) { //nolint:tparallel // see below
	// Not beside tests that start processes: a child holds, until it is another program, what its parent has open, and
	// with it the lock of a store. A daemon waits for that, but the time of a bubble passes at once.
	seeds := make([]uint64, simNumber(t, simSeedsEnv, 3))
	for i := range seeds {
		seeds[i] = uint64(i) + 1
	}
	if os.Getenv(simSeedEnv) != "" {
		seeds = []uint64{uint64(simNumber(t, simSeedEnv, 0))}
	}
	total := make(chan map[string]int, len(seeds))
	t.Cleanup(func() { // when all seeds have ended
		close(total)
		sum := map[string]int{}
		for counts := range total {
			for what, n := range counts {
				sum[what] += n
			}
		}
		t.Logf("%d seeds: %v", len(seeds), sum)
	})
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { total <- play(t, seed) })
		})
	}
}

func simNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// simAct is something that people, platforms or machines do. It is drawn as often as its weight says.
type simAct struct {
	name   string
	weight int
	do     func(*simWorld)
}

func simActs() []simAct {
	return []simAct{
		{"post", 30, (*simWorld).post},
		{"thread", 6, (*simWorld).thread},
		{"launch on several platforms", 8, (*simWorld).launch},
		{"say the same twice", 3, (*simWorld).twins},
		{"film", 2, (*simWorld).film},
		{"edit", 6, (*simWorld).edit},
		{"reschedule", 5, (*simWorld).reschedule},
		{"cancel", 5, (*simWorld).cancel},
		{"retry", 6, (*simWorld).retry},
		{"decide", 8, (*simWorld).decide},
		{"pause an account", 3, (*simWorld).pauseAccount},
		{"resume an account", 5, (*simWorld).resumeAccount},
		{"stop", 1, (*simWorld).stopKind},
		{"resume", 4, (*simWorld).resumeKind},
		{"begin a series", 2, (*simWorld).beginSeries},
		{"end a series", 1, (*simWorld).endSeries},
		{"a platform misbehaves", 12, (*simWorld).misbehave},
		{"platforms behave", 3, (*simWorld).behave},
		{"a token dies", 1, (*simWorld).tokenDies},
		{"reconnect", 2, (*simWorld).reconnect},
		{"restart", 4, (*simWorld).restart},
		{"kill", 5, (*simWorld).kill},
		{"kill around the next write", 4, (*simWorld).killAroundWrite},
		{"a commit reports an error", 2, (*simWorld).commitInDoubt},
		{"leave an account out", 1, (*simWorld).leaveOut},
		{"take accounts back", 3, (*simWorld).takeBack},
		{"a step of the clock", 2, (*simWorld).stepClock},
		{"set the clock right", 4, (*simWorld).setClock},
	}
}

// play is one seed from the first post to the judgement.
func play(t *testing.T, seed uint64) map[string]int {
	t.Helper()
	lot := rand.New(rand.NewPCG(seed, 7))
	begin := time.Date(2026, time.October, 24, 18, 0, 0, 0, time.UTC) // the clocks go back in Europe that night
	time.Sleep(time.Until(begin))
	size, span := 1, 9*time.Hour
	switch {
	case seed%50 == 0:
		size, span = 25, 6*time.Hour // hundreds of accounts
	case seed%25 == 0:
		size, span = 3, 9*24*time.Hour // over the American change of clocks as well
	}
	w := newSimWorld(t, lot, size)
	defer w.close()
	w.begin()
	acts := simActs()
	var wheel []int
	for i, a := range acts {
		wheel = append(wheel, slices.Repeat([]int{i}, a.weight)...)
	}
	for end := begin.Add(span); time.Now().Before(end) && !t.Failed(); {
		a := acts[wheel[lot.IntN(len(wheel))]]
		w.note("%s", a.name)
		a.do(w)
		w.did[a.name]++
		w.pass(time.Duration(lot.ExpFloat64() * float64(8*time.Minute)))
	}
	w.calm()
	for _, r := range simRules() {
		if broken := r.ask(w); len(broken) > 0 {
			t.Errorf("%s: %s", r.name, strings.Join(broken[:min(len(broken), 5)], "\n\t"))
		}
	}
	if t.Failed() {
		t.Logf("%s=%d plays it again; what went before:\n%s", simSeedEnv, seed, strings.Join(w.story[max(0, len(w.story)-simTail()):], "\n"))
	}
	w.did["acts on the platforms"] += len(w.box.Record())
	return w.did
}

// simTail is how many lines of the story a failure tells.
func simTail() int {
	if os.Getenv(simSeedEnv) != "" {
		return 1 << 20
	}
	return 40
}

func (w *simWorld) note(format string, args ...any) {
	w.story = append(w.story, time.Now().Format("01-02 15:04:05.000 ")+fmt.Sprintf(format, args...))
}
