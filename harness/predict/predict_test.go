package predict

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

const line = `
version: 1
name: line
application:
  entry: a
  services:
    a: {work: {cpu: 10us}, script: [{call: b}]}
    b: {work: {cpu: 10us}, script: [{call: c}]}
    c: {work: {cpu: 10us, wait: {fixed: 200us}}}
topologies:
  direct: {}
  gateway: {gateway: {}}
  mesh: {mesh: {}}
  callers: {mesh: {sidecars: client}}
  gateway+mesh: {extends: [gateway, mesh]}
load: {rates: [200]}
`

const fan = `
version: 1
name: fan
application:
  entry: a
  services:
    a: {script: [[{call: b}, {call: c}, {call: d, probability: 50%}]]}
    b: {}
    c: {work: {wait: {lognormal: {median: 300us, sigma: 0.5}}}}
    d: {}
topologies:
  direct: {}
  mesh: {mesh: {}}
  key: {gateway: {stages: {key_auth: on}}}
load: {rates: [200], requests: [{path: /, headers: {X-Api-Key: demo}}]}
`

// TestParts counts what one request passes.
func TestParts(t *testing.T) {
	p := plans(t, fan, "mesh")
	require.Equal(t, map[string]float64{partVisit: 3.5, partRelayed: 3.5, partCall: 1, partFurther: 1.5, partWait: 1}, counts(p, workload))
	side := counts(p, sidecar)
	require.Len(t, side, 5, "ingress in the clear, both sides of every call over mutual TLS, and what takes no request")
	require.Equal(t, 4.0, side[partSecond])
	require.Equal(t, 1.0, side[p.outbound])
	require.Equal(t, 1.5, side[furtherOf(p.outbound)])
	require.Equal(t, 2.5, side[p.inbound])
	require.Equal(t, 1.0, side[p.ingress])
	require.NotEqual(t, p.ingress, p.inbound)
	require.Equal(t, map[string]float64{partSecond: 1, partSidecars: 4}, counts(p, control))

	p = plans(t, line, "gateway+mesh")
	require.Equal(t, map[string]float64{partVisit: 3, partRelayed: 3, partCall: 2, partWait: 1}, counts(p, workload), "one call by one")
	require.Equal(t, 3*10e3, p.declared)
	require.Equal(t, 3.0, counts(p, sidecar)[p.inbound], "the gateway speaks mutual TLS to the entry as well: two calls and one entry")
	require.Equal(t, p.inbound, p.ingress)
	require.NotEqual(t, p.gateway, plans(t, line, "gateway").gateway, "its own mutual TLS is part of what a gateway costs")
}

// TestArrivals: who asks for a visit is part of what it costs.
func TestArrivals(t *testing.T) {
	for arm, due := range map[string]map[string]string{
		"direct":       {"a": partDriven, "b": "", "c": ""},
		"gateway":      {"a": partRelayed, "b": "", "c": ""},
		"mesh":         {"a": partRelayed, "b": partRelayed, "c": partRelayed},
		"callers":      {"a": partDriven, "b": partRelayed, "c": partRelayed},
		"gateway+mesh": {"a": partRelayed, "b": partRelayed, "c": partRelayed},
	} {
		require.Equal(t, due, plans(t, line, arm).arrival, arm)
	}
	p := plans(t, line, "gateway")
	m := &Model{Prices: map[string]prices{workload: {Of: map[string]float64{partVisit: 50e3, partRelayed: 10e3}}}}
	require.InDelta(t, 60e3, m.costs(p, 300)["a"].visit, 1e-6)
	require.InDelta(t, 50e3, m.costs(p, 300)["b"].visit, 1e-6)
}

func counts(p *plan, kind string) map[string]float64 {
	all := map[string]float64{}
	for _, w := range p.passes[kind] {
		all[w.part] += w.n
	}
	return all
}

// TestFurtherCalls: of three calls that are each made half of the time, one is made alone or first unless none is.
func TestFurtherCalls(t *testing.T) {
	p := plans(t, strings.Replace(fan, "[{call: b}, {call: c}, {call: d, probability: 50%}]",
		"[{call: b, probability: 50%}, {call: c, probability: 50%}, {call: d, probability: 50%}]", 1), "direct")
	require.InDelta(t, 0.875, counts(p, workload)[partCall], 1e-9)
	require.InDelta(t, 1.5-0.875, counts(p, workload)[partFurther], 1e-9)
	p = plans(t, strings.Replace(line, "script: [{call: b}]", "script: [{call: b, probability: 10%}]", 1), "mesh")
	require.NotContains(t, counts(p, workload), partFurther, "a call made alone is the first of its step, whatever its probability")
	require.NotContains(t, counts(p, sidecar), furtherOf(p.outbound))
}

// TestPricesAreFound: costs that made the numbers come out of them again, and the slope of all kinds is told by one that tells it.
func TestPricesAreFound(t *testing.T) {
	truth := prices{Of: map[string]float64{"visit": 40e3, "call": 25e3}, Slope: 0.12}
	proxies := prices{Of: map[string]float64{"crossing": 60e3, "second": 5e6}, Slope: truth.Slope}
	rows := map[string][]row{"empty": nil}
	cost := func(p prices, r row) row {
		r.cpu = 1
		r.cpu = p.of(p.weigh([]row{r})[0])
		return r
	}
	for _, rate := range []float64{100, 300, 900} {
		for _, n := range [][2]float64{{1, 0}, {3, 2}, {7, 6}} {
			// Calls happen in a process that is busier than those of the visits.
			rows[workload] = append(rows[workload], cost(truth, row{passes: []pass{{part: "visit", n: n[0], visits: 1}, {part: "call", n: n[1], visits: 2}}, rate: rate}))
		}
		rows[sidecar] = append(rows[sidecar], cost(proxies, row{passes: []pass{{part: "crossing", n: 2, visits: 1}, {part: "second", n: 3, idle: true}}, rate: rate}))
	}
	all := price(rows)
	found := all[workload]
	require.InDelta(t, truth.Slope, found.Slope, 1e-9)
	require.InEpsilon(t, truth.Of["visit"], found.Of["visit"], 0.01)
	require.InEpsilon(t, truth.Of["call"], found.Of["call"], 0.01)
	require.InDelta(t, truth.Slope, all[sidecar].Slope, 1e-9)
	require.InEpsilon(t, proxies.Of["crossing"], all[sidecar].Of["crossing"], 0.01)
	require.InEpsilon(t, proxies.Of["second"], all[sidecar].Of["second"], 0.01)
	require.Empty(t, all["empty"].Of)
	require.Equal(t, [2]float64{100, 1800}, found.Seen)
	require.Equal(t, found.at(100), found.at(10), "nothing was seen of rarer visits")
	require.Equal(t, found.at(1800), found.at(90_000))
	require.Less(t, found.at(1800), found.at(100))
}

// TestSpreadCountsWhatWasFitted: residuals of a model with many parameters say little of cells that it was not fitted to.
func TestSpreadCountsWhatWasFitted(t *testing.T) {
	m := &Model{Prices: map[string]prices{workload: {Of: map[string]float64{partVisit: 1, partCall: 2, partWait: 0}}, sidecar: {Of: map[string]float64{partSecond: 3}}}}
	require.Equal(t, 4, m.priced(), "three prices and the slope; what came out as nothing was not fitted")
	require.InDelta(t, math.Sqrt(2), unfitted(8, 4), 1e-12)
	require.InDelta(t, 1, unfitted(8, 0), 1e-12)
	require.InDelta(t, math.Sqrt(3), unfitted(3, 9), 1e-12, "no freedom is left")
}

// TestQueueing holds the simulation against what is known in closed form: with wake-ups that take nothing, one CPU and one part, it is the
// queue M/D/1, whose mean wait is rho/(2(1-rho)) services (Pollaczek and Khinchine).
func TestQueueing(t *testing.T) {
	e := parse(t, "version: 1\nname: one\napplication: {entry: a, services: {a: {}}}\ntopologies: {direct: {}}\nload: {rates: [1]}\n")
	p, err := planOf(e.Arms()[0])
	require.NoError(t, err)
	const service = 1e6 // ns
	for _, rho := range []float64{0.2, 0.5, 0.8} {
		// A visit asks for CPU twice, half of its cost each: all in one here.
		s := simulation{plan: p, cost: map[string]costs{}, wake: wake{OnPath: 1}, cpus: 1, rate: rho * 1e9 / service, seed: 7}
		e.Application.Services.Set("a", topologies.Service{Replicas: 1, Work: topologies.Work{CPU: service}})
		mean, times := 0.0, s.run(40_000)
		for _, at := range times {
			mean += at / float64(len(times))
		}
		due := service / 1e9 * (1 + rho/(2*(1-rho)))
		require.InEpsilon(t, due, mean, 0.08, "rho %g", rho)
		two := s
		two.cpus, two.times = 2, nil
		require.Equal(t, times, two.run(40_000), "a process runs one task at a time, however many CPUs there are")
	}
}

// TestProcessesShareTheCPUs: two services that are called at once take as long as one where there are two CPUs, and one after the other where there is one.
func TestProcessesShareTheCPUs(t *testing.T) {
	e := parse(t, "version: 1\nname: two\napplication: {entry: a, services: {a: {script: [[{call: b}, {call: c}]]}, b: {work: {cpu: 1ms}}, c: {work: {cpu: 1ms}}}}\ntopologies: {direct: {}}\nload: {rates: [1]}\n")
	p, err := planOf(e.Arms()[0])
	require.NoError(t, err)
	for cpus, due := range map[int]float64{1: 2e-3, 2: 1e-3} {
		s := simulation{plan: p, cost: map[string]costs{}, wake: wake{OnPath: 1}, cpus: cpus, rate: 0.01, seed: 7}
		for _, at := range s.run(50) {
			require.InDelta(t, due, at, 1e-9, "%d CPUs", cpus)
		}
	}
}

// TestUnmeasuredPartsAreNamed: a part that no run contains is no guess.
func TestUnmeasuredPartsAreNamed(t *testing.T) {
	m := &Model{CPUs: 2, Prices: map[string]prices{workload: {Of: map[string]float64{partVisit: 45e3, partCall: 35e3, partFurther: 25e3, partWait: 9e3, partDriven: 20e3}}}, Wake: wake{OnPath: 0.5, Workload: 1e3, Proxy: 1e3, Long: 1}}
	arm, _ := parse(t, fan).Arm("key")
	_, err := m.Predict(arm, 300)
	var unmeasured *Unmeasured
	require.ErrorAs(t, err, &unmeasured)
	require.ErrorContains(t, err, "key_auth")

	arm, _ = parse(t, fan).Arm("direct")
	got, err := m.Predict(arm, 300)
	require.NoError(t, err)
	require.InDelta(t, 3.5*45e3+20e3+35e3+1.5*25e3+9e3, got.CPU.Value, 1)
	require.Greater(t, got.P99.Value, got.P50.Value)
	require.Greater(t, got.P50.Value, 300e-6, "half of the slower call's waits are longer than its median")
}

func parse(t *testing.T, text string) *topologies.Experiment {
	t.Helper()
	e, err := topologies.Parse("test.yaml", []byte(text))
	require.NoError(t, err)
	return e
}

func plans(t *testing.T, text, name string) *plan {
	t.Helper()
	arm, known := parse(t, text).Arm(name)
	require.True(t, known)
	p, err := planOf(arm)
	require.NoError(t, err)
	return p
}
