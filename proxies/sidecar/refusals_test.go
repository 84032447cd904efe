package sidecar

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
	"crossroads/proxies/operate/operatetest"
)

// client is a stock TLS client: openssl s_client, which asks for one page and says what it saw.
type client struct {
	t       *testing.T
	address string
}

func (c client) call(args ...string) string {
	c.t.Helper()
	cmd := exec.Command(needs(c.t, "openssl"), append([]string{"s_client", "-connect", c.address, "-showcerts", "-ign_eof"}, args...)...)
	cmd.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: stock\r\nConnection: close\r\n\r\n")
	out, _ := cmd.CombinedOutput() // refusals are what this is about
	return string(out)
}

func shows(f config.IdentityFiles) []string { return []string{"-cert", f.Certificate, "-key", f.Key} }

// names says that a refusal stands in the metric and in the log, by its reason.
func (r *running) names(direction, reason string) {
	r.t.Helper()
	r.shows(fmt.Sprintf(`sidecar_handshakes_total{direction=%q,result=%q} [1-9]`, direction, reason))
	line := regexp.MustCompile(`level=WARN msg="a peer was refused" direction=` + direction + ` reason=` + reason + ` `)
	require.Eventually(r.t, func() bool { return line.MatchString(r.said.String()) }, 10*time.Second, time.Millisecond, "%s in %s", reason, r.said)
}

// What openssl sees of a sidecar: TLS 1.3, and a certificate whose only name is one URI.
func TestOpenSSLSeesOneIdentity(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t)))
	orders := ca.Files("orders")
	c := client{t, stock.inboundAt()}
	out := c.call(append(shows(orders), "-CAfile", orders.Bundle)...)
	require.Contains(t, out, "New, TLSv1.3, Cipher is TLS_AES_")
	require.Contains(t, out, "Verify return code: 0 (ok)")
	require.Contains(t, out, "HTTP/1.1 200 OK")
	x509text := exec.Command("openssl", "x509", "-noout", "-text")
	x509text.Stdin = strings.NewReader(out)
	text, err := x509text.CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Equal(t, 1, strings.Count(string(text), "URI:"), "%s", text)
	require.Regexp(t, `Subject Alternative Name: critical\s+URI:`+ca.ID("stock")+"\n", string(text))
	require.NotContains(t, string(text), "DNS:")
	require.NotContains(t, c.call(append(shows(orders), "-tls1_2")...), "HTTP/1.1")
	stock.shows(`sidecar_handshakes_total{direction="inbound",result="ok"} 1$`)
}

// Whoever calls without the right to is refused before the application hears of it, and the operator reads why.
func TestInboundRefusalsAreNamed(t *testing.T) {
	ca, another, elsewhere := operatetest.NewAuthority(t, "example.org"), operatetest.NewAuthority(t, "example.org"), operatetest.NewAuthority(t, "elsewhere.org")
	second, err := url.Parse("spiffe://example.org/ns/default/sa/admin")
	require.NoError(t, err)
	for reason, who := range map[string][]string{
		"no_certificate":     nil,
		"plaintext":          {"plaintext"},
		"expired":            shows(ca.Files("orders", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })),
		"wrong_identity":     shows(ca.Files("orders", func(c *x509.Certificate) { c.URIs = append(c.URIs, second) })),
		"wrong_trust_domain": shows(elsewhere.Files("orders")),
		"untrusted":          shows(another.Files("orders")),
	} {
		t.Run(reason, func(t *testing.T) {
			stock := start(t, "stock", ca.Identity("stock")+inbound(application(t, unasked(t))))
			if reason == "plaintext" {
				_, err := get(t, stock.inboundAt(), "stock")
				require.Error(t, err)
			} else {
				require.NotContains(t, client{t, stock.inboundAt()}.call(who...), "HTTP/1.1")
			}
			stock.names("inbound", reason)
		})
	}
}

// A server that is not who was promised gets not one byte of the call.
func TestOutboundRefusalsAreNamed(t *testing.T) {
	ca, another, elsewhere := operatetest.NewAuthority(t, "example.org"), operatetest.NewAuthority(t, "example.org"), operatetest.NewAuthority(t, "elsewhere.org")
	for reason, f := range map[string]config.IdentityFiles{
		"expired":            ca.Files("stock", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
		"wrong_identity":     ca.Files("impostor"),
		"wrong_trust_domain": elsewhere.Files("stock"),
		"untrusted":          another.Files("stock"),
	} {
		t.Run(reason, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
			require.NoError(t, err)
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert})
			require.NoError(t, err)
			server := httpServer(t, l, unasked(t))
			orders := start(t, "orders", ca.Identity("orders")+outbound("stock", server, ca.ID("stock")))
			a := orders.call("stock")
			require.Equal(t, 502, a.StatusCode)
			require.Equal(t, "upstream_identity", a.Header.Get("X-Mesh-Error"))
			orders.names("outbound", reason)
		})
	}
}

// A session is no way around what was decided since: another policy refuses the call on it, and other roots do not resume it at all.
func TestResumedSessionsAreJudgedAnew(t *testing.T) {
	m := newMesh(t)
	stock := m.sidecar("stock", inbound(app(t)))
	m.stock(stock.inboundAt())
	orders := m.svid("orders")
	c := client{t, stock.inboundAt()}
	session := m.at("session.pem")
	require.Contains(t, c.call(append(shows(orders), "-sess_out", session)...), "HTTP/1.1 200 OK")
	resume := append(shows(orders), "-sess_in", session)
	out := c.call(resume...)
	require.Contains(t, out, "Reused, TLSv1.3")
	require.Contains(t, out, "HTTP/1.1 200 OK")

	policies := "\nauthorization: {default: allow, policies: [{name: closed, action: deny, identities: [" + meshID("orders") + "]}]}"
	m.services("{}" + policies)
	require.Eventually(t, func() bool {
		out = c.call(resume...)
		return strings.Contains(out, "HTTP/1.1 403")
	}, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, out, "Reused, TLSv1.3")
	require.Contains(t, out, "X-Mesh-Error: denied")
	stock.shows(`sidecar_authorization_decisions_total{decision="denied",policy="closed"} [1-9]`)
	require.Contains(t, stock.said.String(), `msg="a call was refused" policy=closed decision=denied peer=`+meshID("orders"))

	m.services("{}")
	m.replaceRoot()
	require.Eventually(t, func() bool { return stock.source.Stats().Epoch > 1 }, 20*time.Second, time.Millisecond)
	out = c.call(resume...)
	require.NotContains(t, out, "Reused")
	require.NotContains(t, out, "HTTP/1.1")
	stock.names("inbound", "untrusted")
}

// svid obtains an SVID of the mesh and writes it to files.
func (m *mesh) svid(service string) config.IdentityFiles {
	m.t.Helper()
	source, err := identity.NewControlSource(m.t.Context(), config.Identity{TrustDomain: meshDomain, ID: meshID(service), Control: m.address()}, identity.Options{})
	require.NoError(m.t, err)
	m.t.Cleanup(source.Close)
	require.NoError(m.t, source.Wait(m.t.Context()))
	c, err := source.ServerConfig(identity.Strict).GetCertificate(nil)
	require.NoError(m.t, err)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(m.t, err)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(m.t.TempDir(), name)
		require.NoError(m.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return config.IdentityFiles{Certificate: write("cert.pem", "CERTIFICATE", c.Certificate[0]), Key: write("key.pem", "PRIVATE KEY", key), Bundle: m.at("ca.pem")}
}
