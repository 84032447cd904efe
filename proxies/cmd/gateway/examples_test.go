package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/gateway"
)

// example runs an example as it stands, but for its addresses: pairs of an old and a new one. It returns where the gateway and its
// admin page are. Its service answers every request with its head.
func example(t *testing.T, name string, addresses ...string) (base, admin string) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Method, r.RequestURI)
		_ = r.Header.Write(w)
	}))
	t.Cleanup(service.Close)
	data, err := os.ReadFile(filepath.Join("examples", name))
	require.NoError(t, err)
	for i := 0; i < len(addresses); i += 2 {
		require.Contains(t, string(data), addresses[i])
	}
	pairs := append([]string{"127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:8443", "127.0.0.1:0", "127.0.0.1:9901", "127.0.0.1:0",
		"127.0.0.1:9000", service.Listener.Addr().String()}, addresses...)
	c, err := config.ParseGateway(name, []byte(strings.NewReplacer(pairs...).Replace(string(data))))
	require.NoError(t, err)
	g, err := gateway.New(t.Context(), c, gateway.Options{Version: "test", Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, context.Background()) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return "http://" + g.Addresses()[0].String(), "http://" + g.AdminAddress()
}

// call sends a request with "Name: value" fields.
func call(t *testing.T, method, url string, fields ...string) (int, http.Header, string) {
	r, err := http.NewRequest(method, url, nil)
	require.NoError(t, err)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, answer.Header, string(body)
}

func TestExampleJWT(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	text := base64.RawURLEncoding.EncodeToString
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","use":"sig","x":"%s","y":"%s"}]}`, text(point[1:33]), text(point[33:]))
	}))
	t.Cleanup(issuer.Close)
	base, admin := example(t, "jwt.yaml", "127.0.0.1:9100", issuer.Listener.Addr().String())

	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://issuer.example.com", "aud": "orders-api", "sub": "ann",
		"email": "ann@example.com", "groups": []string{"staff"}, "exp": time.Now().Add(time.Minute).Unix()})
	token.Header["kid"] = "k"
	signed, err := token.SignedString(key)
	require.NoError(t, err)

	status, header, _ := call(t, "GET", base+"/")
	require.Equal(t, 401, status)
	require.Equal(t, `Bearer realm="gateway"`, header.Get("WWW-Authenticate"))
	status, header, body := call(t, "GET", base+"/", "Authorization: Bearer "+signed[:len(signed)-8]+"AAAAAAAA")
	require.Equal(t, 401, status)
	require.Contains(t, header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`)
	require.Contains(t, body, `"reason":"unauthenticated"`)
	status, _, body = call(t, "GET", base+"/a", "Authorization: Bearer "+signed, "X-Jwt-Sub: admin", "X-User-Id: admin")
	require.Equal(t, 200, status)
	for _, sent := range []string{"X-Jwt-Sub: ann\r\n", "X-Jwt-Email: ann@example.com\r\n", "X-Consumer-Name: ann\r\n", "X-Consumer-Groups: staff\r\n"} {
		require.Contains(t, body, sent)
	}
	require.NotContains(t, body, "admin")
	require.NotContains(t, body, "Authorization")
	_, _, metrics := call(t, "GET", admin+"/metrics")
	require.Contains(t, metrics, `gateway_auth_decisions_total{outcome="accepted",scheme="jwt"} 1`)
	require.Contains(t, metrics, `jwt`)
}

func TestExampleIntrospection(t *testing.T) {
	t.Setenv("INTROSPECTION_SECRET", "s")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%t,"sub":"ann","aud":"orders-api","exp":%d}`, r.FormValue("token") == "good", time.Now().Add(time.Minute).Unix())
	}))
	base, _ := example(t, "introspection.yaml", "127.0.0.1:9200", server.Listener.Addr().String())
	status, _, body := call(t, "GET", base+"/", "Authorization: Bearer good")
	require.Equal(t, 200, status)
	require.Contains(t, body, "X-User-Id: ann\r\n")
	status, _, _ = call(t, "GET", base+"/", "Authorization: Bearer other")
	require.Equal(t, 401, status)
	server.Close()
	status, _, body = call(t, "GET", base+"/", "Authorization: Bearer another")
	require.Equal(t, 503, status)
	require.Contains(t, body, `"reason":"auth_unavailable"`)
	status, _, _ = call(t, "GET", base+"/", "Authorization: Bearer good")
	require.Equal(t, 200, status, "remembered")
}

func TestExampleAuthorization(t *testing.T) {
	base, _ := example(t, "authorization.yaml")
	for _, c := range []struct {
		method, path, key string
		want              int
	}{
		{"GET", "/orders/7", "demo", 200}, {"DELETE", "/orders/7", "demo", 403}, {"GET", "/orders/7", "", 403}, {"GET", "/healthz", "", 200},
		{"GET", "/internal/x", "demo", 403}, {"GET", "/%69nternal", "demo", 403}, {"GET", "/orders/%2e%2e/internal", "demo", 400}, {"GET", "/healthz", "wrong", 401},
	} {
		var fields []string
		if c.key != "" {
			fields = append(fields, "X-Api-Key: "+c.key)
		}
		status, _, body := call(t, c.method, base+c.path, fields...)
		require.Equal(t, c.want, status, "%s %s: %s", c.method, c.path, body)
	}
}

func TestExampleCORS(t *testing.T) {
	base, _ := example(t, "cors.yaml")
	status, header, _ := call(t, "OPTIONS", base+"/", "Origin: https://app.example.com", "Access-Control-Request-Method: PUT")
	require.Equal(t, 204, status)
	require.Equal(t, "https://app.example.com", header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "GET, HEAD, POST, PUT, DELETE", header.Get("Access-Control-Allow-Methods"))
	status, header, _ = call(t, "GET", base+"/", "Origin: https://app.example.com")
	require.Equal(t, 401, status)
	require.Equal(t, "true", header.Get("Access-Control-Allow-Credentials"))
	status, header, _ = call(t, "GET", base+"/", "Origin: https://evil.example", "X-Api-Key: demo")
	require.Equal(t, 200, status)
	require.Empty(t, header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Origin", header.Get("Vary"))
}

func TestExampleRedisIsDown(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	base, admin := example(t, "rate-limit-redis.yaml", "127.0.0.1:6379", nobody.Addr().String())
	for range 5 {
		status, header, _ := call(t, "GET", base+"/")
		require.Equal(t, 200, status)
		require.Empty(t, header.Get("RateLimit"))
	}
	_, _, metrics := call(t, "GET", admin+"/metrics")
	require.Contains(t, metrics, `gateway_source_requests_total{result="allowed_unasked",source="rate_limit_store"} 5`)
}
