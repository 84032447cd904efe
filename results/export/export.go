// Package export writes records in the formats that other tools read: the Go benchmark format (benchstat), CSV, HdrHistogram logs
// and percentile files (the HdrHistogram plotter), customSmallerIsBetter JSON (github-action-benchmark), the Bencher metric format,
// vegeta results, and Markdown summaries that fit where they are posted.
//
// Its one invariant: a number is the same everywhere, because all formats take it from results.Metric and spell it with Plain.
// What is no evidence does not leave: failed and invalid trials appear only where the format can name their outcome (CSV and
// HdrHistogram logs), and a saturated trial never gives a latency. It computes no statistics of its own and reads no files.
package export

import (
	"encoding/json"
	"strconv"

	"crossroads/results"
)

// usable says whether a metric of a trial may be quoted: of valid trials all, of saturated ones all but latency.
func usable(t *results.Trial, m results.Metric) (float64, bool) {
	switch t.Outcome {
	case results.Valid:
	case results.Saturated:
		if m.Latency() {
			return 0, false
		}
	default:
		return 0, false
	}
	return m.Of(t)
}

// number keeps a value's one spelling in JSON.
func number(m results.Metric, v float64) json.Number { return json.Number(m.Plain(v)) }

// rate spells an offered rate: 1000, 0.5.
func rate(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
