//go:build crossroads_injected

package gateway

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"crossroads/proxies/exchange"
)

// injectedVariable says what to inject, such as "spin=3us" or "delay=2ms share=0.015". Only a build with the tag crossroads_injected
// reads it: no ordinary gateway can be made slower by what stands in its environment.
const injectedVariable = "CROSSROADS_INJECTED"

// injection is a stage that makes the gateway worse by a known amount, so that a gate can prove that it notices. It burns CPU time for
// every request, or delays a share of them.
type injection struct {
	spin  time.Duration
	delay time.Duration
	share float64
}

// injected puts the injection in front of everything, where one is asked for.
func injected(chain []exchange.Stage) ([]exchange.Stage, error) {
	text := os.Getenv(injectedVariable)
	if text == "" {
		return chain, nil
	}
	i := &injection{}
	var spin, delay string
	if n, _ := fmt.Sscanf(text, "delay=%s share=%g", &delay, &i.share); n != 2 {
		if n, _ := fmt.Sscanf(text, "spin=%s", &spin); n != 1 {
			return nil, fmt.Errorf("%s=%q: write spin=DURATION or delay=DURATION share=0.015", injectedVariable, text)
		}
	}
	var err error
	if spin != "" {
		i.spin, err = time.ParseDuration(spin)
	} else {
		i.delay, err = time.ParseDuration(delay)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", injectedVariable, err)
	}
	return append([]exchange.Stage{i}, chain...), nil
}

// Name implements exchange.Stage.
func (i *injection) Name() string { return "injected" }

// Inward implements exchange.Stage.
func (i *injection) Inward(*exchange.Exchange) exchange.Step {
	for began := time.Now(); time.Since(began) < i.spin; {
	}
	if i.delay > 0 && rand.Float64() < i.share {
		wait(i.delay)
	}
	return exchange.Continue
}

// wait is exact to microseconds where time.Sleep is rounded up to a millisecond: the kernel's sleep for most of it, then a spin.
func wait(d time.Duration) {
	const spun = 120 * time.Microsecond // the timer slack of a thread and its wake-up
	began := time.Now()
	if d > spun {
		request := syscall.NsecToTimespec(int64(d - spun))
		_ = syscall.Nanosleep(&request, nil) // cut short by a signal: the spin makes up for it
	}
	for time.Since(began) < d {
	}
}

// Outward implements exchange.Stage.
func (i *injection) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (i *injection) Finish(*exchange.Exchange, exchange.End) {}
