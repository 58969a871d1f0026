package main

import "github.com/spf13/cobra"

func (c *cli) approveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "approve <post>",
		Short: "Approve a post as it stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.daemon()
			if err != nil {
				return err
			}
			defer api.Close()
			if _, err := api.ApprovePost(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.say("approved")
		},
	}
}
