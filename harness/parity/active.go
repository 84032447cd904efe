package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/results"
	"crossroads/topologies"
)

// Active asks every gateway of ours which stages it has in force (stages_info), so that the records of a run prove what ran. A rival has
// no such answer.
func Active(ctx context.Context, arm *topologies.Arm, d deploy.Deployment) ([]results.Active, error) {
	c := &checker{arm: arm, deployment: d}
	var all []results.Active
	for _, p := range c.references() {
		said, err := scrape(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("asking %s for its stages: %w", p.ID, err)
		}
		a, err := said.active(p.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// references lists the gateways that are our own.
func (c *checker) references() []deploy.Process {
	if g := c.arm.Topology.Gateway; g == nil || g.Use != topologies.Reference {
		return nil
	}
	return c.processes(deploy.KindGateway)
}

// stages holds what each gateway says it does against what is declared: every stage that can be switched is off, in shadow or on.
func (c *checker) stages(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil || g.Use != topologies.Reference {
		return nil
	}
	if len(c.references()) == 0 {
		return one("the deployment lists no gateway")
	}
	return each(c.references(), func(p deploy.Process) []string {
		said, err := scrape(ctx, p)
		if err != nil {
			return one("asking %s for its stages: %v", p.ID, err)
		}
		a, err := said.active(p.ID)
		if err != nil {
			return one("%v", err)
		}
		var found []string
		for _, due := range g.Stages.All() {
			if is := modeIn(a.Stages, due.Name); is != due.Mode {
				found = append(found, fmt.Sprintf("%s says that %s is %s where %s is declared", p.ID, due.Name, is, due.Mode))
			}
		}
		return found
	})
}

// modeIn reads the mode of a stage off the words that a gateway exports.
func modeIn(stages, name string) string {
	words := strings.Split(stages, ",")
	switch {
	case slices.Contains(words, name):
		return topologies.ModeOn
	case slices.Contains(words, name+"=shadow"):
		return topologies.ModeShadow
	}
	return topologies.ModeOff
}

// metrics is a page in Prometheus's text format.
type metrics string

// scrape reads a proxy's metrics.
func scrape(ctx context.Context, p deploy.Process) (metrics, error) {
	text, err := readPage(ctx, p.Admin+"/metrics")
	return metrics(text), err
}

func readPage(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, unwrapped(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return text, err
}

var stagesInfo = regexp.MustCompile(`(?m)^gateway_stages_info\{hash="([0-9a-f]+)",stages="([^"]*)"\} 1$`)

func (m metrics) active(process string) (results.Active, error) {
	found := stagesInfo.FindStringSubmatch(string(m))
	if found == nil {
		return results.Active{}, fmt.Errorf("%s does not say which stages it has in force", process)
	}
	return results.Active{Process: process, Hash: found[1], Stages: found[2]}, nil
}

// count is the value of a series: its name, and its labels in alphabetical order, as the format has them. What was never counted is 0.
func (m metrics) count(series string) float64 {
	for line := range strings.Lines(string(m)) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return n
		}
	}
	return 0
}
