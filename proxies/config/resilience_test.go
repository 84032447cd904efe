package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResilienceDefaults(t *testing.T) {
	g, err := ParseGateway("gateway.yaml", []byte(`version: 1
upstreams:
  api: {endpoints: [{address: 127.0.0.1:9000}], breaker: {}, health: {path: /healthz}, balance: hash}
routes:
  - {name: all, backends: [{upstream: api}], retry: {attempts: 3, codes: [503]}}
`))
	require.NoError(t, err)
	u := g.Upstreams.At("api")
	require.Equal(t, Breaker{Mode: On, ConsecutiveFailures: 7, SuccessRate: 0.8, MinRequests: 5, SlowRate: 0.5,
		Open: seconds(1), MaxOpen: seconds(60), MaxEjected: 0.5}, u.Breaker)
	require.Equal(t, &Health{Path: "/healthz", Interval: seconds(3), Timeout: seconds(1), Down: 3, Up: 1}, u.Health)
	require.Equal(t, RetryBudget{Share: 0.2, PerSecond: 10, Concurrent: 0.2, MinConcurrent: 3}, u.Budget)
	require.Equal(t, []string{"consumer", "address"}, u.HashBy)
	require.EqualValues(t, 0.5, u.Panic)
	require.Zero(t, u.Limits)
	r := g.Routes[0].Retry
	require.Equal(t, []time.Duration{25 * time.Millisecond, 250 * time.Millisecond}, []time.Duration{r.Backoff.D(), r.MaxBackoff.D()})

	g, err = ParseGateway("gateway.yaml", []byte(smallGateway))
	require.NoError(t, err)
	require.Nil(t, g.Upstreams.At("api").Health, "no checks unless asked for")
	require.Zero(t, g.Routes[0].Retry.Attempts, "no retries either")

	s, err := ParseSidecar("sidecar.yaml", []byte(smallSidecar))
	require.NoError(t, err)
	require.Equal(t, On, s.Outbound.Upstreams.At("stock").Breaker.Mode)
	require.EqualValues(t, 0.8, s.Outbound.Upstreams.At("stock").Breaker.SuccessRate)
	require.Equal(t, time.Minute, s.Outbound.Idle.D())
}

const smallSidecar = `version: 1
service: orders
mtls: off
outbound:
  upstreams: {stock: {endpoints: [{address: "127.0.0.1:9001"}]}}
`

func TestResilienceFaults(t *testing.T) {
	for _, c := range []struct{ upstream, route, says string }{
		{"balance: luck", "", `luck`},
		{"hash_by: [address]", "", "hash_by belongs to `balance: hash`"},
		{"balance: hash, hash_by: [cookie]", "", `cookie`},
		{"balance: hash, hash_by: ['header:a b']", "", `"a b" is not a field name`},
		{"breaker: {consecutive_failures: 0}", "", "at least 1"},
		{"breaker: {min_requests: 0}", "", "a rate is taken over at least 1 request"},
		{"breaker: {mode: shadow, open: 2m}", "", "2m is longer than max_open"},
		{"breaker: {success_rate: 120%}", "", "success_rate"},
		{"breaker: {max_ejected: 0%}", "", "max_ejected is 0%"},
		{"breaker: {half_open: 2}", "", "half_open"},
		{"health: {}", "", "path is missing"},
		{"health: {path: healthz}", "", `"healthz" is not a path`},
		{"health: {path: \"/a b\"}", "", `"/a b" is not a path`},
		{"health: {path: \"/a\\r\\nX: y\"}", "", "is not a path"},
		{"health: {path: /, host: \"a b\"}", "", `"a b" is not a host`},
		{"health: {path: /, timeout: 4s}", "", "4s is longer than interval, which is 3s"},
		{"health: {path: /, interval: 0}", "", "interval is 0"},
		{"health: {path: /, timeout: 0}", "", "timeout is 0"},
		{"health: {path: /, down: 0}", "", "at least 1 check fails"},
		{"health: {path: /, up: 0}", "", "at least 1 check passes"},
		{"limits: {requests: -1}", "", "-1 is negative"},
		{"limits: {request: 1}", "", "did you mean"},
		{"retry_budget: {min_concurrent: -1}", "", "-1 is negative"},
		{"retry_budget: {share: 0%, per_second: 0, concurrent: 0%, min_concurrent: 0}", "", "allows no retry"},
		{"", "retry: {attempts: 11}", "11 is outside 0 to 10"},
		{"", "retry: {codes: [503]}", "nothing is tried again"},
		{"", "retry: {attempts: 2, codes: [429]}", "429 sheds load"},
		{"", "retry: {attempts: 2, codes: [200]}", "200 is not the status of an error"},
		{"", "retry: {attempts: 2, backoff: 1s}", "backoff is longer than max_backoff"},
		{"", "per_try: 2m", "2m is longer than timeout"},
	} {
		text := strings.NewReplacer("[{address: 127.0.0.1:9000}]", "[{address: 127.0.0.1:9000}], "+c.upstream,
			"[{upstream: api}]", "[{upstream: api}]\n    "+c.route).Replace(smallGateway)
		text = strings.ReplaceAll(text, ", }", "}")
		_, err := ParseGateway("gateway.yaml", []byte(text))
		require.ErrorContains(t, err, c.says, text)
	}
	_, err := ParseSidecar("sidecar.yaml", []byte(smallSidecar+"  retry: {attempts: 2, codes: [429]}\n"))
	require.ErrorContains(t, err, "429 sheds load")
}
