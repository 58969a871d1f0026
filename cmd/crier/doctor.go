package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/app"
	"crier/internal/client"
	"crier/internal/config"
	"crier/store/bolt"
)

// finding is one thing that the doctor looked at.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // good, warning or bad
	Detail  string `json:"detail"`
}

// The doctor's verdicts.
const (
	good    = "good"
	warning = "warning"
	bad     = "bad"
)

// The doctor's limits.
const (
	clockSlack = 5 * time.Second
	diskLow    = 1 << 30 // bytes free
	diskOut    = 100 << 20
)

func (c *cli) doctorCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "doctor",
		Short: "Look for what could keep posts from going out",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := c.examine(cmd.Context())
			if err := c.print(struct {
				Checks []finding `json:"checks"`
			}{all}, func(p *page) {
				rows := make([][]string, 0, len(all))
				for _, f := range all {
					rows = append(rows, []string{f.Verdict, f.Check, f.Detail})
				}
				p.table("", rows...)
			}); err != nil {
				return err
			}
			for _, f := range all {
				if f.Verdict == bad {
					return errors.New("something is bad")
				}
			}
			return nil
		},
	})
}

// examine looks at everything, as far as the configuration allows.
func (c *cli) examine(ctx context.Context) []finding {
	all := []finding{zones()}
	cfg, warnings, err := config.Load(c.config())
	if err != nil {
		return append(all, finding{"configuration", bad, err.Error()})
	}
	all = append(all, finding{"configuration", good, fmt.Sprintf("%s, %d accounts", c.config(), len(cfg.Accounts))})
	for _, w := range warnings {
		all = append(all, finding{"configuration", warning, w.String()})
	}
	if _, err := cfg.Secrets(c.env); err != nil {
		// The daemon may run with another environment than this shell.
		all = append(all, finding{"secrets", warning, err.Error()})
	}
	all = append(all, folder(cfg.DataDir), disk(cfg.DataDir))
	return append(all, c.examineDaemon(ctx, cfg.DataDir)...)
}

// zones reports whether the zone data are there.
func zones() finding {
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		return finding{"time zones", bad, err.Error()}
	}
	return finding{"time zones", good, "built in"}
}

// folder looks at the data folder and the master key.
func folder(dir string) finding {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{"data folder", warning, dir + " is not there yet: crier serve makes it"}
	case err != nil:
		return finding{"data folder", bad, err.Error()}
	case !info.IsDir():
		return finding{"data folder", bad, dir + " is no folder"}
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return finding{"data folder", warning, fmt.Sprintf("%s is open to others (mode %04o): chmod 700", dir, info.Mode().Perm())}
	}
	return finding{"data folder", good, dir}
}

// disk looks at the space that is left.
func disk(dir string) finding {
	free, ok := freeBytes(dir)
	detail := fmt.Sprintf("%d MiB free", free>>20)
	switch {
	case !ok:
		return finding{"disk", warning, "the free space is not known"}
	case free < diskOut:
		return finding{"disk", bad, detail}
	case free < diskLow:
		return finding{"disk", warning, detail}
	}
	return finding{"disk", good, detail}
}

// examineDaemon asks the daemon how it is; when none runs, it looks whether the store opens.
func (c *cli) examineDaemon(ctx context.Context, dir string) []finding {
	api, err := c.daemon()
	if err != nil {
		return []finding{{"daemon", bad, err.Error()}}
	}
	defer api.Close()
	before := time.Now()
	date, err := api.Ready(ctx)
	var all []finding
	if e, down := errors.AsType[*client.UnreachableError](err); down && !e.Sent {
		all = append(all, finding{"daemon", warning, "none answers at " + api.Where()})
		if api.Where() == filepath.Join(dir, app.SocketName) {
			all = append(all, offline(dir))
		}
		return all
	}
	if err != nil {
		all = append(all, finding{"daemon", bad, "it answers, and is not ready: " + err.Error()})
	} else {
		all = append(all, finding{"daemon", good, "ready at " + api.Where()})
	}
	return append(append(all, clock(before, date)), holds(ctx, api)...)
}

// offline looks at the store of a daemon that does not run.
func offline(dir string) finding {
	path := filepath.Join(dir, bolt.FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return finding{"store", warning, path + " is not there yet: crier serve makes it"}
	}
	problems, err := bolt.Fsck(path)
	switch {
	case errors.Is(err, bolt.ErrLocked):
		return finding{"store", bad, "a process has it open and does not answer on the socket"}
	case err != nil:
		return finding{"store", bad, err.Error()}
	case len(problems) > 0:
		return finding{"store", bad, fmt.Sprintf("%d problems: crier fsck lists them", len(problems))}
	}
	return finding{"store", good, path}
}

// clock compares the clock here with the daemon's, whose Date has whole seconds.
func clock(here, there time.Time) finding {
	if there.IsZero() {
		return finding{"clock", warning, "the daemon does not tell its time"}
	}
	off := there.Sub(here).Round(time.Second)
	if off.Abs() > clockSlack {
		return finding{"clock", bad, fmt.Sprintf("the daemon's clock is off by %s", off)}
	}
	return finding{"clock", good, "agrees with the daemon's"}
}

// holds lists the accounts that cannot send.
func holds(ctx context.Context, api *client.Client) []finding {
	accounts, err := api.Accounts(ctx)
	if err != nil {
		return []finding{{"accounts", bad, err.Error()}}
	}
	all := []finding{}
	for i := range accounts.Items {
		a := &accounts.Items[i].Value
		for j := range a.Holds {
			all = append(all, finding{"account " + a.Handle, warning, holdWords(a.Handle, &a.Holds[j], a.TimeZone)})
		}
	}
	if len(all) == 0 {
		all = append(all, finding{"accounts", good, fmt.Sprintf("%d, none held", len(accounts.Items))})
	}
	return all
}
