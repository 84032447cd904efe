package sidecar

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

// serveTCP accepts and handles until the test ends, and returns where.
func serveTCP(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c.(*net.TCPConn))
		}
	}()
	return l.Addr().String()
}

// pair is an application behind a sidecar and a caller behind another, with port 7000 between them.
type pair struct {
	ca            *operatetest.Authority
	stock, orders *running
	at            string // where the caller's application connects
}

func newPair(t *testing.T, to string, more ...string) *pair {
	t.Helper()
	ca := operatetest.NewAuthority(t, "example.org")
	p := &pair{ca: ca}
	p.stock = start(t, "stock", ca.Identity("stock")+
		fmt.Sprintf("inbound: {listen: \"127.0.0.1:0\", tcp: [{port: 7000, to: %q}]%s}\n", to, strings.Join(more, "")))
	p.orders = p.caller(t, "orders", 7000)
	p.at = p.orders.Address("tcp-stock-7000").String()
	return p
}

func (p *pair) caller(t *testing.T, name string, port int) *running {
	t.Helper()
	return start(t, name, p.ca.Identity(name)+fmt.Sprintf(
		"outbound: {listen: \"127.0.0.1:0\", tcp: [{listen: \"127.0.0.1:0\", service: stock, port: %d}], upstreams: {stock: {endpoints: [{address: %q, identity: %q}]}}}\n",
		port, p.stock.inboundAt(), p.ca.ID("stock")))
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c.(*net.TCPConn)
}

// The application answers only once it heard the end: the half-close crosses both sidecars, and so does every byte.
func TestOpaqueCarriesEveryByteAndTheEnd(t *testing.T) {
	p := newPair(t, serveTCP(t, func(c *net.TCPConn) {
		defer c.Close()
		all, err := io.ReadAll(c)
		if err == nil {
			sum := sha256.Sum256(all)
			c.Write(bytes.Repeat(sum[:], 1000))
		}
	}))
	sent := make([]byte, 3<<20)
	rand.Read(sent)
	c := dial(t, p.at)
	_, err := c.Write(sent)
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	sum := sha256.Sum256(sent)
	require.Equal(t, bytes.Repeat(sum[:], 1000), got)
	for side, r := range map[string]*running{"outbound": p.orders, "inbound": p.stock} {
		edge := fmt.Sprintf(`destination="stock",direction=%q,`, side)
		source := fmt.Sprintf(`source=%q`, p.ca.ID("orders"))
		r.shows(`sidecar_tcp_connections_total{`+edge+`result="ok",`+source+`} 1`,
			`sidecar_tcp_bytes_total{`+edge+source+`,way="received"} 3.145728e\+06`,
			`sidecar_tcp_bytes_total{`+edge+source+`,way="sent"} 32000`,
			`sidecar_tcp_open_connections{`+edge+source+`} 0`)
	}
}

func TestOpaqueServerSpeaksFirst(t *testing.T) {
	p := newPair(t, serveTCP(t, func(c *net.TCPConn) { io.WriteString(c, "220 ready\r\n"); io.Copy(c, c); c.Close() }))
	c := dial(t, p.at)
	hello := make([]byte, 11)
	_, err := io.ReadFull(c, hello)
	require.NoError(t, err)
	require.Equal(t, "220 ready\r\n", string(hello))
}

// refused says that a connection ends without a byte.
func refused(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		require.ErrorIs(t, err, syscall.ECONNRESET) // quicker than the dial
		return
	}
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	io.WriteString(c, "hello\n")
	got, err := io.ReadAll(c)
	require.Empty(t, got)
	require.Error(t, err, "a reset, not an empty answer")
}

func TestOpaqueRefusals(t *testing.T) {
	asked := make(chan struct{}, 16)
	to := serveTCP(t, func(c *net.TCPConn) { asked <- struct{}{}; c.Close() })
	p := newPair(t, to, fmt.Sprintf(", authorization: {default: deny, policies: [{name: a, action: allow, identities: [%q], ports: [7000]}]}",
		"spiffe://example.org/ns/default/sa/audit"))
	refused(t, p.at)
	p.orders.shows(`sidecar_tcp_connections_total{destination="stock",direction="outbound",result="cut"`) // it was admitted here
	p.stock.shows(`sidecar_tcp_connections_total{destination="stock",direction="inbound",result="denied"`)
	require.Empty(t, asked, "the application was never asked")

	other := p.caller(t, "audit", 7001)
	refused(t, other.Address("tcp-stock-7001").String())
	require.Empty(t, asked, "a port that is not listed")
	other.shows(`sidecar_tcp_connections_total{destination="stock",direction="outbound",result="upstream_identity"`)

	c := dial(t, p.caller(t, "audit", 7000).Address("tcp-stock-7000").String())
	_, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Len(t, asked, 1, "whom the policy allows")
}

// A sidecar that takes no opaque connections must not be sent bytes that it would read as HTTP.
func TestOpaqueNeedsAPeerThatTakesIt(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t)))
	p := &pair{ca: ca, stock: stock}
	orders := p.caller(t, "orders", 7000)
	refused(t, orders.Address("tcp-stock-7000").String())
	orders.shows(`sidecar_tcp_connections_total{destination="stock",direction="outbound",result="upstream_invalid"`)
}

func TestOpaqueSilenceEnds(t *testing.T) {
	p := newPair(t, serveTCP(t, func(c *net.TCPConn) { io.Copy(c, c); c.Close() }))
	quiet := start(t, "orders", p.ca.Identity("orders")+fmt.Sprintf(
		"outbound: {listen: \"127.0.0.1:0\", tcp: [{listen: \"127.0.0.1:0\", service: stock, port: 7000, idle: 50ms}], upstreams: {stock: {endpoints: [{address: %q, identity: %q}]}}}\n",
		p.stock.inboundAt(), p.ca.ID("stock")))
	c := dial(t, quiet.Address("tcp-stock-7000").String())
	io.WriteString(c, "a")
	got, err := io.ReadAll(c)
	require.Equal(t, "a", string(got))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	quiet.shows(`sidecar_tcp_connections_total{destination="stock",direction="outbound",result="cut"`)
}

// needs returns a program that the test cannot do without, from PATH or from where its packages keep it. On a machine that only lacks
// it the test is left out; in CI it fails.
func needs(t *testing.T, program string, besides ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	for _, pattern := range besides {
		if found, _ := filepath.Glob(pattern); err != nil && len(found) > 0 {
			return found[len(found)-1] // the newest version
		}
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("%s is not installed", program)
	}
	require.NoError(t, err)
	return path
}

// process starts a program that is ended with the test.
func process(t *testing.T, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = t.TempDir()
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestRedisWithItsOwnClient(t *testing.T) {
	server, client := needs(t, "redis-server"), needs(t, "redis-cli")
	port := freePort(t)
	process(t, server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)
	p := newPair(t, "127.0.0.1:"+port)
	_, at, _ := net.SplitHostPort(p.at)
	redis := func(args ...string) string {
		out, err := exec.Command(client, append([]string{"-h", "127.0.0.1", "-p", at}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	require.Equal(t, "OK", redis("SET", "key", "through two sidecars"))
	require.Equal(t, "through two sidecars", redis("GET", "key"))
	require.Equal(t, "1000", redis("EVAL", "for i=1,1000 do redis.call('RPUSH','l',i) end return redis.call('LLEN','l')", "0"))
	require.Equal(t, 1000, len(strings.Split(redis("LRANGE", "l", "0", "-1"), "\n")))
}

// HTTP/2 with prior knowledge is opaque: its streams, trailers and flow control are nobody's business on the way.
func TestHTTP2Unharmed(t *testing.T) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		io.Copy(w, r.Body)
		w.Header().Set("Grpc-Status", r.Proto)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	p := newPair(t, l.Addr().String())
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			body := strings.Repeat("x", 1<<20)
			resp, err := client.Post("http://"+p.at, "application/grpc", strings.NewReader(body))
			if err != nil {
				failed <- err
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err == nil && (string(got) != body || resp.Trailer.Get("Grpc-Status") != "HTTP/2.0") {
				err = fmt.Errorf("%d bytes, trailer %v", len(got), resp.Trailer)
			}
			failed <- err
		}()
	}
	for range cap(failed) {
		require.NoError(t, <-failed)
	}
}

// Whoever ends the socket below TLS has not ended the stream: what was carried may be half of something, and the application hears so.
func TestOpaqueTruncationIsNoEnd(t *testing.T) {
	heard := make(chan error, 1)
	p := newPair(t, serveTCP(t, func(c *net.TCPConn) {
		defer c.Close()
		_, err := io.Copy(io.Discard, c)
		heard <- err
	}))
	for name, word := range map[string]bool{"close_notify": true, "the socket alone": false} {
		settings := p.orders.source.ClientConfig(p.ca.ID("stock")).Clone()
		settings.NextProtos = []string{alpn(7000)}
		raw := dial(t, p.stock.inboundAt())
		c := tls.Client(raw, settings)
		_, err := c.Write([]byte("half of somethi"))
		require.NoError(t, err)
		if word {
			require.NoError(t, c.CloseWrite())
		} else {
			require.NoError(t, raw.CloseWrite())
		}
		require.Equal(t, word, <-heard == nil, name)
	}

	// And the other way: a sidecar whose answer is cut short between two records.
	f := p.ca.Files("cutter")
	certificate, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	require.NoError(t, err)
	cutter := serveTCP(t, func(c *net.TCPConn) {
		defer c.Close()
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, NextProtos: []string{alpn(7000)}})
		if _, err := s.Read(make([]byte, 1)); err == nil {
			s.Write([]byte("half of an ans"))
			c.CloseWrite()
		}
		io.Copy(io.Discard, c)
	})
	caller := start(t, "audit", p.ca.Identity("audit")+fmt.Sprintf(
		"outbound: {listen: \"127.0.0.1:0\", tcp: [{listen: \"127.0.0.1:0\", service: stock, port: 7000}], upstreams: {stock: {endpoints: [{address: %q, identity: %q}]}}}\n",
		cutter, p.ca.ID("cutter")))
	c := dial(t, caller.Address("tcp-stock-7000").String())
	_, err = io.WriteString(c, "?")
	require.NoError(t, err)
	_, err = io.ReadAll(c)
	require.Error(t, err, "a reset: not an answer that is whole")
}

// TestHTTP2WithCurl: curl speaks HTTP/2 from its first byte (--http2-prior-knowledge), through both sidecars as opaque bytes.
func TestHTTP2WithCurl(t *testing.T) {
	curl := needs(t, "curl")
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Proto, r.URL.Path, n)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	p := newPair(t, l.Addr().String())
	out, err := exec.Command(curl, "-sS", "--max-time", "30", "--http2-prior-knowledge", "--data-binary", strings.Repeat("x", 100_000), "http://"+p.at+"/tea").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "HTTP/2.0 /tea 100000", string(out))
}
