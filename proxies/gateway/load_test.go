package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// traffic is requests that leave when they are due, whatever becomes of those before, on connections that are kept. Nothing is sent
// again: what a client of net/http would hide counts as failed.
type traffic struct {
	target func() string // host:port of where the next request goes
	rate   int           // a second

	served, failed atomic.Int64
	first          atomic.Value // what went wrong first
	seen           sync.Map     // values of X-Origin
	over           chan struct{}
	workers        sync.WaitGroup
}

func send(rate int, target func() string) *traffic {
	l := &traffic{target: target, rate: rate, over: make(chan struct{})}
	due := make(chan int, 4*rate)
	go func() {
		defer close(due)
		begin := time.Now()
		for i := 0; ; i++ {
			select {
			case <-l.over:
				return
			case <-time.After(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate)))):
				due <- i
			}
		}
	}()
	for range 16 {
		l.workers.Go(func() {
			open := map[string]*kept{}
			for i := range due {
				l.ask(open, i)
			}
			for _, k := range open {
				k.Close()
			}
		})
	}
	return l
}

// stop waits for what is under way.
func (l *traffic) stop() {
	close(l.over)
	l.workers.Wait()
}

type kept struct {
	net.Conn
	in *bufio.Reader
}

func (l *traffic) ask(open map[string]*kept, i int) {
	at := l.target()
	k := open[at]
	fails := func(what string, err error) {
		l.failed.Add(1)
		l.first.CompareAndSwap(nil, fmt.Sprintf("request %d to %s: %s: %v", i, at, what, err))
		if k != nil {
			k.Close()
		}
		delete(open, at)
	}
	if k == nil {
		c, err := net.DialTimeout("tcp", at, 10*time.Second)
		if err != nil {
			fails("connect", err)
			return
		}
		k = &kept{c, bufio.NewReader(c)}
		open[at] = k
	}
	_ = k.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(k, "GET /%d HTTP/1.1\r\nHost: gw.test\r\n\r\n", i); err != nil {
		fails("send", err)
		return
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil || resp.StatusCode != 200 {
		fails("receive", fmt.Errorf("%v, %v", resp, err))
		return
	}
	l.seen.Store(resp.Header.Get("X-Origin"), true)
	l.served.Add(1)
	if resp.Close {
		k.Close()
		delete(open, at)
	}
}

func TestReloadUnderLoad(t *testing.T) { reloadUnderLoad(t, 300, 20) }

// reloadUnderLoad puts other routes, other upstreams and other stages in force under a steady load.
func reloadUnderLoad(t *testing.T, rate, reloads int) {
	a, b := origin(t, "a"), origin(t, "b")
	texts := []string{
		upstreams(a) + everything,
		upstreams(b) + everything + "ledger: {sample: 100%}\n",
		upstreams(b, a) + "routes: [{name: two, backends: [{upstream: u0}, {upstream: u1}]}]\n",
		upstreams(a, b) + "routes:\n  - {name: tens, match: [{path: {prefix: /10}}, {method: POST}], backends: [{upstream: u1}]}\n" +
			"  - {name: rest, hosts: [\"*.test\"], backends: [{upstream: u0}]}\nstages:\n  rate_limit: {policies: [{name: p, rate: 1M}]}\n",
	}
	var next atomic.Int64
	g := start(t, texts[0], func(o *Options) {
		o.Load = func() (*config.Gateway, error) {
			return config.ParseGateway("gateway.yaml", []byte(head+texts[next.Add(1)%int64(len(texts))]))
		}
	})
	l := send(rate, func() string { return g.Addresses()[0].String() })
	began := time.Now()
	for range reloads {
		before := l.served.Load()
		code, body := g.admin("POST", "/reload")
		require.Equal(t, 200, code, body)
		require.Eventually(t, func() bool { return l.served.Load() > before+int64(rate/20) || l.failed.Load() > 0 }, time.Minute, time.Millisecond)
	}
	l.stop()
	t.Logf("%d reloads in %s: %d requests served, %d failed", reloads, time.Since(began).Round(time.Millisecond), l.served.Load(), l.failed.Load())
	require.Zero(t, l.failed.Load(), l.first.Load())
	for _, name := range []string{"a", "b"} {
		_, ok := l.seen.Load(name)
		require.True(t, ok, "requests reached %s", name)
	}
	g.shows(fmt.Sprintf(`gateway_config_reloads_total{result="accepted"} %d`, reloads))
}

func TestStopUnderLoad(t *testing.T) {
	address := origin(t, "a")
	stopUnderLoad(t, 300, 3, func() instance {
		g := start(t, upstreams(address)+everything+"drain: {delay: 300ms, grace: 20s}\n")
		return instance{g.Addresses()[0].String(), "http://" + g.AdminAddress(), g.drained}
	})
}

// instance is a gateway that can be told to stop; stop returns once it is gone.
type instance struct {
	address, admin string
	stop           func() error
}

func (i instance) ready() bool {
	resp, err := http.Get(i.admin + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == 200
}

// stopUnderLoad replaces one gateway after another under a steady load, which goes, as a load balancer's does, to one that says that it
// is ready.
func stopUnderLoad(t *testing.T, rate, times int, another func() instance) {
	var mu sync.Mutex
	running := []instance{another()}
	var at atomic.Pointer[string]
	at.Store(&running[0].address)
	balanced, done := make(chan struct{}), make(chan struct{})
	go func() { // the load balancer
		defer close(balanced)
		for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
			mu.Lock()
			now := append([]instance(nil), running...)
			mu.Unlock()
			for _, i := range now {
				if i.ready() {
					at.Store(&i.address)
					break
				}
			}
			select {
			case <-done:
				tick.Stop()
				return
			default:
			}
		}
	}()
	l := send(rate, func() string { return *at.Load() })
	for range times {
		before := l.served.Load()
		require.Eventually(t, func() bool { return l.served.Load() > before+int64(rate/4) || l.failed.Load() > 0 }, time.Minute, time.Millisecond)
		fresh := another()
		mu.Lock()
		old := running[0]
		running = append(running, fresh)
		mu.Unlock()
		require.NoError(t, old.stop())
		mu.Lock()
		running = running[1:]
		mu.Unlock()
		_, err := net.Dial("tcp", old.address)
		require.Error(t, err, "it is gone")
	}
	l.stop()
	close(done)
	<-balanced
	t.Logf("%d gateways stopped: %d requests served, %d failed", times, l.served.Load(), l.failed.Load())
	require.Zero(t, l.failed.Load(), l.first.Load())
}
