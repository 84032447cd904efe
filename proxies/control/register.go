package control

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"crossroads/proxies/discovery"
	"crossroads/proxies/identity"
)

// gather is how long changes of registrations are collected before they are published: a fleet that starts makes some snapshots, and
// not one for each of its members.
const gather = 100 * time.Millisecond

// maxRegistration bounds the body of one.
const maxRegistration = 4 << 10

// takeRegistrations adds the paths of registrations, if there are any.
func (k *Control) takeRegistrations(mux *http.ServeMux) {
	if k.registered == nil {
		return
	}
	mux.HandleFunc("PUT "+discovery.RegisterPath, func(w http.ResponseWriter, r *http.Request) {
		asked, id, from, refused := k.readRegistration(r)
		address := ""
		if refused == nil {
			address, refused = k.registered.put(asked, id, k.catalog.promised(asked.Service), from, k.options.Now())
		}
		if refused != nil {
			k.refuseRegistration(w, id, refused)
			return
		}
		writeJSON(w, http.StatusOK, discovery.Registered{Address: address, LeaseMS: k.registered.lease.Milliseconds()})
	})
	mux.HandleFunc("DELETE "+discovery.RegisterPath, func(w http.ResponseWriter, r *http.Request) {
		asked, id, from, refused := k.readRegistration(r)
		if refused == nil {
			refused = k.registered.drop(asked, id, k.catalog.promised(asked.Service), from)
		}
		if refused != nil {
			k.refuseRegistration(w, id, refused)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// readRegistration says who asks for what, from where. The connection may be older than a change of the roots: it is proved again.
func (k *Control) readRegistration(r *http.Request) (asked discovery.Registration, id string, from netip.Addr, _ *notTaken) {
	if err := k.source.Verify(*r.TLS, x509.ExtKeyUsageClientAuth); err != nil {
		return asked, "", from, &notTaken{string(identity.ReasonOf(err)), err.Error()}
	}
	id = identity.PeerID(*r.TLS)
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRegistration))
	d.DisallowUnknownFields()
	if err := d.Decode(&asked); err != nil {
		return asked, id, from, &notTaken{"malformed", "the body is no registration"}
	}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = at.Addr().Unmap()
	}
	return asked, id, from, nil
}

func (k *Control) refuseRegistration(w http.ResponseWriter, id string, refused *notTaken) {
	k.metrics.registrationsRefused.WithLabelValues(refused.reason).Inc()
	k.options.Log.Warn("an endpoint was not registered", "id", id, "reason", refused.reason, "detail", refused.detail)
	status := http.StatusForbidden
	switch refused.reason {
	case "malformed":
		status = http.StatusBadRequest
	case "service_taken":
		status = http.StatusConflict
	case "too_many":
		status = http.StatusTooManyRequests
	}
	writeJSON(w, status, discovery.RegisterRefused{Reason: refused.reason, Detail: refused.detail})
}

// keepRegistrations publishes what was registered and ends leases, until ctx ends. After a restart nothing is published before every
// sidecar that lives had the time to say so: snapshots are complete, and one without the registered would take them all away.
func (k *Control) keepRegistrations(ctx context.Context) {
	if k.registered == nil {
		return
	}
	tick := time.NewTicker(gather)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		k.publishRegistered()
	}
}

func (k *Control) publishRegistered() {
	now := k.options.Now()
	if n := k.registered.expire(now); n > 0 {
		k.metrics.leasesEnded.Add(float64(n))
		k.options.Log.Warn("leases ended without a word", "endpoints", n)
	}
	if services, changed := k.registered.take(); changed {
		if err := k.catalog.setRegistered(services); err != nil {
			k.options.Log.Error("what was registered is not published", "error", err)
		}
	}
	if err := k.catalog.release(now); err != nil {
		k.options.Log.Error("no snapshot is published", "error", err)
	}
}
