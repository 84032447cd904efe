package telemetry

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/exchange"
)

func TestTapFilters(t *testing.T) {
	x := sampleExchange()
	x.Path = []byte("/items/7")
	x.Request.Header.SetMethod("GET")
	x.Response.SetStatusCode(503)
	for query, matches := range map[string]bool{
		"": true, "path=/items": true, "path=/orders": false, "method=get": true, "method=POST": false, "status=5xx": true, "status=503": true,
		"status=500": false, "status=2xx": false, "direction=outbound": true, "direction=inbound": false, "status=5xx&path=/orders": false,
	} {
		q, err := url.ParseQuery(query)
		require.NoError(t, err)
		f, err := ParseTapFilter(q)
		require.NoError(t, err, query)
		require.Equal(t, matches, f.matches("outbound", x), query)
	}
	for _, query := range []string{"status=6xx", "status=50", "status=5x3", "max=0", "max=10001", "max=few", "for=0s", "for=11m", "direction=up", "body=1"} {
		q, err := url.ParseQuery(query)
		require.NoError(t, err)
		_, err = ParseTapFilter(q)
		require.Error(t, err, query)
	}
}

// TestTapIsBounded floods a watcher that takes its time: what is too much is left out and counted, and nobody waits.
func TestTapIsBounded(t *testing.T) {
	var tap Tap
	x := sampleExchange()
	tap.Offer("outbound", x, exchange.Complete, time.Millisecond) // nobody watches
	require.Zero(t, testing.AllocsPerRun(10, func() { tap.Offer("outbound", x, exchange.Complete, time.Millisecond) }))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held, lines, ended := make(chan struct{}), make(chan string, 10*tapQueue), make(chan error, maxWatchers+1)
	watch := func(max int) {
		ended <- tap.Watch(ctx, TapFilter{Max: max, For: time.Minute}, func(line []byte) error {
			<-held
			lines <- string(line)
			return nil
		})
	}
	go watch(50)
	require.Eventually(t, tap.Watched, 10*time.Second, time.Millisecond)
	for range 10 * tapQueue {
		tap.Offer("outbound", x, exchange.Complete, time.Millisecond)
	}
	close(held)
	require.NoError(t, <-ended)
	close(lines)
	var all []string
	for line := range lines {
		all = append(all, line)
	}
	require.Len(t, all, 51)
	require.True(t, strings.HasPrefix(all[50], `{"left_out":`), all[50])
	require.False(t, tap.Watched())

	lines = make(chan string, 1)
	for range maxWatchers {
		go watch(1)
	}
	require.Eventually(t, func() bool { all := tap.watchers.Load(); return all != nil && len(*all) == maxWatchers }, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, tap.Watch(ctx, TapFilter{Max: 1, For: time.Minute}, func([]byte) error { return nil }), "as many as may")
	cancel()
	for range maxWatchers {
		require.NoError(t, <-ended)
	}
}
