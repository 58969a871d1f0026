// Package post is wrong on purpose: the domain knows the standard library alone.
package post

import "golang.org/x/text/unicode/norm"

// Clean normalises s.
func Clean(s string) string { return norm.NFC.String(s) }
