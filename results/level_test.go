package results

import (
	"testing"

	"github.com/stretchr/testify/require"
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
