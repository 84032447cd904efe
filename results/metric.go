package results

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Unit of a metric, as Go benchmarks spell it. Values are kept in the unit and are never scaled on the way out.
type Unit string

const (
	UnitSeconds Unit = "sec"
	UnitNsReq   Unit = "ns/req" // nanoseconds per answered request
	UnitBytes   Unit = "B"
	UnitShare   Unit = "share" // 0-1
	UnitCount   Unit = "count"
)

// Metric is one number of a trial: how it is called, in which unit it is and how it is computed. Exports and comparisons all use
// it, so that a number is the same wherever it appears.
type Metric struct {
	Name   string // p99, service-p99, cpu, cpu-gateway, rss, achieved
	Title  string // in words
	Unit   Unit
	Better string // lower, higher

	times    string  // of a quantile: the histogram
	quantile float64 // and which, 0-1
	of       func(*Trial) (float64, bool)
}

// Of computes the metric of a trial; ok is false where the trial has no evidence for it: no such histogram, too few samples for
// the quantile, latency under economical pacing, nothing answered. Whether the trial's outcome allows it to be used is the
// caller's question.
func (m Metric) Of(t *Trial) (v float64, ok bool) { return m.of(t) }

// Label is the name with its unit, as a Go benchmark has it: p99-sec, cpu-ns/req.
func (m Metric) Label() string { return m.Name + "-" + string(m.Unit) }

// Plain spells a value for programs: the shortest decimal that is read back as the same number, without an exponent.
func (m Metric) Plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Format spells a value for people, with three digits and a unit at hand.
func (m Metric) Format(v float64) string {
	switch {
	case math.IsNaN(v):
		return "none"
	case m.Unit == UnitSeconds:
		return scaled(v, []scale{{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}})
	case m.Unit == UnitNsReq:
		return scaled(v, nanoseconds)
	case m.Unit == UnitBytes:
		return scaled(v, []scale{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}})
	case m.Unit == UnitShare:
		return three(100*v) + "%"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

type scale struct {
	of   float64
	name string
}

var nanoseconds = []scale{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}

// scaled chooses the largest scale in which the value, as it will be written, is at least 1, and the smallest for what is less.
func scaled(v float64, scales []scale) string {
	for i, s := range scales {
		if math.Abs(v)/s.of >= 0.9995 || i == len(scales)-1 {
			return three(v/s.of) + " " + s.name
		}
	}
	return three(v)
}

// three writes three significant digits without an exponent; whole numbers beyond them stay whole.
func three(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := func(v float64) int { return max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))) }
	rounded := math.Round(v*math.Pow10(digits(v))) / math.Pow10(digits(v))
	return strconv.FormatFloat(rounded, 'f', digits(rounded), 64) // 9.996 became 10.0, not 10.00
}

// TimeQuantile is the q-quantile (0-1) of one of the histograms of a trial: Response, Service, Slip or WaitTime. Response is the
// headline and goes without a prefix.
func TimeQuantile(times string, q float64) Metric {
	p := "p" + strconv.FormatFloat(math.Round(1e6*q)/1e4, 'f', -1, 64)
	m := Metric{Name: p, Title: times + " time " + p, Unit: UnitSeconds, Better: "lower", times: times, quantile: q}
	if times != Response {
		m.Name = times + "-" + p
	}
	m.of = func(t *Trial) (float64, bool) {
		if times != Slip && t.PlannedTrial.Driver == economicalPacing {
			return 0, false
		}
		record := t.Times[times]
		if !Printable(q, record.Count) {
			return 0, false
		}
		h, err := record.Decode()
		if err != nil {
			return 0, false
		}
		return seconds(Quantile(h, q)), true
	}
	return m
}

// seconds divides once, so that the shortest decimal of the result has no digit beyond the nanosecond.
func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// usage sums a number over the target's processes of the kinds, or over all of them where none is named. The driver is never part
// of the target. Without any record of usage there is no number; without a process of the kind the number is 0.
func usage(t *Trial, kinds []string, of func(Usage) int64) (float64, bool) {
	var sum int64
	seen := false
	for _, u := range t.Usage {
		if u.Kind == "driver" {
			continue
		}
		seen = true
		if len(kinds) == 0 || slices.Contains(kinds, u.Kind) {
			sum += of(u)
		}
	}
	return float64(sum), seen
}

// proxyKinds are the kinds of processes that direct does without.
var proxyKinds = []string{"gateway", "sidecar", "control"}

// kinds returns the kinds of processes that a name stands for: one of them, proxies for all that direct does without, or "" for
// the whole target.
func kinds(name string) []string {
	switch name {
	case "":
		return nil
	case "proxies":
		return proxyKinds
	}
	return []string{name}
}

func suffixed(name, kind string) string {
	if kind == "" {
		return name
	}
	return name + "-" + kind
}

// CPUPerRequest is the CPU time of the processes of a kind (gateway, sidecar, control, workload, proxies, or "" for the whole
// target) divided by answered requests.
func CPUPerRequest(kind string) Metric {
	return Metric{Name: suffixed("cpu", kind), Title: "CPU per request" + ofKind(kind), Unit: UnitNsReq, Better: "lower",
		of: func(t *Trial) (float64, bool) {
			cpu, ok := usage(t, kinds(kind), func(u Usage) int64 { return u.CPU })
			return cpu / float64(t.Counts.Done), ok && t.Counts.Done > 0
		}}
}

// MemoryPeak is the sum of the peaks of resident memory of the processes of a kind, as for CPUPerRequest.
func MemoryPeak(kind string) Metric {
	return Metric{Name: suffixed("rss", kind), Title: "peak of resident memory" + ofKind(kind), Unit: UnitBytes, Better: "lower",
		of: func(t *Trial) (float64, bool) { return usage(t, kinds(kind), func(u Usage) int64 { return u.RSSPeak }) }}
}

// Sockets is the number of open sockets of the processes of a kind, as for CPUPerRequest.
func Sockets(kind string) Metric {
	return Metric{Name: suffixed("sockets", kind), Title: "open sockets" + ofKind(kind), Unit: UnitCount, Better: "lower",
		of: func(t *Trial) (float64, bool) {
			return usage(t, kinds(kind), func(u Usage) int64 { return int64(u.Sockets) })
		}}
}

func ofKind(kind string) string {
	if kind == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", kind)
}

// Achieved is answered over due, failures that the application was told to make included.
func Achieved() Metric {
	return Metric{Name: "achieved", Title: "achieved of offered", Unit: UnitShare, Better: "higher", of: func(t *Trial) (float64, bool) {
		return share(t.Counts.Done+t.Counts.Declared, t.Counts.Planned), t.Counts.Planned > 0
	}}
}

// ErrorShare is undeclared errors over due.
func ErrorShare() Metric {
	return Metric{Name: "errors", Title: "undeclared errors", Unit: UnitShare, Better: "lower", of: func(t *Trial) (float64, bool) {
		return share(t.Counts.Errors-t.Counts.Declared, t.Counts.Planned), t.Counts.Planned > 0
	}}
}

// Metrics lists every metric that is exported, in the order of its columns.
func Metrics() []Metric {
	return []Metric{
		TimeQuantile(Response, 0.50), TimeQuantile(Response, 0.90), TimeQuantile(Response, 0.99), TimeQuantile(Response, 0.999),
		TimeQuantile(Service, 0.50), TimeQuantile(Service, 0.99),
		CPUPerRequest(""), CPUPerRequest("gateway"), CPUPerRequest("sidecar"), CPUPerRequest("control"), CPUPerRequest("workload"),
		MemoryPeak(""), MemoryPeak("proxies"), Sockets("proxies"),
		Achieved(), ErrorShare(),
		TimeQuantile(Slip, 0.50), TimeQuantile(Slip, 0.99),
	}
}

// Latency says whether the metric is a time that a user of the target waits. Such a number is never quoted at a rate that was not
// achieved.
func (m Metric) Latency() bool { return m.times != "" && m.times != Slip }
