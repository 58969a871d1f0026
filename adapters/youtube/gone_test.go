package youtube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// patient prepares again after every safe failure, as the scheduler does, and gives how often it had to.
func patient(t *testing.T, r *adaptertest.Rig, d *adaptertest.Delivery) (failures int) {
	t.Helper()
	for ; failures < 5; failures++ {
		err := d.Prepare(r.Open(0))
		if err == nil {
			return failures
		}
		e, typed := errors.AsType[*adapters.Error](err)
		if !typed || e.Fate != adapters.Absent || e.Reason != adapters.Server && e.Reason != adapters.Network {
			t.Fatalf("got %v of type %T, want absent and one that is tried again", err, err)
		}
		time.Sleep(time.Minute)
	}
	t.Fatal("preparing gets nowhere")
	return failures
}

const upload = "PUT /youtube/upload/youtube/v3/videos"

func opens(r *adaptertest.Rig) int {
	n := 0
	for _, q := range r.Sandbox.Requests() {
		if q.Method == http.MethodPost && strings.HasSuffix(q.Path, "/upload/youtube/v3/videos") {
			n++
		}
	}
	return n
}

// TestUploadWhoseAddressIsGone has the address end at every point. What did not arrive is uploaded anew, once two looks
// have not found it.
func TestUploadWhoseAddressIsGone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusNotFound, http.StatusGone} {
		for name, body := range map[string]string{"in its own form": apiError(status, "notFound"), "as a page": "<html></html>", "without a body": ""} {
			for after, at := range []string{"the first chunk", "the last chunk"} {
				t.Run(fmt.Sprintf("%d %s at %s", status, name, at), func(t *testing.T) {
					t.Parallel()
					s := suite()
					adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
						d := r.Delivery(s.Samples[1].Content)
						// The chunk, the question after it, and the question of the next two tries.
						r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: status, Body: body, Match: upload, After: after, Times: 4})
						if n := patient(t, r, d); n != 2 {
							t.Errorf("%d failures, want the one that says it is gone and the first look", n)
						}
						if err := d.All(r.Open(0)); err != nil {
							t.Fatal(err)
						}
						if acts := r.Sandbox.Record(); len(acts) != 2 || acts[0].Media[0] != s.Files[1].Media.ID || opens(r) != 2 {
							t.Errorf("%d uploads, acts: %+v", opens(r), acts)
						}
					})
				})
			}
		}
	}
}

// TestTheVideoOfAnUploadThatIsGoneIsAdopted has all bytes arrive, and the address end before anybody heard of it.
func TestTheVideoOfAnUploadThatIsGoneIsAdopted(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"listed at once": 0, "listed late": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				c := s.Samples[1].Content
				// The same film is there already, for a delivery of its own.
				other := c
				other.FirstComment = "Not this one."
				if err := r.Delivery(other).Prepare(r.Open(0)); err != nil {
					t.Fatal(err)
				}
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Match: upload, After: 1, Times: 1})
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.LateListing, Match: upload, Delay: late})
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: http.StatusNotFound, Match: upload, After: 1})
				d := r.Delivery(c)
				patient(t, r, d)
				r.Sandbox.Behave()
				if err := d.All(r.Open(0)); err != nil {
					t.Fatal(err)
				}
				acts := r.Sandbox.Record()
				if len(acts) != 3 || opens(r) != 2 || acts[0].Public || !acts[1].Public || acts[1].Parent != "" {
					t.Errorf("%d uploads, acts: %+v", opens(r), acts)
				}
			})
		})
	}
}

// TestTheVideoOfAnUploadIsFoundByAWrongClock holds that the listing is read back to when YouTube says that the upload began.
func TestTheVideoOfAnUploadIsFoundByAWrongClock(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"fast": time.Hour, "slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				env := r.Env(0)
				env.Now = func() time.Time { return time.Now().Add(off) }
				a, err := s.Driver.Open(env)
				if err != nil {
					t.Fatal(err)
				}
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Match: upload, After: 1, Times: 1})
				r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Refuse, Status: http.StatusNotFound, Match: upload, After: 1})
				d := r.Delivery(s.Samples[1].Content)
				for range 2 {
					err = d.Prepare(a)
				}
				if err != nil || opens(r) != 1 || len(r.Sandbox.Record()) != 1 {
					t.Errorf("%v, %d uploads, %d videos; want the first one adopted", err, opens(r), len(r.Sandbox.Record()))
				}
			})
		})
	}
}

// TestAnOldAddressCountsAsGone holds that nobody waits for an upload of last week, and nobody forgets it.
func TestAnOldAddressCountsAsGone(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		d := r.Delivery(s.Samples[1].Content)
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.PublishThenCut, Match: upload, After: 1, Times: 1})
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.CutBefore, Match: upload, After: 1})
		if err := d.Prepare(r.Open(0)); err == nil {
			t.Fatal("the fault did not strike")
		}
		r.Sandbox.Behave()
		time.Sleep(6*24*time.Hour + time.Hour)
		before := chunks(r)
		if err := d.Prepare(r.Open(0)); err != nil {
			t.Fatal(err)
		}
		if n := chunks(r) - before; n != 0 || opens(r) != 1 || len(r.Sandbox.Record()) != 1 {
			t.Errorf("%d chunks, %d uploads, %d videos; want the old video adopted", n, opens(r), len(r.Sandbox.Record()))
		}
	})
}

// TestALongUploadSaysHowFarItCame holds that progress is saved on the way and when it ends early, so that an upload of
// hours is not taken for one that fails.
func TestALongUploadSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		p, ok := adapters.As[adapters.Preparer](r.Open(0))
		if !ok {
			t.Fatal("no Preparer")
		}
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.Slow, Match: upload, Delay: 2 * time.Minute})
		r.Sandbox.Misbehave(sandbox.Fault{Kind: sandbox.HangBefore, Match: upload, After: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		var saved []string
		err := p.Prepare(ctx, r.Delivery(s.Samples[1].Content).Request(), func(ctx context.Context, h post.Handle) error {
			saved = append(saved, h.Values[adapters.Progress])
			return ctx.Err()
		})
		if want := fmt.Sprint([]string{"", strconv.Itoa(chunk)}); err == nil || fmt.Sprint(saved) != want {
			t.Errorf("%v, saved %q; want an error and %s", err, saved, want)
		}
	})
}

func TestTheAddressIsSavedBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	s := suite()
	adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
		p, ok := adapters.As[adapters.Preparer](r.Open(0))
		if !ok {
			t.Fatal("no Preparer")
		}
		full := errors.New("disk full")
		err := p.Prepare(t.Context(), r.Delivery(s.Samples[0].Content).Request(), func(_ context.Context, h post.Handle) error {
			if opened, err := time.Parse(time.RFC3339, h.Values["opened"]); err != nil || h.Done || !h.Expires.IsZero() || !opened.Equal(time.Now()) {
				t.Errorf("handle %+v", h)
			}
			return full
		})
		if !errors.Is(err, full) || chunks(r) != 0 {
			t.Errorf("%v, %d chunks", err, chunks(r))
		}
	})
}
