package load

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// shake begins the handshake of a connection that was just opened. The socket leaves epoll until that is over.
func (w *worker) shake(c *conn) {
	if w.poll.remove(c.fd) != nil {
		w.fail(c, ErrRefused)
		return
	}
	c.state, c.writing = shaking, false
	s := newSession(c.fd, c.tag, c.group.entry.tls, time.Now().Add(time.Duration(w.timeout)))
	c.secure = s
	w.shaken.running.Go(func() {
		s.err = s.conn.Handshake()
		s.steady = true
		w.shaken.add(s)
		w.poll.interrupt()
	})
}

// settle goes on with the connections whose handshakes are over. Of one that was given up meanwhile only the socket is left.
func (w *worker) settle() {
	for _, s := range w.shaken.take() {
		c := &w.conns[s.tag]
		switch {
		case c.secure != s:
			unix.Close(s.fd)
		case s.err != nil:
			c.state = connecting // the socket is the worker's again
			why := ErrRefused
			if time.Now().After(s.until) { // silence is no refusal
				why = ErrTimeout
			}
			w.refused(c, why)
		case w.poll.add(c.fd, unix.EPOLLIN|unix.EPOLLRDHUP, c.tag, c.generation) != nil:
			c.state = connecting
			w.refused(c, ErrRefused)
		default:
			w.opened(c)
		}
	}
}

// abandon leaves the socket of a handshake under way to settle, and has it end.
func (c *conn) abandon() {
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	c.fd, c.secure = -1, nil
}

// encrypt sends a request by TLS.
func (w *worker) encrypt(c *conn, p []byte) {
	if _, err := c.secure.conn.Write(p); err != nil {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // epoll reports the socket, and read finds the end
		return
	}
	w.flush(c)
}

// flush sends what TLS has to say.
func (w *worker) flush(c *conn) {
	if s := c.secure; len(s.out) > 0 && len(c.unsent) == 0 {
		w.write(c, s.out)
		s.out = s.out[:0]
	}
}

// decrypt takes all that has come of the response: what crypto/tls has read of it already, epoll does not report.
func (w *worker) decrypt(c *conn) {
	r := &c.response
	for {
		n, err := c.secure.conn.Read(w.in)
		now := w.now()
		if n > 0 {
			used, done, bad := r.feed(w.in[:n])
			if bad != nil || (done && used < n) { // bytes behind the response belong to nothing
				w.fail(c, ErrProtocol)
				return
			}
			if done {
				w.answered(c, now, r.keepAlive && len(c.unsent) == 0 && err == nil)
				return
			}
		}
		switch {
		case err == nil:
		case err == again{}:
			w.flush(c)
			return
		case err == io.EOF && r.eof():
			w.answered(c, now, false)
			return
		default:
			w.fail(c, r.cut())
			return
		}
	}
}

// silent reads from an idle connection what is TLS's own, such as tickets for later sessions (RFC 8446 4.6.1), and says whether that was all.
func (w *worker) silent(c *conn) bool {
	n, err := c.secure.conn.Read(w.in)
	if n > 0 || err != (again{}) {
		return false
	}
	w.flush(c)
	return true
}
