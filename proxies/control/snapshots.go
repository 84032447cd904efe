package control

import (
	"crypto/x509"
	"net/http"
	"time"

	"crossroads/proxies/discovery"
	"crossroads/proxies/edges"
)

const (
	defaultHeartbeat = discovery.Heartbeat
	writeTimeout     = 10 * time.Second // of one message to one subscriber
	clientUsage      = x509.ExtKeyUsageClientAuth
)

func (k *Control) snapshotHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+discovery.Path, k.stream)
	mux.HandleFunc("POST "+edges.Path, k.report)
	k.takeRegistrations(mux)
	return mux
}

// stream sends the newest snapshot, and each one that follows, until the client goes, its SVID ends or the control plane stops. The
// client then comes again, with a fresh SVID.
func (k *Control) stream(w http.ResponseWriter, r *http.Request) {
	heartbeat, err := discovery.Encode(discovery.Message{Format: discovery.Format})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	k.metrics.subscribers.Inc()
	defer k.metrics.subscribers.Dec()
	out := http.NewResponseController(w)
	send := func(line []byte) bool {
		out.SetWriteDeadline(time.Now().Add(writeTimeout)) // a connection without deadlines would fail in Write too
		_, err := w.Write(line)
		return err == nil && out.Flush() == nil
	}
	expired := time.NewTimer(r.TLS.PeerCertificates[0].NotAfter.Sub(k.options.Now()))
	defer expired.Stop()
	silence := time.NewTicker(k.options.Heartbeat)
	defer silence.Stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	newest, changed := k.catalog.current()
	for newest == nil { // after a restart, until registrations are collected
		select {
		case <-changed:
			newest, changed = k.catalog.current()
		case <-k.stopStreams:
			return
		case <-r.Context().Done():
			return
		}
	}
	for line, last := newest.line, false; send(line) && !last; {
		silence.Reset(k.options.Heartbeat)
		select {
		case <-changed:
			newest, changed = k.catalog.current()
			line = newest.line
			// A change of the roots may have taken this peer's away. It is told so, or it could not know that it needs another SVID.
			last = k.source.Verify(*r.TLS, clientUsage) != nil
			k.metrics.snapshotsSent.Inc()
		case <-silence.C:
			line = heartbeat
		case <-expired.C:
			return
		case <-k.stopStreams:
			return
		case <-r.Context().Done():
			return
		}
	}
}
