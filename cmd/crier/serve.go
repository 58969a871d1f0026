package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"crier/internal/app"
)

func (c *cli) serveCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := c.logger(format, slog.LevelInfo)
			if err != nil {
				return err
			}
			return app.Serve(cmd.Context(), app.ServeOptions{ConfigPath: c.config(), Log: log, Version: c.version})
		},
	}
	cmd.Flags().StringVar(&format, "log", "text", "`form` of the log: text or json")
	return cmd
}
