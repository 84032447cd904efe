package workload

import (
	"bytes"
	"net"
	"strconv"
	"time"
)

// A request with X-Crossroads-Ledger is answered with Server-Timing: what the proxies of the calls below told, and this node's own time,
// from the return of the read that brought the request to the write of its answer, without the reads and writes of its calls: all that
// lies between its system calls. Calls at the same time overlap, so that only graphs without them have a ledger that adds up.

var serverTiming = []byte("Server-Timing")

// blankApp is the name of the own time with room for it. The field stands in the answer that is being written, so that the time is put
// in last, right before the system call; spaces may stand behind it (RFC 9110 5.6.1).
const (
	blank    = "??????????"
	blankApp = ".app;dur=" + blank
)

// clocked is a connection that knows when its last read or write was over, and how long those of the message exchange under way took.
type clocked struct {
	net.Conn
	local  net.Addr      // leads back to the connection
	spent  time.Duration // in reads and writes since the last write that followed a read; in dialling it, before the first
	back   time.Duration // since epoch: when the last one was over
	read   bool          // it was a read
	asked  bool          // the answer about to be written has the blank
	began  time.Duration // since epoch: its request had come in
	waited time.Duration // in calls meanwhile
}

var epoch = time.Now()

// Read implements net.Conn.
func (c *clocked) Read(p []byte) (int, error) {
	since := time.Since(epoch)
	n, err := c.Conn.Read(p)
	c.back, c.read = time.Since(epoch), true
	c.spent += c.back - since
	return n, err
}

// Write implements net.Conn.
func (c *clocked) Write(p []byte) (int, error) {
	since := time.Since(epoch)
	if c.asked {
		c.asked = false
		fill(p, since-c.began-c.waited)
	}
	if c.read {
		c.read, c.spent = false, 0
	}
	n, err := c.Conn.Write(p)
	c.back = time.Since(epoch)
	c.spent += c.back - since
	return n, err
}

// fill puts the own time into a head.
func fill(head []byte, d time.Duration) {
	i := bytes.Index(head, []byte(blankApp))
	if i < 0 {
		return
	}
	space := head[i+len(blankApp)-len(blank) : i+len(blankApp)]
	var room [32]byte
	n := copy(space, strconv.AppendFloat(room[:0], float64(max(0, d))/1e6, 'f', 4, 64))
	copy(space[n:], "          ")
}

// LocalAddr leads back to the connection: of an answer fasthttp tells no more than the addresses that it came over.
func (c *clocked) LocalAddr() net.Addr { return c.local }

type clockedAddr struct {
	net.Addr
	conn *clocked
}

func newClocked(c net.Conn, spent time.Duration) *clocked {
	k := &clocked{Conn: c, spent: spent}
	k.local = clockedAddr{c.LocalAddr(), k}
	return k
}

// clockedListener accepts clocked connections.
type clockedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l clockedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newClocked(c, 0), nil
}

// dial opens a clocked connection; what it takes is a wait of its first call.
func dial(network, address string, timeout time.Duration) (net.Conn, error) {
	since := time.Now()
	c, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	return newClocked(c, time.Since(since)), nil
}

// waitedFor is how long a call that was answered over a connection spent in system calls.
func waitedFor(local net.Addr) time.Duration {
	if a, ok := local.(clockedAddr); ok {
		return a.conn.spent
	}
	return 0
}

// tell takes in what a step's calls told, and how long the node waited for them: one call for its reads and writes, several that overlap
// for all of the step.
func (v *visit) tell(took time.Duration) {
	if len(v.ledger) == 0 {
		return
	}
	if len(v.results) == 1 && v.results[0].waited > 0 {
		took = v.results[0].waited
	}
	v.called += took
	for i := range v.results {
		if told := v.results[i].told; len(told) > 0 {
			v.told = append(v.told, told...)
		}
	}
}

// ownTime is the field's value, to be filled in when the answer is written on c; nil where that is no connection of a node.
func (v *visit) ownTime(service string, c net.Conn) []byte {
	k, ok := c.(*clocked)
	if !ok {
		return nil
	}
	k.asked, k.began, k.waited = true, v.began, v.called
	return append(append(v.told, service...), blankApp...)
}
