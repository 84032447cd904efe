// Package operate is what every proxy offers those who run it: the admin listener, readiness, the way in which it stops, and how
// its command speaks.
//
// Its one invariant: nothing here stands on the data path, and nothing an operator asks for shows a secret. It does not know what
// a proxy does with requests; gateway and sidecar hand in what is to be shown.
package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Admin is the operators' listener: /healthz, /readyz, /metrics and whatever pages the proxy adds.
type Admin struct {
	listener net.Listener
	server   *http.Server
	mux      *http.ServeMux
}

// NewAdmin opens the listener. ready returns why the proxy should get no traffic now, or nil.
func NewAdmin(address string, metrics http.Handler, ready func() error) (*Admin, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the admin listener: %w", err)
	}
	a := &Admin{listener: l, mux: http.NewServeMux()}
	a.server = &http.Server{Handler: a.mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	a.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	a.mux.Handle("GET /metrics", metrics)
	return a, nil
}

// Page adds a page that shows a value as JSON, asked anew each time.
func (a *Admin) Page(path string, value func() any) {
	a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(value()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// Action adds something that a POST does. Its error is the answer, with 422: what was asked for cannot be done as things are.
func (a *Admin) Action(path string, do func() error) {
	a.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, _ *http.Request) {
		if err := do(); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		fmt.Fprintln(w, "done")
	})
}

// Handle adds a page that answers for itself; nil adds none.
func (a *Admin) Handle(path string, h http.Handler) {
	if h != nil {
		a.mux.Handle(path, h)
	}
}

// Address is where the listener is, also where its port was left to the system.
func (a *Admin) Address() string { return a.listener.Addr().String() }

// Serve answers until Close.
func (a *Admin) Serve() error {
	if err := a.server.Serve(a.listener); err != http.ErrServerClosed {
		return fmt.Errorf("serve the admin listener: %w", err)
	}
	return nil
}

// Close ends the listener; a page being sent has a second.
func (a *Admin) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		a.server.Close()
	}
	a.listener.Close() // where Serve was never called
}
