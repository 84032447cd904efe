package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/perf/benchfmt"

	"crossroads/results"
	"crossroads/results/export"
)

var (
	plan    = results.Plan{ID: "small-1", Name: "small", Trials: nil}
	machine = results.Environment{OS: "linux/amd64", CPU: "A Processor", CPUs: 2, Commit: "c0ffee"}
	began   = time.Date(2026, 3, 4, 5, 6, 7, 250e6, time.UTC)
)

func histogram(t testing.TB, ns int64) results.Histogram {
	t.Helper()
	h := results.NewTimes()
	require.NoError(t, h.RecordValues(ns, 500))
	e, err := results.Encode(h)
	require.NoError(t, err)
	return e
}

func trial(t testing.TB, arm string, round int, outcome results.Outcome) results.Trial {
	t.Helper()
	second := histogram(t, 2_000_000)
	return results.Trial{
		PlannedTrial: results.PlannedTrial{ID: "r1-" + arm + "-1000", Arm: arm, Round: round, Rate: 1000, Connections: 8, Driver: "native/precise"},
		Attempt:      1, Started: began.Add(time.Duration(round) * time.Second), Elapsed: int64(time.Second), Outcome: outcome,
		Counts:  results.Counts{Planned: 500, Ready: 500, Done: 500},
		Times:   map[string]results.Histogram{results.Response: histogram(t, 4_100_000), results.Service: histogram(t, 41_000)},
		Seconds: []results.Second{{At: -1, Times: &second}, {At: 0}},
		Usage:   []results.Usage{{Kind: "workload", CPU: 76_000_000}},
	}
}

func fourTrials(t testing.TB) []results.Trial {
	v := []results.Trial{trial(t, "direct", 1, results.Valid), trial(t, "mesh-plain x", 1, results.Saturated),
		trial(t, "mesh-plain x", 2, results.Invalid), trial(t, "mesh-plain x", 3, results.Failed)}
	v[2].Reasons = []results.Reason{{Rule: results.RuleSteal}, {Rule: results.RuleOnTime}}
	return v
}

func TestBenchmarkIsReadByBenchfmt(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, export.Benchmark(&b, plan, machine, fourTrials(t)))
	in := benchfmt.NewReader(&b, "run")
	var found []benchfmt.Result
	for in.Scan() {
		switch r := in.Result().(type) {
		case *benchfmt.Result:
			found = append(found, *r.Clone())
		case *benchfmt.SyntaxError:
			require.NoError(t, r)
		}
	}
	require.NoError(t, in.Err())
	require.Len(t, found, 2)

	require.Equal(t, "Crossroads/topology=direct/rate=1000-2", found[0].Name.String())
	require.Equal(t, 500, found[0].Iters)
	for key, want := range map[string]string{"goos": "linux", "goarch": "amd64", "cpu": "A Processor", "experiment": "small", "outcome": "valid"} {
		require.Equal(t, want, found[0].GetConfig(key))
	}
	p99, ok := found[0].Value("p99-sec")
	require.True(t, ok)
	require.InEpsilon(t, 4.1e-3, p99, 1e-3)
	cpu, ok := found[0].Value("cpu-sec/req") // benchfmt turns ns into sec
	require.True(t, ok)
	require.InEpsilon(t, 152e-6, cpu, 1e-9)

	require.Equal(t, "Crossroads/topology=mesh-plain_x/rate=1000-2", found[1].Name.String())
	require.Equal(t, "saturated", found[1].GetConfig("outcome"))
	for _, v := range found[1].Values {
		require.NotContains(t, v.Unit, "p99-sec", "no latency at a rate that was not achieved")
	}
	require.Equal(t, -1, in.Units().GetBetter("p99-sec"))
	require.Equal(t, 1, in.Units().GetBetter("achieved-share"))
}

func TestBenchmarkLine(t *testing.T) {
	v := trial(t, "mesh", 1, results.Valid)
	v.Times = nil
	one := machine
	one.CPUs = 1
	for name, c := range map[string]struct {
		env    results.Environment
		trials []results.Trial
		want   string
	}{
		"two CPUs": {machine, []results.Trial{v}, "BenchmarkCrossroads/topology=mesh/rate=1000-2 500 152000 cpu-ns/req "},
		"one CPU":  {one, []results.Trial{v}, "BenchmarkCrossroads/topology=mesh/rate=1000 500 152000 cpu-ns/req "},
		"several connections": {one, []results.Trial{v, func() results.Trial { w := v; w.Connections = 64; return w }()},
			"BenchmarkCrossroads/topology=mesh/rate=1000/connections=64 500 152000 cpu-ns/req "},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, export.Benchmark(&b, plan, c.env, c.trials))
			require.Contains(t, b.String(), c.want)
		})
	}
}

func TestCSV(t *testing.T) {
	trials := fourTrials(t)
	var b bytes.Buffer
	require.NoError(t, export.CSV(&b, plan, trials))
	rows, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	cell := func(row int, column string) string {
		for i, name := range rows[0] {
			if name == column {
				return rows[row][i]
			}
		}
		t.Fatalf("no column %s", column)
		return ""
	}
	require.Equal(t, []string{"valid", "saturated", "invalid", "failed"}, []string{cell(1, "outcome"), cell(2, "outcome"), cell(3, "outcome"), cell(4, "outcome")})
	require.Equal(t, "machine quiet: steal; on time", cell(3, "reasons"))
	require.Equal(t, "152000", cell(1, "cpu-ns/req"))
	require.Equal(t, "", cell(1, "p99.9-sec"), "500 samples give no p99.9")
	require.Equal(t, "2026-03-04T05:06:08.25Z", cell(1, "started"))
}

// TestOneNumberEverywhere finds the same digits in every format.
func TestOneNumberEverywhere(t *testing.T) {
	trials := []results.Trial{trial(t, "direct", 1, results.Valid)}
	m := results.TimeQuantile(results.Service, 0.99) // 41 us: a number that would get an exponent elsewhere
	v, ok := m.Of(&trials[0])
	require.True(t, ok)
	digits := m.Plain(v)
	require.NotContains(t, digits, "e")
	levels, err := results.Levels(trials, results.Metrics())
	require.NoError(t, err)
	for name, write := range map[string]func(io.Writer) error{
		"benchmark": func(w io.Writer) error { return export.Benchmark(w, plan, machine, trials) },
		"csv":       func(w io.Writer) error { return export.CSV(w, plan, trials) },
		"smaller":   func(w io.Writer) error { return export.SmallerIsBetter(w, plan, levels) },
		"bencher":   func(w io.Writer) error { return export.Bencher(w, plan, levels) },
	} {
		var b bytes.Buffer
		require.NoError(t, write(&b))
		require.Contains(t, b.String(), digits, name)
	}
}

func TestHistogramLogIsReadBack(t *testing.T) {
	trials := fourTrials(t)
	var b bytes.Buffer
	require.NoError(t, export.Histograms(&b, trials))
	require.True(t, strings.HasPrefix(b.String(), "#[Histogram log format version 1.3]\n#[StartTime: 1772600767 "), b.String())
	in := hdrhistogram.NewHistogramLogReader(&b)
	byTag := map[string]*hdrhistogram.Histogram{}
	for {
		h, err := in.NextIntervalHistogram()
		require.NoError(t, err)
		if h == nil {
			break
		}
		byTag[h.Tag()+at(h.StartTimeMs())] = h
	}
	require.Len(t, byTag, 4*3)
	want, err := trials[0].Times[results.Response].Decode()
	require.NoError(t, err)
	got := byTag["r1-direct-1000/response"+at(began.Add(time.Second).UnixMilli())]
	require.NotNil(t, got)
	require.True(t, want.Equals(got))
	require.Equal(t, int64(1000), got.EndTimeMs()-got.StartTimeMs())
	require.NotNil(t, byTag["r1-direct-1000/seconds"+at(began.UnixMilli())], "a second of the warm-up")
	require.NotNil(t, byTag["r1-mesh-plain_x-1000/service/invalid"+at(began.Add(2*time.Second).UnixMilli())])
}

func at(ms int64) string { return "@" + time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

func TestPercentiles(t *testing.T) {
	h, err := histogram(t, 4_100_000).Decode()
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, export.Percentiles(&b, h))
	require.Contains(t, b.String(), "Percentile")
	require.Contains(t, b.String(), "4.1")
	require.Contains(t, b.String(), "500")
}

func TestTrackers(t *testing.T) {
	var trials []results.Trial
	for round := 1; round <= 6; round++ {
		trials = append(trials, trial(t, "direct", round, results.Valid))
	}
	trials = append(trials, trial(t, "mesh", 1, results.Invalid))
	levels, err := results.Levels(trials, results.Metrics())
	require.NoError(t, err)

	var b bytes.Buffer
	require.NoError(t, export.SmallerIsBetter(&b, plan, levels))
	var entries []struct {
		Name, Unit, Range, Extra string
		Value                    float64
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &entries))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
		require.NotContains(t, e.Name, "achieved", "more of it is better")
	}
	require.Contains(t, names, "small/direct/rate=1000/connections=8 cpu")
	require.NotContains(t, strings.Join(names, "\n"), "mesh")
	require.Equal(t, "sec", entries[0].Unit)
	require.InEpsilon(t, 4.1e-3, entries[0].Value, 1e-3)
	require.Equal(t, "response time p50, n = 6 trials", entries[0].Extra)
	require.NotEmpty(t, entries[0].Range)

	b.Reset()
	require.NoError(t, export.Bencher(&b, plan, levels))
	var all map[string]map[string]map[string]float64
	require.NoError(t, json.Unmarshal(b.Bytes(), &all))
	require.Equal(t, map[string]float64{"value": 152000, "lower_value": 152000, "upper_value": 152000}, all["small/direct/rate=1000/connections=8"]["cpu-ns/req"])

	b.Reset()
	require.NoError(t, export.SmallerIsBetter(&b, plan, nil))
	require.Equal(t, "[]\n", b.String())
}

func TestVegetaIsReadByVegeta(t *testing.T) {
	samples := func(yield func(export.Sample) bool) {
		for i := range uint64(100) {
			s := export.Sample{Seq: i, Due: time.Duration(i) * time.Millisecond, Done: time.Duration(i)*time.Millisecond + 5*time.Millisecond,
				Status: 200, Received: 10, Method: "GET", URL: "http://127.0.0.1/"}
			if i == 99 {
				s.Status, s.Err = 0, "timeout"
			}
			if !yield(s) {
				return
			}
		}
	}
	var b bytes.Buffer
	require.NoError(t, export.Vegeta(&b, "mesh", began, samples))
	decode := vegeta.DecoderFor(&b)
	require.NotNil(t, decode)
	var metrics vegeta.Metrics
	for {
		var r vegeta.Result
		if err := decode.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		require.Equal(t, "mesh", r.Attack)
		require.True(t, r.Timestamp.Equal(began.Add(time.Duration(r.Seq)*time.Millisecond)))
		metrics.Add(&r)
	}
	metrics.Close()
	require.Equal(t, uint64(100), metrics.Requests)
	require.Equal(t, 5*time.Millisecond, metrics.Latencies.Max)
	require.InDelta(t, 0.99, metrics.Success, 1e-9)
	require.Equal(t, []string{"timeout"}, metrics.Errors)
}

// broken is a writer whose disk is full.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestErrorsOfTheWriterAreSeen(t *testing.T) {
	trials := fourTrials(t)
	levels, err := results.Levels(trials, results.Metrics())
	require.NoError(t, err)
	var m export.Markdown
	m.Paragraph("x")
	for name, write := range map[string]func(io.Writer) error{
		"benchmark":  func(w io.Writer) error { return export.Benchmark(w, plan, machine, trials) },
		"csv":        func(w io.Writer) error { return export.CSV(w, plan, trials) },
		"histograms": func(w io.Writer) error { return export.Histograms(w, trials) },
		"smaller":    func(w io.Writer) error { return export.SmallerIsBetter(w, plan, levels) },
		"bencher":    func(w io.Writer) error { return export.Bencher(w, plan, levels) },
		"vegeta": func(w io.Writer) error {
			return export.Vegeta(w, "a", began, func(yield func(export.Sample) bool) { yield(export.Sample{}) })
		},
		"markdown": func(w io.Writer) error { _, err := m.WriteTo(w); return err },
	} {
		require.ErrorIs(t, write(broken{}), io.ErrShortWrite, name)
	}
}
