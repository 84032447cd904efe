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

	"crossroads/harness/deploy"
)

// issuer is a certificate authority for one deployment with rivals: they cannot ask a control plane. Its key lives in memory and ends with
// the deployment.
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
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: trustDomain}, URIs: []*url.URL{{Scheme: "spiffe", Host: trustDomain}}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(issuedFor),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a root certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return &issuer{certificate: certificate, key: key, serial: 1}, err
}

// proveAll issues the certificates of an arm that has mutual TLS and no control plane.
func (l *layout) proveAll() error {
	if l.control != nil || !l.encrypted() {
		return nil
	}
	authority, err := newIssuer()
	if err != nil {
		return err
	}
	for _, n := range l.nodes {
		switch {
		case n.Kind == deploy.KindSidecar:
			n.tls, err = l.prove(authority, n, serviceID+n.Service, n.Service)
		case n.Kind == deploy.KindGateway && !l.arm.RelayGateway():
			n.tls, err = l.prove(authority, n, gatewayID, "gateway")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prove gives a proxy a certificate of the same kind as an SVID of the reference mesh: ECDSA P-256, one URI SAN, one certificate long; and
// a DNS SAN, which the reference mesh has not.
func (l *layout) prove(authority *issuer, n *node, identity, name string) (*RivalTLS, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", n.ID, err)
	}
	id, err := url.Parse(identity)
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", n.ID, err)
	}
	authority.serial++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(authority.serial), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(issuedFor),
		URIs: []*url.URL{id}, DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority.certificate, key.Public(), authority.key)
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
		t.Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.certificate.Raw}),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, fmt.Errorf("writing the certificate of %s: %w", n.ID, err)
		}
	}
	return t, nil
}
