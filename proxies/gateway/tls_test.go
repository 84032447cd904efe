package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
	"crossroads/proxies/operate/operatetest"
)

// meshService is an endpoint inside of a mesh: it speaks TLS to nobody but those with an SVID, and answers with the caller's identity.
func meshService(t *testing.T, ca *operatetest.Authority, name string) string {
	t.Helper()
	files := ca.Files(name)
	source, err := identity.NewSource(context.Background(), config.Identity{TrustDomain: "example.org", ID: ca.ID(name), Files: &files}, identity.Options{})
	require.NoError(t, err)
	t.Cleanup(source.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", source.ServerConfig("strict"))
	require.NoError(t, err)
	s := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, identity.PeerID(*r.TLS))
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func inMesh(address, id string) string {
	return fmt.Sprintf("upstreams: {u0: {mtls: on, endpoints: [{address: %q, identity: %q}]}}\n", address, id) + everything
}

func TestSpeaksMutualTLSToAMesh(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := meshService(t, ca, "stock")
	g := start(t, ca.Identity("gateway")+inMesh(stock, ca.ID("stock")))
	for range 3 {
		a := g.get("/")
		require.Equal(t, 200, a.StatusCode, a.body)
		require.Equal(t, ca.ID("gateway"), a.body)
	}
	g.shows("gateway_svid_expiry_seconds")
}

func TestRefusesAnEndpointOfAnotherIdentity(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	g := start(t, ca.Identity("gateway")+inMesh(meshService(t, ca, "impostor"), ca.ID("stock")))
	a := g.get("/")
	require.Equal(t, 502, a.StatusCode)
	require.Contains(t, a.body, `"reason":"upstream_identity"`)
}

// The certificate shown to clients is read again by a reload.
func TestHTTPSAndItsRenewal(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	files, next := ca.Files("one"), ca.Files("two")
	text := fmt.Sprintf("version: 1\nlisten: [{address: \"127.0.0.1:0\", tls: {certificate: %q, key: %q}}]\nadmin: {address: \"127.0.0.1:0\"}\n",
		files.Certificate, files.Key) + upstreams(origin(t, "a")) + everything
	load := func() (*config.Gateway, error) { return config.ParseGateway("gateway.yaml", []byte(text)) }
	c, err := load()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	g, err := New(ctx, c, Options{Log: slog.New(slog.DiscardHandler), Load: load})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, context.Background()) }()
	t.Cleanup(func() { stop(); <-ended })

	shown := func() string {
		var leaf *x509.Certificate
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
			VerifyConnection: func(s tls.ConnectionState) error { leaf = s.PeerCertificates[0]; return nil }}}}
		defer client.CloseIdleConnections()
		resp, err := client.Get("https://" + g.Addresses()[0].String())
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), `"X-Forwarded-Proto":["https"]`)
		return leaf.URIs[0].String()
	}
	require.Equal(t, ca.ID("one"), shown())
	for from, to := range map[string]string{next.Certificate: files.Certificate, next.Key: files.Key} {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, data, 0o600))
	}
	require.NoError(t, g.ReloadFile())
	require.Equal(t, ca.ID("two"), shown())
	require.NoError(t, os.WriteFile(files.Key, []byte("no key"), 0o600))
	require.ErrorContains(t, g.ReloadFile(), "load the certificate")
	require.Equal(t, ca.ID("two"), shown())
}
