package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) statusCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "status",
		Short: "Tell how the daemon is doing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				doc, err := api.Status(ctx)
				if err != nil {
					return err
				}
				return c.print(doc, func(p *page) { p.status(&doc.Value) })
			})
		},
	})
}

func (p *page) status(s *client.Status) {
	rows := facts(
		"version", s.Version, "nothing is sent", s.Halted, "next due", exact(s.NextDue, "UTC"),
		"in flight", strconv.Itoa(s.InFlight), "lag", fmt.Sprintf("%d ms", s.LagMS),
	)
	for _, kind := range slices.Sorted(maps.Keys(s.Counts)) {
		counts := []string{}
		for _, state := range slices.Sorted(maps.Keys(s.Counts[kind])) {
			if n := s.Counts[kind][state]; n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n, state))
			}
		}
		rows = append(rows, facts(kind, strings.Join(counts, ", "))...)
	}
	p.table("", rows...)
	for i := range s.Stops {
		stop := &s.Stops[i]
		what := "everything"
		if stop.Kind != "" {
			what = "all " + stop.Kind + " accounts"
		}
		if stop.Brand != "" {
			what = "brand " + stop.Brand
		}
		p.line("Stopped: %s, by %s since %s: %s", what, stop.By, when(stop.Since, "UTC"), stop.Reason)
	}
	for i := range s.Holds {
		for j := range s.Holds[i].Holds {
			p.line("%s", holdWords(s.Holds[i].Account, &s.Holds[i].Holds[j], "UTC"))
		}
	}
}
