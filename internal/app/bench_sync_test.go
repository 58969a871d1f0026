//go:build !linux

package app_test

import (
	"os"
	"testing"
)

// datasync is what bbolt calls a sync.
func datasync(b *testing.B, f *os.File) {
	b.Helper()
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}
