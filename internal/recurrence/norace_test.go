//go:build !race

package recurrence_test

// stride is 1: every zone is tried.
const stride = 1
