package adaptertest

import (
	"testing"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// testClock has the machine's clock be wrong. Find is given the platform's own time, so that each part is found, whatever
// the machine takes the time to be.
func testClock(t *testing.T, s *Suite) {
	for name, off := range map[string]time.Duration{"fast": 20 * time.Minute, "slow": -20 * time.Minute} {
		for _, sample := range s.Samples {
			row(t, s, name+", "+sample.Name, func(t *testing.T, r *Rig) {
				t.Helper()
				env := r.Env(0)
				env.Now = func() time.Time { return time.Now().Add(off) }
				a, err := s.Driver.Open(env)
				if err != nil {
					t.Fatal(err)
				}
				d := r.Delivery(sample.Content)
				for d.Left() > 0 {
					since := time.Now()
					if err := d.Prepare(a); err != nil {
						t.Fatal(err)
					}
					role := d.Request().Role
					remove := r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Times: 1})
					_, err := d.Publish(a)
					remove()
					if e := adapters.AsError(err); err == nil || e.Fate != adapters.Unknown {
						t.Fatalf("%s: got %v, want fate unknown", role, err)
					}
					acts := r.Public()
					look, err := d.Find(a, since)
					if err != nil || look.Sight != adapters.Found || look.Receipt.RemoteID != acts[len(acts)-1].RemoteID {
						if role == post.RoleFollowUp && err == nil && look.Sight == adapters.Never {
							return // what is only set again
						}
						t.Fatalf("%s: %+v, %v; want it found", role, look, err)
					}
					d.Receipts = append(d.Receipts, look.Receipt)
				}
			})
		}
	}
}
