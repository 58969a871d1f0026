package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"crier/internal/client"
)

// The exit statuses.
const (
	exitDone    = 0
	exitRefused = 1 // refused or failed
	exitUsage   = 2
)

// world is what a run of the program has around it.
type world struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	version  string
}

// usageError is a command line that makes no sense, beyond what cobra finds by itself.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// run runs one command line and gives the exit status. Results go to the world's out, everything else to its err.
func run(ctx context.Context, args []string, w world) int {
	c := &cli{world: w}
	root := c.root() //nolint:contextcheck // Each command has the context that it is run with.
	root.SetArgs(args)
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	explain(w.err, err)
	if _, asked := errors.AsType[*usageError](err); asked || !c.begun {
		note(w.err, "Run '%s --help' for how it is used.", cmd.CommandPath())
		return exitUsage
	}
	return exitRefused
}

// cli is what the commands of one run share.
type cli struct {
	world

	configPath string
	person     string
	output     string
	begun      bool // the command line made sense to cobra
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "crier",
		Short: "Publish posts to social networks at their time, once, and in the right name",
		Long: `Crier publishes posts to social networks at their time, once, and in the right name.

Commands that talk to a running daemon use $CRIER_URL and $CRIER_KEY, or else the local socket in the data folder of
the configuration, which needs no key. The exit status is 0 for done, 1 for refused or failed, 2 for a wrong command
line.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          c.group,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			c.begun = true
			if c.output != "text" && c.output != "json" {
				return usagef("--output is text or json")
			}
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.configPath, "config", "", "configuration `file` (default $CRIER_CONFIG, then config.yaml)")
	flags.StringVar(&c.person, "as", "", "act for this `person`, on the local socket only (default the owner)")
	c.output = "text"
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Running Crier:"},
		&cobra.Group{ID: "posts", Title: "Posts:"},
		&cobra.Group{ID: "control", Title: "Control:"},
		&cobra.Group{ID: "care", Title: "Care of the data:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add("run", c.serveCommand(), c.demoCommand(), c.checkCommand(), c.doctorCommand(), c.versionCommand())
	add("posts", c.postCommand(), c.listCommand(), c.showCommand(), c.whyCommand(),
		c.cancelCommand(), c.retryCommand(), c.resolveCommand(), c.seriesCommand(), c.planCommand())
	add("control", c.statusCommand(), c.pauseCommand(), c.resumeCommand(), c.accountCommand(), c.keyCommand())
	add("care", c.backupCommand(), c.restoreCommand(), c.fsckCommand())
	return root
}

// family makes a command that only holds others.
func (c *cli) family(use, short string, members ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: subcommand, RunE: c.group}
	cmd.AddCommand(members...)
	return cmd
}

// subcommand refuses what is no command of a family.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	message := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{message: message}
}

// group answers a family's name alone.
func (c *cli) group(cmd *cobra.Command, _ []string) error {
	cmd.SetOut(c.err)
	if err := cmd.Help(); err != nil {
		return fmt.Errorf("print the help: %w", err)
	}
	return usagef("which command?")
}

// reading adds the flag of the commands that print what they read.
func (c *cli) reading(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&c.output, "output", "o", "text", "`form` of the output: text or json")
	return cmd
}

// logger logs to the standard error.
func (c *cli) logger(format string, least slog.Level) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(c.err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.err, o)), nil
	}
	return nil, usagef("--log is text or json")
}

// explain prints an error for a person.
func explain(w io.Writer, err error) {
	p, ok := errors.AsType[*client.Problem](err)
	if !ok {
		note(w, "crier: %s", clean(err.Error()))
		if e, ok := errors.AsType[*client.UnreachableError](err); ok && !e.Sent {
			note(w, "  hint: start it with crier serve, or set $CRIER_URL and $CRIER_KEY for a daemon elsewhere")
		}
		if errors.Is(err, errNoConfig) {
			note(w, "  hint: name it with --config, or set $CRIER_URL and $CRIER_KEY for a daemon that runs, such as the demo's")
		}
		return
	}
	note(w, "crier: %s", clean(err.Error()))
	for _, issue := range p.Errors {
		mark := ""
		if issue.Severity == "warning" {
			mark = "warning: "
		}
		note(w, "  %s%s", mark, clean(issue.String()))
	}
	if p.Post != "" {
		note(w, "  see: crier show %s", clean(p.Post))
	}
	if p.Hint != "" {
		note(w, "  hint: %s", clean(p.Hint))
	}
	if p.RequestID != "" {
		note(w, "  request: %s", clean(p.RequestID))
	}
}

// note writes a line where a failure to write can be told to nobody.
func note(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
