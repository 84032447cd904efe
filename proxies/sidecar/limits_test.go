package sidecar

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

// One caller that asks too often is told so; another is served all the same.
func TestInboundRateIsPerCaller(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t), ", limits: {rate: 0.001, burst: 2}"))
	caller := func(name string) *running {
		return start(t, name, ca.Identity(name)+outbound("stock", stock.inboundAt(), ca.ID("stock")))
	}
	orders, audit := caller("orders"), caller("audit")
	for range 2 {
		require.Equal(t, 200, orders.call("stock").StatusCode)
	}
	a := orders.call("stock")
	require.Equal(t, 429, a.StatusCode)
	require.Equal(t, "rate_limited", a.Header.Get("X-Mesh-Error"))
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Equal(t, 200, audit.call("stock").StatusCode)
	stock.shows(`sidecar_rate_limit_decisions_total{decision="denied",policy="caller_rate"} 1$`,
		`sidecar_stages_info{.*mesh_authorization,caller_rate,service`)
}

// held is an application whose calls stay until they are let go; it counts how many connections it had at most.
type held struct {
	*httptest.Server
	entered, leave chan struct{}
	open, most     atomic.Int64
}

func newHeld(t *testing.T) *held {
	h := &held{entered: make(chan struct{}, 64), leave: make(chan struct{})}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		h.entered <- struct{}{}
		<-h.leave
	}))
	h.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			if n := h.open.Add(1); n > h.most.Load() {
				h.most.Store(n)
			}
		case http.StateClosed, http.StateHijacked:
			h.open.Add(-1)
		}
	}
	h.Start()
	t.Cleanup(h.Close)
	return h
}

func (h *held) address() string { return h.Listener.Addr().String() }

// What one caller has in flight takes no place of another's; together they open no more than the application can bear.
func TestInboundConcurrencyAndConnections(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	h := newHeld(t)
	stock := start(t, "stock", ca.Identity("stock")+inbound(h.address(), ", limits: {concurrent: 2, connections: 3}"))
	caller := func(name string) *running {
		return start(t, name, ca.Identity(name)+outbound("stock", stock.inboundAt(), ca.ID("stock")))
	}
	orders, audit := caller("orders"), caller("audit")
	var all sync.WaitGroup
	hold := func(r *running) {
		all.Go(func() {
			a, err := get(t, r.Address("outbound").String(), "stock")
			if err != nil || a.StatusCode != 200 {
				t.Errorf("%d %v", a.StatusCode, err)
			}
		})
		<-h.entered
	}
	hold(orders)
	hold(orders)
	a := orders.call("stock")
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "overloaded", a.Header.Get("X-Mesh-Error"))
	hold(audit)
	a = audit.call("stock")
	require.Equal(t, 503, a.StatusCode, "the application has no connection left")
	require.Equal(t, "overloaded", a.Header.Get("X-Mesh-Error"))
	close(h.leave)
	all.Wait()
	require.Equal(t, 200, orders.call("stock").StatusCode)
	require.EqualValues(t, 3, h.most.Load())
	stock.shows(`sidecar_rate_limit_decisions_total{decision="denied",policy="caller_concurrency"} 1$`)
}

// The same limits hold for opaque connections: those beyond are ended without a byte.
func TestOpaqueLimits(t *testing.T) {
	echo := serveTCP(t, func(c *net.TCPConn) { io.Copy(c, c); c.Close() })
	for name, limits := range map[string]string{
		"concurrent": "{concurrent: 1}", "connections": "{connections: 1}", "rate": "{rate: 0.001, burst: 1}",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, echo, ", limits: "+limits)
			c := dial(t, p.at)
			fmt.Fprint(c, "x")
			_, err := c.Read(make([]byte, 1))
			require.NoError(t, err)
			refused(t, p.at)
			reason := map[string]string{"rate": "rate_limited"}[name]
			if reason == "" {
				reason = "overloaded"
			}
			p.stock.shows(`sidecar_tcp_connections_total{destination="stock",direction="inbound",result="` + reason + `"`)
			c.Close()
			if name == "rate" {
				return
			}
			p.stock.shows(`sidecar_tcp_open_connections{destination="stock",direction="inbound",source=".*"} 0`)
			again := dial(t, p.at)
			require.NoError(t, again.SetDeadline(time.Now().Add(20*time.Second)))
			fmt.Fprint(again, "y")
			_, err = again.Read(make([]byte, 1))
			require.NoError(t, err, "the place is free again")
		})
	}
}
