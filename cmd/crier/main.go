// Command crier publishes posts to social networks at their time, once, and in the right name.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // Zones must not depend on the machine.
)

// version is set by the linker for a release.
var version string

// garbage is how much of it may gather before it is collected, in percent of what lives. The daemon keeps some ten MiB
// alive, so that a burst collects a third as often and the whole stays far below the 100 MiB that it promises. GOGC in
// the environment goes before it.
const garbage = 300

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], world{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv, version: programVersion(),
	})
	stop()
	os.Exit(status)
}

// programVersion is the release's version, or else what the Go tool knows of the source.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
