package load

import "golang.org/x/sys/unix"

// conn is one connection slot of a worker: it lives as long as the trial, the sockets in it come and go.
type conn struct {
	group      *group
	tag        int32 // its index, in epoll events
	generation int32 // of the socket: events of an earlier one are stale
	fd         int
	state      connState
	flight     int32 // the sample in flight, or waiting for this dial; none if there is none
	answered   bool  // since it was opened: only such a connection is opened again on its own
	writing    bool  // epoll is asked for EPOLLOUT
	unsent     []byte
	response   response
	secure     *session // nil in plaintext

	list       *connList
	prev, next *conn
}

const none = -1

type connState uint8

const (
	closed     connState = iota // no socket; in group.closed
	connecting                  // in no list
	shaking                     // in no list, the socket in the hands of its session
	idle                        // in group.idle
	busy                        // in no list
)

// group is the connections of one worker to one entry, and the samples that wait for one of them. While a sample waits there is
// neither an idle nor a closed connection.
type group struct {
	entry    *entry
	messages []message
	idle     connList
	closed   connList
	first    int32 // of the waiting samples, linked by flight.next; none if none waits
	last     int32
}

// exhausted says that every connection is taken.
func (g *group) exhausted() bool { return g.idle.front == nil && g.closed.front == nil }

// connList is a queue from whose middle a connection can be taken. Idle connections are used in turn, as those of a population of
// clients are: the most recent one first would leave the others unused and the target's idle timeouts untested.
type connList struct{ front, back *conn }

func (l *connList) push(c *conn) {
	c.list, c.prev, c.next = l, l.back, nil
	if l.back != nil {
		l.back.next = c
	} else {
		l.front = c
	}
	l.back = c
}

// unlink takes c out of the list it is in, if any.
func (c *conn) unlink() {
	l := c.list
	if l == nil {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.front = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.back = c.prev
	}
	c.list, c.prev, c.next = nil, nil, nil
}

// open starts a connection. It reports false, and the slot is closed, where that failed at once.
func (w *worker) open(c *conn) bool {
	c.unlink()
	w.dials.Add(1)
	fd, err := dial(&c.group.entry.address)
	if err != nil {
		w.shut(c)
		return false
	}
	c.fd, c.state, c.answered, c.writing, c.unsent = fd, connecting, false, true, c.unsent[:0]
	c.generation++
	c.response.begin(false)
	if err := w.poll.add(fd, unix.EPOLLOUT, c.tag, c.generation); err != nil {
		w.shut(c)
		return false
	}
	return true
}

// shut closes the socket; the slot is free to be opened when a sample needs it.
func (w *worker) shut(c *conn) {
	c.unlink()
	if c.state == shaking {
		c.abandon()
	}
	if c.fd >= 0 {
		unix.Close(c.fd) // leaves epoll with it
	}
	c.fd, c.secure, c.state, c.flight = -1, nil, closed, none
	c.group.closed.push(c)
}

// renew closes the socket and opens another, so that no later sample pays for it. A connection that never carried a response is not
// opened again on its own: a target that accepts and closes would keep the driver busy with nothing.
func (w *worker) renew(c *conn) {
	again := c.answered
	w.shut(c)
	if again {
		w.open(c)
	}
	w.serveWaiting(c.group)
}

// release makes a connection free for the sample that waits longest, or idle.
func (w *worker) release(c *conn) {
	c.state, c.flight = idle, none
	c.group.idle.push(c)
	w.serveWaiting(c.group)
}

// connected ends a dial that succeeded or failed.
func (w *worker) connected(c *conn) {
	if err := dialError(c.fd); err != nil {
		w.refused(c, ErrRefused)
		return
	}
	if c.group.entry.tls != nil {
		w.shake(c)
		return
	}
	c.writing = false
	if err := w.poll.change(c.fd, unix.EPOLLIN|unix.EPOLLRDHUP, c.tag, c.generation); err != nil {
		w.fail(c, ErrRefused)
		return
	}
	w.opened(c)
}

// opened gives a new connection to the sample that it was opened for, if any.
func (w *worker) opened(c *conn) {
	if c.flight == none {
		w.release(c)
		return
	}
	w.send(c, c.flight)
}

// refused ends a connection that did not come about.
func (w *worker) refused(c *conn, why *Error) {
	flight := c.flight
	w.shut(c)
	if flight != none {
		w.end(flight, outcome{}, why)
	}
	w.serveWaiting(c.group)
}

// ready handles an event of a connection.
func (w *worker) ready(c *conn, events uint32) {
	switch c.state {
	case connecting:
		w.connected(c)
	case idle:
		// Nothing was asked for: the target closed the connection, or speaks out of turn.
		if c.secure == nil || !w.silent(c) {
			w.renew(c)
		}
	case busy:
		if events&unix.EPOLLOUT != 0 && len(c.unsent) > 0 {
			w.write(c, c.unsent)
		}
		if c.state == busy && events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			w.read(c)
		}
	}
}

// send writes the request of a sample to a free connection.
func (w *worker) send(c *conn, flight int32) {
	c.unlink()
	f := &w.flights[flight]
	f.conn, f.state = c.tag, inFlight
	f.sent = w.now()
	if !f.waited {
		f.sent = f.ready // nothing lies between them, so that no difference is made up
	}
	seq := w.seq(flight)
	m := &c.group.messages[w.kindOf(flight).first+int(f.call)]
	c.state, c.flight = busy, flight
	c.response.begin(m.toHead)
	c.response.asked = m.ledger && asks(seq)
	w.out = m.append(w.out[:0], seq, c.response.asked)
	if c.secure != nil {
		w.encrypt(c, w.out)
		return
	}
	w.write(c, w.out)
}

// write sends what the socket takes and keeps the rest.
func (w *worker) write(c *conn, p []byte) {
	n, errno := writeSocket(c.fd, p)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		// The target may have answered before it closed: epoll reports the socket, and read finds what it said, or the end.
		c.unsent = append(c.unsent[:0], p...)
		return
	}
	c.unsent = append(c.unsent[:0], p[n:]...)
	if blocked := len(c.unsent) > 0; blocked != c.writing {
		events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP)
		if blocked {
			events |= unix.EPOLLOUT
		}
		if w.poll.change(c.fd, events, c.tag, c.generation) != nil {
			w.fail(c, ErrReset)
			return
		}
		c.writing = blocked
	}
}

// read takes what has come of the response. Epoll is level-triggered, so one read an event is enough.
func (w *worker) read(c *conn) {
	if c.secure != nil {
		w.decrypt(c)
		return
	}
	n, errno := readSocket(c.fd, w.in)
	now := w.now()
	r := &c.response
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0:
		w.fail(c, r.cut())
	case n == 0 && r.eof():
		w.answered(c, now, false)
	case n == 0:
		w.fail(c, r.cut())
	default:
		used, done, err := r.feed(w.in[:n])
		if err != nil || (done && used < n) { // bytes behind the response belong to nothing
			w.fail(c, ErrProtocol)
		} else if done {
			w.answered(c, now, r.keepAlive && len(c.unsent) == 0)
		}
	}
}

// answered ends a sample with a complete response. The connection goes on first: who waits for it should not wait for bookkeeping.
func (w *worker) answered(c *conn, now int64, reusable bool) {
	flight, got := c.flight, c.response.outcome()
	c.answered = true
	w.told = c.response.timing // stays as it is until the connection's next response comes in
	w.flights[flight].done = now
	if reusable {
		w.release(c)
	} else {
		w.renew(c)
	}
	w.end(flight, got, statusError(got.status))
	w.told = nil
}

// fail ends the sample in flight, if any, with an error, and the connection with it.
func (w *worker) fail(c *conn, err error) {
	flight, got := c.flight, c.response.outcome()
	w.renew(c)
	if flight != none {
		w.end(flight, got, err)
	}
}
