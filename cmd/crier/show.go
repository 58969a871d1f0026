package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) showCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "show <post or delivery>",
		Short: "Show a post or a delivery",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.daemon()
			if err != nil {
				return err
			}
			defer api.Close()
			found, err := find(cmd.Context(), api, args[0])
			switch {
			case err != nil:
				return err
			case found.post != nil:
				return c.print(found.post, func(p *page) {
					v := &found.post.Value
					p.post(v)
					p.table("", facts(
						"author", v.Author, "created", when(v.CreatedAt, "UTC"), "external id", v.ExternalID,
						"labels", strings.Join(v.Labels, ", "), "title", v.Title, "link", v.Link,
					)...)
					if v.Text != "" {
						p.line("\n%s", v.Text)
					}
				})
			}
			d := found.delivery
			return c.print(d, func(p *page) { p.tree(d.Raw) })
		},
	})
}

// found is what an id names: a post or a delivery.
type found struct {
	post     *client.Doc[client.Post]
	delivery *client.Doc[client.Delivery]
}

// find looks an id up.
func find(ctx context.Context, api *client.Client, id string) (found, error) {
	d, err := api.Delivery(ctx, id)
	if err == nil {
		return found{delivery: &d}, nil
	}
	if !missing(err) {
		return found{}, err
	}
	p, err := api.Post(ctx, id)
	if err != nil {
		return found{}, err
	}
	return found{post: &p}, nil
}

// missing reports whether the daemon said that a thing is not there.
func missing(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && p.Status == http.StatusNotFound
}

// facts makes rows of names and values, without those that have no value.
func facts(pairs ...string) [][]string {
	rows := [][]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "-" {
			rows = append(rows, pairs[i:i+2])
		}
	}
	return rows
}

// headline is what tells a post from others at a glance.
func headline(p *client.Post) string { return cmp.Or(p.Text, p.Title, p.Link) }

// firstDue is when the first delivery of a post is due.
func firstDue(p *client.Post) string {
	var first *client.Delivery
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		if !d.Due.IsZero() && (first == nil || d.Due.Before(first.Due)) {
			first = d
		}
	}
	if first == nil {
		return "-"
	}
	return due(first)
}

// places lists where a post goes.
func places(p *client.Post) string {
	all := make([]string, len(p.Deliveries))
	for i := range p.Deliveries {
		all[i] = place(&p.Deliveries[i])
	}
	return strings.Join(all, " ")
}

// deliveries lists what was found.
func (f *found) deliveries() []*client.Delivery {
	if f.delivery != nil {
		return []*client.Delivery{&f.delivery.Value}
	}
	all := make([]*client.Delivery, len(f.post.Value.Deliveries))
	for i := range all {
		all[i] = &f.post.Value.Deliveries[i]
	}
	return all
}
