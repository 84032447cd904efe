package parity

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// entryTLS looks how the entries answer the load's own TLS connections, where there are such; `mtls` looks at the inbound ports.
func (c *checker) entryTLS(ctx context.Context) []string {
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		at, err := url.Parse(entry.URL)
		if err != nil || at.Scheme != "https" {
			return nil
		}
		return c.shake(ctx, "entry", entry.Name, at.Host)
	})
}

// shake shakes hands once and keeps how the proxy answers: version, cipher suite and how many certificates it shows. The client takes whatever
// it is offered and has no certificate; what the proxy thinks of that it says after the handshake's facts are known.
func (c *checker) shake(ctx context.Context, at, process, address string) []string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return one("a TLS client at %s of %s: %v", at, process, err)
	}
	defer conn.Close()
	var state *tls.ConnectionState
	secured := tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true, // who it is is what `mtls` and the proxies themselves ask
		VerifyConnection:   func(s tls.ConnectionState) error { state = &s; return nil },
	})
	err = secured.HandshakeContext(ctx)
	if state == nil { // a refusal for want of a certificate comes after it
		return one("%s of %s shakes no hands with a TLS client: %v", at, process, err)
	}
	h := results.Handshake{At: at, Process: process, Seen: results.SeenByProbe, Version: tls.VersionName(state.Version),
		Cipher: tls.CipherSuiteName(state.CipherSuite), Chain: len(state.PeerCertificates)}
	c.notes(note{probes[at], results.Probe{Place: c.placeOf(at), Feature: "tls", Asked: "a TLS client without a certificate",
		Answered: fmt.Sprintf("%s, %s, %d in the chain", h.Version, h.Cipher, h.Chain)}})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaken = append(c.shaken, h)
	return nil
}

// probes that shake hands, by where.
var probes = map[string]string{"entry": "tls", "inbound": "mtls"}

func (c *checker) placeOf(at string) string {
	if at == "inbound" {
		return results.PlaceSidecars
	}
	return c.place()
}
