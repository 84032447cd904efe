package reports

import (
	"fmt"
	"slices"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// handshakeTable is how proxies speak TLS, arms that speak alike in one place together.
func handshakeTable(arms []results.ArmInfo, sightings []results.Sighting) *Table {
	t := &Table{ID: "tls-table", Caption: "How proxies speak TLS", Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "at", Title: "At"},
		{Key: "version", Title: "Version"}, {Key: "cipher", Title: "Cipher suite"}, {Key: "chain", Title: "Certificates shown", Numeric: true}, {Key: "seen", Title: "Seen"}}}
	for _, a := range arms {
		for _, h := range spoken(a.Name, sightings) {
			t.Rows = append(t.Rows, Row{Cells: []Cell{text(a.Name), text(h.At), text(h.Version), text(h.Cipher),
				number(quantity.Of(float64(h.Chain), quantity.None)), text(seenHow[h.Seen])}})
		}
	}
	t.Notes = []string{"By a client of the probes', which offers what Go offers in Go's order: two proxies may agree on another cipher suite among themselves."}
	return t
}

var seenHow = map[string]string{results.SeenByProbe: "by a probe's client", results.SeenBetween: "between proxies"}

// spoken are the different handshakes of an arm, whichever process and round.
func spoken(arm string, sightings []results.Sighting) []results.Handshake {
	var all []results.Handshake
	for _, s := range sightings {
		for _, h := range s.Handshakes {
			h.Process = ""
			if s.Arm == arm && !slices.Contains(all, h) {
				all = append(all, h)
			}
		}
	}
	return all
}

// unlikeInTLS says which arms of one work speak TLS otherwise than the reference's, or the first's where there is none.
func (b *book) unlikeInTLS() []string {
	var all []string
	for i, first := range b.Plan.Arms {
		for j, a := range b.Plan.Arms {
			if i == j || b.leader(j) != i {
				continue
			}
			all = append(all, unlike(first.Name, spoken(first.Name, b.Sightings), a.Name, spoken(a.Name, b.Sightings))...)
		}
	}
	return all
}

// leader is the arm that an arm of the same work is held against.
func (b *book) leader(arm int) int {
	if own := b.ownOf(arm); own >= 0 {
		return own
	}
	return slices.IndexFunc(b.Plan.Arms, func(a results.ArmInfo) bool { return sameWork(a, b.Plan.Arms[arm]) })
}

// unlike compares place by place.
func unlike(first string, x []results.Handshake, second string, y []results.Handshake) []string {
	var all []string
	for _, h := range y {
		i := slices.IndexFunc(x, func(o results.Handshake) bool { return o.At == h.At && o.Seen == h.Seen })
		if i < 0 || x[i] == h {
			continue
		}
		all = append(all, fmt.Sprintf("unlike in TLS: at %s %s has %s where %s has %s: their costs are not those of the same work", h.At,
			clean(second), facts(h), clean(first), facts(x[i])))
	}
	return all
}

func facts(h results.Handshake) string {
	s := h.Version + ", " + h.Cipher
	if h.Chain > 0 {
		s += fmt.Sprintf(", %s shown", plural(h.Chain, "certificate"))
	}
	return s
}
