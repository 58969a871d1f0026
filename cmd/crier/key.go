package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) keyCommand() *cobra.Command {
	return c.family("key", "Make, list and revoke API keys", c.keyCreateCommand(), c.keyListCommand(), c.keyRevokeCommand())
}

func (c *cli) keyCreateCommand() *cobra.Command {
	var k client.NewKey
	var expires time.Duration
	cmd := c.reading(&cobra.Command{
		Use:   "create <name>",
		Short: "Make a key and print it, this once",
		Long: `Make a key and print it, this once. On the machine itself, a key that is made for a person reaches that person's own
accounts; one that is made through $CRIER_URL for somebody else does not.`,
		Example: "  crier key create laptop --person mia",
		Args:    cobra.ExactArgs(1),
	})
	flags := cmd.Flags()
	flags.StringVar(&k.Person, "person", "", "whose key it is, by `handle` (default one's own)")
	flags.StringSliceVar(&k.Scopes, "scope", []string{"posts:read", "posts:write", "media:write", "accounts:read"}, "what it may do; repeatable")
	flags.StringSliceVar(&k.Accounts, "account", nil, "only these `accounts`; repeatable")
	flags.DurationVar(&expires, "expires", 0, "how long it is good, like 720h (default for ever)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k.Name = args[0]
		if expires < 0 {
			return usagef("--expires is a time span like 720h")
		}
		if expires > 0 {
			at := time.Now().Add(expires).UTC()
			k.ExpiresAt = &at
		}
		// Through the local socket the person acts in person, so that the key reaches all that is theirs.
		who := c.person
		if who == "" {
			who = k.Person
		}
		api, err := c.daemonAs(who)
		if err != nil {
			return err
		}
		defer api.Close()
		doc, err := api.CreateKey(cmd.Context(), k)
		if err != nil {
			return err
		}
		if err := c.print(doc, func(p *page) { p.line("%s", doc.Value.Key) }); err != nil {
			return err
		}
		note(c.err, "Keep it: it is not shown again. Its id, for crier key revoke, is %s.", clean(doc.Value.ID))
		return nil
	}
	return cmd
}

func (c *cli) keyListCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "list",
		Short: "List the keys, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				all, err := api.Keys(ctx)
				if err != nil {
					return err
				}
				return c.print(all, func(p *page) {
					rows := [][]string{{"KEY", "NAME", "PERSON", "EXPIRES", "SCOPES"}}
					for i := range all.Items {
						k := &all.Items[i].Value
						rows = append(rows, []string{k.ID, k.Name, k.Person, when(k.ExpiresAt, "UTC"), strings.Join(k.Scopes, " ")})
					}
					p.table("", rows...)
				})
			})
		},
	})
}

func (c *cli) keyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke <key id>",
		Short: "End a key at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				if err := api.RevokeKey(ctx, args[0]); err != nil {
					return err
				}
				return c.say("revoked")
			})
		},
	}
}
