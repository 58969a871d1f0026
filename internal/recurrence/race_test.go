//go:build race

package recurrence_test

// stride lets every tenth zone stand for the others: the arithmetic of one goroutine has no races, and takes ten times as
// long when it is watched for them. What .ci/run plays without the detector holds them all.
const stride = 10
