package control

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// adminHandler serves operators. None of its pages shows a secret: the configuration names files, and a bundle is public.
func (k *Control) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := k.notReady(); why != "" {
			writeText(w, http.StatusServiceUnavailable, why+"\n")
			return
		}
		writeText(w, http.StatusOK, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(k.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, k.config) })
	mux.HandleFunc("GET /snapshot", func(w http.ResponseWriter, _ *http.Request) {
		newest, _ := k.catalog.current()
		if newest == nil {
			writeText(w, http.StatusServiceUnavailable, collecting+"\n")
			return
		}
		writeJSON(w, http.StatusOK, newest.snapshot)
	})
	mux.HandleFunc("GET /bundle", func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, http.StatusOK, string(k.authority.Load().Bundle().PEM()))
	})
	mux.HandleFunc("GET /graph", k.showGraph)
	mux.HandleFunc("GET /cascades", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"window_seconds": k.graph.Window().Seconds(), "alarms": k.graph.Alarms()})
	})
	return mux
}

const collecting = "collecting registrations after a restart: the first snapshot is not published yet"

// notReady says why the control plane is not ready, or "".
func (k *Control) notReady() string {
	if k.draining.Load() {
		return "draining"
	}
	if !k.source.Ready() {
		return "the control plane's own SVID has ended"
	}
	if newest, _ := k.catalog.current(); newest == nil {
		return collecting
	}
	return ""
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text)) // see writeJSON
}
