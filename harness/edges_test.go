package harness

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

func reads(pid int, ok, failed string) counted {
	return parseCounts(strings.NewReader(`# HELP workload_calls_total Calls made to other services, by result.
workload_requests_total{service="web",replica="1",code="2xx"} 7
workload_calls_total{service="web",replica="1",to="cart",result="ok"} `+ok+`
workload_calls_total{service="web",replica="1",to="cart",result="declared_error"} 1
workload_calls_total{service="web",replica="1",to="cart",result="failed"} `+failed+`
workload_calls_total{service="web",replica="1",to="ads",result="ok"} 5
`), pid)
}

// TestEdgesAreCountedByTheirCallers: from one reading to the next, over all replicas of a caller, whichever of them were killed.
func TestEdgesAreCountedByTheirCallers(t *testing.T) {
	tally := newTally(nil, []results.Fault{{From: 10, Next: 20}, {From: 20, Next: 30}, {From: 10, Next: 20}})
	require.Equal(t, []int64{10, 20, 30}, tally.times)
	tally.readings = []reading{
		{"web-1": reads(1, "100", "2"), "web-2": reads(2, "50", "0")},
		{"web-1": reads(1, "160", "9")}, // web-2 was paused, and did not answer
		{"web-1": reads(3, "40", "1"), "web-2": reads(2, "80", "0")},
	}
	require.Equal(t, []results.EdgeToll{{Caller: "web", Callee: "ads"}, {Caller: "web", Callee: "cart", OK: 60, Failed: 7}}, tally.between(10, 20))
	require.Equal(t, []results.EdgeToll{{Caller: "web", Callee: "ads", OK: 10}, {Caller: "web", Callee: "cart", OK: 122, Failed: 1}}, tally.between(20, 30),
		"web-1 was started again and counts from zero; of web-2 there is no earlier reading")
	require.Empty(t, tally.between(5, 6))
}
