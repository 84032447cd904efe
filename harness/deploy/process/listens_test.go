package process

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestListens(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		url := "http://" + l.Addr().String() + "/readyz"
		require.NoError(t, listens(os.Getpid(), url))
		require.ErrorContains(t, listens(os.Getppid(), url), "address already in use", "it is ours, not our parent's")
		require.NoError(t, l.Close())
		require.Error(t, listens(os.Getpid(), url))
	}
	require.Error(t, listens(os.Getpid(), "http://127.0.0.1/"))
	require.Error(t, listens(os.Getpid(), "http://127.0.0.1:x y/"))
	require.Error(t, listens(1<<22+1, "http://127.0.0.1:80/"))
}

func TestListenersIn(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 100 0 0 10 0
`
	require.Equal(t, []string{"111"}, listenersIn([]byte(table), 0x1F90), "a connection of it does not listen")
	require.Empty(t, listenersIn([]byte(table), 0x1F92))
	require.Empty(t, listenersIn(nil, 80))
}
