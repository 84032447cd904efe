package redislimit_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/redislimit"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
)

// server is a real redis-server of this test's own.
type server struct {
	address string
	process *exec.Cmd
}

// start needs the program; where it is missing the test is skipped, but never in continuous integration.
func start(t testing.TB) *server {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed: apt-get install redis-server")
		}
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{address: free.Addr().String()}
	_, port, _ := net.SplitHostPort(s.address)
	require.NoError(t, free.Close())
	s.process = exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--requirepass", "s:cret")
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, s.process.Start())
	t.Cleanup(s.stop)
	client := s.client(t)
	require.Eventually(t, func() bool { return client.Ping(context.Background()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
	return s
}

func (s *server) client(t testing.TB) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.address, Password: "s:cret"})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *server) stop() {
	if s.process.ProcessState == nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
}

func settings(address, whenDown string) *config.RateLimit {
	r := &config.RedisStore{}
	r.SetDefaults()
	r.Address, r.WhenDown, r.Timeout = address, whenDown, units.Duration(2*time.Second)
	return &config.RateLimit{Mode: config.On, Redis: r}
}

func policy(name string, rate, burst float64, key ...string) config.RateLimitPolicy {
	return config.RateLimitPolicy{Name: name, Rate: units.Count(rate), Burst: units.Count(burst), Key: key}
}

// gateway makes the stage of one gateway, with connections of its own.
func gateway(t testing.TB, c *config.RateLimit, m *telemetry.Metrics) *stage.RateLimit {
	store := redislimit.New(c.Redis, "s:cret", nil, m)
	t.Cleanup(func() { _ = store.Close() })
	before, after := stage.NewSharedRateLimits(c, store, m)
	require.Nil(t, after)
	return before
}

func metrics() *telemetry.Metrics { return telemetry.NewMetrics("gateway", "test") }

func scrape(m *telemetry.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func through(st exchange.Stage, r stagetest.Request) *exchange.Exchange {
	x := r.Exchange()
	(&exchange.Chain{Stages: []exchange.Stage{st}, Forward: &stagetest.Upstream{}}).Serve(x)
	return x
}

func TestTwoGatewaysShareOneLimit(t *testing.T) {
	s := start(t)
	c := settings(s.address, "deny")
	c.Policies = []config.RateLimitPolicy{policy("each", 0.01, 20, "address")}
	one, two := gateway(t, c, metrics()), gateway(t, c, metrics())
	var passed, denied atomic.Int64
	var all sync.WaitGroup
	for _, st := range []*stage.RateLimit{one, two, one, two} {
		all.Go(func() {
			for range 25 {
				switch x := through(st, stagetest.Request{}); x.Fault {
				case nil:
					passed.Add(1)
				case exchange.RateLimited:
					denied.Add(1)
				default:
					t.Error(x.Fault)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 20, passed.Load(), "a burst of 20 between them, however their requests interleave")
	require.EqualValues(t, 80, denied.Load())
	x := through(two, stagetest.Request{})
	require.Equal(t, `"each";r=0;t=2000`, string(x.Response.Header.Peek("RateLimit")))
	require.Regexp(t, `^(9\d|100)$`, string(x.Response.Header.Peek("Retry-After")))
	require.Nil(t, through(one, stagetest.Request{Peer: "198.51.100.9:1"}).Fault, "another address has a quota of its own")
}

// Where one policy denies, the others are not charged, and keys end by themselves.
func TestAllPoliciesOrNone(t *testing.T) {
	s := start(t)
	c := settings(s.address, "deny")
	c.Policies = []config.RateLimitPolicy{policy("wide", 0.1, 5, "address"), policy("narrow", 0.1, 2, "header:X-Tenant")}
	st := gateway(t, c, metrics())
	tenant := func(name string) stagetest.Request { return stagetest.Request{Fields: []string{"X-Tenant: " + name}} }
	for _, want := range []int{200, 200, 429, 429, 429} {
		require.Equal(t, want, through(st, tenant("a")).Response.StatusCode())
	}
	for _, want := range []int{200, 200, 429} {
		require.Equal(t, want, through(st, tenant("b\"\x7f*{}")).Response.StatusCode())
	}
	x := through(st, tenant("c"))
	require.Nil(t, x.Fault)
	require.Equal(t, exchange.Limit{Policy: "wide", Reset: x.Limit.Reset}, x.Limit, "the fifth of the wide one: refusals cost nothing")
	client, ctx := s.client(t), context.Background()
	keys, err := client.Keys(ctx, "crossroads:*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 4)
	for _, k := range keys {
		require.Regexp(t, `^crossroads:(wide|narrow):[A-Za-z0-9_-]{22}$`, k)
		left, err := client.PTTL(ctx, k).Result()
		require.NoError(t, err)
		require.Positive(t, left)
		require.LessOrEqual(t, left, 50*time.Second)
	}
}

func TestRedisStopped(t *testing.T) {
	for choice, status := range map[string]int{"allow": 200, "deny": 503} {
		t.Run(choice, func(t *testing.T) {
			s := start(t)
			c := settings(s.address, choice)
			c.Redis.Pause = units.Duration(time.Hour)
			c.Policies = []config.RateLimitPolicy{policy("p", 100, 100, "address")}
			m := metrics()
			st := gateway(t, c, m)
			require.NotEmpty(t, through(st, stagetest.Request{}).Limit.Policy)
			s.stop()
			for range 20 {
				x := through(st, stagetest.Request{})
				require.Equal(t, status, x.Response.StatusCode())
				require.Empty(t, x.Response.Header.Peek("RateLimit"), "nothing is known")
			}
			shown := scrape(m)
			word := map[string]string{"allow": "allowed", "deny": "denied"}[choice]
			require.Contains(t, shown, `gateway_source_requests_total{result="`+word+`_unasked",source="rate_limit_store"} 20`)
			require.Contains(t, shown, `gateway_source_requests_total{result="failed",source="rate_limit_store"} 3`, "three waited; the others did not")
			require.Contains(t, shown, `gateway_source_requests_total{result="paused",source="rate_limit_store"} 17`)
		})
	}
}

// silent accepts connections and never answers, until it is told to pass them on.
func silent(t *testing.T) (address string, accepted *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	accepted = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().String(), accepted
}

// One that hangs costs its deadline three times, then one request a pause.
func TestRedisThatHangs(t *testing.T) {
	address, accepted := silent(t)
	c := settings(address, "allow")
	c.Redis.Timeout, c.Redis.Pause = units.Duration(5*time.Millisecond), units.Duration(time.Hour)
	c.Policies = []config.RateLimitPolicy{policy("p", 100, 100, "address")}
	m := metrics()
	st := gateway(t, c, m)
	for range 50 {
		require.Nil(t, through(st, stagetest.Request{}).Fault)
	}
	require.Contains(t, scrape(m), fmt.Sprintf(`result="failed",source="rate_limit_store"} %d`, 3))
	require.LessOrEqual(t, accepted.Load(), int64(3))
}

func TestRedisComesBack(t *testing.T) {
	s := start(t)
	c := settings(s.address, "deny")
	c.Policies = []config.RateLimitPolicy{policy("p", 100, 100, "address")}
	c.Redis.Pause = units.Duration(time.Millisecond)
	st := gateway(t, c, metrics())
	require.NoError(t, s.process.Process.Signal(syscall.SIGSTOP))
	c.Redis.Timeout = units.Duration(20 * time.Millisecond)
	hung := gateway(t, c, metrics())
	for range 5 {
		require.Equal(t, exchange.LimitUnavailable, through(hung, stagetest.Request{}).Fault)
	}
	require.NoError(t, s.process.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool { return through(hung, stagetest.Request{}).Fault == nil }, 10*time.Second, 5*time.Millisecond)
	require.Nil(t, through(st, stagetest.Request{}).Fault)
}

func TestSuite(t *testing.T) {
	s := start(t)
	c := settings(s.address, "deny")
	c.Policies = []config.RateLimitPolicy{policy("wide", 1e6, 1e6, "address")}
	shadow := settings(s.address, "deny")
	shadow.Mode, shadow.Policies = config.Shadow, []config.RateLimitPolicy{policy("narrow", 0.001, 1, "address")}
	stagetest.Run(t, stagetest.Suite{
		New:    func(t testing.TB) exchange.Stage { return gateway(t, c, metrics()) },
		Shadow: func(t testing.TB) exchange.Stage { return gateway(t, shadow, metrics()) },
		Pass:   []stagetest.Request{{}, {Peer: "[2001:db8::1]:1"}}, Chance: true, // instants are the server's
	})
}

func BenchmarkRedis(b *testing.B) {
	s := start(b)
	c := settings(s.address, "deny")
	c.Policies = []config.RateLimitPolicy{policy("wide", 1e6, 1e6, "address")}
	st := gateway(b, c, metrics())
	x := stagetest.Request{}.Exchange()
	b.ReportAllocs()
	for b.Loop() {
		if st.Inward(x) != exchange.Continue {
			b.Fatal(x.Fault)
		}
	}
}
