package upstream

import "sync"

// roundRobin is the smooth weighted round robin: at each pick every ready endpoint gains its weight, the one that has most is
// chosen and pays the sum. Endpoints come up in proportion to their weights and as far apart as that allows (nginx, commit
// 52327e0627f49dbda1e8db695e63a4b0af4448b1).
type roundRobin struct{ mu sync.Mutex }

func (r *roundRobin) pick(c choice) *endpoint {
	if len(c.endpoints) == 1 { // nothing to weigh
		if e := c.endpoints[0]; c.may(e) {
			return e
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var best *endpoint
	total := int64(0)
	for _, e := range c.endpoints {
		if !c.may(e) {
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
