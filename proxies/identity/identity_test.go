package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
)

const testDomain = "mesh.test"

// newAuthority makes an authority with a fresh root.
func newAuthority(t testing.TB, domain string, lifetime time.Duration) *Authority {
	t.Helper()
	a, _, _ := newAuthorityKey(t, domain, lifetime)
	return a
}

func newAuthorityKey(t testing.TB, domain string, lifetime time.Duration) (*Authority, *x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	td := spiffeid.RequireTrustDomainFromString(domain)
	root, key, err := NewRoot(td, time.Now())
	require.NoError(t, err)
	a, err := NewAuthority(td, []*x509.Certificate{root}, key, lifetime, time.Now)
	require.NoError(t, err)
	return a, root, key
}

func newSourceOf(t testing.TB, a *Authority, id string) *Source {
	t.Helper()
	s, err := NewAuthoritySource(t.Context(), func() *Authority { return a }, id, Options{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func service(name string) string { return ServiceID(testDomain, "shop", name) }

// outcome is what both sides of a handshake saw.
type outcome struct {
	client, server       error
	clientSaw, serverSaw tls.ConnectionState
}

// handshake lets a client and a server shake hands over a real socket and exchange one byte each way, because in TLS 1.3 a client
// learns only by reading whether its certificate was accepted.
func handshake(t testing.TB, client, server *tls.Config) outcome {
	t.Helper()
	return handshakeAt(t, listen(t), client, server)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func handshakeAt(t testing.TB, l net.Listener, client, server *tls.Config) outcome {
	t.Helper()
	var o outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err != nil {
			o.server = err
			return
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(10 * time.Second))
		c := tls.Server(raw, server)
		if o.server = c.Handshake(); o.server != nil {
			return
		}
		o.serverSaw = c.ConnectionState()
		one := make([]byte, 1)
		if _, o.server = io.ReadFull(c, one); o.server == nil {
			_, o.server = c.Write(one)
		}
		io.Copy(io.Discard, raw) // until the client has read it
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(raw, client)
	if o.client = c.Handshake(); o.client == nil {
		o.clientSaw = c.ConnectionState()
		if _, o.client = c.Write([]byte{1}); o.client == nil {
			_, o.client = io.ReadFull(c, make([]byte, 1))
		}
	}
	raw.Close()
	<-done
	return o
}

func TestHandshakeProvesBothIdentities(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	o := handshake(t, web.ClientConfig(service("db")), db.ServerConfig(Strict))
	require.NoError(t, o.client)
	require.NoError(t, o.server)
	require.Equal(t, service("db"), PeerID(o.clientSaw))
	require.Equal(t, service("web"), PeerID(o.serverSaw))
	for _, saw := range []tls.ConnectionState{o.clientSaw, o.serverSaw} {
		require.EqualValues(t, tls.VersionTLS13, saw.Version)
		require.Contains(t, []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384}, saw.CipherSuite)
	}
	require.Nil(t, db.ServerConfig(Off))
}

func TestTLS12IsRefused(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	old := web.ClientConfig(service("db")).Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	o := handshake(t, old, db.ServerConfig(Strict))
	require.Error(t, o.client)
	require.ErrorContains(t, o.server, "version")
}

func TestPeerIDOfUnfinishedHandshake(t *testing.T) {
	require.Empty(t, PeerID(tls.ConnectionState{}))
	require.Empty(t, PeerID(tls.ConnectionState{HandshakeComplete: true}))
	require.Empty(t, PeerID(tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{{}}}))
}

func TestParseID(t *testing.T) {
	for text, fault := range map[string]string{
		"spiffe://mesh.test/ns/shop/sa/web":  "",
		"spiffe://mesh.test":                 "names a trust domain",
		"https://mesh.test/ns/shop":          "no SPIFFE ID",
		"spiffe://MESH.test/ns/shop/sa/web":  "no SPIFFE ID",
		"spiffe://mesh.test/ns/../sa/web":    "no SPIFFE ID",
		"spiffe://mesh.test/ns/shop/sa/web/": "no SPIFFE ID",
	} {
		_, err := ParseID(text)
		if fault == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, fault, text)
		}
	}
}

func TestSourceWaitsForContext(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := NewAuthoritySource(ctx, func() *Authority { return a }, service("web"), Options{})
	require.NoError(t, err)
	cancel()
	s.Close() // returns although ctx ended first
	require.NoError(t, s.Wait(t.Context()))
	require.True(t, s.Ready(), "what is in force stays in force")
}
