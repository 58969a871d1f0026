//go:build !linux || !(amd64 || arm64)

package app_test

import "errors"

// disk is what is wrong with a daemon's disk. Only Linux can be asked for it.
type disk string

func (d disk) spoil() error {
	if d == "" {
		return nil
	}
	return errors.ErrUnsupported
}
