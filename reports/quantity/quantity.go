// Package quantity is a measured number with its unit, its interval and the number of blocks behind it, and the one way to spell it.
//
// Its one invariant: a quantity is spelled in one way wherever it appears: table, sentence, axis, terminal. It computes nothing.
package quantity

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Unit of a quantity. Values are already in the unit; nothing is scaled when it is printed.
type Unit string

// The units that reports use. CPU time per 1,000 requests is in milliseconds, which is the same figure as microseconds per request.
const (
	None         Unit = ""
	Milliseconds Unit = "ms"
	Seconds      Unit = "s"
	PerSecond    Unit = "/s"
	Percent      Unit = "%"
	MiB          Unit = "MiB"
)

// Interval is a 95% interval of a quantity, in its unit.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Quantity is a number as a report shows it. The zero value is the number 0 without a unit; see Absent for no number.
type Quantity struct {
	Value    float64   `json:"value"`
	Interval *Interval `json:"interval,omitempty"` // nil: there is none, and Note may say why
	Unit     Unit      `json:"unit,omitempty"`
	N        int       `json:"n,omitempty"`    // blocks (trials, or rounds of a difference) behind the interval
	Note     string    `json:"note,omitempty"` // why there is no interval, or what the reader should know
	Missing  string    `json:"missing,omitempty"`
}

// Of is a number without an interval. A value that is no number becomes an absent one.
func Of(v float64, u Unit) Quantity {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Absent("no number")
	}
	return Quantity{Value: v, Unit: u}
}

// Absent is a quantity that was not measured, with the reason.
func Absent(why string) Quantity {
	if why == "" {
		why = "not known"
	}
	return Quantity{Missing: why}
}

// Known tells whether there is a number.
func (q Quantity) Known() bool { return q.Missing == "" }

// Excludes tells whether the interval lies wholly outside [-margin, margin]. Without an interval the answer is no.
func (q Quantity) Excludes(margin float64) bool {
	return q.Known() && q.Interval != nil && (q.Interval.Low > margin || q.Interval.High < -margin)
}

// decimals gives three significant digits, and no digit below a thousandth: a histogram resolves no more. The widest of
// value and bounds decides, so that a value and its interval have the same number of places.
func (q Quantity) decimals() int {
	widest := math.Abs(q.Value)
	if q.Interval != nil {
		widest = max(widest, math.Abs(q.Interval.Low), math.Abs(q.Interval.High))
	}
	switch whole := q.Value == math.Trunc(q.Value) && q.Interval == nil; {
	case whole && (q.Unit == None || q.Unit == PerSecond || q.Unit == Percent), widest >= 99.95:
		return 0
	case widest >= 9.995:
		return 1
	case widest >= 0.9995:
		return 2
	}
	return 3
}

// Number is the value alone, without unit and interval: 1,234 or 0.312. An absent quantity is a dash.
func (q Quantity) Number() string {
	if !q.Known() {
		return "–"
	}
	return digits(q.Value, q.decimals())
}

// Range is the interval alone, "[0.270, 0.360]", or "".
func (q Quantity) Range() string {
	if !q.Known() || q.Interval == nil {
		return ""
	}
	d := q.decimals()
	return "[" + digits(q.Interval.Low, d) + ", " + digits(q.Interval.High, d) + "]"
}

// WithUnit is the value with its unit: 0.312 ms, 1,000/s, 12%.
func (q Quantity) WithUnit() string {
	if !q.Known() {
		return q.Missing
	}
	return q.Number() + suffix(q.Unit)
}

// Text is everything: 0.312 ms [0.270, 0.360], or 0.312 ms, no interval (n = 4 rounds).
func (q Quantity) Text() string { return q.qualified(q.WithUnit()) }

// Bare is Text without the unit, for columns whose head has it.
func (q Quantity) Bare() string {
	if !q.Known() {
		return q.Missing
	}
	return q.qualified(q.Number())
}

func (q Quantity) qualified(number string) string {
	switch {
	case !q.Known():
		return q.Missing
	case q.Interval != nil:
		return number + " " + q.Range()
	case strings.Contains(q.Note, "("):
		return number + ", " + q.Note
	case q.Note != "":
		return number + " (" + q.Note + ")"
	}
	return number
}

// MarshalJSON adds the spelling, so that a reader of the JSON prints what every page prints.
func (q Quantity) MarshalJSON() ([]byte, error) {
	type plain Quantity
	if !q.Known() {
		return json.Marshal(struct {
			Missing string `json:"missing"`
		}{q.Missing})
	}
	return json.Marshal(struct {
		plain
		Text string `json:"text"`
	}{plain(q), q.Text()})
}

func suffix(u Unit) string {
	switch u {
	case None, Percent, PerSecond:
		return string(u)
	}
	return " " + string(u)
}

// digits prints v with d decimals, thousands separated, a true minus sign, and never a negative zero.
func digits(v float64, d int) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', d, 64)
	whole, fraction, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if v < 0 && strings.Trim(s, "0.") != "" {
		return "−" + whole
	}
	return whole
}

// Count spells a whole number of things.
func Count[T ~int | ~int64](n T) string { return digits(float64(n), 0) }

// Rate spells an offered or achieved rate, 1,500/s.
func Rate(perSecond float64) string { return Of(perSecond, PerSecond).WithUnit() }

// Tick spells a position on an axis: as few digits as it needs.
func Tick(v float64) string {
	for d := 0; d < 6; d++ {
		p := math.Pow10(d)
		if math.Abs(math.Round(v*p)/p-v) <= math.Abs(v)*1e-9 {
			return digits(v, d)
		}
	}
	return digits(v, 6)
}
