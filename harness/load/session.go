package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// TLS in the native driver. A handshake runs in a goroutine of its own, so that no worker waits for one while requests are due; connections
// are opened before the start and kept, so that a steady load has none. Afterwards the worker's thread encrypts and decrypts, as it sends
// and reads, between raw system calls that never block: what that takes is part of the times, as it is for any client.

// session is the TLS of one socket. While hands are shaken it belongs to its goroutine, the socket with it, and then to the worker.
type session struct {
	conn   *tls.Conn
	fd     int
	until  time.Time // of the handshake
	steady bool      // the handshake is over: nothing blocks from here on
	out    []byte    // encrypted and not yet written
	err    error     // how the handshake ended
	tag    int32     // the connection that it was started for, while that has not gone on
}

// clientTLS is how the driver speaks TLS to a host: to nobody whose certificate is not of the roots; nil: those of the system. No session is
// resumed, so that every handshake is a whole one.
func clientTLS(host string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // RFC 9325 3.1.1
		RootCAs:    roots, ServerName: host, NextProtos: []string{"http/1.1"},
		// A request is one record and one write.
		DynamicRecordSizingDisabled: true,
	}
}

func newSession(fd int, tag int32, config *tls.Config, until time.Time) *session {
	s := &session{fd: fd, tag: tag, until: until}
	s.conn = tls.Client(s, config)
	return s
}

// again says that a socket has nothing to read now. crypto/tls keeps what it has of a record, and goes on at the next Read, after an error
// that says that it is temporary.
type again struct{}

func (again) Error() string   { return "nothing to read now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// Read implements net.Conn for crypto/tls.
func (s *session) Read(p []byte) (int, error) {
	n, errno := readSocket(s.fd, p)
	for !s.steady && (errno == unix.EAGAIN || errno == unix.EINTR) {
		if err := s.wait(unix.POLLIN); err != nil {
			return 0, err
		}
		n, errno = readSocket(s.fd, p)
	}
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, again{}
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn for crypto/tls. The worker sends what is written after the handshake.
func (s *session) Write(p []byte) (int, error) {
	if s.steady {
		s.out = append(s.out, p...)
		return len(p), nil
	}
	for sent := 0; sent < len(p); {
		n, errno := writeSocket(s.fd, p[sent:])
		sent += n
		switch errno {
		case 0, unix.EINTR:
		case unix.EAGAIN:
			if err := s.wait(unix.POLLOUT); err != nil {
				return sent, err
			}
		default:
			return sent, errno
		}
	}
	return len(p), nil
}

// wait blocks the handshake's goroutine until its socket is ready, or shut down.
func (s *session) wait(events int16) error {
	rest := time.Until(s.until)
	if rest <= 0 {
		return errors.New("the handshake takes too long")
	}
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: events}}, int(rest.Milliseconds())+1)
	if err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

// The rest of net.Conn. The socket is the worker's to close, and the deadline of the handshake is until.
func (s *session) Close() error                     { return nil }
func (s *session) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *session) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *session) SetDeadline(time.Time) error      { return nil }
func (s *session) SetReadDeadline(time.Time) error  { return nil }
func (s *session) SetWriteDeadline(time.Time) error { return nil }

// shaken are the handshakes of a worker that are over and that it has not yet looked at.
type shaken struct {
	mu      sync.Mutex
	over    []*session
	running sync.WaitGroup
}

func (s *shaken) add(done *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = append(s.over, done)
}

func (s *shaken) take() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := s.over
	s.over = nil
	return over
}
