package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{c.version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
			return c.print(v, func(p *page) { p.line("crier %s (%s, %s/%s)", v.Version, v.Go, v.OS, v.Arch) })
		},
	})
}
