package wire

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sockets are both ends of a connection: ours and an ordinary one.
func sockets(t testing.TB, network, address string) (*Socket, net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	defer l.Close()
	far, err := net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	near, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { far.Close(); near.Close() })
	return NewSocket(near).(*Socket), far
}

func TestSocketCarriesBothWays(t *testing.T) {
	for _, c := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		t.Run(c.network, func(t *testing.T) {
			near, far := sockets(t, c.network, c.address)
			large := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // more than socket buffers take: writing has to wait
			go func() {
				_, _ = io.Copy(far, io.LimitReader(far, int64(len(large))))
				_ = far.(interface{ CloseWrite() error }).CloseWrite()
			}()
			received := make(chan []byte)
			go func() {
				data, err := io.ReadAll(near)
				require.NoError(t, err)
				received <- data
			}()
			n, err := near.Write(large)
			require.NoError(t, err)
			require.Equal(t, len(large), n)
			require.True(t, bytes.Equal(large, <-received))
			n, err = near.Read(make([]byte, 8))
			require.Zero(t, n)
			require.Equal(t, io.EOF, err, "the end stays the end")
			require.NoError(t, near.CloseWrite())
		})
	}
}

func TestSocketFailsAsPackageNetDoes(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		near, _ := sockets(t, "tcp", "127.0.0.1:0")
		require.NoError(t, near.SetDeadline(time.Unix(1, 0)))
		_, err := near.Read(make([]byte, 8))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_, err = near.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.True(t, TimedOut(err))
	})
	t.Run("deadline while waiting", func(t *testing.T) {
		near, _ := sockets(t, "tcp", "127.0.0.1:0")
		time.AfterFunc(10*time.Millisecond, func() { _ = near.SetReadDeadline(time.Unix(1, 0)) })
		_, err := near.Read(make([]byte, 8))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	t.Run("reset", func(t *testing.T) {
		near, far := sockets(t, "tcp", "127.0.0.1:0")
		require.NoError(t, far.(*net.TCPConn).SetLinger(0))
		require.NoError(t, far.Close())
		_, err := near.Read(make([]byte, 8))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		var network net.Error
		require.ErrorAs(t, err, &network)
		require.False(t, network.Timeout())
		_, err = near.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
	t.Run("closed while waiting", func(t *testing.T) {
		near, _ := sockets(t, "tcp", "127.0.0.1:0")
		time.AfterFunc(10*time.Millisecond, func() { _ = near.Close() })
		_, err := near.Read(make([]byte, 8))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = near.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
	})
	t.Run("nothing to do", func(t *testing.T) {
		near, _ := sockets(t, "tcp", "127.0.0.1:0")
		n, err := near.Read(nil)
		require.Zero(t, n)
		require.NoError(t, err)
		n, err = near.Write(nil)
		require.Zero(t, n)
		require.NoError(t, err)
	})
}

// What is no socket of package net stays what it is.
func TestOnlySocketsBecomeSockets(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.Same(t, a, NewSocket(a))
}
