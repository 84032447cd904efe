package parity

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// entryTLS looks how the entries answer the load's own TLS connections, where there are such; `mtls` looks at the inbound ports. Every other
// probe comes in by https too, and gets nowhere without a certificate that the arm's authority vouches for.
func (c *checker) entryTLS(ctx context.Context) []string {
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		at, err := url.Parse(entry.URL)
		if err != nil {
			return one("the address %s of %s: %v", entry.URL, entry.Name, err)
		}
		if secure := at.Scheme == "https"; !c.external() && secure != c.arm.EntryTLS() {
			return one("%s is entered at %s where tls is %s", entry.Name, entry.URL, onOff(c.arm.EntryTLS()))
		}
		if at.Scheme != "https" {
			return nil
		}
		security := &tls.Config{ServerName: at.Hostname(), NextProtos: []string{"http/1.1"}}
		if entry.Roots != "" {
			security.RootCAs = poolOf(entry.Roots)
		}
		return append(c.shake(ctx, "entry", entry.Name, at.Host, security), c.outdated(ctx, entry, at)...)
	})
}

// outdated comes to an entry that speaks TLS in plaintext, and by a version that nobody should speak (RFC 8996): neither is served.
func (c *checker) outdated(ctx context.Context, entry deploy.Entry, at *url.URL) (found []string) {
	if c.external() {
		return nil
	}
	got, err := c.ask(ctx, "http://"+at.Host, c.first(), 0)
	plain := err == nil && got.status >= 200 && got.status <= 299
	old := &tls.Config{ServerName: at.Hostname(), RootCAs: poolOf(entry.Roots), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	for asked, served := range map[string]bool{"a plaintext request": plain, "a TLS 1.1 client": greets(ctx, at.Host, old)} {
		c.saw("tls", "tls", asked, strings.TrimPrefix(verdict(served), "was "))
		if served {
			found = append(found, fmt.Sprintf("%s: %s was served where tls is on", entry.Name, asked))
		}
	}
	return found
}

// greets says whether a handshake comes about.
func greets(ctx context.Context, address string, security *tls.Config) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: security}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// anybody is a client that takes whatever it is offered: at an inbound port, who it is is what `mtls` and the proxies themselves ask.
func anybody() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// shake shakes hands once and keeps how the proxy answers: version, cipher suite and how many certificates it shows. The client has no
// certificate; what the proxy thinks of that it says after the handshake's facts are known.
func (c *checker) shake(ctx context.Context, at, process, address string, security *tls.Config) []string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return one("a TLS client at %s of %s: %v", at, process, err)
	}
	defer conn.Close()
	var state *tls.ConnectionState
	security.VerifyConnection = func(s tls.ConnectionState) error { state = &s; return nil }
	secured := tls.Client(conn, security)
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
