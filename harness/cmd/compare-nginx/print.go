package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"crossroads/harness/load"
	"crossroads/results"
	"crossroads/results/stats"
)

// print writes the middle of each contender's rounds, and its ratios to nginx within rounds. How busy the proxy's CPU was says whether
// the proxy was the one that could not keep up: driver and origin share the other.
func print(w io.Writer, k kind, contenders []contender, s series) {
	timed := k.pacing == load.Precise
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\tCPU us/request\tuser\tsystem\tanswered/s\tits CPU busy\tMiB\t", k.title)
	if timed {
		fmt.Fprint(t, "p50 us\tp99 us\t")
	}
	fmt.Fprintln(t)
	for _, who := range contenders {
		of := func(value func(block) float64) float64 { return middle(s[who.name], value) }
		fmt.Fprintf(t, "%s\t%.1f\t%s\t%s\t%.0f\t%.0f%%\t%.1f\t", who.name, of(cpu), known(of(func(b block) float64 { return b.user })),
			known(of(func(b block) float64 { return b.system })), of(rate), of(func(b block) float64 { return b.cpu * b.rate / 1e4 }),
			of(func(b block) float64 { return b.memory }))
		if timed {
			fmt.Fprintf(t, "%.0f\t%.0f\t", of(p50), of(p99))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
	for _, who := range contenders {
		if who.name == rival {
			continue
		}
		fmt.Fprintf(w, "%s / %s: CPU %s", who.name, rival, ratio(s, who.name, cpu))
		if timed {
			fmt.Fprintf(w, "   p50 %s   p99 %s", ratio(s, who.name, p50), ratio(s, who.name, p99))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

func cpu(b block) float64  { return b.cpu }
func rate(b block) float64 { return b.rate }
func p50(b block) float64  { return b.p50 }
func p99(b block) float64  { return b.p99 }

// known leaves out a split that the kernel's ticks were too coarse for.
func known(us float64) string {
	if us == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", us)
}

func middle(blocks []block, of func(block) float64) float64 {
	var values []float64
	for _, b := range blocks {
		values = append(values, of(b))
	}
	return stats.Median(values)
}

// ratio writes an estimate with its interval.
func ratio(s series, name string, of func(block) float64) string {
	estimate, interval := ratios(s[name], s[rival], of)
	switch {
	case math.IsNaN(estimate):
		return "none: a round has no number above zero"
	case !interval.OK():
		return fmt.Sprintf("%.3f (no interval: %d rounds, 6 are needed)", estimate, interval.N)
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f]", estimate, interval.Low, interval.High)
}

// ratios estimates a/b from pairs of one round each: the Hodges-Lehmann estimate of the log ratio with its signed-rank interval at 95%. Where
// a round has no number above zero there is neither, as leaving the round out could be choosing by outcome.
func ratios(a, b []block, of func(block) float64) (float64, stats.Interval) {
	var logs []float64
	for i := range a {
		x, y := of(a[i]), of(b[i])
		if !(x > 0 && y > 0) || math.IsInf(x, 1) || math.IsInf(y, 1) {
			return math.NaN(), stats.Interval{N: len(a)}
		}
		logs = append(logs, math.Log(x/y))
	}
	interval := stats.SignedRank(logs, results.Confidence)
	interval.Low, interval.High = math.Exp(interval.Low), math.Exp(interval.High)
	return math.Exp(stats.HodgesLehmann(logs)), interval
}
