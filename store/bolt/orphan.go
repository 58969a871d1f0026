package bolt

import (
	"errors"
	"time"

	"crier/internal/post"
	"crier/store"
)

// orphan is a claim whose commit reported an error and may be on disk all the same. Turn gave it to nobody, so that not
// a byte of it can have left: the next turn puts it back, instead of leaving its lane blocked until the lease ends and
// its post in doubt.
type orphan struct {
	owner    string
	delivery post.ID
	fence    uint64
}

func (s *Store) takeOrphans() []orphan {
	s.orphaning.Lock()
	defer s.orphaning.Unlock()
	all := s.orphans
	s.orphans = nil
	return all
}

func (s *Store) keepOrphans(o []orphan) {
	s.orphaning.Lock()
	defer s.orphaning.Unlock()
	s.orphans = append(s.orphans, o...)
}

// putBack schedules an orphan again, if its claim stands: same owner, same fence, still sending.
func (t *tx) putBack(o orphan, now time.Time) error {
	before, err := t.delivery(o.delivery)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	if before.State != post.Sending || before.Fence != o.fence {
		return nil
	}
	l, err := t.lane(before.Account)
	if err != nil || l.flight.delivery != o.delivery || l.flight.owner != o.owner {
		return err
	}
	after := copyOf(before)
	// Nothing is said of absence: an earlier attempt at the part may be in doubt still.
	_, err = after.Settle(post.Settled{Part: before.NextPart(), Fence: o.fence, From: post.Sending, To: post.Scheduled}, now)
	if err != nil {
		return err
	}
	return t.save(before, after, cause{now: now, actor: crier})
}
