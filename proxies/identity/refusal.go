package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// Reason is why a peer was refused, as the word that a metric shows.
type Reason string

const (
	NoCertificate    Reason = "no_certificate"     // the peer offered TLS, but showed no certificate
	Plaintext        Reason = "plaintext"          // the peer does not speak TLS where TLS is required
	WrongTrustDomain Reason = "wrong_trust_domain" // a certificate of somebody else's mesh
	WrongIdentity    Reason = "wrong_identity"     // proved, but not who was promised; or not exactly one SPIFFE ID
	Expired          Reason = "expired"            // outside its time of validity
	Untrusted        Reason = "untrusted"          // no chain to a root of the bundle
	NotReady         Reason = "not_ready"          // this process holds no SVID yet
	RefusedByPeer    Reason = "refused_by_peer"    // the other side ended the handshake with an alert
)

// Refusal is a handshake refused for a named reason.
type Refusal struct {
	Reason Reason
	Detail string
	Err    error // the cause, if another package found it
}

func (r *Refusal) Error() string {
	text := "peer refused: " + string(r.Reason)
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

func (r *Refusal) Unwrap() error { return r.Err }

// ReasonOf names why a handshake failed, or returns "" where the cause was no refusal (a reset, a timeout).
func ReasonOf(err error) Reason {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	// crypto/tls makes this error for a first record that is none: bytes of another protocol.
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return Plaintext
	}
	// crypto/tls reports a peer's alert as a net.OpError of the operation "remote error".
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return RefusedByPeer
	}
	return ""
}

// refuseChain names why a chain did not verify.
func refuseChain(err error) *Refusal {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return &Refusal{Reason: Expired, Err: err}
	}
	return &Refusal{Reason: Untrusted, Err: err}
}
