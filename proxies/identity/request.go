package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// MaxRequest bounds a certificate signing request, in bytes of PEM. One for a P-256 key with a SPIFFE ID is below 1 KiB.
const MaxRequest = 8 << 10

// Request is a certificate signing request that was checked: its signature proves that the asker holds the key, and it asks for
// exactly one SPIFFE ID and no other name.
type Request struct {
	ID  spiffeid.ID
	Key *ecdsa.PublicKey
}

// NewRequest makes a request for an ID, as PEM, signed with the key it asks to have certified. The subject stays empty: a common
// name would be one more name that somebody might trust.
func NewRequest(id spiffeid.ID, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{id.URL()}}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request for %s: %w", id, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// ParseRequest checks a certificate signing request in PEM. What it asks besides an ID and a key is refused rather than left out, so
// that nobody believes to have obtained it.
func ParseRequest(text []byte) (*Request, error) {
	if len(text) > MaxRequest {
		return nil, fmt.Errorf("the certificate request has %d bytes, more than %d", len(text), MaxRequest)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the certificate request is not one PEM block of type CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed with its own key: %w", err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the certificate request's key is not ECDSA P-256")
	}
	if len(csr.URIs) != 1 || len(csr.DNSNames)+len(csr.IPAddresses)+len(csr.EmailAddresses) > 0 {
		return nil, fmt.Errorf("the certificate request has %d URI names and %d others: exactly one SPIFFE ID is expected",
			len(csr.URIs), len(csr.DNSNames)+len(csr.IPAddresses)+len(csr.EmailAddresses))
	}
	if err := checkExtensions(csr); err != nil {
		return nil, err
	}
	id, err := spiffeid.FromURI(csr.URIs[0])
	if err != nil {
		return nil, fmt.Errorf("the certificate request's URI name is no SPIFFE ID: %w", err)
	}
	if id.Path() == "" {
		return nil, fmt.Errorf("the certificate request asks for the trust domain %s itself", id)
	}
	return &Request{ID: id, Key: key}, nil
}

// checkExtensions lets only the subject alternative name (2.5.29.17, RFC 5280 4.2.1.6) be asked for.
func checkExtensions(csr *x509.CertificateRequest) error {
	for _, e := range csr.Extensions {
		if !e.Id.Equal([]int{2, 5, 29, 17}) {
			return fmt.Errorf("the certificate request asks for the extension %s: only names may be asked for", e.Id)
		}
	}
	return nil
}
