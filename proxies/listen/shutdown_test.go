package listen_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
	"crossroads/proxies/wire"
)

func TestShutdownClosesTheIdleAndWaitsForTheBusy(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		for {
			r, err := readHead(in)
			if err != nil {
				return
			}
			if r.URL.Path == "/slow" {
				close(arrived)
				<-answer
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	p := startProxy(t, address, nil)
	idle, fresh, busy := dial(t, p.address), dial(t, p.address), dial(t, p.address)
	status, _ := idle.send(get).receive()
	require.Equal(t, 200, status)
	busy.send("GET /slow HTTP/1.1\r\nHost: gw.test\r\n\r\n")
	<-arrived
	done := make(chan error)
	go func() { done <- p.server.Shutdown(context.Background()) }()
	idle.ended()
	fresh.ended()
	select {
	case <-done:
		t.Fatal("a request was still in flight")
	default:
	}
	close(answer)
	r := busy.head()
	require.Equal(t, 200, r.StatusCode)
	require.True(t, r.Close)
	_, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	busy.ended()
	_ = busy.conn.Close()
	require.NoError(t, <-done)
	_, err = net.Dial("tcp", p.address)
	require.Error(t, err)
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	p := startProxy(t, origin(t, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }), nil)
	c := dial(t, p.address).send(get)
	require.Eventually(t, func() bool { return p.up.Endpoints()[0].InFlight == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	done := make(chan error)
	go func() { done <- p.server.Shutdown(ctx) }()
	c.ended()
	require.ErrorIs(t, <-done, context.DeadlineExceeded)
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listen.Listen("unix:" + path)
	require.NoError(t, err)
	_, err = listen.Listen("unix:" + path)
	require.ErrorContains(t, err, "another process")
	require.NoError(t, l.Close())
	stale, err := net.Listen("unix", path)
	require.NoError(t, err)
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	_, err = os.Stat(path)
	require.NoError(t, err)
	l, err = listen.Listen("unix:" + path)
	require.NoError(t, err, "a stale socket is replaced")
	require.NoError(t, l.Close())
	_, err = listen.Listen("nowhere:http:x")
	require.ErrorContains(t, err, "listen on")
}

// Connections must not wake the runtime's monitor: wire.Socket says why.
func TestListenAcceptsSockets(t *testing.T) {
	l, err := listen.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer far.Close()
	near, err := l.Accept()
	require.NoError(t, err)
	defer near.Close()
	require.IsType(t, &wire.Socket{}, near)
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"gw.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	peers := make(chan exchange.Peer, 10)
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(l *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		l.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert}
		l.PeerID = func(s tls.ConnectionState) string { return "id of " + s.PeerCertificates[0].DNSNames[0] }
		l.Clients.HeaderTimeout = units.Duration(200 * time.Millisecond)
		chain.Stages = []exchange.Stage{peerStage{peers}}
	})
	conn, err := tls.Dial("tcp", p.address, &tls.Config{RootCAs: roots, ServerName: "gw.test", Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	defer conn.Close()
	c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	for range 2 {
		status, body := c.send(get).receive()
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
		peer := <-peers
		require.Equal(t, "id of gw.test", peer.ID)
		require.True(t, peer.TLS)
		require.Equal(t, "127.0.0.1", peer.Client.String())
	}
	dial(t, p.address).send("\x16\x03\x01").ended() // a handshake that stops is cut off
	dial(t, p.address).send(get).ended()            // plaintext is no handshake
}

type peerStage struct{ peers chan exchange.Peer }

func (peerStage) Name() string { return "peer" }
func (s peerStage) Inward(x *exchange.Exchange) exchange.Step {
	s.peers <- x.Peer
	return exchange.Continue
}
func (peerStage) Outward(*exchange.Exchange)              {}
func (peerStage) Finish(*exchange.Exchange, exchange.End) {}
