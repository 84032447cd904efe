// Command compare-nginx says what plain forwarding costs the reference gateway beside nginx: CPU per request of each, and the ratio
// with its interval.
//
// Both stand in front of the same origin with one CPU, get the same schedule over 32 connections, and add the same fields (the gateway
// a traceparent more). Rounds have fresh processes and the two in alternating order. It writes no records; `crossroads bench
// topologies/rivals.yaml` does.
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
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("compare-nginx", flag.ContinueOnError)
	flags.SetOutput(stderr)
	c := comparison{progress: stderr}
	flags.IntVar(&c.rounds, "rounds", 10, "rounds; fewer than 6 give no interval")
	flags.Float64Var(&c.rate, "rate", 4000, "offered rate, per second, that both keep up with")
	flags.Float64Var(&c.flood, "flood", 60000, "offered rate, per second, beyond what the machine can do")
	flags.DurationVar(&c.duration, "duration", 2*time.Second, "length of a measured block")
	bin := flags.String("bin", "bin", "directory with the programs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if c.rounds < 1 || c.duration < 100*time.Millisecond || c.rate <= 0 || c.flood <= c.rate {
		fmt.Fprintln(stderr, "error: at least one round, blocks of 100ms or more, and 0 < rate < flood")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	executable, err := filepath.Abs(filepath.Join(*bin, "crossroads"))
	if err == nil {
		c.executable = executable
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
