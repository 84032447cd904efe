package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
)

// ports hands out free TCP ports of the loopback interface. They lie below the range from which the kernel takes the local ports of
// outgoing connections, so that no connection can sit on one between the choice and the start; another listener still can, and the
// deployer then tries others.
type ports struct {
	mu     sync.Mutex
	taken  map[int]bool
	lo, hi int // [lo, hi)
}

func newPorts() *ports {
	p := &ports{taken: map[int]bool{}, lo: 20000, hi: 32768}
	if first := ephemeralFirst(); first > 12000 && first < p.hi {
		p.lo, p.hi = min(p.lo, first-8000), first
	}
	return p
}

// ephemeralFirst is the lowest local port of outgoing connections; 0 where the kernel does not say.
func ephemeralFirst() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var first int
	if _, err := fmt.Sscan(string(text), &first); err != nil {
		return 0
	}
	return first
}

var errNoPort = errors.New("no free port found on 127.0.0.1")

// take returns host:port of n different free ports and keeps them from other deployments of this process until give.
func (p *ports) take(n int) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for tries := 0; len(found) < n && tries < 200+20*n; tries++ {
		port := p.lo + rand.IntN(p.hi-p.lo)
		if p.taken[port] || !free(port) {
			continue
		}
		p.taken[port] = true
		found = append(found, fmt.Sprintf("127.0.0.1:%d", port))
	}
	if len(found) < n {
		p.release(found)
		return nil, errNoPort
	}
	return found, nil
}

func (p *ports) give(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(addresses)
}

func (p *ports) release(addresses []string) {
	for _, address := range addresses {
		if a, err := net.ResolveTCPAddr("tcp", address); err == nil {
			delete(p.taken, a.Port)
		}
	}
}

func free(port int) bool {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// saysPortTaken looks in a process's last lines for the words of EADDRINUSE.
func saysPortTaken(log []string) bool {
	for _, line := range log {
		if strings.Contains(strings.ToLower(line), "address already in use") {
			return true
		}
	}
	return false
}
