package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every example is run by a test that names its file.
func TestEveryExampleIsTested(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	require.NoError(t, err)
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "testdata/*.txt", "../../gateway/*_test.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			tests.Write(text)
		}
	}
	for _, file := range files {
		require.Contains(t, tests.String(), filepath.Base(file))
	}
}

func TestExampleRouting(t *testing.T) {
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "canary") }))
	t.Cleanup(canary.Close)
	base, _ := example(t, "routing.yaml", "127.0.0.1:9001", canary.Listener.Addr().String())
	count := func(n int, host, target string, fields ...string) (canaries int) {
		for range n {
			r, err := http.NewRequest("GET", base+target, nil)
			require.NoError(t, err)
			r.Host = host
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				r.Header.Set(name, value)
			}
			answer, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			require.Equal(t, 200, answer.StatusCode)
			text := make([]byte, 6)
			_, err = io.ReadFull(answer.Body, text)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			if string(text) == "canary" {
				canaries++
			}
		}
		return canaries
	}
	share := count(300, "shop.example", "/orders/7")
	require.True(t, 5 < share && share < 75, "a tenth of 300, not %d", share)
	require.Equal(t, 20, count(20, "shop.example", "/orders?beta=1", "X-Tester: yes"))
	require.Zero(t, count(20, "other.example", "/orders"), "another host")
	require.Zero(t, count(20, "shop.example", "/orders2"), "another element")
}

func TestExampleClients(t *testing.T) {
	base, _ := example(t, "clients.yaml")
	status, _, body := call(t, "GET", base+"/a%2fb")
	require.Equal(t, 400, status)
	require.Contains(t, body, `"reason":"ambiguous_path"`)
	status, _, body = call(t, "GET", base+"/files/a%2fb", "X-Forwarded-For: 6.6.6.6")
	require.Equal(t, 200, status)
	require.Contains(t, body, "GET /files/a%2fb\n")
	require.Contains(t, body, "X-Forwarded-For: 127.0.0.1\r\n")
	answer, err := http.Post(base+"/files/", "text/plain", strings.NewReader(strings.Repeat("x", 1<<20+1)))
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, 413, answer.StatusCode)
}

func TestExampleObservability(t *testing.T) {
	base, admin := example(t, "observability.yaml")
	for range 4 {
		status, header, body := call(t, "GET", base+"/?api_key=wrong", "X-Api-Key: demo")
		require.Equal(t, 200, status, "shadows change nothing")
		require.Contains(t, body, "X-Api-Key: demo")
		require.Regexp(t, `^gateway\.own;dur=.*gateway\.key_auth;dur=`, header.Get("Server-Timing"))
	}
	require.Eventually(t, func() bool {
		_, _, metrics := call(t, "GET", admin+"/metrics")
		return strings.Contains(metrics, `gateway_auth_decisions_total{outcome="shadow_several",scheme="key"} 4`) &&
			strings.Contains(metrics, `gateway_rate_limit_decisions_total{decision="shadow_denied",policy="burst"} 2`) &&
			strings.Contains(metrics, `gateway_stage_duration_seconds_bucket{stage="key_auth",le="5e-06"}`)
	}, 10*time.Second, 10*time.Millisecond)
}

func TestExampleTLS(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	files := map[string]*pem.Block{"certificate.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}}
	for name, block := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	base, _ := example(t, "tls.yaml", "{certificate: certificate.pem, key: key.pem}",
		fmt.Sprintf("{certificate: %q, key: %q}", filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")))
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(pem.EncodeToMemory(files["certificate.pem"])))
	get := func(o *tls.Config) error {
		o.RootCAs, o.ServerName = trusted, "localhost"
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: o, DisableKeepAlives: true}}
		answer, err := c.Get("https" + strings.TrimPrefix(base, "http"))
		if err == nil {
			answer.Body.Close()
			require.Equal(t, 200, answer.StatusCode)
		}
		return err
	}
	require.NoError(t, get(&tls.Config{}))
	require.NoError(t, get(&tls.Config{MaxVersion: tls.VersionTLS12}))
	require.Error(t, get(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}))
}
