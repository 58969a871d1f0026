package bolt

import (
	"time"

	"crier/internal/post"
)

// intent is the durable record that a request may be in flight. It stands in the record of its lane, which never has
// two, and is written by the commit that claims the delivery. What is being sent, fence, part and digest, the delivery
// says itself: nothing can change it until it is settled.
type intent struct {
	delivery post.ID // zero when nothing is in flight
	owner    string
	lease    time.Time
	started  time.Time
	began    time.Time // the same instant by the platform's clock, as nearly as that is known
}

func (i *intent) none() bool { return i.delivery.IsZero() }

func (e *encoder) intent(i *intent) {
	e.id(i.delivery)
	e.text(i.owner)
	e.time(i.lease)
	e.time(i.started)
	e.time(i.began)
}

func (d *decoder) intent() intent {
	return intent{delivery: d.id(), owner: d.common(), lease: d.time(), started: d.time(), began: d.time()}
}

// flies reports whether the record of a lane holds an intent, without reading the rest of it.
func flies(b []byte) bool { return len(b) > 1 && b[0] >= laneHoldsIntent && b[1]&flagFlight != 0 }

// flights lists at most limit lanes with an intent that want reports true for.
func (t *tx) flights(limit int, want func(*intent) bool) (keys []post.AccountKey, err error) {
	err = t.scan(bLaneState, nil, func(k, v []byte) (bool, error) {
		if !flies(v) {
			return true, nil
		}
		key, ok := cutAccount(k)
		if !ok {
			return false, corrupt(bLaneState, k, errShort)
		}
		l, err := decodeLane(key, v, nil)
		if err != nil {
			return false, err
		}
		if want(&l.flight) {
			keys = append(keys, key)
		}
		return len(keys) < limit, nil
	})
	return keys, err
}
