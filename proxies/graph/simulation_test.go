package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/edges"
)

// shop is a mesh in the mind: requests are drawn, walk the call graph, and are counted as sidecars would count them.
type shop struct {
	random  *rand.Rand
	rate    float64 // requests from outside in a window
	calls   map[string][]string
	chance  map[Key]float64 // of a call; absent: 1
	retries int             // tries of a call
	errors  float64         // that every service answers with in good times
	fault   trouble
	window  map[Key]*Pair
	flying  map[Key][2]int64
	users   [2]int // requests and failures of the window
}

// trouble is what is wrong with one of two replicas of a service.
type trouble struct {
	service string
	kind    string // errors | delay | unreachable | hang; "": nothing
	share   float64
}

func newShop(seed uint64, rate float64) *shop {
	return &shop{
		random: rand.New(rand.NewPCG(seed, 7)), rate: rate, retries: 1,
		calls: map[string][]string{
			Outside: {"frontend"}, "frontend": {"orders", "catalog"}, "orders": {"payments", "stock"}, "payments": {"ledger"},
			"catalog": {"price", "stock"}, "price": {"currency"},
		},
		chance: map[Key]float64{{"catalog", "price"}: 0.5},
		flying: map[Key][2]int64{},
	}
}

func (s *shop) services() []string {
	return []string{"orders", "catalog", "payments", "stock", "price", "ledger", "currency"}
}

// answer is what became of a call.
type answer struct {
	failed, hung bool
	given        bool    // up by the calling application; proxies saw a call that took long
	took         float64 // seconds
}

func (s *shop) pair(k Key) *Pair {
	if s.window[k] == nil {
		s.window[k] = &Pair{Out: Stats{Reports: 1}, In: Stats{Reports: 1}}
	}
	return s.window[k]
}

// call makes one call with its retries, and counts it on both sides.
func (s *shop) call(from, to string) answer {
	k := Key{from, to}
	p := s.pair(k)
	var a answer
	took, attempts, made := 0.0, 0, false
	for attempts < s.retries || attempts == 0 {
		attempts++
		a, made = s.try(to, &p.In)
		took += a.took
		if a.hung {
			f := s.flying[k]
			f[0]++
			s.flying[k] = f
			return a
		}
		if !a.failed {
			break
		}
	}
	p.Out.Requests++
	p.Out.Attempts += uint64(attempts)
	p.Out.Total += took
	p.Out.Latency.Add(time.Duration(took*1e9), 1)
	switch {
	case a.failed && made:
		p.Out.Made = count(p.Out.Made, "upstream_connect")
	case a.failed:
		p.Out.Passed++
	}
	a.took, a.failed, a.given = took, a.failed || a.given, false
	return a
}

func count(m map[string]uint64, reason string) map[string]uint64 {
	if m == nil {
		m = map[string]uint64{}
	}
	m[reason]++
	return m
}

// try asks one replica. made says that the caller's proxy failed by itself.
func (s *shop) try(to string, in *Stats) (a answer, made bool) {
	sick := s.fault.service == to && s.random.IntN(2) == 0 && s.random.Float64() < s.fault.share
	if sick && (s.fault.kind == "unreachable" || s.fault.kind == "out") {
		return answer{failed: true, took: 0.0002}, true
	}
	a.took = 0.001 * math.Exp(0.3*s.random.NormFloat64())
	if sick && s.fault.kind == "delay" {
		a.took += 0.08
	}
	if sick && s.fault.kind == "given up" {
		a.took, a.given = 2, true
	}
	if sick && s.fault.kind == "hang" {
		in.InFlight++
		return answer{hung: true}, false
	}
	a.failed = sick && s.fault.kind == "errors" || s.random.Float64() < s.errors
	for _, callee := range s.calls[to] {
		if chance, some := s.chance[Key{to, callee}]; a.failed || some && s.random.Float64() >= chance {
			continue
		}
		b := s.call(to, callee)
		a.took += b.took
		a.failed = a.failed || b.failed
		if b.hung {
			return answer{hung: true}, false
		}
	}
	in.Requests++
	in.Attempts++
	in.Total += a.took
	in.Latency.Add(time.Duration(a.took*1e9), 1)
	if a.failed {
		in.Passed++
	}
	return a, false
}

// seen returns the next window of every edge. Some reports are lost.
func (s *shop) seen() map[Key]Pair {
	s.window = map[Key]*Pair{}
	s.users = [2]int{}
	for range poisson(s.random, s.rate) {
		s.users[0]++
		if a := s.call(Outside, "frontend"); a.failed || a.hung {
			s.users[1]++
		}
	}
	found := map[Key]Pair{}
	for source, callees := range s.calls {
		for _, callee := range callees {
			k := Key{source, callee}
			p := s.pair(k)
			p.Out.InFlight = s.flying[k][0]
			if p.Out.Endpoints = 2; s.fault.kind == "out" && callee == s.fault.service {
				p.Out.Ejected = 1
			}
			if s.random.Float64() < 0.02 {
				p.Out = Stats{}
			}
			if s.random.Float64() < 0.02 {
				p.In = Stats{}
			}
			if source == Outside {
				p.Out = Stats{} // who is outside has no proxy
			}
			found[k] = *p
		}
	}
	return found
}

func poisson(random *rand.Rand, mean float64) int {
	n, left := 0, mean
	for {
		left -= random.ExpFloat64()
		if left < 0 {
			return n
		}
		n++
	}
}

var epoch = time.Unix(1_700_000_000, 0)

// trial lets a fault begin after eight seconds and last for ten. It returns the alarms, and how many seconds of the fault the first needed.
func trial(seed uint64, rate float64, window time.Duration, f trouble, set func(*shop)) (alarms []Alarm, after float64) {
	length := window.Seconds()
	s, d := newShop(seed, rate*length), NewDetector(Rules{Window: window})
	if set != nil {
		set(s)
	}
	for step := range int(30 / length) {
		switch float64(step) * length {
		case 8:
			s.fault = f
		case 18:
			s.fault = trouble{}
			s.flying = map[Key][2]int64{}
		}
		alarms = append(alarms, d.Step(epoch.Add(time.Duration(step+1)*window), s.seen())...)
		if len(alarms) > 0 && after == 0 {
			after = float64(step+1)*length - 8
		}
	}
	return alarms, after
}

// TestRootIsNamed holds what the mesh promises, for each kind of fault, at high and at low rates, with and without retries: the root
// is named in at least nine of ten runs, and once.
func TestRootIsNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  float64
		fault trouble
		set   func(*shop)
	}{
		{"errors", 100, trouble{kind: "errors", share: 1}, nil},
		{"errors of a few", 200, trouble{kind: "errors", share: 0.4}, nil},
		{"errors at a low rate", 10, trouble{kind: "errors", share: 1}, nil},
		{"errors that retries hide", 60, trouble{kind: "errors", share: 1}, func(s *shop) { s.retries = 3 }},
		{"errors among others", 100, trouble{kind: "errors", share: 1}, func(s *shop) { s.errors = 0.01 }},
		{"unreachable", 60, trouble{kind: "unreachable", share: 1}, nil},
		{"unreachable that retries hide", 60, trouble{kind: "unreachable", share: 1}, func(s *shop) { s.retries = 3 }},
		{"kept out, and hardly asked", 60, trouble{kind: "out", share: 0.05}, func(s *shop) { s.retries = 2 }},
		{"delay", 60, trouble{kind: "delay", share: 1}, nil},
		{"hang until callers give up", 60, trouble{kind: "given up", share: 1}, nil},
		{"hang", 60, trouble{kind: "hang", share: 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			right, more, seconds := 0, 0, 0.0
			for seed := range uint64(10) {
				f := c.fault
				services := newShop(0, 1).services()
				f.service = services[seed%uint64(len(services))]
				window := []time.Duration{500 * time.Millisecond, time.Second}[seed%2]
				alarms, after := trial(seed, c.rate, window, f, c.set)
				for i, a := range alarms {
					if i == 0 && a.Root.Destination == f.service {
						right++
						seconds += after
					} else {
						more++
						t.Logf("seed %d: fault of %s, alarm %d after %.1f s: %s (%s, confidence %.2f)", seed, f.service, i+1, after, a.Root, a.Kind, a.Confidence)
					}
				}
			}
			t.Logf("recall %d of 10, %d wrong alarms, detected after %.1f s", right, more, seconds/float64(max(right, 1)))
			require.GreaterOrEqual(t, right, 9)
			require.LessOrEqual(t, more, 1)
		})
	}
}

// TestNoAlarmWithoutAFault holds the other half: nothing is named where nothing is wrong, also where requests fail at random and
// where a machine stalls and everything is slow for a moment.
func TestNoAlarmWithoutAFault(t *testing.T) {
	for name, set := range map[string]func(*shop){
		"quiet": nil, "failures now and then": func(s *shop) { s.errors = 0.005 },
		"failures that retries hide": func(s *shop) { s.errors, s.retries = 0.02, 3 },
	} {
		for _, rate := range []float64{5, 100} {
			for seed := range uint64(10) {
				alarms, _ := trial(seed, rate, []time.Duration{500 * time.Millisecond, time.Second}[seed%2], trouble{}, set)
				require.Empty(t, alarms, "%s, %g a second, seed %d", name, rate, seed)
			}
		}
	}
}

// TestAStallIsNoCascade makes every call of two seconds slow, as a machine does that is taken away for a while.
func TestAStallIsNoCascade(t *testing.T) {
	for seed := range uint64(10) {
		s, d := newShop(seed, 60), NewDetector(Rules{Window: time.Second})
		for second := range 30 {
			w := s.seen()
			if second == 12 || second == 13 {
				for k, p := range w {
					p.Out.slower(0.3, 100*time.Millisecond)
					p.In.slower(0.3, 100*time.Millisecond)
					w[k] = p
				}
			}
			require.Empty(t, d.Step(epoch.Add(time.Duration(second+1)*time.Second), w), "seed %d, second %d", seed, second)
		}
	}
}

// slower makes a share of the requests take longer.
func (s *Stats) slower(share float64, by time.Duration) {
	n := uint64(share * float64(s.Requests))
	s.Total += float64(n) * by.Seconds()
	var h edges.Histogram
	for i, c := range s.Latency {
		h[i] = c
		if moved := uint64(float64(c) * share); moved > 0 {
			h[i] -= moved
			h.Add(by, moved)
		}
	}
	s.Latency = h
}

func TestAnAlarmEnds(t *testing.T) {
	s, d := newShop(3, 100), NewDetector(Rules{Window: time.Second})
	for second := range 40 {
		s.fault = trouble{}
		if second >= 8 && second < 14 || second >= 28 && second < 34 {
			s.fault = trouble{service: "ledger", kind: "errors", share: 1}
		}
		d.Step(epoch.Add(time.Duration(second+1)*time.Second), s.seen())
	}
	alarms := d.Alarms()
	require.Len(t, alarms, 2, "one for each time")
	for i, begin := range []int{8, 28} {
		a := alarms[i]
		require.Equal(t, Key{"payments", "ledger"}, a.Root)
		require.WithinDuration(t, epoch.Add(time.Duration(begin)*time.Second), a.Onset, time.Second)
		require.NotNil(t, a.Cleared)
		require.WithinDuration(t, epoch.Add(time.Duration(begin+6+4)*time.Second), *a.Cleared, 3*time.Second)
		require.Contains(t, a.Explained, Key{"orders", "payments"})
		require.Contains(t, a.Explained, Key{Outside, "frontend"})
		require.NotContains(t, fmt.Sprint(a.Explained), "catalog")
	}
}
