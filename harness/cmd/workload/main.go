// Command workload plays one node of a declared application, or the authorization server that a gateway asks about opaque tokens.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"crossroads/harness/workload"
	"crossroads/topologies"
)

const usage = `workload plays one node of the application that an experiment file declares.

Usage:
  workload run --experiment FILE --service NAME [--replica N] --listen ADDR[,ADDR] [--peers FILE|JSON] [--calibration N]
  workload issuer --config FILE --listen ADDR
  workload calibrate
  workload version

run
  --experiment FILE   the experiment file, or the resolved one of a run
  --service NAME      the node to play
  --replica N         which replica, from 1 (default 1)
  --listen ADDR       host:port (port 0: a free one) or unix:/path; several, separated by commas
  --peers FILE|JSON   {"orders": ["127.0.0.1:9001", "unix:/run/orders"]}: where each service called is; with several
                      addresses every one is called in turn; a sidecar's outbound address serves for all
  --calibration N     iterations a microsecond, as calibrate prints them; without it the node calibrates itself
  --grace DURATION    how long requests in flight may take after SIGTERM (default 5s)

issuer                an authorization server that answers what opaque tokens mean (RFC 7662) at /introspect
  --config FILE       JSON: {"client": "gateway", "secret": "...", "issuer": "https://...", "tokens": {"TOKEN": "SUBJECT"}}
  --listen ADDR       as above

Examples:
  workload run --experiment single.yaml --service app --listen 127.0.0.1:9000
  workload run --experiment storefront.yaml --service frontend --listen 127.0.0.1:9000 \
    --peers '{"orders":["127.0.0.1:9001"],"stock":["127.0.0.1:9002"],"price":["127.0.0.1:9003"]}'
  curl -H 'X-Crossroads-Probe: all' http://127.0.0.1:9000/      what a request meets on its way, as JSON
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes: 0 ok, 1 could not serve, 2 usage or an invalid file.
func run(args []string, stdout, stderr io.Writer) int {
	command := "help"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "run":
		return serve(args, stdout, stderr)
	case "issuer":
		return issue(args, stdout, stderr)
	case "calibrate":
		c, err := workload.Calibrate()
		if err != nil {
			return fail(stderr, 1, err, "")
		}
		fmt.Fprintln(stdout, c)
		return 0
	case "version":
		fmt.Fprintln(stdout, version())
		return 0
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return 0
	}
	return fail(stderr, 2, fmt.Errorf("unknown command %q", command), "workload --help lists the commands")
}

func fail(stderr io.Writer, code int, err error, hint string) int {
	fmt.Fprintf(stderr, "error: %s\n", err)
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	return code
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "workload (no build information)"
	}
	text := "workload " + info.Main.Version + " " + info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	return text
}

// options are the flags of run.
type options struct {
	experiment, service, listen, peers, calibration string
	replica                                         int
	grace                                           time.Duration
}

func serve(args []string, stdout, stderr io.Writer) int {
	var o options
	f := flag.NewFlagSet("workload run", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.experiment, "experiment", "", "")
	f.StringVar(&o.service, "service", "", "")
	f.StringVar(&o.listen, "listen", "", "")
	f.StringVar(&o.peers, "peers", "", "")
	f.StringVar(&o.calibration, "calibration", "", "")
	f.IntVar(&o.replica, "replica", 1, "")
	f.DurationVar(&o.grace, "grace", 5*time.Second, "")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	} else if err != nil {
		return fail(stderr, 2, err, "workload --help shows the flags")
	}
	if f.NArg() > 0 || o.experiment == "" || o.service == "" || o.listen == "" || o.replica < 1 {
		return fail(stderr, 2, errors.New("run needs --experiment, --service, --listen and a replica from 1, and nothing else"), "workload --help shows the flags")
	}
	config, err := o.config()
	if err != nil {
		return fail(stderr, 2, err, "")
	}
	node, err := workload.New(config)
	if err != nil {
		return fail(stderr, 2, err, "--peers says where each service called is")
	}
	if err := listenAndServe(node, fmt.Sprintf("%s-%d", o.service, o.replica), o.listen, o.grace, stdout); err != nil {
		return fail(stderr, 1, err, "")
	}
	return 0
}

func (o *options) config() (workload.Config, error) {
	e, err := topologies.Load(o.experiment)
	if err != nil {
		return workload.Config{}, err
	}
	c := workload.Config{Experiment: e, Service: o.service, Replica: o.replica}
	if c.Peers, err = readPeers(o.peers); err != nil {
		return c, err
	}
	if o.calibration != "" {
		c.Calibration, err = workload.ParseCalibration(o.calibration)
	} else if e.Application.Services.At(o.service).Work.CPU > 0 {
		c.Calibration, err = workload.Calibrate()
	}
	return c, err
}

// readPeers takes the JSON itself or the file that holds it.
func readPeers(text string) (map[string][]string, error) {
	if text == "" {
		return nil, nil
	}
	data := []byte(text)
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		var err error
		if data, err = os.ReadFile(text); err != nil {
			return nil, fmt.Errorf("read the peers: %w", err)
		}
	}
	var peers map[string][]string
	if err := json.Unmarshal(data, &peers); err != nil {
		return nil, fmt.Errorf("peers: expected {\"service\": [\"host:port\", ...]}: %w", err)
	}
	return peers, nil
}
