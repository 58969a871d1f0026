package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) planCommand() *cobra.Command {
	var from string
	var ahead time.Duration
	cmd := c.reading(&cobra.Command{
		Use:   "plan",
		Short: "Tell everything that will be sent, recurring posts included",
		Args:  cobra.NoArgs,
	})
	cmd.Flags().StringVar(&from, "from", "", "begin at this `time`, RFC 3339 (default now)")
	cmd.Flags().DurationVar(&ahead, "for", 7*24*time.Hour, "how far to look, like 48h")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		begin := time.Now()
		if from != "" {
			t, err := time.Parse(time.RFC3339, from)
			if err != nil {
				return usagef("--from is a time like 2026-12-01T09:00:00Z")
			}
			begin = t
		}
		if ahead <= 0 {
			return usagef("--for is a time span like 48h")
		}
		return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
			doc, err := api.Plan(ctx, begin, begin.Add(ahead))
			if err != nil {
				return err
			}
			return c.print(doc, func(p *page) { p.plan(&doc.Value) })
		})
	}
	return cmd
}

func (p *page) plan(v *client.Plan) {
	rows := [][]string{{"WHEN", "WHERE", "STATE", "WHAT", "COST", "NOTES"}}
	for i := range v.Items {
		f := &v.Items[i]
		what := "post " + f.Post
		if f.Post == "" {
			what = "series " + f.Series
		}
		where := f.Account
		if f.Destination != "" {
			where += "/" + f.Destination
		}
		cost := "-"
		if f.CostUSD != nil {
			cost = fmt.Sprintf("$%.3f", *f.CostUSD)
		}
		notes := f.Conflicts
		if f.Note != "" {
			notes = append(notes, f.Note)
		}
		if f.Spaced {
			notes = append(notes, "later, to keep posts apart")
		}
		rows = append(rows, []string{when(f.At, f.TimeZone), where, f.State, what, cost, strings.Join(notes, "; ")})
	}
	p.table("", rows...)
	if v.Truncated {
		p.line("There is more: ask for a shorter span with --for.")
	}
}
