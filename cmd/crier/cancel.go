package main

import "github.com/spf13/cobra"

func (c *cli) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel <post or delivery>",
		Short: "Cancel what is not out yet",
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
			if thing.delivery != nil {
				if _, err = api.CancelDelivery(ctx, args[0]); err != nil {
					return err
				}
			} else if err = api.CancelPost(ctx, args[0]); err != nil {
				return err
			}
			if thing, err = find(ctx, api, args[0]); err != nil {
				return err
			}
			for _, d := range thing.deliveries() {
				if err := c.say("%s: %s", place(d), fateOfCancel(d)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
