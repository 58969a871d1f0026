package compose

import (
	"fmt"
	"slices"
	"strings"

	"crier/internal/post"
	"crier/store"
)

// stored finds a target, with its delivery, of the post as it is stored; nil when there is none.
func (c *composer) stored(id string) (*post.Target, *store.DeliveryView) {
	if id == "" || c.env.Earlier == nil {
		return nil, nil
	}
	for i := range c.env.Earlier.Post.Targets {
		t := &c.env.Earlier.Post.Targets[i]
		if t.ID.String() != strings.ToLower(id) {
			continue
		}
		for j := range c.env.Earlier.Deliveries {
			if v := &c.env.Earlier.Deliveries[j]; v.Delivery.ID == t.Delivery {
				return t, v
			}
		}
	}
	return nil, nil
}

// stays reports whether the request leaves a target as it is: it is out, on its way or withdrawn, or it is no draft
// when drafts are submitted. There says whether its account is there; of one that is not, what the request leaves as it
// was stays.
func (c *composer) stays(p *post.Post, i int, old *post.Target, d *post.Delivery, there bool) bool {
	t := &c.req.Targets[i]
	switch {
	case c.env.Submit:
		return d.State != post.Draft
	case !d.Changeable():
		return true
	case there || c.moves(t):
		return false
	}
	says := merged(p.Content, c.override(t, fmt.Sprintf("targets[%d]", i)), old.Platform)
	return says.Digest() == old.Content.Digest()
}

// keep takes over a target that stays as it is. Nothing about it is a problem of this request.
func (c *composer) keep(p *post.Post, i int, old *post.Target, d *post.Delivery, o *Outlet) {
	a := o.Account
	if a.Handle == "" { // it is not there any more
		a = post.Account{Handle: old.Account.Handle, Kind: old.Account.Kind, Platform: old.Platform, Owner: c.env.Earlier.Post.Owner}
	}
	c.kept[i] = true
	c.noteAgain(d)
	first := len(c.out.Problems)
	if d.State != post.Canceled {
		c.twice(old, i, fmt.Sprintf("targets[%d]", i))
	}
	c.out.Places = append(c.out.Places, Place{
		Account: a, Destination: old.Destination, Content: old.Content, Due: d.Due, Problems: slices.Clone(c.out.Problems[first:]),
	})
	c.goesTo(p, old, *d)
}
