package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
)

// NewFileSource reads the SVID from files that somebody else renews. It fails where they cannot be used now; later it reads them
// again when they change, and keeps what it has while they cannot be used.
func NewFileSource(ctx context.Context, c config.Identity, o Options) (*Source, error) {
	id, err := workloadID(c)
	if err != nil {
		return nil, err
	}
	if c.Files == nil {
		return nil, errors.New("the identity names no files")
	}
	o = o.filled()
	return startLocal(ctx, id, &fileProvider{id: id, files: *c.Files, options: o}, o)
}

// startLocal starts a Source that needs nobody else: where the first try fails, so will the next.
func startLocal(ctx context.Context, id spiffeid.ID, p provider, o Options) (*Source, error) {
	s := newSource(id, p, o)
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	return s.start(ctx, p.wait(s.leaf(), 0)), nil
}

// fileProvider compares the files' content: file times are too coarse for a key and a certificate written one after the other.
type fileProvider struct {
	id      spiffeid.ID
	files   config.IdentityFiles
	options Options
	last    [3][]byte // certificate, key, bundle as last accepted
}

func (p *fileProvider) ownsBundle() bool { return true }

func (p *fileProvider) wait(*x509.Certificate, int) time.Duration { return p.options.Poll }

func (p *fileProvider) obtain(context.Context) (*tls.Certificate, *Bundle, error) {
	var now [3][]byte
	changed := false
	for i, name := range []string{p.files.Certificate, p.files.Key, p.files.Bundle} {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the SVID's files: %w", err)
		}
		now[i] = text
		changed = changed || !bytes.Equal(text, p.last[i])
	}
	if !changed {
		return nil, nil, nil
	}
	certificate, bundle, err := p.parse(now)
	if err != nil {
		return nil, nil, err
	}
	if err := accept(p.id, certificate, bundle, p.options.Now()); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.files.Certificate, err)
	}
	p.last = now
	return certificate, bundle, nil
}

func (p *fileProvider) parse(text [3][]byte) (*tls.Certificate, *Bundle, error) {
	chain, err := parseCertificates(text[0])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.files.Certificate, err)
	}
	key, err := parseKey(text[1])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.files.Key, err)
	}
	bundle, err := ParseBundle(p.id.TrustDomain(), text[2])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.files.Bundle, err)
	}
	return newCertificate(chain, key), bundle, nil
}

// NewAuthoritySource issues its own SVIDs: the control plane's. Current is asked at each renewal, so that a replaced authority is used
// from the next one on; call SetBundle for its roots.
func NewAuthoritySource(ctx context.Context, current func() *Authority, id string, o Options) (*Source, error) {
	parsed, err := ParseID(id)
	if err != nil {
		return nil, err
	}
	o = o.filled()
	return startLocal(ctx, parsed, &authorityProvider{renewal: renewal{o}, id: parsed, current: current}, o)
}

type authorityProvider struct {
	renewal
	id      spiffeid.ID
	current func() *Authority
}

func (p *authorityProvider) ownsBundle() bool { return false }

func (p *authorityProvider) obtain(context.Context) (*tls.Certificate, *Bundle, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	authority := p.current()
	chain, err := authority.Issue(&Request{ID: p.id, Key: &key.PublicKey})
	if err != nil {
		return nil, nil, err
	}
	certificate := newCertificate(chain, key)
	return certificate, authority.Bundle(), accept(p.id, certificate, authority.Bundle(), p.options.Now())
}
