//go:build !linux

package intercept

import (
	"errors"
	"net"
	"net/netip"
)

// OriginalDestination fails: only Linux redirects in a way that can be asked back.
func OriginalDestination(net.Conn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("redirected connections need Linux")
}
