// Command compare-drivers sets the drivers side by side: how punctual each sends what was due, and what CPU time each spends on a request,
// at the same rates against the same origin over 64 connections. wrk stands beside them where it is installed; it is a closed loop, so
// it has no due times to be late for, and takes the rate that it finds.
//
// It judges nothing and writes no records. Slips mean something only while nobody else uses the machine.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/harness/load"
)

const originCommand = "origin"

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case load.Command: // the driver's process, as the harness starts it
			os.Exit(load.Serve(os.Stdin, os.Stdout))
		case originCommand:
			os.Exit(serveOrigin(os.Stdin, os.Stdout, os.Stderr))
		}
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("compare-drivers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	duration := flags.Duration("duration", 4*time.Second, "length of a measured block; a second of warm-up comes before it")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *duration < 100*time.Millisecond {
		fmt.Fprintln(stderr, "error: blocks of 100ms or more")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := compare(ctx, stdout, stderr, *duration)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "error: interrupted")
		return 130
	}
	fmt.Fprintln(stderr, "error:", err)
	return 1
}

// compare measures every driver in turn and prints the table.
func compare(ctx context.Context, stdout, stderr io.Writer, duration time.Duration) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	url, end, err := startOrigin(executable)
	if err != nil {
		return err
	}
	defer end()
	var rows []row
	for _, rate := range []float64{2000, 8000} {
		for _, d := range drivers {
			fmt.Fprintf(stderr, "%s at %g/s\n", d.name, rate)
			r, err := d.measure(ctx, executable, url, rate, duration)
			if err != nil {
				return fmt.Errorf("%s at %g/s: %w", d.name, rate, err)
			}
			rows = append(rows, r)
		}
	}
	if program, err := exec.LookPath("wrk"); err == nil {
		fmt.Fprintln(stderr, "wrk, closed loop")
		r, err := wrk(ctx, program, url, duration)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	} else {
		fmt.Fprintln(stderr, "wrk is not installed and left out: on Debian, apt-get install wrk")
	}
	return printRows(stdout, rows)
}

func printRows(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "driver\toffered\tachieved\tslip p50\tslip p99\tresponse p50\tCPU per request\tof it not waiting")
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r.cells(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nslip: how late the driver itself took a request up, in us; CPU in us. Economical pacing sleeps through due times: no evidence on latency.")
	return err
}

// startOrigin starts the origin in a process of its own.
func startOrigin(executable string) (url string, end func(), err error) {
	c := exec.Command(executable, originCommand)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := c.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the origin: %w", err)
	}
	end = func() { stdin.Close(); _ = c.Wait() }
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		end()
		return "", nil, fmt.Errorf("starting the origin: %w", err)
	}
	return strings.TrimSpace(line), end, nil
}

// serveOrigin answers at once with 1 KiB, prints its URL, and ends with its stdin.
func serveOrigin(stdin io.Reader, stdout, stderr io.Writer) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	body := make([]byte, 1024)
	s := fasthttp.Server{NoDefaultDate: true, Handler: func(c *fasthttp.RequestCtx) { c.SetBody(body) }}
	go func() { _ = s.Serve(l) }()
	fmt.Fprintf(stdout, "http://%s\n", l.Addr())
	_, _ = stdin.Read(make([]byte, 1))
	return 0
}
