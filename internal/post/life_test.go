package post_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"crier/internal/post"
)

// Whatever happens to a delivery, in whatever order: a receipt is never lost, no part is claimed before the one before
// it is out, a fence never falls, and what is out is never called canceled, failed or missed.
func TestNoLifeLosesAReceipt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := in(rapid.SampledFrom([]post.State{post.Draft, post.InReview, post.Scheduled}).Draw(t, "born"), false)
		receipts := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now := noon.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "now")) * time.Second)
			fence, before := d.Fence, d.State
			part := min(d.NextPart(), 1)
			fenceOf := d.Fence - uint64(rapid.IntRange(0, 1).Draw(t, "stale"))
			var err error
			step := rapid.SampledFrom([]string{
				"begin", "cancel", "miss", "hand over", "retry", "reschedule", "accept", "submit", "resolve", "out", "settle", "proof",
			}).Draw(t, "step")
			switch step {
			case "begin":
				err = d.Begin(now)
			case "cancel":
				err = d.Cancel()
			case "miss":
				err = d.Miss("late", "late")
			case "hand over":
				err = d.HandOver()
			case "retry":
				err = d.Retry(now)
			case "reschedule":
				err = d.Reschedule(now)
			case "accept":
				err = d.Accept()
			case "submit":
				err = d.Submit(now)
			case "resolve":
				err = d.Resolve(post.Verdict{Cancel: rapid.Bool().Draw(t, "and cancel")}, now)
			case "out":
				err = d.Resolve(post.Verdict{Published: true, Receipt: *receipt("x")}, now)
			case "settle":
				_, err = d.Settle(post.Settled{
					Part: part, Fence: fenceOf, Counted: rapid.Bool().Draw(t, "counted"), Began: now,
					To:     rapid.SampledFrom([]post.State{post.Scheduled, post.Failed, post.Unconfirmed}).Draw(t, "to"),
					Absent: rapid.Bool().Draw(t, "absent"), Resend: rapid.Bool().Draw(t, "resend"),
				}, now)
			case "proof":
				_, err = d.Settle(post.Settled{Part: part, Fence: fenceOf, Receipt: receipt("y")}, now)
			}
			if err != nil && d.State != before {
				t.Fatalf("%s was refused (%v) and moved %s to %s", step, err, before, d.State)
			}
			n := 0
			for i := range d.Parts {
				if d.Parts[i].Receipt != nil {
					n++
				}
			}
			if n < receipts || d.Fence < fence {
				t.Fatalf("%s lost a receipt or lowered the fence", step)
			}
			receipts = n
			if !d.State.Valid() {
				t.Fatalf("%s led to %q", step, d.State)
			}
			switch d.State {
			case post.Canceled, post.Failed, post.Missed:
				if receipts > 0 {
					t.Fatalf("%s: %s with %d receipts", step, d.State, receipts)
				}
			case post.Published:
				if receipts < len(d.Parts) && step != "accept" && before != post.Published {
					t.Fatalf("%s: published with %d receipts", step, receipts)
				}
			case post.Unconfirmed:
				if d.Doubt == nil || !d.InDoubt() {
					t.Fatalf("%s: unconfirmed without a doubt", step)
				}
			case post.Draft, post.InReview, post.Scheduled, post.Sending, post.Partial, post.AwaitingPerson, post.Removed:
			}
		}
	})
}
