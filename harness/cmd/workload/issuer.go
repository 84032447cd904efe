package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"crossroads/harness/workload"
)

// issuerGrace is how long an answer under way may take after SIGTERM.
const issuerGrace = time.Second

// issue is the command issuer.
func issue(args []string, stdout, stderr io.Writer) int {
	var file, listen string
	f := flag.NewFlagSet("workload issuer", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&file, "config", "", "")
	f.StringVar(&listen, "listen", "", "")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	} else if err != nil {
		return fail(stderr, 2, err, "workload --help shows the flags")
	}
	if f.NArg() > 0 || file == "" || listen == "" {
		return fail(stderr, 2, errors.New("issuer needs --config and --listen, and nothing else"), "workload --help shows the flags")
	}
	c, err := readIssuer(file)
	if err != nil {
		return fail(stderr, 2, err, "")
	}
	if err := listenAndServe(workload.NewIssuer(c), "issuer", listen, issuerGrace, stdout); err != nil {
		return fail(stderr, 1, err, "")
	}
	return 0
}

func readIssuer(file string) (c workload.IssuerConfig, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("read what the issuer knows: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("read what the issuer knows: %s: %w", file, err)
	}
	if c.Client == "" || c.Secret == "" {
		return c, fmt.Errorf("read what the issuer knows: %s: client and secret are needed: it answers no stranger (RFC 7662 2.1)", file)
	}
	return c, nil
}
