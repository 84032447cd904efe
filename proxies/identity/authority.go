package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// RootLifetime is how long a root made here is valid.
const RootLifetime = 10 * 365 * 24 * time.Hour

// maxBackdate is how far before its issue an SVID is valid, so that a verifier whose clock is a little behind accepts it.
const maxBackdate = 30 * time.Second

// Authority issues the SVIDs of one trust domain with one signing certificate, a root or an intermediate. It is immutable: replacing a
// root is a new Authority whose bundle holds both.
type Authority struct {
	domain   spiffeid.TrustDomain
	issuer   *x509.Certificate
	key      crypto.Signer
	chain    [][]byte // what follows the leaf in a handshake: intermediates, never a root
	bundle   *Bundle
	lifetime time.Duration
	now      func() time.Time
}

// NewAuthority makes an authority that signs with key. Certificates holds the signing certificate that belongs to the key, the
// intermediates between it and its root, and every root that the trust domain accepts, in any order: what signed itself is a root.
func NewAuthority(domain spiffeid.TrustDomain, certificates []*x509.Certificate, key crypto.Signer, lifetime time.Duration, now func() time.Time) (*Authority, error) {
	if lifetime <= 0 {
		return nil, errors.New("the lifetime of an SVID must be above zero")
	}
	a := &Authority{domain: domain, key: key, lifetime: lifetime, now: now}
	var roots []*x509.Certificate
	for _, c := range certificates {
		if samePublicKey(c.PublicKey, key.Public()) {
			a.issuer = c
		}
		if selfSigned(c) {
			roots = append(roots, c)
		}
	}
	if a.issuer == nil {
		return nil, errors.New("none of the authority's certificates belongs to its key")
	}
	if !a.issuer.IsCA || a.issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("the authority's certificate may not sign others")
	}
	var err error
	if a.bundle, err = NewBundle(domain, roots); err != nil {
		return nil, fmt.Errorf("the authority's certificates: %w", err)
	}
	a.chain = chainToRoot(a.issuer, certificates)
	if err := a.check(); err != nil {
		return nil, err
	}
	return a, nil
}

// chainToRoot collects the signing certificate and what stands between it and its root. Others, such as the intermediate that is
// being replaced, would only make handshakes longer.
func chainToRoot(c *x509.Certificate, all []*x509.Certificate) [][]byte {
	var chain [][]byte
	for range all {
		if selfSigned(c) {
			break
		}
		chain = append(chain, c.Raw)
		for _, parent := range all {
			if bytes.Equal(parent.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(parent) == nil {
				c = parent
				break
			}
		}
	}
	return chain
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

// check proves that what the authority issues will be accepted: it issues one SVID and verifies it.
func (a *Authority) check() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	id, err := ParseID(ControlID(a.domain.Name()))
	if err != nil {
		return err
	}
	chain, err := a.Issue(&Request{ID: id, Key: &key.PublicKey})
	if err != nil {
		return err
	}
	if _, err := a.bundle.Verify(chain, x509.ExtKeyUsageServerAuth, a.now()); err != nil {
		return fmt.Errorf("an SVID of this authority would not be accepted by its own roots: %w", err)
	}
	return nil
}

// Bundle returns the roots of the trust domain.
func (a *Authority) Bundle() *Bundle { return a.bundle }

// Expiry returns when the signing certificate ends; no SVID outlives it.
func (a *Authority) Expiry() time.Time { return a.issuer.NotAfter }

// Issue signs an SVID for a checked request and returns it with the intermediates that follow it. Whether the asker may have this ID
// is decided by the caller; that it is of this trust domain is checked here.
func (a *Authority) Issue(r *Request) ([]*x509.Certificate, error) {
	if !r.ID.MemberOf(a.domain) {
		return nil, &Refusal{Reason: WrongTrustDomain, Detail: fmt.Sprintf("%s is not of %s", r.ID, a.domain.IDString())}
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial,
		// The subject is empty, which makes the SAN critical (RFC 5280 4.1.2.6): nothing but the SPIFFE ID names the bearer.
		URIs:                  []*url.URL{r.ID.URL()},
		NotBefore:             now.Add(-min(maxBackdate, a.lifetime/10)),
		NotAfter:              now.Add(a.lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(a.issuer.NotAfter) {
		template.NotAfter = a.issuer.NotAfter
	}
	if !template.NotAfter.After(now) {
		return nil, &Refusal{Reason: Expired, Detail: fmt.Sprintf("the authority's certificate ended at %s", a.issuer.NotAfter.Format(time.RFC3339))}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.issuer, r.Key, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing an SVID for %s: %w", r.ID, err)
	}
	return parseChain(append([][]byte{der}, a.chain...))
}

// Intermediate makes a signing certificate below this authority's root: an authority of its own with a new key, which can be given
// away while the root's key stays behind.
func (a *Authority) Intermediate(lifetime time.Duration) (certificates []*x509.Certificate, key *ecdsa.PrivateKey, err error) {
	key, template, err := newSigner(a.domain, "intermediate", a.now(), lifetime)
	if err != nil {
		return nil, nil, err
	}
	template.MaxPathLenZero = true // it signs leaves only
	der, err := x509.CreateCertificate(rand.Reader, template, a.issuer, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing an intermediate: %w", err)
	}
	chain, err := parseChain([][]byte{der})
	if err != nil {
		return nil, nil, err
	}
	return append(chain, a.bundle.roots...), key, nil
}

// NewRoot makes a self-signed root and its key.
func NewRoot(domain spiffeid.TrustDomain, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, template, err := newSigner(domain, "root", now, RootLifetime)
	if err != nil {
		return nil, nil, err
	}
	template.MaxPathLen = 1
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a root: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the root just signed: %w", err)
	}
	return root, key, nil
}

// newSigner makes the key and the template of a certificate that signs others. Its URI SAN is the trust domain (X509-SVID 3.2); its
// serial number in the subject keeps two roots of one domain apart.
func newSigner(domain spiffeid.TrustDomain, role string, now time.Time, lifetime time.Duration) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	return key, &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{domain.Name()}, CommonName: role, SerialNumber: serial.Text(16)},
		URIs:                  []*url.URL{domain.ID().URL()},
		NotBefore:             now.Add(-maxBackdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, nil
}

// newSerial draws 127 random bits (RFC 5280 4.1.2.2: positive, at most 20 octets).
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func parseChain(raw [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(raw))
	for i, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of a chain: %w", i+1, err)
		}
		chain[i] = c
	}
	return chain, nil
}
