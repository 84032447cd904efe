package exchange

import (
	"time"

	"crossroads/proxies/wire"
)

// Route is where a request goes and under which terms. It is immutable and shared by all exchanges of a snapshot.
type Route struct {
	Name     string
	Backends []Backend     // chosen by weight
	Timeout  time.Duration // whole exchange, bodies included; 0: none
	PerTry   time.Duration // one try, until the response head; 0: none
	Idle     time.Duration // silence on a streamed body; 0: none
	MaxBody  int64         // request body in bytes; 0: no limit
	Retry    Retry
	Tolerate wire.Flaw // ways in which the path may be ambiguous
	// CarryDeadline makes the exchange end when its caller will have given up (X-Mesh-Timeout), and tells the callee.
	CarryDeadline bool
}

// Backend is one weighted target of a route.
type Backend struct {
	Name   string
	Weight int
	To     Forwarder
}

// Retry is a route's terms for trying again; the zero value never does.
type Retry struct {
	Attempts   int           // tries in all; below 2: no retry
	On         []int         // statuses that are retried besides connection failures
	Backoff    time.Duration // bound of the first random wait; doubles up to MaxBackoff
	MaxBackoff time.Duration
}
