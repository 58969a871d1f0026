package adaptertest

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/adapters"
	"crier/internal/post"
)

// whole is a suite without a flaw, as far as it is looked at before it runs.
func whole() Suite {
	return Suite{
		Driver: adapters.Driver{Platform: post.Reddit}, Samples: []Sample{{}}, Limits: []Limit{{}}, Refusals: []Refusal{{}},
		Listing: "x", Page: 1, Tokens: "x", Whose: "x",
		Skip: map[string]string{"duplicate": "so", "prepare": "so", "prepare faults": "so"},
	}
}

func TestNoGroupIsSkippedInSilence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Suite)
		want   []string
	}{
		"whole":               {func(*Suite) {}, nil},
		"a name that is none": {func(s *Suite) { s.Skip["duplicates"] = "so" }, []string{"there is no group duplicates to skip"}},
		"no reason":           {func(s *Suite) { s.Skip["duplicate"] = " " }, []string{"the group duplicate is skipped without a reason"}},
		"no leave":            {func(s *Suite) { s.Skip["wall"] = "so" }, []string{"the group wall may not be skipped by reddit"}},
		"a new platform": {func(s *Suite) {
			s.Driver.Platform, s.Skip = "new", map[string]string{"tokens": "so"}
			s.Duplicate, s.Uploads = true, "x"
		}, []string{"the group tokens may not be skipped by new"}},
		"nothing to do": {func(s *Suite) { delete(s.Skip, "duplicate"); s.Page = 0 }, []string{"the group duplicate has nothing to test and is not skipped", "the group find page 2 has nothing to test and is not skipped"}},
	} {
		s := whole()
		tt.change(&s)
		if diff := cmp.Diff(tt.want, s.flaws()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestWhatMayBeSkipped holds the list itself: what keeps a promise is skipped by nobody.
func TestWhatMayBeSkipped(t *testing.T) {
	t.Parallel()
	var names []string
	for _, g := range groups() {
		if slices.Contains(names, g.name) {
			t.Errorf("two groups are called %s", g.name)
		}
		names = append(names, g.name)
	}
	free := []string{"tokens", "duplicate", "prepare", "prepare faults"}
	for platform, list := range skippable {
		for _, name := range list {
			if !slices.Contains(names, name) || !slices.Contains(free, name) {
				t.Errorf("%s may skip %s", platform, name)
			}
		}
	}
}

func TestWhatARequestProvesItselfWith(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		authorization, query string
		want                 []string
	}{
		"bearer":    {"Bearer abc", "", []string{"abc"}},
		"basic":     {"basic eDp5", "appsecret_proof=1f", []string{"eDp5", "1f"}},
		"signature": {`OAuth oauth_token="t", oauth_signature="a%2Bb%3D"`, "", []string{"a+b=", "a%2Bb%3D"}},
		"upload":    {"", "upload_id=u&x=y", []string{"u"}},
		"nothing":   {"", "x=y", []string{}},
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/?"+tt.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", tt.authorization)
		if diff := cmp.Diff(tt.want, secretsOf(q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
