package scheduler

import "sync"

// crew runs work side by side on goroutines that stay for the next work, so that a burst does not make and grow a stack
// for each delivery. Make it with newCrew, and end it with dismiss.
type crew struct {
	next chan func()
	home chan struct{} // closed when nothing more comes
	wg   sync.WaitGroup
}

func newCrew() crew { return crew{next: make(chan func()), home: make(chan struct{})} }

// do has somebody who is free do the work, or somebody new. It never waits. How many there are is for the caller to
// bound.
func (c *crew) do(work func()) {
	select {
	case c.next <- work:
	default:
		c.wg.Go(func() { c.serve(work) })
	}
}

func (c *crew) serve(work func()) {
	for {
		work()
		select {
		case work = <-c.next:
		case <-c.home:
			return
		}
	}
}

// dismiss lets everybody go who is done. Nothing may be given to do afterwards.
func (c *crew) dismiss() { close(c.home) }

// wait returns when everybody has gone.
func (c *crew) wait() { c.wg.Wait() }
