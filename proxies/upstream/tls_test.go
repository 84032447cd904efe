package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
)

func TestTLSUpstream(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"origin"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				p := make([]byte, 4096)
				for {
					if _, err := c.Read(p); err != nil {
						return
					}
					_, _ = io.WriteString(c, ok)
				}
			}()
		}
	}()
	verified := errors.New("another identity")
	for name, c := range map[string]struct {
		verify error
		status int
		reason string
	}{"the right peer": {nil, 200, ""}, "another peer": {verified, 502, "upstream_identity"}} {
		t.Run(name, func(t *testing.T) {
			u, err := New(Options{Name: "up", Config: config.Upstream{Endpoints: []config.Endpoint{{Address: l.Addr().String(), Identity: "spiffe://x"}}},
				TLS: func(e config.Endpoint) *tls.Config {
					require.Equal(t, "spiffe://x", e.Identity)
					return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return c.verify }}
				}})
			require.NoError(t, err)
			defer u.Close()
			for range 3 {
				status, _, reason := forward(t, u, "GET", nil)
				require.Equal(t, c.status, status)
				require.Equal(t, c.reason, reason)
			}
			if c.verify == nil {
				require.Equal(t, 1, u.Endpoints()[0].Open, "TLS connections are looked at and reused")
			}
		})
	}
}

func TestHandshakeThatStopsRunsIntoTheConnectTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	u, err := New(Options{Name: "up", TLS: func(config.Endpoint) *tls.Config { return &tls.Config{InsecureSkipVerify: true} },
		Config: config.Upstream{Connect: units.Duration(100 * time.Millisecond), Endpoints: []config.Endpoint{{Address: l.Addr().String()}}}})
	require.NoError(t, err)
	defer u.Close()
	status, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, 504, status)
	require.Equal(t, "upstream_connect", reason)
	require.Zero(t, u.Endpoints()[0].Open)
}
