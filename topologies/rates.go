package topologies

import (
	"fmt"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// MaxRates bounds a list or range of rates: each is a trial per arm and round.
const MaxRates = 64

// UnmarshalNode reads a list, one rate, or a range: FROM..TO*FACTOR or FROM..TO+STEP. A range ends at TO where a step meets it, and
// before it where none does.
func (r *Rates) UnmarshalNode(n *strict.Node) error {
	*r = nil
	if n.Kind == strict.List {
		n.Decode((*[]units.Count)(r))
		return nil
	}
	if n.Kind != strict.Scalar {
		return fmt.Errorf("expected a list of rates such as [500, 1k] or a range such as 1k..16k*2, found %s", n)
	}
	list, err := parseRates(n.Text)
	*r = list
	return err
}

// MarshalNode writes what UnmarshalNode reads.
func (r *Rates) MarshalNode() any { return []units.Count(*r) }

// ParseRates reads what a command line says of rates: a range, or rates with commas between them.
func ParseRates(text string) (Rates, error) {
	var all Rates
	for _, part := range strings.Split(text, ",") {
		rates, err := parseRates(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		all = append(all, rates...)
	}
	return all, nil
}

func parseRates(text string) (Rates, error) {
	from, rest, ranged := strings.Cut(text, "..")
	if !ranged {
		one, err := parseCount(text)
		return Rates{one}, err
	}
	i := strings.IndexAny(rest, "*+")
	if i < 0 {
		return nil, fmt.Errorf("range %q does not say how it climbs: write %s*2 to double or %s+500 to step", text, text, text)
	}
	first, err := parseCount(from)
	if err != nil {
		return nil, err
	}
	last, err := parseCount(rest[:i])
	if err != nil {
		return nil, err
	}
	by, err := parseCount(rest[i+1:])
	if err != nil {
		return nil, err
	}
	doubles := rest[i] == '*'
	if first <= 0 || last < first || doubles && by <= 1 || by <= 0 {
		return nil, fmt.Errorf("range %q does not climb: write the lower rate first, a factor above 1 or a step above 0", text)
	}
	return climb(text, first, last, by, doubles)
}

func climb(text string, first, last, by units.Count, doubles bool) (Rates, error) {
	var rates Rates
	// A factor such as 1.1 gathers rounding; a billionth of tolerance keeps the last step that is meant to meet the end.
	for at := first; at <= last*(1+1e-9); {
		if rates = append(rates, at); len(rates) > MaxRates {
			return nil, fmt.Errorf("range %q has more than %d rates", text, MaxRates)
		}
		if doubles {
			at *= by
		} else {
			at += by
		}
	}
	return rates, nil
}

func parseCount(text string) (c units.Count, err error) {
	err = c.UnmarshalText([]byte(strings.TrimSpace(text)))
	return c, err
}
