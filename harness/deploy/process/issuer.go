package process

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
	"time"
)

// issuer is a certificate authority for one deployment of rivals: they have no control plane to ask. Its key lives in memory and ends
// with the deployment.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

// issuedFor is how long such a certificate holds: longer than any run, as nobody rotates it.
const issuedFor = 48 * time.Hour

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a root key: %w", err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: trustDomain}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(issuedFor),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a root certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return &issuer{certificate: certificate, key: key, serial: 1}, err
}

// prove gives a sidecar a certificate of the same kind as an SVID of the reference mesh: ECDSA P-256, one URI SAN, one certificate long.
func (l *layout) prove(n *node) (*RivalTLS, error) {
	if l.issued == nil {
		made, err := newIssuer()
		if err != nil {
			return nil, err
		}
		l.issued = made
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", n.ID, err)
	}
	id, err := url.Parse(serviceID + n.Service)
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", n.ID, err)
	}
	l.issued.serial++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(l.issued.serial), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(issuedFor),
		URIs: []*url.URL{id}, DNSNames: []string{n.Service}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, l.issued.certificate, key.Public(), l.issued.key)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %s: %w", n.ID, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing the key of %s: %w", n.ID, err)
	}
	file := func(suffix string) string { return filepath.Join(l.private, n.ID+suffix) }
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	t := &RivalTLS{Certificate: file(".crt"), Key: file(".key"), Roots: l.roots(), Both: file(".pem"), Domain: "spiffe://" + trustDomain + "/"}
	for name, text := range map[string][]byte{
		t.Certificate: certificate, t.Key: private, t.Both: append(append([]byte{}, certificate...), private...),
		t.Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.issued.certificate.Raw}),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, fmt.Errorf("writing the certificate of %s: %w", n.ID, err)
		}
	}
	return t, nil
}
