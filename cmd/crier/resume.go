package main

import (
	"context"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

const (
	lateUsage = "--late is apply, send, miss or next-slot"
	lateHelp  = "what is overdue: apply each account's max_late, send it all, miss it, or move it to the next-slot"
)

// lateChoice reports whether s says what becomes of what is overdue; nothing said leaves it to the daemon.
func lateChoice(s string) bool {
	switch s {
	case "", "apply", "send", "miss", "next-slot":
		return true
	}
	return false
}

func (c *cli) resumeCommand() *cobra.Command {
	var g client.Go
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "End a pause",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !lateChoice(g.Late) {
				return usagef("%s", lateUsage)
			}
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				if err := api.Resume(ctx, g); err != nil {
					return err
				}
				return c.say("resumed")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&g.Kind, "kind", "", "only brand or personal accounts")
	flags.StringVar(&g.Brand, "brand", "", "only the accounts of this `brand`")
	flags.StringVar(&g.Late, "late", "", lateHelp)
	return cmd
}
