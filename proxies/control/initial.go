package control

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
)

// Files that Init writes, in its directory.
const (
	initialConfig    = "control.yaml"
	initialEndpoints = "endpoints.yaml"
	initialRoot      = "ca.pem"
	initialKey       = "ca.key"
	initialToken     = "bootstrap.token"
)

const initialConfigText = `# Control plane of the trust domain TRUST_DOMAIN.
# Run it with: control run --config FILE. Relative paths start beside this file.
version: 1
trust_domain: TRUST_DOMAIN
bootstrap: 127.0.0.1:8086        # token and certificate request against SVID and roots (TLS)
listen: 127.0.0.1:8087           # snapshots (mutual TLS)
admin: {address: 127.0.0.1:9990} # /healthz /readyz /metrics /config /snapshot /bundle /graph /cascades
svid_lifetime: 24h               # proxies renew at half of it
ca:
  certificate: ca.pem            # the root; give it to proxies as identity.control.roots
  key: ca.key                    # stays here
tokens:
  - file: bootstrap.token        # give it to proxies as identity.control.token
    ids: ["spiffe://TRUST_DOMAIN/*"]
endpoints: endpoints.yaml        # watched: a change is in force within a second
`

const initialEndpointsText = `# Services and where they can be reached: inbound listeners of their sidecars.
version: 1
services:
  hello:
    identity: spiffe://TRUST_DOMAIN/ns/default/sa/hello
    endpoints:
      - {address: 127.0.0.1:4143}
`

// Init prepares a control plane offline: root and key, a bootstrap token, a configuration and a file of services. It overwrites
// nothing. It returns the files written.
func Init(dir, trustDomain string, now time.Time) ([]string, error) {
	domain, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil || domain.Name() != trustDomain {
		return nil, fmt.Errorf("%q is no trust domain: write lower case letters, digits, dots, hyphens and underscores, such as mesh.example", trustDomain)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	files := []string{at(initialConfig), at(initialEndpoints), at(initialRoot), at(initialKey), at(initialToken)}
	for _, f := range files {
		if _, err := os.Lstat(f); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", f, fs.ErrExist)
		}
	}
	root, key, err := identity.NewRoot(domain, now)
	if err != nil {
		return nil, err
	}
	ca := config.CA{Certificate: at(initialRoot), Key: at(initialKey)}
	if err := identity.WriteAuthority(ca, []*x509.Certificate{root}, key); err != nil {
		return nil, err
	}
	if _, err := MakeToken(at(initialToken)); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{initialConfig: initialConfigText, initialEndpoints: initialEndpointsText} {
		if err := os.WriteFile(at(name), []byte(strings.ReplaceAll(text, "TRUST_DOMAIN", trustDomain)), 0o644); err != nil {
			return nil, fmt.Errorf("writing the configuration: %w", err)
		}
	}
	return files, nil
}
