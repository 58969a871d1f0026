package main

import (
	"errors"

	"github.com/spf13/cobra"

	"crier/internal/client"
	"crier/internal/post"
)

func (c *cli) retryCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "retry <delivery or post>",
		Short: "Send again what failed or was missed; go on with what is partly out",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			api, err := c.daemon()
			if err != nil {
				return err
			}
			defer api.Close()
			thing, err := find(ctx, api, args[0])
			if err != nil {
				return err
			}
			tried := 0
			for _, d := range thing.deliveries() {
				// A delivery that was named is asked for whatever its state: the daemon's refusal says why not.
				if thing.post != nil && !retriable(d) {
					continue
				}
				fresh, err := api.Delivery(ctx, d.ID)
				if err != nil {
					return err
				}
				now, err := api.RetryDelivery(ctx, d.ID, fresh.ETag, at)
				if err != nil {
					return err
				}
				tried++
				if err := c.say("%s: %s, due %s", place(&now.Value), now.Value.State, due(&now.Value)); err != nil {
					return err
				}
			}
			if tried == 0 {
				return errors.New("nothing of it is failed, missed or partly out")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "when (default now): RFC 3339, or local like 2026-12-01T09:00")
	return cmd
}

// retriable lists what a person may send again.
func retriable(d *client.Delivery) bool {
	switch post.State(d.State) {
	case post.Failed, post.Missed, post.Partial:
		return true
	case post.Draft, post.InReview, post.Scheduled, post.Sending, post.Published, post.Unconfirmed, post.AwaitingPerson,
		post.Canceled, post.Removed:
	}
	return false
}
