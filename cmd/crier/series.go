package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

func (c *cli) seriesCommand() *cobra.Command {
	return c.family("series", "Recurring posts",
		c.seriesListCommand(), c.seriesCreateCommand(), c.seriesShowCommand(), c.seriesPreviewCommand(), c.seriesSkipCommand(),
		c.seriesDeleteCommand())
}

func (c *cli) seriesListCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "list",
		Short: "List the series",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				all, err := api.Series(ctx)
				if err != nil {
					return err
				}
				return c.print(all, func(p *page) {
					rows := [][]string{{"SERIES", "NAME", "RECURS", "ZONE", "POSTS", "WHERE", "NEXT"}}
					for i := range all.Items {
						s := &all.Items[i].Value
						next := "-"
						if len(s.Next) > 0 {
							next = when(s.Next[0].At, s.TimeZone)
						}
						rows = append(rows, []string{
							s.ID, cmp.Or(s.Name, "-"), recurs(s), s.TimeZone, strconv.Itoa(len(s.Posts)), strings.Join(s.Accounts, " "), next,
						})
					}
					p.table("", rows...)
				})
			})
		},
	})
}

// recurs says when a series fires.
func recurs(s *client.Series) string {
	if s.Cron != "" {
		return s.Cron
	}
	return "every " + s.Every
}

func (c *cli) seriesCreateCommand() *cobra.Command {
	var s client.NewSeries
	var to, options []string
	var file string
	cmd := c.reading(&cobra.Command{
		Use:   "create [text...]",
		Short: "Make a recurring post; several texts are used in turn",
		Example: `  crier series create "Good morning" "Hello again" --to acme-x --cron "0 9 * * MON-FRI" --time-zone Europe/Berlin --order cycle
  crier series create -f series.json`,
	})
	flags := cmd.Flags()
	flags.StringVar(&s.Name, "name", "", "name")
	flags.StringVar(&s.Cron, "cron", "", "when, as cron writes it: minute hour day month weekday")
	flags.StringVar(&s.Every, "every", "", "when, as a span like 2w, from --start on")
	flags.StringVar(&s.Start, "start", "", "with --every: the first `time`, like 2026-12-04T17:00")
	flags.StringVar(&s.TimeZone, "time-zone", "", "`zone` of the times")
	flags.StringVar(&s.Until, "until", "", "the last `time`")
	flags.StringVar(&s.Order, "order", "", "once or cycle: stop after the last text, or begin again")
	flags.StringArrayVar(&to, "to", nil, "`account` to post to; repeatable")
	flags.StringArrayVar(&options, "option", nil, "`key=value` of a platform, as for crier post; repeatable")
	flags.StringVarP(&file, "file", "f", "", "JSON `file` with the series, - for the standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var body any = &s
		switch {
		case file != "" && (len(args) > 0 || len(to) > 0 || s.Cron != "" || s.Every != ""):
			return usagef("with -f, the file says it all")
		case file != "":
			b, err := c.read(file)
			if err != nil {
				return err
			}
			if !json.Valid(b) {
				return fmt.Errorf("%s holds no JSON", file)
			}
			body = json.RawMessage(b)
		case (s.Cron == "") == (s.Every == ""):
			return usagef("either --cron or --every says when")
		case len(args) == 0 || len(to) == 0:
			return usagef("a text and --to are needed")
		default:
			parsed, err := parseOptions(options)
			if err != nil {
				return err
			}
			targets := make([]client.NewTarget, len(to))
			for i, handle := range to {
				targets[i].Account = handle
			}
			for _, text := range args {
				s.Posts = append(s.Posts, client.NewPost{Text: text, Targets: targets, Options: parsed})
			}
		}
		return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
			doc, err := api.CreateSeries(ctx, body)
			if err != nil {
				return err
			}
			return c.print(doc, func(p *page) {
				p.line("series %s", doc.Value.ID)
				p.runs(doc.Value.Next)
			})
		})
	}
	return cmd
}

// runs lists runs of a series.
func (p *page) runs(all []client.Run) {
	rows := [][]string{}
	for i := range all {
		note := all[i].Note
		if all[i].Skipped {
			note = strings.TrimPrefix(note+"; left out", "; ")
		}
		rows = append(rows, []string{exact(all[i].At, all[i].TimeZone), all[i].Run, note})
	}
	p.table("  ", rows...)
}

func (c *cli) seriesShowCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "show <series>",
		Short: "Show a series",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				doc, err := api.SeriesByID(ctx, args[0])
				if err != nil {
					return err
				}
				return c.print(doc, func(p *page) { p.tree(doc.Raw) })
			})
		},
	})
}

func (c *cli) seriesPreviewCommand() *cobra.Command {
	var n int
	cmd := c.reading(&cobra.Command{
		Use:   "preview <series>",
		Short: "Tell the next runs of a series, with their names",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 {
				return usagef("-n is 1 or more")
			}
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				doc, err := api.PreviewSeries(ctx, args[0], n)
				if err != nil {
					return err
				}
				return c.print(doc, func(p *page) {
					all := make([]client.Run, 0, len(doc.Value.Items))
					for _, r := range doc.Value.Items {
						all = append(all, r.Value)
					}
					p.runs(all)
				})
			})
		},
	})
	cmd.Flags().IntVarP(&n, "number", "n", 5, "how many")
	return cmd
}

func (c *cli) seriesSkipCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "skip <series> <run>",
		Short: "Leave out one run, by the name that crier series preview tells",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				if err := api.SkipRun(ctx, args[0], args[1]); err != nil {
					return err
				}
				return c.say("left out")
			})
		},
	}
}

func (c *cli) seriesDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete <series>",
		Short: "End a series and cancel what of it is not begun",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talking(cmd, func(ctx context.Context, api *client.Client) error {
				if err := api.DeleteSeries(ctx, args[0]); err != nil {
					return err
				}
				return c.say("deleted")
			})
		},
	}
}
