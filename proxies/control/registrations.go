package control

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
)

// registrations are the endpoints that sidecars have registered, each for as long as its lease. Time comes in with each call.
//
// A service belongs to the identity that registered it, as long as one endpoint of it is left; where the file of services promises an
// identity, to that one. So nobody can add an endpoint to a service that is not its own, and callers verify each by that identity.
type registrations struct {
	lease time.Duration
	allow idSet

	mu      sync.Mutex
	leases  map[endpointKey]*leased
	changed bool // since published
}

type endpointKey struct{ service, address string }

// leased is one endpoint.
type leased struct {
	id     string
	weight int
	until  time.Time
}

// maxEndpoints bounds what one identity may register.
const maxEndpoints = 4096

func newRegistrations(c *config.Registration) *registrations {
	return &registrations{lease: c.Lease.D(), allow: newIDSet(c.IDs), leases: map[endpointKey]*leased{}}
}

// notTaken is why a registration is refused: a word for the metric, and a sentence.
type notTaken struct{ reason, detail string }

func (n *notTaken) Error() string { return n.reason + ": " + n.detail }

// put takes a registration, or renews its lease. from is where it comes from; the address returned is what is published. promised is
// the identity that the file of services gives the service, "" where it gives none.
func (t *registrations) put(r discovery.Registration, id, promised string, from netip.Addr, now time.Time) (address string, _ *notTaken) {
	address, refused := t.check(r, id, promised, from)
	if refused != nil {
		return "", refused
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := endpointKey{r.Service, address}
	known := t.leases[key]
	if known == nil {
		if refused := t.room(r.Service, id); refused != nil {
			return "", refused
		}
	} else if known.id != id {
		return "", taken(r.Service, known.id)
	}
	t.changed = t.changed || known == nil || known.weight != r.Weight
	t.leases[key] = &leased{id: id, weight: r.Weight, until: now.Add(t.lease)}
	return address, nil
}

// room says whether one more endpoint of a service may be registered by id; t.mu is held.
func (t *registrations) room(service, id string) *notTaken {
	n := 0
	for key, l := range t.leases {
		switch {
		case key.service == service && l.id != id:
			return taken(service, l.id)
		case l.id == id:
			n++
		}
	}
	if n >= maxEndpoints {
		return &notTaken{"too_many", fmt.Sprintf("%s has registered %d endpoints", id, n)}
	}
	return nil
}

func taken(service, by string) *notTaken {
	return &notTaken{"service_taken", fmt.Sprintf("%s is registered by %s", service, by)}
}

// check judges what needs no table.
func (t *registrations) check(r discovery.Registration, id, promised string, from netip.Addr) (string, *notTaken) {
	if !t.allow.holds(id) {
		return "", &notTaken{"not_allowed", id + " may not register endpoints: `registration.ids` does not list it"}
	}
	if r.Service == "" || !strings.HasSuffix(id, "/sa/"+r.Service) || strings.Contains(r.Service, "/") || strings.ToLower(r.Service) != r.Service {
		return "", &notTaken{"not_your_service", fmt.Sprintf("%s is not the identity of a service %q", id, r.Service)}
	}
	if promised != "" && promised != id {
		return "", taken(r.Service, promised)
	}
	if r.Weight < 1 || r.Weight > 1e6 {
		return "", &notTaken{"malformed", fmt.Sprintf("weight %d", r.Weight)}
	}
	host, port, err := net.SplitHostPort(r.Address)
	if at, parseErr := netip.ParseAddr(host); host == "" || parseErr == nil && at.IsUnspecified() {
		host = from.String()
	}
	at, parseErr := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || parseErr != nil || at.Port() == 0 {
		return "", &notTaken{"malformed", fmt.Sprintf("%q is not an IP address and a port", r.Address)}
	}
	return at.String(), nil
}

// drop ends a registration of id. One that is not there is gone already.
func (t *registrations) drop(r discovery.Registration, id, promised string, from netip.Addr) *notTaken {
	address, refused := t.check(r, id, promised, from)
	if refused != nil {
		return refused
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := endpointKey{r.Service, address}
	if known := t.leases[key]; known != nil && known.id == id {
		delete(t.leases, key)
		t.changed = true
	}
	return nil
}

// expire drops whose lease is over and returns how many.
func (t *registrations) expire(now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.leases {
		if !now.Before(l.until) {
			delete(t.leases, key)
			t.changed = true
			n++
		}
	}
	return n
}

// take returns the services as they are registered now, if anything changed since the last time.
func (t *registrations) take() (map[string]discovery.Service, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.changed {
		return nil, false
	}
	t.changed = false
	services := map[string]discovery.Service{}
	for key, l := range t.leases {
		s := services[key.service]
		s.Protocol = "http"
		s.Endpoints = append(s.Endpoints, config.Endpoint{Address: key.address, Weight: l.weight, Identity: l.id})
		services[key.service] = s
	}
	for _, s := range services {
		slices.SortFunc(s.Endpoints, func(a, b config.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	}
	return services, true
}

func (t *registrations) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.leases)
}
