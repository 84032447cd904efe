package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"crossroads/topologies"
)

// Arrivals says how due times are drawn, complete in itself: a recording is carried along, not named.
type Arrivals struct {
	Kind     string    `json:"kind"`               // poisson | constant | ramp | recorded
	From     float64   `json:"from,omitempty"`     // of a ramp: the share of the rate at which it starts, 0 to 1
	Recorded []float64 `json:"recorded,omitempty"` // due times in seconds, ascending; scaled to the rate and repeated
}

// The kinds of arrivals.
const (
	Poisson  = "poisson"
	Constant = "constant"
	Ramp     = "ramp"
	Recorded = "recorded"
)

// DeclaredArrivals turns what an experiment declares into Arrivals. A recording is read from its file; a relative name counts from dir.
func DeclaredArrivals(a topologies.Arrivals, dir string) (Arrivals, error) {
	switch {
	case a.Recorded != "":
		name := a.Recorded
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		f, err := os.Open(name)
		if err != nil {
			return Arrivals{}, fmt.Errorf("recorded arrivals: %w", err)
		}
		defer f.Close()
		times, err := ReadRecorded(f)
		if err != nil {
			return Arrivals{}, fmt.Errorf("recorded arrivals: %s:%w", name, err)
		}
		return Arrivals{Kind: Recorded, Recorded: times}, nil
	case a.Ramp != nil:
		return Arrivals{Kind: Ramp, From: a.Ramp.From.F()}, nil
	case a.Kind == "":
		return Arrivals{Kind: Poisson}, nil
	}
	return Arrivals{Kind: a.Kind}, nil
}

// ReadRecorded reads a recording: one due time in seconds a line, ascending; empty lines and lines that start with # are passed over.
// Errors begin with the number of the line.
func ReadRecorded(r io.Reader) ([]float64, error) {
	var times []float64
	in := bufio.NewScanner(r)
	for line := 1; in.Scan(); line++ {
		text := strings.TrimSpace(in.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		t, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(t) || math.IsInf(t, 0) {
			return nil, fmt.Errorf("%d: %q is not a time in seconds", line, text)
		}
		if len(times) > 0 && t < times[len(times)-1] {
			return nil, fmt.Errorf("%d: %s comes before the line above it: times must ascend", line, text)
		}
		times = append(times, t)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("0: reading: %w", err)
	}
	if len(times) < 2 || times[len(times)-1] == times[0] {
		return nil, errors.New("0: a recording needs at least two different times")
	}
	return times, nil
}
