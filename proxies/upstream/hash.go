package upstream

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"crossroads/proxies/exchange"
)

// ringHash sends requests of the same key to the same endpoint, and when endpoints come or go only those whose endpoint it
// was move: every endpoint owns many points of a ring, and a key belongs to the next point that is ready. Two proxies with the
// same endpoints agree, because the hash is fixed.
type ringHash struct {
	dice
	ring []point // sorted
}

type point struct {
	at    uint64
	owner *endpoint
}

const (
	pointsEach = 160  // of the endpoint with the least weight: shares then differ by about 1/sqrt(160), 8%
	pointsMost = 4096 // of one endpoint, whatever its weight
)

// over builds the ring of other endpoints. The balancer itself is not changed: requests under way still use it.
func (r *ringHash) over(endpoints []*endpoint) balancer {
	next := &ringHash{}
	next.state.Store(r.state.Load())
	least := int64(math.MaxInt64)
	for _, e := range endpoints {
		least = min(least, e.weight.Load())
	}
	for _, e := range endpoints {
		n := min(pointsMost, pointsEach*e.weight.Load()/least)
		seed := hashString(fnvOffset, e.config.Address)
		for k := range n {
			next.ring = append(next.ring, point{mix(seed + uint64(k)*0x9e3779b97f4a7c15), e})
		}
	}
	slices.SortFunc(next.ring, func(a, b point) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return strings.Compare(a.owner.config.Address, b.owner.config.Address)
	})
	return next
}

func (r *ringHash) pick(c choice) *endpoint {
	if len(r.ring) == 0 {
		return nil
	}
	key := c.key
	if key == 0 {
		key = r.roll() // the request has no key: any endpoint does
	}
	i, _ := slices.BinarySearchFunc(r.ring, key, func(p point, k uint64) int {
		if p.at < k {
			return -1
		}
		return 1
	})
	for k := range r.ring {
		if e := r.ring[(i+k)%len(r.ring)].owner; c.may(e) {
			return e
		}
	}
	return nil
}

// hashKey hashes the first of the named properties that the request has; 0: it has none.
func hashKey(x *exchange.Exchange, by []string) uint64 {
	for _, k := range by {
		h := uint64(fnvOffset)
		switch {
		case k == "consumer" && x.Consumer.Name != "":
			h = hashString(h, x.Consumer.Name)
		case k == "address" && x.Peer.Client.IsValid():
			raw := x.Peer.Client.As16()
			h = hashWords(h, binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:]))
		case strings.HasPrefix(k, "header:"):
			v := x.Request.Header.Peek(k[len("header:"):])
			if len(v) == 0 {
				continue
			}
			for _, b := range v {
				h = (h ^ uint64(b)) * fnvPrime
			}
		default:
			continue
		}
		return mix(h) | 1
	}
	return 0
}

// FNV-1a, finished by mix, which spreads what differs in the last bytes over the whole ring.
const (
	fnvOffset uint64 = 0xcbf29ce484222325
	fnvPrime  uint64 = 0x100000001b3
)

func hashString(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func hashWords(h uint64, words ...uint64) uint64 {
	for _, w := range words {
		h = mix(h ^ w)
	}
	return h
}
