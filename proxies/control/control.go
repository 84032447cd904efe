// Package control is the control plane of the reference mesh: it issues SVIDs to those who hold a bootstrap token, and streams
// snapshots of services and endpoints to those who hold an SVID. From what these report of their edges it assembles the dependency
// graph (package graph).
//
// Its one invariant: it only ever says what is whole and valid. A file that cannot be used leaves what is in force untouched, and is
// reported. It carries no traffic of the application: when it is down, the mesh goes on with what it has until certificates expire.
//
// One Control owns three listeners: bootstrap (TLS; token and certificate request against SVID and roots), snapshots (mutual TLS; also
// takes reports) and admin (loopback). One goroutine watches the files, one judges the windows of the graph.
package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
	"crossroads/proxies/graph"
	"crossroads/proxies/identity"
)

const (
	grace       = 5 * time.Second  // for requests to end once the control plane stops; streams end at once
	bodyTimeout = 10 * time.Second // for a request to arrive whole
)

// Options are what a Control needs besides its configuration. The zero value is ready to use.
type Options struct {
	Version   string           // of the build, for the metrics
	Log       *slog.Logger     // nil: silent
	Poll      time.Duration    // how often files are looked at; 0: 500 ms
	Heartbeat time.Duration    // of the streams; 0: discovery.Heartbeat
	Now       func() time.Time // nil: time.Now
}

// Control is a control plane. Its listeners are open when New returns; Run serves them.
type Control struct {
	config     *config.Control
	options    Options
	domain     spiffeid.TrustDomain
	authority  atomic.Pointer[identity.Authority]
	grants     atomic.Pointer[grants]
	source     *identity.Source
	catalog    *catalog
	watched    []*watchedFiles
	metrics    *metrics
	graph      *graph.Graph
	registered *registrations // nil: sidecars may not register

	bootstrap, snapshots, admin net.Listener
	draining                    atomic.Bool
	stopStreams                 chan struct{}
}

// Addresses are where a control plane listens, with the ports that the system chose.
type Addresses struct{ Bootstrap, Snapshots, Admin string }

// New reads every file, makes what is missing (root and tokens), obtains the control plane's own SVID and opens the listeners. The
// context bounds the renewal of that SVID: it must outlive Run.
func New(ctx context.Context, c *config.Control, o Options) (*Control, error) {
	o = o.filled()
	domain, err := spiffeid.TrustDomainFromString(c.TrustDomain)
	if err != nil {
		return nil, fmt.Errorf("trust_domain %q: %w", c.TrustDomain, err)
	}
	k := &Control{config: c, options: o, domain: domain, stopStreams: make(chan struct{})}
	k.catalog = newCatalog(o.Now)
	k.graph = graph.New(graph.Options{Window: c.Graph.Window.D(), Keep: c.Graph.Keep.D()})
	if c.Registration != nil {
		k.registered = newRegistrations(c.Registration)
	}
	if err := k.open(); err != nil {
		return nil, err
	}
	k.source, err = identity.NewAuthoritySource(ctx, k.authority.Load, identity.ControlID(domain.Name()), identity.Options{Now: o.Now, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("issuing the control plane's own SVID: %w", err)
	}
	k.metrics = newMetrics(k)
	if err := k.listen(); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (o Options) filled() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = 500 * time.Millisecond
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// open reads the files for the first time; here, unlike later, a fault ends it. The file of services comes first: nothing is made for
// a control plane that could not start.
func (k *Control) open() error {
	if _, err := config.LoadEndpoints(k.config.Endpoints); err != nil {
		return err
	}
	authority, made, err := identity.OpenAuthority(k.domain, k.config.CA, k.config.Lifetime.D(), k.options.Now)
	if err != nil {
		return err
	}
	if made {
		k.options.Log.Info("made a root certificate", "file", orMemory(k.config.CA.Certificate), "trust_domain", k.domain.Name())
	}
	k.authority.Store(authority)
	if k.registered != nil && !made { // sidecars may have registered with the process before this one
		k.catalog.hold(k.options.Now().Add(k.registered.lease))
	}
	for _, t := range k.config.Tokens {
		made, err := MakeToken(t.File)
		if err != nil {
			return err
		}
		if made {
			k.options.Log.Info("made a bootstrap token", "file", t.File)
		}
	}
	k.watched = k.watches()
	for _, w := range k.watched {
		if err := w.first(); err != nil {
			return err
		}
	}
	return nil
}

func orMemory(file string) string {
	if file == "" {
		return "none: it lives in memory and ends with this process"
	}
	return file
}

func (k *Control) listen() error {
	for _, l := range []struct {
		into    *net.Listener
		purpose string
		address string
	}{
		{&k.bootstrap, "bootstrap", k.config.Bootstrap},
		{&k.snapshots, "listen", k.config.Listen},
		{&k.admin, "admin", k.config.Admin.Address},
	} {
		if strings.HasPrefix(l.address, "unix:") {
			return fmt.Errorf("opening the %s listener: %s: the control plane listens on host:port only", l.purpose, l.address)
		}
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			return fmt.Errorf("opening the %s listener: %w", l.purpose, err)
		}
		*l.into = listener
	}
	return nil
}

// Addresses returns where the control plane listens.
func (k *Control) Addresses() Addresses {
	return Addresses{k.bootstrap.Addr().String(), k.snapshots.Addr().String(), k.admin.Addr().String()}
}

// Close gives back what New took. Run does it by itself.
func (k *Control) Close() {
	for _, l := range []net.Listener{k.bootstrap, k.snapshots, k.admin} {
		if l != nil {
			l.Close()
		}
	}
	k.source.Close()
}

// Run serves until ctx ends, and then drains: not ready, streams ended (their proxies keep what they have), requests finished. The end
// of force cuts the drain short.
func (k *Control) Run(ctx, force context.Context) error {
	defer k.Close()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go k.watch(watching)
	go k.judge(watching)
	go k.keepRegistrations(watching)

	servers := []*http.Server{k.server(k.issueHandler(), bodyTimeout), k.server(k.snapshotHandler(), 0), k.server(k.adminHandler(), bodyTimeout)}
	listeners := []net.Listener{
		tls.NewListener(k.bootstrap, k.source.BootstrapConfig()),
		tls.NewListener(k.snapshots, k.countRefusals(k.source.ServerConfig(identity.Strict))),
		k.admin,
	}
	failed := make(chan error, len(servers))
	for i, s := range servers {
		go func() { failed <- s.Serve(listeners[i]) }()
	}
	a := k.Addresses()
	k.options.Log.Info("serving", "trust_domain", k.domain.Name(), "bootstrap", a.Bootstrap, "listen", a.Snapshots, "admin", a.Admin)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	}
	return errors.Join(err, k.drain(force, servers))
}

// drain ends the admin listener last: it says that the others are ending.
func (k *Control) drain(force context.Context, servers []*http.Server) error {
	k.draining.Store(true)
	k.options.Log.Info("draining")
	close(k.stopStreams)
	ctx, cancel := context.WithTimeout(force, grace)
	defer cancel()
	var all error
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			all = errors.Join(all, fmt.Errorf("draining: %w", err), s.Close())
		}
	}
	return all
}

// server bounds what a client may take: requests here are small, and only streams are long. For these read is 0: net/http would take
// its end for the client's.
func (k *Control) server(h http.Handler, read time.Duration) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       read,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(k.options.Log.Handler(), slog.LevelDebug),
	}
}

// countRefusals counts by reason the peers that did not prove themselves.
func (k *Control) countRefusals(c *tls.Config) *tls.Config {
	verify := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		err := verify(s)
		if err != nil {
			k.metrics.handshakesRefused.WithLabelValues(string(identity.ReasonOf(err))).Inc()
			k.options.Log.Warn("a peer was refused", "error", err)
		}
		return err
	}
	return c
}
