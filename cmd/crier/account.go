package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) accountCommand() *cobra.Command {
	return c.family("account", "See, verify, pause and resume accounts",
		c.accountListCommand(), c.accountShowCommand(), c.accountVerifyCommand(), c.accountPauseCommand(), c.accountResumeCommand())
}

func (c *cli) accountListCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "list",
		Short: "List the accounts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				all, err := api.Accounts(ctx)
				if err != nil {
					return err
				}
				return c.print(all, func(p *page) {
					rows := [][]string{{"ACCOUNT", "PLATFORM", "KIND", "OWNER", "IDENTITY", "STATUS"}}
					for i := range all.Items {
						a := &all.Items[i].Value
						rows = append(rows, []string{a.Handle, a.Platform, a.Kind, a.Owner, a.Identity, a.Status})
					}
					p.table("", rows...)
				})
			})
		},
	})
}

func (c *cli) accountShowCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "show <account>",
		Short: "Show an account",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				doc, err := api.Account(ctx, args[0])
				if err != nil {
					return err
				}
				return c.print(doc, func(p *page) {
					p.tree(doc.Raw)
					for i := range doc.Value.Holds {
						p.line("\n%s", holdWords(doc.Value.Handle, &doc.Value.Holds[i], doc.Value.TimeZone))
					}
				})
			})
		},
	})
}

func (c *cli) accountVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify <account>",
		Short: "Ask the platform whose token an account has",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				doc, err := api.VerifyAccount(ctx, args[0])
				switch {
				case err != nil:
					return err
				case doc.Value.OK:
					return c.say("%s: the token belongs to the identity that the account names", args[0])
				case doc.Value.Reason != nil:
					return errors.New(args[0] + ": " + reasonLine(doc.Value.Reason))
				}
				return errors.New(args[0] + ": not verified")
			})
		},
	}
}

func (c *cli) accountPauseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pause <account>",
		Short: "Send nothing from an account until it is resumed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				if err := api.PauseAccount(ctx, args[0], reason); err != nil {
					return err
				}
				return c.say("%s: paused", args[0])
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "paused from the command line", "why, for those who wonder")
	return cmd
}

func (c *cli) accountResumeCommand() *cobra.Command {
	var late string
	cmd := &cobra.Command{
		Use:   "resume <account>",
		Short: "Let an account go on",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !lateChoice(late) {
				return usagef("%s", lateUsage)
			}
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				if err := api.ResumeAccount(ctx, args[0], late); err != nil {
					return err
				}
				return c.say("%s: resumed", args[0])
			})
		},
	}
	cmd.Flags().StringVar(&late, "late", "", lateHelp)
	return cmd
}
