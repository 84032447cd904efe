package control

import (
	"fmt"
	"reflect"
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
	services map[string]discovery.Service
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
	if c.services == nil || c.bundle == "" {
		return nil
	}
	now := c.now()
	version := uint64(now.UnixMilli())
	if c.newest != nil && version <= c.newest.snapshot.Version {
		version = c.newest.snapshot.Version + 1
	}
	snapshot := discovery.Snapshot{Version: version, Published: now, Bundle: c.bundle, Services: c.services, Authorization: c.policies, Splits: c.splits}
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
		out := discovery.Service{Protocol: s.Protocol, Endpoints: make([]config.Endpoint, len(s.Endpoints)), Addresses: s.Addresses}
		copy(out.Endpoints, s.Endpoints)
		services[name] = out
	}
	return services
}
