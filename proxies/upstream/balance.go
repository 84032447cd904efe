package upstream

import (
	"fmt"
	"slices"
	"time"
)

// A balancer chooses among endpoints. pick returns one that is ready and not among those tried, or nil; it is called by many
// goroutines at once and allocates nothing.
type balancer interface {
	pick(choice) *endpoint
}

// choice is what a balancer chooses from.
type choice struct {
	endpoints []*endpoint
	tried     []*endpoint
	now       time.Time
	key       uint64 // of the request, for consistent hashing; 0: none
	sick      bool   // take also those that health checks hold for down
	refusing  bool   // take also those that just refused a connection
}

// may says whether an endpoint can be chosen.
func (c *choice) may(e *endpoint) bool {
	return !slices.Contains(c.tried, e) && e.ready(c)
}

// two draws two different endpoints at random; the second is nil where there is only one, both where there is none.
func (c *choice) two(d *dice) (first, second *endpoint) {
	n := uint64(len(c.endpoints))
	if n == 0 {
		return nil, nil
	}
	r := d.roll()
	if first = c.near(d, r%n, nil); first == nil || n == 1 {
		return first, nil
	}
	// Another than the one at r%n: its distance is 1 to n-1.
	return first, c.near(d, (r%n+1+(r>>32)%(n-1))%n, first)
}

// near returns the endpoint at i if it may be chosen, or else another: drawn again a few times, because the neighbour of one that is
// not ready would get its share too, and then the first from i on.
func (c *choice) near(d *dice, i uint64, not *endpoint) *endpoint {
	n := uint64(len(c.endpoints))
	at := i
	for range 4 {
		if e := c.endpoints[at]; e != not && c.may(e) {
			return e
		}
		at = d.roll() % n
	}
	for k := range n {
		if e := c.endpoints[(i+k)%n]; e != not && c.may(e) {
			return e
		}
	}
	return nil
}

// newBalancer makes the balancer of a configured name.
func newBalancer(name string, seed uint64) (balancer, error) {
	switch name {
	case "", "round_robin":
		return &roundRobin{}, nil
	case "least_request":
		b := &leastRequest{}
		b.state.Store(seed)
		return b, nil
	case "peak_ewma":
		b := &peakEWMA{tau: tau}
		b.state.Store(seed)
		return b, nil
	case "random":
		b := &random{}
		b.state.Store(seed)
		return b, nil
	case "hash":
		b := &ringHash{}
		b.state.Store(seed)
		return b, nil
	}
	return nil, fmt.Errorf("no balancer is called %q: round_robin, least_request, peak_ewma, random, hash", name)
}
