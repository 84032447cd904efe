package sidecar

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/control"
	"crossroads/proxies/identity"
)

// mesh is a control plane on files in a directory; it can be stopped and started again on the same addresses.
type mesh struct {
	t      *testing.T
	dir    string
	config config.Control
	end    func()
}

const meshDomain = "mesh.test"

func meshID(service string) string { return identity.ServiceID(meshDomain, "shop", service) }

func newMesh(t *testing.T, changes ...func(*config.Control)) *mesh {
	t.Helper()
	m := &mesh{t: t, dir: t.TempDir()}
	m.config = config.Control{
		Version: 1, TrustDomain: meshDomain, Bootstrap: "127.0.0.1:0", Listen: "127.0.0.1:0", Admin: config.Admin{Address: "127.0.0.1:0"},
		CA:        config.CA{Certificate: m.at("ca.pem"), Key: m.at("ca.key")},
		Tokens:    []config.Token{{File: m.at("all.token"), IDs: []string{"spiffe://" + meshDomain + "/*"}}},
		Endpoints: m.at("endpoints.yaml"), Lifetime: units.Duration(time.Hour),
	}
	for _, change := range changes {
		change(&m.config)
	}
	m.services("{}")
	m.start()
	t.Cleanup(func() { m.end() })
	return m
}

func (m *mesh) at(name string) string { return filepath.Join(m.dir, name) }

// write replaces a file as a whole: the control plane looks at any moment.
func (m *mesh) write(name, text string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(m.at(name+".new"), []byte(text), 0o600))
	require.NoError(m.t, os.Rename(m.at(name+".new"), m.at(name)))
}

func (m *mesh) services(text string) {
	m.t.Helper()
	m.write("endpoints.yaml", "version: 1\nservices: "+text+"\n")
}

// stock says where the service stock is.
func (m *mesh) stock(addresses ...string) {
	m.t.Helper()
	text := ""
	for _, a := range addresses {
		text += fmt.Sprintf("{address: %q}, ", a)
	}
	m.services(fmt.Sprintf("{stock: {identity: %q, endpoints: [%s]}}", meshID("stock"), text))
}

func (m *mesh) start() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k, err := control.New(ctx, &m.config, control.Options{Poll: 5 * time.Millisecond, Heartbeat: 50 * time.Millisecond})
	require.NoError(m.t, err)
	a := k.Addresses()
	m.config.Bootstrap, m.config.Listen, m.config.Admin.Address = a.Bootstrap, a.Snapshots, a.Admin
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, context.Background()) }()
	m.end = sync.OnceFunc(func() {
		cancel()
		require.NoError(m.t, <-ended)
	})
}

func (m *mesh) address() *config.ControlAddress {
	return &config.ControlAddress{Bootstrap: m.config.Bootstrap, Address: m.config.Listen, Roots: m.at("ca.pem"), Token: m.at("all.token")}
}

func (m *mesh) identity(service string) string {
	a := m.address()
	return fmt.Sprintf("identity: {trust_domain: %s, id: %q, control: {bootstrap: %q, address: %q, roots: %q, token: %q}}\n",
		meshDomain, meshID(service), a.Bootstrap, a.Address, a.Roots, a.Token)
}

// replaceRoot puts another root in the place of the one in force, at once and without a time in which both hold.
func (m *mesh) replaceRoot() {
	m.t.Helper()
	root, key, err := identity.NewRoot(spiffeid.RequireTrustDomainFromString(meshDomain), time.Now())
	require.NoError(m.t, err)
	fresh := config.CA{Certificate: m.at("other.pem"), Key: m.at("other.key")}
	require.NoError(m.t, identity.WriteAuthority(fresh, []*x509.Certificate{root}, key))
	require.NoError(m.t, os.Rename(fresh.Key, m.config.CA.Key))
	require.NoError(m.t, os.Rename(fresh.Certificate, m.config.CA.Certificate))
}

// sidecar starts one and waits until it is ready.
func (m *mesh) sidecar(service, text string) *running {
	m.t.Helper()
	r := start(m.t, service, m.identity(service)+text)
	require.Eventually(m.t, func() bool { return r.ready() == nil }, 20*time.Second, time.Millisecond)
	return r
}

// caller discovers; its connections are given up after a moment, so that handshakes happen under load all the time.
const caller = "outbound: {listen: \"127.0.0.1:0\", discover: true, defaults: {idle_timeout: 5ms}}\n"

// load is traffic of the application beside a sidecar until it is stopped.
type load struct {
	done, failed atomic.Int64
	declared     float64 // calls a second, by all clients
	began        time.Time
	first        atomic.Value // text of the first failure
	seen         sync.Map     // bodies
	stop         func()
}

func (r *running) load(service string, clients int) *load { return r.paced(service, clients, 500) }

// paced is load of rate calls a second by each client. Calls are due at fixed times, those of one client between those of the others: if
// all came at once, every moment would need as many connections as there are clients, and a handshake for each that was given up since.
//
// It begins once the sidecar knows the service: ready means that a snapshot is in force, which may be older than what was just declared.
func (r *running) paced(service string, clients int, rate float64) *load {
	require.Eventually(r.t, func() bool { _, fault := r.catalog.find([]byte(service)); return fault == nil }, 20*time.Second, time.Millisecond)
	l := &load{declared: rate * float64(clients), began: time.Now()}
	pace := time.Duration(float64(time.Second) / rate)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for k := range clients {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for due := l.began.Add(pace * time.Duration(k) / time.Duration(clients)); ; due = due.Add(pace) {
				select {
				case <-stop:
					return
				case <-time.After(time.Until(due)):
				}
				if err := l.call(client, r.Address("outbound").String(), service); err != nil {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, err.Error())
				}
				l.done.Add(1)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { close(stop); all.Wait() })
	r.t.Cleanup(l.stop)
	return l
}

func (l *load) call(client *http.Client, address, service string) error {
	req, err := http.NewRequest("GET", "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	req.Host = service
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 {
		return fmt.Errorf("status %d, %s", resp.StatusCode, resp.Header.Get("X-Mesh-Error"))
	}
	l.seen.Store(string(body), true)
	return nil
}

// more waits until n further calls were answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	want := l.done.Load() + n
	require.Eventually(t, func() bool { return l.done.Load() >= want }, 30*time.Second, time.Millisecond)
}

func (l *load) unharmed(t *testing.T) {
	t.Helper()
	l.stop()
	require.Zero(t, l.failed.Load(), "of %d: %v", l.done.Load(), l.first.Load())
	t.Logf("%d calls, none failed", l.done.Load())
}

func says(t *testing.T, text string) string {
	t.Helper()
	return application(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
}

// The data plane goes on while the control plane is gone, and hears of what changed meanwhile when it is back.
func TestControlPlaneGone(t *testing.T) {
	m := newMesh(t)
	one := m.sidecar("stock", inbound(says(t, "one")))
	two := m.sidecar("stock", inbound(says(t, "two")))
	m.stock(one.inboundAt())
	orders := m.sidecar("orders", caller)
	l := orders.load("stock", 4)
	l.more(t, 100)
	m.end()
	require.Eventually(t, func() bool { return !orders.services.Status().Connected }, 20*time.Second, time.Millisecond)
	l.more(t, 200)
	m.stock(two.inboundAt())
	_, early := l.seen.Load("two")
	require.False(t, early)
	orders.source.Renew() // it fails, and what is valid stays
	require.Eventually(t, func() bool { return orders.source.Stats().Failures > 0 }, 20*time.Second, time.Millisecond)
	l.more(t, 100)
	m.start()
	require.Eventually(t, func() bool { _, ok := l.seen.Load("two"); return ok }, 30*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return orders.source.Stats().LastError == "" }, 30*time.Second, time.Millisecond, "the renewal came to its end")
	l.more(t, 50)
	l.unharmed(t)
	orders.shows("sidecar_control_connected 1", `sidecar_svid_rotation_failures_total [1-9]`)
}

func TestLeavesRotateUnderLoad(t *testing.T) {
	m := newMesh(t)
	stock := m.sidecar("stock", inbound(says(t, "one")))
	m.stock(stock.inboundAt())
	orders := m.sidecar("orders", caller)
	l := orders.load("stock", 4)
	for round := range uint64(8) {
		for _, r := range []*running{stock, orders} {
			require.Eventually(t, func() bool {
				r.source.Renew()
				return r.source.Stats().Rotations > round
			}, 20*time.Second, 10*time.Millisecond)
		}
		l.more(t, 40)
	}
	l.unharmed(t)
	orders.shows(`sidecar_svid_rotations_total ([89]|[1-9]\d)`)
}

// An operator replaces the root in three steps; nobody restarts and no call fails.
func TestRootRotatesUnderLoad(t *testing.T) {
	m := newMesh(t)
	stock := m.sidecar("stock", inbound(says(t, "one")))
	m.stock(stock.inboundAt())
	orders := m.sidecar("orders", caller)
	follow := m.sidecar("stock", "outbound: {listen: \"127.0.0.1:0\", discover: true}\n"+inbound(says(t, "two")))
	m.stock(stock.inboundAt(), follow.inboundAt())
	l := orders.load("stock", 4)
	l.more(t, 40)
	m.rotateRoot(true, func() { l.more(t, 40) }, stock, orders, follow)
	l.more(t, 80)
	l.unharmed(t)
}

// rotateRoot replaces the root as an operator does: both are accepted, the new one signs, the old one goes; then runs between the steps.
// In a hurry nobody waits for the time at which SVIDs are renewed.
func (m *mesh) rotateRoot(hurry bool, then func(), everybody ...*running) {
	t := m.t
	t.Helper()
	oldRoot, err := os.ReadFile(m.config.CA.Certificate)
	require.NoError(t, err)
	root, key, err := identity.NewRoot(spiffeid.RequireTrustDomainFromString(meshDomain), time.Now())
	require.NoError(t, err)
	newRoot := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	roots := func(n int) {
		for _, r := range everybody {
			require.Eventually(t, func() bool { return len(r.source.Bundle().Roots()) == n }, 20*time.Second, time.Millisecond, r.config.Service)
		}
		then()
	}
	m.write("ca.pem", string(oldRoot)+string(newRoot))
	roots(2)
	fresh := config.CA{Certificate: m.at("new.pem"), Key: m.at("new.key")}
	require.NoError(t, identity.WriteAuthority(fresh, []*x509.Certificate{root}, key))
	require.NoError(t, os.Rename(fresh.Key, m.config.CA.Key))
	issuedByNew := func(r *running) bool {
		if hurry {
			r.source.Renew()
		}
		_, err := r.identityRootedIn(root)
		return err == nil
	}
	for _, r := range everybody {
		require.Eventually(t, func() bool { return issuedByNew(r) }, time.Minute, 20*time.Millisecond, r.config.Service)
	}
	then()
	m.write("ca.pem", string(newRoot))
	roots(1)
}

// identityRootedIn verifies the SVID that others are shown now against one root alone.
func (r *running) identityRootedIn(root *x509.Certificate) (any, error) {
	c, err := r.source.ServerConfig("strict").GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return c.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}
