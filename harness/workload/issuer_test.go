package workload_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/workload"
)

// TestIssuer holds the answers against RFC 7662: only its client is answered, and of a token that it does not know it says nothing but
// that it is not active.
func TestIssuer(t *testing.T) {
	s := workload.NewIssuer(workload.IssuerConfig{Client: "gate way", Secret: "s:cret", Issuer: "https://issuer.example", Tokens: map[string]string{"known": "demo"}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	base := "http://" + l.Addr().String()
	ask := func(method, path, token, name, secret string) (int, string) {
		r, err := http.NewRequest(method, base+path, strings.NewReader(url.Values{"token": {token}}.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(url.QueryEscape(name), url.QueryEscape(secret))
		got, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer got.Body.Close()
		body, err := io.ReadAll(got.Body)
		require.NoError(t, err)
		return got.StatusCode, string(body)
	}
	status, body := ask("POST", "/introspect", "known", "gate way", "s:cret")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"active":true,"sub":"demo","iss":"https://issuer.example","scope":"read","token_type":"Bearer","exp":4102444799}`, body)
	status, body = ask("POST", "/introspect", "unknown", "gate way", "s:cret")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"active":false}`, body)
	status, body = ask("POST", "/introspect", "known", "gate way", "wrong")
	require.Equal(t, 401, status)
	require.NotContains(t, body, "active")
	status, _ = ask("GET", "/introspect", "known", "gate way", "s:cret")
	require.Equal(t, 405, status)
	status, _ = ask("GET", "/healthz", "", "", "")
	require.Equal(t, 200, status)
	status, _ = ask("GET", "/elsewhere", "", "", "")
	require.Equal(t, 404, status)
}
