package identity

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
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
)

// forge signs a certificate as described with an authority's key: what no correct authority would issue.
func forge(t testing.TB, root *x509.Certificate, rootKey *ecdsa.PrivateKey, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(7),
		URIs:                  []*url.URL{mustURL(t, service("web"))},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, root, &key.PublicKey, rootKey)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return newCertificate([]*x509.Certificate{leaf}, key)
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// TestRefusedCertificates presents each wrong certificate to a correct server and a correct client.
func TestRefusedCertificates(t *testing.T) {
	a, root, key := newAuthorityKey(t, testDomain, time.Hour)
	_, strangerRoot, strangerKey := newAuthorityKey(t, "elsewhere.test", time.Hour)
	_, unknownRoot, unknownKey := newAuthorityKey(t, testDomain, time.Hour)
	none := func(*x509.Certificate) {}
	cases := []struct {
		name   string
		root   *x509.Certificate
		key    *ecdsa.PrivateKey
		change func(*x509.Certificate)
		want   Reason
	}{
		{"correct", root, key, none, ""},
		{"ended", root, key, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, Expired},
		{"not begun", root, key, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, Expired},
		{"another trust domain", strangerRoot, strangerKey, func(c *x509.Certificate) {
			c.URIs = []*url.URL{mustURL(t, "spiffe://elsewhere.test/ns/shop/sa/web")}
		}, WrongTrustDomain},
		{"another trust domain's root", strangerRoot, strangerKey, none, Untrusted},
		{"unknown root of the same name", unknownRoot, unknownKey, none, Untrusted},
		{"two URI names", root, key, func(c *x509.Certificate) { c.URIs = append(c.URIs, mustURL(t, service("db"))) }, WrongIdentity},
		{"no URI name", root, key, func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"web.shop"} }, WrongIdentity},
		{"a common name only", root, key, func(c *x509.Certificate) { c.URIs, c.Subject.CommonName = nil, service("web") }, WrongIdentity},
		{"no SPIFFE ID", root, key, func(c *x509.Certificate) { c.URIs = []*url.URL{mustURL(t, "https://mesh.test/web")} }, WrongIdentity},
		{"the trust domain itself", root, key, func(c *x509.Certificate) { c.URIs = []*url.URL{mustURL(t, "spiffe://mesh.test")} }, Untrusted},
		{"a signing certificate", root, key, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign }, Untrusted},
		{"no digital signature", root, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, Untrusted},
		{"for code signing", root, key, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }, Untrusted},
	}
	good := newSourceOf(t, a, service("db"))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bad := forge(t, c.root, c.key, c.change)
			asClient := handshake(t, presenting(bad), good.ServerConfig(Strict))
			require.Equal(t, c.want, ReasonOf(asClient.server), "%v", asClient.server)
			asServer := handshake(t, good.ClientConfig(service("web")), &tls.Config{Certificates: []tls.Certificate{*bad}, ClientAuth: tls.RequestClientCert})
			require.Equal(t, c.want, ReasonOf(asServer.client), "%v", asServer.client)
			if c.want == "" {
				require.NoError(t, errors.Join(asClient.client, asClient.server, asServer.client, asServer.server))
				return
			}
			require.Equal(t, RefusedByPeer, ReasonOf(asClient.client), "%v", asClient.client)
			require.Equal(t, RefusedByPeer, ReasonOf(asServer.server), "%v", asServer.server)
		})
	}
}

// presenting is a client that trusts everybody and presents c, whatever the server asks for.
func presenting(c *tls.Certificate) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }}
}

func TestRefusedPeers(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))

	t.Run("another service at the promised address", func(t *testing.T) {
		o := handshake(t, web.ClientConfig(service("orders")), db.ServerConfig(Strict))
		require.Equal(t, WrongIdentity, ReasonOf(o.client))
		require.ErrorContains(t, o.client, "the server is "+service("db")+", promised was "+service("orders"))
	})
	t.Run("no identity promised", func(t *testing.T) {
		require.Equal(t, WrongIdentity, ReasonOf(handshake(t, web.ClientConfig(""), db.ServerConfig(Strict)).client))
	})
	t.Run("a longer identity", func(t *testing.T) {
		long := newSourceOf(t, a, service("db-admin"))
		require.Equal(t, WrongIdentity, ReasonOf(handshake(t, web.ClientConfig(service("db")), long.ServerConfig(Strict)).client))
	})
	t.Run("no certificate", func(t *testing.T) {
		o := handshake(t, &tls.Config{InsecureSkipVerify: true}, db.ServerConfig(Strict))
		require.Equal(t, NoCertificate, ReasonOf(o.server))
	})
	t.Run("nothing obtained yet", func(t *testing.T) {
		empty := newSource(spiffeid.RequireFromString(service("db")), nil, Options{}.filled())
		require.Equal(t, NotReady, ReasonOf(handshake(t, web.ClientConfig(service("db")), empty.ServerConfig(Strict)).server))
		require.Equal(t, NotReady, ReasonOf(handshake(t, empty.ClientConfig(service("db")), db.ServerConfig(Strict)).client))
		require.False(t, empty.Ready())
		require.Nil(t, empty.Bundle())
	})
	t.Run("plaintext towards a strict server", func(t *testing.T) {
		require.Equal(t, Plaintext, ReasonOf(firstBytes(t, "GET / HTTP/1.1\r\nHost: db\r\n\r\n", func(c net.Conn) error {
			return tls.Server(c, db.ServerConfig(Strict)).Handshake()
		})))
	})
	t.Run("plaintext from a server", func(t *testing.T) {
		require.Equal(t, Plaintext, ReasonOf(firstBytes(t, "HTTP/1.1 400 Bad Request\r\n\r\n", func(c net.Conn) error {
			return tls.Client(c, web.ClientConfig(service("db"))).Handshake()
		})))
	})
	require.Empty(t, ReasonOf(io.ErrUnexpectedEOF))
	require.Empty(t, ReasonOf(nil))
}

// firstBytes lets handshake meet a peer that sends text.
func firstBytes(t testing.TB, text string, handshake func(net.Conn) error) error {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	go io.Copy(io.Discard, there)
	go there.Write([]byte(text))
	here.SetDeadline(time.Now().Add(10 * time.Second))
	defer there.Close()
	return handshake(here)
}

func TestOwnExpiredSVIDIsNotPresented(t *testing.T) {
	now := time.Now()
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	root, key, err := NewRoot(domain, now)
	require.NoError(t, err)
	a, err := NewAuthority(domain, []*x509.Certificate{root}, key, time.Hour, time.Now)
	require.NoError(t, err)
	later := now
	s, err := NewAuthoritySource(t.Context(), func() *Authority { return a }, service("web"), Options{Now: func() time.Time { return later }})
	require.NoError(t, err)
	s.Close() // no renewal from here on
	require.True(t, s.Ready())
	later = now.Add(2 * time.Hour)
	require.False(t, s.Ready())
	db := newSourceOf(t, a, service("db"))
	o := handshake(t, s.ClientConfig(service("db")), db.ServerConfig(Strict))
	require.Equal(t, Expired, ReasonOf(o.client))
	longer, err := NewAuthority(domain, []*x509.Certificate{root}, key, 4*time.Hour, time.Now)
	require.NoError(t, err)
	caller, err := NewAuthoritySource(t.Context(), func() *Authority { return longer }, service("shop"), Options{Now: func() time.Time { return later }})
	require.NoError(t, err)
	t.Cleanup(caller.Close)
	o = handshake(t, caller.ClientConfig(service("web")), s.ServerConfig(Strict))
	require.Equal(t, Expired, ReasonOf(o.client), "where it accepts, its caller says why")
}
