package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// InMemory is a sandbox served over connections that never leave the process. All its goroutines and timers belong
// to the [testing/synctest] bubble in which it was made.
type InMemory struct {
	server    *http.Server
	listener  *pipeListener
	transport *http.Transport
	done      chan struct{}
}

// InMemory starts a server of this sandbox without any address. Close it before the sandbox.
func (s *Sandbox) InMemory() *InMemory {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	m := &InMemory{
		server:   &http.Server{Handler: s, ReadHeaderTimeout: time.Minute},
		listener: l,
		done:     make(chan struct{}),
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }
	m.transport = &http.Transport{
		DialContext: dial,
		// The name in an https address is taken on trust: there is nobody between the two ends of a pipe.
		DialTLSContext:     dial,
		DisableCompression: true,
	}
	go func() {
		defer close(m.done)
		// Serve always ends with an error; after Close it is ErrServerClosed.
		_ = m.server.Serve(l)
	}()
	return m
}

// Transport returns a transport whose every connection, whatever the host, leads to the sandbox. It is one and the
// same at each call. Requests to https addresses travel as plain HTTP/1.1.
func (m *InMemory) Transport() *http.Transport { return m.transport }

// Close ends the server and all connections and waits for its listener.
func (m *InMemory) Close() error {
	err := m.server.Close()
	m.transport.CloseIdleConnections()
	<-m.done
	if err != nil {
		return fmt.Errorf("close in-memory sandbox: %w", err)
	}
	return nil
}

// pipeListener hands the server ends of pipes to an [http.Server].
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	slam   atomic.Int64 // how many of the next connections are closed at once
}

var errPipeClosed = errors.New("sandbox: in-memory server is closed")

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	broken := new(atomic.Bool)
	if n := l.slam.Load(); n > 0 && l.slam.CompareAndSwap(n, n-1) {
		// Accepted, and closed before a byte was read.
		_ = server.Close()
		return &pipeEnd{Conn: client, broken: broken}, nil
	}
	select {
	case l.conns <- &pipeStart{Conn: server, broken: broken}:
		return &pipeEnd{Conn: client, broken: broken}, nil
	case <-l.closed:
		return nil, errPipeClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeStart is the server's end of a connection. A pipe knows no resets, so that both ends share a word about it.
type pipeStart struct {
	net.Conn

	broken *atomic.Bool
}

// Reset breaks the connection; the server still has to close it.
func (c *pipeStart) Reset() { c.broken.Store(true) }

// pipeEnd is the client's end of a connection.
type pipeEnd struct {
	net.Conn

	broken *atomic.Bool
}

func (c *pipeEnd) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && c.broken.Load() {
		err = syscall.ECONNRESET
	}
	return n, err
}

// SlamNext closes the next n connections right after they are accepted, before a byte is read.
func (m *InMemory) SlamNext(n int) { m.listener.slam.Store(int64(n)) }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "sandbox" }
