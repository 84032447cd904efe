// Package figure draws: a figure is data with a title and a caption; one plot object of it gives the SVG inside a page, and the SVG
// and PNG files beside it.
//
// Its one invariant: what is drawn is the data of the Figure and nothing else, and every series is told from the others by more
// than its colour: by dash, by mark, and by a label where it ends. It knows nothing of runs, and it computes no statistics.
package figure

import "slices"

// Figure is everything that is drawn, and the words around it. Exactly one of Lines and Rows is set.
type Figure struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Caption string `json:"caption"` // the take-away
	About   string `json:"about"`   // what is drawn, for who cannot see it
	Lines   *Lines `json:"lines,omitempty"`
	Rows    *Rows  `json:"rows,omitempty"`
}

// Empty tells whether there is nothing to draw.
func (f *Figure) Empty() bool {
	if f.Rows != nil {
		return len(f.Rows.Bars) == 0 && len(f.Rows.Dots) == 0
	}
	return !slices.ContainsFunc(f.Lines.Series, func(s Series) bool { return slices.ContainsFunc(s.Points, f.Lines.visible) })
}

// Lines is a chart of series over two axes.
type Lines struct {
	X      Axis     `json:"x"`
	Y      Axis     `json:"y"`
	Series []Series `json:"series"`
	Limits []Limit  `json:"limits,omitempty"`
	Shades []Shade  `json:"shades,omitempty"`
	Flat   bool     `json:"-"` // a low strip instead of a full chart
}

// Scale of an axis.
type Scale string

// The scales. Nines takes a quantile q as -log10(1-q), so that 90%, 99% and 99.9% stand at equal distances.
const (
	Linear Scale = "linear"
	Log    Scale = "log"
	Nines  Scale = "nines"
)

// Axis is one direction of a chart.
type Axis struct {
	Title string    `json:"title"`
	Scale Scale     `json:"scale"`
	Ticks []float64 `json:"ticks,omitempty"` // where values were chosen and not measured; nil: round numbers
	Zero  bool      `json:"zero,omitempty"`  // a linear axis that starts at zero
}

// Series is one line, or the marks of one arm.
type Series struct {
	Name   string  `json:"name"`
	Ink    int     `json:"-"` // see Inks
	Dash   int     `json:"-"` // see dashes
	Label  bool    `json:"-"` // written where the line ends
	Line   bool    `json:"-"`
	Faint  bool    `json:"-"`
	Dodge  float64 `json:"-"` // points to the right, so that marks at one X do not cover each other
	Points []Point `json:"points"`
}

// Point of a series, with the interval of Y if there is one.
type Point struct {
	X    float64  `json:"x"`
	Y    float64  `json:"y"`
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	Mark Mark     `json:"mark,omitempty"`
}

// Mark of a point.
type Mark string

// The marks. Hollow is a saturated trial, Struck an invalid one, Cross a failed one.
const (
	NoMark Mark = ""
	Solid  Mark = "solid"
	Small  Mark = "small"
	Hollow Mark = "hollow"
	Struck Mark = "struck"
	Cross  Mark = "cross"
)

// Limit is a line across the chart that was declared, not measured.
type Limit struct {
	Y    float64 `json:"y"`
	Text string  `json:"text"`
}

// Shade is a range of X that differs from the rest, such as the warm-up.
type Shade struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	Text string  `json:"text"`
}

// Rows is a chart of horizontal bars and dots, one row a name.
type Rows struct {
	X     Axis     `json:"x"`
	Names []string `json:"names"`
	Bars  []Bar    `json:"bars,omitempty"`
	Dots  []Dot    `json:"dots,omitempty"`
	Notes []string `json:"notes,omitempty"` // at the right end of each row
	Steps bool     `json:"-"`               // a waterfall: each bar begins where the one above it ends
	Keys  []Key    `json:"-"`               // what the colours of bars stand for, over the chart
}

// Key is the meaning of an ink.
type Key struct {
	Ink  int
	Text string
}

// Bar from one value to another. Text is written into it where it fits.
type Bar struct {
	Row  int      `json:"row"`
	From float64  `json:"from"`
	To   float64  `json:"to"`
	Low  *float64 `json:"low,omitempty"` // interval of To
	High *float64 `json:"high,omitempty"`
	Ink  int      `json:"-"`
	Text string   `json:"text,omitempty"`
}

// Dot is a value with its interval.
type Dot struct {
	Row  int      `json:"row"`
	X    float64  `json:"x"`
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	Ink  int      `json:"-"`
	Mark Mark     `json:"mark"`
}
