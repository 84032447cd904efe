package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
)

// IssuePath is where the control plane's bootstrap listener takes certificate requests: POST, bearer token, an IssueRequest; the
// answer is an IssueResponse, or an IssueError with the status.
const IssuePath = "/v1/svid"

// maxIssued bounds an answer: a chain and a bundle of several roots are a few KiB.
const maxIssued = 256 << 10

// IssueRequest asks for an SVID. The key stays with the asker.
type IssueRequest struct {
	Request string `json:"request"` // PEM, see ParseRequest
}

// IssueResponse is an SVID and the roots of its trust domain.
type IssueResponse struct {
	Chain  string `json:"chain"`  // PEM: the SVID, then intermediates
	Bundle string `json:"bundle"` // PEM: the roots
}

// IssueError is why none was issued.
type IssueError struct {
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// NewControlSource obtains SVIDs from a control plane. It returns at once and tries until ctx ends: a sidecar may start before its
// control plane. Use Wait for the first SVID.
func NewControlSource(ctx context.Context, c config.Identity, o Options) (*Source, error) {
	id, err := workloadID(c)
	if err != nil {
		return nil, err
	}
	if c.Control == nil {
		return nil, errors.New("the identity names no control plane")
	}
	if strings.HasPrefix(c.Control.Bootstrap, "unix:") {
		return nil, fmt.Errorf("%s: a control plane is reached by host:port", c.Control.Bootstrap)
	}
	o = o.filled()
	return newSource(id, &controlProvider{renewal: renewal{o}, id: id, address: *c.Control}, o).start(ctx, 0), nil
}

// workloadID reads the configured ID and checks that it is of the configured trust domain.
func workloadID(c config.Identity) (spiffeid.ID, error) {
	id, err := ParseID(c.ID)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("reading the identity: %w", err)
	}
	if c.TrustDomain != "" && id.TrustDomain().Name() != c.TrustDomain {
		return spiffeid.ID{}, fmt.Errorf("the identity %s is not of the trust domain %s", id, c.TrustDomain)
	}
	return id, nil
}

// controlProvider makes a new key for every SVID and sends a request for it.
type controlProvider struct {
	renewal
	id      spiffeid.ID
	address config.ControlAddress
	bundle  *Bundle // of the last answer
}

func (p *controlProvider) ownsBundle() bool { return false }

func (p *controlProvider) obtain(ctx context.Context) (*tls.Certificate, *Bundle, error) {
	token, err := os.ReadFile(p.address.Token)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the bootstrap token: %w", err)
	}
	roots, err := p.trusted()
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	request, err := NewRequest(p.id, key)
	if err != nil {
		return nil, nil, err
	}
	answer, err := p.ask(ctx, roots, strings.TrimSpace(string(token)), request)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the control plane at %s for an SVID: %w", p.address.Bootstrap, err)
	}
	certificate, bundle, err := p.read(answer, key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of the control plane at %s: %w", p.address.Bootstrap, err)
	}
	p.bundle = bundle
	return certificate, bundle, nil
}

// trusted returns the roots by which the control plane is recognized: those of the configured file, read each time because it is the
// operator's word, and those that the control plane itself announced last.
func (p *controlProvider) trusted() (*Bundle, error) {
	text, err := os.ReadFile(p.address.Roots)
	if err != nil {
		return nil, fmt.Errorf("reading the roots to start with: %w", err)
	}
	roots, err := parseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.address.Roots, err)
	}
	if p.bundle != nil {
		roots = append(roots, p.bundle.roots...)
	}
	return NewBundle(p.id.TrustDomain(), roots)
}

func (p *controlProvider) ask(ctx context.Context, roots *Bundle, token string, request []byte) (*IssueResponse, error) {
	body, err := json.Marshal(IssueRequest{Request: string(request)})
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+p.address.Bootstrap+IssuePath, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	want := ControlID(p.id.TrustDomain().Name())
	transport := &http.Transport{
		TLSClientConfig:   anonymousClient(roots, want, p.options.Now),
		DisableKeepAlives: true, // once in half a lifetime
	}
	response, err := (&http.Client{Transport: transport, CheckRedirect: refuseRedirect}).Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxIssued))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var refused IssueError
		if json.Unmarshal(text, &refused) != nil || refused.Reason == "" {
			return nil, fmt.Errorf("status %d", response.StatusCode)
		}
		return nil, fmt.Errorf("status %d, %s: %s", response.StatusCode, refused.Reason, refused.Detail)
	}
	var answer IssueResponse
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return &answer, nil
}

// refuseRedirect keeps the bearer token with the one it was meant for.
func refuseRedirect(*http.Request, []*http.Request) error {
	return errors.New("the control plane answered with a redirect, which it never does")
}

func (p *controlProvider) read(answer *IssueResponse, key *ecdsa.PrivateKey) (*tls.Certificate, *Bundle, error) {
	chain, err := parseCertificates([]byte(answer.Chain))
	if err != nil {
		return nil, nil, fmt.Errorf("the SVID: %w", err)
	}
	bundle, err := ParseBundle(p.id.TrustDomain(), []byte(answer.Bundle))
	if err != nil {
		return nil, nil, err
	}
	certificate := newCertificate(chain, key)
	return certificate, bundle, accept(p.id, certificate, bundle, p.options.Now())
}

func newCertificate(chain []*x509.Certificate, key any) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, one := range chain {
		c.Certificate = append(c.Certificate, one.Raw)
	}
	return c
}
