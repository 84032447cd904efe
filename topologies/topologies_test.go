package topologies_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
	"crossroads/topologies"
)

var update = flag.Bool("update", false, "rewrite golden files and the schema")

func load(t *testing.T, name string) *topologies.Experiment {
	t.Helper()
	data, ok := topologies.Ready(name)
	require.True(t, ok)
	e, err := topologies.Parse(name+".yaml", data)
	require.NoError(t, err)
	return e
}

// golden compares text with a file, or writes the file when asked to.
func golden(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

func TestReadyFiles(t *testing.T) {
	require.Equal(t, []string{"aggregation", "blast-radius", "cascade", "chain", "fanout", "features", "known-limit", "ledger-chain", "ledger-single", "ledger", "mesh-cost", "pauses", "rivals-gateway", "rivals-guarded", "rivals-mesh", "rivals-mtls", "single", "storefront"}, topologies.ReadyNames())
	_, ok := topologies.Ready("nothing")
	require.False(t, ok)
	for _, name := range topologies.ReadyNames() {
		t.Run(name, func(t *testing.T) {
			data, _ := topologies.Ready(name)
			require.True(t, strings.HasPrefix(string(data), "# yaml-language-server: $schema=./schema/experiment.v1.json\n"))
			require.Contains(t, string(data[:400]), "?", "the head comment asks the question that the file answers")
			e := load(t, name)
			require.Equal(t, name, e.Name)
			require.GreaterOrEqual(t, e.Load.Rounds, 6, "fewer give no interval")
			require.True(t, e.Arms()[0].Direct())
			require.Less(t, offered(e), 10*time.Minute, "minutes, not hours")
			loaded, err := topologies.Load(name + ".yaml")
			require.NoError(t, err)
			require.Equal(t, e, loaded)
		})
	}
	require.Less(t, offered(load(t, "storefront")), 125*time.Second, "leaves 25 s of 150 for 24 deployments")
}

// offered is the time that an experiment drives load, warm-ups included.
func offered(e *topologies.Experiment) time.Duration {
	var d time.Duration
	for _, rate := range e.Load.Rates {
		d += e.Load.Warmup.D() + e.Load.Block(rate)
	}
	return d * time.Duration(len(e.Load.Connections)*e.Load.Rounds*len(e.Arms()))
}

// TestResolvedParsesToTheSame holds for every ready file: what is written down with a run is what ran.
func TestResolvedParsesToTheSame(t *testing.T) {
	for _, name := range topologies.ReadyNames() {
		e := load(t, name)
		data := marshal(t, e)
		again, err := topologies.Parse("resolved.yaml", data)
		require.NoError(t, err, string(data))
		require.Equal(t, e, again)
		require.Equal(t, string(data), string(marshal(t, again)))
		golden(t, filepath.Join("testdata", "resolved", name+".yaml"), string(data))
	}
}

// TestEverything reads a file with every kind of key, as the documentation shows it.
func TestEverything(t *testing.T) {
	data, err := os.ReadFile("testdata/everything.yaml")
	require.NoError(t, err)
	e := parse(t, string(data))
	require.Equal(t, []string{"direct", "gateway", "mesh", "gateway+mesh", "mesh-plain", "nginx"}, e.Topologies.Keys())
	require.Equal(t, "off", e.Topologies.At("mesh-plain").Mesh.MTLS)
	require.Equal(t, "both", e.Topologies.At("mesh-plain").Mesh.Sidecars)
	require.Equal(t, "demo", e.Load.Requests[1].Headers.At("X-Api-Key"), "what a gateway asks for every request brings, in every arm")
	require.Equal(t, []topologies.Call{{Call: "stock"}, {Call: "price", Probability: share(0.5), Request: topologies.Payload{Size: 256}}},
		e.Application.Services.At("frontend").Script[1].Calls)
	require.Empty(t, e.Warnings())
	golden(t, "testdata/resolved/everything.yaml", string(marshal(t, e)))
	require.Equal(t, e, parse(t, string(marshal(t, e))))
}

func share(s units.Share) *units.Share { return &s }

func marshal(t *testing.T, e *topologies.Experiment) []byte {
	t.Helper()
	data, err := topologies.Marshal(e)
	require.NoError(t, err)
	return data
}

func TestWarnings(t *testing.T) {
	e := parse(t, strings.Replace(application, "[100]", "[100], rounds: 5, pacing: economical", 1)+"  x: {gateway: {}}\n")
	w := e.Warnings()
	require.Len(t, w, 3)
	require.Contains(t, w[0], "5 rounds")
	require.Contains(t, w[1], "without a proxy")
	require.Contains(t, w[2], "economical")
}

func TestStorefrontArms(t *testing.T) {
	e := load(t, "storefront")
	type arm struct {
		name                                  string
		entry, perEdge, edges, encrypted, all int
	}
	var got []arm
	for _, a := range e.Arms() {
		entry, perEdge := a.Hops()
		got = append(got, arm{a.Name, entry, perEdge, a.Edges(), a.EncryptedEdges(), len(a.Processes())})
	}
	require.Equal(t, []arm{
		{"direct", 0, 0, 4, 0, 4},
		{"gateway", 1, 0, 4, 0, 5},
		{"mesh", 1, 2, 4, 3, 9},
		{"gateway+mesh", 2, 2, 4, 4, 10},
	}, got)
	both, _ := e.Arm("gateway+mesh")
	require.NotNil(t, both.Topology.Gateway.Stages.KeyAuth)
	require.Equal(t, "strict", both.Topology.Mesh.MTLS)
	require.Empty(t, both.Topology.Extends)
	require.Equal(t, 230*time.Microsecond, both.OriginTime(), "20+200 at the frontend, 10 at orders, nothing below")
	require.Equal(t, units.Duration(2e9), units.Duration(e.Load.Block(500)))
	require.Equal(t, units.Duration(900e6), units.Duration(e.Load.Block(250)))
}

const application = `version: 1
name: t
application:
  entry: a
  services:
    a: {work: {cpu: 100us}, script: [{call: b}, [{call: c, probability: 50%}, {call: d}]]}
    b: {replicas: 2, work: {wait: {uniform: {min: 1ms, max: 3ms}}}, script: [{call: d}]}
    c: {work: {wait: {fixed: 10ms}}}
    d: {work: {wait: {exponential: {mean: 4ms}}}}
load: {rates: [100]}
topologies:
`

func parse(t *testing.T, text string) *topologies.Experiment {
	t.Helper()
	e, err := topologies.Parse("t.yaml", []byte(text))
	require.NoError(t, err)
	return e
}

func TestHopsFollowFromTheTopology(t *testing.T) {
	for _, c := range []struct {
		topology                         string
		entry, perEdge, encrypted, procs int
		control                          bool
	}{
		{"{}", 0, 0, 0, 5, false},
		{"{gateway: {replicas: 3}}", 1, 0, 0, 8, false},
		{"{mesh: {}}", 1, 2, 4, 11, true},
		{"{mesh: {mtls: permissive}}", 1, 2, 4, 11, true},
		{"{mesh: {mtls: off}}", 1, 2, 0, 10, false},
		{"{mesh: {sidecars: client}}", 0, 1, 0, 8, false}, // only a and b (two replicas) call anyone
		{"{mesh: {sidecars: server}}", 1, 1, 0, 10, false},
		{"{mesh: {sidecars: none}}", 0, 0, 0, 5, false},
		{"{gateway: {}, mesh: {}}", 2, 2, 5, 12, true},
		{"{gateway: {}, mesh: {mtls: off}}", 2, 2, 0, 11, false},
		{"{gateway: {}, mesh: {sidecars: client}}", 1, 1, 0, 9, false},
		{"{gateway: {}, mesh: {sidecars: server, mtls: permissive}}", 2, 1, 1, 12, true},
		{"{gateway: {use: nginx}, mesh: {mtls: permissive}}", 2, 2, 5, 11, false},
		{"{gateway: {use: nginx}, mesh: {use: envoy}}", 2, 2, 5, 11, false},
		{"{gateway: {}, mesh: {use: envoy}}", 2, 2, 5, 11, false},
		{"{gateway: {use: relay}, mesh: {mtls: permissive}}", 2, 2, 4, 12, true},
		{"{external: {url: http://127.0.0.1:8080}}", 0, 0, 0, 0, false},
	} {
		a := parse(t, application+"  x: "+c.topology+"\n").Arms()[0]
		entry, perEdge := a.Hops()
		require.Equal(t, []int{c.entry, c.perEdge, c.encrypted, c.procs}, []int{entry, perEdge, a.EncryptedEdges(), len(a.Processes())}, c.topology)
		require.Equal(t, c.control, a.NeedsControl(), c.topology)
	}
}

func TestOriginTimeIsTheCriticalPath(t *testing.T) {
	a := parse(t, application+"  x: {}\n").Arms()[0]
	// a: 100us; b: mean 2ms + d 4ms; then the later of c (10ms, half of the time) and d (4ms): 5ms + 2ms.
	require.Equal(t, 13100*time.Microsecond, a.OriginTime())
}

func TestProcessesAreNamedAndOrdered(t *testing.T) {
	a := parse(t, application+"  x: {gateway: {}, mesh: {}}\n").Arms()[0]
	var ids []string
	for _, n := range a.Processes() {
		ids = append(ids, n.ID)
	}
	require.Equal(t, []string{"control-1", "d-1", "c-1", "b-1", "b-2", "a-1", "sidecar-d-1", "sidecar-c-1", "sidecar-b-1", "sidecar-b-2", "sidecar-a-1",
		"gateway-1"}, ids)
}

func TestExtendsComposesKeyByKey(t *testing.T) {
	e := parse(t, strings.Replace(application, "load: {rates: [100]}", "load: {rates: [100], requests: [{headers: {x-api-key: demo}}]}", 1)+`
  base: {gateway: {replicas: 2, stages: {key_auth: on}}}
  limit: {gateway: {stages: {rate_limit: {rate: 1k}}}}
  both: {extends: [base, limit], gateway: {stages: {rate_limit: {burst: 5}}}}
  mesh: {mesh: {balance: least_request}}
  top: {extends: [both, mesh], gateway: {replicas: 1, stages: {key_auth: off}}, mesh: {breaker: off}}
  bare: {extends: [top], mesh: {sidecars: none}}
`)
	top := e.Topologies.At("top")
	require.Equal(t, 1, top.Gateway.Replicas)
	require.Nil(t, top.Gateway.Stages.KeyAuth, "off is absent")
	require.Equal(t, &topologies.RateLimitStage{Mode: "on", Rate: 1000, Burst: 5}, top.Gateway.Stages.RateLimit)
	require.Equal(t, "least_request", top.Mesh.Balance)
	require.Equal(t, "off", top.Mesh.Breaker)
	require.Equal(t, "strict", top.Mesh.MTLS)
	require.Nil(t, e.Topologies.At("bare").Mesh)
	require.Equal(t, 2, e.Topologies.At("both").Gateway.Replicas)
	require.Equal(t, units.Count(10_000), e.Topologies.At("limit").Gateway.Stages.RateLimit.Burst)
}

func TestRates(t *testing.T) {
	for text, want := range map[string]topologies.Rates{
		"[500, 1k, 1.5k]": {500, 1000, 1500},
		"1k":              {1000},
		"1k..16k*2":       {1000, 2000, 4000, 8000, 16000},
		"500..2k+500":     {500, 1000, 1500, 2000},
		"1..10*3":         {1, 3, 9},
		"100..121*1.1":    {100, 110.00000000000001, 121.00000000000003},
		"5..5+1":          {5},
	} {
		e := parse(t, strings.Replace(application, "[100]", text, 1)+"  d: {}\n")
		require.Equal(t, want, e.Load.Rates, text)
	}
	rates, err := topologies.ParseRates("100, 1k..2k+500")
	require.NoError(t, err)
	require.Equal(t, topologies.Rates{100, 1000, 1500, 2000}, rates)
	for _, text := range []string{"", "x", "1k..", "1k..2k", "2k..1k*2", "1..2*1", "1..2+0", "0..5*2", "1..1M+1", "1,,2"} {
		_, err := topologies.ParseRates(text)
		require.Error(t, err, text)
	}
}

func TestObjectives(t *testing.T) {
	for text, want := range map[string]topologies.Objective{
		"p(99) < 20ms":            {Metric: "p", Quantile: 99, Op: "<", Value: 0.02},
		"p(99.9)<=1.5s":           {Metric: "p", Quantile: 99.9, Op: "<=", Value: 1.5},
		"errors < 0.1%":           {Metric: "errors", Op: "<", Value: 0.001},
		"achieved >= 99% offered": {Metric: "achieved", Op: ">=", Value: 0.99},
		"achieved > 90%":          {Metric: "achieved", Op: ">", Value: 0.9},
	} {
		want.Text = text
		o, err := topologies.ParseObjective(text)
		require.NoError(t, err, text)
		require.InDelta(t, want.Value, o.Value, 1e-12)
		o.Value = want.Value
		require.Equal(t, want, o)
	}
	for _, text := range []string{"", "p(99)", "p < 1s", "p99 < 1s", "p(0) < 1s", "p(100) < 1s", "p(x) < 1s", "p(99 < 1s", "p(99) > 1s", "p(99) < 5", "p(99) < 0",
		"errors > 1%", "errors < 1", "achieved < 99%", "cpu < 5%", "error < 1%", "achieved >= 101%", "errors(5) < 1%"} {
		_, err := topologies.ParseObjective(text)
		require.Error(t, err, text)
	}
}

func TestArrivals(t *testing.T) {
	share := units.Share(0.1)
	for text, want := range map[string]topologies.Arrivals{
		"constant":            {Kind: "constant"},
		"poisson":             {Kind: "poisson"},
		"{ramp: {from: 10%}}": {Kind: "ramp", Ramp: &topologies.Ramp{From: share}},
		"{recorded: due.txt}": {Kind: "recorded", Recorded: "due.txt"},
	} {
		e := parse(t, strings.Replace(application, "rates:", "arrivals: "+text+", rates:", 1)+"  d: {}\n")
		require.Equal(t, want, e.Load.Arrivals)
		data, err := topologies.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, e, parse(t, string(data)))
	}
}

func TestRecordedArrivalsAreFoundBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.yaml")
	text := strings.Replace(application, "rates:", "arrivals: {recorded: due.txt}, rates:", 1) + "  d: {}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	_, err := topologies.Load(file)
	var faults strict.Faults
	require.ErrorAs(t, err, &faults)
	require.Equal(t, 10, faults[0].Line)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "due.txt"), []byte("0.1\n"), 0o644))
	e, err := topologies.Load(file)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "due.txt"), e.Load.Arrivals.Recorded)
	_, err = topologies.Load(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestGoldenFaults holds every message for every broken file of testdata/faults.
func TestGoldenFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = topologies.Parse(filepath.Base(file), data)
			var faults strict.Faults
			require.ErrorAs(t, err, &faults)
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

// TestFaultsMeetWhatStandsInAnArm: one list of faults serves all arms.
func TestFaultsMeetWhatStandsInAnArm(t *testing.T) {
	e := parse(t, strings.Replace(application, "load: {", "load: {duration: 8s, ", 1)+`  direct: {}
  two: {gateway: {replicas: 2}}
  mesh: {mesh: {svid_lifetime: 2s}}
  both: {gateway: {}, mesh: {svid_lifetime: 2s}}
  elsewhere: {external: {url: http://127.0.0.1:8080}}
faults:
  - {at: 0, for: 1s, kill: gateway-1}
  - {at: 0, for: 0, terminate: [gateway-2, control]}
  - {at: 500ms, for: 1s, kill: sidecar-b}
  - {at: 500ms, for: 1s, pause: b-2}
  - {at: 1600ms, for: 400ms, pause: [sidecar, b-1]}
  - {at: 1500ms, for: 500ms, service: b, replica: 2, errors: 100%, delay: 5ms}
  - {at: 1s, for: 500ms, service: c, reset: 10%}
  - {at: 3s, for: 3s, expire: [gateway, sidecar-b-2]}
  - {at: 3s, for: 1s, stale: sidecar-c}
`)
	var got []string
	for i := range e.Faults {
		f := &e.Faults[i]
		line := f.Text() + " |"
		for _, a := range e.Arms() {
			var ids []string
			for _, n := range f.Targets(a) {
				ids = append(ids, n.ID)
			}
			line += " " + a.Name + ":" + strings.Join(ids, ",")
		}
		got = append(got, line)
	}
	require.Equal(t, []string{
		"kill gateway-1 | direct: two:gateway-1 mesh: both:gateway-1 elsewhere:",
		"terminate gateway-2, control | direct: two:gateway-2 mesh:control-1 both:control-1 elsewhere:",
		"kill sidecar-b | direct: two: mesh:sidecar-b-1,sidecar-b-2 both:sidecar-b-1,sidecar-b-2 elsewhere:",
		"pause b-2 | direct:b-2 two:b-2 mesh:b-2 both:b-2 elsewhere:",
		"pause sidecar, b-1 | direct:b-1 two:b-1 mesh:b-1,sidecar-d-1,sidecar-c-1,sidecar-b-1,sidecar-b-2,sidecar-a-1 both:b-1,sidecar-d-1,sidecar-c-1,sidecar-b-1,sidecar-b-2,sidecar-a-1 elsewhere:",
		"b-2: errors 100%, delay 5ms | direct:b-2 two:b-2 mesh:b-2 both:b-2 elsewhere:",
		"c: reset 10% | direct:c-1 two:c-1 mesh:c-1 both:c-1 elsewhere:",
		"expire gateway, sidecar-b-2 | direct: two: mesh:sidecar-b-2 both:sidecar-b-2,gateway-1 elsewhere:",
		"stale sidecar-c | direct: two: mesh:sidecar-c-1 both:sidecar-c-1 elsewhere:",
	}, got)
	require.Equal(t, time.Second, e.Faults[0].Until(2*time.Second))
	require.Equal(t, 2*time.Second, e.Faults[1].Until(2*time.Second), "what is never started again is away until the end")
}

func TestDot(t *testing.T) {
	e := load(t, "storefront")
	for _, a := range e.Arms() {
		golden(t, filepath.Join("testdata", "dot", a.Name+".dot"), e.Dot(a))
	}
	x := parse(t, "version: 1\nname: x\nload: {rates: [1]}\ntopologies: {x: {external: {url: 'http://h:1'}}}\n")
	require.Contains(t, x.Dot(x.Arms()[0]), `label="http://h:1"`)
}

// TestDeepGraphs: a ladder of diamonds multiplies calls and must be refused without walking them all.
func TestDeepGraphs(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nname: x\nload: {rates: [1]}\ntopologies: {d: {}}\napplication:\n  entry: s0\n  services:\n")
	for i := range 40 {
		fmt.Fprintf(&b, "    s%d: {script: [[{call: s%d}, {call: s%d}]]}\n", i, i+1, i+1)
	}
	b.WriteString("    s40: {}\n")
	_, err := topologies.Parse("x.yaml", []byte(b.String()))
	require.ErrorContains(t, err, "more than 10000 calls")
}

// FuzzParse: no input panics, and what parses has a resolved form that parses to the same.
func FuzzParse(f *testing.F) {
	for _, name := range topologies.ReadyNames() {
		data, _ := topologies.Ready(name)
		f.Add(data)
	}
	files, err := filepath.Glob("testdata/faults/*.yaml")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(application + "  x: {mesh: {}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := topologies.Parse("f.yaml", data)
		if err != nil {
			return
		}
		for _, a := range e.Arms() {
			a.Hops()
			a.OriginTime()
			e.Dot(a)
		}
		out, err := topologies.Marshal(e)
		require.NoError(t, err)
		again, err := topologies.Parse("resolved.yaml", out)
		require.NoError(t, err, string(out))
		require.Equal(t, e, again)
	})
}
