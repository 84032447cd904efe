package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Text writes the graph as a table, and below it the alarms.
func (d *Document) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "from\tto\trate\terrors\tp50\tp99\ttries\tin flight\tejected\tstate")
	for _, e := range d.Edges {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%d\t%s\t%s\n", e.Source, e.Destination, perSecond(e.Rate), percent(e.Errors),
			micros(e.P50), micros(e.P99), e.Attempts, e.InFlight, e.ejected(), e.state())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return d.textAlarms(w)
}

func (d *Document) textAlarms(w io.Writer) error {
	if len(d.Edges) == 0 {
		fmt.Fprintln(w, "nothing was reported yet: proxies report once calls pass them")
	}
	if len(d.Alarms) == 0 {
		_, err := fmt.Fprintln(w, "\nno cascade was seen")
		return err
	}
	var all strings.Builder
	for _, a := range d.Alarms {
		fmt.Fprintf(&all, "\n%s\n", a.sentence())
		for _, k := range a.Explained {
			fmt.Fprintf(&all, "  explains %s\n", k)
		}
	}
	_, err := io.WriteString(w, all.String())
	return err
}

// sentence says what an alarm is about.
func (a *Alarm) sentence() string {
	over := "it goes on"
	if a.Cleared != nil {
		over = "over at " + a.Cleared.Format(clock)
	}
	return fmt.Sprintf("cascade %d: %s at %s, first seen from %s; since %s, noticed %s later, confidence %.0f%%; %s", a.ID, a.Kind,
		a.Root.Destination, a.Root.Source, a.Onset.Format(clock), a.Raised.Sub(a.Onset).Round(10*time.Millisecond), 100*a.Confidence, over)
}

const clock = "15:04:05.00"

func (e *Edge) ejected() string {
	if e.Endpoints == 0 {
		return "-"
	}
	return strconv.Itoa(e.Ejected) + " of " + strconv.Itoa(e.Endpoints)
}

// own is the mean time in the reporter's proxy, where it is known.
func (e *Edge) own() string {
	if e.Own == 0 {
		return "-"
	}
	return micros(int64(e.Own))
}

func (e *Edge) state() string {
	switch {
	case e.Root:
		return "root: " + e.State
	case e.State != "":
		return e.State
	}
	return "ok"
}

func perSecond(rate float64) string { return fmt.Sprintf("%.1f/s", rate) }

func percent(share float64) string {
	if share == 0 {
		return "0%"
	}
	return fmt.Sprintf("%.2f%%", 100*share)
}

func micros(us int64) string {
	switch {
	case us >= 1_000_000:
		return fmt.Sprintf("%.1f s", float64(us)/1e6)
	case us >= 1000:
		return fmt.Sprintf("%.1f ms", float64(us)/1e3)
	}
	return fmt.Sprintf("%d us", us)
}

// Dot writes the graph in the language of Graphviz.
func (d *Document) Dot(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph mesh {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, n := range d.Nodes {
		fmt.Fprintf(&b, "  %s;\n", dotQuote(n.Name))
	}
	for _, e := range d.Edges {
		label := fmt.Sprintf("%s, %s failed\n%s / %s", perSecond(e.Rate), percent(e.Errors), micros(e.P50), micros(e.P99))
		style := ""
		switch {
		case e.Root:
			style = ", color=red, penwidth=3"
		case e.State != "":
			style = ", color=orange, penwidth=2"
		}
		fmt.Fprintf(&b, "  %s -> %s [label=%s%s];\n", dotQuote(e.Source), dotQuote(e.Destination), dotQuote(label), style)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// dotQuote writes a quoted identifier; only the quote and the backslash need care, and lines are broken by an escape.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
