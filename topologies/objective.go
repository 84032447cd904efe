package topologies

import (
	"fmt"
	"strconv"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// UnmarshalText reads an objective; see ParseObjective.
func (o *Objective) UnmarshalText(text []byte) error {
	parsed, err := ParseObjective(string(text))
	if err == nil {
		*o = parsed
	}
	return err
}

// MarshalText writes the objective as it was declared.
func (o *Objective) MarshalText() ([]byte, error) { return []byte(o.Text), nil }

// ParseObjective reads METRIC OP VALUE: p(99) < 20ms, errors < 0.1%, achieved >= 99% offered.
func ParseObjective(text string) (Objective, error) {
	o := Objective{Text: text}
	metric, value, err := o.split(text)
	if err != nil {
		return Objective{}, err
	}
	if o.Metric, o.Quantile, err = parseMetric(metric); err != nil {
		return Objective{}, err
	}
	if upward := o.Metric == MetricAchieved; upward != strings.HasPrefix(o.Op, ">") {
		better := map[bool]string{true: "high: use > or >=", false: "low: use < or <="}[upward]
		return Objective{}, fmt.Errorf("objective %q: %s is met by being %s", text, o.Metric, better)
	}
	o.Value, err = parseValue(o.Metric, value)
	if err != nil {
		return Objective{}, fmt.Errorf("objective %q: %w", text, err)
	}
	return o, nil
}

func (o *Objective) split(text string) (metric, value string, err error) {
	for _, op := range operators {
		if left, right, found := strings.Cut(text, op); found {
			o.Op = op
			return strings.TrimSpace(left), strings.TrimSpace(right), nil
		}
	}
	return "", "", fmt.Errorf("objective %q has no comparison: write it like p(99) < 20ms, errors < 0.1%% or achieved >= 99%% offered", text)
}

func parseMetric(text string) (metric string, quantile float64, err error) {
	name, argument, hasArgument := strings.Cut(text, "(")
	name = strings.TrimSpace(name)
	switch {
	case name == MetricP && hasArgument:
		q, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(argument, ")")), 64)
		if err != nil || !strings.HasSuffix(argument, ")") || !(q > 0 && q < 100) {
			return "", 0, fmt.Errorf("objective metric %q: write the quantile in per cent between 0 and 100, such as p(99) or p(99.9)", text)
		}
		return MetricP, q, nil
	case name == MetricP:
		return "", 0, fmt.Errorf("objective metric %q needs its quantile, such as p(99)", text)
	case (name == MetricErrors || name == MetricAchieved) && !hasArgument:
		return name, 0, nil
	}
	known := []string{"p(99)", MetricErrors, MetricAchieved}
	if strings.HasPrefix(name, "p") && strings.Trim(name[1:], "0123456789.") == "" {
		return "", 0, fmt.Errorf("unknown objective metric %q: did you mean p(%s)?", text, name[1:])
	}
	return "", 0, fmt.Errorf("%s", strict.Unknown("objective metric", text, known))
}

// parseValue returns seconds for p and a share for the others; achieved is a share of what was offered.
func parseValue(metric, text string) (float64, error) {
	if metric == MetricP {
		var d units.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return 0, err
		}
		if d == 0 {
			return 0, fmt.Errorf("no response takes %q", text)
		}
		return d.D().Seconds(), nil
	}
	if metric == MetricAchieved {
		text = strings.TrimSpace(strings.TrimSuffix(text, "offered"))
	}
	var s units.Share
	err := s.UnmarshalText([]byte(text))
	return s.F(), err
}
