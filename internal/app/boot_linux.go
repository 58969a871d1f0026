package app

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is the time since boot, suspended time included, so that a machine that slept has not seen its wall clock
// jump.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Duration(time.Now().UnixNano()) // compared with the wall clock itself: no jump is ever seen
	}
	return time.Duration(ts.Nano())
}
