// Package identity is who a process of the mesh is and how it proves it: SPIFFE IDs, the certificate authority that issues SVIDs,
// the Source that holds a process's own SVID and trust bundle and renews them, and the tls.Config of either side of mutual TLS.
//
// Its one invariant: a handshake that succeeds has proved the peer's SPIFFE ID against the bundle in force at that moment, resumed
// sessions included. A name, an address or a certificate's common name proves nothing. The package authorizes nobody: which identity
// may do what is a stage's business.
//
// Reference: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// ControlID is the identity of the control plane of a trust domain. It is fixed, so that a sidecar knows whom to expect before it
// has any configuration; no token obtains it.
func ControlID(trustDomain string) string {
	return "spiffe://" + trustDomain + "/ns/system/sa/control"
}

// ServiceID writes spiffe://<trust domain>/ns/<namespace>/sa/<service>.
func ServiceID(trustDomain, namespace, service string) string {
	return "spiffe://" + trustDomain + "/ns/" + namespace + "/sa/" + service
}

// PeerID returns the SPIFFE ID that the peer of a finished handshake has proved, or "" where there is none. It relies on the
// configurations of this package, which finish no handshake whose peer was not verified.
func PeerID(s tls.ConnectionState) string {
	if !s.HandshakeComplete || len(s.PeerCertificates) == 0 {
		return ""
	}
	leaf := s.PeerCertificates[0]
	if len(leaf.URIs) != 1 {
		return ""
	}
	return leaf.URIs[0].String()
}

// certificateID returns the SPIFFE ID of an X.509-SVID: its only URI SAN (X509-SVID 2).
func certificateID(c *x509.Certificate) (spiffeid.ID, error) {
	if len(c.URIs) != 1 {
		return spiffeid.ID{}, fmt.Errorf("the certificate has %d URI names where an SVID has exactly one", len(c.URIs))
	}
	id, err := spiffeid.FromURI(c.URIs[0])
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("the certificate's URI name is no SPIFFE ID: %w", err)
	}
	return id, nil
}

// ParseID reads a SPIFFE ID of a workload: one that has a path.
func ParseID(text string) (spiffeid.ID, error) {
	id, err := spiffeid.FromString(text)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("%q is no SPIFFE ID: %w", text, err)
	}
	if id.Path() == "" {
		return spiffeid.ID{}, fmt.Errorf("%q names a trust domain, not a workload: write spiffe://<trust domain>/ns/<namespace>/sa/<service>", text)
	}
	return id, nil
}
