package adapters_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crier/adapters"
	"crier/internal/post"
)

// plain can do nothing but publish.
type plain struct{ adapters.Adapter }

// verifying can also say whose token it holds.
type verifying struct {
	plain
	id string
}

func (v verifying) Verify(context.Context) (adapters.Identity, error) {
	return adapters.Identity{ID: v.id}, nil
}

// wrapped hides an adapter.
type wrapped struct {
	plain
	inner adapters.Adapter
}

func (w wrapped) Unwrap() adapters.Adapter { return w.inner }

func TestACapabilityIsFoundThroughWrappers(t *testing.T) {
	t.Parallel()
	inner := verifying{id: "inner"}
	for name, tc := range map[string]struct {
		adapter adapters.Adapter
		want    string
	}{
		"nothing at all":              {nil, ""},
		"an adapter without it":       {plain{}, ""},
		"an adapter with it":          {inner, "inner"},
		"behind one wrapper":          {wrapped{inner: inner}, "inner"},
		"behind two":                  {wrapped{inner: wrapped{inner: inner}}, "inner"},
		"a wrapper around nothing":    {wrapped{}, ""},
		"a wrapper without it at all": {wrapped{inner: plain{}}, ""},
	} {
		v, ok := adapters.As[adapters.Verifier](tc.adapter)
		if ok != (tc.want != "") {
			t.Errorf("%s: found %v", name, ok)
			continue
		}
		if !ok {
			continue
		}
		if id, err := v.Verify(t.Context()); err != nil || id.ID != tc.want {
			t.Errorf("%s: %q, %v", name, id.ID, err)
		}
	}
	if _, ok := adapters.As[adapters.Refresher](wrapped{inner: inner}); ok {
		t.Error("a capability was found that nobody has")
	}
}

func TestWhatAPartSays(t *testing.T) {
	t.Parallel()
	c := post.Content{
		Text: "post", Media: []post.Media{{ID: "m0"}}, FirstComment: "comment",
		Thread: []post.Reply{{Text: "first"}, {Text: "second", Media: []post.Media{{ID: "m1"}}}},
	}
	for _, tc := range []struct {
		role  post.Role
		reply int
		text  string
		media []post.Media
	}{
		{post.RolePost, 0, "post", c.Media},
		{post.RoleReply, 0, "first", nil},
		{post.RoleReply, 1, "second", c.Thread[1].Media},
		{post.RoleReply, 2, "", nil},
		{post.RoleReply, -1, "", nil},
		{post.RoleComment, 0, "comment", nil},
		{post.RoleFollowUp, 0, "", nil},
		{"other", 0, "", nil},
	} {
		r := adapters.Request{Role: tc.role, Reply: tc.reply, Content: c}
		if r.Text() != tc.text || cmp.Diff(tc.media, r.Attachments()) != "" {
			t.Errorf("%s %d says %q with %v", tc.role, tc.reply, r.Text(), r.Attachments())
		}
	}
}

func TestHandlesByName(t *testing.T) {
	t.Parallel()
	r := adapters.Request{Handles: []post.Handle{{Name: "a", Part: 1}, {Name: "b", Part: 2}}}
	if h, ok := r.Handle("b"); !ok || h.Part != 2 {
		t.Errorf("b is %+v, %v", h, ok)
	}
	if _, ok := r.Handle("c"); ok {
		t.Error("c is there")
	}
}
