package reports_test

import (
	"time"

	"crossroads/reports"
	"crossroads/results"
)

// faulty is a run in which parts fail: the only gateway, a sidecar, and a replica that answers badly.
func faulty() reports.Records {
	rec := synthetic(storefront()[:3], []float64{1000}, 6)
	rec.Plan.Name = "blast-radius"
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) {
		tr.Moments = &results.Moments{Length: int64(50 * time.Millisecond), Slow: int64(20 * time.Millisecond)}
		for range 40 {
			tr.Moments.Series = append(tr.Moments.Series, results.Moment{Count: results.Count{Due: 50, Done: 50}})
		}
		ms := int64(time.Millisecond)
		tr.Faults = []results.Fault{
			{Kind: "kill", Text: "kill gateway-1", From: 200 * ms, To: 500 * ms, Next: 800 * ms},
			{Kind: "kill", Text: "kill sidecar-stock-1", From: 800 * ms, To: 1000 * ms, Next: 1200 * ms},
			{Kind: "service", Text: "price-2: errors 100%", From: 1200 * ms, To: 1600 * ms, Next: 2000 * ms},
		}
		round := int64(tr.Round)
		suffer(tr, 2, "price-2", 13+round%2, []results.EdgeToll{{Caller: "frontend", Callee: "price", OK: 700, Failed: 80}, {Caller: "frontend", Callee: "stock", OK: 900}})
		switch tr.Arm {
		case "gateway":
			suffer(tr, 0, "gateway-1", 49+round%2, []results.EdgeToll{{Caller: "frontend", Callee: "stock", OK: 900}})
		case "mesh":
			suffer(tr, 1, "sidecar-stock-1", 40-round, []results.EdgeToll{{Caller: "frontend", Callee: "stock", OK: 200, Failed: 150}})
		}
	})
	return rec
}

// suffer has a fault fail some of the requests of each of its moments, and of one moment after it.
func suffer(tr *results.Trial, fault int, process string, failed int64, edges []results.EdgeToll) {
	f := &tr.Faults[fault]
	f.Acts = []results.Act{{Process: process, From: f.From + 300_000, To: f.To + 100_000, Ready: f.To + 40_000_000 + int64(tr.Round)*1_000_000}}
	f.Edges = edges
	count := results.Count{}
	first := f.From / tr.Moments.Length
	for i := first; i <= f.To/tr.Moments.Length; i++ {
		m := &tr.Moments.Series[i]
		m.Errors, m.Done = failed, m.Due-failed
		m.First, m.Last = i*tr.Moments.Length+1_000_000, (i+1)*tr.Moments.Length-1_000_000
		if (i+1)*tr.Moments.Length <= f.To {
			count.Due, count.Done, count.Errors = count.Due+m.Due, count.Done+m.Done, count.Errors+m.Errors
		}
	}
	times := tr.Times[results.Response]
	f.During = &results.Toll{Count: count, Times: &times}
	f.After = &results.Toll{Count: results.Count{Due: 300, Done: 300 - failed, Errors: failed}}
}
