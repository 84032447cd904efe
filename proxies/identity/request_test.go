package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
)

func csr(t testing.TB, key crypto.Signer, change func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := &x509.CertificateRequest{URIs: []*url.URL{mustURL(t, service("web"))}}
	change(template)
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func TestRequestRoundTrip(t *testing.T) {
	key := newKey(t, elliptic.P256())
	text, err := NewRequest(spiffeid.RequireFromString(service("web")), key)
	require.NoError(t, err)
	r, err := ParseRequest(text)
	require.NoError(t, err)
	require.Equal(t, service("web"), r.ID.String())
	require.True(t, r.Key.Equal(&key.PublicKey))
}

func TestRequestRefused(t *testing.T) {
	key := newKey(t, elliptic.P256())
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	none := func(*x509.CertificateRequest) {}
	forged := csr(t, key, none)
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-1] ^= 1
	constraints, err := asn1.Marshal(struct{ CA bool }{true})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text  []byte
		fault string
	}{
		"empty":         {nil, "not one PEM block"},
		"not PEM":       {[]byte("hello"), "not one PEM block"},
		"another block": {[]byte(pemKey(t, key)), "not one PEM block"},
		"two requests":  {append(csr(t, key, none), csr(t, key, none)...), "not one PEM block"},
		"too long":      {[]byte(strings.Repeat("a", MaxRequest+1)), "more than"},
		"broken DER":    {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{1, 2, 3}}), "reading"},
		"forged":        {pem.EncodeToMemory(block), "not signed with its own key"},
		"P-384":         {csr(t, newKey(t, elliptic.P384()), none), "not ECDSA P-256"},
		"RSA":           {csr(t, large, none), "not ECDSA P-256"},
		"no name":       {csr(t, key, func(r *x509.CertificateRequest) { r.URIs = nil }), "0 URI names"},
		"two IDs":       {csr(t, key, func(r *x509.CertificateRequest) { r.URIs = append(r.URIs, mustURL(t, service("db"))) }), "2 URI names"},
		"a DNS name":    {csr(t, key, func(r *x509.CertificateRequest) { r.DNSNames = []string{"web"} }), "1 others"},
		"an address":    {csr(t, key, func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }), "1 others"},
		"a mailbox":     {csr(t, key, func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@b.test"} }), "1 others"},
		"no SPIFFE ID":  {csr(t, key, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{mustURL(t, "https://mesh.test/web")} }), "no SPIFFE ID"},
		"a whole domain": {csr(t, key, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{mustURL(t, "spiffe://mesh.test")} }),
			"the trust domain spiffe://mesh.test itself"},
		"to sign others": {csr(t, key, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: constraints}}
		}), "extension 2.5.29.19"},
	} {
		_, err := ParseRequest(c.text)
		require.ErrorContains(t, err, c.fault, name)
	}
}

// FuzzParseRequest proves that nothing crashes the parser, and that what it lets through is what the authority may sign.
func FuzzParseRequest(f *testing.F) {
	key := newKey(f, elliptic.P256())
	f.Add(csr(f, key, func(*x509.CertificateRequest) {}))
	f.Add(csr(f, key, func(r *x509.CertificateRequest) { r.DNSNames = []string{"web"} }))
	f.Add(csr(f, newKey(f, elliptic.P384()), func(*x509.CertificateRequest) {}))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRequest(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, r.ID.Path())
		require.Equal(t, elliptic.P256(), r.Key.Curve)
	})
}

func FuzzParseCertificates(f *testing.F) {
	_, root, _ := newAuthorityKey(f, testDomain, time.Hour)
	f.Add(encodeCertificates([]*x509.Certificate{root}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte(" \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		certificates, err := parseCertificates(text)
		if err != nil {
			return
		}
		again, err := parseCertificates(encodeCertificates(certificates))
		require.NoError(t, err)
		require.Len(t, again, len(certificates))
	})
}
