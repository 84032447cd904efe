package export

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results"
)

// Histograms writes an HdrHistogram log (V2) of every histogram of the trials, the outcome of what is not valid in its tag:
//
//	Tag=r1-mesh-1000-c64/response,0.000,2.000,4.104,HISTFAAAA...
//	Tag=r2-mesh-1000-c64/response/invalid,9.500,2.000,9.871,HISTFAAAA...
//
// and, where a trial kept them, one interval per second under .../seconds. Starts are seconds since the log's base time; the
// largest value is in milliseconds, as the format has it.
func Histograms(w io.Writer, trials []results.Trial) error {
	buffered := bufio.NewWriter(w)
	log := hdrhistogram.NewHistogramLogWriter(buffered)
	// The format writes the base time in whole seconds.
	base := earliest(trials).Truncate(time.Second).UnixMilli()
	log.SetBaseTime(base)
	for _, write := range []func() error{
		log.OutputLogFormatVersion,
		func() error { return log.OutputStartTime(base) },
		func() error { return log.OutputBaseTime(base) },
		log.OutputLegend,
	} {
		if err := write(); err != nil {
			return fmt.Errorf("writing a histogram log: %w", err)
		}
	}
	for i := range trials {
		if err := trialLog(log, &trials[i]); err != nil {
			return fmt.Errorf("writing the histogram log of trial %s: %w", trials[i].ID, err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing a histogram log: %w", err)
	}
	return nil
}

func trialLog(log *hdrhistogram.HistogramLogWriter, t *results.Trial) error {
	interval := func(record results.Histogram, tag string, start time.Time, length time.Duration) error {
		h, err := record.Decode()
		if err != nil {
			return err
		}
		if t.Outcome != results.Valid {
			tag += "/" + string(t.Outcome)
		}
		h.SetTag(tag)
		h.SetStartTimeMs(start.UnixMilli())
		h.SetEndTimeMs(start.Add(length).UnixMilli())
		return log.OutputIntervalHistogram(h)
	}
	id := word(t.ID)
	for _, times := range slices.Sorted(maps.Keys(t.Times)) {
		if err := interval(t.Times[times], id+"/"+times, t.Started, time.Duration(t.Elapsed)); err != nil {
			return err
		}
	}
	for _, s := range t.Seconds {
		if s.Times == nil {
			continue
		}
		if err := interval(*s.Times, id+"/seconds", t.Started.Add(time.Duration(s.At)*time.Second), time.Second); err != nil {
			return err
		}
	}
	return nil
}

// earliest is the first instant of a log: a warm-up's seconds lie before its trial's start.
func earliest(trials []results.Trial) time.Time {
	var first time.Time
	for _, t := range trials {
		start := t.Started
		for _, s := range t.Seconds {
			if at := t.Started.Add(time.Duration(s.At) * time.Second); at.Before(start) {
				start = at
			}
		}
		if first.IsZero() || start.Before(first) {
			first = start
		}
	}
	return first
}

// Percentiles writes one histogram as a percentile distribution in milliseconds, the file that the HdrHistogram plotter draws on an
// axis of nines.
func Percentiles(w io.Writer, h *hdrhistogram.Histogram) error {
	const ticksPerHalfDistance = 5
	if _, err := h.PercentilesPrint(w, ticksPerHalfDistance, float64(time.Millisecond)); err != nil {
		return fmt.Errorf("writing percentiles: %w", err)
	}
	return nil
}
