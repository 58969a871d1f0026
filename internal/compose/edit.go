package compose

import (
	"slices"
	"strings"

	"crier/internal/post"
	"crier/store"
)

// MergePost applies a JSON merge patch to a stored post. Targets are the one list that is not simply replaced: an item
// with the id of a target that is there is merged into it, so is one without an id whose account has exactly one target
// there; a handle alone keeps that account's target; any other item is a new target, and a target that the list leaves
// out is dropped. What was withdrawn is found by its id and by a handle alone. Errors are of type *[BodyError].
func MergePost(view *store.PostView, raw []byte) (Request, error) {
	p := &view.Post
	patch, err := Parse(raw)
	if err != nil {
		return Request{}, err
	}
	if patch.kind != objectNode {
		return Request{}, bodyError("body", CodeType, "wanted: an object")
	}
	current, err := nodeOf(RequestOf(p))
	if err != nil {
		return Request{}, err
	}
	// Bound once on its own, so that a problem is told by its place in what was sent.
	var sent Request
	if err := patch.Bind(&sent); err != nil {
		return Request{}, err
	}
	whole := Merge(current, patch)
	if targets := patch.field("targets"); targets != nil && targets.kind == arrayNode {
		whole.set("targets", mergeTargets(view, current.field("targets"), targets))
	}
	var out Request
	if err := whole.Bind(&out); err != nil {
		return Request{}, err
	}
	if patch.field("undo") == nil && !out.atOnce() {
		out.Undo = "" // it belonged to a time that the patch has replaced
	}
	out.moves = patch.field("at") != nil
	out.rezones = patch.field("time_zone") != nil || patch.field("undo") != nil
	if targets := patch.field("targets"); targets != nil {
		for i, item := range targets.items {
			out.Targets[i].moves = item.field("at") != nil
		}
	}
	return out, nil
}

// atOnce reports whether the whole post goes at once.
func (r *Request) atOnce() bool {
	later := func(t Target) bool { return or(t.At, r.At) != "now" }
	return (len(r.Targets) > 0 || r.At == "now") && !slices.ContainsFunc(r.Targets, later)
}

// mergeTargets gives one target for each item of the patch, in its order.
func mergeTargets(view *store.PostView, current, patch *Node) *Node {
	m := merger{used: map[*Node]bool{}, withdrawn: map[string]bool{}}
	if current != nil {
		m.targets = current.items
	}
	for i := range view.Deliveries {
		if d := &view.Deliveries[i].Delivery; d.State == post.Canceled {
			m.withdrawn[d.Target.String()] = true
		}
	}
	found := make([]*Node, len(patch.items))
	for i, item := range patch.items { // ids first: nobody else gets what they name
		if id := textOf(item, "id"); id != "" {
			found[i] = m.take(func(t *Node) bool { return strings.EqualFold(textOf(t, "id"), id) })
		}
	}
	for i, item := range patch.items {
		switch {
		case found[i] != nil:
		case item.kind == stringNode:
			if found[i] = m.take(m.liveOf(item.text)); found[i] == nil {
				found[i] = m.take(func(t *Node) bool { return textOf(t, "account") == item.text })
			}
		case textOf(item, "id") == "" && m.count(m.liveOf(textOf(item, "account"))) == 1:
			found[i] = m.take(m.liveOf(textOf(item, "account")))
		}
	}
	out := &Node{kind: arrayNode}
	for i, item := range patch.items {
		switch {
		case found[i] == nil:
			out.items = append(out.items, item)
		case item.kind == stringNode:
			out.items = append(out.items, found[i])
		default:
			out.items = append(out.items, Merge(found[i], item))
		}
	}
	return out
}

// merger finds the targets that a patch means, each for one item.
type merger struct {
	targets   []*Node
	used      map[*Node]bool
	withdrawn map[string]bool // by id
}

// liveOf matches the targets of an account that were not withdrawn.
func (m *merger) liveOf(account string) func(*Node) bool {
	return func(t *Node) bool { return textOf(t, "account") == account && !m.withdrawn[textOf(t, "id")] }
}

// take gives the first target that matches and that no item has yet; nil when there is none.
func (m *merger) take(match func(*Node) bool) *Node {
	for _, t := range m.targets {
		if !m.used[t] && match(t) {
			m.used[t] = true
			return t
		}
	}
	return nil
}

func (m *merger) count(match func(*Node) bool) int {
	n := 0
	for _, t := range m.targets {
		if match(t) {
			n++
		}
	}
	return n
}

func textOf(n *Node, name string) string {
	if f := n.field(name); f != nil && f.kind == stringNode {
		return f.text
	}
	return ""
}

// EditOf says what an edit that was composed over view changes.
func EditOf(c *Composed, view *store.PostView) store.Edit {
	e := store.Edit{
		Post: c.New.Post, Version: view.Version, Changes: map[post.ID]store.DeliveryEdit{},
		Fingerprints: c.fingerprints(), Before: map[post.ID]string{},
	}
	for i := range view.Post.Targets {
		t := &view.Post.Targets[i]
		e.Before[t.Delivery] = Fingerprint(t)
	}
	stays := map[post.ID]bool{}
	for i := range view.Deliveries {
		stays[view.Deliveries[i].Delivery.ID] = false
	}
	for _, d := range c.New.Deliveries {
		if _, there := stays[d.ID]; !there {
			e.Added = append(e.Added, d)
			continue
		}
		stays[d.ID] = true
		change := store.DeliveryEdit{Digest: d.Digest, Destination: d.Destination, NeedsPrepare: d.NeedsPrepare}
		for _, p := range d.Parts {
			change.Roles = append(change.Roles, p.Role)
		}
		if when, moved := c.When[d.ID]; moved && (c.New.Post.Draft || !when.Due.IsZero()) {
			change.When = &when
		}
		e.Changes[d.ID] = change
	}
	for i := range view.Deliveries {
		if id := view.Deliveries[i].Delivery.ID; !stays[id] {
			e.Dropped = append(e.Dropped, id)
		}
	}
	return e
}

// SubmissionOf says what submitting does to the drafts of view, which were composed anew.
func SubmissionOf(c *Composed, view *store.PostView) store.Submission {
	s := store.Submission{
		Post: view.Post.ID, Version: view.Version, When: map[post.ID]store.When{}, Fingerprints: c.fingerprints(),
		Warnings: c.New.Post.Warnings, Notes: c.New.Post.Notes,
	}
	for i := range view.Deliveries {
		if d := &view.Deliveries[i].Delivery; d.State == post.Draft {
			s.When[d.ID] = c.When[d.ID]
		}
	}
	return s
}

// fingerprints gives the fingerprints by delivery.
func (c *Composed) fingerprints() map[post.ID]string {
	out := make(map[post.ID]string, len(c.New.Deliveries))
	for i := range c.New.Deliveries {
		out[c.New.Deliveries[i].ID] = c.New.Fingerprints[i]
	}
	return out
}
