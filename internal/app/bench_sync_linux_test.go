package app_test

import (
	"os"
	"syscall"
	"testing"
)

// datasync is what bbolt calls a sync on Linux.
func datasync(b *testing.B, f *os.File) {
	b.Helper()
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		b.Fatal(err)
	}
}
