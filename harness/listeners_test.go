package harness

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
)

func TestListeningFindsWhoAccepts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	entry := "http://" + l.Addr().String()
	found := listening(entry)
	require.Len(t, found, 1)
	require.Equal(t, os.Getpid(), found[0].PID)
	require.NoError(t, l.Close())
	require.Empty(t, listening(entry), "nobody accepts any more")
	for _, elsewhere := range []string{"http://192.0.2.1:80", "http://no-such-host.invalid:80", "http://127.0.0.1", "::"} {
		require.Empty(t, listening(elsewhere), elsewhere)
	}
}

func TestListenersInATable(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0
`
	require.Equal(t, []string{"101"}, listenersIn([]byte(table), 8080), "not what is connected, and no other port")
	require.Empty(t, listenersIn([]byte("nonsense\n"), 8080))
}

type elsewhere struct {
	deploy.Deployment
	entries []deploy.Entry
}

func (e elsewhere) Entries() []deploy.Entry     { return e.entries }
func (e elsewhere) Processes() []deploy.Process { return nil }

// Two ports of one process: its CPU time belongs to neither.
func TestASharedProcessIsNotMetered(t *testing.T) {
	var sides [2]deploy.Deployment
	for i := range sides {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		sides[i] = elsewhere{entries: []deploy.Entry{{URL: "http://" + l.Addr().String()}}}
	}
	processes, external := metered(sides)
	require.Empty(t, processes[0])
	require.Empty(t, processes[1])
	require.Equal(t, [2]bool{true, true}, external)
}
