package workload

import (
	"fmt"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// counts is what a node did, for /metrics. Written out here in the text format of Prometheus: a registry would be the most expensive
// part of a node that does nothing.
type counts struct {
	inFlight atomic.Int64
	statuses [6]atomic.Uint64 // by class, 2xx at 2
	calls    map[string]*callCount
	callees  []string // in the order of the script
}

type callCount struct {
	ok, declared, failed atomic.Uint64
}

// call returns the counter of calls to a service.
func (c *counts) call(service string) *callCount {
	if known, ok := c.calls[service]; ok {
		return known
	}
	c.calls[service] = &callCount{}
	c.callees = append(c.callees, service)
	return c.calls[service]
}

func (c *counts) answered(status int) { c.statuses[min(status/100, 5)].Add(1) }

func (c *callCount) count(r result) {
	switch {
	case r.failed == "":
		c.ok.Add(1)
	case r.declared:
		c.declared.Add(1)
	default:
		c.failed.Add(1)
	}
}

func (c *counts) write(ctx *fasthttp.RequestCtx, service, replica string) {
	ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprintf(ctx, "# HELP workload_requests_total Requests answered, by class of status.\n# TYPE workload_requests_total counter\n")
	for _, class := range []int{2, 4, 5} {
		fmt.Fprintf(ctx, "workload_requests_total{service=%q,replica=%q,code=\"%dxx\"} %d\n", service, replica, class, c.statuses[class].Load())
	}
	fmt.Fprintf(ctx, "# HELP workload_requests_in_flight Requests being worked on.\n# TYPE workload_requests_in_flight gauge\n")
	fmt.Fprintf(ctx, "workload_requests_in_flight{service=%q,replica=%q} %d\n", service, replica, c.inFlight.Load())
	fmt.Fprintf(ctx, "# HELP workload_calls_total Calls made to other services, by result.\n# TYPE workload_calls_total counter\n")
	for _, to := range c.callees {
		n := c.calls[to]
		for _, r := range []struct {
			result string
			count  uint64
		}{{"ok", n.ok.Load()}, {"declared_error", n.declared.Load()}, {"failed", n.failed.Load()}} {
			fmt.Fprintf(ctx, "workload_calls_total{service=%q,replica=%q,to=%q,result=%q} %d\n", service, replica, to, r.result, r.count)
		}
	}
}
