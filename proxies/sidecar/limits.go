package sidecar

import (
	"slices"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/telemetry"
)

// limits are what one caller may take of the application, over HTTP and opaque connections together, and what all may open to it.
// The chains of the mesh and of the ingress share them.
type limits struct {
	rate        *stage.RateLimit         // nil: none
	concurrency *stage.CallerConcurrency // nil: none
	connections int                      // 0: none
}

func (l *limits) open(c *config.CallerLimits, m *telemetry.Metrics) {
	if c == nil {
		return
	}
	l.connections = c.Connections
	if c.Mode == config.Off {
		return
	}
	if c.Rate > 0 {
		l.rate = stage.NewCallerRate(*c, m)
	}
	if c.Concurrent > 0 {
		l.concurrency = stage.NewCallerConcurrency(*c, m)
	}
}

// stages are those of the inbound chains: the rate first, so that what it refuses holds no place.
func (l *limits) stages() (found []exchange.Stage) {
	if l.rate != nil {
		found = append(found, l.rate)
	}
	if l.concurrency != nil {
		found = append(found, l.concurrency)
	}
	return found
}

// connectionStages are the same for opaque connections.
func (l *limits) connectionStages() (found []exchange.ConnStage) {
	if l.rate != nil {
		found = append(found, l.rate.Connections())
	}
	if l.concurrency != nil {
		found = append(found, l.concurrency.Connections())
	}
	return found
}

// places adds what bounds the connections to one port of the application.
func (l *limits) places(judged []exchange.ConnStage) []exchange.ConnStage {
	if l.connections <= 0 {
		return judged
	}
	return append(slices.Clip(judged), stage.NewPlaces(l.connections))
}
