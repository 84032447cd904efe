package results

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results/stats"
)

// measured is a valid trial whose response times all lie at ms and whose target used so much CPU per request.
func measured(t testing.TB, arm string, round int, ms float64, cpuNS int64) Trial {
	t.Helper()
	h := NewTimes()
	require.NoError(t, h.RecordValues(int64(ms*1e6), 1000))
	e, err := Encode(h)
	require.NoError(t, err)
	return Trial{PlannedTrial: PlannedTrial{ID: arm, Arm: arm, Round: round, Rate: 1000, Connections: 8, Driver: "native/precise"},
		Outcome: Valid, Counts: Counts{Planned: 1000, Ready: 1000, Done: 1000}, Times: map[string]Histogram{Response: e},
		Usage: []Usage{{Kind: "driver", CPU: 1 << 40}, {Kind: "workload", CPU: 1000 * cpuNS, RSSPeak: 1 << 20}}}
}

func rounds(t testing.TB, n int) []Trial {
	var all []Trial
	for round := 1; round <= n; round++ {
		drift := float64(round) * 0.5 // the machine gets slower and slower: pairs see the difference all the same
		all = append(all, measured(t, "gateway", round, 1+drift+0.25, 150_000), measured(t, "direct", round, 1+drift, 100_000))
	}
	return all
}

func TestOverheads(t *testing.T) {
	o := Overheads(rounds(t, 6), "direct", "gateway", 1000, TimeQuantile(Response, 0.99))
	require.Equal(t, 6, o.N)
	require.Equal(t, "p99-sec", o.Metric)
	require.InDelta(t, 0.25e-3, o.Added.Value, 8e-6) // within the histograms' thousandths
	require.True(t, o.Added.Interval.OK())
	require.Equal(t, stats.Exact, o.Added.Interval.Method)
	require.True(t, o.Added.Interval.Contains(o.Added.Value))
	require.Greater(t, o.Added.Interval.Low, 0.0)
	require.InDelta(t, 10, o.Percent.Value, 1) // of 1.5 to 4 ms
	require.Empty(t, o.Note)

	o = Overheads(rounds(t, 6), "direct", "gateway", 1000, CPUPerRequest(""))
	require.Equal(t, 50_000.0, o.Added.Value)
	require.Equal(t, 50.0, o.Percent.Value)

	// direct has no gateway, so the gateway's CPU is all added and is no per cent of anything.
	trials := rounds(t, 6)
	for i := range trials {
		if trials[i].Arm == "gateway" {
			trials[i].Usage = append(trials[i].Usage, Usage{Kind: "gateway", CPU: 30e6})
		}
	}
	o = Overheads(trials, "direct", "gateway", 1000, CPUPerRequest("gateway"))
	require.Equal(t, 30_000.0, o.Added.Value)
	require.Nil(t, o.Percent)
}

func TestOverheadsLeaveOutByEvidenceOnly(t *testing.T) {
	p99 := TimeQuantile(Response, 0.99)
	for name, c := range map[string]struct {
		change             func([]Trial) []Trial
		n, excluded, satur int
		note               string
		interval           bool
	}{
		"all":           {func(v []Trial) []Trial { return v }, 7, 0, 0, "", true},
		"arm invalid":   {func(v []Trial) []Trial { v[0].Outcome = Invalid; return v }, 6, 1, 0, "1 of 7 rounds left out", true},
		"direct failed": {func(v []Trial) []Trial { v[1].Outcome = Failed; return v }, 6, 1, 0, "1 of 7 rounds left out", true},
		"not judged":    {func(v []Trial) []Trial { v[1].Outcome = ""; return v }, 6, 1, 0, "1 of 7 rounds left out", true},
		"arm missing":   {func(v []Trial) []Trial { return v[1:] }, 6, 1, 0, "1 of 7 rounds left out", true},
		"two dropped": {func(v []Trial) []Trial { v[0].Outcome, v[2].Outcome = Invalid, Invalid; return v }, 5, 2, 0,
			"no interval (n = 5); 2 of 7 rounds left out", false},
		"saturated": {func(v []Trial) []Trial { v[0].Outcome = Saturated; return v }, 7, 0, 1, "1 of 7 rounds saturated", true},
		"too few samples": {func(v []Trial) []Trial {
			v[0].Times[Response] = Histogram{Count: 100}
			return v
		}, 6, 1, 0, "1 of 7 rounds left out", true},
		"another rate": {func(v []Trial) []Trial {
			for i := range v {
				v[i].Rate = 500
			}
			return v
		}, 0, 0, 0, "no round in which both sides can be compared", false},
		"slow is no reason": {func(v []Trial) []Trial { v[0] = measured(t, "gateway", 1, 900, 1); return v }, 7, 0, 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			o := Overheads(c.change(rounds(t, 7)), "direct", "gateway", 1000, p99)
			require.Equal(t, []int{c.n, c.excluded, c.satur}, []int{o.N, o.Excluded, o.Saturated})
			require.Equal(t, c.note, o.Note)
			require.Equal(t, c.interval, o.Added.Interval.OK())
			_, err := json.Marshal(o)
			require.NoError(t, err)
		})
	}
}

func TestOverheadsPairByConnections(t *testing.T) {
	var all []Trial
	for round := 1; round <= 3; round++ {
		for _, connections := range []int{8, 64} {
			d, a := measured(t, "direct", round, 1, 1000), measured(t, "gateway", round, 2, 1000+int64(connections))
			d.Connections, a.Connections = connections, connections
			all = append(all, a, d)
		}
	}
	o := Overheads(all, "direct", "gateway", 1000, CPUPerRequest(""))
	require.Equal(t, 6, o.N)
	for _, p := range o.Pairs {
		require.Equal(t, float64(p.Connections), p.Arm-p.Direct)
	}
	same := Overheads(all, "direct", "direct", 1000, CPUPerRequest(""))
	require.Equal(t, 0.0, same.Added.Value)
}

func TestMetrics(t *testing.T) {
	v := measured(t, "gateway", 1, 4.1, 100_000)
	v.Usage = append(v.Usage, Usage{Kind: "gateway", CPU: 52e6, RSSPeak: 3 << 20, Sockets: 9}, Usage{Kind: "sidecar", CPU: 1e6, RSSPeak: 1 << 20, Sockets: 1})
	v.Counts.Errors, v.Counts.Declared, v.Counts.Planned = 12, 2, 1012
	of := func(m Metric) any {
		got, ok := m.Of(&v)
		if !ok {
			return "none"
		}
		return m.Format(got)
	}
	for _, c := range []struct {
		m    Metric
		want any
	}{
		{TimeQuantile(Response, 0.99), "4.10 ms"},
		{TimeQuantile(Response, 0.999), "none"}, // 1,000 samples do not suffice
		{TimeQuantile(Service, 0.5), "none"},
		{CPUPerRequest(""), "153 us"}, {CPUPerRequest("gateway"), "52.0 us"}, {CPUPerRequest("proxies"), "53.0 us"}, {CPUPerRequest("control"), "0 ns"},
		{MemoryPeak("proxies"), "4.00 MiB"}, {Sockets(""), "10"},
		{Achieved(), "99.0%"}, {ErrorShare(), "0.988%"},
	} {
		require.Equal(t, c.want, of(c.m), c.m.Name)
	}
	v.PlannedTrial.Driver = economicalPacing
	require.Equal(t, "none", of(TimeQuantile(Response, 0.99)), "economical pacing is no evidence on latency")
	require.Equal(t, "52.0 us", of(CPUPerRequest("gateway")))
	v.Usage, v.Counts = v.Usage[:1], Counts{}
	for _, m := range []Metric{CPUPerRequest(""), MemoryPeak(""), Achieved(), ErrorShare()} {
		require.Equal(t, "none", of(m), m.Name)
	}
	names := map[string]bool{}
	for _, m := range Metrics() {
		require.False(t, names[m.Label()], m.Label())
		names[m.Label()] = true
		require.NotEmpty(t, m.Title)
		require.Contains(t, []string{"lower", "higher"}, m.Better)
	}
	require.True(t, names["p99-sec"] && names["p99.9-sec"] && names["cpu-ns/req"] && names["slip-p99-sec"])
	require.True(t, TimeQuantile(Response, 0.5).Latency())
	require.False(t, TimeQuantile(Slip, 0.5).Latency())
	require.False(t, Achieved().Latency())
}

func TestLevels(t *testing.T) {
	trials := rounds(t, 6)
	trials = append(trials, measured(t, "gateway", 7, 500, 1))
	trials[len(trials)-1].Outcome = Saturated
	metrics := []Metric{TimeQuantile(Response, 0.5), TimeQuantile(Response, 0.999), CPUPerRequest("")}
	levels, err := Levels(trials, metrics)
	require.NoError(t, err)
	var names []string
	for _, l := range levels {
		names = append(names, l.Arm+" "+l.Metric.Name)
		require.Equal(t, 6, l.N)
		require.True(t, l.Estimate.Interval.Contains(l.Estimate.Value))
	}
	require.Equal(t, []string{"gateway p50", "gateway cpu", "direct p50", "direct cpu"}, names, "1,000 samples a trial give no p99.9")
	require.InEpsilon(t, 1.25e-3+3*0.5e-3, levels[0].Estimate.Value, 0.001, "the third of six trials holds the merged median")
	require.Equal(t, 150_000.0, levels[1].Estimate.Value)
}

func TestOneSpelling(t *testing.T) {
	sec, ns, bytes, part := Metric{Unit: UnitSeconds}, Metric{Unit: UnitNsReq}, Metric{Unit: UnitBytes}, Metric{Unit: UnitShare}
	for _, c := range []struct {
		m           Metric
		v           float64
		text, plain string
	}{
		{sec, 0.0041, "4.10 ms", "0.0041"},
		{sec, 0.00000041, "0.410 us", "0.00000041"},
		{sec, 0.0009996, "1.00 ms", "0.0009996"},
		{sec, -0.00025, "-250 us", "-0.00025"},
		{sec, 12.3, "12.3 s", "12.3"},
		{sec, 1234.5, "1235 s", "1234.5"},
		{sec, 0, "0 us", "0"},
		{ns, 152000, "152 us", "152000"},
		{ns, 999.6, "1.00 us", "999.6"},
		{bytes, 1 << 20, "1.00 MiB", "1048576"},
		{part, 1, "100%", "1"},
		{part, 0.00123, "0.123%", "0.00123"},
		{Metric{Unit: UnitCount}, 12, "12", "12"},
	} {
		require.Equal(t, c.text, c.m.Format(c.v))
		require.Equal(t, c.plain, c.m.Plain(c.v))
	}
}

func TestSecondsAreExact(t *testing.T) {
	// A time in whole nanoseconds is written in seconds without a digit too many.
	require.Equal(t, "0.004101119", Metric{}.Plain(seconds(4_101_119)))
}
