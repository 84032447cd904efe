package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// TestIssuedProfile checks every field that the X.509-SVID standard and the mesh prescribe.
func TestIssuedProfile(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	before := time.Now()
	chain, err := a.Issue(&Request{ID: spiffeid.RequireFromString(service("web")), Key: &key.PublicKey})
	require.NoError(t, err)
	require.Len(t, chain, 1, "a root is not sent")
	leaf := chain[0]
	require.Len(t, leaf.URIs, 1)
	require.Equal(t, service("web"), leaf.URIs[0].String())
	require.Empty(t, leaf.DNSNames)
	require.Empty(t, leaf.Subject.Names, "no common name to rely on")
	require.False(t, leaf.IsCA)
	require.True(t, leaf.BasicConstraintsValid)
	require.Equal(t, x509.KeyUsageDigitalSignature, leaf.KeyUsage)
	require.ElementsMatch(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, leaf.ExtKeyUsage)
	require.True(t, key.PublicKey.Equal(leaf.PublicKey))
	require.Equal(t, 1, leaf.SerialNumber.Sign())
	require.WithinRange(t, leaf.NotAfter, before.Add(time.Hour-time.Second), time.Now().Add(time.Hour))
	require.WithinRange(t, leaf.NotBefore, before.Add(-maxBackdate-time.Second), before)
	for _, e := range leaf.Extensions {
		if e.Id.Equal([]int{2, 5, 29, 17}) {
			require.True(t, e.Critical, "RFC 5280 4.1.2.6: critical where the subject is empty")
		}
	}
}

func TestRootProfile(t *testing.T) {
	_, root, _ := newAuthorityKey(t, testDomain, time.Hour)
	require.True(t, root.IsCA)
	require.Equal(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, root.KeyUsage)
	require.Equal(t, 1, root.MaxPathLen)
	require.Equal(t, "spiffe://"+testDomain, root.URIs[0].String())
}

func TestIssueRefuses(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := newAuthority(t, testDomain, time.Hour)
	_, err = a.Issue(&Request{ID: spiffeid.RequireFromString("spiffe://elsewhere.test/ns/shop/sa/web"), Key: &key.PublicKey})
	require.Equal(t, WrongTrustDomain, ReasonOf(err))

	now := time.Now()
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	root, rootKey, err := NewRoot(domain, now)
	require.NoError(t, err)
	clock := now
	a, err = NewAuthority(domain, []*x509.Certificate{root}, rootKey, 24*time.Hour, func() time.Time { return clock })
	require.NoError(t, err)
	clock = root.NotAfter.Add(-time.Hour)
	chain, err := a.Issue(&Request{ID: spiffeid.RequireFromString(service("web")), Key: &key.PublicKey})
	require.NoError(t, err)
	require.Equal(t, root.NotAfter, chain[0].NotAfter, "no SVID outlives its authority")
	clock = root.NotAfter.Add(time.Second)
	_, err = a.Issue(&Request{ID: spiffeid.RequireFromString(service("web")), Key: &key.PublicKey})
	require.Equal(t, Expired, ReasonOf(err))
}

func TestIntermediateIssues(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	certificates, key, err := a.Intermediate(24 * time.Hour)
	require.NoError(t, err)
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	below, err := NewAuthority(domain, certificates, key, time.Hour, time.Now)
	require.NoError(t, err)
	require.True(t, below.Bundle().Equal(a.Bundle()), "the intermediate is no root")

	// Peers that know only the root accept what the intermediate issued, because the chain is sent.
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, below, service("db"))
	o := handshake(t, web.ClientConfig(service("db")), db.ServerConfig(Strict))
	require.NoError(t, o.client)
	require.NoError(t, o.server)
	require.Len(t, o.clientSaw.PeerCertificates, 2)

	_, err = NewAuthority(domain, certificates[:1], key, time.Hour, time.Now)
	require.ErrorContains(t, err, "needs at least one root")
	_, _, err = below.Intermediate(time.Hour)
	require.NoError(t, err)
	again, againKey, err := below.Intermediate(time.Hour)
	require.NoError(t, err)
	_, err = NewAuthority(domain, append(again, certificates...), againKey, time.Hour, time.Now)
	require.ErrorContains(t, err, "would not be accepted", "an intermediate signs leaves only")
}

func TestAuthorityFiles(t *testing.T) {
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	dir := t.TempDir()
	files := config.CA{Certificate: filepath.Join(dir, "new", "ca.pem"), Key: filepath.Join(dir, "new", "ca.key")}
	a, made, err := OpenAuthority(domain, files, time.Hour, time.Now)
	require.NoError(t, err)
	require.True(t, made)
	info, err := os.Stat(files.Key)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	left, err := os.ReadDir(filepath.Join(dir, "new"))
	require.NoError(t, err)
	require.Len(t, left, 2, "no temporary file is left")

	again, made, err := OpenAuthority(domain, files, time.Hour, time.Now)
	require.NoError(t, err)
	require.False(t, made)
	require.True(t, a.Bundle().Equal(again.Bundle()))

	_, made, err = OpenAuthority(domain, config.CA{}, time.Hour, time.Now)
	require.NoError(t, err)
	require.True(t, made, "in memory")
}

func TestAuthorityFilesRefused(t *testing.T) {
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	_, root, key := newAuthorityKey(t, testDomain, time.Hour)
	_, otherRoot, _ := newAuthorityKey(t, testDomain, time.Hour)
	certificate := string(encodeCertificates([]*x509.Certificate{root}))
	leaf := forge(t, root, key, func(*x509.Certificate) {})
	for name, c := range map[string]struct{ certificate, key, fault string }{
		"another key":         {string(encodeCertificates([]*x509.Certificate{otherRoot})), pemKey(t, key), "belongs to its key"},
		"no certificate":      {"", pemKey(t, key), "no certificate"},
		"not PEM":             {"hello", pemKey(t, key), "no PEM block"},
		"text behind":         {certificate + "hello", pemKey(t, key), "no PEM block"},
		"key as certificate":  {pemKey(t, key), pemKey(t, key), "PRIVATE KEY"},
		"certificate as key":  {certificate, certificate, `"CERTIFICATE" where a private key`},
		"broken certificate":  {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pemKey(t, key), "certificate 1"},
		"broken key":          {certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"},
		"no key":              {certificate, "", "no PEM block"},
		"a leaf as authority": {certificate + string(encodeCertificates([]*x509.Certificate{leaf.Leaf})), pemKey(t, leaf.PrivateKey), "may not sign"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := config.CA{Certificate: filepath.Join(dir, "ca.pem"), Key: filepath.Join(dir, "ca.key")}
			require.NoError(t, os.WriteFile(files.Certificate, []byte(c.certificate), 0o600))
			require.NoError(t, os.WriteFile(files.Key, []byte(c.key), 0o600))
			_, _, err := OpenAuthority(domain, files, time.Hour, time.Now)
			require.ErrorContains(t, err, c.fault)
			require.ErrorContains(t, err, dir, "the error names the file")
		})
	}
	t.Run("only one file there", func(t *testing.T) {
		dir := t.TempDir()
		files := config.CA{Certificate: filepath.Join(dir, "ca.pem"), Key: filepath.Join(dir, "ca.key")}
		require.NoError(t, os.WriteFile(files.Certificate, []byte(certificate), 0o600))
		_, _, err := OpenAuthority(domain, files, time.Hour, time.Now)
		require.ErrorIs(t, err, os.ErrNotExist)
		require.NoFileExists(t, files.Key, "a lost key is not replaced by another root's")
	})
}

func pemKey(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestKeyAsOpenSSLWritesIt(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})...)
	read, err := parseKey(text)
	require.NoError(t, err)
	require.True(t, key.Equal(read))
}

func TestBundle(t *testing.T) {
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	_, one, key := newAuthorityKey(t, testDomain, time.Hour)
	_, two, _ := newAuthorityKey(t, testDomain, time.Hour)
	both, err := NewBundle(domain, []*x509.Certificate{one, two, one})
	require.NoError(t, err)
	require.Len(t, both.Roots(), 2, "twice the same root is one")
	read, err := ParseBundle(domain, both.PEM())
	require.NoError(t, err)
	require.True(t, both.Equal(read))
	turned, err := NewBundle(domain, []*x509.Certificate{two, one})
	require.NoError(t, err)
	require.True(t, both.Equal(turned))
	alone, err := NewBundle(domain, []*x509.Certificate{one})
	require.NoError(t, err)
	require.False(t, both.Equal(alone))
	require.False(t, both.Equal(nil))
	_, err = NewBundle(domain, []*x509.Certificate{forge(t, one, key, func(*x509.Certificate) {}).Leaf})
	require.ErrorContains(t, err, "may not sign")
	_, err = NewBundle(domain, nil)
	require.Error(t, err)
}

// TestVerifiedChainsExpire proves that remembering a chain does not extend its life.
func TestVerifiedChainsExpire(t *testing.T) {
	a, root, key := newAuthorityKey(t, testDomain, time.Hour)
	leaf := forge(t, root, key, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) }).Leaf
	chain := []*x509.Certificate{leaf}
	now := time.Now()
	for range 2 {
		id, err := a.Bundle().Verify(chain, x509.ExtKeyUsageClientAuth, now)
		require.NoError(t, err)
		require.Equal(t, service("web"), id.String())
	}
	_, err := a.Bundle().Verify(chain, x509.ExtKeyUsageClientAuth, leaf.NotAfter.Add(time.Second))
	require.Equal(t, Expired, ReasonOf(err))
	_, err = a.Bundle().Verify(chain, x509.ExtKeyUsageCodeSigning, now)
	require.Equal(t, Untrusted, ReasonOf(err), "what was verified for one usage is not for another")
}

func TestVerifiedChainsAreBounded(t *testing.T) {
	a, root, key := newAuthorityKey(t, testDomain, time.Hour)
	for i := range maxVerified {
		a.bundle.verified[verifiedKey{leaf: [32]byte{byte(i), byte(i >> 8), 1}}] = verifiedChain{}
	}
	_, err := a.Bundle().Verify([]*x509.Certificate{forge(t, root, key, func(*x509.Certificate) {}).Leaf}, x509.ExtKeyUsageClientAuth, time.Now())
	require.NoError(t, err)
	require.LessOrEqual(t, len(a.bundle.verified), maxVerified)
}

func BenchmarkHandshake(b *testing.B) {
	a := newAuthority(b, testDomain, time.Hour)
	web, db := newSourceOf(b, a, service("web")), newSourceOf(b, a, service("db"))
	full := web.ClientConfig(service("db")).Clone()
	full.ClientSessionCache = nil
	for name, client := range map[string]*tls.Config{"full": full, "resumed": web.ClientConfig(service("db"))} {
		b.Run(name, func(b *testing.B) {
			server := db.ServerConfig(Strict)
			l := listen(b)
			b.ReportAllocs()
			for b.Loop() {
				if o := handshakeAt(b, l, client, server); o.client != nil || o.server != nil {
					b.Fatal(o.client, o.server)
				}
			}
		})
	}
}
