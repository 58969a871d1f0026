package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func (c *cli) listCommand() *cobra.Command {
	var limit int
	cmd := c.reading(&cobra.Command{
		Use:   "list",
		Short: "List posts",
		Args:  cobra.NoArgs,
	})
	flags := cmd.Flags()
	flags.IntVar(&limit, "limit", 100, "how many at most")
	filters := map[string]*string{
		"state":       flags.String("state", "", "only those in this `state`"),
		"account":     flags.String("account", "", "only those for this `account`"),
		"kind":        flags.String("kind", "", "only brand or personal"),
		"label":       flags.String("label", "", "only those with this label"),
		"author":      flags.String("author", "", "only those of this `person`"),
		"external_id": flags.String("external-id", "", "the one with this `id` of your own"),
		"from":        flags.String("from", "", "only those due at or after this `time`, RFC 3339"),
		"to":          flags.String("to", "", "only those due before this `time`, RFC 3339"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return usagef("--limit is 1 or more")
		}
		query := url.Values{}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		api, err := c.daemon()
		if err != nil {
			return err
		}
		defer api.Close()
		posts, err := api.Posts(cmd.Context(), query, limit)
		if err != nil {
			return err
		}
		return c.print(posts, func(p *page) {
			rows := [][]string{{"POST", "STATE", "DUE", "WHERE", "TEXT"}}
			for i := range posts.Items {
				v := &posts.Items[i].Value
				rows = append(rows, []string{v.ID, v.State, firstDue(v), places(v), short(headline(v), 50)})
			}
			p.table("", rows...)
			if posts.Next != "" {
				p.line("There are more: --limit shows them.")
			}
		})
	}
	return cmd
}
