package main

import (
	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) resolveCommand() *cobra.Command {
	var url, then string
	var absent bool
	var part int
	cmd := &cobra.Command{
		Use:   "resolve <delivery>",
		Short: "Say whether a delivery is out, after having looked",
		Long: `Say whether a delivery is out: one that may or may not be, or one that a person was to post by hand.
Look at the account first: what is sent again after a wrong answer is out twice.`,
		Example: `  crier resolve 0198… --published https://x.com/acmeinc/status/1
  crier resolve 0198… --not-published --then retry`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v := client.Verdict{Verdict: "published", URL: url}
			switch {
			case (url != "") == absent:
				return usagef("either --published URL or --not-published")
			case absent && then != "retry" && then != "cancel":
				return usagef("--not-published needs --then retry or --then cancel")
			case !absent && then != "":
				return usagef("--then belongs to --not-published")
			case absent:
				v = client.Verdict{Verdict: "not_published", Then: then}
			}
			if cmd.Flags().Changed("part") {
				v.Part = &part
			}
			ctx := cmd.Context()
			api, err := c.daemon()
			if err != nil {
				return err
			}
			defer api.Close()
			d, err := api.Delivery(ctx, args[0])
			if err != nil {
				return err
			}
			now, err := api.ResolveDelivery(ctx, args[0], d.ETag, v)
			if err != nil {
				return err
			}
			return c.say("%s: %s", place(&now.Value), now.Value.State)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&url, "published", "", "it is out, at this `URL`")
	flags.BoolVar(&absent, "not-published", false, "it is not out")
	flags.StringVar(&then, "then", "", "with --not-published: retry or cancel")
	flags.IntVar(&part, "part", 0, "`index` of the part in doubt, when there are several")
	return cmd
}
