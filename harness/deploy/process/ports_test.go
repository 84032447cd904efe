package process

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPortsAreFreeAndGivenOnce(t *testing.T) {
	p := newPorts()
	first, err := p.take(40)
	require.NoError(t, err)
	second, err := p.take(40)
	require.NoError(t, err)
	seen := map[string]bool{}
	ephemeral := ephemeralFirst()
	for _, address := range append(first, second...) {
		require.False(t, seen[address], "%s was given twice", address)
		seen[address] = true
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		require.Less(t, number, ephemeral, "an outgoing connection could sit on it")
	}
}

func TestPortsInUseAreNotGiven(t *testing.T) {
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer occupied.Close()
	port := occupied.Addr().(*net.TCPAddr).Port
	p := &ports{taken: map[int]bool{}, lo: port, hi: port + 1}
	_, err = p.take(1)
	require.ErrorIs(t, err, errNoPort)
	require.Empty(t, p.taken)

	require.NoError(t, occupied.Close())
	got, err := p.take(1)
	require.NoError(t, err)
	_, err = p.take(1)
	require.ErrorIs(t, err, errNoPort, "it is ours until given back")
	p.give(got)
	_, err = p.take(1)
	require.NoError(t, err)
}
