// Package edges is what a proxy knows of its edges, and tells the control plane: who was called or called, how often, how often in
// vain and why, and how long it took, by windows of about a second.
//
// Its one invariant: recording costs a few atomic additions and never waits; a window that could not be told is lost, and nobody on
// the data path notices. It sends nothing: package discovery does; it concludes nothing: package graph does.
package edges

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode"
	"unicode/utf8"
)

// Path is where a control plane takes reports: POST, mutual TLS, a Report; the answer is a Pace.
const Path = "/v1/edges"

// Format is the version of the messages.
const Format = 1

// Bounds of a report. What a proxy has beyond them it leaves out; what a control plane receives beyond them it refuses.
const (
	MaxReport  = 512 << 10 // bytes
	MaxWindows = 512       // edges of one proxy
	MaxCount   = 1 << 40
	maxName    = 255 // bytes
	maxReasons = 32
)

// Directions of an edge, as its reporter sees it.
const (
	Outbound = "outbound"
	Inbound  = "inbound"
)

// Report is what one proxy saw since its last one. Whose report it is says the certificate: of each edge it names only the other
// end.
type Report struct {
	Format   int      `json:"format"`
	Service  string   `json:"service,omitempty"`  // that the reporter stands beside; believed where it has that service's identity
	Instance string   `json:"instance,omitempty"` // which of those with the same identity
	Seconds  float64  `json:"seconds"`            // that the windows took
	Windows  []Window `json:"windows,omitempty"`
}

// Window is one edge during that time. Counts are of requests unless said otherwise.
type Window struct {
	Direction    string            `json:"direction"`         // outbound | inbound
	Peer         string            `json:"peer"`              // outbound: the service called, or its identity; inbound: the caller's identity, "" without
	Requests     uint64            `json:"requests"`          // that ended
	Attempts     uint64            `json:"attempts"`          // tries, the first ones included
	Made         map[string]uint64 `json:"made,omitempty"`    // failures made by the reporter, by reason
	Passed       uint64            `json:"passed,omitempty"`  // failures that the callee answered with, and were passed on
	Refused      uint64            `json:"refused,omitempty"` // by the reporter for the caller's own doing: no failures
	InFlight     int64             `json:"in_flight"`         // at the window's end
	Total        float64           `json:"total_seconds"`     // of all requests that ended
	Own          float64           `json:"own_seconds"`       // of that, in the reporter itself: its queueing and its work
	Latency      Histogram         `json:"latency"`           // of requests that ended
	FirstFailure float64           `json:"first_failure"`     // seconds before the window's end; 0: none failed
	Endpoints    int               `json:"endpoints"`         // outbound: of the callee
	Ejected      int               `json:"ejected,omitempty"` // of these, that are kept out of the balancer
}

// Failed counts the requests that ended in failure.
func (w *Window) Failed() uint64 {
	n := w.Passed
	for _, m := range w.Made {
		n += m
	}
	return n
}

// Pace is what a control plane answers: when it wants the next window cut, so that the windows of all proxies are of the same time
// although their clocks are not.
type Pace struct {
	Every float64 `json:"every_seconds"`
	Next  float64 `json:"next_seconds"`
}

// Decode reads a report and refuses what is not whole, not bounded or not known.
func Decode(text []byte) (*Report, error) {
	var r Report
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("reading a report: more than one value")
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	return &r, nil
}

func (r *Report) check() error {
	switch {
	case r.Format != Format:
		return fmt.Errorf("format %d, known is %d", r.Format, Format)
	case len(r.Windows) > MaxWindows:
		return fmt.Errorf("%d edges, at most %d", len(r.Windows), MaxWindows)
	case !name(r.Service) || !name(r.Instance):
		return errors.New("service or instance is no name")
	case !(r.Seconds > 0 && r.Seconds < 3600):
		return errors.New("seconds are not within an hour")
	}
	for i := range r.Windows {
		if err := r.Windows[i].check(); err != nil {
			return fmt.Errorf("edge %d: %w", i+1, err)
		}
	}
	return nil
}

func (w *Window) check() error {
	switch {
	case w.Direction != Outbound && w.Direction != Inbound:
		return errors.New("direction is neither outbound nor inbound")
	case !name(w.Peer), w.Direction == Outbound && w.Peer == "":
		return errors.New("peer is no name")
	case w.Requests > MaxCount, w.Attempts > MaxCount, w.Passed > MaxCount, w.Refused > MaxCount, w.InFlight < 0, w.InFlight > MaxCount:
		return errors.New("a count out of bounds")
	case !within(w.Total), !within(w.Own), !within(w.FirstFailure):
		return errors.New("a time out of bounds")
	case w.Endpoints < 0, w.Ejected < 0, w.Ejected > w.Endpoints, w.Endpoints > MaxCount:
		return errors.New("more endpoints ejected than there are")
	case len(w.Made) > maxReasons:
		return errors.New("too many reasons")
	}
	for reason, n := range w.Made {
		if !name(reason) || n > MaxCount {
			return errors.New("a reason is no name, or its count out of bounds")
		}
	}
	return nil
}

func within(seconds float64) bool { return seconds >= 0 && seconds < MaxCount && !math.IsNaN(seconds) }

// name says whether a text may be shown to people and be a key: printable, and short.
func name(s string) bool {
	if len(s) > maxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
