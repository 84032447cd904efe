package upstream

// leastRequest draws two ready endpoints at random and takes the one with fewer exchanges in flight for its weight. Two choices do
// nearly as well as looking at all, and do not send every proxy to the same idle endpoint (Mitzenmacher, The Power of Two Choices
// in Randomized Load Balancing, 2001).
type leastRequest struct{ dice }

func (l *leastRequest) pick(c choice) *endpoint {
	first, second := c.two(&l.dice)
	if second == nil || load(first) <= load(second) {
		return first
	}
	return second
}

func load(e *endpoint) float64 { return float64(e.inFlight.Load()+1) / float64(e.weight.Load()) }
