package workload

// Every draw is a pure function of (seed, service, call path, sequence number, attempt) and of what it is for. No state, so no order:
// concurrency cannot change it.

// purpose tells draws of one visit apart.
type purpose uint64

const (
	forWait purpose = iota + 1
	forError
	forCall // plus the position of the call in the script
)

// Faults draw beyond every position of a script, so that a declared fault changes no other draw.
const (
	forFaultError purpose = 1<<32 + iota
	forFaultReset
)

// mix is the finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): a bijection
// under which every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fnv hashes bytes into h (FNV-1a, 64 bit).
func fnv[T string | []byte](h uint64, data T) uint64 {
	for i := range len(data) {
		h = (h ^ uint64(data[i])) * 0x100000001b3
	}
	return h
}

const fnvOffset = 0xcbf29ce484222325

// originHash is the part that is the same for all requests of a node. Replicas share it: which one answers must not matter.
func originHash(seed uint64, service string) uint64 {
	return mix(fnv(mix(seed)^fnvOffset, service))
}

// visitHash identifies one visit of one request at a node.
func visitHash(origin uint64, path []byte, seq, attempt uint64) uint64 {
	h := mix(fnv(origin^fnvOffset, path))
	return mix(mix(h^seq) ^ attempt)
}

// uniform draws from [0, 1) for a purpose.
func uniform(visit uint64, p purpose) float64 {
	return float64(mix(visit^mix(uint64(p)))>>11) / (1 << 53)
}
