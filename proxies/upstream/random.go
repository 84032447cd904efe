package upstream

import "sync/atomic"

// random takes any ready endpoint, in proportion to the weights. It keeps no state, so that many proxies never fall into step.
type random struct{ dice }

func (r *random) pick(c choice) *endpoint {
	total := uint64(0)
	for _, e := range c.endpoints {
		if c.may(e) {
			total += uint64(e.weight.Load())
		}
	}
	if total == 0 {
		return nil
	}
	at := r.roll() % total
	var last *endpoint
	for _, e := range c.endpoints {
		if !c.may(e) {
			continue
		}
		last = e
		if w := uint64(e.weight.Load()); at < w {
			break
		} else {
			at -= w
		}
	}
	return last // also where one stopped being ready in between
}

// dice is SplitMix64 on a shared counter: no lock, and a sequence fixed by the seed.
type dice struct{ state atomic.Uint64 }

func (d *dice) roll() uint64 { return mix(d.state.Add(0x9e3779b97f4a7c15)) }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
