package workload

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOwnTimeLeavesCallsOut: a node tells its own time and passes on what its calls told; what it waits for is not its own, and what it
// does is.
func TestOwnTimeLeavesCallsOut(t *testing.T) {
	// Two nodes tell the same moment where one is kept from returning out of its write while the other is at work already. That comes and goes,
	// where time that is told twice is in every answer: so each request's bounds hold for the best of some nodes.
	const requests = 3 // over a connection that is new, and kept
	var over, twice [requests]time.Duration
	var a *app
	for node := range 4 {
		a = start(t, experiment(t, "  {entry: a, services: {a: {script: [{call: b}]}, b: {work: {wait: {fixed: 40ms}}, script: [{call: c}]}, c: {work: {wait: {fixed: 30ms}}}}}\n"), nil)
		for i := range requests {
			since := time.Now()
			got := a.get(HeaderSeq, "1", HeaderLedger, "1")
			took := time.Since(since)
			told, sum := map[string]time.Duration{}, time.Duration(0)
			for _, one := range strings.Split(got.headers["Server-Timing"], ",") {
				name, value, _ := strings.Cut(strings.TrimSpace(one), ".app;dur=")
				ms, err := strconv.ParseFloat(value, 64)
				require.NoError(t, err, one)
				told[name] = time.Duration(ms * 1e6)
				sum += told[name]
			}
			require.Len(t, told, 3)
			require.GreaterOrEqual(t, told["b"], 40*time.Millisecond)
			require.GreaterOrEqual(t, told["c"], 30*time.Millisecond)
			require.Positive(t, told["a"])
			beyond, again := told["a"]-(took-70*time.Millisecond), sum-took
			if node == 0 {
				over[i], twice[i] = beyond, again
			}
			over[i], twice[i] = min(over[i], beyond), min(twice[i], again)
		}
	}
	for i := range requests {
		require.LessOrEqual(t, over[i], time.Duration(0), "the calls are no time of its own: request %d", i+1)
		require.LessOrEqual(t, twice[i], time.Duration(0), "no time is told twice: request %d", i+1)
	}
	require.NotContains(t, a.get(HeaderSeq, "1").headers, "Server-Timing", "nobody asked")
}
