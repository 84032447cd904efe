package wire

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// FuzzRequest reads arbitrary bytes as a request, writes what it became, and reads that again: what goes to an upstream must be
// exactly one request of the same framing, method, target and body. Otherwise the upstream could see a request that nobody checked.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET /a?b=c HTTP/1.1\r\nHost: gw.test\r\nX-A: b\r\n\r\n",
		"POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhello",
		"POST /t HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n",
		"GET http://gw.test HTTP/1.1\r\nHost: gw.test\r\nConnection: x, close\r\nX: y\r\n\r\nGET /next",
		"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nTE: trailers\r\nConnection: Content-Length, Host\r\n\r\n",
		"GET /a HTTP/1.0\r\nCookie: a=b; c\r\nUser-Agent: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: \r\nUser-Agent:\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s), 0)
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece int) {
		c := over(t, string(raw), max(piece, 0))
		defer c.Close()
		var h fasthttp.RequestHeader
		var q Request
		if c.ReadRequest(&h, &q, 32<<10) != nil {
			return
		}
		body, err := io.ReadAll(&c.Body)
		if err != nil {
			return
		}
		o := Outgoing{Length: c.Body.Length()}
		out := AppendRequest(nil, &h, o, "origin")
		if o.Length == Chunked {
			out = append(AppendChunk(out, body), LastChunk...)
		} else {
			out = append(out, body...)
		}
		again := over(t, string(out), 0)
		defer again.Close()
		var h2 fasthttp.RequestHeader
		var q2 Request
		require.NoError(t, again.ReadRequest(&h2, &q2, 1<<20), "%q became %q", raw, out)
		body2, err := io.ReadAll(&again.Body)
		require.NoError(t, err)
		require.Zero(t, again.Buffered(), "%q became more than one request: %q", raw, out)
		require.Equal(t, body, body2)
		require.Equal(t, c.Body.Length(), again.Body.Length())
		require.Equal(t, h.Method(), h2.Method())
		require.Equal(t, h.RequestURI(), h2.RequestURI())
		require.Equal(t, q.Path, q2.Path)
	})
}

// FuzzResponse does the same for responses.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nhello",
		"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nConnection: X\r\nX: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n\r\nhello",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nServer: s\r\n\r\n",
		"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		c := over(t, string(raw), 0)
		defer c.Close()
		var h fasthttp.ResponseHeader
		var p Response
		if c.ReadResponse(&h, &p, head, 32<<10) != nil || p.Status < 200 {
			return
		}
		body, err := io.ReadAll(&c.Body)
		if err != nil {
			return
		}
		o := Outgoing{Length: int64(len(body)), NoBody: head || p.Status == 304}
		out := append(AppendResponse(nil, &h, o), body...)
		again := over(t, string(out), 0)
		defer again.Close()
		var h2 fasthttp.ResponseHeader
		var p2 Response
		require.NoError(t, again.ReadResponse(&h2, &p2, head, 1<<20), "%q became %q", raw, out)
		body2, err := io.ReadAll(&again.Body)
		require.NoError(t, err)
		require.Equal(t, p.Status, p2.Status)
		require.True(t, bytes.Equal(body, body2))
		require.Zero(t, again.Buffered(), "%q became more than one response: %q", raw, out)
	})
}

// FuzzChunked holds the reader of chunks against arbitrary bytes in arbitrary pieces: read at once, bit by bit, or gathered first,
// the outcome is the same.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"5\r\nhello\r\n0\r\n\r\n", "5;a=\"b\"\r\nhello\r\n0\r\nX: 1\r\n\r\nrest", "ffffffffffffffff\r\n", "0\r\n", "1\r\nab"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		type outcome struct {
			body string
			err  error
			rest int
		}
		read := func(piece int, gather bool) outcome {
			c := over(t, raw, piece)
			defer c.Close()
			c.Body.start(0, true, false)
			if gather && c.Fill(64<<10) == nil {
				_ = c.Body.Gather(0)
			}
			body, err := drain(&c.Body)
			if err != io.EOF {
				return outcome{err: io.ErrUnexpectedEOF}
			}
			var rest strings.Builder
			_, _ = io.Copy(&rest, c)
			return outcome{body, err, rest.Len()}
		}
		whole := read(0, false)
		require.Equal(t, whole, read(1, false))
		require.Equal(t, whole, read(5, true))
		require.Equal(t, whole, read(0, true))
	})
}
