package telemetry

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Top finds who asks most, in bounded memory: the Space-Saving sketch (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent
// and top-k elements in data streams", 2005). Whoever asked more than total/size times is in it; a count is never too low, and too high
// by Over at the most.
type Top struct {
	size int

	mu    sync.Mutex
	at    map[string]int // in heap
	heap  []Consumer     // the least is first
	total uint64
}

// Consumer is one entry of the sketch.
type Consumer struct {
	Name     string `json:"name"`
	Requests uint64 `json:"requests"` // at the most
	Over     uint64 `json:"over_by"`  // what of them may be others'
}

// sketched and shown are how many consumers the sketch holds, and how many of them the metric shows.
const (
	sketched = 256
	shown    = 10
)

// NewTop makes a sketch and registers top_consumer_requests{consumer}: no more than ten series, of consumers that authenticated.
func (m *Metrics) NewTop() *Top {
	t := newTop(sketched)
	m.Registry.MustRegister(&topCollector{t, prometheus.NewDesc(m.prefix+"top_consumer_requests",
		"Requests of the consumers who ask most, at the most: from a sketch of bounded size.", []string{"consumer"}, nil)})
	return t
}

func newTop(size int) *Top { return &Top{size: size, at: map[string]int{}} }

// Count counts a request of a consumer. It allocates nothing for one that is known.
func (t *Top) Count(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total++
	i, known := t.at[name]
	switch {
	case known:
	case len(t.heap) < t.size:
		i = len(t.heap)
		name = strings.Clone(name) // it may be a view of a request
		t.heap = append(t.heap, Consumer{Name: name})
		t.at[name] = i
		t.up(i)
		i = t.at[name]
	default: // whoever asked least makes room, and leaves its count
		delete(t.at, t.heap[0].Name)
		name = strings.Clone(name)
		t.heap[0].Name, t.heap[0].Over = name, t.heap[0].Requests
		t.at[name] = 0
		i = 0
	}
	t.heap[i].Requests++
	t.down(i)
}

func (t *Top) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.at[t.heap[i].Name], t.at[t.heap[j].Name] = i, j
}

func (t *Top) up(i int) {
	for parent := (i - 1) / 2; i > 0 && t.heap[i].Requests < t.heap[parent].Requests; parent = (i - 1) / 2 {
		t.swap(i, parent)
		i = parent
	}
}

func (t *Top) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(t.heap) && t.heap[child].Requests < t.heap[least].Requests {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

// List returns the entries, the largest first.
func (t *Top) List() []Consumer {
	t.mu.Lock()
	list := append([]Consumer{}, t.heap...)
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b Consumer) int {
		return cmp.Or(-cmp.Compare(a.Requests, b.Requests), strings.Compare(a.Name, b.Name))
	})
	return list
}

type topCollector struct {
	top  *Top
	desc *prometheus.Desc
}

func (c *topCollector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

func (c *topCollector) Collect(to chan<- prometheus.Metric) {
	list := c.top.List()
	for _, k := range list[:min(shown, len(list))] {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(k.Requests), strings.ToValidUTF8(k.Name, "?"))
	}
}
