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
	// A node that is kept from returning out of a write runs at the same time as the one it wrote to: what both tell then is no wait told twice,
	// which would be 30 ms.
	const both = 25 * time.Millisecond
	a := start(t, experiment(t, "  {entry: a, services: {a: {script: [{call: b}]}, b: {work: {wait: {fixed: 40ms}}, script: [{call: c}]}, c: {work: {wait: {fixed: 30ms}}}}}\n"), nil)
	for range 3 { // over connections that are new, and kept
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
		require.LessOrEqual(t, told["a"], took-70*time.Millisecond+both, "the calls are no time of its own")
		require.LessOrEqual(t, sum, took+both, "no wait is told twice")
		require.Positive(t, told["a"])
	}
	require.NotContains(t, a.get(HeaderSeq, "1").headers, "Server-Timing", "nobody asked")
}
