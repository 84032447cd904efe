package rivals

import (
	"slices"
	"strings"

	"crossroads/results"
	"crossroads/topologies"
)

// Refusals lists, for every rival that stands in a gateway's place in the experiment, each single feature that it is not deployed for, with
// the reason: what a matrix of features shows where there is nothing to probe. The judge is the one of deployments, asked a feature at a time.
func Refusals(e *topologies.Experiment) []results.Refusal {
	var all []results.Refusal
	var asked []string
	for _, arm := range e.Arms() {
		g := arm.Topology.Gateway
		if g == nil || slices.Contains(asked, g.Use) {
			continue
		}
		asked = append(asked, g.Use)
		r, known := byName(g.Use)
		if !known {
			continue // ours
		}
		for _, single := range topologies.SingleFeatures(g.Use) {
			if no := r.refuses(&single); no != nil {
				all = append(all, results.Refusal{Place: results.PlaceGateway, Use: r.Name, Feature: strings.Join(single.Features(), ", "), Reason: no.reason})
			}
		}
	}
	return all
}
