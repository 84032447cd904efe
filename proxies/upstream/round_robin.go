package upstream

import (
	"sync"
	"time"
)

// roundRobin is the smooth weighted round robin: at each pick every ready endpoint gains its weight, the one that has most is
// chosen and pays the sum. Endpoints come up in proportion to their weights and as far apart as that allows (nginx, commit
// 52327e0627f49dbda1e8db695e63a4b0af4448b1).
type roundRobin struct{ mu sync.Mutex }

func (r *roundRobin) pick(endpoints, tried []*endpoint, now time.Time) *endpoint {
	if len(endpoints) == 1 { // nothing to weigh
		if e := endpoints[0]; !contains(tried, e) && e.ready(now) {
			return e
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var best *endpoint
	total := int64(0)
	for _, e := range endpoints {
		if contains(tried, e) || !e.ready(now) {
			continue
		}
		weight := e.weight.Load()
		total += weight
		if e.current += weight; best == nil || e.current > best.current {
			best = e
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}
