package config

import "crossroads/proxies/config/units"

// This file holds what an upstream and a route can be told about endpoints that fail.

// Breaker trips an endpoint out of the balancer and probes it with one request after a pause. Any of its three reasons opens it:
// a run of failures, a success rate that is too low, too many slow calls. Rates are taken over the last ten seconds.
type Breaker struct {
	Mode                Mode           `yaml:"mode,omitempty" json:"mode"`
	ConsecutiveFailures int            `yaml:"consecutive_failures,omitempty" json:"consecutive_failures"`
	SuccessRate         units.Share    `yaml:"success_rate,omitempty" json:"success_rate"` // opens below it; 0%: not looked at
	MinRequests         int            `yaml:"min_requests,omitempty" json:"min_requests"` // in the window, before rates count
	SlowCall            units.Duration `yaml:"slow_call,omitempty" json:"slow_call"`       // to the response head; 0: no call is slow
	SlowRate            units.Share    `yaml:"slow_rate,omitempty" json:"slow_rate"`       // opens above it
	Open                units.Duration `yaml:"open,omitempty" json:"open"`                 // first pause; doubles
	MaxOpen             units.Duration `yaml:"max_open,omitempty" json:"max_open"`         // longest pause
	MaxEjected          units.Share    `yaml:"max_ejected,omitempty" json:"max_ejected"`   // of the endpoints, at most; one may always be
}

// Health asks every endpoint by itself whether it is well: GET Path, answered with 2xx.
type Health struct {
	Path     string         `yaml:"path" json:"path"`
	Host     string         `yaml:"host,omitempty" json:"host,omitempty"` // Host field; default: the endpoint's address
	Interval units.Duration `yaml:"interval,omitempty" json:"interval"`
	Timeout  units.Duration `yaml:"timeout,omitempty" json:"timeout"` // connecting included
	Down     int            `yaml:"down,omitempty" json:"down"`       // checks in a row that fail before it gets no requests
	Up       int            `yaml:"up,omitempty" json:"up"`           // checks in a row that pass before it gets them again
}

// Limits bound what an upstream carries at a time. What goes beyond is refused at once; 0: no limit.
type Limits struct {
	Requests            int `yaml:"requests,omitempty" json:"requests"`
	RequestsPerEndpoint int `yaml:"requests_per_endpoint,omitempty" json:"requests_per_endpoint"`
	Connections         int `yaml:"connections,omitempty" json:"connections"` // over all endpoints; max_connections bounds each
	Pending             int `yaml:"pending,omitempty" json:"pending"`         // requests that wait for a connection to open
	Retries             int `yaml:"retries,omitempty" json:"retries"`
}

// Retry lets a request that failed go to another endpoint; off unless attempts is 2 or more. Only what is idempotent or provably
// was not processed is sent again, and never more than the upstream's budget allows.
type Retry struct {
	Attempts   int            `yaml:"attempts,omitempty" json:"attempts"`       // in all, the first included
	Codes      []int          `yaml:"codes,omitempty" json:"codes,omitempty"`   // statuses that are tried again, besides failed connections
	Backoff    units.Duration `yaml:"backoff,omitempty" json:"backoff"`         // bound of the first random wait; doubles
	MaxBackoff units.Duration `yaml:"max_backoff,omitempty" json:"max_backoff"` // bound of the longest
}

// RetryBudget bounds the retries of an upstream, over ten seconds and at any moment.
type RetryBudget struct {
	Share         units.Share `yaml:"share,omitempty" json:"share"`                   // of the requests of the last ten seconds
	PerSecond     units.Count `yaml:"per_second,omitempty" json:"per_second"`         // allowed besides
	Concurrent    units.Share `yaml:"concurrent,omitempty" json:"concurrent"`         // of the requests in flight
	MinConcurrent int         `yaml:"min_concurrent,omitempty" json:"min_concurrent"` // allowed at the least
}
