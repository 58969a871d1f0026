//go:build linux || darwin

package main

import (
	"path/filepath"
	"syscall"
)

// freeBytes gives the space that is left where a folder lies, or is to lie.
func freeBytes(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	for syscall.Statfs(dir, &s) != nil {
		up := filepath.Dir(dir)
		if up == dir {
			return 0, false
		}
		dir = up
	}
	return s.Bavail * uint64(s.Bsize), true //nolint:gosec // The size of a block is positive.
}
