package upstream

import (
	"fmt"
	"time"
)

// A balancer chooses among endpoints. pick returns one that is ready and not among those tried, or nil; it is called by many
// goroutines at once and allocates nothing.
type balancer interface {
	pick(endpoints, tried []*endpoint, now time.Time) *endpoint
}

// newBalancer makes the balancer of a configured name.
func newBalancer(name string, seed uint64) (balancer, error) {
	switch name {
	case "", "round_robin":
		return &roundRobin{}, nil
	case "least_request":
		return newLeastRequest(seed), nil
	}
	return nil, fmt.Errorf("no balancer is called %q: round_robin, least_request", name)
}
