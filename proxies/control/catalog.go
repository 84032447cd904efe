package control

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
)

// catalog is what is known of the mesh, published as one snapshot after the other. Subscribers that are slow skip versions: what
// they receive next is always the newest.
type catalog struct {
	now func() time.Time

	mu       sync.Mutex
	services map[string]discovery.Service // of the file; nil before it was read
	gathered map[string]discovery.Service // registered
	held     time.Time                    // nothing is published before; zero: as soon as it can be
	policies *discovery.Authorization
	splits   []config.Split
	bundle   string
	newest   *published
	changed  chan struct{} // closed when newest is replaced
}

// published is a snapshot with the line that every subscriber is sent: it is encoded once.
type published struct {
	snapshot discovery.Snapshot
	line     []byte
	names    names // of the graph
}

func newCatalog(now func() time.Time) *catalog {
	return &catalog{now: now, changed: make(chan struct{})}
}

// current returns the newest snapshot, nil before the first, and a channel that is closed when it is replaced.
func (c *catalog) current() (*published, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest, c.changed
}

// setServices replaces the services, who may call them, and how calls to them are split.
func (c *catalog) setServices(services map[string]discovery.Service, policies *discovery.Authorization, splits []config.Split) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest != nil && reflect.DeepEqual(services, c.services) && reflect.DeepEqual(policies, c.policies) && reflect.DeepEqual(splits, c.splits) {
		return nil
	}
	c.services, c.policies, c.splits = services, policies, splits
	return c.publish()
}

// setRegistered replaces what sidecars have registered.
func (c *catalog) setRegistered(services map[string]discovery.Service) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathered = services
	return c.publish()
}

// hold keeps the first snapshot back until then.
func (c *catalog) hold(until time.Time) { c.held = until }

// release publishes what was held back, once it is time.
func (c *catalog) release(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held.IsZero() || now.Before(c.held) {
		return nil
	}
	c.held = time.Time{}
	return c.publish()
}

// promised is the identity that the file gives a service, or "".
func (c *catalog) promised(service string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.services[service]
	if s.Identity != "" || len(s.Endpoints) == 0 {
		return s.Identity
	}
	return s.Endpoints[0].Identity
}

// merged is the file's services and the registered endpoints; c.mu is held. What was registered by another identity than the file
// promises now is left out.
func (c *catalog) merged() map[string]discovery.Service {
	if len(c.gathered) == 0 {
		return c.services
	}
	all := maps.Clone(c.services)
	for name, r := range c.gathered {
		s, listed := all[name]
		if !listed {
			all[name] = r
			continue
		}
		s.Endpoints = slices.Clone(s.Endpoints)
		for _, e := range r.Endpoints {
			known := slices.ContainsFunc(s.Endpoints, func(f config.Endpoint) bool { return f.Address == e.Address })
			if !known && (s.Identity == "" || s.Identity == e.Identity) {
				s.Endpoints = append(s.Endpoints, e)
			}
		}
		all[name] = s
	}
	return all
}

// setBundle replaces the roots.
func (c *catalog) setBundle(pem string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pem == c.bundle {
		return nil
	}
	c.bundle = pem
	return c.publish()
}

// publish makes the next version once both parts are known; c.mu is held. The version is at least the time in milliseconds, so that
// it also grows over a restart.
func (c *catalog) publish() error {
	if c.services == nil || c.bundle == "" || !c.held.IsZero() {
		return nil
	}
	now := c.now()
	version := uint64(now.UnixMilli())
	if c.newest != nil && version <= c.newest.snapshot.Version {
		version = c.newest.snapshot.Version + 1
	}
	snapshot := discovery.Snapshot{Version: version, Published: now, Bundle: c.bundle, Services: c.merged(), Authorization: c.policies, Splits: c.splits}
	line, err := discovery.Encode(discovery.Message{Format: discovery.Format, Snapshot: &snapshot})
	if err != nil {
		return err
	}
	// What a client would refuse is not sent: the same code judges on both sides.
	if _, err := discovery.Decode(line); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	c.newest = &published{snapshot: snapshot, line: line, names: namesOf(snapshot.Services)}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// servicesOf turns a file of services into what is published.
func servicesOf(e *config.Endpoints) map[string]discovery.Service {
	services := make(map[string]discovery.Service, e.Services.Len())
	for name, s := range e.Services.All() {
		out := discovery.Service{Protocol: s.Protocol, Identity: s.Identity, Endpoints: make([]config.Endpoint, len(s.Endpoints)), Addresses: s.Addresses}
		copy(out.Endpoints, s.Endpoints)
		services[name] = out
	}
	return services
}
