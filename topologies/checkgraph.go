package topologies

import (
	"strings"
	"time"

	"crossroads/proxies/config/strict"
)

// taken are the words that process ids begin with; a service of that name could not be told from a proxy.
var taken = []string{"gateway", "control", "sidecar", "driver", "issuer"}

func (c *checker) application() {
	a := &c.e.Application
	if !c.doc.Has("$.application") {
		c.report("$.application", "the key application is missing: write {entry: app, services: {app: {}}} for the smallest")
		return
	}
	c.required("$.application.services", "the key services is missing: write at least {app: {}}")
	if n := a.Services.Len(); n > MaxServices {
		c.report("$.application.services", "%d services: at most %d", n, MaxServices)
	}
	for name, s := range a.Services.All() {
		c.service(name, strict.Key("$.application.services", name), s)
	}
	if a.Entry == "" {
		c.required("$.application.entry", "the key entry is missing: write which service the driver calls")
	}
	if _, known := a.Services.Get(a.Entry); c.doc.Has("$.application.entry") && !known {
		c.report("$.application.entry", "%s", strict.Unknown("service", a.Entry, a.Services.Keys()))
	} else if known && !c.circle() && c.callable() {
		c.reached()
	}
}

func (c *checker) service(name, path string, s Service) {
	if !serviceName.MatchString(name) {
		c.report(path, "service name %q: use at most 40 lower-case letters, digits and -, a letter first: it becomes a host name", name)
	}
	for _, word := range taken {
		if name == word || strings.HasPrefix(name, word+"-") {
			c.report(path, "service name %q: names that begin with %s are those of proxies", name, word)
		}
	}
	c.within(path+".replicas", s.Replicas, 1, MaxReplicas)
	c.size(path+".response.size", s.Response.Size)
	if s.Work.CPU.D() > 10*time.Second {
		c.report(path+".work.cpu", "%s of CPU for one request: at most 10s", s.Work.CPU)
	}
	c.wait(path+".work.wait", &s.Work.Wait)
	if len(s.Script) > MaxSteps {
		c.report(path+".script", "%d steps: at most %d", len(s.Script), MaxSteps)
	}
	for i, step := range s.Script {
		c.step(name, strict.Index(path+".script", i), step)
	}
}

func (c *checker) step(name, path string, step Step) {
	if len(step.Calls) > MaxSteps {
		c.report(path, "%d calls at the same time: at most %d", len(step.Calls), MaxSteps)
	}
	for i, call := range step.Calls {
		at := path
		if c.doc.Root().Lookup(strict.Index(path, i)) != nil {
			at = strict.Index(path, i)
		}
		c.size(at+".request.size", call.Request.Size)
		_, known := c.e.Application.Services.Get(call.Call)
		switch {
		case !c.doc.Has(at + ".call"):
			c.report(at, "the key call is missing: write {call: SERVICE}")
		case !known:
			c.report(at+".call", "%s", strict.Unknown("service", call.Call, c.e.Application.Services.Keys()))
		case call.Call == name:
			c.report(at+".call", "%s calls itself", name)
		}
	}
}

func (c *checker) wait(path string, w *Wait) {
	var set []string
	for _, d := range []struct {
		key string
		set bool
	}{{"fixed", w.Fixed != nil}, {"uniform", w.Uniform != nil}, {"exponential", w.Exponential != nil},
		{"lognormal", w.Lognormal != nil}, {"recorded", c.doc.Has(path + ".recorded")}} {
		if d.set {
			set = append(set, d.key)
		}
	}
	if len(set) > 1 {
		c.report(path, "a wait has one distribution, here are %s", strings.Join(set, " and "))
	}
	switch {
	case w.Uniform != nil && w.Uniform.Max <= w.Uniform.Min:
		c.report(path+".uniform", "max %s is not above min %s", w.Uniform.Max, w.Uniform.Min)
	case w.Exponential != nil && w.Exponential.Mean <= 0:
		c.report(path+".exponential", "the key mean is missing or zero")
	case w.Lognormal != nil && w.Lognormal.Median <= 0:
		c.report(path+".lognormal", "the key median is missing or zero")
	case w.Lognormal != nil && !(w.Lognormal.Sigma > 0 && w.Lognormal.Sigma <= 5):
		c.report(path+".lognormal", "sigma %g is outside 0 to 5: it is the standard deviation of the logarithm, 0.5 is much already", w.Lognormal.Sigma)
	case c.doc.Has(path+".recorded") && len(w.Recorded) == 0:
		c.report(path+".recorded", "no recorded wait: write at least one")
	case w.Mean() > time.Minute:
		c.report(path, "a mean wait of %s: at most 1m", w.Mean())
	}
}

// circle reports the calls that lead back to their caller, each circle once, and says whether there was one.
func (c *checker) circle() bool {
	services, found := &c.e.Application.Services, false
	state := map[string]int{} // 1: on the way, 2: done
	var trail []string
	var visit func(name string)
	visit = func(name string) {
		s, known := services.Get(name)
		if !known || state[name] == 2 {
			return
		}
		state[name], trail = 1, append(trail, name)
		for i, step := range s.Script {
			for j, call := range step.Calls {
				if state[call.Call] == 1 && call.Call != name {
					found = true
					c.report(c.callPath(name, i, j)+".call", "calls go in a circle: %s", circleText(trail, call.Call))
				}
				found = found || call.Call == name
				if state[call.Call] == 0 {
					visit(call.Call)
				}
			}
		}
		state[name], trail = 2, trail[:len(trail)-1]
	}
	for _, name := range services.Keys() {
		visit(name)
	}
	return found
}

func circleText(trail []string, back string) string {
	for i, name := range trail {
		if name == back {
			trail = trail[i:]
			break
		}
	}
	return strings.Join(trail, " -> ") + " -> " + back
}

// callPath names one call of a script, however its step is written.
func (c *checker) callPath(service string, step, call int) string {
	path := strict.Index(strict.Key("$.application.services", service)+".script", step)
	if at := strict.Index(path, call); c.doc.Root().Lookup(at) != nil {
		return at
	}
	return path
}

// reached reports services that no request can get to, and a graph that multiplies one request into too many.
func (c *checker) reached() {
	a := &c.e.Application
	visits, called := c.e.visits(), map[string]bool{}
	for _, edge := range c.e.edges() {
		called[edge.Callee] = true
	}
	for _, name := range a.Services.Keys() {
		path := strict.Key("$.application.services", name)
		switch {
		case visits[name] == 0 && called[name]:
			c.report(path, "no request reaches %s: whoever calls it is never called", name)
		case visits[name] == 0:
			c.report(path, "nobody calls %s: call it in a script, make it the entry, or leave it out", name)
		}
	}
	total := 0
	for _, n := range visits {
		total = min(total+n, MaxVisits+1)
	}
	if total > MaxVisits {
		c.report("$.application.services", "one request can cause more than %d calls", MaxVisits)
	}
}
