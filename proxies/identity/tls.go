package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Modes of a server.
const (
	Strict     = "strict"     // mutual TLS, nothing else
	Permissive = "permissive" // mutual TLS or plaintext: see DetectTLS
	Off        = "off"        // plaintext
)

// ServerConfig returns the configuration of the accepting side: TLS 1.3, a client certificate required and verified against the bundle
// in force. It is the same for strict and permissive, whose difference is what happens to plaintext; for off it is nil. The value
// follows rotation by itself; use one for all connections, its session tickets belong to it.
func (s *Source) ServerConfig(mode string) *tls.Config {
	if mode == Off {
		return nil
	}
	c := &tls.Config{
		// crypto/tls puts AES-GCM first where the processor has instructions for it; TLS 1.3 suites cannot be configured.
		MinVersion: tls.VersionTLS13,
		Time:       s.options.Now,
		// A certificate is asked for here and required in verifyClient, which unlike crypto/tls gives its absence a reason.
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.shown()
		},
		// Not VerifyPeerCertificate: crypto/tls leaves that out on resumed sessions.
		VerifyConnection:            s.verifyClient,
		DynamicRecordSizingDisabled: true, // see newClientConfig
	}
	s.bindTickets(c)
	return c
}

// ClientConfig returns the configuration of the connecting side: TLS 1.3, our SVID presented, the server's chain verified and its SPIFFE
// ID the one wanted. Without a wanted ID every server is refused. Ask for it at each connection: there is one value per ID, with the
// sessions to resume, until SVID or roots are replaced; a value kept for longer is as safe, but resumes nothing.
func (s *Source) ClientConfig(wantID string) *tls.Config {
	m := s.current.Load()
	if m == nil {
		return s.newClientConfig(wantID, nil)
	}
	if known, ok := m.clients.Load(wantID); ok {
		return known.(*tls.Config)
	}
	kept, _ := m.clients.LoadOrStore(wantID, s.newClientConfig(wantID, newSessionCache(s, m)))
	return kept.(*tls.Config)
}

func (s *Source) newClientConfig(wantID string, sessions tls.ClientSessionCache) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       s.options.Now,
		// The standard verification compares a host name; a SPIFFE ID has none. verifyServer does chain and identity instead.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return s.verifyServer(state, wantID) },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.own()
		},
		ClientSessionCache: sessions,
		// Left on, crypto/tls begins with records of one packet, so that a page could show its first lines sooner; each is a system call
		// on both sides, and a message of 2 KiB is two.
		DynamicRecordSizingDisabled: true,
	}
}

// Verify proves a finished connection's peer again, against the bundle in force now. Use it on connections that outlive a change of
// the roots.
func (s *Source) Verify(state tls.ConnectionState, usage x509.ExtKeyUsage) error {
	m := s.current.Load()
	if m == nil {
		return &Refusal{Reason: NotReady, Detail: "no SVID yet"}
	}
	_, err := m.bundle.Verify(state.PeerCertificates, usage, s.options.Now())
	return err
}

func (s *Source) verifyClient(state tls.ConnectionState) error {
	return s.Verify(state, x509.ExtKeyUsageClientAuth)
}

func (s *Source) verifyServer(state tls.ConnectionState, want string) error {
	m := s.current.Load()
	if m == nil {
		return &Refusal{Reason: NotReady, Detail: "no SVID yet"}
	}
	return verifyServer(m.bundle, state, want, s.options.Now())
}

// verifyServer proves that a server is who was promised.
func verifyServer(b *Bundle, state tls.ConnectionState, want string, now time.Time) error {
	id, err := b.Verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, now)
	if err != nil {
		return err
	}
	if want == "" {
		return &Refusal{Reason: WrongIdentity, Detail: fmt.Sprintf("the server is %s, and discovery promised no identity", id)}
	}
	if id.String() != want {
		return &Refusal{Reason: WrongIdentity, Detail: fmt.Sprintf("the server is %s, promised was %s", id, want)}
	}
	return nil
}

// own returns the SVID that the connecting side presents. An expired one is not presented: the peer would refuse it without saying why.
func (s *Source) own() (*tls.Certificate, error) {
	c, err := s.shown()
	if err == nil && s.options.Now().After(c.Leaf.NotAfter) {
		return nil, &Refusal{Reason: Expired, Detail: "our own SVID ended at " + c.Leaf.NotAfter.Format(time.RFC3339)}
	}
	return c, err
}

// shown returns the SVID that the accepting side presents, even an expired one: the caller refuses it, and knows why its call failed.
func (s *Source) shown() (*tls.Certificate, error) {
	m := s.current.Load()
	if m == nil {
		return nil, &Refusal{Reason: NotReady, Detail: "no SVID yet"}
	}
	return m.certificate, nil
}

// anonymousClient is the configuration of a process that has no SVID yet: the server is verified as ever, nothing is presented.
func anonymousClient(b *Bundle, want string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Time:               now,
		InsecureSkipVerify: true, // see ClientConfig
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyServer(b, state, want, now())
		},
	}
}

// BootstrapConfig returns the accepting side's configuration for those who have no SVID yet: the server proves itself, the client is
// recognized by other means.
func (s *Source) BootstrapConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       s.options.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.own()
		},
		SessionTicketsDisabled: true, // each client comes once in half a lifetime
	}
}
