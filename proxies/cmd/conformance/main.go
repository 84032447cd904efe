// Command conformance holds any running HTTP/1.1 proxy against hostile requests and hostile responses. `conformance --help` shows
// what it can be told; the cases and the rules are in package conformance.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"crossroads/proxies/conformance"
	"crossroads/proxies/operate"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; its result is the exit code: 0, 1 where a case is unsafe or breaks a MUST, or the proxy could not be
// reached, 2 where the command line was not understood.
func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var o conformance.Options
	var origin string
	var lines bool
	root := &cobra.Command{
		Use:   "conformance --address HOST:PORT --origin-listen HOST:PORT",
		Short: "Hold a running proxy against hostile requests and responses, over raw sockets",
		Long: `Hold a running proxy against hostile requests and responses, over raw sockets.

The proxy forwards every path to the address of --origin-listen, where this program is the origin, and answers 403 to each path
under /admin or /smuggled, as it is after one percent-decoding and the removal of dot segments. Its time limits on slow heads and
bodies should be below --timeout; retries and everything that stops asking a failing origin are off.

Exit code 0: no case is unsafe, and every MUST is right. 1: some case is not, or the proxy cannot be reached. 2: usage.`,
		Example: `  conformance --address 127.0.0.1:8080 --origin-listen 127.0.0.1:9000
  conformance --address 127.0.0.1:8080 --origin-listen 127.0.0.1:9000 --only te- --json`,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return hold(ctx, stdout, o, origin, lines) },
	}
	f := root.Flags()
	f.StringVar(&o.Address, "address", "", "`HOST:PORT` of the proxy under test")
	f.StringVar(&origin, "origin-listen", "", "`HOST:PORT` to listen at as the origin that the proxy forwards to")
	f.StringVar(&o.Only, "only", "", "run the cases whose ID begins with `PREFIX`")
	f.DurationVar(&o.Timeout, "timeout", 10*time.Second, "bound of each case")
	f.DurationVar(&o.Patience, "patience", 50*time.Millisecond, "silence behind an answer before the client ends its side")
	f.BoolVar(&lines, "json", false, "print one JSON object a case instead of the table")
	for _, name := range []string{"address", "origin-listen"} {
		if err := root.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return operate.Usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	return operate.Exit(stderr, "conformance", operate.Misuse(root.ExecuteContext(ctx)))
}

// hold runs the suite and prints what it found.
func hold(ctx context.Context, stdout io.Writer, o conformance.Options, listen string, lines bool) error {
	origin, err := conformance.NewOrigin(listen)
	if err != nil {
		return err
	}
	defer origin.Close()
	o.Origin = origin
	found, err := conformance.Run(ctx, o)
	if err != nil && len(found) == 0 {
		return operate.Hint(err, "start the proxy first, and let it forward every path to %s", origin.Address)
	}
	if len(found) == 0 {
		return operate.Usage(errors.New("no case has an ID that begins with " + o.Only))
	}
	var out bytes.Buffer
	if lines {
		e := json.NewEncoder(&out)
		for i := range found {
			if err := e.Encode(&found[i]); err != nil {
				return err
			}
		}
	} else if err := conformance.Table(&out, found); err != nil {
		return err
	}
	if _, err := out.WriteTo(stdout); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("stopped after %d cases: %w", len(found), err)
	}
	for i := range found {
		if f := &found[i]; f.Unsafe != "" || f.Must() && !f.Right {
			return operate.Hint(errors.New("the proxy is unsafe, or breaks a rule that has no choice"), "the cases are listed above")
		}
	}
	return nil
}
