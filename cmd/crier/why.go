package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) whyCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "why <delivery or post>",
		Short: "Tell in plain words what happened to a delivery, and what happens next",
		Long: `Tell what was asked of the platform, what came back, what was decided, and what happens next and when.
A post is told delivery by delivery.`,
		Args: cobra.ExactArgs(1),
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
				return c.print(thing.delivery, func(p *page) { p.why(&thing.delivery.Value) })
			}
			all := make([]client.Doc[client.Delivery], 0, len(thing.post.Value.Deliveries))
			for _, d := range thing.deliveries() {
				whole, err := api.Delivery(ctx, d.ID)
				if err != nil {
					return err
				}
				all = append(all, whole)
			}
			if len(all) == 0 {
				return errors.New("the post goes nowhere yet")
			}
			return c.print(struct {
				Post       json.RawMessage               `json:"post"`
				Deliveries []client.Doc[client.Delivery] `json:"deliveries"`
			}{thing.post.Raw, all}, func(p *page) {
				for i := range all {
					if i > 0 {
						p.line("")
					}
					p.why(&all[i].Value)
				}
			})
		},
	})
}
