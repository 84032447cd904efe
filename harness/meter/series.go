package meter

import (
	"time"
)

// samplePeriod is how often the CPU time of the target is read within a block. Values between two samples are interpolated, so a
// second's edge is off by little even where the machine delays a sample.
const samplePeriod = 200 * time.Millisecond

// sample is the CPU time of all targets together at one instant.
type sample struct {
	at  time.Time
	cpu int64
}

// series samples until it is ended.
type series struct {
	samples []sample // of the goroutine until done is closed
	stop    chan struct{}
	done    chan struct{}
	targets []*reading
}

func watch(targets []*reading) *series {
	s := &series{stop: make(chan struct{}), done: make(chan struct{}), targets: targets}
	s.take()
	go s.run()
	return s
}

func (s *series) run() {
	defer close(s.done)
	every := time.NewTicker(samplePeriod)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			s.take()
		case <-s.stop:
			s.take()
			return
		}
	}
}

// take keeps the sum from falling where a process ended, whose clock is gone with it.
func (s *series) take() {
	now := sample{at: time.Now()}
	for _, r := range s.targets {
		now.cpu += r.cpuNow()
	}
	if n := len(s.samples); n > 0 {
		now.cpu = max(now.cpu, s.samples[n-1].cpu)
	}
	s.samples = append(s.samples, now)
}

func (s *series) end(began, ended time.Time) []int64 {
	close(s.stop)
	<-s.done
	return perSecond(s.samples, began, ended)
}

// perSecond divides the CPU time between began and ended by seconds of the block; the last may be a part of one.
func perSecond(samples []sample, began, ended time.Time) []int64 {
	var seconds []int64
	for from := began; from.Before(ended); from = from.Add(time.Second) {
		to := from.Add(time.Second)
		if to.After(ended) {
			to = ended
		}
		seconds = append(seconds, cpuAt(samples, to)-cpuAt(samples, from))
	}
	return seconds
}

// cpuAt interpolates linearly; before the first and after the last sample it is theirs.
func cpuAt(samples []sample, at time.Time) int64 {
	for i, s := range samples {
		if s.at.Before(at) {
			continue
		}
		if i == 0 {
			return s.cpu
		}
		before := samples[i-1]
		share := float64(at.Sub(before.at)) / float64(s.at.Sub(before.at))
		return before.cpu + int64(share*float64(s.cpu-before.cpu))
	}
	if len(samples) == 0 {
		return 0
	}
	return samples[len(samples)-1].cpu
}
