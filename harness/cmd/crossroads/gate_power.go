package main

import (
	"fmt"
	"io"
	"os"

	"crossroads/ci"
	"crossroads/reports/figure"
)

// writeStudy puts what was computed from a collection beside it: the numbers, the summary, and the power curve where there is one.
func writeStudy(dir string, study ci.Study, summary string) error {
	if err := ci.WriteStudy(dir, study); err != nil {
		return err
	}
	text := func(w io.Writer) error { _, err := io.WriteString(w, summary); return err }
	if err := toFile(dir+".summary.txt", os.O_TRUNC, text); err != nil {
		return err
	}
	f := powerFigure(study)
	if f.Empty() {
		return nil
	}
	drawing := figure.New(f)
	if err := toFile(dir+".power.svg", os.O_TRUNC, drawing.SVG); err != nil {
		return err
	}
	return toFile(dir+".power.png", os.O_TRUNC, drawing.PNG)
}

// powerFigure is the share of comparisons that found each injected change, by the look at which they stood.
func powerFigure(study ci.Study) *figure.Figure {
	l := &figure.Lines{
		X: figure.Axis{Title: "pairs of blocks"},
		Y: figure.Axis{Title: "comparisons that found the change, %", Zero: true},
	}
	for i, found := range study.Found {
		s := figure.Series{Name: found.Metric + " " + found.Size, Ink: i, Dash: i, Label: true, Line: true, Dodge: float64(4 * i)}
		for _, p := range found.Power {
			low, high := 100*p.Detected.Interval.Low, 100*p.Detected.Interval.High
			s.Points = append(s.Points, figure.Point{X: float64(p.Pairs), Y: 100 * float64(p.Detected.Count) / float64(p.Detected.Of), Low: &low, High: &high, Mark: figure.Solid})
			l.X.Ticks = append(l.X.Ticks, float64(p.Pairs))
		}
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{
		ID: "power-" + study.Scenario, Title: "What the gate finds, and after how many pairs", Lines: l,
		Caption: fmt.Sprintf("False failures without a change: %s.", study.False),
		About:   fmt.Sprintf("Detection rate of each injected change at the gate's looks, with the interval of Clopper and Pearson, %d resampled comparisons each.", study.Resamples),
	}
}
