package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

func TestLedgerTakesWholesApartFromParts(t *testing.T) {
	l := newLedger()
	const told = "back.app;dur=0.1000, back-inbound.own;dur=0.0500, back-inbound.wait;dur=0.2000,front-outbound.own;dur=0.0400, front-outbound.trace;dur=0.0010, front.app;dur=0.2000,db;dur=3,"
	l.take([]byte(told), time.Millisecond)
	l.take([]byte(told), time.Millisecond)
	l.take([]byte("front.app;dur=2"), time.Millisecond)
	l.take([]byte("front-ingress.own;dur=0.1"), time.Millisecond) // the application told nothing
	other := newLedger()
	other.take([]byte(told), time.Millisecond)
	require.NoError(t, l.add(other))
	r, err := l.result()
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Samples)
	require.EqualValues(t, 1, r.Negative)
	require.Contains(t, r.Parts, results.LedgerPart{Proxy: "back-inbound", Part: "own", Count: 3, Sum: 150_000})
	require.Contains(t, r.Parts, results.LedgerPart{Proxy: "front-outbound", Part: "trace", Count: 3, Sum: 3_000})
	require.NotContains(t, r.Parts, results.LedgerPart{Proxy: "db", Part: "", Count: 3})
	remainder, err := r.Remainder.Decode()
	require.NoError(t, err)
	require.InDelta(t, 610_000, results.Quantile(remainder, 0.5), 1_000, "1 ms less 0.1, 0.05, 0.04 and 0.2")
	none, err := newLedger().result()
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestOneRequestInFourAsks(t *testing.T) {
	byWorker := [2]int{}
	for seq := range 10_000 {
		if asks(seq) {
			byWorker[seq%2]++
		}
	}
	require.InDelta(t, 1250, byWorker[0], 60)
	require.InDelta(t, 1250, byWorker[1], 60)
	m := message{prefix: []byte("GET / HTTP/1.1\r\nX-Crossroads-Seq: "), suffix: []byte("\r\n\r\n")}
	require.Equal(t, "GET / HTTP/1.1\r\nX-Crossroads-Seq: 7\r\n\r\n", string(m.append(nil, 7, false)))
	require.Equal(t, "GET / HTTP/1.1\r\nX-Crossroads-Seq: 7\r\nX-Crossroads-Ledger: 1\r\n\r\n", string(m.append(nil, 7, true)))
}

func TestServerTimingIsKeptWhereAsked(t *testing.T) {
	for _, asked := range []bool{true, false} {
		var r response
		r.begin(false)
		r.asked = asked
		_, done, err := r.feed([]byte("HTTP/1.1 103 E\r\nServer-Timing: early;dur=1\r\n\r\nHTTP/1.1 200 OK\r\nServer-Timing: a.app;dur=1\r\nserver-timing: b.own;dur=2\r\nContent-Length: 0\r\n\r\n"))
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, map[bool]string{true: "a.app;dur=1,b.own;dur=2,"}[asked], string(r.timing))
	}
}
