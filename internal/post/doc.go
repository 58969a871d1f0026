// Package post is the domain of Crier: accounts, posts, deliveries, their parts and the table of what may
// become what. It does no I/O and imports nothing beyond the standard library.
//
// A [Post] is one piece of content and where it goes. A [Delivery] is one post to one destination of one
// [Account]; it is the unit of scheduling, retry and audit. A [Part] is one public act of a delivery: the post
// itself, each reply of a thread, the first comment, a thumbnail. Claim, intent and receipt belong to the part.
//
// Instants are UTC with millisecond resolution; use [Instant] at the edges.
package post
