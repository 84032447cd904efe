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
)

// Listen opens an address: host:port, or unix:/path. A socket file that nobody listens on any more is replaced.
func Listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		return l, nil
	}
	if stat, err := os.Stat(path); err == nil && stat.Mode()&fs.ModeSocket != 0 {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("listen on %s: another process listens there", address)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("listen on %s: replace the stale socket: %w", address, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
