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
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"crossroads/harness/deploy"
)

// issuer is a certificate authority for one deployment: of a mesh with rivals, which cannot ask a control plane, or of gateways towards
// clients, who believe another authority than the mesh does. Its key lives in memory and ends with the deployment.
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
	id, err := url.Parse(identity)
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", n.ID, err)
	}
	t, err := l.issue(authority, n.ID, l.roots(), &x509.Certificate{
		URIs: []*url.URL{id}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		t.Domain = "spiffe://" + trustDomain + "/"
	}
	return t, err
}

// proveEntries gives every gateway that speaks TLS to clients a certificate of an authority made for that: ECDSA P-256, one certificate long,
// whatever proxy it is.
func (l *layout) proveEntries() error {
	if !l.arm.EntryTLS() {
		return nil
	}
	authority, err := newIssuer()
	if err != nil {
		return err
	}
	for _, g := range l.gateways {
		g.entry, err = l.issue(authority, g.ID+"-entry", filepath.Join(l.private, "entry-roots.pem"), &x509.Certificate{
			DNSNames: []string{"gateway"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return err
		}
	}
	l.believed = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.certificate.Raw}))
	return nil
}

// issue makes a key, completes and signs a certificate for it, and writes both, and the authority's own, for a proxy to read.
func (l *layout) issue(authority *issuer, id, roots string, leaf *x509.Certificate) (*RivalTLS, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", id, err)
	}
	authority.serial++
	leaf.SerialNumber, leaf.NotBefore, leaf.NotAfter = big.NewInt(authority.serial), time.Now().Add(-time.Minute), time.Now().Add(issuedFor)
	leaf.KeyUsage, leaf.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority.certificate, key.Public(), authority.key)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %s: %w", id, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing the key of %s: %w", id, err)
	}
	file := func(suffix string) string { return filepath.Join(l.private, id+suffix) }
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	t := &RivalTLS{Certificate: file(".crt"), Key: file(".key"), Roots: roots, Both: file(".pem")}
	for name, text := range map[string][]byte{
		t.Certificate: certificate, t.Key: private, t.Both: append(append([]byte{}, certificate...), private...),
		t.Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.certificate.Raw}),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, fmt.Errorf("writing the certificate of %s: %w", id, err)
		}
	}
	return t, nil
}
