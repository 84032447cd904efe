package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// labels are the values of up to three labels; those a metric does not have are empty.
type labels [3]string

// maxSeries bounds what one metric may hold; what comes after is counted as "other".
const maxSeries = 1024

// counters finds the counters of a vector without hashing its labels by name: a request costs one read of a map that is copied
// when a new series appears, and no allocation.
type counters struct {
	vec   *prometheus.CounterVec
	known atomic.Pointer[map[labels]prometheus.Counter]
	mu    sync.Mutex
	width int
}

// newCounters takes a vector of width labels.
func newCounters(vec *prometheus.CounterVec, width int) *counters {
	c := &counters{vec: vec, width: width}
	c.known.Store(&map[labels]prometheus.Counter{})
	return c
}

func (c *counters) of(l labels) prometheus.Counter {
	if counter, ok := (*c.known.Load())[l]; ok {
		return counter
	}
	return c.add(l)
}

func (c *counters) add(l labels) prometheus.Counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.known.Load()
	if counter, ok := known[l]; ok {
		return counter
	}
	if len(known) >= maxSeries {
		l = labels{"other", "other", "other"}
		if counter, ok := known[l]; ok {
			return counter
		}
	}
	for i := range l {
		l[i] = string(append([]byte(nil), l[i]...)) // the caller's string may be a view of a request
	}
	more := maps.Clone(known)
	more[l] = c.vec.WithLabelValues(l[:c.width]...)
	c.known.Store(&more)
	return more[l]
}
