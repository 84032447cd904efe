package relay

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"crossroads/proxies/wire"
)

// carried passes what arrives in pieces through a side, and returns what came out at the other end and what was left over.
func carried(t testing.TB, raw string, piece int, response, headless bool) (out, left string, f framing, err error) {
	in := &side{Conn: &scripted{in: strings.NewReader(raw), piece: piece}}
	to := &scripted{}
	head, err := in.head()
	if err == nil {
		if err = f.read(head, response, headless); err == nil {
			err = in.pass(len(head), &f, to)
		}
	}
	rest, _ := io.ReadAll(in.Conn)
	return to.out.String(), string(in.buf[in.r:in.w]) + string(rest), f, err
}

// scripted is a connection that reads from a text, a few bytes at a time, and keeps what is written.
type scripted struct {
	net.Conn
	in    *strings.Reader
	out   bytes.Buffer
	piece int
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.piece > 0 && len(p) > s.piece {
		p = p[:s.piece]
	}
	return s.in.Read(p)
}
func (s *scripted) Write(p []byte) (int, error) { return s.out.Write(p) }

func TestWhereMessagesEnd(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name, message, rest string
		response, headless  bool
		last                bool
	}{
		{"no body", get, get, false, false, false},
		{"length", "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", "GET", false, false, false},
		{"last request", "GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", "", false, false, true},
		{"old request", "GET / HTTP/1.0\r\n\r\n", "", false, false, true},
		{"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n", "GET", false, false, false},
		{"no chunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false, false, false},
		{"answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP", true, false, false},
		{"answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HTTP", true, true, false},
		{"nothing changed", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "HTTP", true, false, false},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP", true, false, false},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nhello", "", true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{0, 1, 7} {
				out, left, f, err := carried(t, c.message+c.rest, piece, c.response, c.headless)
				require.NoError(t, err)
				require.Equal(t, c.message, out)
				require.Equal(t, c.rest, left)
				require.Equal(t, c.last, f.close)
				require.Equal(t, c.name != "interim", f.final)
			}
		})
	}
	for name, raw := range map[string]string{
		"cut":           "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
		"cut in chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"no length":     "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
	} {
		_, _, _, err := carried(t, raw, 0, true, false)
		require.Error(t, err, name)
	}
}

func TestALongHeadIsRefused(t *testing.T) {
	_, _, _, err := carried(t, "GET / HTTP/1.1\r\nX: "+strings.Repeat("y", bufferSize), 0, false, false)
	require.ErrorIs(t, err, errHeadLong)
}

// FuzzFraming holds the relay's few rules against the strict reader of the proxies: what that takes for a message, the relay carries
// as exactly the same bytes.
func FuzzFraming(f *testing.F) {
	for _, s := range []string{
		"POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\nGET",
		"POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET", "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET",
	} {
		f.Add(s, 0)
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, raw string, piece int) {
		if len(raw) > 8<<10 || strings.HasPrefix(raw, "\r\n") {
			return
		}
		c := wire.NewConn(&scripted{in: strings.NewReader(raw)})
		defer c.Free()
		var h fasthttp.RequestHeader
		var q wire.Request
		if c.ReadRequest(&h, &q, 32<<10) != nil {
			return
		}
		if _, err := io.Copy(io.Discard, &c.Body); err != nil || !c.Body.Done() {
			return
		}
		rest, _ := io.ReadAll(c.Socket())
		used := len(raw) - len(rest) - c.Buffered()
		out, left, _, err := carried(t, raw, max(piece, 0), false, false)
		require.NoError(t, err)
		require.Equal(t, raw[:used], out)
		require.Equal(t, raw[used:], left)
	})
}

func (s *scripted) Close() error { return nil }
