package load

import "time"

// Pacing says how a driver waits for the next due time.
type Pacing string

const (
	// Precise sleeps until shortly before a due time and then looks for events without sleeping until it is reached. How much before
	// is learnt from how late the kernel wakes the worker. It costs CPU and keeps the slip to a few microseconds.
	Precise Pacing = "precise"
	// Economical looks up once in a tick, at what is due and what was answered. Waking up is the dearest thing a driver does, more
	// so in a virtual machine; a tick shares it among requests. Slips and service times are coarse by a tick: evidence on throughput
	// and CPU, never on latency.
	Economical Pacing = "economical"
)

// The settings of precise pacing.
const (
	// MaxSpin bounds the spin before one due time: a wake-up later than this is the machine's, and no spin would help.
	MaxSpin = 200 * time.Microsecond
	// SpinShare bounds the spin over time, as a share of one CPU. A worker that spins at a raised priority takes that CPU from the
	// target; when the share is used up it sleeps like an economical one.
	SpinShare = 0.25

	minSpin     = 10 * time.Microsecond
	firstSpin   = 60 * time.Microsecond
	spinReserve = 5 * time.Millisecond // of unused share that can be saved up
	// The window follows the quantile up/(up+down) of the wake-up error, by stochastic approximation (Robbins and Monro 1951).
	windowUp   = 4900 * time.Nanosecond
	windowDown = 100 * time.Nanosecond
)

// The settings of economical pacing: a tick holds every connection for longer than the target does, so it is short enough for that to
// take no more than tickShare of them.
const (
	maxTick   = 2 * time.Millisecond
	minTick   = 50 * time.Microsecond
	tickShare = 0.25
)

// pace plans one worker's waiting. Times are nanoseconds since the start.
type pace struct {
	tick   int64 // of economical pacing; 0: precise
	window int64 // before a due time, in which to spin
	credit int64 // ns that may still be spun
	asOf   int64
}

// newPace plans for a schedule over a number of connections.
func newPace(p Pacing, s Schedule, connections int) pace {
	if p != Economical {
		return pace{window: int64(firstSpin), credit: int64(spinReserve)}
	}
	tick := maxTick
	if len(s) > 0 && s[len(s)-1].Due > 0 {
		gap := float64(s[len(s)-1].Due) / float64(len(s))
		tick = min(maxTick, max(minTick, time.Duration(tickShare*float64(connections)*gap)))
	}
	return pace{tick: int64(tick)}
}

// tickAfter is the first tick after a time.
func (p *pace) tickAfter(t int64) int64 { return (t/p.tick + 1) * p.tick }

// plan says how long to sleep when the next sample is due in rest; with spin, not at all, and the wait is one turn of a spin.
func (p *pace) plan(now, rest int64) (sleep int64, spin bool) {
	p.credit = min(int64(spinReserve), p.credit+int64(float64(now-p.asOf)*SpinShare))
	p.asOf = now
	if p.credit <= 0 {
		return rest, false
	}
	if rest <= p.window {
		return 0, true
	}
	return rest - p.window, false
}

// spent takes a turn of the spin off the credit.
func (p *pace) spent(d int64) { p.credit -= d }

// woke learns from a sleep that ended late by d.
func (p *pace) woke(d int64) {
	if d > p.window {
		p.window = min(int64(MaxSpin), p.window+int64(windowUp))
	} else {
		p.window = max(int64(minSpin), p.window-int64(windowDown))
	}
}
