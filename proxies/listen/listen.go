// Package listen accepts downstream connections and turns what arrives on them into exchanges, one after another on each
// connection: it reads requests, serves them, writes responses, and decides when a connection may carry another.
//
// Its one invariant: each request read gets exactly one response, in order, or the connection ends visibly; and for every Serve
// there is one Finish. It does not know routes, stages or upstreams: they are behind exchange.Service.
package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"crossroads/proxies/wire"
)

// Listen opens an address: host:port, or unix:/path. A socket file that nobody listens on any more is replaced. What it accepts are
// wire.Sockets.
func Listen(address string) (net.Listener, error) {
	l, err := open(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener{l}, nil
}

// listener accepts sockets that cost the scheduler nothing.
type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wire.NewSocket(c), nil
}

func open(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		return net.Listen("tcp", address)
	}
	if stat, err := os.Stat(path); err == nil && stat.Mode()&fs.ModeSocket != 0 {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, errors.New("another process listens there")
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("replace the stale socket: %w", err)
		}
	}
	return net.Listen("unix", path)
}
