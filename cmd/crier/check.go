package main

import (
	"github.com/spf13/cobra"

	"crier/internal/app"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and its credentials",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.Check(cmd.Context(), c.config(), c.env, c.out)
		},
	}
}
