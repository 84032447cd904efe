// Command compare-nginx says what plain forwarding costs the reference gateway beside nginx: CPU per request of each, and the ratio
// with its interval; with --latency also response times at a rate.
//
// Both stand in front of the same origin with one CPU, get the same schedules over 32 connections, and add the same fields (the gateway
// a traceparent more). Rounds have fresh processes in alternating order. Other builds of the gateway can stand beside it in the same
// rounds: so is a change judged. It writes no records; `crossroads bench topologies/rivals-gateway.yaml` does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	c, bin, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, errPrinted) {
			fmt.Fprintln(stderr, "error:", err)
		}
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.executable, err = filepath.Abs(filepath.Join(bin, "crossroads")); err == nil {
		err = c.compare(ctx, stdout)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "error: interrupted")
		return 130
	}
	fmt.Fprintln(stderr, "error:", err)
	if runtime.NumCPU() < 2 {
		fmt.Fprintln(stderr, "hint: the proxy needs a CPU of its own: run it where there are two or more")
	}
	return 1
}

// errPrinted is a mistake on the command line that package flag has explained.
var errPrinted = errors.New("explained already")

// parse reads the command line.
func parse(args []string, stderr io.Writer) (c comparison, bin string, err error) {
	flags := flag.NewFlagSet("compare-nginx", flag.ContinueOnError)
	flags.SetOutput(stderr)
	c = comparison{progress: stderr, rates: []float64{4000}}
	flags.IntVar(&c.rounds, "rounds", 10, "rounds; fewer than 6 give no interval")
	flags.Func("rate", "offered rates, per second, that all keep up with: 1000,4000 (default 4000)", c.setRates)
	flags.Float64Var(&c.flood, "flood", 60000, "offered rate, per second, beyond what the machine can do; 0: none")
	flags.Float64Var(&c.latency, "latency", 0, "offered rate, per second, at which responses are timed; 0: none. Driver and origin share a CPU: at high rates (20000) the times are of their queue")
	flags.DurationVar(&c.duration, "duration", 2*time.Second, "length of a measured block")
	flags.Func("also", "`NAME=PROGRAM`, another build of the gateway in the same rounds; may be given several times", c.addBuild)
	flags.StringVar(&bin, "bin", "bin", "directory with the programs")
	if err := flags.Parse(args); err != nil {
		return c, bin, errPrinted
	}
	switch {
	case c.rounds < 1 || c.duration < 100*time.Millisecond:
		return c, bin, errors.New("at least one round, and blocks of 100ms or more")
	case c.latency < 0:
		return c, bin, errors.New("--latency is a rate, or 0")
	}
	for _, rate := range c.rates {
		if c.flood > 0 && c.flood <= rate {
			return c, bin, fmt.Errorf("the flood of %g/s must be above the rate of %g/s", c.flood, rate)
		}
	}
	return c, bin, nil
}

func (c *comparison) setRates(list string) error {
	c.rates = nil
	for _, text := range strings.Split(list, ",") {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate > 0) {
			return fmt.Errorf("%q is not a rate above zero", text)
		}
		c.rates = append(c.rates, rate)
	}
	return nil
}

func (c *comparison) addBuild(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok || name == "" || name == rival || name == "gateway" {
		return errors.New("expected NAME=PROGRAM, with a name of its own")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	c.also = append(c.also, build{name, path})
	return nil
}
