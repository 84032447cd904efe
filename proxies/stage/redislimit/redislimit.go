// Package redislimit keeps rate limits in Redis, so that several gateways share them.
//
// Its one invariant: a request is counted by one script run, whole or not at all: all of its policies are asked, and where one denies
// none is charged. Instants are those of the Redis server, so that the gateways' clocks need not agree. It decides nothing for requests
// that cannot be counted: it says so quickly, and the stage does what is configured. Redis Cluster is not supported.
package redislimit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"crossroads/proxies/config"
	"crossroads/proxies/stage"
	"crossroads/proxies/telemetry"
)

//go:embed gcra.lua
var source string

// Store implements stage.Store.
type Store struct {
	client  *redis.Client
	script  *redis.Script
	prefix  string
	timeout time.Duration
	pause   time.Duration
	now     func() time.Time

	failures atomic.Int64 // in a row
	until    atomic.Int64 // unix nanoseconds: nothing is asked before
	results  []prometheus.Counter
}

// limitOfFailures is how many in a row begin a pause: one alone may be a lost packet.
const limitOfFailures = 3

// ErrPaused says that Redis failed a moment ago and is not asked now.
var ErrPaused = errors.New("redis failed and is not asked for a while")

// New makes a store; it connects when it is asked first. password is what the reference in the configuration stands for, roots may be
// nil for those of the system.
func New(c *config.RedisStore, password string, roots *x509.CertPool, m *telemetry.Metrics) *Store {
	network, address := "tcp", c.Address
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", socket
	}
	o := &redis.Options{
		Network: network, Addr: address, Username: c.Username, Password: password, DB: c.Database,
		Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaxRetries: -1, DialerRetries: 1, // whoever waits for an answer has no time for a second try
		DialTimeout: c.Timeout.D(), ReadTimeout: c.Timeout.D(), WriteTimeout: c.Timeout.D(), PoolTimeout: c.Timeout.D(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return &Store{
		client: redis.NewClient(o), script: redis.NewScript(source), prefix: c.Prefix + ":", timeout: c.Timeout.D(), pause: c.Pause.D(),
		now: time.Now, results: m.Source("rate_limit_store", "answered", "failed", "paused"),
	}
}

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }

// Spend implements stage.Store.
func (s *Store) Spend(asks []stage.Ask, _ time.Time) (int, error) {
	if !s.mayAsk() {
		s.results[2].Inc()
		return -1, ErrPaused
	}
	denied, err := s.ask(asks)
	if err != nil {
		s.results[1].Inc()
		if s.failures.Add(1) >= limitOfFailures {
			s.until.Store(s.now().Add(s.pause).UnixNano())
		}
		return -1, fmt.Errorf("count a request in redis: %w", err)
	}
	s.results[0].Inc()
	s.failures.Store(0)
	s.until.Store(0)
	return denied, nil
}

// mayAsk lets one request a pause through to see whether Redis is back; the others do not wait for what it finds.
func (s *Store) mayAsk() bool {
	until := s.until.Load()
	if until == 0 {
		return true
	}
	now := s.now()
	return now.UnixNano() >= until && s.until.CompareAndSwap(until, now.Add(s.pause).UnixNano())
}

func (s *Store) ask(asks []stage.Ask) (denied int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	keys := make([]string, 0, len(asks))
	arguments := make([]any, 0, 2*len(asks))
	for i := range asks {
		a := &asks[i]
		keys = append(keys, s.key(a))
		arguments = append(arguments, micros(a.Quota.Interval), micros(a.Quota.Depth))
	}
	reply, err := s.script.Run(ctx, s.client, keys, arguments...).Int64Slice()
	if err != nil {
		return -1, err
	}
	return read(reply, asks)
}

// key names a quota: readable by its policy, and of bounded length whatever a client sent.
func (s *Store) key(a *stage.Ask) string {
	sum := sha256.Sum256(a.Key)
	return s.prefix + a.Policy + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// micros is the unit of the script: its numbers are exact up to 2^53.
func micros(d time.Duration) int64 { return max(1, d.Microseconds()) }

// read puts the script's answer into the verdicts: which policy denied, counted from 1, or 0; then three numbers for each policy.
func read(reply []int64, asks []stage.Ask) (denied int, err error) {
	if len(reply) != 1+3*len(asks) || reply[0] < 0 || int(reply[0]) > len(asks) {
		return -1, fmt.Errorf("the script answered %d numbers for %d policies", len(reply), len(asks))
	}
	denied = int(reply[0]) - 1
	for i := range asks {
		n := reply[1+3*i:]
		asks[i].Verdict = stage.Verdict{Denied: i == denied, Remaining: n[0],
			Reset: time.Duration(n[1]) * time.Microsecond, Retry: time.Duration(n[2]) * time.Microsecond}
	}
	return denied, nil
}
