package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/discovery"
	"crossroads/proxies/identity"
)

// registering is a mesh whose control plane takes registrations.
func registering(t *testing.T, lease time.Duration) *mesh {
	t.Helper()
	return newMesh(t, func(c *config.Control) {
		c.Registration = &config.Registration{IDs: []string{"spiffe://" + meshDomain + "/ns/shop/*"}, Lease: units.Duration(lease)}
	})
}

// replica is a sidecar of stock that registers itself.
func (m *mesh) replica(says string) *running {
	m.t.Helper()
	return m.sidecar("stock", "inbound: {listen: \"127.0.0.1:0\", register: {}, app: \""+says+"\"}\ndrain: {delay: 300ms}\n")
}

func (l *load) hears(t *testing.T, body string) {
	t.Helper()
	l.seen.Delete(body)
	require.Eventually(t, func() bool { _, ok := l.seen.Load(body); return ok }, 30*time.Second, time.Millisecond, body)
}

func (l *load) hearsNoMore(t *testing.T, body string) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.seen.Delete(body)
		l.more(t, 40)
		_, ok := l.seen.Load(body)
		return !ok
	}, 30*time.Second, time.Millisecond, body)
}

// Replicas come and go by their own word, under load and without a lost call; a control plane that was away takes nobody out.
func TestServicesRegisterThemselves(t *testing.T) {
	t.Parallel() // it waits more than it works
	m := registering(t, 3*time.Second)
	m.services(fmt.Sprintf("{stock: {identity: %q, endpoints: []}}", meshID("stock")))
	one := m.replica(says(t, "one"))
	one.shows("sidecar_registered 1")
	orders := m.sidecar("orders", caller)
	require.Eventually(t, func() bool {
		r, _ := get(t, orders.Address("outbound").String(), "stock")
		return r.Response != nil && r.StatusCode == 200
	},
		20*time.Second, time.Millisecond)
	l := orders.load("stock", 4)
	l.hears(t, "one")
	two := m.replica(says(t, "two"))
	l.hears(t, "two")

	one.stop() // SIGTERM: it takes its leave before it closes
	l.hearsNoMore(t, "one")

	m.end()
	require.Eventually(t, func() bool { return !orders.services.Status().Connected }, 20*time.Second, time.Millisecond)
	l.more(t, 100)
	m.start()
	require.Eventually(t, func() bool { return orders.services.Status().Connected }, 20*time.Second, time.Millisecond)
	l.more(t, 100)
	require.Eventually(t, func() bool { return two.register.Status().Registered }, 20*time.Second, time.Millisecond)
	require.NotEmpty(t, orders.catalog.addresses("stock"), "the first snapshot after a restart holds whoever lives")
	l.unharmed(t)
}

// An endpoint whose heartbeats end without a word is gone after its lease.
func TestALeaseEnds(t *testing.T) {
	m := registering(t, time.Second)
	stock := m.sidecar("stock", inbound(says(t, "one")))
	ctx, kill := context.WithCancel(t.Context())
	_, port, err := net.SplitHostPort(stock.inboundAt())
	require.NoError(t, err)
	silent := discovery.NewRegistrar(*m.address(), stock.source, discovery.Registration{Service: "stock", Address: ":" + port, Weight: 1}, discovery.Options{})
	go silent.Run(ctx)
	orders := m.sidecar("orders", caller)
	knows := func(n int) func() bool {
		return func() bool {
			r, _ := orders.catalog.find([]byte("stock"))
			return r != nil && len(orders.catalog.addresses("stock")) == n || r == nil && n == 0
		}
	}
	require.Eventually(t, knows(1), 20*time.Second, time.Millisecond)
	require.Equal(t, []string{stock.inboundAt()}, orders.catalog.addresses("stock"), "the host is where it comes from")
	kill()
	require.Eventually(t, knows(0), 20*time.Second, time.Millisecond)
}

// A proved identity is no leave to speak for another service, nor without a proof at all.
func TestRegistrationIsRefused(t *testing.T) {
	m := registering(t, time.Second)
	source, err := identity.NewControlSource(t.Context(), config.Identity{TrustDomain: meshDomain, ID: meshID("mallory"), Control: m.address()}, identity.Options{})
	require.NoError(t, err)
	t.Cleanup(source.Close)
	mallory := discovery.NewRegistrar(*m.address(), source, discovery.Registration{Service: "stock", Address: ":80", Weight: 1}, discovery.Options{})
	go mallory.Run(t.Context())
	require.Eventually(t, func() bool { return mallory.Status().LastError != "" }, 20*time.Second, time.Millisecond)
	require.Contains(t, mallory.Status().LastError, "not_your_service")
	require.ErrorContains(t, mallory.Leave(t.Context()), "not_your_service")

	anonymous := &http.Client{Transport: insecureTLS()}
	_, err = anonymous.Get("https://" + m.config.Listen + discovery.RegisterPath)
	require.Error(t, err)

	plain := newMesh(t)
	stock := plain.sidecar("stock", inbound(says(t, "one"), ", register: {}"))
	require.Eventually(t, func() bool { return stock.register.Status().LastError != "" }, 20*time.Second, time.Millisecond)
	require.Contains(t, stock.register.Status().LastError, "takes no registrations")
	stock.shows("sidecar_registered 0", "sidecar_registration_failures_total [1-9]")
}
