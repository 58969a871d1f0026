package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"crier/store/bolt"
)

func (c *cli) fsckCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "fsck [file]",
		Short: "Check the store, or a copy of it, record by record",
		Long:  "Check every page, record and index of the store. The daemon must not run; nothing is changed. A backup is checked by its name.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			} else {
				dir, err := c.dataDir()
				if err != nil {
					return err
				}
				path = filepath.Join(dir, bolt.FileName)
			}
			problems, err := bolt.Fsck(path)
			if err != nil {
				return hintLocked(err)
			}
			report := struct {
				File     string   `json:"file"`
				Problems []string `json:"problems"`
			}{path, append([]string{}, problems...)}
			if err := c.print(report, func(p *page) {
				for _, s := range problems {
					p.line("%s", s)
				}
				if len(problems) == 0 {
					p.line("%s: good", path)
				}
			}); err != nil {
				return err
			}
			if n := len(problems); n > 0 {
				return fmt.Errorf("%s: %d problems: restore a backup, and keep this file", path, n)
			}
			return nil
		},
	})
}
