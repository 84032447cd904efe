package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/discovery"
	"crossroads/proxies/edges"
	"crossroads/proxies/graph"
	"crossroads/proxies/identity"
)

// reportTimeout is how long a report may take to arrive.
const reportTimeout = 5 * time.Second

// report takes in what a proxy saw of its edges. Whose edges they are the handshake has proved: a report names only the other ends.
func (k *Control) report(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, reason string, err error) {
		k.metrics.reports.WithLabelValues(reason).Inc()
		k.options.Log.Debug("a report of edges was refused", "client", r.RemoteAddr, "reason", reason, "error", err)
		w.Header().Set("Connection", "close")
		http.Error(w, reason, status)
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(reportTimeout)) // fails only where the body is read already
	if err := k.source.Verify(*r.TLS, clientUsage); err != nil {                 // the connection may have outlived SVID or roots
		refuse(http.StatusForbidden, "unproved", err)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, edges.MaxReport))
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			refuse(http.StatusRequestEntityTooLarge, "too_long", err)
			return
		}
		refuse(http.StatusBadRequest, "cut", err)
		return
	}
	report, err := edges.Decode(text)
	if err != nil {
		refuse(http.StatusBadRequest, "malformed", err)
		return
	}
	k.take(report, identity.PeerID(*r.TLS))
	k.metrics.reports.WithLabelValues("ok").Inc()
	writeJSON(w, http.StatusOK, k.pace())
}

// take puts a report into the graph under the names by which the mesh knows the ends.
func (k *Control) take(report *edges.Report, reporter string) {
	now := k.options.Now()
	newest, _ := k.catalog.current()
	names := &newest.names
	self := names.reporter(reporter, report.Service)
	for i := range report.Windows {
		w := &report.Windows[i]
		key := graph.Key{Source: self, Destination: names.called(w.Peer)}
		if w.Direction == edges.Inbound {
			key = graph.Key{Source: names.caller(w.Peer), Destination: self}
		}
		if key.Destination != "" {
			k.graph.Add(key, report.Instance, w, now)
		}
	}
}

// names are what identities and services are called in the graph.
type names struct {
	services map[string]discovery.Service
	byID     map[string]string
}

// namesOf finds the names once for a snapshot. An identity of several services goes by the first of them in the alphabet.
func namesOf(services map[string]discovery.Service) names {
	n := names{services: services, byID: map[string]string{}}
	for name, s := range services {
		for _, e := range s.Endpoints {
			if known, some := n.byID[e.Identity]; e.Identity != "" && (!some || name < known) {
				n.byID[e.Identity] = name
			}
		}
	}
	return n
}

// reporter names whoever reports: by the service it says, if that service has its identity, else by its identity.
func (n *names) reporter(id, service string) string {
	for _, e := range n.services[service].Endpoints {
		if e.Identity == id {
			return service
		}
	}
	return n.caller(id)
}

// caller names an identity: by its service, else by its path. Only what no service is called is shortened, so that nobody passes for
// another.
func (n *names) caller(id string) string {
	if id == "" {
		return graph.Outside
	}
	if name, known := n.byID[id]; known {
		return name
	}
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		return ""
	}
	parts := strings.Split(strings.TrimPrefix(parsed.Path(), "/"), "/") // ns/NAMESPACE/sa/SERVICE
	if len(parts) != 4 || parts[0] != "ns" || parts[2] != "sa" {
		return strings.TrimPrefix(parsed.Path(), "/")
	}
	if _, taken := n.services[parts[3]]; parts[1] == "default" && !taken {
		return parts[3]
	}
	return parts[1] + "/" + parts[3]
}

// called names what a proxy calls: a service that the mesh knows, or an identity; else nothing, for anybody could invent names.
func (n *names) called(peer string) string {
	if _, known := n.services[peer]; known {
		return peer
	}
	if strings.HasPrefix(peer, "spiffe://") {
		return n.byID[peer]
	}
	return ""
}

// pace says when the next window is to be cut: at the next whole window of this clock. Windows are judged half a window later.
func (k *Control) pace() edges.Pace {
	window := k.graph.Window()
	next := window - time.Duration(k.options.Now().UnixNano())%window
	if next < window/5 { // too soon after the last one
		next += window
	}
	return edges.Pace{Every: window.Seconds(), Next: next.Seconds()}
}

// judge closes a window of the graph after the other until ctx ends.
func (k *Control) judge(ctx context.Context) {
	window := k.graph.Window()
	for {
		wait := window - time.Duration(k.options.Now().Add(window/2).UnixNano())%window
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		for _, a := range k.graph.Tick(k.options.Now()) {
			k.metrics.cascades.Inc()
			k.options.Log.Warn("a cascade began", "root", a.Root.Destination, "seen_by", a.Root.Source, "kind", a.Kind, "onset", a.Onset,
				"explains", len(a.Explained), "confidence", a.Confidence)
		}
	}
}
