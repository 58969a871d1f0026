package all_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/adapters/all"
	"crier/internal/post"
)

func TestDriversAreWhole(t *testing.T) {
	t.Parallel()
	var got []post.Platform
	for _, d := range all.Drivers() {
		got = append(got, d.Platform)
		if d.Open == nil || d.Capabilities == nil || d.CommitTimeout <= 0 || len(d.Looks) == 0 || !slices.IsSorted(d.Looks) {
			t.Errorf("the driver of %s lacks something", d.Platform)
			continue
		}
		if c := d.Capabilities(post.Account{Platform: d.Platform}); c.Platform != d.Platform || len(c.Fields) == 0 {
			t.Errorf("capabilities of %s: %+v", d.Platform, c)
		}
	}
	want := []post.Platform{post.Twitter, post.Facebook, post.Reddit, post.YouTube}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}
