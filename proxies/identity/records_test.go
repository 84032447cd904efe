package identity

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// writes counts the system calls that a connection's records would be.
type writes struct {
	net.Conn
	n *atomic.Int64
}

func (w writes) Write(p []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(p)
}

// TestAMessageIsOneRecord: crypto/tls would make several of a head and a small body, and each a system call on both sides.
func TestAMessageIsOneRecord(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	near, far := net.Pipe()
	var asked, answered atomic.Int64
	client := tls.Client(writes{near, &asked}, web.ClientConfig(service("db")))
	server := tls.Server(writes{far, &answered}, db.ServerConfig(Strict))
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	require.NoError(t, client.Handshake())
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = client.Read(make([]byte, 1)) // the tickets that follow the handshake, and the first byte
	}()
	require.NoError(t, <-shaken)
	one := func(counter *atomic.Int64, from, to *tls.Conn) int64 {
		before := counter.Load()
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(to, make([]byte, 8<<10))
			read <- err
		}()
		_, err := from.Write(make([]byte, 8<<10))
		require.NoError(t, err)
		require.NoError(t, <-read)
		return counter.Load() - before
	}
	_, err := server.Write([]byte{0})
	require.NoError(t, err)
	<-drained
	require.EqualValues(t, 1, one(&asked, client, server))
	require.EqualValues(t, 1, one(&answered, server, client))
}
