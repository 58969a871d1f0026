//go:build !linux

package app

import "time"

// processStart anchors the monotonic clock, the nearest thing to a boot clock that the standard library has here. It
// stops while the machine sleeps on some systems, where waking then looks like a jump: claims wait a minute at most.
var processStart = time.Now()

func sinceBoot() time.Duration { return time.Since(processStart) }
