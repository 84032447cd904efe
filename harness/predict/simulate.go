package predict

import (
	"math"
	"math/rand/v2"
	"slices"

	"crossroads/topologies"
)

// wake describes what a request waits for besides CPU time.
type wake struct {
	OnPath   float64 `json:"on_path"`      // share of a process's CPU time that delays the request; the rest is spent beside it
	Workload float64 `json:"workload_ns"`  // median latency of waking the workload
	Proxy    float64 `json:"proxy_ns"`     // and of waking a proxy
	Sigma    float64 `json:"sigma"`        // of the logarithm of these latencies
	Rare     float64 `json:"rare"`         // share of wake-ups that take longer by an exponential time
	Long     float64 `json:"rare_mean_ns"` // with this mean
	Client   float64 `json:"client_ns"`    // the driver's own part of a response time
}

// costs are ns of CPU time for one passage of a part in the processes of one service, declared work apart.
type costs struct{ visit, wait, call, further, gateway, ingress, outbound, outboundFurther, inbound float64 }

// costs are by service.
func (m *Model) costs(p *plan, rate float64) map[string]costs {
	all := map[string]costs{}
	for name, visits := range p.visits {
		of := func(kind, part string) float64 { return m.Prices[kind].Of[part] * m.Prices[kind].at(rate*visits) }
		all[name] = costs{
			visit: of(workload, partVisit) + of(workload, p.arrival[name]), wait: of(workload, partWait), call: of(workload, partCall), further: of(workload, partFurther), gateway: of(gateway, p.gateway),
			ingress: of(sidecar, p.ingress), outbound: of(sidecar, p.outbound), outboundFurther: of(sidecar, furtherOf(p.outbound)), inbound: of(sidecar, p.inbound),
		}
	}
	return all
}

// simulation is one machine under load: arrivals as the driver draws them, CPUs that serve first come, first served.
type simulation struct {
	plan *plan
	cost map[string]costs // by service
	wake wake
	cpus int
	rate float64
	seed uint64

	now       float64 // ns
	events    events
	free      int
	processes map[place]*process
	queue     []task
	head      int
	times     []float64
}

// task is CPU time that a process asks for: next is told once onPath of it is spent.
type task struct {
	of             *process
	onPath, beside float64
	next           func()
}

// place is which process something happens in: a kind, and the service that it is or stands beside.
type place struct{ kind, service string }

// process runs one task at a time: a second thread of it wakes only for bursts that are longer than what waits here.
type process struct {
	busy    bool
	waiting []task
}

type event struct {
	at float64
	do func()
}

// events is a binary heap, the earliest first. container/heap would box every event.
type events []event

func (e *events) push(v event) {
	h := append(*e, v)
	i := len(h) - 1
	for i > 0 && h[(i-1)/2].at > v.at {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = v
	*e = h
}

func (e *events) pop() event {
	h := *e
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*e = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if h[child].at >= last.at {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}

// run simulates n requests and returns their response times in seconds, sorted.
func (s *simulation) run(n int) []float64 {
	s.free, s.processes = s.cpus, map[place]*process{}
	arrivals := rand.New(rand.NewPCG(s.seed, 0))
	due := make([]float64, n)
	for i := range due {
		due[i] = arrivals.Float64() * float64(n) / s.rate * 1e9
	}
	slices.Sort(due)
	for i, at := range due {
		// Draws of its own for every request: another cost of one does not change the luck of the next.
		r := &request{s: s, random: rand.New(rand.NewPCG(s.seed, uint64(i)+1))}
		s.at(at, func() { r.begin(at) })
	}
	for len(s.events) > 0 {
		e := s.events.pop()
		s.now = e.at
		e.do()
	}
	slices.Sort(s.times)
	return s.times
}

func (s *simulation) at(when float64, do func()) { s.events.push(event{when, do}) }

// spend asks for CPU time in a process.
func (s *simulation) spend(in place, cpu, declared float64, next func()) {
	if cpu+declared == 0 {
		next()
		return
	}
	of := s.processes[in]
	if of == nil {
		of = &process{}
		s.processes[in] = of
	}
	t := task{of: of, onPath: cpu*s.wake.OnPath + declared, beside: cpu * (1 - s.wake.OnPath), next: next}
	if of.busy {
		of.waiting = append(of.waiting, t)
		return
	}
	s.ask(t)
}

// ask takes a CPU, or waits for one.
func (s *simulation) ask(t task) {
	t.of.busy = true
	if s.free == 0 {
		s.queue = append(s.queue, t)
		return
	}
	s.free--
	s.serve(t)
}

func (s *simulation) serve(t task) {
	s.at(s.now+t.onPath, t.next)
	s.at(s.now+t.onPath+t.beside, func() { s.done(t.of) })
}

// done gives the CPU to who waited longest, the process's own next task behind them.
func (s *simulation) done(of *process) {
	of.busy = false
	s.free++
	if s.head < len(s.queue) {
		t := s.queue[s.head]
		s.queue[s.head] = task{}
		if s.head++; s.head == len(s.queue) {
			s.queue, s.head = s.queue[:0], 0
		}
		s.free--
		s.serve(t)
	}
	if len(of.waiting) > 0 {
		t := of.waiting[0]
		of.waiting = of.waiting[1:]
		s.ask(t)
	}
}

// request is one request on its way.
type request struct {
	s      *simulation
	random *rand.Rand
}

func (r *request) begin(due float64) {
	s := r.s
	entry := s.plan.arm.Experiment.Application.Entry
	finish := func() { s.times = append(s.times, (s.now-due+s.wake.Client)/1e9) }
	visit := func(next func()) { r.visit(entry, next) }
	cost := s.cost[entry]
	r.through(place{gateway, ""}, s.plan.gateway, cost.gateway, func(next func()) { r.through(place{sidecar, entry}, s.plan.ingress, cost.ingress, visit, next) }, finish)
}

// through crosses a proxy, does what lies behind it, and crosses it again.
func (r *request) through(in place, part string, cost float64, behind func(next func()), next func()) {
	if part == "" {
		behind(next)
		return
	}
	pass := func(then func()) { r.woken(r.s.wake.Proxy, func() { r.s.spend(in, cost/2, 0, then) }) }
	pass(func() { behind(func() { pass(next) }) })
}

// woken waits until a process runs that was asleep.
func (r *request) woken(typical float64, next func()) {
	w := r.s.wake
	late := typical * math.Exp(w.Sigma*r.random.NormFloat64())
	if r.random.Float64() < w.Rare {
		late += w.Long * r.random.ExpFloat64()
	}
	r.s.at(r.s.now+late, next)
}

// visit is one service at work: CPU, wait, script, answer.
func (r *request) visit(name string, next func()) {
	service := r.s.plan.arm.Experiment.Application.Services.At(name)
	cost, waiting := r.s.cost[name].visit, r.s.cost[name].wait
	answer := func() { r.s.spend(place{workload, name}, cost/2, 0, next) }
	script := func() { r.steps(name, service.Script, answer) }
	r.woken(r.s.wake.Workload, func() {
		r.s.spend(place{workload, name}, cost/2, float64(service.Work.CPU), func() {
			wait := r.s.plan.waits[name]
			if wait == nil {
				script()
				return
			}
			r.s.at(r.s.now+float64(wait(r.random.Float64())), func() {
				r.woken(r.s.wake.Workload, func() { r.s.spend(place{workload, name}, waiting, 0, script) })
			})
		})
	})
}

// steps makes the calls of a script, step by step; calls of one step run at the same time.
func (r *request) steps(caller string, script []topologies.Step, next func()) {
	if len(script) == 0 {
		next()
		return
	}
	var made []topologies.Call
	for _, call := range script[0].Calls {
		if r.random.Float64() < call.Chance() {
			made = append(made, call)
		}
	}
	rest := func() { r.steps(caller, script[1:], next) }
	if len(made) == 0 {
		rest()
		return
	}
	left := len(made)
	for i, call := range made {
		r.call(caller, call.Call, i > 0, func() {
			if left--; left == 0 {
				rest()
			}
		})
	}
}

func (r *request) call(caller, callee string, further bool, next func()) {
	s, of := r.s, r.s.cost[caller]
	own, outbound := of.call, of.outbound
	if further {
		own, outbound = of.further, of.outboundFurther
	}
	s.spend(place{workload, caller}, own/2, 0, func() {
		visit := func(next func()) { r.visit(callee, next) }
		inside := func(next func()) {
			r.through(place{sidecar, callee}, s.plan.inbound, s.cost[callee].inbound, visit, next)
		}
		r.through(place{sidecar, caller}, s.plan.outbound, outbound, inside, func() {
			r.woken(s.wake.Workload, func() { s.spend(place{workload, caller}, own/2, 0, next) })
		})
	})
}
