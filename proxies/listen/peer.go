package listen

import (
	"net"
	"net/netip"

	"crossroads/proxies/exchange"
)

// peerOf names the ends of a connection; a Unix socket has no addresses.
func peerOf(c net.Conn) exchange.Peer {
	p := exchange.Peer{Addr: addrPort(c.RemoteAddr()), Local: addrPort(c.LocalAddr())}
	p.Client = p.Addr.Addr()
	return p
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// network is what a limit per address counts by: the address, or the /64 of an IPv6 one, since a single subscriber commands that
// many addresses.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // the zero Addr gives the zero Prefix
	return p
}

// addresses counts connections by network. The zero prefix (a Unix socket) is not counted.
type addresses map[netip.Prefix]int

// add counts one more; false: the limit is reached. 0 is no limit.
func (a addresses) add(p netip.Prefix, limit int) bool {
	if !p.IsValid() {
		return true
	}
	if limit > 0 && a[p] >= limit {
		return false
	}
	a[p]++
	return true
}

func (a addresses) remove(p netip.Prefix) {
	if a[p]--; a[p] <= 0 {
		delete(a, p)
	}
}
