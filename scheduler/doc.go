// Package scheduler decides when a delivery is sent and what its end means.
//
// One goroutine owns the clock: it claims the heads of ready lanes, hands each to a worker and settles what comes
// back, many lanes to one commit. A claim's intent is on disk before its worker starts. Cron ([Clockwork]) keeps the
// heartbeat, plans recurring posts and does the upkeep; it writes rows and nudges, and never publishes.
//
// What follows from an attempt is decided by [Decide] and what follows from a look by [DecideLook]: pure functions
// whose tables are tested cell by cell.
package scheduler
