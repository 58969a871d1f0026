package post_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"crier/internal/post"
)

func at(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

// A set of spans against one boolean for each second.
func TestSpansAgainstBruteForce(t *testing.T) {
	t.Parallel()
	const width = 400
	rapid.Check(t, func(t *rapid.T) {
		var spans post.Spans
		var covered [width]bool
		small := rapid.Bool().Draw(t, "few")
		n := 300
		if small {
			n = 20
		}
		for range rapid.IntRange(0, n).Draw(t, "adds") {
			from := rapid.IntRange(0, width-1).Draw(t, "from")
			to := min(from+rapid.IntRange(-2, 6).Draw(t, "length"), width)
			before := append(post.Spans(nil), spans...)
			next := spans.Add(at(from), at(to))
			for i := range before {
				if spans[i] != before[i] {
					t.Fatal("Add changed its receiver")
				}
			}
			spans = next
			for i := from; i < to; i++ {
				covered[i] = true
			}
		}
		if len(spans) > 32 {
			t.Fatalf("%d spans are kept", len(spans))
		}
		for i, s := range spans {
			if !s.From.Before(s.To) || (i > 0 && !spans[i-1].To.Before(s.From)) {
				t.Fatalf("span %d of %v is empty, out of order or touches the one before", i, spans)
			}
		}
		from, to := rapid.IntRange(0, width).Draw(t, "a"), rapid.IntRange(0, width).Draw(t, "b")
		want := time.Duration(0)
		for i := from; i < to; i++ {
			if covered[i] {
				want += time.Second
			}
		}
		got := spans.Within(at(from), at(to))
		if got < want || (small && got != want) {
			t.Fatalf("within [%d, %d): %s, want %s", from, to, got, want)
		}
	})
}

func TestLateness(t *testing.T) {
	t.Parallel()
	excused := post.Spans{}.Add(at(10), at(20)).Add(at(30), at(40))
	for _, tc := range []struct {
		due, from, now int
		want           time.Duration
	}{
		{0, 0, 0, 0},
		{10, 0, 5, 0},
		{0, 0, 10, 10 * time.Second},
		{0, 0, 15, 10 * time.Second},
		{0, 0, 50, 30 * time.Second},
		{15, 0, 35, 10 * time.Second},
		{0, 25, 50, 15 * time.Second}, // a person waived what went before
		{30, 10, 50, 10 * time.Second},
		{12, 0, 18, 0},
	} {
		d := &post.Delivery{Due: at(tc.due)}
		if tc.from > 0 {
			d.LateFrom = at(tc.from)
		}
		if got := d.Late(at(tc.now), excused); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

func TestAHoldEndsAtItsTimeAndWhenTheClockStepsBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hold post.Hold
		now  time.Time
		open bool
	}{
		"without an end":                    {post.Hold{Since: at(0)}, at(1_000_000), false},
		"without an end, clock stepped":     {post.Hold{Since: at(1000)}, at(0), false},
		"before its end":                    {post.Hold{Since: at(0), Until: at(10)}, at(9), false},
		"at its end":                        {post.Hold{Since: at(0), Until: at(10)}, at(10), true},
		"set a moment ahead of our reading": {post.Hold{Since: at(5), Until: at(10)}, at(0), false},
		"set before the clock stepped back": {post.Hold{Since: at(6), Until: at(10)}, at(0), true},
	} {
		if got := tc.hold.Open(tc.now); got != tc.open {
			t.Errorf("%s: %v", name, got)
		}
	}
}
