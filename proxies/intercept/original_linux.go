package intercept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// OriginalDestination returns where a redirected connection was going. Of one that was not redirected that is where it arrived.
func OriginalDestination(c net.Conn) (netip.AddrPort, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return netip.AddrPort{}, errors.New("the original destination of a connection that is no socket")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for the original destination: %w", err)
	}
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, errors.New("the original destination of a connection that is not TCP")
	}
	var found netip.AddrPort
	failed := raw.Control(func(fd uintptr) {
		if local.IP.To4() != nil {
			found, err = original4(int(fd))
		} else {
			found, err = original6(int(fd))
		}
	})
	if err := errors.Join(failed, err); err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for the original destination: %w", err)
	}
	return found, nil
}

// original4 reads a sockaddr_in, through a call of x/sys for a structure that happens to be long enough.
func original4(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := m.Multiaddr // family, port, address
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}

// original6 reads a sockaddr_in6 likewise: IP6T_SO_ORIGINAL_DST has the number of its elder.
func original6(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.IPPROTO_IPV6, unix.SO_ORIGINAL_DST)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], m.Addr.Port)
	return netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr), binary.BigEndian.Uint16(port[:])), nil
}
