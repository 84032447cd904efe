package topologies

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Limits of what a request is made of; they are those of the reference gateway's compositions.
const (
	MaxCalls = 32
	MaxPart  = 256 << 10 // bytes of a part's answer
)

var (
	partName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
	plainTarget = regexp.MustCompile(`^/([A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)?(\?[\x21-\x22\x24-\x7e]*)?$`)
)

// callable says whether every call of a request names a service; only then can the graph be walked from there. clientCalls reports
// those that do not.
func (c *checker) callable() bool {
	for _, service := range c.e.Entered() {
		if _, known := c.e.Application.Services.Get(service); !known {
			return false
		}
	}
	return true
}

// clientCalls checks what a request is made of.
func (c *checker) clientCalls(path string, r *Request) {
	at := path + ".calls"
	if c.doc.Has(at) && len(r.Calls) == 0 {
		c.report(at, "no call: write at least one {service: SERVICE}, or leave the key out")
	}
	if len(r.Calls) > MaxCalls {
		c.report(at, "%d calls: at most %d", len(r.Calls), MaxCalls)
	}
	if len(r.Calls) == 0 {
		return
	}
	if r.Method != "GET" {
		c.report(path+".method", "%s: a request that is made of calls can only be a GET, as its calls are", r.Method)
	}
	if c.e.Load.Driver == DriverVegeta && slices.ContainsFunc(c.e.Arms(), func(a *Arm) bool { return len(a.ClientCalls(r)) > 0 }) {
		c.report(at, "the vegeta driver sends one request at a time: write driver: native, or have every topology's gateway compose %s", r.Path)
	}
	for i, call := range r.Calls {
		c.clientCall(strict.Index(at, i), call)
	}
}

func (c *checker) clientCall(path string, call ClientCall) {
	s, known := c.e.Application.Services.Get(call.Service)
	switch {
	case !c.doc.Has(path + ".service"):
		c.report(path, "the key service is missing: write which service is called")
	case !known:
		c.report(path+".service", "%s", strict.Unknown("service", call.Service, c.e.Application.Services.Keys()))
	case s.Response.Size > MaxPart:
		c.report(path+".service", "%s answers with %s: a part of a composed answer may have %s", call.Service, s.Response.Size, units.Bytes(MaxPart))
	}
	plain, _, _ := strings.Cut(call.Path, "?")
	switch {
	case !plainTarget.MatchString(call.Path):
		c.report(path+".path", "path %q: write it with / first, of letters, digits and . _ ~ -, without empty elements", call.Path)
	case plain == "/healthz" || plain == "/metrics":
		c.report(path+".path", "%s is answered by the workload about itself, not by the application: take another path", plain)
	}
}

// composes holds what a gateway composes against the requests: a path that nobody asks for does nothing, and parts that are other
// calls than the client's own would be other work.
func (c *checker) composes(path string, g *Gateway) {
	if g.Use != Reference && c.e.Calls() {
		c.report(path+".use", "load.requests has calls, and %s sends everything to one service here: only the reference gateway tells services apart", g.Use)
	}
	for target, composition := range g.Compose.All() {
		at := strict.Key(path+".compose", target)
		if !plainTarget.MatchString(target) || strings.Contains(target, "?") {
			c.report(at, "path %q: write it with / first, of letters, digits and . _ ~ -, without empty elements and without a query", target)
		}
		asked := false
		for _, r := range c.e.Load.Requests {
			if r.Path != target {
				continue
			}
			asked = true
			if len(r.Calls) == 0 {
				c.report(at, "load.requests has a request for %s that is not made of calls: what it asks of the application elsewhere would not be asked here", target)
			} else if !sameCalls(r.Calls, composition) {
				c.report(at, "the parts are not the calls that the request for %s is made of: write the same services and paths, for the same work", target)
			}
		}
		if !asked {
			c.report(at, "no request asks for %s: write a path of load.requests", target)
		}
		for name := range composition.Parts.All() {
			if !partName.MatchString(name) {
				c.report(strict.Key(at+".parts", name), "%q is not a name: write letters, digits, - and _, a letter first", name)
			}
		}
	}
}

func sameCalls(calls []ClientCall, composition Composition) bool {
	var parts []ClientCall
	for _, part := range composition.Parts.All() {
		parts = append(parts, part)
	}
	order := func(a, b ClientCall) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Path, b.Path))
	}
	calls = slices.Clone(calls)
	slices.SortFunc(calls, order)
	slices.SortFunc(parts, order)
	return slices.Equal(calls, parts)
}

// client refuses what can do nothing: an order of calls where the client makes none.
func (c *checker) client(path string, t Topology) {
	c.oneOf(path+".calls", "order of calls", t.Client.Calls, orders)
	a := &Arm{Topology: t, Experiment: c.e}
	if !slices.ContainsFunc(c.e.Load.Requests, func(r Request) bool { return len(a.ClientCalls(&r)) > 0 }) {
		c.report(path, "the client makes no calls itself here: leave the key out, or write load.requests with calls that the gateway does not compose")
	}
}
