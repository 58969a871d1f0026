package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"crier/internal/post"
	"crier/store"
)

// Hub tells those who wait for a post that something has happened to it. The zero value is ready; it is safe for
// concurrent use.
type Hub struct {
	mu      sync.Mutex
	waiting map[post.ID][]chan struct{}
	closed  bool
}

// Notify tells those who wait for the post. It never blocks.
func (h *Hub) Notify(id post.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ch := range h.waiting[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Close ends all waiting, now and from now on: who waits gets what there is.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, all := range h.waiting {
		for _, ch := range all {
			close(ch)
		}
	}
	h.waiting, h.closed = nil, true
}

// Watch gives a channel that receives after Notify and is closed by Close, and what ends the watching.
func (h *Hub) Watch(id post.ID) (news <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(ch)
		return ch, func() {}
	}
	if h.waiting == nil {
		h.waiting = make(map[post.ID][]chan struct{})
	}
	h.waiting[id] = append(h.waiting[id], ch)
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		left := slices.DeleteFunc(h.waiting[id], func(c chan struct{}) bool { return c == ch })
		if len(left) == 0 {
			delete(h.waiting, id)
			return
		}
		h.waiting[id] = left
	}
}

const (
	maxPreferWait = 60 * time.Second
	// lookAgain is how often a waiting request reads without being told: what is missed or held tells nobody.
	lookAgain = time.Second
)

// preferWait reads Prefer: wait=30 (RFC 7240), 0 when the client does not want to wait.
func preferWait(h http.Header) time.Duration {
	for _, line := range h.Values("Prefer") {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";")
			name, value, ok := strings.Cut(strings.TrimSpace(item), "=")
			if !ok || !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`))
			if err != nil || n <= 0 {
				return 0
			}
			return min(time.Duration(min(n, 3600))*time.Second, maxPreferWait)
		}
	}
	return 0
}

// mayWait takes a place among those who wait, which waited gives back. Where there is none, the client's preference is not
// honoured, which RFC 7240 leaves to the server: the answer comes at once and says nothing of a preference applied.
func (a *api) mayWait() bool {
	select {
	case a.waiters <- struct{}{}:
		return true
	default:
		return false
	}
}

func (a *api) waited() { <-a.waiters }

// settle waits until every delivery of a post has settled, the time is over, the client has left or Crier goes down, and
// gives the post as it then is.
func (a *api) settle(ctx context.Context, view store.PostView, news <-chan struct{}, wait time.Duration) store.PostView {
	over := time.NewTimer(wait)
	defer over.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if settled(view) {
			return view
		}
		last := false
		select {
		case <-ctx.Done():
			return view
		case <-over.C:
			last = true
		case _, open := <-news:
			last = !open
		case <-again.C:
		}
		next, err := a.Store.PostByID(ctx, view.Post.ID)
		if err != nil {
			return view // the post is on disk, which is what the client must know
		}
		if view = next; last {
			return view
		}
	}
}

// settled reports whether nothing more is to be awaited.
func settled(v store.PostView) bool {
	return !slices.ContainsFunc(v.Deliveries, func(d store.DeliveryView) bool {
		switch d.Delivery.State {
		case post.Scheduled, post.Sending, post.Unconfirmed:
			return true
		case post.Draft, post.InReview, post.Published, post.Partial, post.Failed, post.Missed, post.AwaitingPerson,
			post.Canceled, post.Removed:
		}
		return false
	})
}
