package listen_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/conformance"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

// FuzzProxy sends arbitrary bytes through a proxy to an origin that reads with a parser of its own: whatever arrives there is well
// framed, passed the deny rule, and is as many requests as the proxy believed to have forwarded.
func FuzzProxy(f *testing.F) {
	cases, err := conformance.Requests()
	require.NoError(f, err)
	for _, c := range cases {
		if len(c.Raw) < 4<<10 {
			f.Add(c.Raw)
		}
	}
	for _, s := range []string{
		"GET /t HTTP/1.1\r\nHost: gw.test\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\n",
		"POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhelloGET /t2 HTTP/1.1\r\nHost: gw.test\r\n\r\n",
		"POST /t HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n",
		"POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET http://gw.test/%2e%2e/admin HTTP/1.1\r\nHost: gw.test\r\nConnection: Host\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\nUpgrade: h2c\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		seen, statuses := visitRaw(t, raw)
		answered := 0
		for _, s := range statuses {
			if s == 200 {
				answered++
			}
		}
		for _, r := range seen {
			require.Empty(t, r.Flaw(), "%q became %q", raw, r.Head)
			require.False(t, conformance.Forbidden(r.Path()), "%q became %q", raw, r.Head)
		}
		require.Equal(t, len(seen), answered, "%q: %v", raw, seen)
	})
}

// visitRaw sends bytes through a proxy and an origin of their own.
func visitRaw(t *testing.T, raw []byte) ([]conformance.Forwarded, []int) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, func(l *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		l.Clients.HeaderTimeout = units.Duration(300 * time.Millisecond)
		l.Clients.BodyIdle = units.Duration(300 * time.Millisecond)
		l.Clients.MaxBody = 1 << 20
		chain.Stages = []exchange.Stage{denyStage{}}
	})
	v := conformance.Send(p.address, conformance.Request{Raw: raw, HalfClose: true}, 20*time.Second, 0)
	return o.Take(), v.Statuses
}
