//go:build !race

package listen_test

import (
	"bufio"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlainPathAllocatesNothing holds what the benchmark measures. The race detector makes pools forget on purpose, so that it can
// not hold there.
func TestPlainPathAllocatesNothing(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"), nil)
	c, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	defer c.Close()
	for name, request := range map[string]string{
		"GET":  "GET /orders?id=7 HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: t\r\nCookie: a=b\r\n\r\n",
		"POST": "POST /orders HTTP/1.1\r\nHost: shop.test\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
	} {
		raw := []byte(request)
		r := bufio.NewReader(c)
		want := 0
		run := func() {
			if _, err := c.Write(raw); err != nil {
				t.Fatal(err)
			}
			if want == 0 {
				_, _ = r.Peek(1)
				want = r.Buffered()
			}
			if _, err := r.Discard(want); err != nil {
				t.Fatal(err)
			}
		}
		run()
		require.Zero(t, testing.AllocsPerRun(2000, run), name)
	}
}
