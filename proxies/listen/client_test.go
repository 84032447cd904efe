package listen_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client is a downstream connection driven byte by byte.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return &client{t: t, conn: c, in: bufio.NewReader(c)}
}

func (c *client) send(s string) *client {
	c.t.Helper()
	_, err := io.WriteString(c.conn, s)
	require.NoError(c.t, err)
	return c
}

// head reads one response head.
func (c *client) head() *http.Response {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	return r
}

// receive reads one response whole.
func (c *client) receive() (status int, body string) {
	c.t.Helper()
	r := c.head()
	b, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	return r.StatusCode, string(b)
}

// ended requires that nothing more comes but the end of the connection.
func (c *client) ended() {
	c.t.Helper()
	b, err := c.in.ReadByte()
	require.Error(c.t, err, "got %q", b)
	var timeout net.Error
	if e, ok := err.(net.Error); ok {
		timeout = e
	}
	require.False(c.t, timeout != nil && timeout.Timeout(), "the connection was left open")
}

// origin is a server whose every connection is handled by one function.
func origin(t testing.TB, handle func(c net.Conn, in *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go func() {
				defer c.Close()
				handle(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().String()
}

// readHead reads a request head and leaves its body.
func readHead(in *bufio.Reader) (*http.Request, error) { return http.ReadRequest(in) }

const get = "GET /t HTTP/1.1\r\nHost: gw.test\r\n\r\n"
