package wire

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// stream is a connection that delivers prepared bytes and then ends.
type stream struct {
	net.Conn
	in   io.Reader
	sent bytes.Buffer
}

func (s *stream) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *stream) Write(p []byte) (int, error) { return s.sent.Write(p) }
func (s *stream) SetDeadline(time.Time) error { return nil }
func (s *stream) Close() error                { return nil }

// over returns a connection on which raw arrives, piece bytes at a time; 0: at once.
func over(t testing.TB, raw string, piece int) *Conn {
	var in io.Reader = strings.NewReader(raw)
	if piece > 0 {
		in = &pieces{raw, piece}
	}
	c := NewConn(&stream{in: in})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type pieces struct {
	rest string
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(p.n, len(b))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func TestRequestHeadIsRefusedOrReadWhole(t *testing.T) {
	const host = "Host: gw.test\r\n"
	for _, c := range []struct {
		name, raw string
		want      *Error // nil: accepted
	}{
		{"plain", "GET /a HTTP/1.1\r\n" + host + "\r\n", nil},
		{"8,000 octets of request line", "GET /" + strings.Repeat("a", 7985) + " HTTP/1.1\r\n" + host + "\r\n", nil},
		{"HTTP/1.0 without Host", "GET /a HTTP/1.0\r\n\r\n", nil},
		{"one empty line in front", "\r\nGET /a HTTP/1.1\r\n" + host + "\r\n", nil},
		{"two empty lines in front", "\r\n\r\nGET /a HTTP/1.1\r\n" + host + "\r\n", errStart},
		{"absolute form", "GET http://gw.test/a HTTP/1.1\r\n" + host + "\r\n", nil},
		{"absolute form, default port", "GET http://gw.test:80/a HTTP/1.1\r\n" + host + "\r\n", nil},
		{"absolute form, the port of another scheme", "GET http://gw.test:443/a HTTP/1.1\r\n" + host + "\r\n", errHostOther},
		{"absolute form against Host", "GET http://evil.test/a HTTP/1.1\r\n" + host + "\r\n", errHostOther},
		{"absolute form of another scheme", "GET ftp://gw.test/a HTTP/1.1\r\n" + host + "\r\n", errScheme},
		{"userinfo", "GET http://u@gw.test/a HTTP/1.1\r\n" + host + "\r\n", errUserinfo},
		{"HTTP/2.0", "GET /a HTTP/2.0\r\n" + host + "\r\n", errVersion},
		{"HTTP/1.2", "GET /a HTTP/1.2\r\n" + host + "\r\n", errVersion},
		{"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", errVersion},
		{"two-digit minor", "GET /a HTTP/1.10\r\n" + host + "\r\n", errStart},
		{"CONNECT", "CONNECT gw.test:443 HTTP/1.1\r\n" + host + "\r\n", errConnect},
		{"TRACE", "TRACE /a HTTP/1.1\r\n" + host + "\r\n", errTrace},
		{"obs-fold", "GET /a HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", errFold},
		{"bare LF", "GET /a HTTP/1.1\nHost: gw.test\r\n\r\n", errBareLF},
		{"bare CR", "GET /a HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n", errValue},
		{"NUL", "GET /a HTTP/1.1\r\n" + host + "X: aaaaaaaaaaaaaaaa\x00b\r\n\r\n", errValue},
		{"DEL", "GET /a HTTP/1.1\r\n" + host + "X: aaaa\x7fbbbb\r\n\r\n", errValue},
		{"tab and obs-text in a long value", "GET /a HTTP/1.1\r\n" + host + "X: aaaa\tbbbb\xe9\xff cccc\r\n\r\n", nil},
		{"space before the colon", "GET /a HTTP/1.1\r\n" + host + "X : a\r\n\r\n", errName},
		{"underscore", "GET /a HTTP/1.1\r\n" + host + "X_A: a\r\n\r\n", errName},
		{"no colon", "GET /a HTTP/1.1\r\n" + host + "XA\r\n\r\n", errField},
		{"no Host", "GET /a HTTP/1.1\r\n\r\n", errHostMissing},
		{"two Hosts", "GET /a HTTP/1.1\r\n" + host + host + "\r\n", errHostTwice},
		{"malformed Host", "GET /a HTTP/1.1\r\nHost: gw.test/x\r\n\r\n", errHost},
		{"Content-Length and Transfer-Encoding", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", errLengthCoding},
		{"two Content-Lengths", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", errLengthTwice},
		{"Content-Length beyond 63 bits", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 9223372036854775808\r\n\r\n", errLength},
		{"chunked is not final", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, gzip\r\n\r\n", errCoding},
		{"chunked twice", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, chunked\r\n\r\n", errCoding},
		{"another coding before chunked", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", errCodingOther},
		{"Transfer-Encoding in HTTP/1.0", "POST /a HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", errCoding10},
		{"two Content-Types", "POST /a HTTP/1.1\r\n" + host + "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", errTypeTwice},
		{"unknown expectation", "POST /a HTTP/1.1\r\n" + host + "Expect: more\r\nContent-Length: 1\r\n\r\n", errExpect},
		{"space in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", errTarget},
		{"fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", errTarget},
		{"asterisk without OPTIONS", "GET * HTTP/1.1\r\n" + host + "\r\n", errTarget},
		{"target too long", "GET /" + strings.Repeat("a", 40<<10), errTargetLong},
		{"head too long", "GET /a HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 40<<10), errHeadLong},
		{"200 fields", "GET /a HTTP/1.1\r\n" + host + strings.Repeat("X: a\r\n", 199) + "\r\n", nil},
		{"201 fields", "GET /a HTTP/1.1\r\n" + host + strings.Repeat("X: a\r\n", 200) + "\r\n", errHeadLong},
		{"too many connection options", "GET /a HTTP/1.1\r\n" + host + "Connection: " + strings.Repeat("a,", 40) + "\r\n\r\n", errHeadLong},
		{"not HTTP at all", "\x16\x03\x01\x02\x00", errStart},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{0, 1, 7} {
				var h fasthttp.RequestHeader
				var q Request
				err := over(t, c.raw, piece).ReadRequest(&h, &q, 32<<10)
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.Equal(t, error(c.want), err)
				}
			}
		})
	}
}

func TestRequestFieldsGoOnWithoutWhatEndsHere(t *testing.T) {
	raw := "POST http://gw.test/a?b=c HTTP/1.1\r\nhost: gw.test\r\nuser-agent: u\r\nx-a: 1\r\nX-A: 2\r\ncookie: a=1;b = 2\r\n" +
		"Connection: x-drop, X-Forwarded-For\r\nConnection: Close\r\nx-DROP: 1\r\nx-forwarded-for: 1.2.3.4\r\nKeep-Alive: timeout=5\r\n" +
		"TE: gzip, trailers\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\nTrailer: X-T\r\ncontent-length: 3\r\n\r\nabc"
	var h fasthttp.RequestHeader
	var q Request
	c := over(t, raw, 0)
	require.NoError(t, c.ReadRequest(&h, &q, 32<<10))
	require.True(t, q.Close)
	require.False(t, q.Upgrade)
	require.Equal(t, "/a", string(q.Path))
	require.Equal(t, "1.2.3.4", string(h.Peek("X-Forwarded-For")), "a client cannot make the proxy forget whom it speaks for")
	want := "POST /a?b=c HTTP/1.1\r\nUser-Agent: u\r\nHost: gw.test\r\nContent-Length: 3\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=1;b = 2\r\n" +
		"X-Forwarded-For: 1.2.3.4\r\nTe: trailers\r\nConnection: TE\r\n\r\n"
	require.Equal(t, want, string(AppendRequest(nil, &h, Outgoing{Length: 3}, "origin:80")))
	body, err := io.ReadAll(&c.Body)
	require.NoError(t, err)
	require.Equal(t, "abc", string(body))
}

func TestHandshakeForWebSocketOnly(t *testing.T) {
	const ok = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for name, c := range map[string]struct {
		old, new string
		want     bool
	}{
		"opening handshake":    {"", "", true},
		"by POST":              {"GET", "POST", false},
		"HTTP/1.0":             {"HTTP/1.1", "HTTP/1.0", false},
		"h2c":                  {"websocket", "h2c", false},
		"h2c behind websocket": {"websocket", "websocket, h2c", false},
		"no key":               {"Sec-WebSocket-Key", "X-Key", false},
		"version":              {": 13", ": 99", false},
		"not in Connection":    {", Upgrade", "", false},
		"two Upgrade fields":   {"Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket", false},
	} {
		t.Run(name, func(t *testing.T) {
			var h fasthttp.RequestHeader
			var q Request
			require.NoError(t, over(t, strings.Replace(ok, c.old, c.new, 1), 0).ReadRequest(&h, &q, 32<<10))
			require.Equal(t, c.want, q.Upgrade)
			require.Equal(t, c.want, len(h.Peek("Upgrade")) > 0)
		})
	}
}

func TestPathFlaws(t *testing.T) {
	for path, want := range map[string]Flaw{
		"/": 0, "/a/b": 0, "/a/": 0, "/a.b/..c/...": 0, "/a;x=1": 0, "/%41": 0, "/%0d%0a": 0, "/public/%252e%252e": 0, "*": 0,
		"//": EmptySegment, "/a//b": EmptySegment, "//a": EmptySegment,
		"/.": DotSegment, "/a/..": DotSegment, "/a/../b": DotSegment, "/%2e/a": DotSegment, "/a/.%2E/b": DotSegment,
		"/a/..;/b": DotSegment, "/a/..;x=/b": DotSegment, "/a/..%3bx/b": DotSegment, "/.;/a": DotSegment,
		"/a%2fb": EncodedSlash, "/a%2Fb": EncodedSlash, "/a%5cb": EncodedSlash, "/a%2f..%2fadmin": EncodedSlash | DotSegment,
		"/a%00": EncodedNUL, "/..%00/b": EncodedNUL | DotSegment,
		"/a%": BadEncoding, "/a%2": BadEncoding, "/%zz": BadEncoding, "/%u002e": BadEncoding,
	} {
		require.Equal(t, want, PathFlaws([]byte(path)), path)
	}
}

func TestValidHost(t *testing.T) {
	for host, want := range map[string]bool{
		"gw.test": true, "gw.test:8080": true, "gw.test:": true, "a_b": true, "127.0.0.1:1": true, "[::1]": true, "[::1]:80": true,
		"[2001:db8::1]:443": true, "[1:2:3:4:5:6:7:8]": true, "[::ffff:1.2.3.4]": true, "gw.test.": true,
		"": false, ":80": false, "gw.test:99999": false, "gw.test:80:80": false, "gw.test:-1": false, "gw.test:a": false, "::1": false,
		"[::1": false, "[]": false, "[::1]x": false, "[::1::2]": false, "[1:2]": false, "[12345::]": false, "[g::]": false,
		"..gw.test": false, "a..b": false, "gw%41": false, "gw.test/a": false, "a,b": false, "a b": false, "u@h": false,
	} {
		require.Equal(t, want, validHost([]byte(host)), host)
	}
}
