package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"crier/internal/app"
)

func (c *cli) demoCommand() *cobra.Command {
	o := app.DemoOptions{Out: c.out, Version: c.version}
	var format string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the daemon with toy platforms and sample accounts",
		Long:  "Run the daemon with the sandbox platforms and sample accounts. It needs no keys, and nothing leaves the machine.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The demo tells of its posts in lines of its own.
			log, err := c.logger(format, slog.LevelWarn)
			if err != nil {
				return err
			}
			o.Log = log
			return app.Demo(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.DataDir, "data-dir", "demo-data", "`folder` of the demo's data")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "`address` to listen on; a busy port gives way to a free one")
	cmd.Flags().BoolVar(&o.Quiet, "quiet", false, "queue no sample posts")
	cmd.Flags().StringVar(&format, "log", "text", "`form` of the log: text or json")
	return cmd
}
