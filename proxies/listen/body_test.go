package listen_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

func TestTruncatedStreamIsVisiblyBroken(t *testing.T) {
	for name, framing := range map[string]string{"chunked": "Transfer-Encoding: chunked\r\n", "length": "Content-Length: 1000\r\n"} {
		t.Run(name, func(t *testing.T) {
			half := make(chan struct{})
			address := origin(t, func(c net.Conn, in *bufio.Reader) {
				if _, err := readHead(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing+"\r\n5\r\nhello\r\n")
				<-half
			})
			p := startProxy(t, address, nil)
			c := dial(t, p.address).send(get)
			r := c.head()
			require.Equal(t, 200, r.StatusCode)
			close(half)
			_, err := io.ReadAll(r.Body)
			require.Error(t, err)

			old := dial(t, p.address).send("GET /t HTTP/1.0\r\nHost: gw.test\r\n\r\n")
			_, err = io.ReadAll(old.in)
			require.ErrorIs(t, err, syscall.ECONNRESET, "to a client of HTTP/1.0 a plain end would look complete")
		})
	}
}

func TestEventsAreFlushedOneByOne(t *testing.T) {
	next := make(chan struct{})
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := readHead(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 3 {
			<-next
			_, _ = io.WriteString(c, "7\r\ndata: x\r\n")
		}
		<-next
		_, _ = io.WriteString(c, "0\r\n\r\n")
	})
	r := dial(t, startProxy(t, address, nil).address).send(get).head()
	for range 3 {
		next <- struct{}{}
		var event [7]byte
		_, err := io.ReadFull(r.Body, event[:])
		require.NoError(t, err)
		require.Equal(t, "data: x", string(event[:]))
	}
	next <- struct{}{}
	rest, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Empty(t, rest)
}

func TestLargeBodiesBothWays(t *testing.T) {
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		for {
			r, err := readHead(in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			resp := http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader(string(body))), ContentLength: int64(len(body))}
			if r.Header.Get("X-Chunked") != "" {
				resp.ContentLength, resp.TransferEncoding = -1, []string{"chunked"}
			}
			if resp.Write(c) != nil {
				return
			}
		}
	})
	p := startProxy(t, address, nil)
	for _, size := range []int{0, 1, 4000, 5000, 64 << 10, 64<<10 + 1, 3 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		for _, chunked := range []bool{false, true} {
			var in io.Reader = strings.NewReader(body)
			if chunked {
				in = io.MultiReader(in) // hides the length
			}
			r, err := http.NewRequest("POST", "http://"+p.address+"/t", in)
			require.NoError(t, err)
			if chunked {
				r.Header.Set("X-Chunked", "1")
			}
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.True(t, body == string(got), "%d bytes, chunked %v: %d came back", size, chunked, len(got))
		}
	}
}

func TestBodyLimit(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) { l.Clients.MaxBody = units.Bytes(10) })
	for name, body := range map[string]string{
		"declared":           "Content-Length: 11\r\n\r\nhello world",
		"declared, not sent": "Content-Length: 1000000000\r\n\r\n",
		"chunked at once":    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\n" + body)
			status, _ := c.receive()
			require.Equal(t, 413, status)
			c.ended()
		})
	}
	t.Run("chunked, streamed", func(t *testing.T) {
		c := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		time.Sleep(50 * time.Millisecond) // the first chunk is on its way to the origin
		c.send("6\r\n world\r\n")
		status, _ := c.receive()
		require.Equal(t, 413, status)
		c.ended()
	})
	require.Empty(t, o.Take(), "none reached the origin whole")
}

// Many clients send all of a body before they read: what they are told must not be lost to a connection reset meanwhile
// (RFC 9112 9.6).
func TestClientThatReadsOnlyAfterItsUpload(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) { l.Clients.MaxBody = units.Bytes(10) })
	body := strings.Repeat("x", 16<<20) // more than the sockets hold
	for fields, want := range map[string]int{
		"Content-Length: 16777216\r\n":                      413,
		"Content-Length: 16777216\r\nContent-Length: 1\r\n": 400,
	} {
		c := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\n" + fields + "\r\n" + body)
		status, _ := c.receive()
		require.Equal(t, want, status, fields)
		c.ended()
	}
	require.Empty(t, o.Take())
}

func TestBodyLimitOfARoute(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	ends := make(chan exchange.End, 4)
	p := startProxy(t, o.Address, func(_ *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		chain.Stages = []exchange.Stage{routeStage{&exchange.Route{MaxBody: 5}, ends}}
	})
	for body, want := range map[string]int{
		"Content-Length: 5\r\n\r\nhello":                             200,
		"Content-Length: 6\r\n\r\nhello!":                            413,
		"Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n": 413,
	} {
		status, _ := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\n" + body).receive()
		require.Equal(t, want, status, body)
		<-ends
	}
	require.Len(t, o.Take(), 1)
}

func TestEarlyAnswerDuringAnUpload(t *testing.T) {
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := readHead(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		_, _ = io.Copy(io.Discard, in)
	})
	p := startProxy(t, address, nil)
	c := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000000\r\n\r\nthe beginning")
	status, body := c.receive()
	require.Equal(t, 413, status)
	require.Equal(t, "big", body)
	c.ended()
}

func TestEarlyAnswerOfAnOriginThatStopsReading(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := readHead(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		<-stop
	})
	ends := make(chan exchange.End, 1)
	p := startProxy(t, address, func(_ *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		chain.Stages = []exchange.Stage{routeStage{nil, ends}}
	})
	c := dial(t, p.address)
	go func() { // more than every buffer on the way holds
		_, _ = io.WriteString(c.conn, "POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 100000000))
	}()
	status, body := c.receive()
	require.Equal(t, 200, status)
	require.Equal(t, "ok", body)
	require.Equal(t, exchange.Complete, <-ends, "the upload does not outlive the exchange")
	require.Zero(t, p.up.Endpoints()[0].Open)
}

func TestClientThatLeavesDuringItsUpload(t *testing.T) {
	cut := make(chan error, 1)
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		r, err := readHead(in)
		if err != nil {
			return
		}
		_, err = io.ReadAll(r.Body)
		cut <- err
	})
	p := startProxy(t, address, nil)
	c := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	time.Sleep(50 * time.Millisecond)
	_ = c.conn.Close()
	require.Error(t, <-cut, "the origin may not take the part for the whole")
}

func TestContinueComesOnlyAfterTheStages(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, func(_ *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		chain.Stages = []exchange.Stage{denyStage{}}
	})
	const expect = " HTTP/1.1\r\nHost: gw.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	c := dial(t, p.address).send("POST /admin" + expect)
	r := c.head()
	require.Equal(t, 403, r.StatusCode, "not 100")
	require.True(t, r.Close, "it is unknown whether the body will come")

	c = dial(t, p.address).send("POST /t" + expect)
	require.Equal(t, 100, c.head().StatusCode)
	status, _ := c.send("hello").receive()
	require.Equal(t, 200, status)
	status, _ = c.send(get).receive()
	require.Equal(t, 200, status, "the connection goes on")
	require.Equal(t, "hello", o.Take()[0].Body)
	require.Empty(t, o.Take()[0].Get("Expect"))
}

func TestDeadlineCoversALongStreamedBody(t *testing.T) {
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := readHead(in); err != nil {
			return
		}
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for err == nil {
			_, err = io.WriteString(c, "1\r\nx\r\n")
			time.Sleep(10 * time.Millisecond)
		}
	})
	ends := make(chan exchange.End, 1)
	p := startProxy(t, address, func(_ *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		chain.Stages = []exchange.Stage{routeStage{&exchange.Route{Timeout: 200 * time.Millisecond}, ends}}
	})
	r := dial(t, p.address).send(get).head()
	_, err := io.ReadAll(r.Body)
	require.Error(t, err)
	require.Equal(t, exchange.DeadlineExceeded, <-ends)
}

// routeStage gives every exchange a route and tells how it ended.
type routeStage struct {
	route *exchange.Route
	ends  chan exchange.End
}

func (routeStage) Name() string               { return "route" }
func (routeStage) Outward(*exchange.Exchange) {}
func (s routeStage) Inward(x *exchange.Exchange) exchange.Step {
	x.Route = s.route
	return exchange.Continue
}
func (s routeStage) Finish(_ *exchange.Exchange, end exchange.End) { s.ends <- end }
