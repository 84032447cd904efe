package topologies

import (
	"regexp"
	"slices"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

func (c *checker) load() {
	l := &c.e.Load
	c.required("$.load", "the key load is missing: write at least load: {rates: [500]}")
	if c.doc.Has("$.load") {
		c.required("$.load.rates", "the key rates is missing: write what is offered per second, such as [500, 1k] or 1k..16k*2")
	}
	c.rates(l)
	c.oneOf("$.load.driver", "driver", l.Driver, drivers)
	c.oneOf("$.load.pacing", "pacing", l.Pacing, pacings)
	if l.Driver != DriverNative && l.Pacing != "" {
		c.report("$.load.pacing", "pacing is a setting of the native driver: it does nothing with driver: %s", l.Driver)
	}
	c.within("$.load.rounds", l.Rounds, 1, MaxRounds)
	c.connections(l.Connections)
	if l.Duration <= 0 {
		c.report("$.load.duration", "a block of no length measures nothing")
	}
	if c.doc.Has("$.load.duration_elsewhere") && l.DurationElsewhere <= 0 {
		c.report("$.load.duration_elsewhere", "a block of no length measures nothing: leave the key out to use duration everywhere")
	}
	if l.Timeout <= 0 {
		c.report("$.load.timeout", "a request without a timeout can hold a trial for ever")
	}
	c.arrivals(&l.Arrivals)
	if n := len(l.Requests); n > MaxRequests {
		c.report("$.load.requests", "%d kinds of request: at most %d", n, MaxRequests)
	}
	for i := range l.Requests {
		path := strict.Index("$.load.requests", i)
		c.request(path, &l.Requests[i])
		c.clientCalls(path, &l.Requests[i])
	}
}

func (c *checker) rates(l *Driving) {
	if c.doc.Has("$.load.rates") && len(l.Rates) == 0 && c.doc.Root().Lookup("$.load.rates").Kind == strict.List {
		c.report("$.load.rates", "no rate: write what is offered per second, such as [500, 1k]")
	}
	if len(l.Rates) > MaxRates {
		c.report("$.load.rates", "%d rates: at most %d", len(l.Rates), MaxRates)
	}
	longest := max(l.Duration, l.DurationElsewhere) + l.Warmup
	for i, rate := range l.Rates {
		path := strict.Index("$.load.rates", i)
		switch {
		case rate <= 0:
			c.report(path, "a rate of %s offers nothing", rate)
		case slices.Contains(l.Rates[:i], rate):
			c.report(path, "rate %s is listed twice: its trials could not be told apart", rate)
		case rate.F()*longest.D().Seconds() > MaxSamples:
			c.report(path, "%s a second for %s are %.0f requests in one trial: at most %d", rate, longest, rate.F()*longest.D().Seconds(), MaxSamples)
		}
	}
	if c.doc.Has("$.load.reference_rate") && len(l.Rates) > 0 && !slices.Contains(l.Rates, l.ReferenceRate) {
		known := make([]string, len(l.Rates))
		for i, rate := range l.Rates {
			known[i] = rate.String()
		}
		c.report("$.load.reference_rate", "reference_rate %s is not among the rates: they are %s", l.ReferenceRate, strings.Join(known, ", "))
	}
}

func (c *checker) connections(all Ints) {
	if len(all) == 0 {
		c.report("$.load.connections", "no connections: write a number or a list")
	}
	for i, n := range all {
		if n < 1 || n > MaxConnections || slices.Contains(all[:i], n) {
			c.report("$.load.connections", "%d connections: write each number once, from 1 to %d", n, MaxConnections)
		}
	}
}

func (c *checker) arrivals(a *Arrivals) {
	switch {
	case a.Kind == ArrivalsRamp && a.Ramp != nil && !c.doc.Has("$.load.arrivals.ramp.from"):
		c.report("$.load.arrivals.ramp", "the key from is missing: write the share of the rate that the ramp starts at, such as 10%%")
	case a.Kind == ArrivalsRecorded && a.Recorded == "":
		c.report("$.load.arrivals.recorded", "recorded needs the file that holds the due times")
	}
}

var (
	token     = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.6.2
	fieldText = regexp.MustCompile(`^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$`)
	target    = regexp.MustCompile(`^/[\x21\x22\x24-\x7e]*$`) // no space, no fragment
)

// reserved are the fields that the driver and the message itself decide.
var reserved = []string{"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect", "keep-alive"}

func (c *checker) request(path string, r *Request) {
	c.oneOf(path+".method", "method", r.Method, methods)
	switch {
	case !target.MatchString(r.Path):
		c.report(path+".path", "path %q: write it with / first and without spaces", r.Path)
	case r.Path == "/healthz" || r.Path == "/metrics" || r.Path == "/faults":
		c.report(path+".path", "%s is answered by the workload about itself, not by the application: take another path", r.Path)
	}
	c.within(path+".weight", r.Weight, 1, 1_000_000)
	if r.Body.Size > 0 && (r.Method == "GET" || r.Method == "DELETE") {
		c.report(path+".body", "%s has no body here: use POST, PUT or PATCH", r.Method)
	}
	c.size(path+".body.size", r.Body.Size)
	seen := map[string]bool{}
	for name, value := range r.Headers.All() {
		at, lower := strict.Key(path+".headers", name), strings.ToLower(name)
		switch {
		case !token.MatchString(name):
			c.report(at, "%q is not a field name", name)
		case slices.Contains(reserved, lower) || strings.HasPrefix(lower, "x-crossroads-"):
			c.report(at, "%s is set by the driver", name)
		case seen[lower]:
			c.report(at, "%s is written twice: field names know no case", name)
		case value != "" && !fieldText.MatchString(value):
			c.report(at, "%q is not a field value: use visible ASCII with single lines", value)
		}
		seen[lower] = true
	}
}

func (c *checker) size(path string, size units.Bytes) {
	if size > MaxBody {
		c.report(path, "%s is more than the %s a body may have", size, units.Bytes(MaxBody))
	}
}
