package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"crossroads/results"
	"crossroads/results/export"
)

// TestBenchstatComparesTwoRuns gives two runs to the tool itself: it must find the same cell in both, and the change between them.
func TestBenchstatComparesTwoRuns(t *testing.T) {
	dir := t.TempDir()
	benchstat := filepath.Join(dir, "benchstat")
	build := exec.Command("go", "build", "-trimpath", "-o", benchstat, "golang.org/x/perf/cmd/benchstat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	write := func(name string, factor float64) string {
		var trials []results.Trial
		for round := 1; round <= 6; round++ {
			one := trial(t, "mesh", round, results.Valid)
			one.Usage = []results.Usage{{Kind: "workload", CPU: int64(factor * float64(76_000_000+1000*round))}}
			trials = append(trials, one)
		}
		var b bytes.Buffer
		require.NoError(t, export.Benchmark(&b, plan, machine, trials))
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
		return file
	}
	out, err = exec.Command(benchstat, write("before", 1), write("after", 1.25)).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Regexp(t, `Crossroads/topology=mesh/rate=1000-2 +152\.\d+µ? ± +0% +190\.\d+µ? ± +0% +\+25\.00% \(p=0\.002 n=6\)`, string(out))
	require.Contains(t, string(out), "cpu-sec/req")
	require.NotContains(t, string(out), "need >= 6 samples")
}

// TestVegetaReports: the reporter behind `vegeta report` prints what the samples hold.
func TestVegetaReports(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, export.Vegeta(&b, "mesh", began, func(yield func(export.Sample) bool) {
		for i := range uint64(200) {
			due := time.Duration(i) * 5 * time.Millisecond
			if !yield(export.Sample{Seq: i, Due: due, Done: due + 3*time.Millisecond, Status: 200, Received: 10, Method: "GET", URL: "http://127.0.0.1/"}) {
				return
			}
		}
	}))
	decode := vegeta.DecoderFor(&b)
	require.NotNil(t, decode)
	var m vegeta.Metrics
	for {
		var r vegeta.Result
		err := decode.Decode(&r)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		m.Add(&r)
	}
	m.Close()
	var text bytes.Buffer
	require.NoError(t, vegeta.NewTextReporter(&m).Report(&text))
	require.Regexp(t, `Requests +\[total, rate, throughput\] +200, 201\.0\d, 200\.\d+`, text.String())
	require.Regexp(t, `Latencies .* 3ms, +3ms`, text.String())
	require.Regexp(t, `Status Codes +\[code:count\] +200:200`, text.String())
}

// TestPercentilesAreWhatThePlotterReads: of each line with four numbers the plotter of HdrHistogram (GoogleChartsExample/plotFiles.html,
// and the gnuplot script beside it) draws the first over the fourth, which is 1/(1-percentile); lines that begin with # and the head are
// passed over.
func TestPercentilesAreWhatThePlotterReads(t *testing.T) {
	h := results.NewTimes()
	for i := range int64(2000) {
		require.NoError(t, h.RecordValue(1_000_000+i*1000))
	}
	var b bytes.Buffer
	require.NoError(t, export.Percentiles(&b, h))
	points, last := 0, 0.0
	for line := range strings.Lines(b.String()) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.HasPrefix(line, "#") || fields[0] == "Value" {
			continue
		}
		value, err1 := strconv.ParseFloat(fields[0], 64)
		share, err2 := strconv.ParseFloat(fields[1], 64)
		count, err3 := strconv.ParseInt(fields[2], 10, 64)
		at, err4 := strconv.ParseFloat(fields[3], 64)
		require.NoError(t, errors.Join(err1, err2, err3, err4), line)
		require.GreaterOrEqual(t, value, last, line)
		require.LessOrEqual(t, count, h.TotalCount(), line)
		if !math.IsInf(at, 1) {
			require.InEpsilon(t, 1/(1-share), at, 0.02, line)
		}
		require.InDelta(t, float64(h.ValueAtQuantile(100*share))/1e6, value, 0.01, "milliseconds: %s", line)
		points, last = points+1, value
	}
	require.Greater(t, points, 20)
	require.InDelta(t, 3.0, last, 0.01)
}

// tracked is what github-action-benchmark takes of the JSON of its custom tools: a list of name, unit, value, and the texts range and extra.
const tracked = `{"type": "array", "items": {"type": "object", "required": ["name", "unit", "value"], "additionalProperties": false, "properties": {
	"name": {"type": "string", "minLength": 1}, "unit": {"type": "string"}, "value": {"type": "number"}, "range": {"type": "string"}, "extra": {"type": "string"}}}}`

func TestTrackedJSONHoldsItsSchema(t *testing.T) {
	rules, err := jsonschema.UnmarshalJSON(strings.NewReader(tracked))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("tracked.json", rules))
	schema, err := c.Compile("tracked.json")
	require.NoError(t, err)
	var trials []results.Trial
	for round := 1; round <= 6; round++ {
		trials = append(trials, trial(t, "direct", round, results.Valid), trial(t, "mesh", round, results.Valid))
	}
	levels, err := results.Levels(trials, results.Metrics())
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, export.SmallerIsBetter(&b, plan, levels))
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(document))
	var names []struct{ Name string }
	require.NoError(t, json.Unmarshal(b.Bytes(), &names))
	seen := map[string]bool{}
	for _, n := range names {
		require.False(t, seen[n.Name], "the tracker tells series apart by name: %s", n.Name)
		seen[n.Name] = true
	}
	wrong, err := jsonschema.UnmarshalJSON(strings.NewReader(`[{"name": "x", "unit": "sec", "value": "1"}]`))
	require.NoError(t, err)
	require.Error(t, schema.Validate(wrong))
}
