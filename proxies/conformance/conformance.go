// Package conformance holds a running HTTP/1.1 proxy against raw bytes: hostile requests and hostile responses, with what RFC 9110,
// RFC 9112 and the policy of a careful gateway expect of each. It plays the client and the origin, and the proxy under test is
// whatever listens at an address.
//
// Its one invariant: it trusts no reader of its own proxies. What reached the origin is taken apart by the naive parser of this
// package, so that a mistake of package wire cannot hide itself. It starts no proxy and changes no configuration.
//
// The proxy under test forwards every path to the origin, except that it answers 403 to each path that is under /admin or
// /smuggled after one decoding and the removal of dot segments. It trusts nobody in front of it, limits heads to 16-64 KiB, and
// neither retries nor stops asking an origin that fails.
package conformance

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

//go:embed data/*.jsonl
var data embed.FS

// Options is what a run needs to know.
type Options struct {
	Address string // of the proxy under test, host:port
	Origin  *Origin
	// Timeout bounds each case; the proxy's own limits on slow heads and bodies should be below it. Default 10 s.
	Timeout time.Duration
	// Patience is how long the client stays silent behind an answer before it ends its side: a proxy may take that end for a
	// client that left, and drop what it still has to answer. 0: the end follows the last byte.
	Patience time.Duration
	Only     string // prefix of the IDs of the cases to run; "" runs all
	Part     int    // run every Parts-th case, from Part on; Parts 0 runs all
	Parts    int
}

// Outcome is what became of one case.
type Outcome struct {
	ID       string
	Category string
	Level    string
	Response bool   // a case of responses.jsonl
	Unsafe   string // why nothing else matters; "" where the case is safe
	Right    bool   // fits what is expected
	Strict   bool   // fits what the strictest reader prefers
	Saw      string // what happened, in words
	Why      string // of the case
}

// Must says whether the case is one where the RFC leaves no choice.
func (o *Outcome) Must() bool { return o.Level == "MUST" }

// Run plays every case, one after another, and behind each a clean request on a new connection, which must get its own answer.
func Run(ctx context.Context, o Options) ([]Outcome, error) {
	requests, err := Requests()
	if err != nil {
		return nil, err
	}
	responses, err := responseCases()
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	s := &suite{Options: o}
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("the proxy at %s does not forward a clean request to the origin at %s: %w", o.Address, o.Origin.Address, err)
	}
	for _, c := range requests {
		if s.mine(c.ID) && ctx.Err() == nil {
			s.found = append(s.found, s.request(c))
		}
	}
	for _, c := range responses {
		if s.mine(c.ID) && ctx.Err() == nil {
			s.found = append(s.found, s.response(c))
		}
	}
	return s.found, ctx.Err()
}

// suite is one run.
type suite struct {
	Options
	found []Outcome
	count int // cases looked at
	asked int // clean requests
}

func (s *suite) mine(id string) bool {
	if !strings.HasPrefix(id, s.Only) {
		return false
	}
	s.count++
	return s.Parts == 0 || s.count%s.Parts == s.Part
}

// clean asks for something that nobody asked for before, on a new connection.
func (s *suite) clean() error {
	s.asked++
	want := fmt.Sprintf("%s%d", cleanPath, s.asked)
	got := s.ask("GET", "GET "+want+" HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n")
	if got.status != 200 || got.body != want || !got.whole {
		return fmt.Errorf("asked for %s, got %s", want, got)
	}
	return nil
}

// readCases reads the corpus and the cases of our own beside it; both are JSON, one case a line.
func readCases[T any](kind string) (cases []T, err error) {
	for _, name := range []string{kind, "own-" + kind} {
		f, err := data.Open("data/" + name + ".jsonl")
		if err != nil {
			return nil, err
		}
		for d := json.NewDecoder(f); ; {
			var c T
			if err := d.Decode(&c); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s, case %d: %w", name, len(cases)+1, err)
			}
			cases = append(cases, c)
		}
	}
	return slices.Clip(cases), nil
}
