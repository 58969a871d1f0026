package app

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// HTTPLimits bound what clients of the API can hold on to. A zero field has its default.
type HTTPLimits struct {
	// Connections is how many there are at a time; 4096. Each takes some 20 KiB. Beyond it, the connection that has been
	// waiting longest for a whole request's header makes room for a new one; if all are at work, new ones wait.
	Connections int
	// Header is how long a request's header may take from the moment it is awaited on a new connection; 10 s.
	Header time.Duration
	// Idle is how long a connection may stay without a request; 2 minutes.
	Idle time.Duration
	// Stall is how long a body or an answer may come to a stop; 30 s. See api.Deps.
	Stall time.Duration
}

func (l HTTPLimits) withDefaults() HTTPLimits {
	if l.Connections <= 0 {
		l.Connections = 4096
	}
	if l.Header <= 0 {
		l.Header = 10 * time.Second
	}
	if l.Idle <= 0 {
		l.Idle = 2 * time.Minute
	}
	return l
}

// server serves h within the limits of o.
func server(l HTTPLimits, h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: l.Header, IdleTimeout: l.Idle, MaxHeaderBytes: 64 << 10}
}

// door is a listener that lets in a bounded number of connections. Those that hold a place without having asked for
// anything lose it to those who come.
type door struct {
	net.Listener
	most int

	mu      sync.Mutex
	inside  map[net.Conn]time.Time // since when it has been waiting for a request; zero while one is at work
	left    chan struct{}          // receives when a connection has ended or begins to wait
	closing chan struct{}
	once    sync.Once
}

// newDoor puts a bound before a listener; the server must call its state.
func newDoor(l net.Listener, most int) *door {
	return &door{
		Listener: l, most: most, inside: make(map[net.Conn]time.Time), left: make(chan struct{}, 1), closing: make(chan struct{}),
	}
}

// Accept waits for a connection, and for a place.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // http.Server compares what a listener says
	}
	for !d.admit(conn) {
		select {
		case <-d.left:
		case <-d.closing:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
	return conn, nil
}

// admit takes a place for a connection, at need that of the one that has waited longest.
func (d *door) admit(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.inside) >= d.most {
		var oldest net.Conn
		for c, since := range d.inside {
			if !since.IsZero() && (oldest == nil || since.Before(d.inside[oldest])) {
				oldest = c
			}
		}
		if oldest == nil {
			return false
		}
		delete(d.inside, oldest)
		_ = oldest.Close() // whoever reads from it hears so
	}
	d.inside[conn] = time.Now()
	return true
}

// state is http.Server.ConnState.
func (d *door) state(conn net.Conn, to http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.inside[conn]; !known {
		return // it lost its place
	}
	switch to {
	case http.StateNew:
		return
	case http.StateActive:
		d.inside[conn] = time.Time{}
		return
	case http.StateIdle:
		d.inside[conn] = time.Now()
	case http.StateClosed, http.StateHijacked:
		delete(d.inside, conn)
	}
	select {
	case d.left <- struct{}{}:
	default:
	}
}

// Close ends the listening; connections stay the server's.
func (d *door) Close() error {
	d.once.Do(func() { close(d.closing) })
	return d.Listener.Close() //nolint:wrapcheck // http.Server compares what a listener says
}
