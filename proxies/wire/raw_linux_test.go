package wire

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The race detector's build uses other calls, so these are held against a pair of sockets by themselves.
func TestRawCalls(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	near, far := uintptr(pair[0]), uintptr(pair[1])
	defer syscall.Close(pair[0])
	p := make([]byte, 8)

	_, err = rawRead(near, p)
	require.Equal(t, error(syscall.EAGAIN), err)
	_, err = rawPeek(near, p)
	require.Equal(t, error(syscall.EAGAIN), err)
	n, err := rawWrite(far, []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	for _, read := range []func(uintptr, []byte) (int, error){rawPeek, rawRead} { // a look consumes nothing
		clear(p)
		n, err = read(near, p)
		require.NoError(t, err)
		require.Equal(t, "hello", string(p[:n]))
	}
	full := make([]byte, 1<<20)
	for err == nil {
		_, err = rawWrite(far, full)
	}
	require.Equal(t, error(syscall.EAGAIN), err)
	require.NoError(t, syscall.Close(pair[1]))
	for n = 1; n > 0; {
		n, err = rawRead(near, full)
		require.NoError(t, err)
	}
	n, err = rawPeek(near, p)
	require.NoError(t, err)
	require.Zero(t, n, "the end")
	_, err = rawWrite(near, p)
	require.Equal(t, error(syscall.EPIPE), err)
	_, err = rawRead(^uintptr(0), p)
	require.Equal(t, error(syscall.EBADF), err)
}
