package reports_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// floored is one edge with floor relays, and with sidecars that tell their times.
func floored() []shape {
	one := func(name, use string, p50, cpu float64) shape {
		return shape{info: results.ArmInfo{Name: name, Mesh: "both", MeshUse: use, EntryHops: 1, EdgeHops: 2, Edges: 2, Processes: 4, Proxies: 2, OriginTime: 100_000},
			p50: p50, spread: 0.1, proxyCPU: cpu, proxies: map[string]int{"sidecar": 2}}
	}
	return []shape{{info: results.ArmInfo{Name: "direct", Edges: 2, Processes: 2, OriginTime: 100_000}, p50: 0.4, spread: 0.1},
		one("relays", "relay", 0.62, 60), busy(one("busy", "relay", 0.72, 70)), one("plain", "", 0.70, 110), one("mtls", "", 0.78, 170)}
}

// busy makes relays spend 0.09 ms on a request for nothing.
func busy(s shape) shape {
	s.info.Busy = 90_000
	return s
}

// told adds a ledger to every trial: each proxy but a relay claims some of its time, and what is left is around the given milliseconds.
func told(tr *results.Trial, own, left float64) {
	parts := []results.LedgerPart{{Proxy: "back", Part: "app", Count: 500, Sum: 500 * 40_000}, {Proxy: "front", Part: "app", Count: 500, Sum: 500 * 60_000}}
	if own > 0 {
		parts = append(parts, results.LedgerPart{Proxy: "back-inbound", Part: "own", Count: 500, Sum: int64(500 * own * 1e6 / 2)},
			results.LedgerPart{Proxy: "back-inbound", Part: "read", Count: 500, Sum: 500 * 6_000},
			results.LedgerPart{Proxy: "back-inbound", Part: "mesh_authorization", Count: 500, Sum: 500 * 2_500},
			results.LedgerPart{Proxy: "front-outbound", Part: "own", Count: 500, Sum: int64(500 * own * 1e6 / 2)})
	}
	h := results.NewTimes()
	for i := range 500 {
		left := left * (0.9 + 0.2*float64(i)/500) * (1 + 0.01*math.Sin(float64(tr.Round)))
		if err := h.RecordValue(int64(left * 1e6)); err != nil {
			panic(err)
		}
	}
	encoded, err := results.Encode(h)
	if err != nil {
		panic(err)
	}
	tr.Ledger = &results.Ledger{Samples: 500, Parts: parts, Service: encoded, Remainder: encoded}
}

func TestTheFloorAndTheRemainder(t *testing.T) {
	r := scene("floor")
	var text strings.Builder
	for _, s := range r.Sections {
		if s.ID != "floor" {
			continue
		}
		require.Len(t, s.Parts, 3)
		for _, row := range s.Parts[0].Table.Rows {
			for _, cell := range row.Cells {
				text.WriteString(cell.Line() + " | ")
			}
		}
		remainder := s.Parts[1].Table
		require.Len(t, remainder.Rows, 5)
		verdicts := map[string]string{}
		for _, row := range remainder.Rows {
			verdicts[row.Cells[0].Text] = row.Cells[6].Text + " " + row.Cells[8].Text
		}
		require.Equal(t, map[string]string{"direct": "– –", "relays": "– –", "busy": "no –", "plain": "yes no", "mtls": "no yes"}, verdicts)
		require.Len(t, s.Text, 4)
		require.Regexp(t, `^At 1,000/s the remainder's p50 of plain lies 0\.03\S* ms \[.*\] above the floor relays': the bar of 0\.05\S* ms \(10% of theirs, or 0\.02 ms for two relays in a row\) is met\. It lies 0\.0[56]\S* ms \[.*\] below that of relays which keep the processor for 0\.090 ms of each request.*: the bar of 0\.0\S* ms is missed(\.| by)`, s.Text[1])
		require.Regexp(t, `of mtls lies 0\.10\S* ms \[.*\] above the floor relays': the bar of 0\.05\S* ms \(.*\) is missed\.`, s.Text[2])
		require.Regexp(t, `^The busy relays' own remainder lies 0\.09\S* ms \[.*\] above the idle ones'`, s.Text[3])
	}
	require.Contains(t, text.String(), "relays | ")
	require.Regexp(t, `plain \| 1[01]\d[^|]* \| 1\.8`, text.String())
	require.Regexp(t, `mtls \| 1[67]\d[^|]* \| 2\.8`, text.String())
}
