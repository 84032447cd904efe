package reports_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"crossroads/reports"
	"crossroads/results"
)

// scenes are the runs on which every form of the report is tested, each made once.
var scenes = map[string]func() (reports.Records, *reports.Report){
	"storefront": made(func() reports.Records { return synthetic(storefront(), []float64{500, 1000, 1500}, 6) }),
	"troubled":   made(troubled),
	"quick":      made(quick),
	"spoilt":     made(spoilt),
	"zero":       made(zero),
	"crowded":    made(crowded),
	"external":   made(external),
	"faulty":     made(faulty),
	"features":   made(featured),
	"searched":   made(searched),
	"beside":     made(beside),
	"pages":      made(func() reports.Records { return synthetic(composedPages(), []float64{500, 1000}, 6) }),
	"floor": made(func() reports.Records {
		rec := synthetic(floored(), []float64{1000}, 6)
		change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) {
			own := map[string]float64{"plain": 0.07, "mtls": 0.08}[tr.Arm]
			left := map[string]float64{"direct": 0.30, "relays": 0.50, "busy": 0.68, "plain": 0.53, "mtls": 0.60}[tr.Arm]
			told(tr, own, left)
		})
		return rec
	}),
}

func made(f func() reports.Records) func() (reports.Records, *reports.Report) {
	return sync.OnceValues(func() (reports.Records, *reports.Report) {
		rec := f()
		r, err := reports.FromRecords(rec)
		if err != nil {
			panic(err)
		}
		return rec, r
	})
}

// scene is the report of a scene.
func scene(name string) *reports.Report {
	_, r := scenes[name]()
	return r
}

// change applies f to the trials of a run that match.
func change(rec *reports.Records, match func(results.Trial) bool, f func(*results.Trial)) {
	for i := range rec.Trials {
		if match(rec.Trials[i]) {
			f(&rec.Trials[i])
		}
	}
}

// troubled has everything that can go wrong and leave something to report: a proxy that died, a busy machine, an arm that parity
// kept out of a round, errors, a flag, and a pause.
func troubled() reports.Records {
	rec := synthetic(storefront(), []float64{500, 1000, 1500}, 7)
	fail := func(tr *results.Trial) {
		tr.Outcome, tr.Times = results.Failed, nil
		tr.Counts.Done, tr.Counts.Errors = tr.Counts.Planned*6/10, tr.Counts.Planned*4/10
		tr.Errors = map[string]int64{"refused": tr.Counts.Errors}
		tr.Failure = &results.Failure{Process: "sidecar-orders-1", Reason: "ended by signal 9 (killed)",
			Log: []string{`{"level":"info","msg":"listening","address":"127.0.0.1:4143"}`, `{"level":"error","msg":"<b>accept</b>: too many open files"}`}}
		tr.Reasons = []results.Reason{{Rule: results.RuleAlive, Text: "sidecar-orders-1: ended by signal 9 (killed)"}}
	}
	spoil := func(tr *results.Trial) {
		tr.Outcome = results.Invalid
		tr.Reasons = []results.Reason{{Rule: results.RuleForeign, Text: "processes that are not ours used 9.1% of the CPU time, the limit is 5%", Value: 0.091, Limit: 0.05}}
	}
	change(&rec, func(tr results.Trial) bool { return tr.ID == "r2-mesh-1000-c64" }, fail)
	change(&rec, func(tr results.Trial) bool { return tr.Round == 4 && tr.Rate == 500 }, spoil)
	change(&rec, func(tr results.Trial) bool { return tr.ID == "r5-gateway-1000-c64" }, func(tr *results.Trial) {
		tr.Errors = map[string]int64{"timeout": 1, "status": 1}
		tr.Counts.Errors, tr.Counts.Declared, tr.Counts.Done = 2, 1, tr.Counts.Done-2
		tr.Flags = []results.Reason{{Rule: results.RuleSteady, Text: "the median response time fell over the block (Mann-Kendall p = 0.004)", Value: 0.004, Limit: 0.01}}
	})
	change(&rec, func(tr results.Trial) bool { return tr.Round >= 6 }, func(tr *results.Trial) {
		tr.Attempt, tr.Started = 1, tr.Started.Add(2*time.Hour)
	})
	rec.Trials = slices.DeleteFunc(rec.Trials, func(tr results.Trial) bool { return tr.Round == 3 && tr.Arm == "gateway+mesh" })
	rec.Exclusions = []results.Exclusion{{Round: 3, Arm: "gateway+mesh", Probe: "mtls", Text: "a plaintext peer was answered with 200 where it was to be refused"}}
	rec.Sittings = []results.Sitting{{Started: began}, {Started: began.Add(2*time.Hour + 5*time.Minute), Stopped: began.Add(3 * time.Hour), Reason: "finished"}}
	rec.Environment.Dirty = true
	rec.Environment.Warnings = []string{"the CPU frequency governor is powersave: the clock changes with the load; performance is steadier"}
	return rec
}

// quick is a look at two arms with one round, cut short, without objectives.
func quick() reports.Records {
	rec := synthetic(storefront()[:2], []float64{1000}, 2)
	rec.Plan.KeptAlive, rec.Plan.Objectives = true, nil
	rec.Trials = rec.Trials[:2]
	return rec
}

// spoilt has no valid trial at all.
func spoilt() reports.Records {
	rec := synthetic(storefront(), []float64{500, 1000}, 6)
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) {
		tr.Outcome = results.Invalid
		tr.Reasons = []results.Reason{{Rule: results.RuleOnTime, Text: "slip p50 is 310 us, the limit is 202 us"}}
	})
	return rec
}

// zero has records in which nothing is filled in, as a target that was never ready leaves them.
func zero() reports.Records {
	rec := synthetic(storefront(), []float64{1000}, 6)
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) {
		*tr = results.Trial{Schema: 1, PlannedTrial: tr.PlannedTrial, Outcome: results.Failed, Failure: &results.Failure{Reason: "never ready"}}
	})
	rec.Environment, rec.Experiment = results.Environment{Schema: 1}, nil
	return rec
}

// crowded has twelve arms, with names that are long, alike, not Latin, and hostile.
func crowded() reports.Records {
	arms := []shape{direct()}
	for i, name := range []string{"gateway-with-key-authentication-and-rate-limit-on", "gateway-with-key-authentication-and-rate-limit-off",
		`<script>alert("x")</script>`, "メッシュ・相互認証", "a|b_c*d`e", "x\x1b[31mred", "mesh & more", "nginx", "haproxy", "envoy", strings.Repeat("é", 80)} {
		arms = append(arms, shape{info: results.ArmInfo{Name: name, Gateway: fmt.Sprintf("kind%d", i), EntryHops: 1, Edges: 2, Processes: 3, Proxies: 1},
			p50: 1.9 + 0.03*float64(i), spread: 0.29, proxyCPU: 60 + 5*float64(i), proxies: map[string]int{"gateway": 1}})
	}
	return synthetic(arms, []float64{125, 1000}, 6)
}

// composedPages is one request that is made of three calls: by the client at once and in order, and by the gateway.
func composedPages() []shape {
	arm := func(name, by string, p50 float64, requests, inTurn float64, gateway string) shape {
		s := shape{info: results.ArmInfo{Name: name, Gateway: gateway, Edges: 3, Processes: 3, OriginTime: 220_000,
			Composition: &results.Composition{By: by, Calls: 3, Requests: requests, InTurn: inTurn}}, p50: p50, spread: 0.2}
		if gateway != "" {
			s.info.EntryHops, s.info.Proxies, s.info.Processes = 1, 1, 4
			s.proxyCPU, s.proxies = 40*requests, map[string]int{"gateway": 1}
		}
		return s
	}
	return []shape{
		arm("direct", "client", 0.62, 3, 1, ""), arm("direct-in-order", "client", 0.98, 3, 3, ""),
		arm("gateway", "client", 0.83, 3, 1, "reference"), arm("gateway-in-order", "client", 1.5, 3, 3, "reference"),
		arm("composed", "gateway", 1.1, 1, 1, "reference"),
	}
}

// external compares two systems that somebody else runs; there is no direct arm, and nothing of their processes is seen.
func external() reports.Records {
	arms := []shape{
		{info: results.ArmInfo{Name: "before", External: "http://127.0.0.1:8080"}, p50: 2, spread: 0.3},
		{info: results.ArmInfo{Name: "after", External: "http://127.0.0.1:8081"}, p50: 1.8, spread: 0.3},
	}
	rec := synthetic(arms, []float64{1000}, 6)
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) { tr.Usage, tr.ReadyIn = nil, 0 })
	return rec
}

// featured has a plain gateway, three stages alone, one of them in shadow as well, and the three together, which share some of their work. The
// authorization server that one of them asks has its CPU apart.
func featured() reports.Records {
	arms := []shape{direct()}
	for _, a := range []struct {
		name     string
		features []string
		p50, cpu float64
	}{
		{"gateway", nil, 1.93, 62}, {"key", []string{"key_auth"}, 1.935, 63.4}, {"key-shadow", []string{"key_auth=shadow"}, 1.934, 63.1},
		{"introspection", []string{"introspection"}, 1.95, 66}, {"log", []string{"access_log"}, 1.94, 69}, {"all", []string{"access_log", "key_auth", "introspection"}, 1.962, 70.5},
	} {
		s := shape{info: results.ArmInfo{Name: a.name, Gateway: "reference", Features: a.features, EntryHops: 1, Edges: 5, Processes: 6, Proxies: 1, OriginTime: 1_400_000},
			p50: a.p50, spread: 0.29, proxyCPU: a.cpu, proxies: map[string]int{"gateway": 1}}
		if slices.Contains(a.features, "introspection") {
			s.info.Processes++
			s.proxies["issuer"] = 1
		}
		arms = append(arms, s)
	}
	rec := synthetic(arms, []float64{1000}, 6)
	change(&rec, func(tr results.Trial) bool { return tr.Arm != "direct" }, func(tr *results.Trial) {
		sum := results.Hash([]byte(tr.Arm))
		tr.Active = []results.Active{{Process: "gateway-1", Hash: sum[:16], Stages: "routing," + tr.Arm}}
	})
	change(&rec, func(tr results.Trial) bool { return tr.Round == 4 && tr.Arm == "log" }, func(tr *results.Trial) { tr.Active[0].Hash = "another" })
	change(&rec, func(tr results.Trial) bool { return tr.Round == 5 && tr.Arm == "key-shadow" }, func(tr *results.Trial) { tr.Outcome = results.Invalid })
	return rec
}
