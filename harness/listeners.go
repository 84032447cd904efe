package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"crossroads/harness/deploy"
)

// kindExternal is the kind of a process that somebody else runs on this machine.
const kindExternal = "external"

// listening finds the processes that accept connections at a URL, where it is on this machine and they may be looked at: their CPU time
// can be metered although nothing was deployed. What stands behind them is not known.
func listening(entry string) []deploy.Process {
	u, err := url.Parse(entry)
	if err != nil || !local(u.Hostname()) {
		return nil
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return nil
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err == nil {
			for _, inode := range listenersIn(text, port) {
				sockets[fmt.Sprintf("socket:[%s]", inode)] = true
			}
		}
	}
	return holders(sockets)
}

// local says whether a host is this machine: a loopback address or that of an interface.
func local(host string) bool {
	ips, err := net.LookupIP(host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(ips, func(ip net.IP) bool {
		return ip.IsLoopback() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		})
	})
}

// listenersIn reads the inodes of the sockets that listen on a port from a table such as /proc/net/tcp: the local address is the second
// field, as hexadecimal address and port, the state the fourth (0A listens), the inode the tenth (proc(5)).
func listenersIn(table []byte, port int) []string {
	var inodes []string
	suffix := fmt.Sprintf(":%04X", port)
	for in := bufio.NewScanner(bytes.NewReader(table)); in.Scan(); {
		f := strings.Fields(in.Text())
		if len(f) >= 10 && strings.HasSuffix(f[1], suffix) && f[3] == "0A" {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

// holders are the processes that have one of the sockets open: a server that forks its workers has several.
func holders(sockets map[string]bool) []deploy.Process {
	if len(sockets) == 0 {
		return nil
	}
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil
	}
	var found []deploy.Process
	for _, fd := range descriptors {
		if link, err := os.Readlink(fd); err != nil || !sockets[link] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(fd, "/")[2])
		if err == nil && !slices.ContainsFunc(found, func(p deploy.Process) bool { return p.PID == pid }) {
			found = append(found, deploy.Process{ID: fmt.Sprintf("%s-%d", kindExternal, pid), Kind: kindExternal, PID: pid})
		}
	}
	return found
}

// metered are the processes of both sides whose use is read: those that were deployed, or those that listen for a system that was not.
// Where both sides share a process its use cannot be divided, and neither is metered.
func metered(deployed [2]deploy.Deployment) (processes [2][]deploy.Process, external [2]bool) {
	for i, d := range deployed {
		processes[i] = d.Processes()
		if len(processes[i]) == 0 {
			external[i] = true
			for _, entry := range d.Entries() {
				processes[i] = append(processes[i], listening(entry.URL)...)
			}
		}
	}
	shared := slices.ContainsFunc(processes[0], func(a deploy.Process) bool {
		return slices.ContainsFunc(processes[1], func(b deploy.Process) bool { return a.PID == b.PID })
	})
	if shared && external[0] && external[1] {
		processes = [2][]deploy.Process{}
	}
	return processes, external
}
