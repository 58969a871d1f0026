package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestTheTableShowsMedianSpreadAndRatiosWithinEachRound(t *testing.T) {
	t.Parallel()
	rows := []row{
		{name: "first", rounds: []figures{
			{rate: 30_000, p50: 100 * time.Millisecond, p99: 200 * time.Millisecond, single: 7000, bulk: 50_000},
			{rate: 10_000, p50: 300 * time.Millisecond, p99: 600 * time.Millisecond, single: 6000, bulk: 40_000},
			{rate: 20_000, p50: 200 * time.Millisecond, p99: 400 * time.Millisecond, single: 5000, bulk: 30_000},
		}},
		{name: "second", rounds: []figures{
			{rate: 10_000, p50: 1234 * time.Millisecond, p99: 2 * time.Second, single: 1000},
			{rate: 10_000, p50: 1234 * time.Millisecond, p99: 3 * time.Second, single: 1000},
			{rate: 1_000, p50: 1234 * time.Millisecond, p99: 4800 * time.Millisecond, single: 1000},
		}},
	}
	var b strings.Builder
	if err := writeTable(&b, options{rounds: 3, load: load{jobs: 10_000, inFlight: 1000, queued: 100_000, callers: 64}}, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"10,000 jobs due at one instant, 1,000 in flight at most, no-op work, 100,000 others queued for later; 3 rounds",
		"| first | 20,000 (10,000–30,000) | 200 (100–300) | 400 (200–600) | 1.0 (1.0–1.0) | 1.0 (1.0–1.0) | 6,000 (5,000–7,000) | 40,000 (30,000–50,000) |\n",
		"| second | 10,000 (1,000–10,000) | 1,230 (1,230–1,230) | 3,000 (2,000–4,800) | 3.0 (1.0–20) | 10 (5.0–12) | 1,000 (1,000–1,000) | – |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func TestAPercentileIsTheLeastValueThatCoversIt(t *testing.T) {
	t.Parallel()
	sorted := make([]time.Duration, 200)
	for i := range sorted {
		sorted[i] = time.Duration(i + 1)
	}
	for p, want := range map[int]time.Duration{0: 1, 50: 100, 99: 198, 100: 200} {
		if got := percentile(sorted, p); got != want {
			t.Errorf("percentile %d is %d, want %d", p, got, want)
		}
	}
}

func TestTheMedianOfAnEvenNumberLiesBetweenTheTwoInTheMiddle(t *testing.T) {
	t.Parallel()
	if got := median([]float64{1, 2, 4, 9}); got != 3 {
		t.Errorf("median %v, want 3", got)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-rounds", "0"}, {"-queued", "-1"}, {"-ahead", "1s"}, {"-only", "("}, {"-inflight", "0"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
