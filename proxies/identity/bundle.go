package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// maxVerified bounds the table of chains verified already. It is emptied when full: a mesh with more live certificates than this
// verifies some of them again.
const maxVerified = 4096

// Bundle is the roots of a trust domain: several while a root is being replaced. It never changes; what it has verified it remembers,
// so that a resumed session or another connection of the same peer costs a hash and not a chain of signatures.
type Bundle struct {
	domain spiffeid.TrustDomain
	roots  []*x509.Certificate
	pool   *x509.CertPool

	mu       sync.RWMutex
	verified map[verifiedKey]verifiedChain
}

type verifiedKey struct {
	leaf  [sha256.Size]byte
	usage x509.ExtKeyUsage
}

// verifiedChain holds for as long as every certificate of the chain is valid.
type verifiedChain struct {
	id            spiffeid.ID
	after, before time.Time // valid from after, until before
}

// NewBundle makes the bundle of a trust domain. Every root must be a certificate that may sign others.
func NewBundle(domain spiffeid.TrustDomain, roots []*x509.Certificate) (*Bundle, error) {
	if len(roots) == 0 {
		return nil, errors.New("a trust bundle needs at least one root")
	}
	b := &Bundle{domain: domain, pool: x509.NewCertPool(), verified: map[verifiedKey]verifiedChain{}}
	for _, root := range roots {
		if !root.IsCA || !root.BasicConstraintsValid {
			return nil, fmt.Errorf("the certificate %q is in the trust bundle, but may not sign others", root.Subject)
		}
		if b.contains(root) {
			continue
		}
		b.roots = append(b.roots, root)
		b.pool.AddCert(root)
	}
	return b, nil
}

// ParseBundle reads PEM certificates as the bundle of a trust domain.
func ParseBundle(domain spiffeid.TrustDomain, text []byte) (*Bundle, error) {
	roots, err := parseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("reading a trust bundle: %w", err)
	}
	return NewBundle(domain, roots)
}

// PEM writes the roots, one block after the other.
func (b *Bundle) PEM() []byte { return encodeCertificates(b.roots) }

// Roots returns the roots. The caller may not change them.
func (b *Bundle) Roots() []*x509.Certificate { return b.roots }

// Equal says whether both hold the same roots of the same trust domain, in whatever order.
func (b *Bundle) Equal(other *Bundle) bool {
	if other == nil || b.domain != other.domain || len(b.roots) != len(other.roots) {
		return false
	}
	for _, root := range b.roots {
		if !other.contains(root) {
			return false
		}
	}
	return true
}

func (b *Bundle) contains(c *x509.Certificate) bool {
	for _, root := range b.roots {
		if bytes.Equal(root.Raw, c.Raw) {
			return true
		}
	}
	return false
}

// Verify proves the identity of a chain as the peer sent it, leaf first. The error is a *Refusal.
func (b *Bundle) Verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (spiffeid.ID, error) {
	if len(chain) == 0 {
		return spiffeid.ID{}, &Refusal{Reason: NoCertificate}
	}
	key := verifiedKey{leaf: sha256.Sum256(chain[0].Raw), usage: usage}
	b.mu.RLock()
	known, found := b.verified[key]
	b.mu.RUnlock()
	if found && !now.Before(known.after) && !now.After(known.before) {
		return known.id, nil
	}
	fresh, err := b.verify(chain, usage, now)
	if err != nil {
		return spiffeid.ID{}, err
	}
	b.mu.Lock()
	if len(b.verified) >= maxVerified {
		clear(b.verified)
	}
	b.verified[key] = fresh
	b.mu.Unlock()
	return fresh.id, nil
}

func (b *Bundle) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (verifiedChain, error) {
	leaf := chain[0]
	id, err := certificateID(leaf)
	if err != nil {
		return verifiedChain{}, &Refusal{Reason: WrongIdentity, Err: err}
	}
	// The trust domain comes before the chain: a stranger's certificate never chains to our roots, and the operator wants to
	// read that it is a stranger's.
	if !id.MemberOf(b.domain) {
		return verifiedChain{}, &Refusal{Reason: WrongTrustDomain, Detail: fmt.Sprintf("%s is not of %s", id, b.domain.IDString())}
	}
	// X509-SVID 4.1 and 4.3: a leaf has a path, may not sign certificates, and may sign handshakes.
	if id.Path() == "" || leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return verifiedChain{}, &Refusal{Reason: Untrusted, Detail: "the certificate is no leaf SVID"}
	}
	options := x509.VerifyOptions{Roots: b.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
	if len(chain) > 1 {
		options.Intermediates = x509.NewCertPool()
		for _, c := range chain[1:] {
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return verifiedChain{}, refuseChain(err)
	}
	v := verifiedChain{id: id, after: leaf.NotBefore, before: leaf.NotAfter}
	for _, c := range chains[0][1:] {
		if c.NotBefore.After(v.after) {
			v.after = c.NotBefore
		}
		if c.NotAfter.Before(v.before) {
			v.before = c.NotAfter
		}
	}
	return v, nil
}

// parseCertificates reads every PEM block, all of which must be certificates.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a PEM block of type %q where a CERTIFICATE is expected", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("text that is no PEM block")
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate")
	}
	return all, nil
}

func encodeCertificates(certificates []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certificates {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a bytes.Buffer accepts every write
	}
	return out.Bytes()
}
