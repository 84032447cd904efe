package wire

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Socket is a TCP or Unix connection whose reads and writes do not announce themselves to Go's scheduler.
//
// The runtime expects of every system call that it may block. The first one after an idle moment therefore wakes the runtime's monitor
// thread, which then looks every 20 us whether a processor has to be taken away, until all is idle again: at a few thousand requests a
// second that is an eighth of a proxy's CPU. A socket of the poller never blocks, so nothing is lost by keeping the processor.
type Socket struct {
	net.Conn
	raw     syscall.RawConn
	in, out transfer
}

// transfer is a read or a write under way. Its function is made once, so that none allocates.
type transfer struct {
	mu   sync.Mutex
	call func(fd uintptr) (done bool)
	p    []byte
	n    int
	err  error
	took took
}

// NewSocket makes a Socket of a connection of package net; others are returned as they are.
func NewSocket(c net.Conn) net.Conn {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return c
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return c
	}
	s := &Socket{Conn: c, raw: raw}
	s.in.call, s.out.call = s.in.read, s.out.write
	return s
}

// SyscallConn implements syscall.Conn.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }

// CloseWrite ends the outgoing direction.
func (s *Socket) CloseWrite() error { return s.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// SetLinger says what Close does with bytes that are not sent yet; a Unix socket knows no such thing.
func (s *Socket) SetLinger(seconds int) error {
	if t, ok := s.Conn.(*net.TCPConn); ok {
		return t.SetLinger(seconds)
	}
	return nil
}

// Read implements net.Conn.
func (s *Socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &s.in
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.err = p, 0, nil
	since := t.took.began()
	err := s.raw.Read(t.call)
	t.took.ended(since)
	t.p = nil
	switch {
	case err != nil:
		return 0, err
	case t.err != nil:
		return 0, s.failed("read", t.err)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// Write implements net.Conn.
func (s *Socket) Write(p []byte) (int, error) {
	t := &s.out
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.err = p, 0, nil
	since := t.took.began()
	err := s.raw.Write(t.call)
	t.took.ended(since)
	t.p = nil
	if err == nil && t.err != nil {
		err = s.failed("write", t.err)
	}
	return t.n, err
}

func (s *Socket) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: s.RemoteAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// read tries once; false waits for the poller.
func (t *transfer) read(fd uintptr) bool {
	n, err := readSocket(fd, t.p)
	if err == syscall.EAGAIN {
		return false
	}
	t.n, t.err = max(n, 0), err
	return true
}

// write goes on until all is written; false waits for the poller.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.p) {
		n, err := writeSocket(fd, t.p[t.n:])
		if err == syscall.EAGAIN {
			return false
		}
		if err != nil {
			t.err = err
			return true
		}
		t.n += n
	}
	return true
}
