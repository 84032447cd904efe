package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SVID is what metrics show of a proxy's identity.
type SVID struct {
	NotAfter            time.Time // zero: none yet
	Rotations, Failures uint64
}

// ConfigState is what metrics show of discovery.
type ConfigState struct {
	Version     uint64    // in force; 0: none yet
	Published   time.Time // of that version, by the control plane's clock
	Propagation time.Duration
	Connected   bool
}

// Identity exports svid_expiry_seconds, svid_rotations_total and svid_rotation_failures_total.
func (m *Metrics) Identity(state func() SVID) {
	m.gaugeFunc("svid_expiry_seconds", "Seconds until the SVID expires; below 0 without one.", func() float64 {
		if at := state().NotAfter; !at.IsZero() {
			return time.Until(at).Seconds()
		}
		return -1
	})
	m.counterFunc("svid_rotations_total", "SVIDs obtained after the first.", func() float64 { return float64(state().Rotations) })
	m.counterFunc("svid_rotation_failures_total", "Tries at an SVID that failed.", func() float64 { return float64(state().Failures) })
}

// Config exports config_version, config_age_seconds, config_propagation_seconds and control_connected.
func (m *Metrics) Config(state func() ConfigState) {
	m.gaugeFunc("config_version", "Version of the discovered configuration in force.", func() float64 { return float64(state().Version) })
	m.gaugeFunc("config_age_seconds", "Seconds since the version in force was published; below 0 without one.", func() float64 {
		if s := state(); s.Version != 0 {
			return time.Since(s.Published).Seconds()
		}
		return -1
	})
	m.gaugeFunc("config_propagation_seconds", "Published to applied, of the last change.", func() float64 {
		return state().Propagation.Seconds()
	})
	m.gaugeFunc("control_connected", "1 while the control plane is connected.", func() float64 {
		if state().Connected {
			return 1
		}
		return 0
	})
}

// RegistrationState is what metrics show of a proxy's own registration with the control plane.
type RegistrationState struct {
	Registered bool
	Failures   uint64
}

// Registration exports registered and registration_failures_total.
func (m *Metrics) Registration(state func() RegistrationState) {
	m.gaugeFunc("registered", "1 while the control plane publishes this proxy's endpoint on its word.", func() float64 {
		if state().Registered {
			return 1
		}
		return 0
	})
	m.counterFunc("registration_failures_total", "Heartbeats that failed.", func() float64 { return float64(state().Failures) })
}

func (m *Metrics) gaugeFunc(name, help string, value func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.prefix + name, Help: help}, value))
}

func (m *Metrics) counterFunc(name, help string, value func() float64) {
	m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.prefix + name, Help: help}, value))
}
