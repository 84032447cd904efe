package reports_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/stats"
)

// find returns the cell of the row that begins with the given texts.
func find(t *testing.T, r *reports.Report, table, column string, row ...string) reports.Cell {
	t.Helper()
	tables := []*reports.Table{r.Costs, r.Benefits}
	for _, s := range r.Sections {
		for _, p := range s.Parts {
			if p.Table != nil {
				tables = append(tables, p.Table)
			}
		}
	}
	for _, tb := range tables {
		for j, c := range tb.Columns {
			if tb.ID != table || c.Key != column {
				continue
			}
		rows:
			for _, x := range tb.Rows {
				for k, want := range row {
					if x.Cells[k].Main() != want {
						continue rows
					}
				}
				return x.Cells[j]
			}
		}
	}
	require.FailNow(t, "no such cell", "%s %s %v", table, column, row)
	return reports.Cell{}
}

func known(t *testing.T, c reports.Cell) quantity.Quantity {
	t.Helper()
	require.NotNil(t, c.Quantity)
	require.True(t, c.Quantity.Known(), c.Quantity.Missing)
	return *c.Quantity
}

// trialQuantiles are the response-time quantiles of an arm's valid trials, by round, straight from the records.
func trialQuantiles(t *testing.T, rec reports.Records, arm string, rate, q float64) (byRound map[int]float64, merged *hdrhistogram.Histogram) {
	t.Helper()
	byRound, merged = map[int]float64{}, results.NewTimes()
	for _, tr := range rec.Trials {
		if tr.Arm == arm && tr.Rate == rate && tr.Outcome == results.Valid {
			h, err := tr.Times[results.Response].Decode()
			require.NoError(t, err)
			byRound[tr.Round] = float64(results.Quantile(h, q)) / 1e6
			require.Zero(t, merged.Merge(h))
		}
	}
	return byRound, merged
}

func TestNumbersAreThoseOfTheRecords(t *testing.T) {
	rec, r := scenes["troubled"]()
	gateway, merged := trialQuantiles(t, rec, "gateway", 1000, 0.99)
	direct, _ := trialQuantiles(t, rec, "direct", 1000, 0.99)
	var diffs []float64
	for round := 1; round <= rec.Plan.Rounds; round++ {
		diffs = append(diffs, gateway[round]-direct[round])
	}
	added := known(t, find(t, r, "costs", "added_p99", "gateway"))
	require.InDelta(t, stats.HodgesLehmann(diffs), added.Value, 1e-12)
	interval := stats.SignedRank(diffs, 0.95)
	require.InDelta(t, interval.Low, added.Interval.Low, 1e-12)
	require.InDelta(t, interval.High, added.Interval.High, 1e-12)
	require.Equal(t, 7, added.N)

	p99 := known(t, find(t, r, "load-p99-table", "p99", "gateway", "1,000"))
	require.InDelta(t, float64(results.Quantile(merged, 0.99))/1e6, p99.Value, 1e-12)
}

// A number is spelled in the same way in every form of the report.
func TestOneSpellingEverywhere(t *testing.T) {
	r := scene("storefront")
	added := known(t, find(t, r, "costs", "added_p99", "mesh"))
	var term, md bytes.Buffer
	require.NoError(t, reports.Terminal(&term, r, false, 200))
	require.NoError(t, reports.Markdown(&md, r))
	require.Contains(t, md.String(), added.Bare())
	require.Contains(t, md.String(), added.Text())
	for form, text := range map[string]string{"terminal": term.String(), "page": html(t, "storefront")} {
		require.Contains(t, text, added.Number(), form)
		require.Contains(t, text, added.Range(), form)
		require.Contains(t, strings.ReplaceAll(text, "\u00a0", " "), added.Text(), form)
	}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			if f.Shown && e.Value.Excludes(e.Margin.Value) && e.Value.Value > 0 {
				require.Contains(t, f.Text, e.Value.Text())
			}
		}
	}
}

// Two trials of different tails: the p99 of all their samples is not the mean of their p99s.
func TestPercentilesAreNotAveraged(t *testing.T) {
	rec := synthetic(storefront()[:1], []float64{1000}, 6)
	slow := results.NewTimes()
	require.NoError(t, slow.RecordValues(900e6, 2000))
	encoded, err := results.Encode(slow)
	require.NoError(t, err)
	rec.Trials[2].Times[results.Response] = encoded
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	_, merged := trialQuantiles(t, rec, "direct", 1000, 0.99)
	p99 := known(t, find(t, r, "load-p99-table", "p99", "direct"))
	require.InDelta(t, float64(results.Quantile(merged, 0.99))/1e6, p99.Value, 1e-9)
	require.Greater(t, p99.Value, 890.0, "a sixth of all samples took 900 ms")
	require.LessOrEqual(t, p99.Interval.Low, p99.Value)
	require.GreaterOrEqual(t, p99.Interval.High, p99.Value)
}

func TestQuantileNeedsSamples(t *testing.T) {
	for _, c := range []struct {
		samples int64
		missing string
	}{{367, "too few samples (367 of 368)"}, {368, ""}} {
		rec := synthetic(storefront()[:1], []float64{1000}, 6)
		rec.Trials, rec.Plan.Trials, rec.Plan.Rounds = rec.Trials[:1], rec.Plan.Trials[:1], 1
		h := results.NewTimes()
		require.NoError(t, h.RecordValues(2e6, c.samples))
		encoded, err := results.Encode(h)
		require.NoError(t, err)
		rec.Trials[0].Times[results.Response] = encoded
		r, err := reports.FromRecords(rec)
		require.NoError(t, err)
		require.Equal(t, c.missing, find(t, r, "load-p99-table", "p99", "direct").Quantity.Missing)
	}
}

func TestIntervalsNeedSixRounds(t *testing.T) {
	for rounds, want := range map[int]string{4: "no interval (n = 4 rounds)", 5: "no interval (n = 5 rounds)", 6: ""} {
		r, err := reports.FromRecords(synthetic(storefront()[:2], []float64{1000}, rounds))
		require.NoError(t, err)
		q := known(t, find(t, r, "costs", "added_p99", "gateway"))
		require.Equal(t, want, q.Note)
		require.Equal(t, want == "", q.Interval != nil)
		for _, f := range r.Findings {
			if f.Rule == "added p99" && want != "" {
				require.False(t, f.Shown)
				require.Contains(t, f.Text, "cannot be told: "+want)
			}
		}
	}
}

// One invalid side drops the pair, on either side.
func TestInvalidTrialDropsThePair(t *testing.T) {
	rec := synthetic(storefront()[:2], []float64{1000}, 8)
	change(&rec, func(tr results.Trial) bool {
		return tr.Round == 2 && tr.Arm == "direct" || tr.Round == 5 && tr.Arm == "gateway"
	},
		func(tr *results.Trial) { tr.Outcome = results.Invalid })
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	require.Equal(t, 6, known(t, find(t, r, "costs", "added_p99", "gateway")).N)
	require.Equal(t, 7, known(t, find(t, r, "costs", "cpu", "gateway")).N)
}

func TestHistogramOfAnotherRangeIsAnError(t *testing.T) {
	rec := synthetic(storefront()[:1], []float64{1000}, 1)
	h := hdrhistogram.New(1, 1000, 2)
	require.NoError(t, h.RecordValue(5))
	v2, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	require.NoError(t, err)
	rec.Trials[0].Times[results.Response] = results.Histogram{Count: 1, V2: string(v2)}
	_, err = reports.FromRecords(rec)
	require.ErrorContains(t, err, "r1-direct-1000-c64")
}

func TestNothingToReport(t *testing.T) {
	rec := synthetic(storefront()[:1], []float64{1000}, 1)
	rec.Trials = nil
	_, err := reports.FromRecords(rec)
	require.ErrorIs(t, err, reports.ErrNothing)
}
