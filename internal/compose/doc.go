// Package compose turns what a client asks for into the post that is stored: it reads JSON strictly, merges the
// overrides of each target, resolves times, asks each account's adapter what its platform would refuse, and lists the
// problems of all targets at once.
//
// It knows nothing of HTTP and touches neither network nor disk. The API composes what clients send; the planner of
// recurring posts composes each occurrence from the same stored JSON.
package compose
