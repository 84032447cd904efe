package process

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// listens returns nil where a process holds a socket that listens on the port of a URL.
func listens(pid int, of string) error {
	target, err := url.Parse(of)
	if err != nil {
		return fmt.Errorf("reading the address of readiness: %w", err)
	}
	port, err := strconv.ParseUint(target.Port(), 10, 16)
	if err != nil {
		return fmt.Errorf("reading the port of %s: %w", of, err)
	}
	fds := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(fds)
	if err != nil {
		return fmt.Errorf("looking for the port of %s: %w", of, err)
	}
	held := map[string]bool{}
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil {
			held[link] = true
		}
	}
	for _, inode := range listeners(uint16(port)) {
		if held["socket:["+inode+"]"] {
			return nil
		}
	}
	return fmt.Errorf("another process answers at %s: address already in use", target.Host)
}

// listeners lists the inodes of the sockets that listen on a port, of any address.
func listeners(port uint16) []string {
	var inodes []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		if text, err := os.ReadFile(table); err == nil {
			inodes = append(inodes, listenersIn(text, port)...)
		}
	}
	return inodes
}

// listenersIn reads a table of proc_net_tcp(5): slot, local address:port in hexadecimal, remote, state (0A: listening), queues, timer,
// retransmits, uid, timeout, inode.
func listenersIn(table []byte, port uint16) []string {
	suffix := fmt.Appendf(nil, ":%04X", port)
	var inodes []string
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) > 9 && string(f[3]) == "0A" && bytes.HasSuffix(f[1], suffix) {
			inodes = append(inodes, string(f[9]))
		}
	}
	return inodes
}
