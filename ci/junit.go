package ci

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The JUnit format as its readers agree on it: a test case has failed, is in error, or passed. What could not be judged is an error,
// never skipped: readers count skipped cases as harmless.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitDetail `xml:"failure,omitempty"`
	Error   *junitDetail `xml:"error,omitempty"`
	Output  string       `xml:"system-out,omitempty"`
}

type junitDetail struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the decisions as JUnit XML: a suite for each scenario with a case for each primary metric and one for the scenario as
// a whole, which also carries what no single metric says.
func JUnit(w io.Writer, decisions []Decision) error {
	all := junitSuites{Name: "crossroads gate"}
	for _, d := range decisions {
		s := junitSuite{Name: d.Scenario}
		s.add(d.Scenario, "verdict", d.Verdict, strings.Join(d.because(), "; "), fmt.Sprintf("%d pairs, %d A/A pairs, %d dropped", d.Pairs, d.AA, len(d.Dropped)))
		for _, f := range d.Metrics {
			s.add(d.Scenario, f.Metric, f.Verdict, f.Why, f.spell())
		}
		all.Suites = append(all.Suites, s)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
	}
	if len(decisions) == 0 {
		s := junitSuite{Name: "gate"}
		s.add("gate", "verdict", Inconclusive, "nothing was compared", "")
		all.Suites, all.Tests, all.Errors = []junitSuite{s}, 1, 1
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("writing JUnit XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(class, name string, v Verdict, why, output string) {
	c := junitCase{Class: class, Name: name, Output: output}
	switch v {
	case Pass:
	case Fail:
		c.Failure = &junitDetail{Message: why, Text: output}
		s.Failures++
	default:
		c.Error = &junitDetail{Message: "inconclusive: " + why, Text: output}
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
	s.Tests++
}
