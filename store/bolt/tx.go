package bolt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"crier/internal/post"
	"crier/store"
)

type bucketID int

// The buckets; engine guide and docs describe what each holds. All but delivery, content and the small tables of
// accounts, series and media are indexes.
const (
	bMeta        bucketID = iota // schema, epoch, sequence and counters
	bDelivery                    // id → record
	bContent                     // post id → record
	bLaneState                   // account → lane
	bReady                       // kind, instant, account → head, platform, brand
	bCal                         // account, due, id → whether it may wait: the order in each lane as well
	bCal0                        // kind, due, id
	bStatus                      // state, due, id: the rarer states
	bDoubt                       // kind, platform, next look, id
	bPrep                        // due, id: scheduled and not prepared
	bReceipt                     // platform, remote id → delivery, part
	bOcc                         // series, key → post id, zero for one that was left out
	bOpenOcc                     // series, delivery: occurrences that have not begun
	bIdem                        // client, key → expiry, digest, answer
	bIdemExpiry                  // expiry, client, key
	bExternal                    // external id, kind, owner → post id
	bFingerprint                 // account, digest, delivery → instant, post, delivery
	bOutbox                      // sequence → change
	bHistory                     // post, sequence; post, delivery: one that the post has dropped
	bAttempt                     // delivery, n → attempt; the last one stands in the delivery
	bHandle                      // delivery, part, name → JSON
	bSeries                      // id → JSON
	bAccount                     // account → JSON
	bName                        // handle → account
	bIdentity                    // platform, remote id → account
	bApp                         // app, account
	bToken                       // account → seed, sealed
	bKey                         // id → JSON
	bMedia                       // id → JSON
	bMediaTime                   // created, id
	bMediaUse                    // media, account, post
	bStop                        // scope → JSON
	bucketCount
)

// bucketNames are the names on disk.
var bucketNames = [bucketCount]string{
	"meta", "delivery", "content", "lanestate", "ready", "cal", "cal0", "status", "doubt", "prep",
	"receipt", "occ", "openocc", "idem", "idemexpiry", "external", "fingerprint", "outbox", "history", "attempt",
	"handle", "series", "account", "name", "identity", "app", "token", "key", "media", "mediatime", "mediause", "stop",
}

// fill is how full a page of the bucket is left when it splits. Where keys only ever rise and records stay as they are,
// pages can be filled; a delivery grows until it is out, and its history with it; the calendars take most of their keys
// near the end of an account, a kind or the queue.
func (b bucketID) fill() float64 {
	switch {
	case b == bContent, b == bOutbox, b == bMediaTime:
		return 0.95
	case b == bDelivery:
		return 0.8
	case b == bHistory, b == bCal, b == bCal0:
		return 0.7
	}
	return bbolt.DefaultFillPercent
}

// tx is a transaction with what one batch of operations shares.
type tx struct {
	b       *bbolt.Tx
	buckets [bucketCount]*bbolt.Bucket
	cursors [bucketCount]*bbolt.Cursor // for reads that end at once, so that none has to make one
	kept    *slab                      // the values that it writes
	room    []byte                     // see record
	key     []byte                     // room for the key of put
	writes  int                        // since the batch began
	wake    bool                       // something may have become due earlier
	meta    *meta
	lanes   map[post.AccountKey]*lane // touched by the running operation
	words   map[string]string         // that many lanes have in common
	stops   []store.Stop
	stopped bool // stops are read
}

func newTx(b *bbolt.Tx) *tx { return &tx{b: b, kept: &slab{}} }

// record gives the room in which the next record is built; put copies it.
func (t *tx) record() []byte {
	if t.room == nil {
		t.room = make([]byte, 0, 1024)
	}
	return t.room
}

func (t *tx) bucket(id bucketID) *bbolt.Bucket {
	if t.buckets[id] == nil {
		b := t.b.Bucket([]byte(bucketNames[id]))
		if b != nil {
			b.FillPercent = id.fill()
		}
		t.buckets[id] = b
	}
	return t.buckets[id]
}

// cursor gives the bucket's cursor, good until it is asked for again.
func (t *tx) cursor(id bucketID) *bbolt.Cursor {
	if t.cursors[id] == nil {
		t.cursors[id] = t.bucket(id).Cursor()
	}
	return t.cursors[id]
}

func (t *tx) get(id bucketID, key []byte) []byte {
	k, v := t.cursor(id).Seek(key)
	if !bytes.Equal(k, key) {
		return nil
	}
	return v
}

// put writes a record. It copies key and value: neither has to outlive the call.
func (t *tx) put(id bucketID, key, value []byte) error {
	t.writes++
	t.key = append(t.key[:0], key...) // bbolt has its keys escape, and copies them
	if err := t.bucket(id).Put(t.key, t.kept.keep(value)); err != nil {
		return fmt.Errorf("write %s: %w", bucketNames[id], err)
	}
	return nil
}

func (t *tx) del(id bucketID, key []byte) error {
	t.writes++
	c := t.cursor(id)
	if k, _ := c.Seek(key); !bytes.Equal(k, key) {
		return nil
	}
	if err := c.Delete(); err != nil {
		return fmt.Errorf("delete from %s: %w", bucketNames[id], err)
	}
	return nil
}

func (t *tx) putJSON(id bucketID, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", bucketNames[id], err)
	}
	return t.put(id, key, b)
}

// getJSON reads a record into v; ErrNotFound when there is none.
func (t *tx) getJSON(id bucketID, key []byte, v any) error {
	b := t.get(id, key)
	if b == nil {
		return store.ErrNotFound
	}
	if err := json.Unmarshal(b, v); err != nil {
		return corrupt(id, key, err)
	}
	return nil
}

// scan calls f for each key of the bucket with the prefix, in order, until f reports false. f must not write to the
// bucket.
func (t *tx) scan(id bucketID, prefix []byte, f func(k, v []byte) (bool, error)) error {
	c := t.bucket(id).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		more, err := f(k, v)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// keys collects at most limit keys with the prefix, copied, so that they can be deleted.
func (t *tx) keys(id bucketID, prefix []byte, limit int) [][]byte {
	var out [][]byte
	c := t.bucket(id).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix) && len(out) < limit; k, _ = c.Next() {
		out = append(out, bytes.Clone(k))
	}
	return out
}

// delivery reads one delivery; ErrNotFound when there is none.
func (t *tx) delivery(id post.ID) (*post.Delivery, error) {
	b := t.get(bDelivery, id[:])
	if b == nil {
		return nil, fmt.Errorf("delivery %s: %w", id, store.ErrNotFound)
	}
	return decodeDelivery(id, b)
}

// copyOf gives a copy that shares nothing which a transition changes.
func copyOf(d *post.Delivery) *post.Delivery {
	var c post.Delivery
	copyTo(&c, d)
	return &c
}

func copyTo(c, d *post.Delivery) {
	*c = *d
	c.Parts = slices.Clone(d.Parts)
	if d.Doubt != nil {
		x := *d.Doubt
		c.Doubt = &x
	}
}

// lane gives the lane of an account for change; settleLanes writes it back.
func (t *tx) lane(key post.AccountKey) (*lane, error) {
	if l, ok := t.lanes[key]; ok {
		return l, nil
	}
	if t.lanes == nil {
		t.lanes, t.words = map[post.AccountKey]*lane{}, map[string]string{}
	}
	l, err := decodeLane(key, t.get(bLaneState, accountKey(key)), t.words)
	if err != nil {
		return nil, err
	}
	t.lanes[key] = l
	return l, nil
}

// waits reports whether the delivery may begin once its instant has come, as far as preparing goes. Whether prepared
// work has expired is asked when the lane's turn has come.
func waits(d *post.Delivery) bool { return d.NeedsPrepare && d.Prepared != d.Digest }

// settleLanes brings the ready index up to date with the lanes that the operation touched.
func (t *tx) settleLanes(now time.Time) error {
	for key, l := range t.lanes {
		if err := t.settleLane(l, now); err != nil {
			return err
		}
		delete(t.lanes, key)
	}
	return nil
}

// openHead brings a lane up to now and gives the head that may begin when its instant has come; nil when the lane is
// closed or nothing in it may begin.
func (t *tx) openHead(l *lane, now time.Time) (*post.Delivery, error) {
	l.tidy(now)
	if _, err := t.headOf(l); err != nil && !errors.Is(err, store.ErrCorrupt) {
		return nil, err
	}
	if l.closed() { // what cannot be read is told when it opens
		return nil, nil //nolint:nilnil // a closed lane has no open head
	}
	head, err := t.laneHead(l)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		l.quarantine(err, now)
		return nil, nil //nolint:nilnil // it has just been closed
	case err != nil:
		return nil, err
	case head == nil || head.State != post.Scheduled || waits(head):
		return nil, nil //nolint:nilnil // nothing may begin
	}
	return head, nil
}

func (t *tx) settleLane(l *lane, now time.Time) error {
	ready, at, id := false, int64(0), post.ID{}
	var platform post.Platform
	head, err := t.openHead(l, now)
	if err != nil {
		return err
	}
	if head != nil {
		ready, at, id, platform = true, l.opens(head), head.ID, head.Platform
	}
	if head == nil && len(l.doubts) == 0 && len(l.excused) > 0 && l.head.none() {
		l.excused, l.dirty = nil, true // nobody is left to be excused
	}
	if ready != l.ready || at != l.readyMs || id != l.entry {
		if l.ready && (!ready || at != l.readyMs) {
			if err := t.del(bReady, readyKey(l.readyMs, l.key)); err != nil {
				return err
			}
		}
		if ready {
			if err := t.put(bReady, readyKey(at, l.key), appendReady(t.record(), id, platform, l)); err != nil {
				return err
			}
			t.wake = true
		}
		l.ready, l.readyMs, l.entry, l.dirty = ready, at, id, true
	}
	if !l.dirty {
		return nil
	}
	b := l.appendTo(t.record())
	if bytes.Equal(b, l.stored) {
		return nil
	}
	return t.put(bLaneState, accountKey(l.key), b)
}

// appendReady appends the head with what a turn asks before it reads anything else: platform and brand.
func appendReady(b []byte, head post.ID, p post.Platform, l *lane) []byte {
	e := encoder{b: b}
	e.id(head)
	e.text(string(p))
	e.text(l.owner)
	return e.b
}

type readyEntry struct {
	ms       int64
	key      post.AccountKey
	head     post.ID
	platform post.Platform
	owner    string
	first    *post.Delivery // the head, when it has been read already
}

func readReady(k, v []byte) (readyEntry, error) {
	i := bytes.IndexByte(k, '|')
	if i < 0 || len(k) < i+9 {
		return readyEntry{}, corrupt(bReady, k, errShort)
	}
	e := readyEntry{ms: keyMillis(k[i+1:])}
	var ok bool
	if e.key, ok = cutAccount(k[i+9:]); !ok {
		return readyEntry{}, corrupt(bReady, k, errShort)
	}
	r := decoder{b: v}
	e.head = r.id()
	e.platform = post.Platform(platformWords.known(r.take(r.uint())))
	e.owner = r.text()
	if err := r.err(); err != nil {
		return readyEntry{}, corrupt(bReady, k, err)
	}
	return e, nil
}

// stopList reads the stops.
func (t *tx) stopList() ([]store.Stop, error) {
	if t.stopped {
		return t.stops, nil
	}
	t.stops = nil
	err := t.scan(bStop, nil, func(k, v []byte) (bool, error) {
		var s store.Stop
		if err := json.Unmarshal(v, &s); err != nil {
			return false, corrupt(bStop, k, err)
		}
		t.stops = append(t.stops, s)
		return true, nil
	})
	t.stopped = err == nil
	return t.stops, err
}

// stopsLane reports whether the stop stops the lane at now; at the zero instant all stops stand.
func stopsLane(s store.Stop, kind post.Kind, owner string, now time.Time) bool {
	if now.IsZero() {
		return inScope(s, kind, owner)
	}
	return s.Matches(post.Account{Kind: kind, Owner: owner}, now)
}

// inScope reports whether the stop is meant for the lane, whether it still holds or not.
func inScope(s store.Stop, kind post.Kind, owner string) bool {
	s.Hold = post.Hold{}
	return s.Matches(post.Account{Kind: kind, Owner: owner}, time.Time{})
}

// stoppedBy reports whether one of the stops stops the lane.
func stoppedBy(stops []store.Stop, kind post.Kind, owner string, now time.Time) bool {
	return slices.ContainsFunc(stops, func(s store.Stop) bool { return stopsLane(s, kind, owner, now) })
}

// stoppedAll reports whether a stop of everything, or of the whole kind, holds.
func stoppedAll(stops []store.Stop, kind post.Kind, now time.Time) bool {
	return slices.ContainsFunc(stops, func(s store.Stop) bool { return s.Brand == "" && stopsLane(s, kind, "", now) })
}
