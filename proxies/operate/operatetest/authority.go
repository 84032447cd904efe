package operatetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// Authority signs SVIDs into files, as an operator without a control plane would.
type Authority struct {
	t      *testing.T
	domain string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// NewAuthority makes the root of a trust domain. Two of the same name do not trust each other.
func NewAuthority(t *testing.T, domain string) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	u := &url.URL{Scheme: "spiffe", Host: domain}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, URIs: []*url.URL{u},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	c, err = x509.ParseCertificate(raw)
	require.NoError(t, err)
	return &Authority{t, domain, c, key}
}

// ID returns the identity of a service.
func (a *Authority) ID(service string) string {
	return "spiffe://" + a.domain + "/ns/default/sa/" + service
}

// Identity writes an SVID for a service and returns the part of a configuration that uses it.
func (a *Authority) Identity(service string) string {
	f := a.Files(service)
	return fmt.Sprintf("identity: {trust_domain: %s, id: %s, files: {certificate: %s, key: %s, bundle: %s}}\n",
		a.domain, a.ID(service), f.Certificate, f.Key, f.Bundle)
}

// Files writes an SVID for a service; changes may make it one that nobody should accept.
func (a *Authority) Files(service string, changes ...func(*x509.Certificate)) config.IdentityFiles {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	u, err := url.Parse(a.ID(service))
	require.NoError(a.t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{u},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, change := range changes {
		change(c)
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	dir := a.t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(a.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return config.IdentityFiles{Certificate: write("cert.pem", "CERTIFICATE", raw), Key: write("key.pem", "PRIVATE KEY", der),
		Bundle: write("bundle.pem", "CERTIFICATE", a.cert.Raw)}
}
