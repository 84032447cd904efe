package topologies

import (
	"fmt"
	"slices"

	"crossroads/proxies/config/strict"
)

// The types that a file may write in more than one way read and write themselves here.

// UnmarshalNode reads one call, or a list of calls that run at the same time.
func (s *Step) UnmarshalNode(n *strict.Node) error {
	switch n.Kind {
	case strict.Mapping:
		s.Calls = make([]Call, 1)
		n.Decode(&s.Calls[0])
		return nil
	case strict.List:
		n.Decode(&s.Calls)
		if len(s.Calls) == 0 {
			return fmt.Errorf("a step without a call: write {call: SERVICE}, or a list of them that run at the same time")
		}
		return nil
	}
	return fmt.Errorf("expected {call: SERVICE} or a list of them, found %s", n)
}

// MarshalNode writes what UnmarshalNode reads.
func (s *Step) MarshalNode() any {
	if len(s.Calls) == 1 {
		return s.Calls[0]
	}
	return s.Calls
}

// UnmarshalNode reads one whole number or a list of them.
func (i *Ints) UnmarshalNode(n *strict.Node) error {
	*i = nil
	if n.Kind == strict.List {
		n.Decode((*[]int)(i))
		return nil
	}
	var one int
	if n.Decode(&one) {
		*i = Ints{one}
	}
	return nil
}

// MarshalNode writes what UnmarshalNode reads.
func (i *Ints) MarshalNode() any {
	if len(*i) == 1 {
		return (*i)[0]
	}
	return []int(*i)
}

// UnmarshalNode reads one name or a list of them.
func (s *Names) UnmarshalNode(n *strict.Node) error {
	*s = nil
	if n.Kind == strict.List {
		n.Decode((*[]string)(s))
		return nil
	}
	var one string
	if n.Decode(&one) {
		*s = Names{one}
	}
	return nil
}

// MarshalNode writes what UnmarshalNode reads.
func (s *Names) MarshalNode() any {
	if len(*s) == 1 {
		return (*s)[0]
	}
	return []string(*s)
}

// UnmarshalNode reads off, shadow, on, or a mapping; a mapping means on.
func (s *StageMode) UnmarshalNode(n *strict.Node) error {
	if n.Kind == strict.Mapping {
		n.DecodeFields(s)
		return nil
	}
	return decodeMode(n, &s.Mode, "off, shadow or on")
}

// MarshalNode writes what UnmarshalNode reads.
func (s *StageMode) MarshalNode() any { return s.Mode }

// UnmarshalNode reads off, shadow, on, or a mapping of settings; a mapping without a mode means on.
func (s *RateLimitStage) UnmarshalNode(n *strict.Node) error {
	if n.Kind == strict.Mapping {
		n.DecodeFields(s)
		return nil
	}
	return decodeMode(n, &s.Mode, "off, shadow, on, or settings such as {rate: 100k, burst: 10k}")
}

func decodeMode(n *strict.Node, into *string, expected string) error {
	*into = "" // a word that is not known switches nothing on
	if n.Kind != strict.Scalar || !slices.Contains(modes, n.Text) {
		return fmt.Errorf("expected %s, found %s", expected, n)
	}
	*into = n.Text
	return nil
}

// arrivalsFields is the form of Arrivals that is a mapping.
type arrivalsFields struct {
	Ramp     *Ramp  `yaml:"ramp,omitempty"`
	Recorded string `yaml:"recorded,omitempty"`
}

// UnmarshalNode reads constant, poisson, {ramp: {from: SHARE}} or {recorded: FILE}.
func (a *Arrivals) UnmarshalNode(n *strict.Node) error {
	const expected = "constant, poisson, {ramp: {from: 10%}} or {recorded: FILE}"
	switch {
	case n.Kind == strict.Scalar && (n.Text == ArrivalsConstant || n.Text == ArrivalsPoisson):
		*a = Arrivals{Kind: n.Text}
		return nil
	case n.Kind == strict.Mapping && len(n.Entries) == 1:
		var f arrivalsFields
		if n.Decode(&f) {
			*a = Arrivals{Kind: n.Entries[0].Key, Ramp: f.Ramp, Recorded: f.Recorded}
		}
		return nil
	case n.Kind == strict.Scalar && slices.Contains(arrivals, n.Text):
		return fmt.Errorf("%s needs its settings: write %s", n.Text, expected)
	case n.Kind == strict.Scalar && strict.Nearest(n.Text, arrivals) != "":
		return fmt.Errorf("%s", strict.Unknown("arrivals", n.Text, arrivals))
	}
	return fmt.Errorf("expected one of %s, found %s", expected, n)
}

// MarshalNode writes what UnmarshalNode reads.
func (a *Arrivals) MarshalNode() any {
	if a.Ramp == nil && a.Recorded == "" {
		return a.Kind
	}
	return arrivalsFields{Ramp: a.Ramp, Recorded: a.Recorded}
}
