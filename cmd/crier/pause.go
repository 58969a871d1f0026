package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) pauseCommand() *cobra.Command {
	var s client.Stop
	var until string
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Stop everything, one kind of accounts, or one brand",
		Long: `Stop everything, or with --kind or --brand a part of it. No new request leaves later than a second after this
command has returned. What is due meanwhile stays queued.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if until != "" {
				t, err := time.Parse(time.RFC3339, until)
				if err != nil {
					return usagef("--until is a time like 2026-12-01T09:00:00Z")
				}
				s.Until = &t
			}
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				doc, err := api.Pause(ctx, s)
				if err != nil {
					return err
				}
				for _, id := range doc.Value.NotStopped {
					note(c.err, "not stopped, the platform holds it by its own schedule: %s", clean(id))
				}
				if n := doc.Value.InFlight; n > 0 {
					return c.say("paused; %d requests were under way", n)
				}
				return c.say("paused")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Kind, "kind", "", "only brand or personal accounts")
	flags.StringVar(&s.Brand, "brand", "", "only the accounts of this `brand`")
	flags.StringVar(&s.Reason, "reason", "paused from the command line", "why, for those who wonder")
	flags.StringVar(&until, "until", "", "end by itself at this `time`, RFC 3339")
	return cmd
}
