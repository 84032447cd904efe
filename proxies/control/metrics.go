package control

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what Prometheus reads. No label holds anything that a client sent.
type metrics struct {
	registry             *prometheus.Registry
	subscribers          prometheus.Gauge
	snapshotsSent        prometheus.Counter
	issued               prometheus.Counter
	issueRefused         *prometheus.CounterVec
	handshakesRefused    *prometheus.CounterVec
	reloads              *prometheus.CounterVec
	stale                *prometheus.GaugeVec
	reports              *prometheus.CounterVec
	cascades             prometheus.Counter
	registrationsRefused *prometheus.CounterVec
	leasesEnded          prometheus.Counter
}

func newMetrics(k *Control) *metrics {
	m := &metrics{
		registry:          prometheus.NewRegistry(),
		subscribers:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "control_subscribers", Help: "Proxies that hold a stream of snapshots."}),
		snapshotsSent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "control_snapshot_updates_sent_total", Help: "Snapshots sent because something changed."}),
		issued:            prometheus.NewCounter(prometheus.CounterOpts{Name: "control_svids_issued_total", Help: "SVIDs issued to proxies."}),
		issueRefused:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "control_svid_requests_refused_total", Help: "Requests for an SVID that were refused."}, []string{"reason"}),
		handshakesRefused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "control_handshakes_refused_total", Help: "Peers of the snapshot listener that did not prove themselves."}, []string{"reason"}),
		reloads:           prometheus.NewCounterVec(prometheus.CounterOpts{Name: "control_file_reloads_total", Help: "Changed files that were read again."}, []string{"files", "result"}),
		stale:             prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "control_files_refused", Help: "1 while the files on disk could not be used and older content is in force."}, []string{"files"}),
	}
	m.reports = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "control_edge_reports_total", Help: "Reports of edges, by result."}, []string{"result"})
	m.cascades = prometheus.NewCounter(prometheus.CounterOpts{Name: "control_cascades_total", Help: "Cascades that were detected."})
	m.registrationsRefused = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "control_registrations_refused_total", Help: "Registrations of endpoints that were refused."}, []string{"reason"})
	m.leasesEnded = prometheus.NewCounter(prometheus.CounterOpts{Name: "control_leases_ended_total", Help: "Registered endpoints dropped because no heartbeat came."})
	for _, w := range k.watched {
		m.stale.WithLabelValues(w.name)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "control_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": k.options.Version, "go": runtime.Version()}})
	build.Set(1)
	m.registry.MustRegister(m.subscribers, m.snapshotsSent, m.issued, m.issueRefused, m.handshakesRefused, m.reloads, m.stale, m.reports, m.cascades, m.registrationsRefused, m.leasesEnded, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, g := range k.gauges() {
		m.registry.MustRegister(prometheus.NewGaugeFunc(g.options, g.value))
	}
	return m
}

type gauge struct {
	options prometheus.GaugeOpts
	value   func() float64
}

// gauges are read when Prometheus asks.
func (k *Control) gauges() []gauge {
	newest := func(value func(*published) float64) func() float64 {
		return func() float64 {
			p, _ := k.catalog.current()
			if p == nil {
				return 0
			}
			return value(p)
		}
	}
	seconds := func(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }
	return []gauge{
		{prometheus.GaugeOpts{Name: "control_snapshot_version", Help: "Version of the newest snapshot."},
			newest(func(p *published) float64 { return float64(p.snapshot.Version) })},
		{prometheus.GaugeOpts{Name: "control_snapshot_published_timestamp_seconds", Help: "When the newest snapshot was published."},
			newest(func(p *published) float64 { return seconds(p.snapshot.Published) })},
		{prometheus.GaugeOpts{Name: "control_snapshot_services", Help: "Services in the newest snapshot."},
			newest(func(p *published) float64 { return float64(len(p.snapshot.Services)) })},
		{prometheus.GaugeOpts{Name: "control_snapshot_endpoints", Help: "Endpoints in the newest snapshot."},
			newest(func(p *published) (n float64) {
				for _, s := range p.snapshot.Services {
					n += float64(len(s.Endpoints))
				}
				return n
			})},
		{prometheus.GaugeOpts{Name: "control_snapshot_bytes", Help: "Size of the newest snapshot as it is sent."},
			newest(func(p *published) float64 { return float64(len(p.line)) })},
		{prometheus.GaugeOpts{Name: "control_registered_endpoints", Help: "Endpoints that sidecars have registered."}, func() float64 {
			if k.registered == nil {
				return 0
			}
			return float64(k.registered.count())
		}},
		{prometheus.GaugeOpts{Name: "control_authority_expiry_timestamp_seconds", Help: "When the signing certificate ends."},
			func() float64 { return seconds(k.authority.Load().Expiry()) }},
		{prometheus.GaugeOpts{Name: "control_svid_expiry_timestamp_seconds", Help: "When the control plane's own SVID ends."},
			func() float64 { return seconds(k.source.Stats().NotAfter) }},
		{prometheus.GaugeOpts{Name: "control_graph_edges", Help: "Edges of the dependency graph."},
			func() float64 { return float64(k.graph.Len()) }},
		{prometheus.GaugeOpts{Name: "control_bundle_roots", Help: "Roots that the trust domain accepts."},
			func() float64 { return float64(len(k.authority.Load().Bundle().Roots())) }},
	}
}
