// Package gateway is the reference gateway: the single entry for clients outside. It joins the stages to one chain around its
// upstreams, and replaces the whole of it at once when its configuration changes.
//
// Its one invariant: a request is served from beginning to end by one snapshot of the configuration, and no request fails because
// a snapshot was replaced. What a stage does is in package stage, how a request reaches an endpoint in package upstream.
package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/exchange"
	"crossroads/proxies/faults"
	"crossroads/proxies/identity"
	"crossroads/proxies/listen"
	"crossroads/proxies/operate"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/wire"
)

// Options is what a gateway needs besides its configuration.
type Options struct {
	Version        string
	Stdout, Stderr io.Writer                       // of the access log
	Log            *slog.Logger                    // of the gateway itself
	Load           func() (*config.Gateway, error) // reads the configuration again, for /reload; nil: there is no /reload
}

// Gateway serves. Make it with New, serve with Run.
type Gateway struct {
	options  Options
	metrics  *telemetry.Metrics
	requests *telemetry.Requests
	top      *telemetry.Top
	parts    *telemetry.Parts
	access   *telemetry.AccessLog
	source   *identity.Source      // nil without identity
	shaken   *telemetry.Handshakes // with peers of the mesh
	services *discovery.Client     // nil without a control plane
	reporter *discovery.Reporter   // nil without a control plane, or where it is not to hear of the edges
	reports  *reports              // nil likewise
	admin    *operate.Admin
	life     operate.Life
	faults   faults.Set
	fronts   []operate.Front
	current  atomic.Pointer[snapshot]

	reading    sync.Mutex // of reading the configuration and putting it in force
	mu         sync.Mutex // of replacing the snapshot
	discovered discovery.Snapshot
}

// New opens everything the configuration names, so that a fault shows before the first request. ctx bounds the life of what runs
// in the background.
func New(ctx context.Context, c *config.Gateway, o Options) (_ *Gateway, err error) {
	g := &Gateway{options: o, metrics: telemetry.NewMetrics("gateway", o.Version)}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.requests = g.metrics.NewRequests()
	g.top = g.metrics.NewTop()
	g.parts = g.metrics.NewParts()
	if g.access, err = telemetry.OpenAccessLog(c.Log.Access, o.Stdout, o.Stderr, g.metrics.LogDropped); err != nil {
		return nil, err
	}
	if c.Faults != nil {
		g.faults = faults.New(c.Faults, g.metrics.NewInjected(), func(told *config.Faults) error { return told.CheckTold(false, true, c.Identity) }, o.Log)
	}
	if err = g.joinMesh(ctx, c); err != nil {
		return nil, err
	}
	s, err := g.build(c, nil)
	if err != nil {
		return nil, err
	}
	g.current.Store(s)
	g.export(s)
	if g.admin, err = g.newAdmin(c); err != nil {
		return nil, err
	}
	for i, l := range c.Listen {
		if err = g.open(i, l, c.Clients); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// joinMesh obtains the SVID that is presented to upstreams, and asks the control plane for services.
func (g *Gateway) joinMesh(ctx context.Context, c *config.Gateway) (err error) {
	if c.Identity == nil {
		return nil
	}
	obtaining, hearing := identity.Options{Log: g.options.Log}, discovery.Options{Log: g.options.Log}
	if p := g.faults.Own; p != nil {
		obtaining.Before, hearing.Holds = p.Renewal, p.Holds
	}
	if g.source, err = identity.NewSource(ctx, *c.Identity, obtaining); err != nil {
		return fmt.Errorf("obtain the gateway's identity: %w", err)
	}
	g.shaken = g.metrics.NewHandshakes(g.options.Log)
	g.metrics.Identity(func() telemetry.SVID {
		s := g.source.Stats()
		return telemetry.SVID{NotAfter: s.NotAfter, Rotations: s.Rotations, Failures: s.Failures}
	})
	if c.Identity.Control != nil {
		g.reporter = g.newReporter(c)
		g.services = discovery.New(*c.Identity.Control, g.source, g.discover, hearing)
		g.metrics.Config(func() telemetry.ConfigState {
			s := g.services.Status()
			return telemetry.ConfigState{Version: s.Version, Published: s.Published, Propagation: s.Propagation, Connected: s.Connected}
		})
	}
	return nil
}

// open starts listening on one address.
func (g *Gateway) open(i int, l config.Listener, clients config.Clients) error {
	listener, err := listen.Listen(l.Address)
	if err != nil {
		return operate.Hint(err, "another process may hold the address; `listen` in the configuration chooses another")
	}
	server := listen.New(listen.Options{Clients: clients, Service: g, TLS: g.serverTLS(i, l.TLS), Via: "gateway", Observer: g.metrics,
		Timed: g.current.Load().ledger.Some(), OnFault: writeProblem, Refused: g.refused, Tolerate: wire.AnyFlaw}) // routing refuses what the route does not tolerate
	g.fronts = append(g.fronts, operate.Front{Listener: listener, Server: server})
	return nil
}

// refused logs a request that no chain has seen.
func (g *Gateway) refused(peer exchange.Peer, f *exchange.Fault) {
	if g.access != nil {
		g.access.Write(telemetry.AppendRefusal(nil, time.Now(), peer, f))
	}
}

// Addresses are where clients are accepted, also where ports were left to the system.
func (g *Gateway) Addresses() []net.Addr {
	var found []net.Addr
	for _, f := range g.fronts {
		found = append(found, f.Listener.Addr())
	}
	return found
}

// AdminAddress is where the admin listener is.
func (g *Gateway) AdminAddress() string { return g.admin.Address() }

// Run serves until ctx ends, then drains; force ends the drain at once. It returns nil after a drain that cut nothing.
func (g *Gateway) Run(ctx, force context.Context) error {
	defer g.close()
	var beside []operate.Background
	if g.services != nil {
		beside = append(beside, func(ctx context.Context) { _ = g.services.Run(ctx) })
	}
	return g.life.Run(ctx, force, func() config.Drain { return g.current.Load().config.Drain }, g.admin, beside, g.fronts)
}

// close gives back what New opened.
func (g *Gateway) close() {
	for _, f := range g.fronts {
		f.Listener.Close()
	}
	if s := g.current.Load(); s != nil {
		s.abandon(nil)
	}
	if g.admin != nil {
		g.admin.Close()
	}
	if g.source != nil {
		g.source.Close()
	}
	g.access.Close()
}

// Serve implements exchange.Service.
func (g *Gateway) Serve(x *exchange.Exchange) {
	s := g.current.Load()
	x.Pin = s
	if s.ledger.Some() {
		s.ledger.Decide(x)
	}
	s.chain.Serve(x)
}

// Finish implements exchange.Service.
func (g *Gateway) Finish(x *exchange.Exchange, end exchange.End) {
	x.Pin.(*snapshot).chain.Finish(x, end)
}

// Reload puts a checked configuration in force for the requests that begin from now on. What was opened at the start cannot be
// changed by it: then nothing is, and the error says what needs a restart.
func (g *Gateway) Reload(c *config.Gateway) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.replace(c)
	g.metrics.Reloaded(err)
	return err
}

func (g *Gateway) replace(c *config.Gateway) error {
	old := g.current.Load()
	fixed := func(c *config.Gateway) []any {
		addresses := []string{}
		for _, l := range c.Listen {
			addresses = append(addresses, fmt.Sprintf("%s tls:%t", l.Address, l.TLS != nil))
		}
		return []any{addresses, c.Admin, c.Clients, c.Identity, c.Log.Access, c.Workers, c.Faults}
	}
	for i, name := range []string{"listen", "admin", "clients", "identity", "log.access", "workers", "faults"} {
		if !reflect.DeepEqual(fixed(old.config)[i], fixed(c)[i]) {
			return operate.Hint(fmt.Errorf("reload: `%s` changed, which takes a restart; the configuration in force stays", name),
				"restart the gateway, or change `%s` back", name)
		}
	}
	next, err := g.build(c, old)
	if err != nil {
		return fmt.Errorf("reload: %w; the configuration in force stays", err)
	}
	if err := g.access.Reopen(); err != nil {
		next.abandon(old)
		return err
	}
	for name, u := range next.upstreams {
		if u == old.upstreams[name] {
			u.Update(g.endpoints(c.Upstreams.At(name)))
		}
	}
	g.current.Store(next)
	g.export(next)
	for name, u := range old.upstreams {
		if next.upstreams[name] != u {
			u.Close() // what is in flight goes on; connections are no longer kept
		}
	}
	old.guards.release(&next.guards)
	return nil
}
