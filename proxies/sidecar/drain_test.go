package sidecar

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// insecureTLS looks at nobody's certificate and shows none.
func insecureTLS() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
}

// While the application finishes what it was asked through inbound, it can still call others through outbound.
func TestInboundDrainsFirst(t *testing.T) {
	other := app(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	var s *running
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		a := s.call("stock")
		w.WriteHeader(a.StatusCode)
	}))
	t.Cleanup(front.Close)
	s = start(t, "front", "mtls: off\ndrain: {grace: 20s}\n"+inbound(front.Listener.Addr().String())+
		"outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: \""+other+"\"}]}}}\n")
	status := make(chan int, 1)
	go func() {
		a, err := get(t, s.inboundAt(), "front")
		if err != nil {
			status <- 0
			return
		}
		status <- a.StatusCode
	}()
	<-entered
	s.stop()
	require.Eventually(t, func() bool { return s.life.Ready() != nil }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { _, err := get(t, s.inboundAt(), "front"); return err != nil }, 5*time.Second, time.Millisecond,
		"inbound takes no new calls")
	close(leave)
	require.Equal(t, 200, <-status)
	err := <-s.ended
	s.ended <- err
	require.NoError(t, err)
}

// An application that works on after its last inbound call keeps its outbound until it is gone.
func TestOutboundStaysForTheApplication(t *testing.T) {
	other := app(t)
	front := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(front.Close)
	s := start(t, "front", "mtls: off\ndrain: {grace: 1m, application: 1m}\n"+inbound(front.Listener.Addr().String())+
		"outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: \""+other+"\"}]}}}\n")
	s.stop()
	require.Eventually(t, func() bool { _, err := get(t, s.inboundAt(), "front"); return err != nil }, 5*time.Second, time.Millisecond)
	require.Equal(t, 200, s.call("stock").StatusCode, "nothing comes in, and the application still calls")
	front.Close()
	select {
	case err := <-s.ended:
		s.ended <- err
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		require.Fail(t, "the application is gone and the sidecar is not")
	}
}

func TestApplicationAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now()
		waited := func(a working) time.Duration {
			since, a.over = time.Now(), make(chan struct{})
			require.NoError(t, a.Shutdown(t.Context()))
			return time.Since(since)
		}
		until := func(d time.Duration) func(string) bool {
			return func(string) bool { return time.Since(since) < d }
		}
		require.Zero(t, waited(working{address: "a", alive: until(time.Hour)}))
		require.Equal(t, 300*time.Millisecond, waited(working{address: "a", patient: time.Minute, alive: until(250 * time.Millisecond)}))
		require.Equal(t, 2*time.Second, waited(working{address: "a", patient: 2 * time.Second, alive: until(time.Hour)}))
		require.Equal(t, 2*time.Second, waited(working{patient: 2 * time.Second, alive: until(0)}), "there is nobody to ask")
	})
}

func newTestCatalog(t *testing.T, mtls string) *catalog {
	t.Helper()
	c := &config.Sidecar{MTLS: mtls, Outbound: &config.Outbound{Discover: true}}
	c.Outbound.SetDefaults()
	c.Outbound.Discover = true
	c.Outbound.Defaults.MTLS = "on"
	var fixed config.Upstream
	fixed.SetDefaults()
	fixed.Endpoints = []config.Endpoint{{Address: "127.0.0.1:1", Weight: 1}}
	c.Outbound.Upstreams.Set("fixed", fixed)
	k, err := newCatalog(c, nil, telemetry.NewMetrics("sidecar", "test"), nil, nil)
	require.NoError(t, err)
	t.Cleanup(k.close)
	return k
}

func TestCatalogFollowsTheControlPlane(t *testing.T) {
	k := newTestCatalog(t, "strict")
	r, fault := k.find([]byte("stock"))
	require.Nil(t, r)
	require.Equal(t, 503, fault.Status, "not known yet is not unknown")
	r, _ = k.find([]byte("fixed"))
	require.NotNil(t, r, "what the file lists needs no control plane")

	one := config.Endpoint{Address: "10.0.0.1:4143", Weight: 1, Identity: "spiffe://d/ns/n/sa/stock"}
	two := config.Endpoint{Address: "10.0.0.2:4143", Weight: 1, Identity: "spiffe://d/ns/n/sa/stock"}
	nameless := config.Endpoint{Address: "10.0.0.3:4143", Weight: 1}
	k.discover(discovery.Snapshot{Version: 1, Services: map[string]discovery.Service{
		"stock": {Endpoints: []config.Endpoint{one, nameless}}, "price": {}, "fixed": {Endpoints: []config.Endpoint{one}}}})
	stock, _ := k.find([]byte("stock"))
	require.NotNil(t, stock)
	require.Equal(t, []string{one.Address}, k.addresses("stock"), "strict calls nobody who has no promised identity")
	require.Equal(t, []string{"127.0.0.1:1"}, k.addresses("fixed"), "the file goes before the control plane")
	_, fault = k.find([]byte("nobody"))
	require.Equal(t, exchange.NoRoute, fault)

	k.discover(discovery.Snapshot{Version: 2, Services: map[string]discovery.Service{"stock": {Endpoints: []config.Endpoint{two}}}})
	again, _ := k.find([]byte("stock"))
	require.Same(t, stock, again, "connections and breakers of a service live on")
	require.Equal(t, []string{two.Address}, k.addresses("stock"))
	_, fault = k.find([]byte("price"))
	require.Equal(t, exchange.NoRoute, fault, "a service that left")
}

func TestPermissiveCatalogKeepsEndpointsWithoutIdentity(t *testing.T) {
	k := newTestCatalog(t, "permissive")
	nameless := config.Endpoint{Address: "10.0.0.3:4143", Weight: 1}
	k.discover(discovery.Snapshot{Version: 1, Services: map[string]discovery.Service{"stock": {Endpoints: []config.Endpoint{nameless}}}})
	require.Equal(t, []string{nameless.Address}, k.addresses("stock"))
	require.Nil(t, k.tls(nameless))
}

func (k *catalog) addresses(service string) []string {
	var found []string
	for _, e := range k.table.Load().upstreams[service].Endpoints() {
		found = append(found, e.Address)
	}
	return found
}
