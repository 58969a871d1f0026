package main

import (
	"context"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

// talking runs something with the daemon.
func (c *cli) talking(cmd *cobra.Command, do func(ctx context.Context, api *client.Client) error) error {
	api, err := c.daemon()
	if err != nil {
		return err
	}
	defer api.Close()
	return do(cmd.Context(), api)
}

// say prints one line about something that was done.
func (c *cli) say(format string, args ...any) error {
	p := &page{}
	p.line(format, args...)
	return flush(c.out, p.buf.Bytes())
}
