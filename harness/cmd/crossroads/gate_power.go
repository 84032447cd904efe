package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"crossroads/ci"
	"crossroads/reports/figure"
)

// writeStudy puts what was computed from a collection beside it: the numbers, the summary, and the power curve where there is one. It
// returns the summary with the paths.
func writeStudy(dir string, study ci.Study) (string, error) {
	if err := ci.WriteStudy(dir, study); err != nil {
		return "", err
	}
	var summary strings.Builder
	if err := study.Text(&summary); err != nil {
		return "", err
	}
	text := func(w io.Writer) error { _, err := io.WriteString(w, summary.String()); return err }
	if err := toFile(dir+".summary.txt", os.O_TRUNC, text); err != nil {
		return "", err
	}
	if f := powerFigure(study); !f.Empty() {
		drawing := figure.New(f)
		if err := errors.Join(toFile(dir+".power.svg", os.O_TRUNC, drawing.SVG), toFile(dir+".power.png", os.O_TRUNC, drawing.PNG)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s\nrecords  %s\nstudy    %s\n", summary.String(), dir, ci.StudyPath(dir)), nil
}

// powerFigure is the share of comparisons that find a change, by its size; sizes are multiples of the one that is aimed at, so that
// all metrics share an axis.
func powerFigure(study ci.Study) *figure.Figure {
	l := &figure.Lines{
		X: figure.Axis{Title: "size of the change, as a multiple of the one that is named"},
		Y: figure.Axis{Title: "comparisons that find it, %", Zero: true},
	}
	var by []string
	for i, found := range study.Found {
		by = append(by, fmt.Sprintf("%s by %d pairs", found.Metric, found.Pairs))
		s := figure.Series{Name: found.Metric + " " + found.Size, Ink: i, Dash: i, Label: true, Line: true}
		aimed := found.Aimed()
		for _, p := range found.Curve {
			low, high := 100*p.Detected.Interval.Low, 100*p.Detected.Interval.High
			x := p.Change / aimed
			s.Points = append(s.Points, figure.Point{X: x, Y: 100 * float64(p.Detected.Count) / float64(p.Detected.Of), Low: &low, High: &high, Mark: figure.Solid})
			l.X.Ticks = append(l.X.Ticks, x)
		}
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{
		ID: "power-" + study.Scenario, Title: "How large a change the gate finds", Lines: l,
		Caption: fmt.Sprintf("False failures without a change: %s. Found: %s.", study.False, strings.Join(by, ", ")),
		About: fmt.Sprintf("Share of comparisons that find a change of exactly this size, with the interval of Clopper and Pearson: %d times pairs of the "+
			"baseline against itself are drawn, flipped at random, and one side made worse by the change.", study.Resamples),
	}
}
