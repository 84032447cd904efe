package reports_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/reports"
	"crossroads/results"
)

// shape is how a synthetic arm behaves. It is made up: no number of it was measured.
type shape struct {
	info     results.ArmInfo
	p50      float64 // milliseconds
	spread   float64 // sigma of the logarithm
	proxyCPU float64 // microseconds per request
	limit    float64 // rate at which it saturates; 0: never
	proxies  map[string]int
}

func direct() shape {
	return shape{info: results.ArmInfo{Name: "direct", Edges: 5, Processes: 5, OriginTime: 1_400_000}, p50: 1.82, spread: 0.28}
}

func storefront() []shape {
	return []shape{
		direct(),
		{info: results.ArmInfo{Name: "gateway", Gateway: "reference", EntryHops: 1, Edges: 5, Processes: 6, Proxies: 1, OriginTime: 1_400_000},
			p50: 1.93, spread: 0.29, proxyCPU: 62, proxies: map[string]int{"gateway": 1}},
		{info: results.ArmInfo{Name: "mesh", Mesh: "both", MTLS: "strict", EntryHops: 1, EdgeHops: 2, Edges: 5, Encrypted: 4, Processes: 11, Proxies: 6, OriginTime: 1_400_000},
			p50: 2.55, spread: 0.31, proxyCPU: 410, limit: 1500, proxies: map[string]int{"sidecar": 5, "control": 1}},
		{info: results.ArmInfo{Name: "gateway+mesh", Gateway: "reference", Mesh: "both", MTLS: "strict", EntryHops: 2, EdgeHops: 2, Edges: 5, Encrypted: 5, Processes: 12, Proxies: 7, OriginTime: 1_400_000},
			p50: 2.68, spread: 0.31, proxyCPU: 480, limit: 1500, proxies: map[string]int{"gateway": 1, "sidecar": 5, "control": 1}},
	}
}

var began = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// synthetic makes the records of a run of the given arms. The same arguments give the same records.
func synthetic(arms []shape, rates []float64, rounds int) reports.Records {
	experiment := []byte("version: 1\nname: storefront\napplication:\n  entry: frontend\n  services:\n    frontend: {}\n")
	rec := reports.Records{
		Plan: results.Plan{
			Schema: 1, ID: "storefront-20260314-092653-1a2b3c", Name: "storefront", Experiment: results.Hash(experiment), Machine: "9f8e7d6c", Seed: 1,
			Rounds: rounds, Reference: 1000, Created: began,
			Binaries: []results.Binary{{Name: "gateway", SHA256: results.Hash([]byte("gateway"))}, {Name: "sidecar", SHA256: results.Hash([]byte("sidecar"))}},
			Objectives: []results.Objective{
				{Text: "p(99) < 20ms", Metric: "p", Quantile: 99, Op: "<", Value: 0.020},
				{Text: "errors < 0.1%", Metric: "errors", Op: "<", Value: 0.001},
				{Text: "achieved >= 99% offered", Metric: "achieved", Op: ">=", Value: 0.99},
			},
		},
		Environment: results.Environment{
			Schema: 1, Host: "bench-host", Kernel: "6.12.0", OS: "linux/amd64", CPU: "Example CPU 2.4 GHz", CPUs: 2, Memory: 4 << 30,
			Go: "go1.26.8", Commit: "0123456789abcdef0123456789abcdef01234567", Placement: "shared", Machine: "9f8e7d6c",
		},
		Experiment: experiment,
		Sittings:   []results.Sitting{{Started: began, Stopped: began.Add(time.Hour), Reason: "finished"}},
	}
	for _, a := range arms {
		rec.Plan.Arms = append(rec.Plan.Arms, a.info)
	}
	order := 0
	for round := 1; round <= rounds; round++ {
		for i, a := range arms {
			for _, rate := range rates {
				p := results.PlannedTrial{ID: fmt.Sprintf("r%d-%s-%g-c64", round, a.info.Name, rate), Order: order, Round: round, Arm: a.info.Name, Rate: rate,
					Connections: 64, Seed: uint64(round), Warmup: 1e9, Duration: 2e9, Driver: "native/precise"}
				rec.Plan.Trials = append(rec.Plan.Trials, p)
				rec.Trials = append(rec.Trials, a.trial(p, uint64(round*1000+i*100)+uint64(rate), order))
				order++
			}
		}
	}
	return rec
}

// used are the histograms that each trial fills in turn: they are large, and making them anew takes most of the time.
var used = []*hdrhistogram.Histogram{results.NewTimes(), results.NewTimes(), results.NewTimes(), results.NewTimes()}

func (a shape) trial(p results.PlannedTrial, seed uint64, order int) results.Trial {
	r := rand.New(rand.NewPCG(seed, 7))
	n := int64(p.Rate * 2)
	drift := 1 + 0.012*math.Sin(float64(p.Round)*1.7) + 0.01*r.NormFloat64()
	load := 1 + 0.35*math.Pow(p.Rate/1500, 3)
	full := a.limit > 0 && p.Rate >= a.limit
	for _, h := range used {
		h.Reset()
	}
	response, service, slip, second := used[0], used[1], used[2], used[3]
	trial := results.Trial{Schema: 1, PlannedTrial: p, Attempt: 1, Started: began.Add(time.Duration(order) * 6 * time.Second), Outcome: results.Valid, Elapsed: 2e9}
	record := func(h *hdrhistogram.Histogram, ns int64) {
		if err := h.RecordValue(ns); err != nil {
			panic(err)
		}
	}
	for i := range n {
		ms := a.p50 * load * drift * math.Exp(a.spread*r.NormFloat64())
		if r.Float64() < 0.004 {
			ms += 3 * r.ExpFloat64()
		}
		queued := 0.0
		if full {
			queued = 18 * float64(i) / float64(n)
		}
		record(response, int64((ms+queued)*1e6))
		record(service, int64(ms*0.985*1e6))
		record(slip, int64((8+12*r.ExpFloat64())*1e3))
		record(second, int64((ms+queued)*1e6))
		if i%int64(p.Rate) == int64(p.Rate)-1 {
			trial.Seconds = append(trial.Seconds, results.Second{At: int(i / int64(p.Rate)), Done: int64(p.Rate), P50: results.Quantile(second, 0.5),
				P99: results.Quantile(second, 0.99), Slip99: 60_000, CPU: int64(p.Rate * (350 + a.proxyCPU) * 1e3)})
			second.Reset()
		}
	}
	for range results.Windows {
		trial.Windows = append(trial.Windows, results.Window{Done: n / results.Windows, P50: int64(a.p50 * 1e6), P99: int64(a.p50 * 2e6)})
	}
	warm := results.Second{At: -1, Done: int64(p.Rate), P50: int64(a.p50 * 1.15e6), P99: int64(a.p50 * 3.4e6), Slip99: 70_000}
	trial.Seconds = append([]results.Second{warm}, trial.Seconds...)
	trial.Times = map[string]results.Histogram{}
	for name, h := range map[string]*hdrhistogram.Histogram{results.Response: response, results.Service: service, results.Slip: slip} {
		encoded, err := results.Encode(h)
		if err != nil {
			panic(err)
		}
		trial.Times[name] = encoded
	}
	trial.Counts = results.Counts{Planned: n, Ready: n, Done: n, Bytes: n * 1024}
	if c := a.info.Composition; c != nil {
		trial.Counts.Requests = n * int64(c.Requests)
	}
	trial.Statuses = map[string]int64{"200": n}
	trial.Driver = results.DriverUse{CPU: 1.4e9, Spin: 1.1e9, Given: 4e9, Priority: "normal"}
	trial.Host = results.HostUse{CPUs: 2, Busy: 2.4e9, Ours: 2.35e9, CalibrationMS: [2]float64{10, 10.1}}
	trial.ReadyIn = int64((0.12 + 0.05*float64(a.info.Proxies)) * 1e9 * drift)
	trial.Usage = a.usage(n, drift, r)
	if full {
		trial.Outcome = results.Saturated
		trial.Counts.Done = n * 94 / 100
		trial.Reasons = []results.Reason{{Rule: results.RuleAchieved, Text: "94% of what was due was answered, at least 99% is needed", Value: 0.94, Limit: 0.99}}
	}
	return trial
}

func (a shape) usage(n int64, drift float64, r *rand.Rand) []results.Usage {
	var all []results.Usage
	for _, s := range []string{"frontend", "orders", "stock", "price"} {
		all = append(all, results.Usage{Process: s + "-1", Kind: "workload", Service: s, CPU: int64(float64(n) * 88e3 * drift), RSSPeak: 14 << 20, RSS: 13 << 20, Sockets: 12})
	}
	count := 0
	for kind, k := range a.proxies {
		if kind != "issuer" {
			count += k
		}
	}
	for _, kind := range []string{"gateway", "sidecar", "control", "issuer"} {
		for i := range a.proxies[kind] {
			cpu := float64(n) * a.proxyCPU * 1e3 * drift / float64(count) * (1 + 0.01*r.NormFloat64())
			if kind == "control" || kind == "issuer" {
				cpu = 2e6
			}
			all = append(all, results.Usage{Process: fmt.Sprintf("%s-%d", kind, i+1), Kind: kind, CPU: int64(cpu), RSSPeak: int64((18 + 0.2*r.NormFloat64()) * (1 << 20)), RSS: 17 << 20, Sockets: 70})
		}
	}
	return append(all, results.Usage{Process: "driver", Kind: "driver", CPU: 1.4e9, RSSPeak: 30 << 20})
}
