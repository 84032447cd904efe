package load

import (
	"slices"

	"crossroads/results"
)

// windows cuts the block into results.Windows equal parts by due time: the evidence for whether it was steady. Quantiles are exact,
// of the response times of successes.
func windows(s Schedule, points []point, b Block) []results.Window {
	series := make([]results.Window, results.Windows)
	times := make([][]int64, results.Windows)
	length := max(1, (b.To-b.From)/results.Windows)
	for i, a := range s {
		if !b.holds(a.Due) || points[i].state != success {
			continue
		}
		w := min(int((a.Due-b.From)/length), results.Windows-1)
		times[w] = append(times[w], points[i].response)
	}
	for w, responses := range times {
		slices.Sort(responses)
		series[w] = results.Window{
			Done: int64(len(responses)), P50: quantile(responses, 0.5), P99: quantile(responses, 0.99),
		}
	}
	return series
}
