package compose

import (
	"strings"

	"crier/internal/post"
	"crier/store"
)

// MergePost applies a JSON merge patch to a stored post. Targets are the one list that is not simply replaced: an item
// with the id of a target that is there is merged into it, a handle alone keeps that account's target, an item without
// an id is a new target, and a target that the list leaves out is dropped. Errors are of type *[BodyError].
func MergePost(p *post.Post, raw []byte) (Request, error) {
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
		whole.set("targets", mergeTargets(current.field("targets"), targets))
	}
	var out Request
	if err := whole.Bind(&out); err != nil {
		return Request{}, err
	}
	return out, nil
}

func mergeTargets(current, patch *Node) *Node {
	out := &Node{kind: arrayNode}
	used := map[*Node]bool{}
	find := func(match func(*Node) bool) *Node {
		if current == nil {
			return nil
		}
		for _, t := range current.items {
			if !used[t] && match(t) {
				return t
			}
		}
		return nil
	}
	for _, item := range patch.items {
		var old *Node
		switch {
		case item.kind == stringNode:
			old = find(func(t *Node) bool { return textOf(t, "account") == item.text })
		case item.kind == objectNode && textOf(item, "id") != "":
			old = find(func(t *Node) bool { return strings.EqualFold(textOf(t, "id"), textOf(item, "id")) })
		}
		if old == nil {
			out.items = append(out.items, item)
			continue
		}
		used[old] = true
		if item.kind == stringNode {
			out.items = append(out.items, old)
			continue
		}
		out.items = append(out.items, Merge(old, item))
	}
	return out
}

func textOf(n *Node, name string) string {
	if f := n.field(name); f != nil && f.kind == stringNode {
		return f.text
	}
	return ""
}

// EditOf says what an edit that was composed over view changes.
func EditOf(c *Composed, view *store.PostView) store.Edit {
	e := store.Edit{Post: c.New.Post, Version: view.Version, Changes: map[post.ID]store.DeliveryEdit{}}
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
		if when, moved := c.When[d.ID]; moved && !when.Due.IsZero() {
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
